"""A run that somebody cuts short, as if its time were over."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from axptr._core.phys.phys import PhysMemory
from axptr.engine import Engine, UnicornEngine
from axptr.flags import MappingFlags
from axptr.mm.space import AddrSpace

from .conftest import KINDS

R, W, X = MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
CODE, DATA = 0x40_0000, 0x60_0000
# again: mov rax, [rdi]; inc rax; mov [rdi], rax; syscall; dec ebx; jnz again
LOOP = bytes.fromhex("488b07 48ffc0 488907 0f05 ffcb 75f1")


@pytest.fixture
def engine(engine_name: str, waiting: str) -> Iterator[Engine]:
    space = AddrSpace(0x1000, 1 << 32, PhysMemory(1 << 30))
    space.map_alloc(CODE, 0x1000, R | X)
    space.map_alloc(DATA, 0x1000, R | W)
    space.write(CODE, LOOP + b"\xeb\xfe")
    made = KINDS[engine_name](space.phys)
    made.attach(space)
    made.on_syscall(lambda *args: None)
    made.regs.pc, made.regs.rdi, made.regs.rbx = CODE, DATA, 1000
    yield made
    space.clear()


def test_preempt_ends_a_run_as_its_time_would_from_a_handler_and_from_another_thread(engine):
    engine.on_syscall(lambda *args: engine.preempt())
    assert engine.run().kind == "timeout"
    assert engine.regs.pc == CODE + 11
    engine.on_syscall(lambda *args: None)
    threading.Timer(0.05, engine.preempt).start()
    assert engine.run(20).kind == "timeout"
    engine.preempt()  # before a run: it ends at once
    before = engine.regs.pc
    assert engine.run(20).kind == "timeout"
    assert engine.regs.pc == before


def test_shorten_ends_a_run_in_a_while_and_only_brings_its_end_nearer(engine):
    times = []

    def call(*args: int) -> None:
        times.append(time.monotonic())
        if len(times) == 3:
            engine.shorten(0.5)
            engine.shorten(30)

    engine.on_syscall(call)
    engine.regs.rbx = 10
    assert engine.run(60).kind == "timeout"  # it goes on at once, to the end of its calls and into a loop without any
    assert len(times) == 10
    assert engine.regs.pc == CODE + len(LOOP)
    assert 0.5 <= time.monotonic() - times[2] < 20
    engine.shorten(0.0)  # it does not run: that is for nobody
    begin = time.monotonic()
    assert engine.run(0.2).kind == "timeout"
    assert time.monotonic() - begin >= 0.2
    with pytest.raises(ValueError, match="timeout"):
        engine.shorten(-1)


def test_a_metered_run_is_shortened_by_work_and_ends_at_the_same_place_each_time():
    def ended(more: int) -> tuple[int, int]:
        space = AddrSpace(0x1000, 1 << 32, PhysMemory(1 << 30))
        space.map_alloc(CODE, 0x1000, R | X)
        space.map_alloc(DATA, 0x1000, R | W)
        space.write(CODE, LOOP + b"\xeb\xfe")
        cpu = UnicornEngine(space.phys, metered=True)
        cpu.attach(space)
        cpu.on_syscall(lambda *args: cpu.shorten(count=more) if cpu.regs.rbx == 900 else None)
        cpu.regs.pc, cpu.regs.rdi, cpu.regs.rbx = CODE, DATA, 1000
        assert cpu.run(60, 10**9).kind == "timeout"
        space.clear()
        return cpu.work, cpu.regs.rbx

    assert ended(3000) == ended(3000)
    assert 2000 < ended(5000)[0] - ended(3000)[0] < 2100
    assert ended(3000)[1] < 900
