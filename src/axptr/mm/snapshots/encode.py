"""A snapshot to bytes: a description and the pages it needs, for files (`mm.snapshots.file`) and for pickles.

The pages are buffers over the very frames: nothing is copied. Pages of zeros take no room, a frame that several pages
show is stored once.

Not here: the layout (`mm.snapshots.code`), and the way back (`mm.snapshots.decode`).
"""

from __future__ import annotations

import errno
import os
from bisect import bisect_right, insort

from axptr._core.mm.pages import (
    ZEROS,
    FrameSpan,
    area_traits,
    private_rows,
    store_pages,
)
from axptr._core.phys.phys import PhysMemory
from axptr._core.words.codes import MARK_DIRTY, MARK_ZERO
from axptr.addr import PAGE_SIZE
from axptr.errors import SnapshotError
from axptr.mm.area import MemoryArea
from axptr.mm.filecache import FileCache
from axptr.mm.snapshots.code import (
    AREA,
    BOUND,
    CONTENTS,
    FILE,
    HEAD,
    LONG,
    MEMORY,
    MOST,
    NUMBER,
    ORDERS,
    OUTSIDE,
    RUN,
    SOURCE,
    SOURCE_RUN,
    open_regular,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from axptr.mm.snapshots.snapshot import Snapshot
    from axptr.mm.space import AddrSpace

Part = FrameSpan | bytes
"""Whole pages, as a buffer."""

_NOT_SAVED = {1: "shows physical memory", 3: "has a pager", 4: "is a device (MMIO)"}


class Known:
    """Which frames have their bytes in files that are there already: rows of a physical address, the number of its page
    and how many follow. count: of the pages of these files, whose numbers come before all others.

    It holds no frame: only what somebody has held all the time is what it was (`only`)."""

    def __init__(self, rows: list[tuple[int, int, int]], count: int) -> None:
        self.rows = sorted(rows)
        self.count = count
        self._row = (0, 0, 0)  # where the last was found: the next is there, as a rule

    def only(self, frames: Iterable[tuple[int, int]]) -> Known:
        """What is known of these frames: physical addresses, and how many lie side by side there."""
        rows: list[tuple[int, int, int]] = []
        done = 0
        for paddr, npages in sorted(frames):
            end = paddr + npages * PAGE_SIZE
            paddr = max(paddr, done)
            while paddr < end:
                number, count = self.span(paddr, (end - paddr) // PAGE_SIZE)
                if number is not None:
                    _add_row(rows, paddr, number, count)
                paddr += count * PAGE_SIZE
            done = max(done, end)
        return Known(rows, self.count)

    def span(self, paddr: int, npages: int) -> tuple[int | None, int]:
        """Of frames side by side, `npages` at most: the number of the first, or None, and for how many that goes on."""
        first, number, count = self._row
        if not 0 <= paddr - first < count * PAGE_SIZE:
            at = bisect_right(self.rows, (paddr, MOST, MOST)) - 1
            first, number, count = self._row = self.rows[at] if at >= 0 else (0, 0, 0)
            if not 0 <= paddr - first < count * PAGE_SIZE:
                ahead = self.rows[at + 1][0] - paddr if at + 1 < len(self.rows) else npages * PAGE_SIZE
                return None, min(npages, ahead // PAGE_SIZE)
        page = (paddr - first) // PAGE_SIZE
        return number + page, min(npages, count - page)

    def add(self, paddr: int, number: int, npages: int) -> None:
        """Frames side by side of which none was known."""
        insort(self.rows, (paddr, number, npages))
        self._row = (paddr, number, npages)


def _add_row(rows: list[tuple[int, int, int]], paddr: int, number: int, npages: int = 1) -> None:
    first, start, count = rows[-1] if rows else (0, 0, 0)
    if count and paddr == first + count * PAGE_SIZE and number == start + count:
        rows[-1] = first, start, count + npages
    else:
        rows.append((paddr, number, npages))


class Parts:
    """The pages to store, numbered in order; frames side by side make one buffer. known: those that need not be."""

    def __init__(self, phys: PhysMemory, known: Known | None = None) -> None:
        self.phys = phys
        self.count = 0 if known is None else known.count
        self.rows: list[tuple[int, int, int]] = []
        """Where the bytes of which frames are now, as `Known` has it: no others than those of here."""
        self._known = known
        self._own = Known([], 0)
        self._spans: list[tuple[int, int]] = []
        self._done: list[Part] = []

    def frame(self, paddr: int, *, alone: bool = False) -> int:
        """The number of a frame's bytes. alone: they are nobody else's when they are read."""
        return self.frames(paddr, 1, alone=alone)[0][0]

    def frames(self, paddr: int, npages: int, *, alone: bool = False) -> list[tuple[int, int]]:
        """The same of frames side by side: the number of the first, for how many that goes on; then of those behind."""
        found: list[tuple[int, int]] = []
        while npages:
            number, count = (None, npages) if alone else self._own.span(paddr, npages)
            if number is None and self._known is not None:
                number, count = self._known.span(paddr, count)
            if number is None:
                number = self.count
                self.count += count
                self._spans.append((paddr, count))
                _add_row(self.rows, paddr, number, count)
                if not alone:
                    self._own.add(paddr, number, count)
            found.append((number, count))
            paddr += count * PAGE_SIZE
            npages -= count
        return found

    def page(self, data: bytes) -> int:
        self._flush()
        self._done.append(data)
        self.count += 1
        return self.count - 1

    def _flush(self) -> None:
        spans, self._spans = self._spans, []
        rows: list[tuple[int, int, int]] = []
        for paddr, npages in spans:
            _add_row(rows, paddr, rows[-1][1] + rows[-1][2] if rows else 0, npages)
        self._done += [FrameSpan(self.phys, paddr, npages) for paddr, _, npages in rows]

    def all(self) -> list[Part]:
        self._flush()
        return self._done


def encode(snap: Snapshot, *, embed_files: bool = False) -> tuple[bytes, list[Part]]:
    """The description of a snapshot, and its pages. embed_files: also what the files behind private areas supply.

    Raises as `describe`.
    """
    parts = Parts(snap.phys)
    return describe(snap, parts, embed_files=embed_files), parts.all()


def describe(
    snap: Snapshot, parts: Parts, outside: Mapping[int, int] | None = None, *, embed_files: bool = False
) -> bytes:
    """The description of a snapshot whose pages go to `parts`, which several may share. outside: stores that somebody
    else keeps, by `id`: their numbers there.

    Raises `SnapshotError` naming the area that is a pager, a device or a window on physical memory, or the file.
    """
    space = snap._frozen
    areas = space.areas()
    for area in areas:
        if area.backend.kind in _NOT_SAVED:
            raise SnapshotError(f"the area {area} {_NOT_SAVED[area.backend.kind]}, and cannot be saved or pickled")
    strings: dict[str, int] = {}

    def string(text: str) -> int:
        return strings.setdefault(text, len(strings))

    format_name = string(space.format.name)
    model = space.model
    head = (space.base, space.size, format_name, string(model.name))
    bounds = []
    for name, value in space.bounds.items():
        if not isinstance(value, int) or not 0 <= value <= MOST:
            raise SnapshotError(f"the bound {name!r} is {value!r}, which is no address")
        bounds.append(BOUND.pack(string(name), value))

    with space.phys._held():
        runs = _runs(space, parts)
        sources, described = _sources(snap, areas, embed_files, parts, string, outside or {})
        traits = area_traits(space)

    records = []
    for area, (limit, other) in zip(areas, traits, strict=True):
        backend = area.backend
        source = sources.get((id(backend.store), backend.shared), 0)
        offset = area.offset if source else 0
        fixed = (area.start, area.end - 1, offset, limit, int(area.flags), source, string(area.name))
        records.append(AREA.pack(*fixed, backend.shared, backend.sealed, other, 0))
    texts = []
    for text in strings:
        encoded = text.encode("utf-8", "surrogatepass")
        texts.append(NUMBER.pack(len(encoded)) + encoded)
    return b"".join(
        [
            HEAD.pack(*head, model.pointer, ORDERS.index(model.order), model.wide_align, 0),
            NUMBER.pack(len(texts)),
            *texts,
            NUMBER.pack(len(bounds)),
            *bounds,
            NUMBER.pack(len(described)),
            *described,
            LONG.pack(len(records)),
            *records,
            LONG.pack(len(runs)),
            *runs,
        ]
    )


def _runs(space: AddrSpace, parts: Parts) -> list[bytes]:
    """Private pages that have a frame, side by side ones with bytes side by side in one record."""
    runs: list[bytes] = []
    start = count = index = dirty = 0
    for vaddr, paddr, npages, marks in private_rows(space):
        mark = marks & MARK_DIRTY
        for number, some in [(ZEROS, npages)] if marks & MARK_ZERO else parts.frames(paddr, npages):
            follows = number == ZEROS if index == ZEROS else number == index + count
            if count and follows and mark == dirty and vaddr == start + count * PAGE_SIZE:
                count += some
            else:
                if count:
                    runs.append(RUN.pack(start, count, index, dirty))
                start, count, index, dirty = vaddr, some, number, mark
            vaddr += some * PAGE_SIZE
    if count:
        runs.append(RUN.pack(start, count, index, dirty))
    return runs


def _sources(
    snap: Snapshot, areas: list[MemoryArea], embed_files: bool, parts: Parts, string: Any, outside: Mapping[int, int]
) -> tuple[dict[tuple[int, bool], int], list[bytes]]:
    """The number, from 1 on, of what backs areas, by (id of the store, shared); and their records."""
    copies = {id(store): copy for store, copy, _ in snap._captures}
    numbers: dict[tuple[int, bool], int] = {}
    described: list[bytes] = []
    for area in areas:
        store, shared = area.backend.store, area.backend.shared
        if store is None or (id(store), shared) in numbers:
            continue
        size = mtime = 0
        limit = store.limit
        pages: list[tuple[int, int]] = []
        if id(store) in outside:
            kind, limit = OUTSIDE, outside[id(store)]
        elif isinstance(store, FileCache) and embed_files and not shared:
            kind, limit, pages = CONTENTS, *_file_pages(store, areas, parts)
        elif isinstance(store, FileCache):
            kind = FILE
            size, mtime = _stamp(store)
            limit = 0
        else:
            kind = MEMORY if shared else CONTENTS
            pages = [(page, parts.frame(paddr)) for page, paddr in store_pages(copies.get(id(store), store))]
        runs = page_runs(pages)
        fixed = (kind, string(str(store.label)), limit, store.device, store.inode, size, mtime, len(runs))
        described.append(SOURCE.pack(*fixed) + b"".join(SOURCE_RUN.pack(*run) for run in runs))
        numbers[id(store), shared] = len(described)
    return numbers, described


def page_runs(pages: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
    runs: list[tuple[int, int, int]] = []
    for page, number in pages:
        if runs:
            first, count, index = runs[-1]
            if page == first + count and number == index + count:
                runs[-1] = first, count + 1, index
                continue
        runs.append((page, 1, number))
    return runs


def _stamp(store: FileCache) -> tuple[int, int]:
    """Size and time of what a page of this file would be read from now."""
    try:
        status = os.stat(store.label)
    except (OSError, ValueError):
        return store._stamp
    same = (status.st_dev, status.st_ino) == (store.device, store.inode)
    return (status.st_size, status.st_mtime_ns) if same else store._stamp


def _file_pages(store: FileCache, areas: list[MemoryArea], parts: Parts) -> tuple[int, list[tuple[int, int]]]:
    """`(limit, pages)`: what a file has in the parts of it that private areas show; holes are skipped."""
    fd = open_regular(store.label, os.O_RDONLY)
    try:
        status = os.fstat(fd)
        if (status.st_dev, status.st_ino) != (store.device, store.inode):
            raise SnapshotError(f"{store.label} is another file than the one that is mapped")
        limit = -(-status.st_size // PAGE_SIZE)
        wanted: set[int] = set()
        for area in areas:
            if area.backend.store is store and not area.backend.shared:
                end = min(area.offset + area.size, limit * PAGE_SIZE)
                wanted.update(_with_data(fd, area.offset, end))
        pages = []
        for page in sorted(wanted):
            data = store.read(fd, page * PAGE_SIZE, PAGE_SIZE).ljust(PAGE_SIZE, b"\0")
            if data.count(0) != PAGE_SIZE:
                pages.append((page, parts.page(data)))
        return limit, pages
    except OSError as failure:
        raise SnapshotError(f"{store.label} cannot be read: {failure.strerror}") from failure
    finally:
        os.close(fd)


def _with_data(fd: int, start: int, end: int) -> Iterator[int]:
    """Numbers of the pages of [start, end) of a file that are no hole."""
    while start < end:
        try:
            start = max(start, os.lseek(fd, start, os.SEEK_DATA))
            stop = min(end, os.lseek(fd, start, os.SEEK_HOLE))
        except OSError as failure:
            if failure.errno == errno.ENXIO:  # nothing but a hole up to the end
                return
            raise
        yield from range(start // PAGE_SIZE, -(-stop // PAGE_SIZE))
        start = stop


def pickled(snap: Snapshot, protocol: int) -> tuple[bytes, list[Any]]:
    """What `decode` takes: the description and the pages, as out-of-band buffers where the protocol has them."""
    from pickle import PickleBuffer

    meta, parts = encode(snap)
    if protocol >= 5:
        return meta, [PickleBuffer(part) for part in parts]
    return meta, [bytes(part) for part in parts]
