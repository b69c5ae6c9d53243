"""Open files without a name in any tree: Linux' anonymous inodes, which eventfd, epoll and their like share. Source:
fs/anon_inodes.c.
"""

from __future__ import annotations

import errno
import os

from ..fs.node import Node, Stat
from ..fs.openfile import OpenFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..fs.node import AnyStat
    from ..task.task import LinuxTask

_ST_DEV = 0x0E
_INODE = 1


class AnonNode(Node):
    """The one inode of all of them: it can be looked at, and not be opened again."""

    mode = 0o600
    dev = _ST_DEV
    magic = 0x0904_1934
    immutable = errno.EOPNOTSUPP

    @property
    def ino(self) -> int:
        return _INODE

    def stat(self, task: LinuxTask) -> Stat:
        found = Stat(self.mode, self.ino, self.dev, task.machine.host.realtime_ns())
        found.st_blksize = 4096
        return found


class AnonFile(OpenFile):
    """The base of them. what: the word in `anon_inode:[what]`.

    A subclass has `ready` and `queue`, `read` and `write` where it can be read and written.
    """

    what = b"file"
    may_wait = True

    def __init__(self, flags: int, what: bytes | None = None) -> None:
        super().__init__(os.O_RDWR | flags)
        if what is not None:
            self.what = what

    @property
    def large(self) -> int:
        return 0

    @property
    def identity(self) -> tuple[int, int]:
        return _ST_DEV, _INODE

    def lock_key(self) -> tuple[int, int]:
        return _ST_DEV, _INODE

    def node(self) -> Node:
        return AnonNode(self.name())

    def stat(self, task: LinuxTask) -> AnyStat:
        return self.node().stat(task)

    def name(self) -> bytes:
        return b"anon_inode:[" + self.what + b"]"

    def seek(self, offset: int, whence: int) -> int:
        """There is no position: it is asked for in vain, and nothing refuses (noop_llseek)."""
        return 0
