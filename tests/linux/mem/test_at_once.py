"""mmap, munmap, mprotect and brk in compiled code do what their handlers do alone, whatever limits there are and
however little memory is left: results, areas, what the machine may still hold. (What the host does:
`tests/differential`.)"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from axptr import AddrSpace, MappingFlags, PhysMemory
from axptr._core.kernel.memcalls import more_areas
from axptr._core.phys.charges import Account
from axptr._core.words.conversion import bound
from axptr.linux.abi.numbers import NUMBERS
from axptr.linux.fs.host.tree import file_of
from axptr.linux.fs.setup import host_tree
from axptr.linux.fs.walk import FsContext
from axptr.linux.machine import Machine
from axptr.linux.personality import LinuxKernel
from axptr.linux.proc.tree import Proc
from axptr.linux.registry import QUICK
from axptr.linux.task.filetable import FileTable
from axptr.linux.task.limits import RLIM_INFINITY, RLIMIT_AS, RLIMIT_DATA
from axptr.linux.task.task import LinuxTask

PAGE = 4096
HEAP = 0x5555_0000_0000
BASE = 0x6000_0000_0000
PAGES = 96
NUMBER = NUMBERS["x86_64"]
RW = MappingFlags.READ | MappingFlags.WRITE | MappingFlags.USER
PRIVATE, FIXED, ANONYMOUS, GROWSDOWN, POPULATE, NOREPLACE = 2, 16, 32, 0x100, 0x8000, 0x100000


class Side:
    """A process without a CPU. alone: every call is served by its handler."""

    def __init__(self, files: list[Path], limit: int | None, data: int, alone: bool) -> None:
        self.phys = PhysMemory(1 << 28, poison=True)
        self.machine = Machine(limit)
        self.machine.phys = self.phys
        self.machine.account = Account(self.phys, limit)
        table = FileTable(64, self.machine.locks)
        fs = FsContext(host_tree([], Proc), 0o022)
        self.task = LinuxTask.first(self.machine, AddrSpace(0, 1 << 47, self.phys), table, fs)
        self.task.mm.start_heap(HEAP)
        self.task.group.limits.set(RLIMIT_DATA, data, RLIM_INFINITY)
        self.task.group.limits.set(RLIMIT_AS, data, RLIM_INFINITY)
        self.task.space.map_alloc(HEAP + 64 * PAGE, PAGE, RW)  # the heap gets no further
        self.kernel = LinuxKernel()
        if alone:
            self.kernel.guard = lambda syscall, call: getattr(call, "plain", call)
        self.serve = self.kernel.dispatcher(self.task)
        for number, path in enumerate(files):
            for mode in (os.O_RDONLY, os.O_RDWR, os.O_WRONLY):
                table.place(10 + 3 * number + mode, file_of(os.open(path, mode), mode, mount=fs.mounts.mounts[0]))

    def call(self, name: str, *words: int) -> int:
        numbers = [word % (1 << 64) for word in (*words, *[0] * (6 - len(words)))]
        with self.machine.account.acting():
            result = self.serve(NUMBER[name], *numbers)
        assert result is not None
        return result

    @property
    def state(self) -> tuple[object, ...]:
        areas = [(*area[:3], area.backend.kind_name, *area[4:]) for area in self.task.space.areas()]
        return areas, self.task.mm.brk, self.machine.account.limit, self.machine.account.used

    def close(self) -> None:
        self.task.files.close_all()
        self.task.space.clear()
        self.phys._check()


def some_call(dice: random.Random) -> tuple[str, tuple[int, ...]]:
    at = BASE + dice.randrange(PAGES) * PAGE
    size = dice.choice((1, PAGE, 2 * PAGE, 5 * PAGE, 5 * PAGE + 1, 40 * PAGE))
    prot = dice.choice((0, 1, 1, 3, 3, 3, 4, 5, 7))
    kind = dice.randrange(12)
    if kind < 5:
        flags = dice.choice((PRIVATE,) * 6 + (1, PRIVATE | POPULATE, PRIVATE | 0x4000, PRIVATE | 0x20000, 3))
        flags |= dice.choice((0, FIXED, FIXED, FIXED, NOREPLACE))
        fd, offset = -1, 0
        if dice.randrange(2):
            flags |= ANONYMOUS | (GROWSDOWN if dice.randrange(20) == 0 else 0)
        else:
            fd, offset = dice.randrange(10, 17), dice.choice((0, 0, PAGE, 3 * PAGE, 1 << 41, 5))
        if flags & FIXED:
            at += dice.choice((0,) * 30 + (1, 1 << 47, -BASE))
        elif not flags & NOREPLACE:
            at = dice.choice((0, 0, 0, at, at + 7, 1 << 63, 3, 0x3000))
        return "mmap", (at, dice.choice((size,) * 20 + (0, 1 << 48, -1)), prot, flags, fd, offset)
    if kind < 7:
        return "munmap", (at + dice.choice((0,) * 20 + (1, 1 << 63)), dice.choice((size,) * 20 + (0, 1 << 25, -1)))
    if kind < 9:
        prot |= dice.choice((0,) * 10 + (8, 0x0100_0000))
        return "mprotect", (at, dice.choice((size,) * 20 + (0, -1)), prot)
    if kind < 11:
        return "brk", (dice.choice((0, HEAP - 1, HEAP, HEAP + dice.randrange(80) * PAGE + dice.choice((0, 1, 99)))),)
    return dice.choice(
        (
            ("madvise", (at, size & -PAGE, 4)),
            ("mlock", (at, size)),
            ("munlock", (at, size)),
            ("mlockall", (2 if dice.randrange(4) == 0 else 1,)),
            ("munlockall", ()),
            ("mseal", (at, PAGE, 0)) if dice.randrange(40) == 0 else ("madvise", (at, PAGE, 10)),
        )
    )


@pytest.fixture
def sides(tmp_path: Path) -> Iterator[Callable[[int | None, int], list[Side]]]:
    files = []
    for number in range(2):
        files.append(tmp_path / f"file{number}")
        files[-1].write_bytes(bytes(range(256)) * 48)
    made: list[Side] = []

    def make(limit: int | None, data: int) -> list[Side]:
        made.extend(Side(files, limit, data, alone) for alone in (False, True))
        return made

    yield make
    for side in made:
        side.close()


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("limit", [None, 64 << 20, 130 << 10, 70 << 10])
def test_random_calls_do_what_their_handlers_do_alone(
    sides: Callable[[int | None, int], list[Side]], limit: int | None, seed: int
) -> None:
    dice = random.Random(seed)
    data = (300 * PAGE) if seed % 6 == 5 else RLIM_INFINITY
    compiled, alone = sides(limit, data)
    for number in range(500):
        name, words = some_call(dice)
        what = f"{number}: {name}({', '.join(map(hex, words))})"
        assert compiled.call(name, *words) == alone.call(name, *words), what
        assert compiled.state == alone.state, what
    compiled.task.space._check()


def test_what_is_plain_comes_to_no_handler(sides: Callable[[int | None, int], list[Side]]) -> None:
    """Else the test before would compare handlers with handlers."""
    side, _ = sides(1 << 24, RLIM_INFINITY)

    def handler(task: LinuxTask, *numbers: int) -> int:
        raise AssertionError(f"a handler was called with {[*map(hex, numbers)]}")

    for name in ("mmap", "munmap", "mprotect", "brk"):
        assert side.kernel.syscalls[NUMBER[name]].call is not None  # which has its family loaded
        make, what = QUICK[name]
        side.kernel._table[NUMBER[name]] = make(bound(handler, [(64, False, None)] * 6), *what)
    at = side.call("mmap", 0, 8 * PAGE, 3, PRIVATE | ANONYMOUS, -1, 0)
    assert side.call("mmap", at + PAGE, PAGE, 5, PRIVATE | FIXED, 10, PAGE) == at + PAGE
    assert side.call("mmap", at + 3 * PAGE, PAGE, 5, PRIVATE | FIXED, 12, 0) == at + 3 * PAGE
    assert side.call("mmap", BASE, PAGE, 3, PRIVATE | ANONYMOUS, -1, 0) == BASE
    assert side.call("mprotect", at, PAGE, 1) == 0
    assert side.call("munmap", at + 2 * PAGE, PAGE) == 0
    for end in (HEAP + 5 * PAGE, HEAP + PAGE, HEAP + 1, HEAP):
        assert side.call("brk", end) == end == side.call("brk", 0)
    with pytest.raises(AssertionError, match="a handler was called"):
        side.call("mmap", at, PAGE, 3, PRIVATE | FIXED | ANONYMOUS | POPULATE, -1, 0)


def test_a_file_that_has_changed_is_seen_as_it_is_by_the_next_mapping(
    sides: Callable[[int | None, int], list[Side]], tmp_path: Path
) -> None:
    side, _ = sides(None, RLIM_INFINITY)
    at = side.call("mmap", 0, PAGE, 1, PRIVATE, 10, 0)
    assert side.task.space.read(at, 2) == b"\0\1"
    (tmp_path / "file0").write_bytes(b"other")
    again = side.call("mmap", 0, PAGE, 1, PRIVATE, 10, 0)
    assert side.task.space.read(again, 6) == b"other\0" == side.task.space.read(at, 6)


def test_an_open_file_keeps_no_cache_of_what_is_mapped_no_more(sides: Callable[[int | None, int], list[Side]]) -> None:
    """Reads of a file that has a cache go through it, which takes longer."""
    side, _ = sides(None, RLIM_INFINITY)
    at = side.call("mmap", 0, PAGE, 1, PRIVATE, 10, 0)
    assert len(side.phys.caches) == 1
    assert side.call("munmap", at, PAGE) == 0
    assert len(side.phys.caches) == 0
    assert side.call("mmap", 0, PAGE, 1, PRIVATE, 10, 0) > 0


@pytest.mark.parametrize(
    ("start", "end", "cut", "taken"),
    [
        (2, 5, 2, 1),  # |--xxx-----|
        (0, 5, 1, 0),  # |xxxxx-----|
        (5, 10, 1, 0),  # |-----xxxxx|
        (0, 10, 0, 0),  # |xxxxxxxxxx|
        (8, 13, 2, 0),  # |--------xx|xxx-------|
        (8, 22, 1, 0),  # |--------xx|xxxxxxxxxx| xx
        (22, 25, 0, 0),  # nothing is there
    ],
)
def test_a_change_makes_as_many_areas_more_as_it_cuts_borders(start: int, end: int, cut: int, taken: int) -> None:
    """Handlers and compiled calls ask the same function, so that a comparison of them says nothing of it."""

    space = AddrSpace(0, 1 << 47, PhysMemory(1 << 22))
    space.map_alloc(BASE, 10 * PAGE, MappingFlags.READ)
    space.map_alloc(BASE + 10 * PAGE, 10 * PAGE, RW)
    first, last = BASE + start * PAGE, BASE + end * PAGE
    assert (more_areas(space, first, last, False), more_areas(space, first, last, True)) == (cut, taken)
    space.unmap(first, last - first)
    assert max(space.area_count - 2, 0) == taken
