"""The guest is a user program: what the CPU refuses it, and how its exceptions arrive."""

from __future__ import annotations

import pytest

from .conftest import CODE, DATA, EXIT, STACK_TOP, Machine

# Each stands after two instructions of the same basic block, so that an exact rip is told from a block's start.
BEFORE = "ffc0 ffc3"  # inc eax; inc ebx
PRIVILEGED = {
    "cli": "fa",
    "sti": "fb",
    "hlt": "f4",
    "clts": "0f06",
    "invd": "0f08",
    "wbinvd": "0f09",
    "wrmsr": "0f30",
    "rdmsr": "0f32",
    "rdpmc": "0f33",
    "sysexit": "0f35",
    "sysret": "0f07",
    "sysretq": "480f07",
    "swapgs": "0f01f8",
    "invlpg [rax]": "0f0138",
    "lgdt [rdi]": "0f0117",
    "lidt [rdi]": "0f011f",
    "lldt ax": "0f00d0",
    "ltr ax": "0f00d8",
    "mov rax, cr0": "0f20c0",
    "mov cr3, rax": "0f22d8",
    "mov dr7, rax": "0f23f8",
    "mov ds, 0x10": "66b91000 8ed9",
    "retf to ring 0": "6a10 6a00 48cb",
    "iretq to ring 0": "6a10 57 9c 6a08 57 48cf",
    "in al, dx": "ec",
    "in al, 0x60": "e460",
    "out dx, al": "ee",
    "rep insb": "f36c",
    "rep outsb": "f36e",
    "int 0x21": "cd21",
    "int 14": "cd0e",
    "int 13": "cd0d",
    "int 0": "cd00",
}
INVALID = {
    "ud2": "0f0b",
    "ud1": "0fb9c0",
    "into": "ce",
    "sysenter": "0f34",
    "lock nop": "f090",
    "vmcall": "0f01c1",
    "vmrun": "0f01d8",
    "getsec": "0f37",
    "rsm": "0faa",
    "monitor": "0f01c8",
    "undefined": "0f04",
    "vxorps ymm0": "c5fc57c0",
}


@pytest.mark.parametrize("code", PRIVILEGED.values(), ids=PRIVILEGED.keys())
def test_privileged_instruction_is_a_protection_fault(machine: Machine, code: str) -> None:
    exit = machine.run(BEFORE + code + "c60701", rdi=DATA, rsi=DATA, rcx=1)  # .. mov byte [rdi], 1
    assert (exit.kind, exit.vector) == ("exception", 13)
    first = CODE + 4
    # the last instruction of the sequence is the bad one
    lengths = {"mov ds, 0x10": 4, "retf to ring 0": 4, "iretq to ring 0": 7}
    offset = next((n for name, n in lengths.items() if PRIVILEGED[name] == code), 0)
    assert exit.rip == machine.engine.regs.rip == first + offset
    assert machine.engine.regs.rax == 1


@pytest.mark.parametrize("code", INVALID.values(), ids=INVALID.keys())
def test_invalid_instruction_is_exception_6_at_its_address(machine: Machine, code: str) -> None:
    exit = machine.run(BEFORE + code)
    assert (exit.kind, exit.vector, exit.rip) == ("exception", 6, CODE + 4)
    assert (machine.engine.regs.rax, machine.engine.regs.rbx) == (1, 1)


@pytest.mark.parametrize(
    ("code", "vector", "length"),
    [("cc", 3, 1), ("cd03", 3, 2), ("cd80", 0x80, 2), ("cd04", 4, 2), ("f1", 1, 1)],
    ids=["int3", "int 3", "int 0x80", "int 4", "int1"],
)
def test_trap_is_reported_after_the_instruction(machine: Machine, code: str, vector: int, length: int) -> None:
    exit = machine.run(BEFORE + code)
    assert (exit.kind, exit.vector, exit.rip) == ("exception", vector, CODE + 4 + length)


def test_run_goes_on_after_a_breakpoint(machine: Machine) -> None:
    assert machine.run("cc b83c000000 0f05").vector == 3  # int3; mov eax, 60; syscall
    assert machine.go_on().kind == "stopped"
    assert machine.calls[-1][0] == EXIT


def test_single_step_flag_traps_after_one_instruction(machine: Machine) -> None:
    # push 0x100; popf; nop; nop
    exit = machine.run("6800010000 9d 90 90")
    assert (exit.vector, exit.rip) == (1, CODE + 7)


@pytest.mark.parametrize("code", ["31c9 f7f1", "31c9 48f7f9", "6631c9 66f7f1 ", "31c9 40f6f1"])
def test_divide_errors_stay_divide_errors_however_many(machine: Machine, code: str) -> None:
    machine.load(code)  # xor ecx, ecx; div / idiv of several widths
    for _ in range(20):
        exit = machine.run(None, rax=1)
        assert (exit.kind, exit.vector) == ("exception", 0)
        assert CODE + 2 <= exit.rip <= CODE + 3


def test_exceptions_of_all_kinds_in_turn_do_not_escalate(machine: Machine) -> None:
    seen = []
    for i in range(40):
        code, vector = [("31c9 f7f1", 0), ("f4", 13), ("0f0b", 6), ("cc", 3)][i * 7 % 4]
        exit = machine.run(code)
        seen.append(exit.vector == vector)
    assert all(seen)


def test_overflowing_quotient_is_a_divide_error(machine: Machine) -> None:
    exit = machine.run("b901000000 f7f1", rdx=2, rax=0)  # mov ecx, 1; div ecx with edx:eax = 2 << 32
    assert (exit.vector, exit.rip) == (0, CODE + 5)


def test_registers_survive_an_exception(machine: Machine) -> None:
    regs = machine.engine.regs
    for name, value in (
        ("xmm0", 1 << 100),
        ("xmm15", 7),
        ("mxcsr", 0x1F00),
        ("fs_base", DATA),
        ("r15", 99),
        ("rflags", 0x8D7),
    ):
        setattr(regs, name, value)
    changed = {"rip", "rsp", "fpsw", "fptag", "rax", *(f"st{i}" for i in range(8))}
    before = {name: getattr(regs, name) for name in dir(regs) if name not in changed}
    # fld1; fldz; hlt
    assert machine.run("d9e8 d9ee f4").vector == 13
    after = {name: getattr(regs, name) for name in before}
    after["rflags"] &= ~0x10000  # a CPU notes in RF that it was a fault
    assert after == before
    # fstp qword [rdi]; fstp qword [rdi + 8]; mov eax, 60; syscall
    machine.run("dd1f dd5f08 b83c000000 0f05", rdi=DATA, at=CODE + 0x100)
    assert machine.space.read(DATA, 16) == bytes.fromhex("0000000000000000 000000000000f03f")


def test_x87_exception_that_is_unmasked_arrives(machine: Machine) -> None:
    # fnstcw [rdi]; and word [rdi], 0xfffb (unmask divide by zero); fldcw [rdi]; fld1; fldz; fdivp; fwait
    exit = machine.run("d93f 668127fbff d92f d9e8 d9ee def9 9b", rdi=DATA)
    assert (exit.kind, exit.vector) == ("exception", 16)


def test_reading_the_clock_and_cpuid_are_allowed(machine: Machine) -> None:
    # rdtsc; rdtscp; xor eax, eax; cpuid; mov eax, 60; syscall
    assert machine.run("0f31 0f01f9 31c0 0fa2 b83c000000 0f05").kind == "stopped"


def test_program_sets_its_own_fs_base(machine: Machine) -> None:
    # wrfsbase rdi; mov eax, 60; syscall
    machine.run("f3480faed7 b83c000000 0f05", rdi=DATA)
    assert machine.engine.regs.fs_base == DATA


def test_cpuid_announces_no_avx(machine: Machine) -> None:
    # mov eax, 1; cpuid; mov edi, ecx; mov eax, 60; syscall
    machine.run("b801000000 0fa2 89cf b83c000000 0f05")
    features = machine.calls[-1][1]
    assert features & 1 << 28 == 0
    assert features & 1 << 20
    assert features & 1 << 23


def test_selectors_are_those_of_linux(machine: Machine) -> None:
    # mov edi, cs; mov esi, ss; mov eax, 60; syscall
    machine.run("8ccf 8cd6 b83c000000 0f05")
    assert machine.calls[-1][1:3] == (0x33, 0x2B)


def test_instruction_of_more_than_15_bytes_is_refused(machine: Machine) -> None:
    assert machine.run("66" * 16 + "90").vector == 13


@pytest.mark.parametrize(
    "target", [0x8000_0000_0000_0000, 0xFFFF_FFFF_FFFF_FFFF, 0x0000_8000_0000_0000, 0xF000_0000_0000_0100, 0]
)
def test_jump_to_an_address_nobody_has_is_a_fault_there(machine: Machine, target: int) -> None:
    """Also to those that the engine itself once used. A CPU refuses to form one that is not canonical, at the jump."""
    exit = machine.run("ffe7", rdi=target)  # jmp rdi
    canonical = target >> 47 in (0, (1 << 17) - 1)
    assert (exit.kind, exit.address, exit.rip) == ("fault", target, target if canonical else CODE)
    assert exit.vector == (14 if canonical else 13)


@pytest.mark.parametrize("address", [0x8000_0000_0000_1000, 0x8000_0000_0000_0000 + CODE, 0xF000_0000_0000_0000])
def test_addresses_that_the_engine_uses_inside_are_no_memory(machine: Machine, address: int) -> None:
    machine.run("0f05 b83c000000 0f05", rax=1)
    machine.space.write(CODE, b"\x90")  # leaves a request to drop code, which the engine does through such addresses
    exit = machine.run("488b07", rdi=address)  # mov rax, [rdi]
    assert (exit.kind, exit.address) == ("fault", address)


def test_stack_pointer_that_is_nowhere_faults_and_no_more(machine: Machine) -> None:
    exit = machine.run("50", rsp=0)  # push rax
    assert (exit.kind, exit.address) == ("fault", 2**64 - 8)
    assert machine.engine.regs.rsp == 0
    assert machine.run("90 b83c000000 0f05", rsp=STACK_TOP).kind == "stopped"
