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


class DeviceNode(Node):
    mode = stat.S_IFCHR | 0o666
    dev = 0x5
    immutable = errno.EROFS
    magic = 0x01021994

    def __init__(self, path: bytes, major: int, minor: int, kind: str) -> None:
        super().__init__(path)
        self._rdev = os.makedev(major, minor)
        self._kind = kind
        self.twin = path

    def stat(self, task: LinuxTask) -> AnyStat:
        status = self.twin_stat(task)
        if status is not None and status.st_rdev == self._rdev:
            return status
        return Stat(self.mode, self.ino, self.dev, task.machine.host.realtime_ns(), rdev=self._rdev)

    def open(self, task: LinuxTask, flags: int) -> OpenFile:
        from .devfiles import KINDS  # which few programs need

        return KINDS[self._kind](self, flags)

    def open_twin(self, mode: int) -> int:
        path = self.path
        if self._kind == "random" and mode != os.O_RDONLY:  # what is written there goes nowhere
            path = b"/dev/null"
        try:
            fd = os.open(path, mode | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            raise LinuxError(errno.EINVAL) from None
        if stat.S_ISCHR(os.fstat(fd).st_mode) and os.major(os.fstat(fd).st_rdev) == os.major(self._rdev):
            return fd
        os.close(fd)
        raise LinuxError(errno.EINVAL)


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
            b"null": DeviceNode(b"/dev/null", 1, 3, "null"),
            b"zero": DeviceNode(b"/dev/zero", 1, 5, "zero"),
            b"full": DeviceNode(b"/dev/full", 1, 7, "full"),
            b"random": DeviceNode(b"/dev/random", 1, 8, "random"),
            b"urandom": DeviceNode(b"/dev/urandom", 1, 9, "random"),
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
