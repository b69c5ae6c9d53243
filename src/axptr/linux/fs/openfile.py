"""Open files: what a descriptor refers to.

`OpenFile` is Linux' struct file: flags, a position, the operations. Descriptors made by dup share one. The base
class refuses every operation with the errno Linux gives for a file without it; `HostFile` (`fs.host.file`), directories
(`calls.dirs`), /proc (`proc`) and the devices (`fs.dev`) override what they can do. The table of descriptors is
`task.filetable`.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ...errors import LinuxError
from .node import MAX_OFFSET

if TYPE_CHECKING:
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
