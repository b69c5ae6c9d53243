"""The terminals that a program was given, by their names: /dev/pts/N and the like, where ttyname(3) looks for them.

Only those that one of the program's descriptors refers to are there; the host's others are not to be seen.
"""

from __future__ import annotations

import os
import stat

from .host.calls import host
from .host.terminal import terminals
from .host.tree import file_of
from .node import DirNode, Node
from .openfile import O_PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask
    from .host.file import HostFile
    from .node import AnyStat
    from .openfile import OpenFile

_KEPT = os.O_ACCMODE | os.O_NONBLOCK


def terminal(task: LinuxTask, path: bytes) -> TerminalNode | None:
    """The terminal called `path`, if the program has it."""
    for name, file in terminals(task):
        if name == path:
            return TerminalNode(path, file)
    return None


class TerminalNode(Node):
    """A terminal, found by name. Opening it makes a description of its own."""

    mode = stat.S_IFCHR | 0o620
    magic = 0x1CD1

    def __init__(self, path: bytes, file: HostFile) -> None:
        super().__init__(path)
        self._file = file
        self.mode = host(os.fstat, file.host_fd).st_mode

    @property
    def identity(self) -> tuple[int, int]:
        return self._file.identity

    @property
    def ino(self) -> int:
        return self._file.identity[1]

    def stat(self, task: LinuxTask) -> AnyStat:
        return host(os.fstat, self._file.host_fd)

    def open(self, task: LinuxTask, flags: int) -> OpenFile:
        path = b"/proc/self/fd/%d" % self._file.host_fd
        fd = host(os.open, path, flags & _KEPT | os.O_NOCTTY | os.O_CLOEXEC)
        return file_of(fd, flags & ~O_PATH)


class Pts(DirNode):
    """The directory /dev/pts."""

    mode = stat.S_IFDIR | 0o755
    dev = 0x18
    magic = 0x1CD1
    twin = b"/dev/pts"

    def lookup(self, task: LinuxTask, name: bytes) -> Node | None:
        if task.machine.ptys or name == b"ptmx":
            from .ptsnodes import PtmxNode, slave

            own = PtmxNode(b"/dev/pts/ptmx") if name == b"ptmx" else slave(task, name)
            if own is not None:
                return own
        return terminal(task, self.path + b"/" + name)

    def names(self, task: LinuxTask) -> list[bytes]:
        start = self.path + b"/"
        given = {name[len(start) :] for name, _ in terminals(task) if name.startswith(start)}
        return [*sorted(given | {b"%d" % number for number in task.machine.ptys}), b"ptmx"]
