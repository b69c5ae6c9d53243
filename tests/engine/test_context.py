"""Saved registers: the same on another engine and in another process, in the middle of anything; laid out as Linux has
them; and no state that a program cannot be in."""

from __future__ import annotations

import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from axptr._core.phys.phys import PhysMemory
from axptr.engine.arch import AARCH64, X86_64
from axptr.engine.context import Context

from .conftest import CODE, DATA, EXIT, KINDS, STACK_TOP, Machine

SAVE = 39


def program() -> bytes:
    """Sets everything, makes call SAVE, then writes all it sees to DATA and ends."""
    before = bytes.fromhex(
        "bb03000000"  # mov ebx, 3
        "b801000000 8ed8"  # mov eax, 1; mov ds, eax: a null selector of ring 1
        "6a2b 0fa1"  # push 0x2b; pop fs
        "dbe3 d9e8 d9eb dec9 d9fa"  # fninit; fld1; fldpi; fmulp; fsqrt
        "d9e8 d9c0 d9c9"  # fld1; fld st0; fxch
        "d92f"  # fldcw [rdi]: rounds up, in 53 bits
        "0fae5704"  # ldmxcsr [rdi+4]: rounds to zero
        "f3480f2ac3 66480f6ecb 660f6fd9 66450fefff"  # cvtsi2ss xmm0, rbx; movq xmm1, rbx; movdqa xmm3, xmm1; pxor
        "48b8f0ffffffffffffff 4883c020"  # mov rax, -16; add rax, 32: carry
        "f9 fd"  # stc; std
        "b827000000 0f05"  # mov eax, 39; syscall
    )
    after = bytes.fromhex(
        "9c 59 48898f80000000"  # pushf; pop rcx; mov [rdi+128], rcx
        "fc"  # cld
        "66 8c9f88000000 66 8ca78a000000 66 8caf8c000000 66 8c978e000000"  # mov [rdi+136..], ds, fs, gs, ss
        "0fae5f70"  # stmxcsr [rdi+112]
        "48 0fae8700020000"  # fxsave64 [rdi+512]
        "d8c1 db bfa0000000"  # fadd st0, st1; fstp tbyte [rdi+160]
        "db bfb0000000"  # fstp tbyte [rdi+176]
        "f3 0f5ec0 f3 0f1187c0000000"  # divss xmm0, xmm0; movss [rdi+192], xmm0
        "644c8b042500000000 4c8987c8000000"  # mov r8, fs:[0]; mov [rdi+200], r8
        "654c8b0c2508000000 4c898fd0000000"  # mov r9, gs:[8]; mov [rdi+208], r9
        "48899fd8000000"  # mov [rdi+216], rbx
        "b83c000000 0f05"
    )
    return before + after


def prepared() -> Machine:
    """A machine that stands in call SAVE, with what the program reads in place."""
    machine = Machine()
    memory = machine.space
    memory.write(CODE, program())
    memory.write(DATA, struct.pack("<HHI", 0x0A7F, 0, 0x7F80))
    memory.write(DATA + 0x3000, struct.pack("<QQ", 0x1111, 0x2222))
    return machine


def finish(machine: Machine) -> bytes:
    machine.go_on()
    return bytes(machine.space.read(DATA, 1024))


def begin(machine: Machine, on_save: Callable[[], int | None]) -> None:
    def serve(nr: int, *args: int) -> int | None:
        if nr == SAVE:
            machine.engine.stop()
            return on_save()
        machine.engine.stop()
        return 0

    machine.engine.on_syscall(serve)
    regs = machine.engine.regs
    regs.rip, regs.rsp, regs.rdi = CODE, STACK_TOP, DATA
    regs.gs_base = DATA + 0x3000
    exit = machine.engine.run(timeout=20)
    assert exit.kind == "stopped", exit
    regs.fs_base = DATA + 0x3000  # loading fs took it away


def uninterrupted() -> bytes:
    machine = prepared()
    begin(machine, lambda: 7)
    return finish(machine)


def test_the_program_shows_what_it_should() -> None:
    """So that what follows cannot be equal by being nothing."""
    seen = uninterrupted()
    flags, ds, fs, gs, ss = struct.unpack_from("<QHHHH", seen, 128)
    assert flags & 0x401 == 0x401  # DF and CF
    assert (ds, fs, gs, ss) == (1, 0x2B, 0, 0x2B)
    assert struct.unpack_from("<HH", seen, 512) == (0x0A7F, seen[514] | seen[515] << 8)
    assert struct.unpack_from("<I", seen, 512 + 24)[0] & ~0x3F == 0x7F80
    assert int.from_bytes(seen[160:170], "little") == 0x4000_8000_0000_0000_0000  # 2.0
    assert struct.unpack_from("<f", seen, 192) == (1.0,)
    assert struct.unpack_from("<QQQ", seen, 200) == (0x1111, 0x2222, 3)


@pytest.mark.parametrize("pickled", [False, True])
def test_a_context_goes_on_in_another_engine_as_if_nothing_had_been(pickled: bool) -> None:
    first = prepared()
    begin(first, lambda: 7)
    context: Context = first.engine.save()
    if pickled:
        context = pickle.loads(pickle.dumps(context))
    second = prepared()
    second.space.write(DATA, first.space.read(DATA, 1024))
    begin(second, lambda: 0)  # it stands somewhere else, with other values
    second.run("4831db d9ee d9ee d9ee 31c0 9d b83c000000 0f05".replace("9d ", ""), xmm0=99, fs_base=5, mxcsr=0x1F80)
    second.space.write(CODE, program())
    second.engine.restore(context)
    assert second.engine.save() == context
    assert finish(second) == finish(first) == uninterrupted()


CHILD = """
import pickle, sys
sys.path.insert(0, {root!r})
from tests.engine.test_context import begin, finish, prepared
context, data = pickle.load(sys.stdin.buffer)
machine = prepared()
machine.space.write({data}, data)
machine.engine.on_syscall(lambda nr, *args: machine.engine.stop() or 0)
machine.engine.restore(context)
assert machine.engine.save() == context
sys.stdout.buffer.write(finish(machine))
"""


def test_a_context_goes_on_in_another_process(request: pytest.FixtureRequest) -> None:
    first = prepared()
    begin(first, lambda: 7)
    handed = pickle.dumps((first.engine.save(), bytes(first.space.read(DATA, 1024))))
    script = CHILD.format(root=str(request.config.rootpath), data=DATA)
    done = subprocess.run([sys.executable, "-c", script], input=handed, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == uninterrupted()


def test_a_context_is_laid_out_as_linux_has_registers(machine: Machine) -> None:
    machine.run("b83c000000 0f05", rbx=0x1122, r15=0x3344, fs_base=DATA, xmm2=1 << 100, mxcsr=0x3F80)
    context = machine.engine.save()
    words = struct.unpack("<27Q", context.general)
    assert (words[0], words[5], words[15], words[21]) == (
        0x3344,
        0x1122,
        (1 << 64) - 1,
        DATA,
    )  # r15 rbx orig_rax fs_base
    assert (words[17], words[20]) == (0x33, 0x2B)  # cs, ss
    assert (context.pc, context.sp) == (words[16], words[19]) == (CODE + 7, STACK_TOP)
    assert [context.read(name) for name in X86_64.registers] == list(words)
    assert len(context.extended) == 512 or len(context.extended) >= 576  # FXSAVE, or XSAVE
    assert struct.unpack_from("<II", context.extended, 24) == (0x3F80, 0xFFFF)
    assert int.from_bytes(context.extended[160 + 32 : 160 + 48], "little") == 1 << 100


def test_what_fxsave_writes_is_what_the_context_has(machine: Machine) -> None:
    # fninit; fld1; fldpi; fldz; fstp st0; ffree st0; cvtsi2sd xmm7, rdi; fxsave64 [rdi]; mov eax, 60; syscall
    machine.run("dbe3 d9e8 d9eb d9ee ddd8 ddc0 f2480f2aff 480fae07 b83c000000 0f05", rdi=DATA)
    image = bytearray(machine.space.read(DATA, 512))
    context = machine.engine.save()
    assert context.extended[0:6] + context.extended[8:464] == image[0:6] + image[8:464]
    assert image[4] == 0x80  # pi is free again: 1 alone is in use


def test_a_context_of_an_xsave_area_is_taken_with_the_parts_that_it_has(machine: Machine) -> None:
    machine.run("d9e8 b83c000000 0f05", xmm1=5, mxcsr=0x3F80)
    context = machine.engine.save()

    def area(parts: int, compact: int = 0) -> Context:
        return Context(X86_64, context.general, context.extended[:512] + struct.pack("<QQ48x", parts, compact))

    for parts in range(4):
        machine.engine.reset()
        machine.engine.regs.xmm1, machine.engine.regs.st3 = 6, 1 << 70
        machine.engine.restore(area(parts))
        regs = machine.engine.regs
        assert regs.xmm1 == (5 if parts & 2 else 0)
        assert regs.st0 == (0x3FFF_8000_0000_0000_0000 if parts & 1 else 0)
        assert regs.fptag != 0xFFFF if parts & 1 else regs.fptag == 0xFFFF
        assert regs.mxcsr == 0x3F80  # as XRSTOR: of the area in any case
    for bad in (area(1 << 62), area(1 << 62 | 3), area(3, 1 << 63)):
        with pytest.raises(ValueError, match="has not"):
            machine.engine.restore(bad)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"cs": 0x2B}, "cs"),
        ({"cs": 0x10}, "cs"),
        ({"ss": 0}, "ss"),
        ({"ds": 0x10}, "selector"),
        ({"fs": 0x10033}, "selector"),
        ({"gs": (1 << 64) - 1}, "selector"),
    ],
)
def test_a_state_that_no_program_can_be_in_is_refused_and_changes_nothing(
    machine: Machine, changed: dict[str, int], message: str
) -> None:
    machine.run("b83c000000 0f05", rbx=1)
    before = machine.engine.save()
    with pytest.raises(ValueError, match=message):
        machine.engine.restore(before.replace(rbx=2, **changed))
    assert machine.engine.save() == before


def test_contexts_of_the_wrong_size_or_with_reserved_bits_are_refused(machine: Machine) -> None:
    context = machine.engine.save()
    with pytest.raises(ValueError, match="bytes"):
        Context(X86_64, context.general[:-1], context.extended)
    image = context.extended[:512]
    for extended in (b"", image[:-1], image + b"\0", image + bytes(63)):
        with pytest.raises(ValueError, match="neither"):
            machine.engine.restore(Context(X86_64, context.general, extended))
    bad = bytearray(image)
    bad[26] = 1
    with pytest.raises(ValueError, match="mxcsr"):
        machine.engine.restore(Context(X86_64, context.general, bytes(bad)))
    with pytest.raises(ValueError, match="aarch64"):
        machine.engine.restore(Context(AARCH64, bytes(8 * len(AARCH64.registers)), b""))
    with pytest.raises(TypeError):
        machine.engine.restore(object())  # type: ignore[arg-type]


@pytest.mark.parametrize("selector", [0, 3, 0x2B, 0x2A, 0x23, 0x33, 0x7B])
def test_selectors_that_programs_load_come_back(machine: Machine, selector: int) -> None:
    # mov ds, ecx; mov es, ecx; mov gs, ecx; mov eax, 60; syscall
    machine.run("8ed9 8ec1 8ee9 b83c000000 0f05", rcx=selector)
    context = machine.engine.save()
    assert [context.read(name) for name in ("ds", "es", "gs")] == [selector] * 3
    other = machine.new_engine()
    other.restore(context)
    assert other.save() == context
    other.attach(machine.space)
    other.on_syscall(lambda nr, *args: other.stop() or 0)
    other.regs.rip = machine.load("8cde 8cc2 8ceb b83c000000 0f05", CODE + 64)  # mov esi, ds; mov edx, es; mov ebx, gs
    other.run(timeout=20)
    seen = [other.regs.rsi, other.regs.rdx, other.regs.rbx]
    other.close()
    assert seen == [selector] * 3


def test_segments_outlive_an_exception(machine: Machine) -> None:
    exit = machine.run("8ed9 0f0b", rcx=0x2B)  # mov ds, ecx; ud2
    assert (exit.kind, exit.vector) == ("exception", 6)
    assert machine.engine.save().read("ds") == 0x2B


def test_flags_come_back_whole(machine: Machine) -> None:
    # push rdi; popf; mov eax, 60; syscall; then: pushf; pop rax
    every = 0x1 | 0x4 | 0x10 | 0x40 | 0x80 | 0x400 | 0x800 | 0x4000 | 0x40000 | 0x200000
    machine.run("57 9d b83c000000 0f05", rdi=every)
    context = machine.engine.save()
    assert context.read("rflags") & every == every
    machine.engine.reset()
    machine.engine.restore(context)
    machine.engine.regs.rip = machine.load("9c 58 0f0b", CODE + 64)
    machine.go_on()
    assert machine.engine.regs.rax & every == every


def test_a_context_restored_in_a_handler_goes_on_after_the_saved_call(machine: Machine) -> None:
    saved: list[Context] = []

    def serve(nr: int, *args: int) -> int | None:
        if nr == 1:
            saved.append(machine.engine.save())
            return 1
        machine.engine.restore(saved[0].replace(rbx=saved[0].read("rbx") + 5, rax=EXIT))
        return None

    machine.on_call = serve
    # mov eax, 1; syscall; cmp eax, 60; je exit; mov eax, 2; syscall; ud2; exit: syscall
    machine.run("b801000000 0f05 83f83c 7409 b802000000 0f05 0f0b 0f05", rbx=1)
    assert machine.calls[-1][0] == EXIT
    assert machine.engine.regs.rbx == 6


def test_contexts_are_values(engine_name: str) -> None:
    engine = KINDS[engine_name](PhysMemory(1 << 24))
    context = engine.save()
    del engine
    same = pickle.loads(pickle.dumps(context))
    assert same == context
    assert hash(same) == hash(context)
    assert same.arch is X86_64
    assert context.replace(rax=-1).read("rax") == (1 << 64) - 1
    assert context.replace(rax=1) != context
    assert context != 5
    with pytest.raises(AttributeError, match="replace"):
        context.general = b""
    for name in ("eax", "xmm0"):
        with pytest.raises(AttributeError, match=name):
            context.read(name)


def test_saving_in_a_handler_tells_the_call_that_is_served(machine: Machine) -> None:
    seen: list[Any] = []
    machine.on_call = lambda nr, *args: seen.append(machine.engine.save())
    machine.run("b805000000 0f05 b83c000000 0f05", rdi=3)
    assert seen[0].pc == CODE + 7
    assert (seen[0].read("rax"), seen[0].read("rdi"), seen[0].read("rcx")) == (5, 3, CODE + 7)


def test_the_mode_of_32_bits_is_for_the_hosts_cpu_alone(machine: Machine, engine_name: str) -> None:
    machine.run("b83c000000 0f05")
    narrow = machine.engine.save().replace(cs=0x23)
    if engine_name == "unicorn":
        with pytest.raises(ValueError, match="cs"):
            machine.engine.restore(narrow)
        return
    machine.engine.restore(narrow)
    assert machine.engine.save() == narrow
    assert machine.engine.narrow
    machine.engine.reset()
    assert machine.engine.save().read("cs") == 0x33
