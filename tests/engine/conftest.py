"""A machine for a guest of a few bytes: memory, a space, an engine, and a handler that keeps what it was asked.

    CODE  r-x, 16 pages    DATA  rw-, 16 pages    STACK  rw-, 4 pages, rsp at its end

Guests are given as hex; what they are in assembly stands beside them. System call 60 ends a run.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest

from axptr._core.cpu.native.native import _receipts_end
from axptr._core.phys.phys import PhysMemory
from axptr.engine import Engine, Exit, NativeEngine, UnicornEngine
from axptr.flags import MappingFlags
from axptr.mm.space import AddrSpace

R, W, X = MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
PAGE = 4096
CODE = 0x400000
DATA = 0x600000
STACK = 0x7FFF_F000_0000
STACK_TOP = STACK + 4 * PAGE
EXIT = 60

KINDS = {"unicorn": UnicornEngine, "native": NativeEngine}


class Machine:
    """kind: the class of its engine, and of others over the same memory."""

    def __init__(self, kind: type = UnicornEngine) -> None:
        self.kind = kind
        self.phys = PhysMemory(1 << 30)
        self.space = self.new_space()
        self.engine = self.new_engine()
        self.engine.attach(self.space)
        self.engine.on_syscall(self._serve)
        self.calls: list[tuple[int, ...]] = []
        self.on_call: Callable[..., int | None] | None = None

    def new_engine(self) -> Engine:
        engine: Engine = self.kind(self.phys)
        return engine

    def new_space(self) -> AddrSpace:
        space = AddrSpace(PAGE, (1 << 47) - 2 * PAGE, self.phys)
        space.map_alloc(CODE, 16 * PAGE, R | X, name="code")
        space.map_alloc(DATA, 16 * PAGE, R | W, name="data")
        space.map_alloc(STACK, 4 * PAGE, R | W, name="stack")
        return space

    def _serve(self, nr: int, *args: int) -> int | None:
        self.calls.append((nr, *args))
        if nr == EXIT:
            self.engine.stop()
            return 0
        if self.on_call is not None:
            return self.on_call(nr, *args)
        return 0

    def load(self, code: str, at: int = CODE) -> int:
        """Put code (hex) at an address; the address."""
        self.space.write(at, bytes.fromhex(code))
        return at

    def run(self, code: str | None = None, at: int = CODE, *, timeout: float | None = 20, **regs: int) -> Exit:
        """Run from `at`, with these registers and a fresh stack pointer."""
        if code is not None:
            self.load(code, at)
        self.engine.regs.rsp = STACK_TOP
        self.engine.regs.rip = at
        for name, value in regs.items():
            setattr(self.engine.regs, name, value)
        return self.engine.run(timeout=timeout)

    def go_on(self) -> Exit:
        return self.engine.run(timeout=20)


@pytest.fixture
def machine(engine_name: str) -> Iterator[Machine]:
    """A machine whose frames are all given back at the end, whatever the test did to it."""
    made = Machine(KINDS[engine_name])
    phys = made.phys
    yield made
    made.on_call = None
    made.space.clear()
    made.engine.close()
    assert phys.data_frames == 0
    del made.engine, made.space
    gc.collect()
    assert phys.frames_in_use == 0
    phys._check()


@pytest.fixture(params=["listening", "polling"])
def waiting(request: pytest.FixtureRequest) -> Iterator[str]:
    """Both ways to wait for what a lone guest says: hosts before Linux 6.11 have the second alone.

    A module of tests that runs guests by the native engine takes it by `pytest.mark.usefixtures`."""
    before = _receipts_end()
    if request.param == "listening" and not before:
        pytest.skip("the host lets a receipt wait for ever")
    _receipts_end(request.param == "listening")
    yield request.param
    _receipts_end(before)
