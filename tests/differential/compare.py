"""Runs a sequence on both sides and finds the first difference; shrinks a sequence that has one."""

from __future__ import annotations

import os
import random
import struct
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from . import host
from .host import SKIPPED, Answer
from .operations import ARENA, FILES, PAGE, Op, setup, show, translate
from .ours import Ours

ZERO_SUM = zlib.crc32(bytes(PAGE))
MADV_FREE = 8


class Difference(NamedTuple):
    index: int
    op: Op
    what: str

    def __str__(self) -> str:
        return f"operation {self.index}, {show(self.op)}: {self.what}"


class Area(NamedTuple):
    """A line of maps; `file` is what is mapped, in words that both sides share."""

    start: int
    end: int
    perms: str
    offset: int
    file: str

    def __str__(self) -> str:
        page, odd = divmod(self.start - ARENA, PAGE)
        where = f"P({page})+{(self.end - self.start) // PAGE}" if not odd and 0 <= page < 16384 else f"{self.start:#x}"
        return f"{where} {self.perms} {self.offset:x} {self.file}"


def make_files(directory: Path) -> None:
    """The four files, the same on both sides: not a multiple of the page, one with a hole, empty, exactly one page."""
    rng = random.Random(7)
    (directory / "f0").write_bytes(rng.randbytes(3 * PAGE + 100))
    with (directory / "f1").open("wb") as file:
        for page in (0, 5):
            file.seek(page * PAGE)
            file.write(rng.randbytes(PAGE))
        file.truncate(8 * PAGE + 777)
    (directory / "f2").write_bytes(b"")
    (directory / "f3").write_bytes(rng.randbytes(PAGE))


class Run:
    """One sequence on both sides.

    difference: the first, or None. skipped: operations that both sides left out, since Linux leaves their outcome open.
    """

    def __init__(self, ops: list[Op]) -> None:
        self.skipped = 0
        self.freed: set[int] = set()
        shm = Path("/dev/shm")
        base = shm if shm.is_dir() and os.access(shm, os.W_OK) else None
        with tempfile.TemporaryDirectory(prefix="axptr-", dir=base) as name:
            self.there, self.here = Path(name, "host"), Path(name, "ours")
            for directory in (self.there, self.here):
                directory.mkdir()
                make_files(directory)
            paths = [(d / f"f{i}", f"file {i}") for d in (self.there, self.here) for i in range(FILES)]
            self.inodes = {self._identity(path): name for path, name in paths}
            self.difference = self._run(setup() + ops)

    @staticmethod
    def _identity(path: Path) -> str:
        status = path.stat()
        return f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x} {status.st_ino}"

    def _run(self, ops: list[Op]) -> Difference | None:
        lead = len(setup())
        heap, answers = host.run(ops, self.there)
        ours = Ours(self.here, heap)
        self.heap = heap
        try:
            for i, (op, answer) in enumerate(zip(ops, answers, strict=True)):
                if answer.result == SKIPPED:
                    self.skipped += 1
                    continue
                try:
                    what = self._compare(op, answer, ours)
                except AssertionError as broken:
                    what = f"an invariant of ours does not hold: {broken}"
                if what:
                    return Difference(i - lead, op, what)
        finally:
            ours.close()
        for i in range(FILES):
            there, here = self.there / f"f{i}", self.here / f"f{i}"
            if there.exists() != here.exists() or (there.exists() and there.read_bytes() != here.read_bytes()):
                return Difference(len(ops) - lead, ("disk", i), "the files differ at the end")
        return None

    def _compare(self, op: Op, answer: Answer, ours: Ours) -> str:
        mine = ours.run(op)
        if op[0] in ("check", "fork"):
            return self._compare_states(answer.data, mine.data, ours if op[0] == "check" else None)
        if op[0] == "mincore" and mine.result == answer.result:
            return self._compare_residence(op, answer.data, mine.data, ours)
        if mine != answer:
            return f"host {_show(answer)}, ours {_show(mine)}"
        if op[0] == "madvise" and op[3] == MADV_FREE and answer.result == 0:
            start = translate(op[1], self.heap)
            self.freed.update(range(start, start + op[2], PAGE))
        return ""

    def _compare_states(self, there: bytes, here: bytes, ours: Ours | None) -> str:
        areas, pages, sums = self._parse(there)
        my_areas, my_pages, my_sums = self._parse(here)
        if areas != my_areas:
            lost = [str(a) for a in areas if a not in my_areas]
            extra = [str(a) for a in my_areas if a not in areas]
            return f"maps differ: only on the host {lost}, only on ours {extra}"
        assert pages == my_pages
        for page, theirs, mine in zip(pages, sums, my_sums, strict=True):
            if theirs == mine:
                continue
            if page in self.freed and theirs == ZERO_SUM:  # the host took what MADV_FREE gave it; we may keep it
                if ours is not None:
                    ours.task.space.write(page, bytes(PAGE))
                continue
            where = f"P({(page - ARENA) // PAGE}) ({page:#x})"
            return f"page {where} differs: sum {theirs:#x} on the host, {mine:#x} on ours"
        return ""

    def _parse(self, data: bytes) -> tuple[list[Area], list[int], list[int]]:
        (size,) = struct.unpack_from("<Q", data)
        text = data[8 : 8 + size].decode()
        sums = list(struct.unpack_from(f"<{(len(data) - 8 - size) // 8}Q", data, 8 + size))
        areas: list[Area] = []
        pages: list[int] = []
        for line in text.splitlines():
            fields = line.split(maxsplit=5)
            start, end = (max(int(n, 16), self.heap) for n in fields[0].split("-"))
            name = fields[5] if len(fields) > 5 else ""
            area = Area(start, end, fields[1], int(fields[2], 16), self._file(fields[3], fields[4], name))
            pages.extend(range(start, end, PAGE))
            if areas and _alike(areas[-1], area):
                areas[-1] = areas[-1]._replace(end=end)
            else:
                areas.append(area)
        return areas, pages, sums

    def _file(self, device: str, inode: str, name: str) -> str:
        identity = f"{device} {inode}"
        if identity in self.inodes:
            path, _, deleted = name.partition(" ")
            assert Path(path).name == self.inodes[identity].replace("file ", "f"), name
            return self.inodes[identity] + deleted
        if inode == "0":
            return "" if name == "[heap]" else name
        return f"{device} {name}"

    def _compare_residence(self, op: Op, there: bytes, here: bytes, ours: Ours) -> str:
        """Which pages of files are in memory is nobody's business."""
        for i, (theirs, mine) in enumerate(zip(there, here, strict=True)):
            if theirs != mine:
                area = ours.task.space.find_area(translate(op[1], self.heap) + i * PAGE)
                if area is None or area.backend.kind_name != "file" or {theirs, mine} != {0, 1}:
                    return f"mincore of page {i}: {theirs} on the host, {mine} on ours"
        return ""


def _alike(low: Area, high: Area) -> bool:
    if low.end != high.start or low.perms != high.perms or low.file != high.file:
        return False
    return not high.file or low.offset + (low.end - low.start) == high.offset


def _show(answer: Answer) -> str:
    result = answer.result
    if -4096 < result < 0:
        text = f"-{os.strerror(-result)}"
    elif -12_000 < result <= -4096:
        text = f"signal {-result // 1000} code {-result % 1000} at"
    else:
        text = f"{result:#x}"
    extra = f" {answer.extra:#x}" if answer.extra else ""
    return text + extra + (f" {len(answer.data)} bytes, sum {zlib.crc32(answer.data):#x}" if answer.data else "")


def shrink(ops: list[Op], found: Difference) -> tuple[list[Op], Difference]:
    """A sequence without an operation that the difference does not need."""
    ops = ops[: found.index + 1]
    ops = [op for op in ops[:-1] if op[0] != "check"] + ops[-1:]

    def fails(candidate: list[Op]) -> Difference | None:
        return Run([*candidate, ("check",)]).difference

    found = fails(ops) or found
    ops = ops[: found.index + 1]
    for candidates in (_without_runs, _with_smaller_numbers):
        again = True
        while again:
            again = False
            for candidate in candidates(ops):
                difference = fails(candidate)
                if difference is not None:
                    ops, found, again = candidate[: difference.index + 1], difference, True
                    break
    return ops, found


def _without_runs(ops: list[Op]) -> Iterator[list[Op]]:
    size = len(ops) // 2
    while size:
        for start in range(0, len(ops), size):
            yield ops[:start] + ops[start + size :]
        size //= 2


def _with_smaller_numbers(ops: list[Op]) -> Iterator[list[Op]]:
    for i, op in enumerate(ops):
        if op[0] in ("mmap", "munmap", "mprotect", "madvise", "mremap", "msync", "mlock", "munlock", "mlock2"):
            sizes = (2, 3) if op[0] == "mremap" else (2,)
            for k in sizes:
                for smaller in (PAGE, (op[k] // 2 + PAGE - 1) & -PAGE):
                    if smaller < op[k]:
                        yield [*ops[:i], (*op[:k], smaller, *op[k + 1 :]), *ops[i + 1 :]]
