"""Who the process is and how it ends: exit, execve, ids. Source: the man pages of each call.

Identities are the host's, to be read; changing them to what they are already is allowed, anything else is EPERM.
Children are not possible: fork and clone give ENOSYS.
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


def own(task: LinuxTask, pid: int) -> None:
    """ESRCH unless a number is this process's own, or 0."""
    if pid not in (0, task.pid):
        raise LinuxError(errno.ESRCH)


@call("getpgrp")
def sys_getpgrp(task: LinuxTask) -> int:
    return task.group.pgid


@call("getpgid")
def sys_getpgid(task: LinuxTask, pid: c_int) -> int:
    own(task, pid)
    return task.group.pgid


@call("getsid")
def sys_getsid(task: LinuxTask, pid: c_int) -> int:
    own(task, pid)
    return task.group.sid


@call("setsid")
def sys_setsid(task: LinuxTask) -> int:
    raise LinuxError(errno.EPERM)


@call("setpgid")
def sys_setpgid(task: LinuxTask, pid: c_int, pgid: c_int) -> int:
    if (pgid or pid) < 0:
        raise LinuxError(errno.EINVAL)
    own(task, pid)
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
    own(task, pid)
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
    return task.pid


@call("set_robust_list")
def sys_set_robust_list(task: LinuxTask, head: Bytes, size: c_size_t) -> int:
    if size != 24:
        raise LinuxError(errno.EINVAL)
    task.robust_list = (head.address, size)
    return 0


@call("get_robust_list")
def sys_get_robust_list(task: LinuxTask, pid: c_int, head: Bytes, size: Bytes) -> int:
    own(task, pid)
    put_bytes(task, size.address, pack("<Q", 24))
    put_bytes(task, head.address, pack("<Q", task.robust_list[0]))
    return 0


@call("personality")
def sys_personality(task: LinuxTask, persona: c_uint) -> int:
    if persona not in (0xFFFF_FFFF, 0, 0x0040000):
        raise LinuxError(errno.EINVAL)
    return 0x0040000  # ADDR_NO_RANDOMIZE: there is none
