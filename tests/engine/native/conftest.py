"""A machine whose CPU is the host's, and a look at the guest's process from outside.

Guests are given as hex; what they are in assembly stands beside them. System call 60 ends a run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from axptr._core.phys.phys import PhysMemory
from axptr.engine import Exit
from axptr.engine.native import NativeEngine
from axptr.flags import MappingFlags
from axptr.mm.space import AddrSpace

R, W, X = MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
PAGE = 4096
CODE, DATA, STACK = 0x400000, 0x600000, 0x7FFF_F000_0000
STACK_TOP = STACK + 4 * PAGE
TARGET = 0x5000_0000
EXIT = 60


class NativeMachine:
    def __init__(self, size: int = 1 << 30) -> None:
        self.phys = PhysMemory(size)
        self.space = AddrSpace(PAGE, (1 << 47) - 2 * PAGE, self.phys)
        self.space.map_alloc(CODE, 16 * PAGE, R | W | X, name="code")
        self.space.map_alloc(DATA, 16 * PAGE, R | W, name="data")
        self.space.map_alloc(STACK, 4 * PAGE, R | W, name="stack")
        self.secret = self.phys.alloc()
        self.phys.write(self.secret, b"SECRET" * 600)
        self.engine = NativeEngine(self.phys)
        self.engine.attach(self.space)
        self.calls: list[tuple[int, ...]] = []
        self.engine.on_syscall(self._serve)

    def _serve(self, nr: int, *args: int) -> int:
        self.calls.append((nr, *args))
        if nr == EXIT or len(self.calls) > 1000:
            self.engine.stop()
        return 0

    def run(self, code: str, *, timeout: float = 5, **regs: int) -> Exit:
        self.space.write(CODE, bytes.fromhex(code))
        self.engine.reset()
        self.engine.regs.rsp, self.engine.regs.rip = STACK_TOP, CODE
        for name, value in regs.items():
            setattr(self.engine.regs, name, value)
        return self.engine.run(timeout=timeout)

    def maps(self) -> str:
        with open(f"/proc/{self.engine.guest_pid}/maps") as file:
            return file.read()

    @property
    def base(self) -> int:
        """Where the stub's text begins."""
        line = next(line for line in self.maps().splitlines() if "axptr-guest" in line)
        return int(line.split("-")[0], 16)

    def check(self) -> None:
        """The engine is as good as new, the foreign frame untouched and not to be seen."""
        exit = self.run("b83c000000 0f05")  # mov eax, 60; syscall
        assert exit.kind == "stopped", exit
        for line in self.maps().splitlines():
            first = int(line.split("-")[0], 16)
            assert not TARGET <= first < TARGET + (1 << 28), line
        assert self.phys.read(self.secret, 3600) == b"SECRET" * 600

    def close(self) -> None:
        self.space.clear()
        self.engine.close()
        self.phys.free(self.secret)
        assert self.phys.data_frames == 0


@pytest.fixture
def native() -> Iterator[NativeMachine]:
    made = NativeMachine()
    pid = None
    yield made
    pid = made.engine.guest_pid
    made.close()
    if pid is not None:
        assert not os.path.exists(f"/proc/{pid}")
