"""What a snapshot holds of the host: descriptors of the files and places that its machine had open.

A file is opened anew for each copy, by the descriptor that is held and no name: it is the same file, with a position of
the copy's own, where it was. What has no position, or cannot be opened again (a place, a link), is duplicated. Its
bytes are the host's, and no part of the snapshot.
"""

from __future__ import annotations

import fcntl
import os
import stat

from ..._core.host.places import PLACE, name_of
from ...errors import SnapshotError
from ..fs.host.fd import Owned, by_descriptor
from ..fs.openfile import O_PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_KEPT_FLAGS = os.O_ACCMODE | os.O_APPEND | os.O_NONBLOCK | os.O_DIRECT | os.O_DIRECTORY | os.O_NOATIME | O_PATH
_SEEKS = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFBLK)


def identity(fd: int) -> tuple[Any, ...]:
    """By which `find` knows a file again: name, kind, device, inode; size and time, if it is a regular one.

    Raises `SnapshotError` for what has no name any more.
    """
    name, status = name_of(fd), os.fstat(fd)
    try:
        there = os.lstat(name)
    except (OSError, ValueError):
        there = None
    if there is None or (there.st_dev, there.st_ino) != (status.st_dev, status.st_ino):
        raise SnapshotError(f"{os.fsdecode(name)} is not to be found under its name: it cannot be saved")
    return name, *_traits(status)


def _traits(status: os.stat_result) -> tuple[int, int, int, int, int]:
    kind = stat.S_IFMT(status.st_mode)
    size, time = (status.st_size, status.st_mtime_ns) if kind == stat.S_IFREG else (0, 0)
    return kind, status.st_dev, status.st_ino, size, time


def find(name: bytes, *traits: int) -> int:
    """The place of the file that `identity` told of. Raises `SnapshotError` if it is gone, another, or was changed."""
    try:
        fd = os.open(name, PLACE)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SnapshotError(f"the snapshot needs {os.fsdecode(name)}: {reason}") from error
    found = _traits(os.fstat(fd))
    if found != traits:
        os.close(fd)
        what = "was changed since" if found[:3] == traits[:3] else "is another file than it was"
        raise SnapshotError(f"the snapshot needs {os.fsdecode(name)}, which {what}")
    return fd


def _again(fd: int, flags: int, name: str) -> int:
    """A file opened anew by a descriptor of it. Raises `SnapshotError`."""
    flags |= os.O_CLOEXEC | os.O_NOCTTY
    for wanted in (flags, flags & ~os.O_NOATIME):
        try:
            return os.open(by_descriptor(fd), wanted)
        except OSError as error:
            failure = error
            if not isinstance(error, PermissionError):
                break
    raise SnapshotError(f"{name} cannot be opened again: {failure.strerror}") from failure


class HeldFile(Owned):
    """One descriptor. flags: how it is opened again; position: where it stood, -1 where it has none."""

    def __init__(self, fd: int) -> None:
        """Of a descriptor that stays its owner's."""
        self._look_at(fd)
        self.fd = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)

    def _look_at(self, fd: int) -> None:
        status = os.fstat(fd)
        self.flags = fcntl.fcntl(fd, fcntl.F_GETFL) & _KEPT_FLAGS
        self.kind = stat.S_IFMT(status.st_mode)
        self.identity = status.st_dev, status.st_ino
        self.position = -1
        if self.kind in _SEEKS and not self.flags & O_PATH:
            self.position = os.lseek(fd, 0, os.SEEK_CUR)

    @classmethod
    def adopted(cls, fd: int) -> HeldFile:
        """Of a descriptor that it owns from here on: of a place, which any number of nodes may use."""
        held = cls.__new__(cls)
        held._look_at(fd)
        held.fd = fd
        return held

    @property
    def name(self) -> str:
        """What the host calls it."""
        return os.fsdecode(name_of(self.fd))

    def fits(self, fd: int) -> bool:
        """Whether a descriptor that `open` may have given is one of that file still, opened as it was."""
        status = os.fstat(fd)
        same = (status.st_dev, status.st_ino) == self.identity
        return same and fcntl.fcntl(fd, fcntl.F_GETFL) & _KEPT_FLAGS == self.flags

    def rewind(self, fd: int) -> None:
        """Have one that fits stand where it stood."""
        if self.position >= 0:
            os.lseek(fd, self.position, os.SEEK_SET)

    def open(self) -> int:
        """A descriptor for a copy."""
        if self.position < 0:
            return fcntl.fcntl(self.fd, fcntl.F_DUPFD_CLOEXEC, 3)
        fd = _again(self.fd, self.flags, self.name)
        if self.position:
            os.lseek(fd, self.position, os.SEEK_SET)
        return fd

    def record(self) -> tuple[Any, ...]:
        """What `found` takes, in any process. Raises `SnapshotError` for what has no name, or is no file or place."""
        if self.kind not in _SEEKS and not self.flags & O_PATH:
            raise SnapshotError(f"{self.name} is open, which is the host's, and cannot be saved")
        return self.flags, self.position, *identity(self.fd)

    @classmethod
    def found(cls, flags: int, position: int, *named: Any) -> HeldFile:
        """The file of a record, if it is still there. Raises `SnapshotError` that names it."""
        if flags & ~_KEPT_FLAGS:
            raise SnapshotError(f"a file of it is opened with the flags {flags:#o}")
        place = find(*named)
        held = cls.__new__(cls)
        try:
            status = os.fstat(place)
            held.flags, held.position = flags, position
            held.kind = stat.S_IFMT(status.st_mode)
            held.identity = status.st_dev, status.st_ino
            if not flags & O_PATH:
                if held.kind not in _SEEKS or position < 0:
                    raise SnapshotError(f"{os.fsdecode(named[0])} is no file that can be opened again")
                held.fd = _again(place, flags, os.fsdecode(named[0]))
            else:
                held.fd, place = place, -1
        finally:
            if place >= 0:
                os.close(place)
        return held
