"""Who the process is and how it ends: exit, execve, ids. Source: the man pages of each call.

Identities are the host's, to be read; changing them to what they are already is allowed, anything else is EPERM.
Children are another matter (`clone`, `wait`).
"""

from __future__ import annotations

import errno
from struct import pack

from ...errors import LinuxError
from ...kernel.abi import c_int, c_size_t, c_uint
from ..registry import call
from ..uaccess import (
    Bytes,
    ConstBytes,
    put_user,
    read_path,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.group import ThreadGroup
    from ..task.task import LinuxTask

# -- the end, and a new beginning


@call("exit")
def sys_exit(task: LinuxTask, code: c_int) -> int | None:
    task.exit_thread(code)
    return None


@call("exit_group")
def sys_exit_group(task: LinuxTask, code: c_int) -> int | None:
    task.exit(code)
    return None


@call("execve")
def sys_execve(task: LinuxTask, path: ConstBytes, argv: ConstBytes, envp: ConstBytes) -> int | None:
    from ..task.exec import execve

    execve(task, read_path(task, path), argv.address, envp.address)
    return None


# -- identity


@call("getpid")
def sys_getpid(task: LinuxTask) -> int:
    return task.pid


@call("gettid")
def sys_gettid(task: LinuxTask) -> int:
    return task.tid


@call("getppid")
def sys_getppid(task: LinuxTask) -> int:
    return task.group.ppid


def find(task: LinuxTask, pid: int) -> LinuxTask:
    """The thread of a number, 0 for the caller's own. ESRCH."""
    found = task if pid == 0 else task.machine.thread(pid)
    if found is None:
        raise LinuxError(errno.ESRCH)
    return found


def find_group(task: LinuxTask, pid: int) -> ThreadGroup:
    """The process of a number, or of one of its threads' numbers; 0 for the caller's own. ESRCH."""
    found = task.machine.pids.groups.get(pid)
    return found if found is not None else find(task, pid).group


@call("getpgrp")
def sys_getpgrp(task: LinuxTask) -> int:
    return task.group.pgid


@call("getpgid")
def sys_getpgid(task: LinuxTask, pid: c_int) -> int:
    return find_group(task, pid).pgid


@call("getsid")
def sys_getsid(task: LinuxTask, pid: c_int) -> int:
    return find_group(task, pid).sid


@call("setsid")
def sys_setsid(task: LinuxTask) -> int:
    """EPERM for one that leads a process group, or whose number is one's (ksys_setsid)."""
    group, pids = task.group, task.machine.pids
    if group.sid == group.tgid or pids.members(group.tgid):
        raise LinuxError(errno.EPERM)
    pids.set_session(group)
    return group.sid


@call("setpgid")
def sys_setpgid(task: LinuxTask, pid: c_int, pgid: c_int) -> int:
    """Of itself, or of a child that has not called execve yet (EACCES), within the session (EPERM)."""
    pids, own = task.machine.pids, task.group
    pid = pid or own.tgid
    pgid = pgid or pid
    if pgid < 0:
        raise LinuxError(errno.EINVAL)
    goal = pids.groups.get(pid)
    if goal is None:
        raise LinuxError(errno.EINVAL if pid in pids.tasks else errno.ESRCH)
    if goal.parent is own:
        if goal.sid != own.sid:
            raise LinuxError(errno.EPERM)
        if goal.executed:
            raise LinuxError(errno.EACCES)
    elif goal is not own:
        raise LinuxError(errno.ESRCH)
    if goal.sid == goal.tgid:
        raise LinuxError(errno.EPERM)
    if pgid != pid and all(member.sid != own.sid for member in pids.members(pgid)):
        raise LinuxError(errno.EPERM)
    if goal.pgid != pgid:
        pids.set_group(goal, pgid)
    return 0


# -- thread and process state


@call("set_tid_address")
def sys_set_tid_address(task: LinuxTask, address: Bytes) -> int:
    task.clear_child_tid = address.address
    return task.tid


@call("set_robust_list")
def sys_set_robust_list(task: LinuxTask, head: Bytes, size: c_size_t) -> int:
    if size != 24:
        raise LinuxError(errno.EINVAL)
    task.robust_list = (head.address, size)
    return 0


@call("get_robust_list")
def sys_get_robust_list(task: LinuxTask, pid: c_int, head: Bytes, size: Bytes) -> int:
    from ..task.looking import require_look

    goal = find(task, pid)
    require_look(task, goal)
    put_user(task, size.address, pack("<Q", 24))
    put_user(task, head.address, pack("<Q", goal.robust_list[0]))
    return 0


@call("personality")
def sys_personality(task: LinuxTask, persona: c_uint) -> int:
    """Kept for it to read back. Of what a persona can ask, uname's answers change; addresses are never random."""
    before = task.kept.personality
    if persona != 0xFFFF_FFFF:
        task.kept.personality = persona
    return before
