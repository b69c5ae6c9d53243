"""The table of descriptors: lowest numbers, marks, shared descriptions, limits; and against a naive model."""

from __future__ import annotations

import errno
import os
import random
import stat
from collections.abc import Callable

import pytest

from axptr.errors import LinuxError
from axptr.linux.files.locks import LockTable
from axptr.linux.fs.openfile import O_ACCMODE, O_PATH, OpenFile
from axptr.linux.task.filetable import FileTable


class File(OpenFile):
    """Counts how often it was closed."""

    def __init__(self, flags: int = 0) -> None:
        super().__init__(flags)
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def table() -> FileTable:
    return FileTable(16, LockTable())


def outcome(function: Callable[..., int | None], *args: object, **kwargs: object) -> int | None:
    """What a call gives; the negative errno of what it raises."""
    try:
        return function(*args, **kwargs)
    except LinuxError as error:
        return -error.errno


def test_the_lowest_free_number_is_given_out(table: FileTable) -> None:
    file = File()
    assert [table.add(file) for _ in range(4)] == [0, 1, 2, 3]
    table.close(2)
    table.close(1)
    assert table.add(file, lowest=2) == 2
    assert table.add(file) == 1
    assert table.add(file, lowest=10) == 10
    assert table.add(file) == 4
    assert table.descriptors() == [0, 1, 2, 3, 4, 10]
    table._check()


def test_a_file_is_closed_when_its_last_descriptor_is(table: FileTable) -> None:
    file = File()
    table.add(file)
    table.add(file)
    table.close(0)
    assert file.closed == 0
    table.close(1)
    assert file.closed == 1
    assert [outcome(table.close, fd) for fd in (0, 1, 99, -1)] == [-errno.EBADF] * 4


def test_at_the_limit_a_file_that_nobody_has_is_closed(table: FileTable) -> None:
    shared = File()
    for _ in range(16):
        table.add(shared)
    lone = File()
    assert (outcome(table.add, lone), lone.closed) == (-errno.EMFILE, 1)
    assert (outcome(table.add, shared), shared.closed, shared.refs) == (-errno.EMFILE, 0, 16)
    assert [outcome(table.place, fd, shared) for fd in (-1, 16)] == [-errno.EBADF] * 2
    table._check()


def test_placing_a_file_over_its_own_last_descriptor_keeps_it_open(table: FileTable) -> None:
    file, other = File(), File()
    table.add(file)
    table.place(0, file, cloexec=True)
    assert (file.refs, file.closed, table.cloexec(0)) == (1, 0, True)
    table.place(0, other)
    assert (file.refs, file.closed, table.cloexec(0)) == (0, 1, False)


def test_a_place_is_no_open_file(table: FileTable) -> None:
    place = File(O_PATH)
    fd = table.add(place)
    assert table.get(fd) is place
    with pytest.raises(LinuxError, match="Bad file descriptor"):
        table.get_io(fd)


def test_exec_closes_what_is_marked(table: FileTable) -> None:
    kept, gone = File(), File()
    table.add(kept)
    table.add(gone, cloexec=True)
    table.add(kept, cloexec=True)
    table.set_cloexec(2, False)
    table.close_on_exec()
    assert (table.descriptors(), gone.closed, kept.refs) == ([0, 2], 1, 2)
    table._check()


def test_a_copy_shares_files_and_nothing_else(table: FileTable) -> None:
    file = File()
    table.add(file)
    table.add(file, cloexec=True)
    table.close(0)
    other = table.copy()
    assert (other.descriptors(), other.cloexec(1), other.limit, file.refs) == ([1], True, 16, 2)
    assert other.add(file) == 0
    other.set_cloexec(1, False)
    other.limit = 3
    assert (table.descriptors(), table.cloexec(1), table.limit) == ([1], True, 16)
    table.close_all()
    assert file.closed == 0
    other._check()
    other.close_all()
    assert (file.closed, file.refs) == (1, 0)


class Naive:
    """The same by search: a list of (file, mark) or None for each number."""

    def __init__(self, limit: int) -> None:
        self.slots: list[tuple[File, bool] | None] = [None] * limit

    def lowest(self, start: int) -> int | None:
        return next((n for n in range(start, len(self.slots)) if self.slots[n] is None), None)

    def files(self) -> list[File]:
        return [slot[0] for slot in self.slots if slot is not None]


@pytest.mark.parametrize("seed", range(20))
def test_random_sequences_agree_with_a_naive_model(seed: int) -> None:
    rng, limit = random.Random(seed), 12
    pairs = [(FileTable(limit, LockTable()), Naive(limit))]
    held: set[File] = set()
    for _ in range(400):
        table, naive = rng.choice(pairs)
        what, fd, mark = rng.random(), rng.randrange(-1, limit + 2), rng.random() < 0.3
        alive = [f for _, n in pairs for f in n.files()]
        file = rng.choice(alive) if alive and rng.random() < 0.5 else File()
        if what < 0.4:
            lowest = rng.choice((0, 0, max(fd, 0)))
            number = naive.lowest(lowest)
            assert outcome(table.add, file, cloexec=mark, lowest=lowest) == (
                -errno.EMFILE if number is None else number
            )
            if number is not None:
                naive.slots[number] = file, mark
        elif what < 0.6:
            fits = 0 <= fd < limit
            assert outcome(table.place, fd, file, cloexec=mark) == (None if fits else -errno.EBADF)
            if fits:
                naive.slots[fd] = file, mark
        elif what < 0.85:
            there = 0 <= fd < limit and naive.slots[fd] is not None
            assert outcome(table.close, fd) == (None if there else -errno.EBADF)
            if there:
                naive.slots[fd] = None
        elif what < 0.9:
            table.close_on_exec()
            naive.slots = [slot if slot is None or not slot[1] else None for slot in naive.slots]
        elif what < 0.95 and len(pairs) < 3:
            twin = Naive(limit)
            twin.slots = list(naive.slots)
            pairs.append((table.copy(), twin))
        elif len(pairs) > 1:
            table.close_all()
            pairs.remove((table, naive))
        holders = [f for _, n in pairs for f in n.files()]
        held.update(holders)
        for table, naive in pairs:
            table._check()
            slots = {n: slot for n, slot in enumerate(naive.slots) if slot is not None}
            assert {n: (table.get(n), table.cloexec(n)) for n in table.descriptors()} == slots
        for file in held:
            assert (file.refs, file.closed) == (holders.count(file), int(file not in holders))


class Regular(File):
    """A regular file of a number, which says how often it was asked which it is."""

    asked = 0
    kind = stat.S_IFREG

    @property
    def identity(self) -> tuple[int, int]:
        Regular.asked += 1
        return (1, self.flags & O_ACCMODE)


def test_who_runs_a_program_asks_no_file_that_is_only_read(table: FileTable) -> None:
    for flags in (os.O_RDONLY, os.O_RDONLY, O_PATH | os.O_RDWR):
        table.add(Regular(flags))
    table.add(File(os.O_RDWR))
    Regular.asked = 0
    assert not table.writes((1, os.O_RDONLY))
    assert Regular.asked == 0
    fd = table.add(Regular(os.O_WRONLY))
    other = table.copy()
    assert table.writes((1, os.O_WRONLY))
    assert other.writes((1, os.O_WRONLY))
    table.place(fd, File())
    assert not table.writes((1, os.O_WRONLY))
    assert other.writes((1, os.O_WRONLY))
    other.get(fd).counted = False
    assert not other.writes((1, os.O_WRONLY))
    table._check()
    other._check()
