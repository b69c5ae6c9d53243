"""Names of the machine's own terminals: /dev/ptmx, /dev/pts/N, and /dev/tty for who has one of them. Source: pts(4),
fs/devpts/inode.c, ptmx_open and pty_open of drivers/tty/pty.c.

A terminal's node has the owner and the mode that it was made with or given since.
"""

from __future__ import annotations

import errno
import os
import stat

from ...errors import LinuxError
from ..files.pty import MasterFile, Pty, SlaveFile
from ..signals import jobs
from .host.terminal import terminals
from .node import Node, Stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

_DEVPTS = 0x18
_MAGIC = 0x1CD1
_MOST = 4096
"""Terminals that there may be (kernel.pty.max)."""


class SlaveNode(Node):
    """/dev/pts/N."""

    dev = _DEVPTS
    magic = _MAGIC

    def __init__(self, path: bytes, pty: Pty) -> None:
        super().__init__(path)
        self._pty = pty
        self.mode = pty.mode

    @property
    def ino(self) -> int:
        return self._pty.number + 3

    def stat(self, task: LinuxTask) -> Stat:
        pty = self._pty
        found = Stat(pty.mode, self.ino, self.dev, task.machine.host.realtime_ns(), rdev=pty.device)
        found.st_uid, found.st_gid, found.st_blksize = pty.uid, pty.gid, 1024
        return found

    def changeable(self) -> SlaveNode:
        return self

    def set_mode(self, mode: int) -> None:
        self._pty.mode = self.mode = stat.S_IFCHR | mode & 0o7777

    def set_owner(self, uid: int, gid: int) -> None:
        pty, keep = self._pty, (-1, 0xFFFF_FFFF)
        pty.uid = pty.uid if uid in keep else uid
        pty.gid = pty.gid if gid in keep else gid

    def set_times(self, times: bytes | None) -> None:
        """None are kept: all are those of the moment."""

    def open(self, task: LinuxTask, flags: int) -> SlaveFile:
        """EIO while the master keeps it locked, or is no more."""
        pty = self._pty
        if pty.locked or not pty.master:
            raise LinuxError(errno.EIO)
        if pty.exclusive and not task.creds.reigns:
            raise LinuxError(errno.EBUSY)
        file = SlaveFile(pty, self, flags & ~os.O_NOCTTY)
        if not flags & os.O_NOCTTY:
            jobs.opened(task, pty, readable=file.readable)
        return file


class PtmxNode(Node):
    """/dev/ptmx: each open makes a terminal, and is its master."""

    mode = stat.S_IFCHR | 0o666
    dev = 0x5
    immutable = errno.EROFS
    magic = 0x01021994

    def stat(self, task: LinuxTask) -> Stat:
        return Stat(self.mode, self.ino, self.dev, task.machine.host.realtime_ns(), rdev=os.makedev(5, 2))

    def open(self, task: LinuxTask, flags: int) -> MasterFile:
        """ENOSPC if there are as many as there may be."""
        machine = task.machine
        given = {name for name, _ in terminals(task)}
        number = next((n for n in range(_MOST) if n not in machine.ptys and b"/dev/pts/%d" % n not in given), None)
        if number is None:
            raise LinuxError(errno.ENOSPC)
        pty = machine.ptys[number] = Pty(machine, number, task.creds.euid)
        node = SlaveNode(b"/dev/pts/%d" % number, pty)
        return MasterFile(pty, self, flags & ~os.O_NOCTTY, node.open)


def slave(task: LinuxTask, name: bytes) -> SlaveNode | None:
    """The node of a name in /dev/pts; None if there is none."""
    if not name.isdigit() or (name.startswith(b"0") and name != b"0") or len(name) > 7:
        return None
    pty = task.machine.ptys.get(int(name))
    return SlaveNode(b"/dev/pts/" + name, pty) if pty is not None else None


def open_controlling(task: LinuxTask, flags: int) -> SlaveFile | None:
    """/dev/tty of who has a terminal of the machine's own; None of others."""
    pty = task.group.tty
    if not isinstance(pty, Pty):
        return None
    if not pty.master:
        raise LinuxError(errno.EIO)
    return SlaveFile(pty, SlaveNode(b"/dev/pts/%d" % pty.number, pty), flags & ~os.O_NOCTTY)
