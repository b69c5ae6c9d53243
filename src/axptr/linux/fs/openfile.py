"""Open files: what a descriptor refers to, and the table of descriptors.

`OpenFile` is Linux' struct file: flags, a position, the operations. Descriptors made by dup share one. The base
class refuses every operation with the errno Linux gives for a file without it; `HostFile` (`fs.host.file`), directories
(`calls.dirs`), /proc (`proc`) and the devices (`fs.dev`) override what they can do.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ...errors import LinuxError
from .node import MAX_OFFSET

if TYPE_CHECKING:
    from ..files.locks import LockTable
    from ..task.task import LinuxTask
    from ..uaccess import UserIter
    from .node import Node, Stat

O_ACCMODE = 3
O_PATH = 0o10000000
O_NONBLOCK = 0o4000
O_APPEND = 0o2000
O_DIRECT = 0o40000


def sought(offset: int, start: int, most: int = MAX_OFFSET) -> int:
    """The position `offset` bytes from `start`; EINVAL if it is negative or beyond `most`."""
    target = start + offset
    if not 0 <= target <= most:
        raise LinuxError(errno.EINVAL)
    return target


class OpenFile:
    """One open file description.

    flags: as given to open (access mode, O_APPEND, O_NONBLOCK, ...).
    owner, signal: what F_SETOWN and F_SETSIG said.
    refs: descriptors that refer to it; the table closes it when there are none left.
    host_fd: the host descriptor behind it, None where there is none.
    """

    host_fd: int | None = None
    seekable = False

    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.refs = 0
        self.owner = (0, 0)  # F_OWNER_TID, nobody
        self.signal = 0

    @property
    def readable(self) -> bool:
        return self.flags & O_ACCMODE in (os.O_RDONLY, os.O_RDWR) and not self.flags & O_PATH

    @property
    def writable(self) -> bool:
        return self.flags & O_ACCMODE in (os.O_WRONLY, os.O_RDWR) and not self.flags & O_PATH

    def read(self, task: LinuxTask, to: UserIter, pos: int | None) -> int:
        """Read to user memory, at the file's own position (moving it) or at `pos`; bytes done, 0 at the end."""
        raise LinuxError(errno.EINVAL)

    def write(self, task: LinuxTask, data: UserIter, pos: int | None) -> int:
        """Write from user memory; bytes done."""
        raise LinuxError(errno.EINVAL)

    def seek(self, offset: int, whence: int) -> int:
        raise LinuxError(errno.ESPIPE)

    def stat(self, task: LinuxTask) -> os.stat_result | Stat:
        raise LinuxError(errno.EBADF)

    def getdents(self, task: LinuxTask, to: UserIter) -> int:
        """Directory entries (struct linux_dirent64) to user memory; bytes done, 0 at the end."""
        raise LinuxError(errno.ENOTDIR)

    def ioctl(self, task: LinuxTask, command: int, argument: int) -> int:
        raise LinuxError(errno.ENOTTY)

    def require_change(self, task: LinuxTask) -> None:
        """EROFS unless the length of what this is may be changed, where it is now; beside `writable`.

        Attributes are another matter: those of `node().changeable`.
        """

    def name_removed(self, identity: tuple[int, int]) -> None:
        """The guest removed a name of the host's file `identity`, which has others."""

    def truncate(self, task: LinuxTask, size: int) -> None:
        raise LinuxError(errno.EINVAL)

    def map_anonymous(self) -> bool:
        """Whether mapping this file gives zeroed memory (/dev/zero). ENODEV if it can be mapped in no other way."""
        raise LinuxError(errno.ENODEV)

    def node(self) -> Node | None:
        """The node that this is, None if it is none: paths relative to it and calls by descriptor go to that."""
        return None

    def lock_key(self) -> tuple[int, int]:
        """What file this is, for locks: device and inode, or numbers of our own for what has none."""
        node = self.node()
        return (node.dev, node.ino) if node is not None else (-1, id(self))

    def name(self) -> bytes:
        """What /proc/self/fd/N points at."""
        node = self.node()
        return node.where() if node is not None else b"anon_inode:[file]"

    def close(self) -> None:
        """Called once, when no descriptor is left."""


class PathFile(OpenFile):
    """What O_PATH opens of a file of our own: a place, not a file."""

    def __init__(self, node: Node, flags: int) -> None:
        super().__init__(flags | O_PATH)
        self._node = node

    def stat(self, task: LinuxTask) -> os.stat_result | Stat:
        return self._node.stat(task)

    def node(self) -> Node | None:
        return self._node


class FileTable:
    """Descriptors: number -> OpenFile, and which of them exec closes. The lowest free number is given out.

    locks: of the run; a descriptor that is closed drops some.
    """

    def __init__(self, limit: int, locks: LockTable) -> None:
        self._locks = locks
        self._files: dict[int, OpenFile] = {}
        self._cloexec: set[int] = set()
        self._free = 0  # below it all are taken
        self.limit = limit

    def get(self, fd: int) -> OpenFile:
        """EBADF if there is none."""
        file = self._files.get(fd)
        if file is None:
            raise LinuxError(errno.EBADF)
        return file

    def get_io(self, fd: int) -> OpenFile:
        """For calls that work on an open file and not on a mere place (O_PATH): EBADF for the latter too."""
        file = self._files.get(fd)
        if file is None or file.flags & O_PATH:
            raise LinuxError(errno.EBADF)
        return file

    def add(self, file: OpenFile, *, cloexec: bool = False, lowest: int = 0) -> int:
        """The new descriptor, at least `lowest`; EMFILE at the limit (the file is closed then if nobody has it)."""
        fd = max(lowest, self._free)
        while fd in self._files:
            fd += 1
        if lowest <= self._free:
            self._free = fd
        if fd >= self.limit:
            if not file.refs:
                file.close()
            raise LinuxError(errno.EMFILE)
        self._set(fd, file, cloexec)
        return fd

    def place(self, fd: int, file: OpenFile, *, cloexec: bool = False) -> None:
        """Make `fd` refer to `file`, closing what it was. EBADF beyond the limit."""
        if not 0 <= fd < self.limit:
            raise LinuxError(errno.EBADF)
        file.refs += 1
        if fd in self._files:
            self.close(fd)
        file.refs -= 1
        self._set(fd, file, cloexec)

    def _set(self, fd: int, file: OpenFile, cloexec: bool) -> None:
        self._files[fd] = file
        file.refs += 1
        if cloexec:
            self._cloexec.add(fd)

    def close(self, fd: int) -> None:
        """EBADF if there is none."""
        file = self._files.pop(fd, None)
        if file is None:
            raise LinuxError(errno.EBADF)
        self._cloexec.discard(fd)
        self._free = min(self._free, fd)
        file.refs -= 1
        self._locks.closed(self, file, last=file.refs == 0)
        if file.refs == 0:
            file.close()

    def cloexec(self, fd: int) -> bool:
        self.get(fd)
        return fd in self._cloexec

    def set_cloexec(self, fd: int, on: bool) -> None:
        self.get(fd)
        if on:
            self._cloexec.add(fd)
        else:
            self._cloexec.discard(fd)

    def name_removed(self, identity: tuple[int, int]) -> None:
        """The guest itself removed one of several names of a file of the host's."""
        for file in self._files.values():
            file.name_removed(identity)

    def descriptors(self) -> list[int]:
        return sorted(self._files)

    def close_on_exec(self) -> None:
        for fd in sorted(self._cloexec):
            self.close(fd)

    def close_all(self) -> None:
        for fd in self.descriptors():
            self.close(fd)
