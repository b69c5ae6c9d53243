"""A snapshot as bytes: a description and the pages it needs, for files (`mm.snapfile`) and for pickles.

`encode` gives a description (`docs/snapshots.md` has it byte by byte) and buffers over the very frames, which are not
copied; `Decoder` makes a snapshot of them again, in any memory of any process, and copies each page once. Pages of
zeros take no room, a frame that several pages show is stored once.

Not here: checksums and the file around it.

What decodes is proved first: counts against the bytes that are there, pages against the memory, areas by mapping them.
Whatever is wrong is a `SnapshotError`; ENOMEM, where frames run out, stays a `LinuxError`.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import axptr.paging
from axptr._core.frames import Backend, FrameStore
from axptr._core.pages import DIRTY, ZERO, ZEROS, FramePool, FrameSpan, area_traits, private_pages, store_pages
from axptr._core.phys import PhysMemory, default_memory
from axptr.addr import PAGE_SIZE
from axptr.errors import LinuxError, SnapshotError
from axptr.flags import MappingFlags
from axptr.mm.area import MemoryArea
from axptr.mm.backend import ALLOC, FileBackend, SharedBackend, file_cache
from axptr.mm.filecache import FileCache
from axptr.mm.snapshot import Epoch, Snapshot
from axptr.paging import PagingFormat

if TYPE_CHECKING:
    from axptr.mm.space import AddrSpace

Part = FrameSpan | bytes
"""Whole pages, as a buffer."""

_KIND_STORE = 2
_NOT_SAVED = {1: "shows physical memory", 3: "has a pager", 4: "is a device (MMIO)"}

MEMORY, FILE, CONTENTS = 1, 2, 3
"""Kinds of sources: shared memory; a file; the bytes of what was a file."""

_HEAD = struct.Struct("<QQI")
_NUMBER = struct.Struct("<I")
_LONG = struct.Struct("<Q")
_BOUND = struct.Struct("<IQ")
_SOURCE = struct.Struct("<IIQQQQqQ")  # kind, label, limit, device, inode, bytes, mtime, runs
_SOURCE_RUN = struct.Struct("<QQQ")  # page, pages, index
_AREA = struct.Struct("<QQQQIIIBBBB")  # start, last, offset, grow limit, flags, source, name, shared, sealed, traits, 0
_RUN = struct.Struct("<QQQQ")  # address, pages, index, dirty
_TRAITS = 1 | 2 | 8 | 16  # the clone rule, locked, locked once there
_MOST = (1 << 64) - 1
_ALL_FLAGS = int(~MappingFlags(0))


# -- to bytes --------------------------------------------------------------------------------------------------


class _Parts:
    """The pages to store, numbered in order; frames side by side make one buffer."""

    def __init__(self, phys: PhysMemory) -> None:
        self.phys = phys
        self.count = 0
        self._numbers: dict[int, int] = {}
        self._frames: list[int] = []
        self._done: list[Part] = []

    def frame(self, paddr: int) -> int:
        """The number of a frame's bytes."""
        number = self._numbers.get(paddr)
        if number is None:
            number = self._numbers[paddr] = self.count
            self._frames.append(paddr)
            self.count += 1
        return number

    def page(self, data: bytes) -> int:
        self._flush()
        self._done.append(data)
        self.count += 1
        return self.count - 1

    def _flush(self) -> None:
        frames, self._frames = self._frames, []
        first = 0
        for at in range(1, len(frames) + 1):
            if at == len(frames) or frames[at] != frames[at - 1] + PAGE_SIZE:
                self._done.append(FrameSpan(self.phys, frames[first], at - first))
                first = at

    def all(self) -> list[Part]:
        self._flush()
        return self._done


def encode(snap: Snapshot, *, embed_files: bool = False) -> tuple[bytes, list[Part]]:
    """The description of a snapshot, and its pages. embed_files: also what the files behind private areas supply.

    Raises `SnapshotError` naming the area that is a pager, a device or a window on physical memory, or the file.
    """
    space = snap._frozen
    areas = space.areas()
    for area in areas:
        if area.backend.kind in _NOT_SAVED:
            raise SnapshotError(f"the area {area} {_NOT_SAVED[area.backend.kind]}, and cannot be saved or pickled")
    parts = _Parts(space.phys)
    strings: dict[str, int] = {}

    def string(text: str) -> int:
        return strings.setdefault(text, len(strings))

    format_name = string(space.format.name)
    bounds = []
    for name, value in space.bounds.items():
        if not isinstance(value, int) or not 0 <= value <= _MOST:
            raise SnapshotError(f"the bound {name!r} is {value!r}, which is no address")
        bounds.append(_BOUND.pack(string(name), value))

    space._hold()
    try:
        runs = _runs(space, parts)
        sources, described = _sources(snap, areas, embed_files, parts, string)
        traits = area_traits(space)
    finally:
        space._let_go()

    records = []
    for area, (limit, other) in zip(areas, traits, strict=True):
        backend = area.backend
        source = sources.get((id(backend.store), backend.shared), 0)
        offset = area.offset if source else 0
        fixed = (area.start, area.end - 1, offset, limit, int(area.flags), source, string(area.name))
        records.append(_AREA.pack(*fixed, backend.shared, backend.sealed, other, 0))
    texts = []
    for text in strings:
        encoded = text.encode("utf-8", "surrogatepass")
        texts.append(_NUMBER.pack(len(encoded)) + encoded)
    meta = b"".join(
        [
            _HEAD.pack(space.base, space.size, format_name),
            _NUMBER.pack(len(texts)),
            *texts,
            _NUMBER.pack(len(bounds)),
            *bounds,
            _NUMBER.pack(len(described)),
            *described,
            _LONG.pack(len(records)),
            *records,
            _LONG.pack(len(runs)),
            *runs,
        ]
    )
    return meta, parts.all()


def _runs(space: AddrSpace, parts: _Parts) -> list[bytes]:
    """Private pages that have a frame, side by side ones with bytes side by side in one record."""
    listed = array("Q", private_pages(space))
    runs: list[bytes] = []
    start = count = index = dirty = 0
    for marked, paddr in zip(listed[::2], listed[1::2], strict=True):
        vaddr = marked & -PAGE_SIZE
        mark = marked & DIRTY
        number = ZEROS if marked & ZERO else parts.frame(paddr)
        follows = number == ZEROS if index == ZEROS else number == index + count
        if count and follows and mark == dirty and vaddr == start + count * PAGE_SIZE:
            count += 1
            continue
        if count:
            runs.append(_RUN.pack(start, count, index, dirty))
        start, count, index, dirty = vaddr, 1, number, mark
    if count:
        runs.append(_RUN.pack(start, count, index, dirty))
    return runs


def _sources(
    snap: Snapshot, areas: list[MemoryArea], embed_files: bool, parts: _Parts, string: Any
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
        if isinstance(store, FileCache) and embed_files and not shared:
            kind, limit, pages = CONTENTS, *_file_pages(store, areas, parts)
        elif isinstance(store, FileCache):
            kind = FILE
            size, mtime = _stamp(store)
            limit = 0
        else:
            kind = MEMORY if shared else CONTENTS
            pages = [(page, parts.frame(paddr)) for page, paddr in store_pages(copies.get(id(store), store))]
        runs = _page_runs(pages)
        fixed = (kind, string(str(store.label)), limit, store.device, store.inode, size, mtime, len(runs))
        described.append(_SOURCE.pack(*fixed) + b"".join(_SOURCE_RUN.pack(*run) for run in runs))
        numbers[id(store), shared] = len(described)
    return numbers, described


def _page_runs(pages: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
    runs: list[tuple[int, int, int]] = []
    for page, number in pages:
        if runs:
            first, count, index = runs[-1]
            if page == first + count and number == index + count:
                runs[-1] = first, count + 1, index
                continue
        runs.append((page, 1, number))
    return runs


# -- files -----------------------------------------------------------------------------------------------------


class _FileSource(NamedTuple):
    """A file that areas show, and how long and how old it was."""

    path: str
    size: int
    mtime: int

    def cache(self, phys: PhysMemory, shared: bool, write: bool) -> FrameStore:
        """The cache of the file, if it is still that file. Raises `SnapshotError`."""
        fd = _open(self.path, os.O_RDWR if write else os.O_RDONLY)
        try:
            status = os.fstat(fd)
            if not shared and (status.st_size, status.st_mtime_ns) != (self.size, self.mtime):
                raise SnapshotError(f"the snapshot needs the file {self.path}, which was changed since")
            return file_cache(phys, fd, write)[0]
        finally:
            os.close(fd)


def _stamp(store: FileCache) -> tuple[int, int]:
    """Size and time of what a page of this file would be read from now."""
    try:
        status = os.stat(store.label)
    except (OSError, ValueError):
        return store._stamp
    same = (status.st_dev, status.st_ino) == (store.device, store.inode)
    return (status.st_size, status.st_mtime_ns) if same else store._stamp


def _file_pages(store: FileCache, areas: list[MemoryArea], parts: _Parts) -> tuple[int, list[tuple[int, int]]]:
    """`(limit, pages)`: what a file has in the parts of it that private areas show; holes are skipped."""
    fd = _open(store.label, os.O_RDONLY)
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


def _open(path: str, mode: int) -> int:
    """A regular file's descriptor; a FIFO in its place does not make us wait. Raises `SnapshotError`."""
    try:
        fd = os.open(path, mode | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError) as failure:
        reason = failure.strerror if isinstance(failure, OSError) else str(failure)
        raise SnapshotError(f"the snapshot needs the file {path}: {reason}") from failure
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise SnapshotError(f"the snapshot needs the file {path}, which is no regular file")
    return fd


# -- and back --------------------------------------------------------------------------------------------------


class _Reader:
    """Takes records off a description; what is not there is a `SnapshotError`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, record: struct.Struct) -> tuple[Any, ...]:
        try:
            found = record.unpack_from(self._data, self._at)
        except struct.error:
            raise SnapshotError("its description ends too early") from None
        self._at += record.size
        return found

    def count(self, record: struct.Struct, least: int) -> int:
        """A number of items, each of at least so many bytes."""
        number = int(self.take(record)[0])
        self.room(number, least)
        return number

    def room(self, number: int, least: int) -> None:
        if number * least > len(self._data) - self._at:
            raise SnapshotError(f"it speaks of {number} items and has no room for them")

    def text(self) -> str:
        length = self.count(_NUMBER, 1)
        raw = self._data[self._at : self._at + length]
        self._at += length
        try:
            return raw.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise SnapshotError("a name in it is no UTF-8") from None

    def end(self) -> None:
        if self._at != len(self._data):
            raise SnapshotError("its description goes on after its end")


class Decoder:
    """A snapshot from a description and pages: made, filled page by page with `put`, then `finish`ed."""

    def __init__(self, meta: bytes, npages: int, phys: PhysMemory | None = None) -> None:
        """Reads the description, maps its areas and takes the frames. npages: pages that `put` will bring."""
        self.phys = default_memory() if phys is None else phys
        self.npages = npages
        self._put = 0
        reader = self._reader = _Reader(meta)
        base, size, format_name = reader.take(_HEAD)
        self._strings = [reader.text() for _ in range(reader.count(_NUMBER, 4))]
        self.space = self._empty(base, size, self._string(format_name))
        for _ in range(reader.count(_NUMBER, _BOUND.size)):
            name, value = reader.take(_BOUND)
            self.space.bounds[self._string(name)] = value
        self._contents: list[tuple[FrameStore, list[tuple[int, int, int]]]] = []
        self._stores: list[tuple[int, FrameStore | _FileSource]] = []
        for _ in range(reader.count(_NUMBER, _SOURCE.size)):
            self._source()
        for _ in range(reader.count(_LONG, _AREA.size)):
            self._area(*reader.take(_AREA))
        self._pages = [reader.take(_RUN) for _ in range(reader.count(_LONG, _RUN.size))]
        reader.end()
        if sum(run[1] for run in self._pages) > self.phys.size // PAGE_SIZE:
            raise SnapshotError("it has more pages than the memory has frames")
        self._pool = FramePool(self.phys, npages)

    def _string(self, number: int) -> str:
        if number >= len(self._strings):
            raise SnapshotError(f"it has no name number {number}")
        return self._strings[number]

    def _empty(self, base: int, size: int, format_name: str) -> AddrSpace:
        from axptr.mm.space import AddrSpace

        formats = [f for f in vars(axptr.paging).values() if isinstance(f, PagingFormat) and f.name == format_name]
        if not formats:
            raise SnapshotError(f"no page-table format is called {format_name!r}")
        try:
            return AddrSpace(base, size, self.phys, formats[0])
        except ValueError as failure:
            raise SnapshotError(f"its space is none: {failure}") from None

    def _source(self) -> None:
        kind, label_number, limit, device, inode, size, mtime, nruns = self._reader.take(_SOURCE)
        self._reader.room(nruns, _SOURCE_RUN.size)
        runs = [self._reader.take(_SOURCE_RUN) for _ in range(nruns)]
        label = self._string(label_number)
        if kind == FILE and not runs:
            self._stores.append((FILE, _FileSource(label, size, mtime)))
        elif kind in (MEMORY, CONTENTS):
            store = FrameStore(self.phys, None, label, limit)
            store.device, store.inode = device, inode
            self._contents.append((store, runs))
            self._stores.append((kind, store))
        else:
            raise SnapshotError(f"a source of kind {kind} with {nruns} runs of pages")

    def _area(self, *fields: int) -> None:
        start, last, offset, limit, flags, source, name, shared, sealed, traits, zero = fields
        if (
            flags & ~_ALL_FLAGS
            or shared > 1
            or sealed > 1
            or traits & ~_TRAITS
            or zero
            or last < start
            or limit > start
        ):
            raise SnapshotError(f"the area at {start:#x} is none")
        backend: Backend
        if source == 0:
            backend = ALLOC
            if shared or sealed or offset:
                raise SnapshotError(f"the area at {start:#x} is fresh memory and shared")
        else:
            backend = self._backend(source, bool(shared), bool(sealed), offset)
        size = last - start + 1
        grows = last + 1 - limit if limit else 0
        try:
            self.space.map(start, size, MappingFlags(flags), backend, name=self._string(name), grows_down=grows)
            if traits:
                self.space._set_traits(start, size, traits, _TRAITS)
        except (LinuxError, ValueError) as failure:
            raise SnapshotError(f"the area at {start:#x} cannot be: {failure}") from None

    def _backend(self, source: int, shared: bool, sealed: bool, offset: int) -> Backend:
        if source > len(self._stores):
            raise SnapshotError(f"it has no source number {source}")
        kind, store = self._stores[source - 1]
        if isinstance(store, _FileSource):
            store = store.cache(self.phys, shared, shared and not sealed)
        elif shared != (kind == MEMORY) or sealed:
            raise SnapshotError(f"an area shows {store.label!r} in a way that it cannot")
        made: type[Backend] = SharedBackend if kind == MEMORY else FileBackend
        backend = made.__new__(made)
        backend._set(_KIND_STORE, shared=shared, sealed=sealed, offset=offset, store=store)
        return backend

    def put(self, data: Any) -> None:
        """The next pages' bytes. Raises `ValueError` for more than was said."""
        self._pool.put(self._put, data)
        self._put += len(memoryview(data).cast("B")) // PAGE_SIZE

    def finish(self) -> Snapshot:
        """The snapshot, once all pages were put."""
        if self._put != self.npages:
            raise SnapshotError(f"{self.npages - self._put} of its pages are missing")
        try:
            for vaddr, count, index, dirty in self._pages:
                if dirty > DIRTY:
                    raise ValueError(f"page {vaddr:#x} is marked {dirty}")
                self._pool.into_space(self.space, vaddr, count, index, bool(dirty))
            for store, runs in self._contents:
                for page, count, index in runs:
                    self._pool.into_store(store, page, count, index)
        except ValueError as failure:
            raise SnapshotError(str(failure)) from None
        del self._pool
        memories = [store for kind, store in self._stores if kind == MEMORY and isinstance(store, FrameStore)]
        captures = [(store, *store.capture()) for store in memories]
        return Snapshot(self.space, Epoch(None, None), captures)


def decode(meta: bytes, parts: list[Any], phys: PhysMemory | None = None) -> Snapshot:
    """The snapshot from what `encode` gave, in any buffers. Raises `SnapshotError`, `LinuxError`."""
    sizes = [memoryview(part).nbytes for part in parts]
    if any(size % PAGE_SIZE for size in sizes):
        raise SnapshotError("a piece of it is no whole pages")
    decoder = Decoder(meta, sum(sizes) // PAGE_SIZE, phys)
    for part in parts:
        decoder.put(part)
    return decoder.finish()


def reduce(snap: Snapshot, protocol: int) -> tuple[Any, ...]:
    """How a snapshot pickles: the pages as out-of-band buffers where the protocol has them."""
    from pickle import PickleBuffer

    meta, parts = encode(snap)
    if protocol >= 5:
        return decode, (meta, [PickleBuffer(part) for part in parts])
    return decode, (meta, [bytes(part) for part in parts])
