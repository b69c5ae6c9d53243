"""The personality's own /dev: null, zero, full, random, urandom, tty, the standard streams' names.

Device numbers are Linux' (mem(4), null(4), full(4), random(4)). Nothing of the host's /dev is shown, except /dev/tty,
which is the terminal the user sits at, and /dev/shm, on which an ordinary directory is mounted.
"""

from __future__ import annotations

import errno
import os
import stat

from ...errors import LinuxError
from .host.calls import host
from .host.tree import file_of
from .node import (
    DirNode,
    Node,
    Stat,
    TextLink,
)
from .openfile import MAX_OFFSET
from .ttynames import Pts, terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask
    from .node import AnyStat
    from .openfile import OpenFile


_MEMORY = {3: "null", 5: "zero", 7: "full", 8: "random", 9: "random"}
"""What the memory devices are, by minor number (major 1)."""


class DeviceNode(Node):
    mode = stat.S_IFCHR | 0o666
    dev = 0x5
    immutable = errno.EROFS
    magic = 0x01021994

    def __init__(self, path: bytes, minor: int) -> None:
        super().__init__(path)
        self._rdev = os.makedev(1, minor)
        self._kind = _MEMORY[minor]
        self.twin = path

    def stat(self, task: LinuxTask) -> AnyStat:
        status = self.twin_stat(task)
        if status is not None and status.st_rdev == self._rdev:
            return status
        return Stat(self.mode, self.ino, self.dev, task.machine.host.realtime_ns(), rdev=self._rdev)

    def open(self, task: LinuxTask, flags: int) -> OpenFile:
        from .devfiles import KINDS  # which few programs need

        return KINDS[self._kind](self, flags)


def open_device(task: LinuxTask, node: Node, rdev: int, flags: int) -> OpenFile:
    """Open a device by its number, whatever it is called: what mknod made beside /dev. ENXIO for those that there are
    not here."""
    from .devfiles import KINDS

    major, minor = os.major(rdev), os.minor(rdev)
    if major == 1 and (kind := _MEMORY.get(minor)) is not None:
        return KINDS[kind](node, flags)
    if (major, minor) == (5, 0):
        return TtyNode(b"/dev/tty").open(task, flags)
    if (major, minor) == (5, 2):
        from .ptsnodes import PtmxNode

        return PtmxNode(b"/dev/ptmx").open(task, flags)
    raise LinuxError(errno.ENXIO)


class TtyNode(Node):
    """/dev/tty: the host's own, if there is a terminal (ENXIO if not)."""

    mode = stat.S_IFCHR | 0o666
    dev = 0x5
    immutable = errno.EROFS
    magic = 0x01021994

    twin = b"/dev/tty"

    def stat(self, task: LinuxTask) -> AnyStat:
        return self.twin_stat(task) or Stat(
            self.mode, self.ino, self.dev, task.machine.host.realtime_ns(), rdev=os.makedev(5, 0)
        )

    def open(self, task: LinuxTask, flags: int) -> OpenFile:
        if task.group.tty is None:
            raise LinuxError(errno.ENXIO)
        if task.machine.ptys:
            from .ptsnodes import open_controlling

            own = open_controlling(task, flags)
            if own is not None:
                return own
        keep = os.O_ACCMODE | os.O_NONBLOCK
        fd = host(os.open, b"/dev/tty", flags & keep | os.O_NOCTTY | os.O_CLOEXEC)
        return file_of(fd, flags)


class Dev(DirNode):
    """The directory /dev."""

    mode = stat.S_IFDIR | 0o755
    dev = 0x5
    immutable = errno.EROFS
    magic = 0x01021994
    max_offset = MAX_OFFSET

    def __init__(self) -> None:
        super().__init__(b"/dev")
        self.twin = b"/dev"
        self._nodes: dict[bytes, Node] = {
            b"null": DeviceNode(b"/dev/null", 3),
            b"zero": DeviceNode(b"/dev/zero", 5),
            b"full": DeviceNode(b"/dev/full", 7),
            b"random": DeviceNode(b"/dev/random", 8),
            b"urandom": DeviceNode(b"/dev/urandom", 9),
            b"tty": TtyNode(b"/dev/tty"),
            b"pts": Pts(b"/dev/pts"),
            b"fd": TextLink(b"/dev/fd", b"/proc/self/fd"),
            b"stdin": TextLink(b"/dev/stdin", b"/proc/self/fd/0"),
            b"stdout": TextLink(b"/dev/stdout", b"/proc/self/fd/1"),
            b"stderr": TextLink(b"/dev/stderr", b"/proc/self/fd/2"),
        }

    def lookup(self, task: LinuxTask, name: bytes) -> Node | None:
        node = self._nodes.get(name)
        if name == b"ptmx":
            from .ptsnodes import PtmxNode  # which few programs open

            return PtmxNode(b"/dev/ptmx")
        return terminal(task, b"/dev/" + name) if node is None else node

    def names(self, task: LinuxTask) -> list[bytes]:
        return [*self._nodes, b"ptmx"]
