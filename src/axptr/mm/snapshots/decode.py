"""A snapshot from bytes: in any memory, of any process; each page is copied once, into its frame.

What decodes is proved first: counts against the bytes that are there, pages against the memory, areas by mapping them.
Whatever is wrong is a `SnapshotError`; ENOMEM, where frames run out, stays a `LinuxError`.

Not here: the layout (`mm.snapshots.code`), the way there (`mm.snapshots.encode`), checksums (`mm.snapshots.file`).
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import axptr.paging
from axptr._core.mm.frames import Backend, FrameStore
from axptr._core.mm.pages import FramePool
from axptr._core.phys.phys import PhysMemory, default_memory
from axptr._core.words.codes import KIND_STORE, MARK_DIRTY
from axptr.addr import PAGE_SIZE
from axptr.errors import LinuxError, SnapshotError
from axptr.flags import MappingFlags
from axptr.mm.backend import (
    ALLOC,
    FileBackend,
    SharedBackend,
    StoreBackend,
    file_cache,
)
from axptr.mm.snapshots.code import (
    AREA,
    BOUND,
    CARRIED_TRAITS,
    CONTENTS,
    FILE,
    HEAD,
    LONG,
    MEMORY,
    NUMBER,
    ORDERS,
    OUTSIDE,
    RUN,
    SOURCE,
    SOURCE_RUN,
    open_regular,
)
from axptr.model import DataModel, checked_model
from axptr.paging import PagingFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from axptr.mm.space import AddrSpace

    Parts = tuple[AddrSpace, list[tuple[FrameStore, FrameStore, int]]]
    """The frozen space, and the copies of stores' pages: what `Snapshot` is made with."""

_ALL_FLAGS = int(~MappingFlags(0))


class _FileSource(NamedTuple):
    """A file that areas show, and how long and how old it was."""

    path: str
    size: int
    mtime: int

    def cache(self, phys: PhysMemory, shared: bool, write: bool) -> FrameStore:
        """The cache of the file, if it is still that file. Raises `SnapshotError`."""
        fd = open_regular(self.path, os.O_RDWR if write else os.O_RDONLY)
        try:
            status = os.fstat(fd)
            if not shared and (status.st_size, status.st_mtime_ns) != (self.size, self.mtime):
                raise SnapshotError(f"the snapshot needs the file {self.path}, which was changed since")
            return file_cache(phys, fd, write)[0]
        finally:
            os.close(fd)


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
        length = self.count(NUMBER, 1)
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
    """The parts of a snapshot, from a description and pages: made, filled page by page with `put`, then `finish`ed."""

    def __init__(
        self,
        meta: bytes,
        npages: int,
        make_space: Callable[..., AddrSpace],
        phys: PhysMemory | None = None,
        *,
        pool: FramePool | None = None,
        outside: Sequence[FrameStore] = (),
    ) -> None:
        """Reads the description, maps its areas and takes the frames. npages: pages that `put` will bring.

        pool: frames that were filled already, for several descriptions; `put` is not called then. outside: stores that
        it names by their numbers.

        make_space: makes an empty space, given its base, size, memory and format.
        """
        self._make_space = make_space
        self.phys = default_memory() if phys is None else phys
        self.npages = npages
        self._put = 0
        self._outside = outside
        reader = self._reader = _Reader(meta)
        base, size, format_name, *model = reader.take(HEAD)
        self._strings = [reader.text() for _ in range(reader.count(NUMBER, 4))]
        self.space = self._empty(base, size, self._string(format_name))
        self.space.model = self._model(*model)
        for _ in range(reader.count(NUMBER, BOUND.size)):
            name, value = reader.take(BOUND)
            self.space.bounds[self._string(name)] = value
        self._contents: list[tuple[FrameStore, list[tuple[int, int, int]]]] = []
        self._stores: list[tuple[int, FrameStore | _FileSource]] = []
        for _ in range(reader.count(NUMBER, SOURCE.size)):
            self._source()
        for _ in range(reader.count(LONG, AREA.size)):
            self._area(*reader.take(AREA))
        self._pages = [reader.take(RUN) for _ in range(reader.count(LONG, RUN.size))]
        reader.end()
        if sum(run[1] for run in self._pages) > self.phys.size // PAGE_SIZE:
            raise SnapshotError("it has more pages than the memory has frames")
        self._pool = FramePool(self.phys, npages) if pool is None else pool
        if pool is not None:
            self._put = npages

    def _string(self, number: int) -> str:
        if number >= len(self._strings):
            raise SnapshotError(f"it has no name number {number}")
        return self._strings[number]

    def _empty(self, base: int, size: int, format_name: str) -> AddrSpace:
        formats = [f for f in vars(axptr.paging).values() if isinstance(f, PagingFormat) and f.name == format_name]
        if not formats:
            raise SnapshotError(f"no page-table format is called {format_name!r}")
        try:
            return self._make_space(base, size, self.phys, formats[0])
        except ValueError as failure:
            raise SnapshotError(f"its space is none: {failure}") from None

    def _model(self, name: int, pointer: Any, order: int, wide_align: Any, zero: int) -> DataModel:
        if order >= len(ORDERS) or zero:
            raise SnapshotError(f"its data model has the byte order {order}, and {zero} behind its alignment")
        try:
            return checked_model(DataModel(self._string(name), pointer, ORDERS[order], wide_align))
        except ValueError as failure:
            raise SnapshotError(f"its data model is none: {failure}") from None

    def _source(self) -> None:
        kind, label_number, limit, device, inode, size, mtime, nruns = self._reader.take(SOURCE)
        self._reader.room(nruns, SOURCE_RUN.size)
        runs = [self._reader.take(SOURCE_RUN) for _ in range(nruns)]
        label = self._string(label_number)
        if kind == FILE and not runs:
            self._stores.append((FILE, _FileSource(label, size, mtime)))
        elif kind == OUTSIDE and not runs and limit < len(self._outside):
            self._stores.append((OUTSIDE, self._outside[limit]))
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
            or traits & ~CARRIED_TRAITS
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
                self.space._set_traits(start, size, traits, CARRIED_TRAITS)
        except (LinuxError, ValueError) as failure:
            raise SnapshotError(f"the area at {start:#x} cannot be: {failure}") from None

    def _backend(self, source: int, shared: bool, sealed: bool, offset: int) -> Backend:
        if source > len(self._stores):
            raise SnapshotError(f"it has no source number {source}")
        kind, store = self._stores[source - 1]
        if isinstance(store, _FileSource):
            store = store.cache(self.phys, shared, shared and not sealed)
        elif kind != OUTSIDE and (shared != (kind == MEMORY) or (sealed and not shared)):
            raise SnapshotError(f"an area shows {store.label!r} in a way that it cannot")
        made: type[Backend] = SharedBackend if kind == MEMORY else StoreBackend if kind == OUTSIDE else FileBackend
        backend = made.__new__(made)
        backend._set(KIND_STORE, shared=shared, sealed=sealed, offset=offset, store=store)
        return backend

    def put(self, data: Any) -> None:
        """The next pages' bytes. Raises `ValueError` for more than was said."""
        self._pool.put(self._put, data)
        self._put += len(memoryview(data).cast("B")) // PAGE_SIZE

    def finish(self) -> Parts:
        """The parts of the snapshot, once all pages were put."""
        if self._put != self.npages:
            raise SnapshotError(f"{self.npages - self._put} of its pages are missing")
        try:
            for vaddr, count, index, dirty in self._pages:
                if dirty > MARK_DIRTY:
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
        return self.space, captures


def decode(
    meta: bytes, parts: list[Any], make_space: Callable[..., AddrSpace], phys: PhysMemory | None = None
) -> Parts:
    """The parts of a snapshot from what `encode.encode` gave, in any buffers. `SnapshotError`, `LinuxError`."""
    sizes = [memoryview(part).nbytes for part in parts]
    if any(size % PAGE_SIZE for size in sizes):
        raise SnapshotError("a piece of it is no whole pages")
    decoder = Decoder(meta, sum(sizes) // PAGE_SIZE, make_space, phys)
    for part in parts:
        decoder.put(part)
    return decoder.finish()
