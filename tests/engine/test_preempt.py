"""A run that somebody cuts short, as if its time were over."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from axptr._core.phys.phys import PhysMemory
from axptr.engine import Engine
from axptr.flags import MappingFlags
from axptr.mm.space import AddrSpace

from .conftest import KINDS

R, W, X = MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
CODE, DATA = 0x40_0000, 0x60_0000
# again: mov rax, [rdi]; inc rax; mov [rdi], rax; syscall; dec ebx; jnz again
LOOP = bytes.fromhex("488b07 48ffc0 488907 0f05 ffcb 75f1")


@pytest.fixture
def engine(engine_name: str) -> Iterator[Engine]:
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
