"""Files that are the personality's own: what stands in its /proc and /dev.

A node answers `stat`, and by kind `lookup` and `names` (directory), `follow` (symbolic link), `open` (file, device).
What it opens is an `OpenFile`. Nodes hold no state of a task; they are asked with the task in hand.
"""

from __future__ import annotations

import errno
import os
import stat
import time
import zlib
from typing import TYPE_CHECKING

from ..errors import LinuxError

if TYPE_CHECKING:
    from .openfile import OpenFile
    from .task import LinuxTask


MAX_OFFSET = (1 << 63) - 1
"""The largest offset that a file can have (loff_t)."""
_MAX_NON_LFS = (1 << 31) - 1


class Stat:
    """What `stat` tells of a file of our own; the same names as `os.stat_result`. Times in nanoseconds."""

    __slots__ = (
        "st_atime_ns",
        "st_blksize",
        "st_blocks",
        "st_ctime_ns",
        "st_dev",
        "st_gid",
        "st_ino",
        "st_mode",
        "st_mtime_ns",
        "st_nlink",
        "st_rdev",
        "st_size",
        "st_uid",
    )

    def __init__(self, mode: int, ino: int, dev: int, *, rdev: int = 0, size: int = 0, nlink: int = 1) -> None:
        now = time.time_ns()
        self.st_mode = mode
        self.st_ino = ino
        self.st_dev = dev
        self.st_rdev = rdev
        self.st_size = size
        self.st_nlink = nlink
        self.st_uid = self.st_gid = 0
        self.st_blksize = 4096 if rdev else 1024
        self.st_blocks = 0
        self.st_atime_ns = self.st_mtime_ns = self.st_ctime_ns = now


class Node:
    """One file of our own. mode: type and permission bits. path: where it stands, for messages and inode numbers."""

    mode = stat.S_IFREG | 0o444
    dev = 0x17
    magic = 0x9FA0
    """f_type of statfs: PROC_SUPER_MAGIC."""
    twin: bytes | None = None
    """A file of the host that says what stat tells of this one; used while it is there and of the same kind."""

    def __init__(self, path: bytes) -> None:
        self.path = path

    @property
    def ino(self) -> int:
        return zlib.crc32(self.path) | 0x1_0000_0000

    def stat(self, task: LinuxTask) -> os.stat_result | Stat:
        return self.twin_stat() or Stat(self.mode, self.ino, self.dev)

    def twin_stat(self) -> os.stat_result | None:
        if self.twin is not None:
            try:
                status = os.lstat(self.twin)
            except OSError:
                return None
            if stat.S_IFMT(status.st_mode) == stat.S_IFMT(self.mode):
                return status
        return None

    def open(self, task: LinuxTask, flags: int) -> OpenFile:
        raise LinuxError(errno.ENXIO)


class DirNode(Node):
    """A directory. Subclasses give `names` and `lookup`. max_offset: as far as one can seek (s_maxbytes, of procfs)."""

    mode = stat.S_IFDIR | 0o555
    max_offset = _MAX_NON_LFS

    def stat(self, task: LinuxTask) -> os.stat_result | Stat:
        return self.twin_stat() or Stat(self.mode, self.ino, self.dev, nlink=2)

    def lookup(self, task: LinuxTask, name: bytes) -> Node | None:
        raise NotImplementedError

    def names(self, task: LinuxTask) -> list[bytes]:
        raise NotImplementedError

    def open(self, task: LinuxTask, flags: int) -> OpenFile:
        from .dirs import NodeDirFile

        return NodeDirFile(self, flags)


class LinkNode(Node):
    """A symbolic link. `target` is what readlink tells; `follow` may give the file itself (a magic link)."""

    mode = stat.S_IFLNK | 0o777

    def target(self, task: LinuxTask) -> bytes:
        raise NotImplementedError

    def follow(self, task: LinuxTask) -> bytes | Node:
        return self.target(task)


class TextLink(LinkNode):
    """A symbolic link that always says the same."""

    def __init__(self, path: bytes, target: bytes) -> None:
        super().__init__(path)
        self._target = target

    def target(self, task: LinuxTask) -> bytes:
        return self._target
