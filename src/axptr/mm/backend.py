"""What supplies the pages of an area: the kinds of `Backend`.

Each kind sets the fields that a fault reads (`_core.frames.Backend`); the fault itself, and copy-on-write, are
the core's. Not here: permissions, names and places of areas.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from typing import IO, Any

from axptr._core.frames import Backend, FrameStore
from axptr._core.phys import PhysMemory
from axptr.addr import PAGE_SIZE, checked_address
from axptr.errors import LinuxError

_KIND_ALLOC, _KIND_LINEAR, _KIND_STORE = range(3)

FileLike = str | os.PathLike[str] | int | IO[Any]


class AllocBackend(Backend):
    """Fresh zeroed frames, private to the space."""

    kind_name = "alloc"

    def __init__(self) -> None:
        self._set(_KIND_ALLOC)


ALLOC = AllocBackend()


class LinearBackend(Backend):
    """The physical memory from `paddr` on: a window. Frames there must be allocated when they are touched."""

    kind_name = "linear"

    def __init__(self, paddr: int) -> None:
        start = checked_address(paddr, "paddr")
        if start % PAGE_SIZE:
            raise LinuxError(errno.EINVAL, f"physical address {start:#x} is not page aligned")
        self._set(_KIND_LINEAR, offset=start)


class FileBackend(Backend):
    """A regular file from `offset` (bytes, page aligned) on, private: writes stay in the space.

    Raises `LinuxError`: EINVAL for an unaligned offset, EACCES if the descriptor cannot be read, ENODEV for
    what is no regular file, or what opening the file raised.
    """

    kind_name = "file"

    def __init__(self, phys: PhysMemory, file: FileLike, offset: int = 0) -> None:
        start = checked_address(offset, "offset")
        if not isinstance(phys, PhysMemory):
            raise TypeError(f"want a PhysMemory, not {type(phys).__name__}")
        if start % PAGE_SIZE:
            raise LinuxError(errno.EINVAL, f"file offset {start:#x} is not page aligned")
        self._set(_KIND_STORE, offset=start, store=file_store(phys, file))


def file_store(phys: PhysMemory, file: FileLike) -> FrameStore:
    """The frames of a file's content in this memory: one store for each state of a file, shared by its mappings.

    A file that was changed since (other size or modification time) gets a new store, so a new mapping shows the
    new content; Linux leaves open what an older private mapping shows.
    """
    opened: int | None = None
    try:
        if isinstance(file, int):
            fd = file
        elif isinstance(file, (str, os.PathLike)):
            fd = opened = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        elif hasattr(file, "fileno"):
            fd = file.fileno()
        else:
            raise TypeError(f"a file is a path, a descriptor or has fileno(), not {type(file).__name__}")
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise LinuxError(errno.ENODEV, "only a regular file can be mapped")
        key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        store: FrameStore | None = phys.caches.get(key)
        if store is None:
            if fcntl.fcntl(fd, fcntl.F_GETFL) & (os.O_ACCMODE | os.O_PATH) not in (os.O_RDONLY, os.O_RDWR):
                raise LinuxError(errno.EACCES, "the descriptor cannot be read")
            store = phys.caches[key] = FrameStore(phys, fd, label=os.readlink(f"/proc/self/fd/{fd}"))
    except LinuxError:
        raise
    except OSError as failure:
        raise LinuxError(failure.errno or errno.EBADF, failure.strerror or str(failure)) from failure
    finally:
        if opened is not None:
            os.close(opened)
    return store
