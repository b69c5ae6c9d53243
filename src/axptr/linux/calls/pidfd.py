"""Processes by descriptors: pidfd_open, pidfd_getfd. Source: pidfd_open(2), pidfd_getfd(2), kernel/pid.c. Sending
signals through one is `calls.signals`'s."""

from __future__ import annotations

import errno
import os

from ...errors import LinuxError
from ...kernel.abi import c_int, c_uint
from ..files.pidfd import PidFile
from ..fs.openfile import O_NONBLOCK
from ..registry import call
from ..task.looking import require_look
from .process import find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

PIDFD_THREAD = os.O_EXCL


@call("pidfd_open")
def sys_pidfd_open(task: LinuxTask, pid: c_int, flags: c_uint) -> int:
    """Of a process, by the number of its first thread; with PIDFD_THREAD of any thread."""
    if flags & ~(O_NONBLOCK | PIDFD_THREAD) or pid <= 0:
        raise LinuxError(errno.EINVAL)
    goal = find(task, pid)
    if not flags & PIDFD_THREAD and goal is not goal.group.leader:
        raise LinuxError(errno.ENOENT)
    file = PidFile.of(goal, flags & O_NONBLOCK, thread=bool(flags & PIDFD_THREAD))
    return task.files.add(file, cloexec=True)


@call("pidfd_getfd")
def sys_pidfd_getfd(task: LinuxTask, pidfd: c_int, fd: c_int, flags: c_uint) -> int:
    """Another's open file under a number of one's own. EPERM for a process of another user."""
    if flags:
        raise LinuxError(errno.EINVAL)
    file = task.files.get_io(pidfd)
    if not isinstance(file, PidFile):
        raise LinuxError(errno.EBADF)
    goal = file.task
    if goal.dead:
        raise LinuxError(errno.ESRCH)
    require_look(task, goal)
    return task.files.add(goal.files.get(fd), cloexec=True)
