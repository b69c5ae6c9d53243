"""Reads and writes over random holes, by the personality and by the host: files, pipes and devices.

Each call is made twice with the same words, once by this process and once by a task of ours, whose pages lie alike at
the same addresses. Compared: the result or errno, all the user's bytes, and what is then in the file or the pipe.
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from axptr import PAGE_SIZE, AddrSpace, PhysMemory
from axptr.engine.arch import X86_64
from axptr.linux.fs.host.tree import file_of
from axptr.linux.fs.setup import host_tree
from axptr.linux.fs.walk import FsContext
from axptr.linux.machine import Machine
from axptr.linux.personality import LinuxKernel
from axptr.linux.proc.tree import Proc
from axptr.linux.task.filetable import FileTable
from axptr.linux.task.task import LinuxTask
from axptr.linux.uaccess import ConstBytes

from .pages import KINDS, ROOM, START, Pages, call, reason_to_skip
from .test_copies import FILE, layouts, lengths, starts

pytestmark = pytest.mark.skipif(bool(reason_to_skip()), reason=reason_to_skip())

NUMBERS = {
    "read": 0,
    "write": 1,
    "pread64": 17,
    "pwrite64": 18,
    "readv": 19,
    "writev": 20,
    "preadv": 295,
    "pwritev": 296,
}
DEVICES = ("/dev/null", "/dev/zero", "/dev/full")
READ_WRITE = KINDS["rw"]
TABLE = START + (ROOM - 1) * PAGE_SIZE  # the page of the iovec array


class Case(NamedTuple):
    """call: one of NUMBERS. on: "file", "pipe" or a device. ready: bytes in the file or the pipe before.
    segments: one for the plain calls. table: bytes from the end of its page where the iovec array begins."""

    kinds: list[str]
    call: str
    on: str
    ready: int
    segments: list[tuple[int, int]]
    position: int
    table: int


segments = st.lists(
    st.tuples(
        st.one_of(starts, starts, starts, st.sampled_from([0, 1 << 47, 0x7FFF_FFFF_F000, (1 << 64) - 1])),
        st.one_of(lengths, lengths, st.sampled_from([0, 1 << 63, (1 << 64) - 1])),
    ),
    min_size=1,
    max_size=6,
)
cases = st.builds(
    Case,
    layouts,
    st.sampled_from(sorted(NUMBERS)),
    st.sampled_from(["file", "file", "pipe", "pipe", *DEVICES]),
    st.one_of(st.integers(0, 300), st.integers(0, 40_000), st.sampled_from([4096, 8192, 65_536])),
    segments,
    st.one_of(st.integers(0, 5000), st.sampled_from([0, 1, 4095, 4096, (1 << 63) - 1])),
    st.one_of(st.integers(96, 4096), st.integers(0, 96)),
)


class Sides:
    """A task of ours, and a file, a pipe and the devices on each side."""

    def __init__(self, directory: Path) -> None:
        self.phys = PhysMemory(1 << 30, poison=True)
        root = os.fsencode(directory)
        machine = Machine()
        self.files = FileTable(1024, machine.locks)
        space = AddrSpace(0x1000, 0x7FFF_FFFF_E000, self.phys)
        self.task = LinuxTask.first(machine, space, self.files, FsContext(host_tree([root], Proc), 0o022))
        self.task.engine = SimpleNamespace(arch=X86_64)  # of a program that made a call
        self.table = LinuxKernel().dispatcher(self.task)
        self.paths = [root + b"/theirs", root + b"/ours"]

    def ours(self, number: int, *words: int) -> int:
        result: int = self.table(number, *words, *[0] * (6 - len(words)))
        return result

    @contextmanager
    def opened(self, case: Case) -> Iterator[tuple[list[int], list[int]]]:
        """Descriptors to use, theirs and ours, and the host's descriptors that tell what became of the data."""
        reading = "read" in case.call
        if case.on == "file":
            theirs, mine = (os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC) for path in self.paths)
            self.files.place(50, file_of(mine, os.O_RDWR))
            for fd in (theirs, mine):
                os.write(fd, FILE[: case.ready])
                os.lseek(fd, case.position % 100, os.SEEK_SET)
            close, use, tell = [theirs], [theirs, 50], [theirs, mine]
        elif case.on == "pipe":
            pipes = [os.pipe2(os.O_NONBLOCK) for _ in range(2)]
            for _, writer in pipes:
                os.write(writer, FILE[: case.ready]) if case.ready else 0
            (reader, writer), mine_ends = pipes
            flags = os.O_NONBLOCK | (os.O_RDONLY if reading else os.O_WRONLY)
            mine = mine_ends[0 if reading else 1]
            self.files.place(50, file_of(mine, flags))
            close = [reader, writer, mine_ends[1 if reading else 0]]
            use, tell = [reader if reading else writer, 50], [reader, mine_ends[0]]
        else:
            theirs = os.open(case.on, os.O_RDWR)
            space = self.task.space
            space.map_alloc(0x10000, PAGE_SIZE, READ_WRITE, replace=True)
            space.write(0x10000, case.on.encode() + b"\0")
            mine = self.ours(257, -100 % (1 << 64), ConstBytes(0x10000).address, os.O_RDWR, 0)
            assert mine >= 0
            close, use, tell = [theirs], [theirs, mine], []
        try:
            yield use, tell
        finally:
            self.files.close(use[1])
            for fd in close:
                os.close(fd)


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    made = Sides(tmp_path_factory.mktemp("holes"))
    yield made
    Pages(made.task.space, [], b"").clear()
    made.files.close_all()
    made.task.space._check()
    made.phys._check()


def left(case: Case, fd: int) -> tuple[int, bytes]:
    """What is in the file and where it stands, or what is in the pipe."""
    if case.on == "file":
        return os.lseek(fd, 0, os.SEEK_CUR), os.pread(fd, 1 << 20, 0)
    data = bytearray()
    try:
        while piece := os.read(fd, 1 << 17):
            data += piece
    except BlockingIOError:
        pass
    return 0, bytes(data)


def compare(sides: Sides, case: Case) -> None:
    kinds = case.kinds + ["hole"] * (ROOM - 1 - len(case.kinds)) + ["rw"]
    array = b"".join(struct.pack("<QQ", *segment) for segment in case.segments)
    data = bytearray(random.Random(len(case.kinds)).randbytes(len(kinds) * PAGE_SIZE))
    table = TABLE + PAGE_SIZE - case.table
    data[table - START : table - START + len(array)] = array
    pages = Pages(sides.task.space, kinds, bytes(data[: len(kinds) * PAGE_SIZE]))
    words = [table, len(case.segments)] if case.call.endswith("v") else list(case.segments[0])
    if case.call.startswith("p"):
        words.append(case.position)
    with sides.opened(case) as (fds, tells):
        theirs = call(NUMBERS[case.call], fds[0], *words)
        ours = sides.ours(NUMBERS[case.call], fds[1], *words)
        assert ours == theirs, (ours, theirs)
        for n, (mine, wanted) in enumerate(zip(pages.ours(), pages.host(), strict=True)):
            assert mine == wanted, f"page {n} of those that are there"
        if tells:
            (at, wanted), (my_at, mine) = (left(case, fd) for fd in tells)
            assert (my_at, len(mine)) == (at, len(wanted))
            assert mine == wanted
    if case.on != "file" or "write" in case.call:
        pages.clear()


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases)
@example(case=Case(["rw", "hole"], "write", "pipe", 0, [(START + PAGE_SIZE - 96, 200)], 0, 4096))
@example(case=Case(["rw", "hole"], "write", "file", 0, [(START + PAGE_SIZE - 96, 200)], 0, 4096))
@example(case=Case(["rw", "hole"], "write", "/dev/null", 0, [(START + PAGE_SIZE - 96, 200)], 0, 4096))
@example(case=Case(["rw", "hole"], "read", "/dev/zero", 0, [(START + PAGE_SIZE - 96, 200)], 0, 4096))
# Found here: a pipe leaves what it stored before a fault, whether it counts it or not; and where segments overlap.
@example(case=Case(["rw"], "read", "pipe", 2, [(START + PAGE_SIZE - 1, 2)], 0, 96))
@example(case=Case(["rw"] * 3, "read", "pipe", 4098, [(START + 2 * PAGE_SIZE - 1, 4098)], 0, 96))
@example(case=Case(["rw"], "readv", "pipe", 1, [(START, 1), (START, 0x7FFF_F000)], 0, 96))
# And: the end of a range of the file is judged, devices' too.
@example(case=Case(["rw"], "pread64", "/dev/null", 0, [(0, 1)], (1 << 63) - 1, 96))
def test_calls_over_holes_give_what_the_host_gives(sides: Sides, case: Case) -> None:
    compare(sides, case)


@pytest.mark.slow
@pytest.mark.timeout(900)
@settings(max_examples=30_000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases)
def test_calls_over_holes_give_what_the_host_gives_for_long(sides: Sides, case: Case) -> None:
    compare(sides, case)
