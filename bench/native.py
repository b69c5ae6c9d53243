"""The native engine: what memory costs a guest on the host's own CPU, and a loop of restores over it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

from axptr import PAGE_SIZE, AddrSpace, MappingFlags, PhysMemory

from .engine import build
from .harness import Benchmark, Mode, Pair, Side, Skip, work
from .memory import READ_WRITE

CODE, DATA = 0x40_0000, 0x1_0000_0000
SIZE = 64 << 20
DIRTY = 100
STEP = SIZE // DIRTY & -PAGE_SIZE
# mov [rbx], rcx; add rbx, rdx; dec rcx; jnz back; mov eax, 60; syscall
WRITES = bytes.fromhex("48890b 4801d3 48ffc9 75f5 b83c000000 0f05")


def benchmarks() -> list[Benchmark]:
    return [
        Benchmark(
            "native.touch",
            "a static program touches 64 MiB for the first time, under the Linux personality and the native engine",
            "the same program on the host",
            2.5,
            _prepare_touch,
        ),
        Benchmark(
            "native.restore",
            f"a guest on the native engine writes {DIRTY} scattered pages, then restore of its 64 MiB",
            f"{DIRTY} scattered pages copied by slices",
            10.0,
            _prepare_restore,
        ),
        Benchmark(
            "native.restore.unicorn",
            "the same",
            "the same on the Unicorn engine",
            None,
            _prepare_restore_unicorn,
        ),
    ]


def _prepare_touch(mode: Mode) -> Pair:
    program = build("touch")
    _engine(PhysMemory(16 << 20))
    inside = (sys.executable, "-m", "axptr", "run", "--engine", "native", "--", str(program))
    return Pair(_timed_by_itself(inside), _timed_by_itself((str(program),)), slow=1)


def _timed_by_itself(command: tuple[str, ...]) -> Side:
    def side(times: int) -> float:
        total = 0
        for _ in range(times):
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            total += int(done.stderr.splitlines()[-1])
        return total / 1e9

    return side


def _engine(phys: PhysMemory) -> Any:
    from axptr.engine import NativeEngine

    engine = NativeEngine(phys)
    space = AddrSpace(PAGE_SIZE, (1 << 47) - 2 * PAGE_SIZE, phys)
    engine.attach(space)
    try:
        engine.prepare()
    except OSError as error:
        raise Skip(f"no native engine here: {error}") from error
    return engine


def _loop(engine: Any, phys: PhysMemory) -> Callable[[], None]:
    space = AddrSpace(PAGE_SIZE, (1 << 47) - 2 * PAGE_SIZE, phys)
    space.map_alloc(CODE, PAGE_SIZE, MappingFlags.READ | MappingFlags.EXECUTE)
    space.map_alloc(DATA, SIZE, READ_WRITE, populate=True)
    space.write(CODE, WRITES)
    engine.attach(space)
    engine.on_syscall(lambda nr, *args: engine.stop() or 0)
    snapshot = space.snapshot()

    def once() -> None:
        regs = engine.regs
        regs.rip, regs.rbx, regs.rcx, regs.rdx = CODE, DATA, DIRTY, STEP
        assert engine.run().kind == "stopped"
        assert regs.rbx == DATA + DIRTY * STEP
        space.restore(snapshot)

    return once


def _native_loop() -> Callable[[], None]:
    phys = PhysMemory(1 << 30)
    return _loop(_engine(phys), phys)


def _prepare_restore(mode: Mode) -> Pair:
    whole = bytearray(SIZE)
    page = bytes(PAGE_SIZE)

    def copy() -> None:
        for at in range(0, DIRTY * STEP, STEP):
            whole[at : at + PAGE_SIZE] = page

    return Pair(work(_native_loop()), work(copy))


def _prepare_restore_unicorn(mode: Mode) -> Pair:
    from axptr.engine import UnicornEngine

    phys = PhysMemory(1 << 30)
    return Pair(work(_native_loop()), work(_loop(UnicornEngine(phys), phys)))
