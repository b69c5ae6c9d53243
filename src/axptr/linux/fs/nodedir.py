"""An open directory whose entries our own nodes give: /proc, /dev, and any directory in which something is mounted that
the tree below has no name for."""

from __future__ import annotations

import errno
import os
import stat
from struct import pack

from ...errors import LinuxError
from ...flags import WRITE
from .openfile import MAX_OFFSET, OpenFile, sought

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask
    from ..uaccess import UserIter
    from .node import AnyStat, Node


def dirent(ino: int, cookie: int, kind: int, name: bytes) -> bytes:
    """struct linux_dirent64. kind: the type bits of a mode. cookie: where the next entry is."""
    size = (19 + len(name) + 1 + 7) & ~7
    return pack("<QqHB", ino, cookie, size, kind >> 12) + name.ljust(size - 19, b"\0")


class NodeDirFile(OpenFile):
    """An open directory of our own. Entries are read when first asked for, and again after a seek to 0."""

    seekable = True
    kind = stat.S_IFDIR

    def __init__(self, node: Node, flags: int) -> None:
        super().__init__(flags)
        self._node = node
        self._entries: list[tuple[bytes, int, int]] | None = None
        self._pos = 0

    @property
    def overlaid(self) -> Node | None:  # type: ignore[override]
        return self._node if self._node.layered else None

    def stat(self, task: LinuxTask) -> AnyStat:
        return self._node.stat(task)

    def node(self) -> Node | None:
        return self._node

    def read(self, task: LinuxTask, to: UserIter, pos: int | None) -> int:
        raise LinuxError(errno.EISDIR)

    def seek(self, offset: int, whence: int) -> int:
        if whence not in (os.SEEK_SET, os.SEEK_CUR):
            raise LinuxError(errno.EINVAL)
        most: int = getattr(self._node, "max_offset", MAX_OFFSET)
        self._pos = target = sought(offset, self._pos if whence == os.SEEK_CUR else 0, most)
        if target == 0:
            self._entries = None
        return target

    def _list(self, task: LinuxTask) -> list[tuple[bytes, int, int]]:
        if self._entries is None:
            here = self._node
            entries = [(b".", here.ino, here.mode), (b"..", here.ino ^ 1, here.mode)]
            mounted = set(task.fs.mounts.names_in(here))
            for name, ino, mode in here.listing(task):
                node = task.fs.mounts.at(here, name) if name in mounted else None
                mounted.discard(name)
                entries.append((name, ino, mode) if node is None else (name, node.ino, node.mode))
            for name in mounted:
                node = task.fs.mounts.at(here, name)
                if node is not None:
                    entries.append((name, node.ino, node.mode))
            self._entries = entries
        return self._entries

    def getdents(self, task: LinuxTask, to: UserIter) -> int:
        entries, data = self._list(task), b""
        at = self._pos
        while at < len(entries):
            name, ino, mode = entries[at]
            entry = dirent(ino, at + 1, stat.S_IFMT(mode), name)
            if len(data) + len(entry) > to.count:
                break
            at += 1
            data += entry
        if not data and at < len(entries):
            raise LinuxError(errno.EINVAL)
        if to.copy_out(data) < len(data):
            raise to.fault(WRITE)
        self._pos = at
        return len(data)
