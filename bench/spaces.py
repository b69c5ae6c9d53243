"""Whole address spaces: going back to a snapshot, copy-on-write twins, and bringing many pages in.

The peers are the host's own ways to the same end: `madvise` on a private mapping of a memory file, `fork`, page faults
of a fresh `mmap`; and Qiling's `restore`.
"""

from __future__ import annotations

import mmap
import os
import random
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from ctypes import c_uint32
from pathlib import Path
from typing import Any

from axptr import PAGE_SIZE, AddrSpace, MappingFlags, PhysMemory, Snapshot, UserPtr

from .harness import Benchmark, Mode, Pair, Side, work
from .memory import BASE, READ_WRITE, SEED, SPACE_SIZE
from .startup import copied_root, qiling_python

GUESTS = Path(__file__).parent / "guests"
MIB = 1 << 20
LARGE, SMALL = 256 * MIB, 16 * MIB
DIRTY = 100
BREAKS = 4096
POPULATED = 65_536
_WORD = struct.Struct("<I")


def benchmarks() -> list[Benchmark]:
    again = f"restore of 256 MiB with {DIRTY} dirty pages, which are then read and written again"
    return [
        Benchmark("restore.size", again, "the same with 16 MiB", 1.5, _prepare_restore_size),
        Benchmark(
            "restore.madvise",
            again,
            "MADV_DONTNEED on just those pages of a private memory file mapping, then the same",
            0.5,
            _prepare_restore_madvise,
        ),
        Benchmark(
            "restore.qiling", again, "Qiling's restore of 256 MiB, then the same", 1 / 500, _prepare_restore_qiling
        ),
        Benchmark(
            "clone.fork",
            "try_clone of a space with 256 MiB populated, until it returns",
            "os.fork of a small process with as much private memory touched, until it returns",
            1.0,
            _prepare_clone,
        ),
        Benchmark(
            "clone.fork.gone",
            "the same, and the twin gone again",
            "the same, and the child's exit waited for",
            None,
            _prepare_clone_gone,
        ),
        Benchmark(
            "cow.break.fresh",
            "the first write to a page shared after try_clone, the copy going to a frame never used",
            "4 KiB copied into a page of a fresh mmap, never touched",
            3.0,
            _prepare_break_fresh,
        ),
        Benchmark(
            "cow.break.reused",
            "the same, the copy going to a frame used before",
            "the same",
            3.0,
            _prepare_break_reused,
        ),
        Benchmark(
            "populate.only",
            f"populate_area of {POPULATED:,} pages of a fresh memory, for writing",
            "as many pages of a fresh memory file touched, one by one",
            1.2,
            lambda mode: _prepare_populate(mode, _memory_file, write=False),
        ),
        Benchmark(
            "populate.written",
            "the same, then a word written to each page",
            "the same",
            1.2,
            lambda mode: _prepare_populate(mode, _memory_file, write=True),
        ),
        Benchmark(
            "populate.private",
            "populate_area alone",
            "as many pages of private memory touched, one by one",
            None,
            lambda mode: _prepare_populate(mode, _fresh, write=False),
        ),
    ]


def _filled(size: int, phys: PhysMemory | None = None) -> AddrSpace:
    space = AddrSpace(0, SPACE_SIZE, phys)
    space.map_alloc(BASE, size, READ_WRITE, populate=True)
    block = random.Random(SEED).randbytes(MIB)
    for at in range(0, size, MIB):
        space.write(BASE + at, block)
    return space


def _offsets(size: int) -> list[int]:
    """Of one word in each of the pages that are to be dirty."""
    draw = random.Random(SEED)
    pages = draw.sample(range(size // PAGE_SIZE), DIRTY)
    return [page * PAGE_SIZE + draw.randrange(0, PAGE_SIZE, 4) for page in pages]


# -- restore ---------------------------------------------------------------------------------------------------


def _restorable(size: int) -> tuple[Side, AddrSpace]:
    space = _filled(size)
    snapshot = space.snapshot()
    pointers = [UserPtr[c_uint32](BASE + offset) for offset in _offsets(size)]
    _restore(space, snapshot, pointers)
    return work(_restore, space, snapshot, pointers), space


def _restore(space: AddrSpace, snapshot: Snapshot, pointers: list[Any]) -> None:
    space.restore(snapshot)
    for pointer in pointers:
        pointer.read(space)
    for pointer in pointers:
        pointer.write(space, 1)


def _prepare_restore_size(mode: Mode) -> Pair:
    large, one = _restorable(LARGE)
    small, two = _restorable(SMALL)

    def close() -> None:
        one.clear()
        two.clear()

    return Pair(large, small, close=close)


def _prepare_restore_madvise(mode: Mode) -> Pair:
    subject, space = _restorable(LARGE)
    fd = os.memfd_create("bench")
    os.truncate(fd, LARGE)
    with mmap.mmap(fd, LARGE) as whole:
        block = random.Random(SEED).randbytes(MIB)
        for at in range(0, LARGE, MIB):
            whole[at : at + MIB] = block
    private = mmap.mmap(fd, LARGE, flags=mmap.MAP_PRIVATE)
    os.close(fd)
    for offset in range(0, LARGE, PAGE_SIZE):  # every page is there, as on our side
        private[offset]
    offsets = _offsets(LARGE)
    pages = [offset & -PAGE_SIZE for offset in offsets]
    _drop(private, pages, offsets)

    def close() -> None:
        private.close()
        space.clear()

    return Pair(subject, work(_drop, private, pages, offsets), close=close)


def _drop(memory: mmap.mmap, pages: list[int], offsets: list[int]) -> None:
    advice, read, write = mmap.MADV_DONTNEED, _WORD.unpack_from, _WORD.pack_into
    for page in pages:
        memory.madvise(advice, page, PAGE_SIZE)
    for offset in offsets:
        read(memory, offset)
    for offset in offsets:
        write(memory, offset, 1)


def _prepare_restore_qiling(mode: Mode) -> Pair:
    python = qiling_python()
    root, remove = copied_root("/bin/true")
    subject, space = _restorable(LARGE)
    helper = _Helper([python, str(GUESTS / "qiling_restore.py"), str(root), str(LARGE), str(DIRTY)])

    def close() -> None:
        helper.close()
        space.clear()
        remove()

    def side(times: int) -> float:
        return subject(times * 1000) / 1000  # a piece is too short to be timed once

    return Pair(side, helper.side, slow=1, close=close)


class _Helper:
    """A process that does a piece of work n times when told so, and says how many seconds it took."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.side(1)  # it has started, and is warm

    def side(self, times: int) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{times}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self._process.args!r} ended")
        return float(answer)

    def close(self) -> None:
        self._process.communicate()


# -- clones ----------------------------------------------------------------------------------------------------


def _prepare_clone(mode: Mode) -> Pair:
    return _clone(_cloned, "fork")


def _prepare_clone_gone(mode: Mode) -> Pair:
    return _clone(_cloned_and_gone, "wait")


def _clone(subject: Callable[[AddrSpace], float], what: str) -> Pair:
    space = _filled(LARGE)
    helper = _Helper([sys.executable, "-I", "-S", str(GUESTS / "forks.py"), str(LARGE), what])

    def side(times: int) -> float:
        return sum(subject(space) for _ in range(times))

    def close() -> None:
        helper.close()
        space.clear()

    return Pair(side, helper.side, close=close)


def _cloned(space: AddrSpace) -> float:
    start = time.perf_counter()
    twin = space.try_clone()
    took = time.perf_counter() - start
    del twin
    return took


def _cloned_and_gone(space: AddrSpace) -> float:
    start = time.perf_counter()
    twin = space.try_clone()
    del twin
    return time.perf_counter() - start


def _prepare_break_fresh(mode: Mode) -> Pair:
    def subject(times: int) -> float:
        total = 0.0
        for _ in range(times):
            space = _filled(BREAKS * PAGE_SIZE, PhysMemory(1 << 30))
            total += _broken(space, pointers)
        return total

    pointers = _words()
    return Pair(subject, _copying_side(), operations=BREAKS)


def _prepare_break_reused(mode: Mode) -> Pair:
    space = _filled(BREAKS * PAGE_SIZE)
    pointers = _words()
    _broken(space, pointers)
    return Pair(
        lambda times: sum(_broken(space, pointers) for _ in range(times)),
        _copying_side(),
        operations=BREAKS,
        close=space.clear,
    )


def _words() -> list[Any]:
    return [UserPtr[c_uint32](BASE + page * PAGE_SIZE) for page in range(BREAKS)]


def _broken(space: AddrSpace, pointers: list[Any]) -> float:
    twin = space.try_clone()
    start = time.perf_counter()
    for pointer in pointers:
        pointer.write(space, 1)
    took = time.perf_counter() - start
    del twin
    return took


def _copying_side() -> Side:
    source = memoryview(random.Random(SEED).randbytes(BREAKS * PAGE_SIZE))
    spans = [(at, at + PAGE_SIZE) for at in range(0, BREAKS * PAGE_SIZE, PAGE_SIZE)]

    def side(times: int) -> float:
        total = 0.0
        for _ in range(times):
            target = _fresh(BREAKS * PAGE_SIZE)
            start = time.perf_counter()
            for low, high in spans:
                target[low:high] = source[low:high]
            total += time.perf_counter() - start
            target.close()
        return total

    return side


# -- bringing pages in -----------------------------------------------------------------------------------------


def _fresh(size: int) -> mmap.mmap:
    """Private memory that nobody touched, in pages of 4 KiB."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    return memory


def _memory_file(size: int) -> mmap.mmap:
    """Memory of the kind that a `PhysMemory` is made of, which other mappings can show: nobody touched it."""
    fd = os.memfd_create("bench")
    try:
        os.truncate(fd, size)
        memory = mmap.mmap(fd, size)
    finally:
        os.close(fd)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    return memory


def _prepare_populate(mode: Mode, fresh: Callable[[int], mmap.mmap], write: bool) -> Pair:
    npages = POPULATED // 16 if mode.smoke else POPULATED
    pointers = [UserPtr[c_uint32](BASE + page * PAGE_SIZE) for page in range(npages)]
    offsets = [page * PAGE_SIZE for page in range(npages)]
    return Pair(
        lambda times: sum(_populated(npages, pointers if write else []) for _ in range(times)),
        lambda times: sum(_touched(fresh(npages * PAGE_SIZE), offsets) for _ in range(times)),
        operations=npages,
        slow=2,
    )


def _populated(npages: int, pointers: list[Any]) -> float:
    space = AddrSpace(0, SPACE_SIZE, PhysMemory(1 << 30))
    space.map_alloc(BASE, npages * PAGE_SIZE, READ_WRITE)
    start = time.perf_counter()
    space.populate_area(BASE, npages * PAGE_SIZE, MappingFlags.WRITE)
    for pointer in pointers:
        pointer.write(space, 1)
    return time.perf_counter() - start


def _touched(memory: mmap.mmap, offsets: list[int]) -> float:
    write = _WORD.pack_into
    start = time.perf_counter()
    for offset in offsets:
        write(memory, offset, 1)
    took = time.perf_counter() - start
    memory.close()
    return took
