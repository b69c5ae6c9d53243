"""A process by a descriptor: pidfd_open(2), CLONE_PIDFD. It is ready to be read once the process has ended."""

from __future__ import annotations

import errno
import os

from ...errors import LinuxError
from ..fs.node import Node, Stat
from ..fs.openfile import OpenFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...kernel.wait import WaitQueue
    from ..machine import Machine
    from ..task.group import ThreadGroup
    from ..task.task import LinuxTask

_POLLIN, _POLLHUP, _POLLRDNORM = 1, 16, 64
_MODE = 0o100700
_NAME_SPACES = {
    0xFF01: b"cgroup", 0xFF02: b"ipc", 0xFF03: b"mnt", 0xFF04: b"net", 0xFF05: b"pid", 0xFF06: b"pid_for_children",
    0xFF07: b"time", 0xFF08: b"time_for_children", 0xFF09: b"user", 0xFF0A: b"uts",
}  # fmt: skip
"""PIDFD_GET_CGROUP_NAMESPACE and so on, and whose files in /proc/PID/ns they are."""
_PIDFS = 0x1000_000E


class PidFile(OpenFile):
    """It holds the process's record, also after somebody has waited for it: its number is then nobody's.

    thread: whether it is of a thread alone (PIDFD_THREAD): ready when that one ends.
    """

    asynchronous = False

    def __init__(self, machine: Machine, flags: int = 0, *, thread: bool = False) -> None:
        super().__init__(os.O_RDWR | flags)
        self.thread = thread
        self._task: LinuxTask | None = None
        self._ino = machine.next_inode()

    @property
    def large(self) -> int:
        return 0

    @classmethod
    def of(cls, task: LinuxTask, flags: int, *, thread: bool) -> PidFile:
        """For a task that there is."""
        file = cls(task.machine, flags, thread=thread)
        file.refer(task)
        return file

    def refer(self, task: LinuxTask) -> None:
        """Say whose it is, once."""
        self._task = task

    @property
    def task(self) -> LinuxTask:
        assert self._task is not None
        return self._task

    @property
    def group(self) -> ThreadGroup:
        return self.task.group

    @property
    def gone(self) -> bool:
        """Whether nobody has its number any more."""
        task = self.task
        return task.machine.thread(task.tid) is not task

    def ready(self, mask: int) -> int:
        if self.gone:
            return mask & (_POLLIN | _POLLRDNORM | _POLLHUP) | _POLLHUP
        over = self.task.dead if self.thread else self.group.zombie
        return mask & (_POLLIN | _POLLRDNORM) if over else 0

    @property
    def queue(self) -> WaitQueue:
        return self.group.finished.queue

    def stat(self, task: LinuxTask) -> Stat:
        return Stat(_MODE, self._ino, _PIDFS, task.machine.host.realtime_ns())

    def ioctl(self, task: LinuxTask, command: int, argument: int) -> int | None:
        """A name space of the process by a descriptor, as its file in /proc/PID/ns is (pidfd_ioctl)."""
        name = _NAME_SPACES.get(command)
        if name is None:
            return super().ioctl(task, command, argument)
        if argument:
            raise LinuxError(errno.EINVAL)
        if self.task.dead:
            raise LinuxError(errno.ESRCH)
        from ..proc.nodes import name_spaces
        from ..task.looking import require_look

        require_look(task, self.task)
        link = name_spaces(b"", lambda t: self.task).lookup(task, name)
        assert link is not None
        node = link.follow(task)
        assert isinstance(node, Node)
        return task.files.add(node.open(task, os.O_RDONLY), cloexec=True)

    def info(self) -> bytes:
        number = -1 if self.gone else self.task.tid
        return b"Pid:\t%d\nNSpid:\t%d\n" % (number, number)

    def name(self) -> bytes:
        return b"anon_inode:[pidfd]"


def add_pidfd(task: LinuxTask, goal: LinuxTask) -> int:
    """A descriptor of a process, under a new number."""
    return task.files.add(PidFile.of(goal.group.leader, 0, thread=False), cloexec=True)
