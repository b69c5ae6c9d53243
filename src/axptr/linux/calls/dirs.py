"""Directories: the entries of our own ones, and the calls that read them. Source: getdents(2)."""

from __future__ import annotations

import errno
import os
import stat
from struct import pack
from typing import TYPE_CHECKING

from ...errors import LinuxError
from ...flags import WRITE
from ...kernel.abi import c_uint
from ..fs.node import DirNode, Node, Stat
from ..fs.openfile import OpenFile, sought
from ..registry import call
from ..uaccess import Bytes, UserIter

if TYPE_CHECKING:
    from ..task.task import LinuxTask


class NodeDirFile(OpenFile):
    """An open directory of our own. Entries are read when first asked for, and again after a seek to 0."""

    seekable = True

    def __init__(self, node: DirNode, flags: int) -> None:
        super().__init__(flags)
        self._node = node
        self._entries: list[tuple[bytes, int, int]] | None = None
        self._pos = 0

    def stat(self, task: LinuxTask) -> os.stat_result | Stat:
        return self._node.stat(task)

    def node(self) -> Node | None:
        return self._node

    def read(self, task: LinuxTask, to: UserIter, pos: int | None) -> int:
        raise LinuxError(errno.EISDIR)

    def seek(self, offset: int, whence: int) -> int:
        if whence not in (os.SEEK_SET, os.SEEK_CUR):
            raise LinuxError(errno.EINVAL)
        self._pos = target = sought(offset, self._pos if whence == os.SEEK_CUR else 0, self._node.max_offset)
        if target == 0:
            self._entries = None
        return target

    def _list(self, task: LinuxTask) -> list[tuple[bytes, int, int]]:
        if self._entries is None:
            here = self._node
            entries = [(b".", here.ino, here.mode), (b"..", here.ino ^ 1, here.mode)]
            for name in here.names(task):
                node = here.lookup(task, name)
                mode = node.mode if node is not None else stat.S_IFDIR
                entries.append((name, node.ino if node is not None else 1, mode))
            self._entries = entries
        return self._entries

    def getdents(self, task: LinuxTask, to: UserIter) -> int:
        entries, data = self._list(task), b""
        at = self._pos
        while at < len(entries):
            name, ino, mode = entries[at]
            size = (19 + len(name) + 1 + 7) & ~7
            if len(data) + size > to.count:
                break
            at += 1
            data += pack("<QqHB", ino, at, size, stat.S_IFMT(mode) >> 12) + name.ljust(size - 19, b"\0")
        if not data and at < len(entries):
            raise LinuxError(errno.EINVAL)
        if to.copy_out(data) < len(data):
            raise to.fault(WRITE)
        self._pos = at
        return len(data)


@call("getdents64")
def sys_getdents64(task: LinuxTask, fd: c_uint, dirent: Bytes, count: c_uint) -> int:
    file = task.files.get_io(fd)
    return file.getdents(task, UserIter.single(task, dirent.address, count))
