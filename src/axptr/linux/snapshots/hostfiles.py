"""What a snapshot holds of the host: descriptors of the files and places that its machine had open.

A file is opened anew for each copy, by the descriptor that is held and no name: it is the same file, with a position of
the copy's own, where it was. What has no position, or cannot be opened again (a place, a link), is duplicated. Its
bytes are the host's, and no part of the snapshot.
"""

from __future__ import annotations

import fcntl
import os
import stat

from ...errors import SnapshotError
from ..fs.host.fd import by_descriptor, name_of
from ..fs.openfile import O_PATH

_KEPT_FLAGS = os.O_ACCMODE | os.O_APPEND | os.O_NONBLOCK | os.O_DIRECT | os.O_DIRECTORY | os.O_NOATIME | O_PATH
_SEEKS = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFBLK)


class HeldFile:
    """One descriptor. flags: how it is opened again; position: where it stood, -1 where it has none."""

    def __init__(self, fd: int) -> None:
        """Of a descriptor that stays its owner's."""
        status = os.fstat(fd)
        self.flags = fcntl.fcntl(fd, fcntl.F_GETFL) & _KEPT_FLAGS
        self.kind = stat.S_IFMT(status.st_mode)
        self.identity = status.st_dev, status.st_ino
        self.position = -1
        if self.kind in _SEEKS and not self.flags & O_PATH:
            self.position = os.lseek(fd, 0, os.SEEK_CUR)
        self.fd = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)

    @property
    def name(self) -> str:
        """What the host calls it."""
        return os.fsdecode(name_of(self.fd))

    def open(self) -> int:
        """A descriptor for a copy."""
        if self.position < 0:
            return fcntl.fcntl(self.fd, fcntl.F_DUPFD_CLOEXEC, 3)
        flags = self.flags | os.O_CLOEXEC | os.O_NOCTTY
        try:
            fd = os.open(by_descriptor(self.fd), flags)
        except PermissionError:
            try:
                fd = os.open(by_descriptor(self.fd), flags & ~os.O_NOATIME)
            except OSError as error:
                raise SnapshotError(f"{self.name} cannot be opened again: {error.strerror}") from error
        except OSError as error:
            raise SnapshotError(f"{self.name} cannot be opened again: {error.strerror}") from error
        if self.position:
            os.lseek(fd, self.position, os.SEEK_SET)
        return fd

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __del__(self) -> None:
        if getattr(self, "fd", -1) >= 0:
            os.close(self.fd)
