"""Who the process is and how it ends: exit, execve, ids, scheduling. Source: the man pages of each call.

Identities are the host's, to be read; changing them to what they are already is allowed, anything else is EPERM.
Children are not possible: fork and clone give ENOSYS.
"""

from __future__ import annotations

import errno
from struct import pack, unpack

from ...errors import LinuxError
from ...kernel.abi import c_int, c_size_t, c_uint
from ..registry import call
from ..task.limits import RLIMIT_NICE, get_limit
from ..uaccess import (
    Bytes,
    ConstBytes,
    get_bytes,
    put_bytes,
    read_path,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

# -- the end, and a new beginning


@call("exit")
def sys_exit(task: LinuxTask, code: c_int) -> int | None:
    task.exit(code)
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


P_ALL, P_PID, P_PGID, P_PIDFD = range(4)
PRIO_PROCESS, PRIO_PGRP, PRIO_USER = range(3)
_INT_MIN = -(1 << 31)


@call("wait4")
def sys_wait4(task: LinuxTask, pid: c_int, status: Bytes, options: c_uint, usage: Bytes) -> int:
    if options & ~0xE000000B:
        raise LinuxError(errno.EINVAL)
    raise LinuxError(errno.ESRCH if pid == _INT_MIN else errno.ECHILD)


@call("waitid")
def sys_waitid(task: LinuxTask, which: c_int, pid: c_int, info: Bytes, options: c_uint, usage: Bytes) -> int:
    """The fields of a child are stored whatever becomes of the call, as zeros where there is none."""
    if not info.is_null:
        put_bytes(task, info.address, bytes(12))
        put_bytes(task, info.address + 16, bytes(12))
    if options & ~0xE100000F or not options & 0xE or which not in (P_ALL, P_PID, P_PGID, P_PIDFD):
        raise LinuxError(errno.EINVAL)
    if (which == P_PID and pid <= 0) or (which in (P_PGID, P_PIDFD) and pid < 0):
        raise LinuxError(errno.EINVAL)
    if which == P_PIDFD:  # there are none yet
        raise LinuxError(errno.EBADF)
    raise LinuxError(errno.ECHILD)


# -- identity


@call("getpid")
def sys_getpid(task: LinuxTask) -> int:
    return task.pid


@call("gettid")
def sys_gettid(task: LinuxTask) -> int:
    return task.pid


@call("getppid")
def sys_getppid(task: LinuxTask) -> int:
    return task.group.ppid


def _own(task: LinuxTask, pid: int) -> None:
    if pid not in (0, task.pid):
        raise LinuxError(errno.ESRCH)


@call("getpgrp")
def sys_getpgrp(task: LinuxTask) -> int:
    return task.group.pgid


@call("getpgid")
def sys_getpgid(task: LinuxTask, pid: c_int) -> int:
    _own(task, pid)
    return task.group.pgid


@call("getsid")
def sys_getsid(task: LinuxTask, pid: c_int) -> int:
    _own(task, pid)
    return task.group.sid


@call("setsid")
def sys_setsid(task: LinuxTask) -> int:
    raise LinuxError(errno.EPERM)


@call("setpgid")
def sys_setpgid(task: LinuxTask, pid: c_int, pgid: c_int) -> int:
    if pgid < 0:
        raise LinuxError(errno.EINVAL)
    _own(task, pid)
    if pgid not in (0, task.pid, task.group.pgid):
        raise LinuxError(errno.EPERM)
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


@call("capget")
def sys_capget(task: LinuxTask, header: Bytes, data: Bytes) -> int:
    """No capabilities: the guest can do nothing that needs one."""
    (version,) = unpack("<I", get_bytes(task, header.address, 4))
    if version not in (0x19980330, 0x20071026, 0x20080522):
        put_bytes(task, header.address, pack("<I", 0x20080522))
        if not data.is_null:
            raise LinuxError(errno.EINVAL)
        return 0
    if data.is_null:  # which version is spoken was all that was asked
        return 0
    (pid,) = unpack("<i", get_bytes(task, header.address + 4, 4))
    if pid < 0:
        raise LinuxError(errno.EINVAL)
    _own(task, pid)
    put_bytes(task, data.address, bytes(12 if version == 0x19980330 else 24))
    return 0


@call("capset")
def sys_capset(task: LinuxTask, header: Bytes, data: ConstBytes) -> int:
    raise LinuxError(errno.EPERM)


# -- thread and process state


@call("set_tid_address")
def sys_set_tid_address(task: LinuxTask, address: Bytes) -> int:
    task.clear_child_tid = address.address
    return task.pid


@call("set_robust_list")
def sys_set_robust_list(task: LinuxTask, head: Bytes, size: c_size_t) -> int:
    if size != 24:
        raise LinuxError(errno.EINVAL)
    task.robust_list = (head.address, size)
    return 0


@call("get_robust_list")
def sys_get_robust_list(task: LinuxTask, pid: c_int, head: Bytes, size: Bytes) -> int:
    _own(task, pid)
    put_bytes(task, size.address, pack("<Q", 24))
    put_bytes(task, head.address, pack("<Q", task.robust_list[0]))
    return 0


@call("rseq")
def sys_rseq(task: LinuxTask, area: Bytes, size: c_uint, flags: c_int, signature: c_uint) -> int:
    """Restartable sequences are not implemented; C libraries do without."""
    raise LinuxError(errno.ENOSYS)


@call("personality")
def sys_personality(task: LinuxTask, persona: c_uint) -> int:
    if persona not in (0xFFFF_FFFF, 0, 0x0040000):
        raise LinuxError(errno.EINVAL)
    return 0x0040000  # ADDR_NO_RANDOMIZE: there is none


# -- scheduling: one CPU, one task


@call("sched_yield")
def sys_sched_yield(task: LinuxTask) -> int:
    return 0


@call("sched_getaffinity")
def sys_sched_getaffinity(task: LinuxTask, pid: c_int, size: c_uint, mask: Bytes) -> int:
    if size & 7 or size * 8 & 0xFFFF_FFFF < 64:  # bits, counted in 32 of them
        raise LinuxError(errno.EINVAL)
    _own(task, pid)
    put_bytes(task, mask.address, pack("<Q", (1 << task.machine.host.cpu_count) - 1))
    return 8


@call("sched_setaffinity")
def sys_sched_setaffinity(task: LinuxTask, pid: c_int, size: c_uint, mask: ConstBytes) -> int:
    wanted = get_bytes(task, mask.address, min(size, 8))
    _own(task, pid)
    if not wanted or not wanted[0] & 1:
        raise LinuxError(errno.EINVAL)
    return 0


@call("getcpu")
def sys_getcpu(task: LinuxTask, cpu: Bytes, node: Bytes, cache: Bytes) -> int:
    for ptr in (cpu, node):
        if not ptr.is_null:
            put_bytes(task, ptr.address, bytes(4))
    return 0


@call("sched_getscheduler")
def sys_sched_getscheduler(task: LinuxTask, pid: c_int) -> int:
    if pid < 0:
        raise LinuxError(errno.EINVAL)
    _own(task, pid)
    return 0


@call("sched_getparam")
def sys_sched_getparam(task: LinuxTask, pid: c_int, param: Bytes) -> int:
    if param.is_null or pid < 0:
        raise LinuxError(errno.EINVAL)
    _own(task, pid)
    put_bytes(task, param.address, bytes(4))
    return 0


@call("sched_get_priority_max")
def sys_sched_get_priority_max(task: LinuxTask, policy: c_int) -> int:
    if policy not in (0, 1, 2, 3, 5, 6, 7):
        raise LinuxError(errno.EINVAL)
    return 99 if policy in (1, 2) else 0


@call("sched_get_priority_min")
def sys_sched_get_priority_min(task: LinuxTask, policy: c_int) -> int:
    if policy not in (0, 1, 2, 3, 5, 6, 7):
        raise LinuxError(errno.EINVAL)
    return 1 if policy in (1, 2) else 0


def _priority_of(task: LinuxTask, which: int, who: int) -> None:
    """Whether a set of processes has this one in it; nobody else is seen (ESRCH)."""
    own = {PRIO_PROCESS: task.pid, PRIO_PGRP: task.group.pgid, PRIO_USER: task.creds.uid}
    if which not in own:
        raise LinuxError(errno.EINVAL)
    if who not in (0, own[which]):
        raise LinuxError(errno.ESRCH)


@call("getpriority")
def sys_getpriority(task: LinuxTask, which: c_int, who: c_int) -> int:
    _priority_of(task, which, who)
    return 20 - task.nice


@call("setpriority")
def sys_setpriority(task: LinuxTask, which: c_int, who: c_int, nice: c_int) -> int:
    """Kept for the program to read back: the host is not told."""
    _priority_of(task, which, who)
    wanted = max(-20, min(nice, 19))
    if wanted < task.nice and 20 - wanted > get_limit(task, RLIMIT_NICE)[0] and task.creds.euid != 0:
        raise LinuxError(errno.EACCES)
    task.nice = wanted
    return 0
