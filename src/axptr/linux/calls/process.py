"""Who the process is and how it ends: exit, execve, ids. Source: the man pages of each call.

Identities are the host's, to be read; changing them to what they are already is allowed, anything else is EPERM.
Children are another matter (`clone`, `wait`).
"""

from __future__ import annotations

import errno
from struct import pack, unpack

from ...errors import LinuxError
from ...kernel.abi import c_int, c_size_t, c_uint
from ..registry import call
from ..uaccess import (
    Bytes,
    ConstBytes,
    get_bytes,
    put_bytes,
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
    return task if pid == 0 else task.machine.pids.task(pid)


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


@call("getuid")
def sys_getuid(task: LinuxTask) -> int:
    return task.creds.uid


@call("getgid")
def sys_getgid(task: LinuxTask) -> int:
    return task.creds.gid


@call("geteuid")
def sys_geteuid(task: LinuxTask) -> int:
    return task.creds.euid


@call("getegid")
def sys_getegid(task: LinuxTask) -> int:
    return task.creds.egid


def _three(task: LinuxTask, values: tuple[int, int, int], pointers: tuple[Bytes, Bytes, Bytes]) -> int:
    for value, ptr in zip(values, pointers, strict=True):
        put_bytes(task, ptr.address, pack("<I", value))
    return 0


@call("getresuid")
def sys_getresuid(task: LinuxTask, real: Bytes, effective: Bytes, saved: Bytes) -> int:
    return _three(task, task.creds.uids, (real, effective, saved))


@call("getresgid")
def sys_getresgid(task: LinuxTask, real: Bytes, effective: Bytes, saved: Bytes) -> int:
    return _three(task, task.creds.gids, (real, effective, saved))


@call("getgroups")
def sys_getgroups(task: LinuxTask, size: c_int, groups: Bytes) -> int:
    have = task.creds.groups
    if size < 0:
        raise LinuxError(errno.EINVAL)
    if size:
        if len(have) > size:
            raise LinuxError(errno.EINVAL)
        put_bytes(task, groups.address, pack(f"<{len(have)}I", *have))
    return len(have)


def _stay(now: tuple[int, int, int], *wanted: int) -> int:
    """Allow a change of identity that changes nothing."""
    if any(w != -1 and w & 0xFFFF_FFFF not in now for w in wanted):
        raise LinuxError(errno.EPERM)
    return 0


def _valid(wanted: int) -> int:
    """An id that somebody can have; EINVAL for -1, which elsewhere means that it stays."""
    if wanted == -1:
        raise LinuxError(errno.EINVAL)
    return wanted


@call("setuid")
def sys_setuid(task: LinuxTask, uid: c_int) -> int:
    return _stay(task.creds.uids, _valid(uid))


@call("setgid")
def sys_setgid(task: LinuxTask, gid: c_int) -> int:
    return _stay(task.creds.gids, _valid(gid))


@call("setreuid")
def sys_setreuid(task: LinuxTask, real: c_int, effective: c_int) -> int:
    return _stay(task.creds.uids, real, effective)


@call("setregid")
def sys_setregid(task: LinuxTask, real: c_int, effective: c_int) -> int:
    return _stay(task.creds.gids, real, effective)


@call("setresuid")
def sys_setresuid(task: LinuxTask, real: c_int, effective: c_int, saved: c_int) -> int:
    return _stay(task.creds.uids, real, effective, saved)


@call("setresgid")
def sys_setresgid(task: LinuxTask, real: c_int, effective: c_int, saved: c_int) -> int:
    return _stay(task.creds.gids, real, effective, saved)


@call("setgroups")
def sys_setgroups(task: LinuxTask, size: c_int, groups: ConstBytes) -> int:
    raise LinuxError(errno.EPERM)


@call("setfsuid")
def sys_setfsuid(task: LinuxTask, uid: c_int) -> int:
    return task.creds.euid


@call("setfsgid")
def sys_setfsgid(task: LinuxTask, gid: c_int) -> int:
    return task.creds.egid


_CAPABILITIES = {0x19980330: 12, 0x20071026: 24, 0x20080522: 24}
"""Version of the structures -> size of the sets."""
_CAP_VERSION = 0x20080522


def _cap_size(task: LinuxTask, header: Bytes) -> int | None:
    """How large the sets are; None for a version that is not known, the newest being put there."""
    (version,) = unpack("<I", get_bytes(task, header.address, 4))
    size = _CAPABILITIES.get(version)
    if size is None:
        put_bytes(task, header.address, pack("<I", _CAP_VERSION))
    return size


def _cap_pid(task: LinuxTask, header: Bytes) -> int:
    (pid,) = unpack("<i", get_bytes(task, header.address + 4, 4))
    return int(pid)


@call("capget")
def sys_capget(task: LinuxTask, header: Bytes, data: Bytes) -> int:
    """No capabilities: the guest can do nothing that needs one."""
    size = _cap_size(task, header)
    if size is None:
        if not data.is_null:
            raise LinuxError(errno.EINVAL)
        return 0
    if data.is_null:  # which version is spoken was all that was asked
        return 0
    pid = _cap_pid(task, header)
    if pid < 0:
        raise LinuxError(errno.EINVAL)
    find(task, pid)
    put_bytes(task, data.address, bytes(size))
    return 0


@call("capset")
def sys_capset(task: LinuxTask, header: Bytes, data: ConstBytes) -> int:
    """Only what changes nothing: no set may have more in it than it has."""
    size = _cap_size(task, header)
    if size is None:
        raise LinuxError(errno.EINVAL)
    if _cap_pid(task, header) not in (0, task.pid) or any(get_bytes(task, data.address, size)):
        raise LinuxError(errno.EPERM)
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
    goal = find(task, pid)
    put_bytes(task, size.address, pack("<Q", 24))
    put_bytes(task, head.address, pack("<Q", goal.robust_list[0]))
    return 0


@call("personality")
def sys_personality(task: LinuxTask, persona: c_uint) -> int:
    if persona not in (0xFFFF_FFFF, 0, 0x0040000):
        raise LinuxError(errno.EINVAL)
    return 0x0040000  # ADDR_NO_RANDOMIZE: there is none
