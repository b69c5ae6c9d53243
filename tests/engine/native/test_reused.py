"""A guest's process that serves the next program of its kin: whatever the last one left in it that a program can leave,
the next one finds what a process of its own would show it."""

from __future__ import annotations

import contextlib
import gc
import struct

import pytest

from axptr.mm.space import AddrSpace

from .conftest import CODE, DATA, PAGE, STACK, STACK_TOP, NativeMachine, R, W, X
from .test_hostile import CONTROL, HAND_OVER, SIGRETURN, STACK_AT, call_sites, jump, quad

END = "b83c000000 0f05"  # mov eax, 60; syscall
LOOK = (
    "480fae07"  # fxsave64 [rdi]
    "f3480faec0 48898700020000"  # rdfsbase rax; mov [rdi + 512], rax
    "f3480faec8 48898708020000"  # rdgsbase rax; mov [rdi + 520], rax
    "8cd8 898710020000 8cc0 898714020000 8ce8 898718020000 8ce0 89871c020000"  # ds, es, gs, fs to 528, 532, 536, 540
    "9c 58 48898720020000"  # pushfq; pop rax; mov [rdi + 544], rax
    "48899f28020000 4c89bf30020000 4889af38020000"  # rbx, r15, rbp to 552, 560, 568
) + END
DIRT = (
    "0fae5708 d96f0c d9e8 d9e8"  # ldmxcsr [rdi + 8]; fldcw [rdi + 12]; fld1; fld1
    "660f76db 660f76c0"  # pcmpeqd xmm3, xmm3; pcmpeqd xmm0, xmm0
    "b82b000000 8ed8 8ec0 8ee8"  # mov eax, 0x2b; mov ds, es, gs
    "f3480faedf f3480faed7"  # wrgsbase rdi; wrfsbase rdi
    "9c 810c2400042400 9d"  # pushfq; or dword [rsp], AC | ID | DF; popfq
    "48c7c3ffffffff 49c7c7ffffffff 48c7c5ffffffff"  # rbx, r15, rbp = -1
)


def program(native: NativeMachine) -> AddrSpace:
    space = AddrSpace(PAGE, (1 << 47) - 2 * PAGE, native.phys)
    space.map_alloc(CODE, 16 * PAGE, R | W | X, name="code")
    space.map_alloc(DATA, 16 * PAGE, R | W, name="data")
    space.map_alloc(STACK, 4 * PAGE, R | W, name="stack")
    space.is_kin = True
    return space


def enter(native: NativeMachine, space: AddrSpace, code: str, timeout: float) -> str:
    native.calls.clear()
    space.write(CODE, bytes.fromhex(code))
    native.engine.attach(space)
    native.engine.reset()
    regs = native.engine.regs
    regs.rsp, regs.rip, regs.rdi = STACK_TOP, CODE, DATA
    return native.engine.run(timeout).kind


def look(native: NativeMachine) -> bytes:
    """What a new program finds, and that it has its own memory and no other."""
    space = program(native)
    assert enter(native, space, LOOK, 30) == "stopped"
    assert native.calls
    assert native.calls[-1][0] == 60
    seen = bytes(space.read(DATA, 576))
    assert not any(space.read(DATA + 576, 3520))
    native.engine.attach(native.space)
    del space
    gc.collect()
    return seen


def forged_frame(rip: int, stack: tuple[int, int, int], mask: int) -> bytes:
    frame = bytearray(1024)
    struct.pack_into("<QQQ", frame, 16, *stack)
    struct.pack_into("<Q", frame, 40 + 16 * 8, rip)
    struct.pack_into("<Q", frame, 40 + 15 * 8, DATA + 0x800)
    struct.pack_into("<Q", frame, 40 + 17 * 8, 0x202)
    struct.pack_into("<Q", frame, 40 + 18 * 8, 0x002B_0000_0000_0033)
    struct.pack_into("<Q", frame, 40 + 32 * 8, mask)
    return bytes(frame)


def ways(base: int, sites: list[int]) -> dict[str, tuple[str, dict[int, bytes]]]:
    """Code of a program that leaves what it can, and what lies in its memory then."""
    at = base + CONTROL
    found: dict[str, tuple[str, dict[int, bytes]]] = {
        "registers": (DIRT + END, {DATA + 8: struct.pack("<IH", 0, 0)}),
        "noise": ("48bf" + quad(at + STACK_AT) + "b900200000 48b8" + quad(0x8000_1234_5678_9ABC) + "f348ab" + END, {}),
        "zeros": ("48bf" + quad(at) + "b900400000 31c0 f348ab" + END, {}),
        "ones": ("48bf" + quad(at) + "b900400000 48c7c0ffffffff f348ab" + END, {}),
    }
    stacks = {"none": (0, 2, 0), "its own": (DATA + 0x2000, 0, 0x2000), "elsewhere": (0x1000, 0, 0x4000)}
    for name, stack in stacks.items():
        for mask in (0, (1 << 64) - 1):
            for number, site in enumerate(sites):
                # mov rsp, DATA + 8; mov eax, rt_sigreturn; jump to a call of the stub's
                code = "48bc" + quad(DATA + 8) + jump(site, rax=SIGRETURN)
                frame = forged_frame(CODE + 0x200, stack, mask)
                memory = {DATA: frame, CODE + 0x200: bytes.fromhex(END)}
                found[f"signal stack {name}, mask {mask & 1}, by {number}"] = code, memory
    for number, site in enumerate(sites):
        for name, top in (("its stack", STACK_TOP - 512), ("the stub's", at + STACK_AT + 0x8000)):
            code = "48bc" + quad(top) + jump(site, rax=HAND_OVER)
            found[f"forged hand-over by {number} on {name}"] = code, {}
            frame = forged_frame(CODE + 0x200, (0, 2, 0), (1 << 64) - 1)
            # lea rsi, [DATA]; mov rdi, top; mov ecx, 1024; rep movsb: a frame for whoever returns there
            copy = "48be" + quad(DATA) + "48bf" + quad(top - 8 if top < at else top) + "b900040000 f3a4"
            found[f"forged hand-over by {number} over a frame on {name}"] = (
                copy + code if name != "its stack" else code,
                {DATA: frame, CODE + 0x200: bytes.fromhex(END)},
            )
    return found


@pytest.mark.timeout(280)
def test_whatever_a_program_leaves_the_next_of_its_kin_finds_a_process_like_new(native: NativeMachine) -> None:
    expected = look(native)
    native.check()
    sites = call_sites(native)
    every = ways(native.base, sites)
    assert len(every) > 30
    for name, (code, memory) in every.items():
        space = program(native)
        for address, data in memory.items():
            space.write(address, data)
        with contextlib.suppress(RuntimeError):  # its own registers may be lost
            enter(native, space, code, 0.1)
        native.engine.attach(native.space)
        del space
        gc.collect()
        for _ in range(2):
            assert look(native) == expected, name
    native.check()


def test_a_process_is_served_again_after_registers_were_left_in_it(native: NativeMachine) -> None:
    """So that the test above tells of something."""
    look(native)
    before = native.engine.stubs
    for _ in range(3):
        space = program(native)
        space.write(DATA + 8, struct.pack("<IH", 0, 0))
        assert enter(native, space, DIRT + END, 30) == "stopped"
        native.engine.attach(native.space)
        del space
        gc.collect()
    assert native.engine.stubs <= before + 1
