"""What supplies the pages of an area: the kinds of `Backend`.

Each kind sets the fields that a fault reads (`_core.frames.Backend`); the fault itself, and copy-on-write, are
the core's. Not here: permissions, names and places of areas.
"""

from __future__ import annotations

import errno
import os
import stat

from axptr._core.host import hostcalls
from axptr._core.mm.frames import Backend, FrameStore
from axptr._core.mm.sharing import own
from axptr._core.phys.phys import PhysMemory
from axptr._core.words.codes import KIND_ALLOC, KIND_LINEAR, KIND_STORE
from axptr.addr import PAGE_SIZE, checked_address, checked_size
from axptr.errors import LinuxError
from axptr.mm.filecache import F_GETFL, FileCache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO, Any

    FileLike = str | os.PathLike[str] | int | IO[Any]


class AllocBackend(Backend):
    """Fresh zeroed frames, private to the space."""

    kind_name = "alloc"

    def __init__(self) -> None:
        self._set(KIND_ALLOC)


ALLOC = AllocBackend()


class LinearBackend(Backend):
    """The physical memory from `paddr` on: a window. Frames there must be allocated when they are touched."""

    kind_name = "linear"

    def __init__(self, paddr: int) -> None:
        start = checked_address(paddr, "paddr")
        if start % PAGE_SIZE:
            raise LinuxError(errno.EINVAL, f"physical address {start:#x} is not page aligned")
        self._set(KIND_LINEAR, offset=start)


class SharedObject:
    """`size` bytes (rounded up to pages) of zeroed memory that any number of spaces of `phys` may map.

    name: what maps print. It lives as long as a mapping or a holder of this object. Raises `ValueError` for size 0.
    """

    def __init__(self, phys: PhysMemory, size: int, name: str = "") -> None:
        if not isinstance(phys, PhysMemory):
            raise TypeError(f"want a PhysMemory, not {type(phys).__name__}")
        pages = -(-checked_size(size) // PAGE_SIZE)
        if pages == 0:
            raise ValueError("a shared object has at least one byte")
        self.store = FrameStore(phys, None, name, pages)

    @property
    def size(self) -> int:
        """Bytes, a multiple of the page."""
        return self.store.limit * PAGE_SIZE

    def __repr__(self) -> str:
        return f"<SharedObject {self.store.label!r} of {self.size:#x} bytes, {self.store.resident} pages resident>"


class SharedBackend(Backend):
    """A shared object from `offset` (bytes, page aligned) on.

    Pages past its end fault. `writable=False` seals it: it is never writable. EINVAL for an unaligned offset.
    """

    kind_name = "shared"

    def __init__(self, shared: SharedObject, offset: int = 0, *, writable: bool = True) -> None:
        if not isinstance(shared, SharedObject):
            raise TypeError(f"want a SharedObject, not {type(shared).__name__}")
        self._set(KIND_STORE, shared=True, sealed=not writable, offset=_aligned(offset), store=shared.store)


class StoreBackend(Backend):
    """The pages of a store from `offset` (bytes, page aligned) on: those of a file that lives in memory.

    Private, or `shared` so that writes are the file's; `writable=False` seals a shared one. EINVAL for an unaligned
    offset. no_exec: as of `FileBackend`. named: tells what maps call it now.
    """

    kind_name = "store"
    no_exec = False
    named: Callable[[], bytes] | None = None

    def __init__(self, store: FrameStore, offset: int = 0, *, shared: bool = False, writable: bool = True) -> None:
        own(store)
        self._set(KIND_STORE, shared=shared, sealed=shared and not writable, offset=_aligned(offset), store=store)


class FileBackend(Backend):
    """A regular file from `offset` (bytes, page aligned) on: private, or `shared` so that writes reach the file.

    `writable=False` seals a shared one: it is never writable. Raises `LinuxError`: EINVAL for an unaligned offset,
    EACCES if the descriptor cannot be read, ENODEV for what is no regular file, or what opening the file raised.
    no_exec: a note for whoever changes permissions, that nothing of the file may be executed. named: tells what maps
    call it now, where that is not the host's name for it.
    """

    kind_name = "file"
    no_exec = False
    named: Callable[[], bytes] | None = None

    def __init__(
        self, phys: PhysMemory, file: FileLike, offset: int = 0, *, shared: bool = False, writable: bool | None = None
    ) -> None:
        start = _aligned(offset)
        if not isinstance(phys, PhysMemory):
            raise TypeError(f"want a PhysMemory, not {type(phys).__name__}")
        cache, may_write = file_cache(phys, file, shared and writable is not False)
        self._set(KIND_STORE, shared=shared, sealed=shared and not may_write, offset=start, store=cache)


def _aligned(offset: int) -> int:
    start = checked_address(offset, "offset")
    if start % PAGE_SIZE:
        raise LinuxError(errno.EINVAL, f"offset {start:#x} is not page aligned")
    return start


def part(backend: Backend, offset: int, store: FrameStore | None = None) -> Backend:
    """What backs an area, from another offset (bytes) on; from another store, if one is given."""
    if backend.kind == KIND_ALLOC:
        return backend
    other = Backend.__new__(type(backend))
    other._set(backend.kind, shared=backend.shared, sealed=backend.sealed, offset=offset, store=store or backend.store)
    other.__dict__.update(backend.__dict__)
    return other


def file_cache(phys: PhysMemory, file: FileLike, write: bool) -> tuple[FileCache, bool]:
    """The cache of a file, and whether it may be written back to it, which is arranged if asked for."""
    opened: int | None = None
    try:
        if isinstance(file, int):
            fd = file
        elif isinstance(file, (str, os.PathLike)):
            fd = opened = _open(file, write)
        elif hasattr(file, "fileno"):
            fd = file.fileno()
        else:
            raise TypeError(f"a file is a path, a descriptor or has fileno(), not {type(file).__name__}")
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise LinuxError(errno.ENODEV, "only a regular file can be mapped")
        mode = hostcalls.fcntl(fd, F_GETFL) & (os.O_ACCMODE | os.O_PATH)
        if mode not in (os.O_RDONLY, os.O_RDWR):
            raise LinuxError(errno.EACCES, "the descriptor cannot be read")
        cache = FileCache.of(phys, fd, status)
        if write and mode == os.O_RDWR:
            cache.writable_through(fd)
            return cache, True
        return cache, False
    except LinuxError:
        raise
    except OSError as failure:
        raise LinuxError(failure.errno or errno.EBADF, failure.strerror or str(failure)) from failure
    finally:
        if opened is not None:
            os.close(opened)


def _open(path: str | os.PathLike[str], write: bool) -> int:
    if write:
        try:
            return os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as failure:
            if failure.errno not in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ETXTBSY):
                raise
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
