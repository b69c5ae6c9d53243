"""Faults: the exact byte, the exact instruction, registers as before it, and the run that goes on afterwards.

    DATA + 15 pages   DATA + 16 pages
....[   rw-        ]  (nothing)          EDGE is the first byte behind
"""

from __future__ import annotations

import errno

import pytest

from axptr.engine import UnicornEngine
from axptr.errors import FaultReason, UserFault
from axptr.flags import MappingFlags

from .conftest import CODE, DATA, EXIT, PAGE, STACK, STACK_TOP, Machine, R, W, X

EDGE = DATA + 16 * PAGE
BEFORE = "ffc0 ffc3"  # inc eax; inc ebx: in the same block, done when the fault comes
EXIT_CODE = "b83c000000 0f05"  # mov eax, 60; syscall

# name: (code, size, what is wanted first: who reads, changes and writes is asked for the reading)
ACCESSES = {
    "read 8": ("4c8b3f", 8, R),  # mov r15, [rdi]
    "read 1": ("8a0f", 1, R),  # mov cl, [rdi]
    "write 8": ("4c893f", 8, W),  # mov [rdi], r15
    "write 1": ("880f", 1, W),  # mov [rdi], cl
    "movups load": ("0f1007", 16, R),
    "movups store": ("0f1107", 16, W),
    "movdqa store": ("660f7f07", 16, W),
    "add to memory": ("830701", 4, W),  # add dword [rdi], 1
    "lock xadd": ("f04c0fc13f", 8, W),  # lock xadd [rdi], r15
    "xchg": ("4c873f", 8, W),  # xchg [rdi], r15
    "pop to memory": ("8f07", 8, W),  # pop qword [rdi]
    "call through memory": ("ff17", 8, R),  # call [rdi]
    "fld": ("dd07", 8, R),
    "fstp": ("dd1f", 8, W),
    "rep stosb": ("f3aa", 1, W),
    "scasb": ("ae", 1, R),
}


@pytest.mark.parametrize(("code", "size", "access"), ACCESSES.values(), ids=ACCESSES.keys())
def test_access_to_a_hole_names_its_first_byte(machine: Machine, code: str, size: int, access: MappingFlags) -> None:
    machine.engine.regs.xmm0 = 1 << 127
    exit = machine.run(BEFORE + code, rdi=EDGE + 0x123, rcx=5, rsp=STACK_TOP - 64)
    assert (exit.kind, exit.address, exit.rip) == ("fault", EDGE + 0x123, CODE + 4)
    assert exit.access == access
    assert isinstance(exit.fault, UserFault)
    assert exit.fault.reason is FaultReason.UNMAPPED
    assert exit.fault.address == EDGE + 0x123
    regs = machine.engine.regs
    assert (regs.rax, regs.rbx, regs.rcx, regs.rsp) == (1, 1, 5, STACK_TOP - 64)


@pytest.mark.parametrize(("code", "size", "access"), ACCESSES.values(), ids=ACCESSES.keys())
def test_fault_can_be_mended_and_the_instruction_restarted(
    machine: Machine, code: str, size: int, access: MappingFlags
) -> None:
    target = machine.load(EXIT_CODE, CODE + 0x800)
    exit = machine.run(BEFORE + code + EXIT_CODE, rdi=EDGE + 0x120, rcx=1, rsp=STACK_TOP - 64)
    assert exit.kind == "fault"
    machine.space.map_alloc(EDGE, PAGE, R | W)
    machine.space.write(EDGE + 0x120, target.to_bytes(8, "little"))
    assert machine.go_on().kind == "stopped"
    assert machine.calls[-1][0] == EXIT
    assert machine.engine.regs.rbx == 1  # nothing was done twice


STRADDLING = [name for name in ACCESSES if ACCESSES[name][1] > 1]


@pytest.mark.parametrize("name", STRADDLING)
def test_access_across_the_end_of_a_mapping_names_the_first_byte_behind(machine: Machine, name: str) -> None:
    """And no byte before it is changed.

        -3         EDGE
    [ data ]|(hole)
         [ access  ]
    """
    code, _size, _access = ACCESSES[name]
    machine.space.write(EDGE - 8, b"ABCDEFGH")
    exit = machine.run(BEFORE + code, rdi=EDGE - 3, r15=2**64 - 1, xmm0=2**128 - 1, rsp=STACK_TOP - 64)
    assert (exit.kind, exit.address, exit.rip) == ("fault", EDGE, CODE + 4)
    assert machine.space.read(EDGE - 8, 8) == b"ABCDEFGH"


@pytest.mark.parametrize("back", range(1, 8))
def test_write_across_pages_of_which_the_first_is_read_only_names_its_first_byte(machine: Machine, back: int) -> None:
    machine.space.protect(DATA, PAGE, R)
    exit = machine.run(BEFORE + "4c893f", rdi=DATA + PAGE - back, r15=2**64 - 1)  # mov [rdi], r15
    assert (exit.kind, exit.address, exit.access) == ("fault", DATA + PAGE - back, W)
    assert machine.space.read(DATA + PAGE, 8) == bytes(8)


def test_a_fault_is_explained_when_it_is_asked_for(machine: Machine) -> None:
    """A run that ends in one does not pay for its text: what is told is the space as it is then."""
    exit = machine.run("8b07", rdi=EDGE + 0x123)  # mov eax, [rdi]
    machine.space.map_alloc(EDGE + 5 * PAGE, PAGE, R, name="came later")
    assert "came later" in str(exit.fault)
    told = str(exit.fault)
    machine.space.unmap(EDGE + 5 * PAGE, PAGE)
    assert str(exit.fault) == told


def test_page_that_was_read_still_faults_when_written(machine: Machine) -> None:
    machine.space.protect(DATA, PAGE, R)
    exit = machine.run("8b07 8907", rdi=DATA + 8)  # mov eax, [rdi]; mov [rdi], eax
    assert (exit.kind, exit.address, exit.access, exit.rip) == ("fault", DATA + 8, W, CODE + 2)
    assert exit.fault is not None
    assert exit.fault.reason is FaultReason.PROTECTION  # type: ignore[union-attr]


def test_page_without_permissions_faults_also_for_reading(machine: Machine) -> None:
    machine.space.protect(DATA, PAGE, MappingFlags(0))
    exit = machine.run("8b07", rdi=DATA)
    assert (exit.kind, exit.access) == ("fault", R)


def test_write_only_page_can_be_read_as_on_x86(machine: Machine) -> None:
    machine.space.protect(DATA, PAGE, W)
    assert machine.run("8b07 8907" + EXIT_CODE, rdi=DATA).kind == "stopped"


def test_rep_movs_stops_at_the_hole_with_its_progress_in_registers(machine: Machine) -> None:
    exit = machine.run("f3a4", rsi=DATA, rdi=EDGE - 100, rcx=200)  # rep movsb
    regs = machine.engine.regs
    assert (exit.kind, exit.address, exit.rip) == ("fault", EDGE, CODE)
    assert (regs.rcx, regs.rsi, regs.rdi) == (100, DATA + 100, EDGE)
    machine.space.map_alloc(EDGE, PAGE, R | W)
    machine.load(EXIT_CODE, CODE + 2)
    assert machine.go_on().kind == "stopped"
    assert machine.engine.regs.rdi == EDGE + 100


@pytest.mark.parametrize(
    ("code", "stored"), [("50", -8), ("e800000000", -8), ("c8100000", -8)], ids=["push", "call", "enter"]
)
def test_push_below_the_stack_faults_and_leaves_rsp(machine: Machine, code: str, stored: int) -> None:
    exit = machine.run(BEFORE + code, rsp=STACK)
    assert (exit.kind, exit.address, exit.access, exit.rip) == ("fault", STACK + stored, W, CODE + 4)
    assert machine.engine.regs.rsp == STACK


@pytest.mark.parametrize("code", ["58", "c3", "c9"], ids=["pop", "ret", "leave"])
def test_pop_above_the_stack_faults_and_leaves_rsp(machine: Machine, code: str) -> None:
    exit = machine.run(BEFORE + code, rsp=STACK_TOP, rbp=STACK_TOP)
    assert (exit.kind, exit.address, exit.access, exit.rip) == ("fault", STACK_TOP, R, CODE + 4)
    assert machine.engine.regs.rsp == STACK_TOP


# -- fetches --------------------------------------------------------------------------------------------

LAST = CODE + 16 * PAGE  # the first byte behind the code


@pytest.mark.parametrize(
    ("target", "reason"),
    [(0x1234_5678, FaultReason.UNMAPPED), (DATA + 5, FaultReason.PROTECTION), (8, FaultReason.OUT_OF_RANGE)],
)
def test_jump_to_what_may_not_be_executed_faults_at_the_target(
    machine: Machine, target: int, reason: FaultReason
) -> None:
    machine.space.write(DATA, b"\x90" * 16)
    exit = machine.run(BEFORE + "ffe7", rdi=target)  # jmp rdi
    assert (exit.kind, exit.address, exit.rip, exit.access) == ("fault", target, target, X)
    assert exit.fault is not None
    assert exit.fault.reason is reason  # type: ignore[union-attr]
    assert machine.engine.regs.rbx == 1


def test_page_that_was_read_is_not_executable_for_that(machine: Machine) -> None:
    machine.space.write(DATA, b"\x90" * 16)
    exit = machine.run("8a07 c60790 ffe7", rdi=DATA)  # mov al, [rdi]; mov byte [rdi], 0x90; jmp rdi
    assert (exit.kind, exit.address, exit.access) == ("fault", DATA, X)


@pytest.mark.parametrize("count", [1, 3, 40, 1000])
def test_running_off_the_end_executes_every_instruction_before(machine: Machine, count: int) -> None:
    start = LAST - 2 * count
    exit = machine.run("ffc0" * count, at=start)  # inc eax, up to the last byte
    assert (exit.kind, exit.address, exit.rip, exit.access) == ("fault", LAST, LAST, X)
    assert machine.engine.regs.rax == count


# The instruction's length: it begins so far before LAST that some of it lies behind.
LONG = "48b8112233445566778899"[:20]  # mov rax, imm64: 10 bytes


@pytest.mark.parametrize("inside", range(1, 10))
@pytest.mark.parametrize("before", [0, 1, 5])
def test_instruction_that_straddles_the_end_faults_at_the_next_page(machine: Machine, inside: int, before: int) -> None:
    """With rip at that instruction and all before it done.

                   LAST
    .. inc inc [mov rax|, ..]  (nothing)
    """
    code = bytes.fromhex("ffc3" * before + LONG)[: 2 * before + inside]
    start = LAST - len(code)
    exit = machine.run(code.hex(), at=start)
    assert (exit.kind, exit.address, exit.access) == ("fault", LAST, X)
    assert exit.rip == LAST - inside
    assert (machine.engine.regs.rbx, machine.engine.regs.rax) == (before, 0)


@pytest.mark.parametrize("prefixes", range(15))
def test_longest_instructions_straddle_too(machine: Machine, prefixes: int) -> None:
    code = "ffc3" + "66" * prefixes  # the opcode lies behind
    exit = machine.run(code, at=LAST - 2 - prefixes)
    assert (exit.kind, exit.address, exit.rip) == ("fault", LAST, LAST - prefixes)
    assert machine.engine.regs.rbx == 1


def test_straddling_instruction_runs_once_its_second_page_is_there(machine: Machine) -> None:
    whole = bytes.fromhex("ffc3 48b81122334455667788" + EXIT_CODE)
    start = LAST - 6
    machine.space.write(start, whole[:6])
    assert machine.run(None, at=start).address == LAST
    machine.space.map_alloc(LAST, PAGE, R | X)
    machine.space.write(LAST, whole[6:])
    assert machine.go_on().kind == "stopped"
    assert machine.engine.regs.rbx == 1
    assert machine.calls[-1][0] == EXIT


def test_data_fault_before_a_straddling_instruction_comes_first(machine: Machine) -> None:
    # inc ebx; mov rcx, [rdi]; (straddling mov rax, imm64)
    code = bytes.fromhex("ffc3 488b0f 48b81122")
    exit = machine.run(code.hex(), at=LAST - len(code), rdi=EDGE)
    assert (exit.kind, exit.address, exit.rip, exit.access) == ("fault", EDGE, LAST - len(code) + 2, R)
    assert machine.engine.regs.rbx == 1


def test_exception_before_a_straddling_instruction_comes_first(machine: Machine) -> None:
    code = bytes.fromhex("ffc3 31c9 f7f1 48b81122")  # inc ebx; xor ecx, ecx; div ecx; ..
    exit = machine.run(code.hex(), at=LAST - len(code))
    assert (exit.kind, exit.vector, exit.rip) == ("exception", 0, LAST - len(code) + 4)


def test_loop_with_stores_that_runs_off_the_end_counts_right(machine: Machine) -> None:
    # rep stosb (a block of its own); inc ebx; end of page
    code = bytes.fromhex("f3aa ffc3")
    exit = machine.run(code.hex(), at=LAST - len(code), rdi=DATA, rcx=50, rax=7)
    assert (exit.kind, exit.address, exit.rip) == ("fault", LAST, LAST)
    assert machine.space.read(DATA, 51) == bytes([7]) * 50 + b"\0"
    assert machine.engine.regs.rbx == 1


def test_system_call_as_the_last_instruction_before_a_hole(machine: Machine) -> None:
    exit = machine.run("0f05", at=LAST - 2, rax=1)
    assert machine.calls == [(1, 0, 0, 0, 0, 0, 0)]
    assert (exit.kind, exit.rip) == ("fault", LAST)


def test_missing_pages_of_code_come_in_unseen(machine: Machine) -> None:
    """Also when an instruction lies across two of them."""
    code = "48b81122334455667788" * 900 + EXIT_CODE  # 9,000 bytes of mov rax, imm64
    assert machine.run(code, at=CODE + 1).kind == "stopped"
    if machine.kind is UnicornEngine:
        assert machine.engine.starts < 10


# -- what brings pages in -------------------------------------------------------------------------------


def test_stack_grows_to_its_limit_and_faults_below(machine: Machine) -> None:
    bottom = 0x7000_0000_0000
    machine.space.map_alloc(bottom + 63 * PAGE, PAGE, R | W, grows_down=64 * PAGE, name="stack2")
    # push rax; inc ebx; jmp back
    exit = machine.run("50 ffc3 ebfb", rsp=bottom + 64 * PAGE)
    assert (exit.kind, exit.address) == ("fault", bottom - 8)
    assert machine.engine.regs.rbx == 64 * 512
    assert machine.engine.regs.rsp == bottom


def test_pages_are_populated_only_when_touched(machine: Machine) -> None:
    machine.space.map_alloc(0x1000_0000_0000, 1 << 40, R | W)
    before = machine.phys.data_frames
    # mov [rdi], rdi; add rdi, rsi; dec ecx; jnz back; exit
    machine.run("48893f 4801f7 ffc9 75f6" + EXIT_CODE, rdi=0x1000_0000_0000, rsi=1 << 38, rcx=3)
    assert machine.phys.data_frames == before + 3 + 1  # and the page of code


def test_no_frames_left_is_a_fault_that_says_so(machine: Machine) -> None:
    machine.load("c60701", CODE)
    machine.run("90" + EXIT_CODE, at=CODE + 16)
    machine.phys._inject_failure(0)
    try:
        exit = machine.run(None, rdi=DATA)
    finally:
        machine.phys._inject_failure(None)
    assert (exit.kind, exit.address, exit.access) == ("fault", DATA, W)
    assert exit.fault is not None
    assert exit.fault.errno == errno.ENOMEM
    assert machine.go_on().kind == "fault"  # runs on into zeros: add [rax], al
    assert machine.space.read(DATA, 1) == b"\1"


def test_zeros_that_a_guest_runs_into_end_as_a_fault_not_a_hang(machine: Machine) -> None:
    exit = machine.run(None, at=CODE + 0x500)  # add [rax], al
    assert (exit.kind, exit.address, exit.rip) == ("fault", 0, CODE + 0x500)


def test_message_of_a_fault_says_no_size_for_the_engine_does_not_know_it(machine: Machine) -> None:
    done = machine.run("488b07", rdi=0x1000_0000)
    assert done.fault is not None
    assert str(done.fault.strerror).startswith("read at 0x10000000: page 0x10000000 is not mapped")
    assert getattr(done.fault, "size", None) == 0
