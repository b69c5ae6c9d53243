"""Where one is in a tree of the host, by one descriptor: `HostWalk`. For trees that somebody may change meanwhile.

Names are followed one at a time and never through a symbolic link, whatever becomes of the tree; the way up is gone
only to the very directory that one came from. So nothing outside the tree is read or written, and a tree costs one
descriptor and no stack, however deep it is. Not here: what is done with the files (`transfers`).
"""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class HostWalk:
    """Begins in a directory, which is its own last name and no link. fd: where it is; names: how it came there."""

    def __init__(self, top: bytes) -> None:
        self._top = top
        self.fd = os.open(top, _DIRECTORY)
        self.names: list[bytes] = []
        self._above: list[tuple[int, int]] = []

    def enter(self, name: bytes, *, make: bool = False) -> None:
        """Go down. make: the directory, unless it is there."""
        if make:
            try:
                os.mkdir(name, dir_fd=self.fd)
            except FileExistsError:
                pass  # if by something else, it cannot be entered
        below = self._opened(name, _DIRECTORY)
        self._above.append(_identity(self.fd))
        self.names.append(name)
        os.close(self.fd)
        self.fd = below

    def leave(self) -> None:
        """Go up again. ESTALE if the directory is not where it was."""
        above = os.open("..", _DIRECTORY, dir_fd=self.fd)
        os.close(self.fd)
        self.fd = above
        if _identity(above) != self._above.pop():
            raise OSError(errno.ESTALE, "this directory was moved while it was copied", self.shown())
        self.names.pop()

    def create(self, name: bytes, mode: int) -> int:
        """A new file, for writing."""
        return self._opened(name, _NEW, mode)

    def open(self, name: bytes) -> int | None:
        """A regular file, for reading; None for what is none."""
        if not stat.S_ISREG(os.lstat(name, dir_fd=self.fd).st_mode):  # so that no device is even opened
            return None
        return regular(self._opened(name, _OLD))

    def _opened(self, name: bytes, flags: int, mode: int = 0) -> int:
        try:
            return os.open(name, flags, mode, dir_fd=self.fd)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.shown(name)) from None

    def shown(self, name: bytes = b"") -> str:
        """The path of a name here, for messages."""
        return os.fsdecode(os.path.join(self._top, *self.names[-16:], name))

    def close(self) -> None:
        os.close(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def open_regular(path: bytes) -> int | None:
    """`HostWalk.open` of a path."""
    return regular(os.open(path, _OLD)) if stat.S_ISREG(os.lstat(path).st_mode) else None


def create(path: bytes, mode: int) -> int:
    """`HostWalk.create` of a path."""
    return os.open(path, _NEW, mode)


def regular(fd: int) -> int | None:
    """The descriptor if it is of a regular file; closes another."""
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    return None


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino
