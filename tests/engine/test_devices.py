"""Devices (MMIO areas) under a guest CPU: what its functions are asked, what comes out of them, what a change means.

Not here: devices under pointers (tests/mm).
"""

from __future__ import annotations

import pytest

from axptr.errors import FaultReason

from .conftest import DATA, PAGE, STACK_TOP, Machine, R, W, X

DEVICE = 0xA0_0000
EXIT = "b83c000000 0f05"  # mov eax, 60; syscall
LOAD = "8b07"  # mov eax, [rdi]
STORE = "48891f"  # mov [rdi], rbx


class Device:
    def __init__(self) -> None:
        self.log: list[tuple[int, ...]] = []
        self.values: dict[int, int] = {}
        self.error: Exception | None = None

    def read(self, offset: int, size: int) -> int:
        self.log.append((offset, size))
        if self.error is not None:
            raise self.error
        return self.values.get(offset, offset & 0xFF)

    def write(self, offset: int, size: int, value: int) -> None:
        self.log.append((offset, size, value))
        self.values[offset] = value


@pytest.fixture
def device(machine: Machine) -> Device:
    made = Device()
    machine.space.map_mmio(DEVICE, 200 * PAGE, R | W, made.read, made.write, name="device")
    return made


def test_accesses_of_every_size_reach_it_with_offset_and_size(machine: Machine, device: Device) -> None:
    # mov al, [rdi]; mov ax, [rdi+2]; mov eax, [rdi+4]; mov rax, [rdi+8]; mov [rdi+16], bl; bx; ebx; rbx
    code = "8a07 668b4702 8b4704 488b4708 885f10 66895f12 895f14 48895f18"
    done = machine.run(code + EXIT, rdi=DEVICE + PAGE, rbx=0x1122_3344_5566_7788)
    assert done.kind == "stopped"
    assert device.log == [
        (PAGE, 1),
        (PAGE + 2, 2),
        (PAGE + 4, 4),
        (PAGE + 8, 4),  # the library makes two of one of eight bytes
        (PAGE + 12, 4),
        (PAGE + 16, 1, 0x88),
        (PAGE + 18, 2, 0x7788),
        (PAGE + 20, 4, 0x5566_7788),
        (PAGE + 24, 4, 0x5566_7788),
        (PAGE + 28, 4, 0x1122_3344),
    ]


def test_the_guest_gets_what_it_answers(machine: Machine, device: Device) -> None:
    device.values[0x10] = 0xCAFE_F00D
    # mov eax, [rdi]; mov [rsi], eax
    machine.run(LOAD + "8906" + EXIT, rdi=DEVICE + 0x10, rsi=DATA)
    assert machine.space.read(DATA, 4) == (0xCAFE_F00D).to_bytes(4, "little")


def test_more_pages_than_the_window_has(machine: Machine, device: Device) -> None:
    # loop: mov eax, [rdi]; add rdi, 4096; dec ecx; jnz loop - twice over
    loop = "8b07 4881c700100000 ffc9 75f3"
    for _ in range(2):
        machine.run(loop + EXIT, rdi=DEVICE, rcx=200)
    assert [entry[0] for entry in device.log] == [n * PAGE for n in range(200)] * 2


def test_what_it_raises_comes_out_of_the_run(machine: Machine, device: Device) -> None:
    device.error = KeyError("no such register")
    with pytest.raises(KeyError, match="no such register"):
        machine.run(LOAD + EXIT, rdi=DEVICE)
    device.error = None
    assert machine.run(LOAD + EXIT, rdi=DEVICE).kind == "stopped"


def test_an_answer_that_does_not_fit_comes_out_of_the_run(machine: Machine, device: Device) -> None:
    device.values[0] = 1 << 40
    with pytest.raises(OverflowError):
        machine.run(LOAD + EXIT, rdi=DEVICE)


def test_permissions_are_those_of_the_area(machine: Machine, device: Device) -> None:
    machine.space.protect(DEVICE, PAGE, R)
    done = machine.run(LOAD + STORE + EXIT, rdi=DEVICE + 8)
    assert (done.kind, done.address) == ("fault", DEVICE + 8)
    assert done.fault.reason is FaultReason.PROTECTION
    assert device.log == [(8, 4)]


def test_code_cannot_be_fetched_from_it(machine: Machine, device: Device) -> None:
    machine.space.protect(DEVICE, PAGE, R | X)
    done = machine.run(at=DEVICE)
    assert (done.kind, done.fault.reason) == ("fault", FaultReason.NOT_MEMORY)
    assert device.log == []


def test_unmapped_between_runs_it_is_gone(machine: Machine, device: Device) -> None:
    machine.run(LOAD + EXIT, rdi=DEVICE)
    machine.space.unmap(DEVICE, 200 * PAGE)
    assert machine.run(LOAD + EXIT, rdi=DEVICE).fault.reason is FaultReason.UNMAPPED
    machine.space.map_alloc(DEVICE, PAGE, R | W)
    machine.space.write(DEVICE, b"\x07")
    machine.run(LOAD + "8906" + EXIT, rdi=DEVICE, rsi=DATA)
    assert machine.space.read(DATA, 4) == b"\x07\0\0\0"
    assert len(device.log) == 1


def test_its_function_may_change_the_space(machine: Machine, device: Device) -> None:
    """It unmaps memory that the guest has cached: the guest's next block finds out, and no frame changes hands."""
    read = device.read

    def unmapping(offset: int, size: int) -> int:
        machine.space.unmap(DATA, PAGE)
        return read(offset, size)

    machine.space.map_mmio(DEVICE, PAGE, R, unmapping, device.write, replace=True)
    # mov edx, [rsi]; mov eax, [rdi]; jmp +0; mov edx, [rsi]
    done = machine.run("8b16" + LOAD + "eb00" + "8b16" + EXIT, rdi=DEVICE, rsi=DATA)
    assert (done.kind, done.address) == ("fault", DATA)
    machine.space.map_alloc(DATA, PAGE, R | W)


def test_a_stack_on_it_is_pushed_to_it(machine: Machine, device: Device) -> None:
    machine.load("53" + EXIT)  # push rbx
    machine.engine.regs.rip = 0x400000
    machine.engine.regs.rsp = DEVICE + 64
    machine.engine.regs.rbx = 5
    machine.go_on()
    assert device.log == [(56, 4, 5), (60, 4, 0)]
    machine.engine.regs.rsp = STACK_TOP


@pytest.mark.parametrize("before", ["", "ffc3" * 3, "90" * 200], ids=["first", "fourth", "late"])
def test_its_function_finds_rip_at_the_instruction_that_makes_the_access(machine: Machine, before: str) -> None:
    seen: list[int] = []

    def read(offset: int, size: int) -> int:
        seen.append(machine.engine.regs.rip)
        return 7

    machine.space.map_mmio(DEVICE, PAGE, R | W, read, lambda *_: seen.append(machine.engine.regs.rip), name="device")
    assert machine.run(before + LOAD + "ffc3" + STORE + "ffc3" + LOAD + EXIT, rdi=DEVICE, rbx=0).kind == "stopped"
    start = 0x400000 + len(before) // 2
    assert sorted(set(seen)) == [start, start + 4, start + 9]


@pytest.mark.parametrize("access", [LOAD, STORE, "ff07", "f3ab"], ids=["load", "store", "update", "rep stos"])
@pytest.mark.parametrize("behind", ["ffc3cc", "ffc3ebfc", STORE + "ffc3"], ids=["trap", "loop", "another"])
def test_stop_from_its_function_ends_the_run_before_the_next_instruction(
    machine: Machine, access: str, behind: str
) -> None:
    machine.space.map_mmio(
        DEVICE, PAGE, R | W, lambda *_: machine.engine.stop() or 7, lambda *_: machine.engine.stop(), name="device"
    )
    done = machine.run("ffc2" + access + behind, rdi=DEVICE, rbx=0, rdx=0, rcx=1, timeout=5)
    assert (done.kind, done.rip) == ("stopped", 0x400000 + 2 + len(access) // 2)
    assert (machine.engine.regs.rbx, machine.engine.regs.rdx) == (0, 1)


def test_its_function_sees_and_sets_flags_and_rip_as_the_program_has_them(machine: Machine) -> None:
    seen: list[int] = []

    def read(offset: int, size: int) -> int:
        regs = machine.engine.regs
        seen.append(regs.rflags)
        regs.rflags = regs.rflags | 1
        regs.rip = 0x400100
        return 7

    machine.space.map_mmio(DEVICE, PAGE, R, read, lambda *_: None, name="device")
    machine.load("0f92c3" + EXIT, 0x400100)  # setc bl
    assert machine.run("f8" + LOAD + "cc", rdi=DEVICE, rbx=0).kind == "stopped"
    assert (seen[0] & 0x101, machine.engine.regs.rbx, machine.engine.regs.rflags & 0x100) == (0, 1, 0)


def test_what_its_function_does_to_the_space_is_seen_by_the_next_instruction(machine: Machine) -> None:
    def read(offset: int, size: int) -> int:
        machine.space.unmap(DATA, PAGE)
        return 7

    machine.space.map_mmio(DEVICE, PAGE, R, read, lambda *_: None, name="device")
    done = machine.run("8b06" + LOAD + "8b06", rdi=DEVICE, rsi=DATA)  # mov eax, [rsi] before and behind
    assert (done.kind, done.rip, done.address) == ("fault", 0x400004, DATA)


def test_vectors_that_it_is_asked_for_and_others_are_kept(machine: Machine, device: Device) -> None:
    device.values.update({0: 0x1111_1111, 4: 0x2222_2222, 8: 0x3333_3333, 12: 0x4444_4444})
    # movups xmm1, [rdi]; fld1; fadd dword [rdi + 16]; movups [rdi + 32], xmm2
    device.values[16] = 0x4000_0000  # 2.0
    done = machine.run("0f100f d9e8 d84710 0f115720" + EXIT, rdi=DEVICE, xmm2=7 << 64 | 9, xmm3=1 << 127)
    assert done.kind == "stopped"
    regs = machine.engine.regs
    assert regs.xmm1 == 0x4444_4444_3333_3333_2222_2222_1111_1111
    assert (regs.xmm2, regs.xmm3) == (7 << 64 | 9, 1 << 127)
    assert regs.st0 == 0x4000_C000_0000_0000_0000  # 3.0
    assert [entry[2] for entry in device.log if len(entry) == 3] == [9, 0, 7, 0]


def test_an_instruction_that_touches_it_and_a_hole_is_a_fault_of_the_hole(machine: Machine, device: Device) -> None:
    done = machine.run("a5", rsi=DEVICE, rdi=0x10)  # movsd
    assert (done.kind, done.address) == ("fault", 0x10)
    assert (machine.engine.regs.rsi, machine.engine.regs.rip) == (DEVICE, 0x400000)


def test_a_run_out_of_time_between_accesses_ends(machine: Machine, device: Device) -> None:
    done = machine.run(LOAD + "ebfc", rdi=DEVICE, timeout=0.2)  # mov eax, [rdi]; jmp back
    assert done.kind == "timeout"
    assert len(device.log) > 10
