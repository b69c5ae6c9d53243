"""Who a task is, and what it may do: user and group ids, supplementary groups, capabilities. Source: credentials(7),
the man page of each call, kernel/sys.c, kernel/groups.c, kernel/capability.c, security/commoncap.c of Linux 6.18.

A task's identity rules what is emulated (signals, ports, what messages say of their sender); the rights to the host's
files are those of the host's process.
"""

from __future__ import annotations

import errno
from struct import pack, unpack

from ...errors import LinuxError
from ...kernel.abi import c_int
from ..registry import call
from ..task.creds import CAP_SETGID, CAP_SETPCAP, CAP_SETUID
from ..task.userspace import gid_of, may_set_groups, shown_gid, shown_uid, told_gid, told_uid, uid_of
from ..uaccess import Bytes, ConstBytes, get_bytes, put_bytes, put_user
from .process import find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.creds import Ids
    from ..task.task import LinuxTask

MOST_GROUPS = 65_536
_STAYS = 0xFFFF_FFFF
_CAPABILITIES = {0x19980330: 12, 0x20071026: 24, 0x20080522: 24}
"""Version of the structures -> size of the sets."""
_CAP_VERSION = 0x20080522


@call("getuid")
def sys_getuid(task: LinuxTask) -> int:
    return shown_uid(task.creds.space, task.creds.uid)


@call("getgid")
def sys_getgid(task: LinuxTask) -> int:
    return shown_gid(task.creds.space, task.creds.gid)


@call("geteuid")
def sys_geteuid(task: LinuxTask) -> int:
    return shown_uid(task.creds.space, task.creds.euid)


@call("getegid")
def sys_getegid(task: LinuxTask) -> int:
    return shown_gid(task.creds.space, task.creds.egid)


def _three(task: LinuxTask, values: list[int], pointers: tuple[Bytes, Bytes, Bytes]) -> int:
    for value, ptr in zip(values, pointers, strict=True):
        put_user(task, ptr.address, pack("<I", value))
    return 0


@call("getresuid")
def sys_getresuid(task: LinuxTask, real: Bytes, effective: Bytes, saved: Bytes) -> int:
    return _three(task, [shown_uid(task.creds.space, uid) for uid in task.creds.uids], (real, effective, saved))


@call("getresgid")
def sys_getresgid(task: LinuxTask, real: Bytes, effective: Bytes, saved: Bytes) -> int:
    return _three(task, [shown_gid(task.creds.space, gid) for gid in task.creds.gids], (real, effective, saved))


# -- becoming somebody else


def _require(allowed: bool) -> None:
    if not allowed:
        raise LinuxError(errno.EPERM)


def _user(task: LinuxTask, wanted: int) -> int:
    """The user that the task means; EINVAL for nobody, and for -1, which elsewhere means that it stays."""
    return told_uid(task.creds.space, wanted & _STAYS)


def _group(task: LinuxTask, wanted: int) -> int:
    return told_gid(task.creds.space, wanted & _STAYS)


def _users(task: LinuxTask, *wanted: int) -> tuple[int, ...]:
    """The same of several, each of which may stay."""
    return tuple(_STAYS if one == -1 else _user(task, one) for one in wanted)


def _groups(task: LinuxTask, *wanted: int) -> tuple[int, ...]:
    return tuple(_STAYS if one == -1 else _group(task, one) for one in wanted)


def _set(now: Ids, wanted: int, privileged: bool) -> Ids:
    """setuid, setgid: all three for who may, else the effective one."""
    if privileged:
        return wanted, wanted, wanted
    _require(wanted in (now[0], now[2]))
    return now[0], wanted, now[2]


def _set_two(now: Ids, real: int, effective: int, privileged: bool) -> Ids:
    """setreuid, setregid."""
    made = list(now)
    if real != _STAYS:
        _require(real in now[:2] or privileged)
        made[0] = real
    if effective != _STAYS:
        _require(effective in now or privileged)
        made[1] = effective
    if real != _STAYS or (effective != _STAYS and effective != now[0]):
        made[2] = made[1]
    return made[0], made[1], made[2]


def _set_three(now: Ids, wanted: tuple[int, ...], privileged: bool) -> Ids:
    """setresuid, setresgid."""
    _require(privileged or all(one == _STAYS or one in now for one in wanted))
    real, effective, saved = (old if one == _STAYS else one for old, one in zip(now, wanted, strict=True))
    return real, effective, saved


def _become(task: LinuxTask, uids: Ids) -> int:
    task.adopt(task.creds.with_uids(uids))
    return 0


def _join(task: LinuxTask, gids: Ids) -> int:
    task.adopt(task.creds.but(gids=gids, fs_gid=gids[1]))
    return 0


@call("setuid")
def sys_setuid(task: LinuxTask, uid: c_int) -> int:
    return _become(task, _set(task.creds.uids, _user(task, uid), task.creds.has_here(CAP_SETUID)))


@call("setgid")
def sys_setgid(task: LinuxTask, gid: c_int) -> int:
    return _join(task, _set(task.creds.gids, _group(task, gid), task.creds.has_here(CAP_SETGID)))


@call("setreuid")
def sys_setreuid(task: LinuxTask, real: c_int, effective: c_int) -> int:
    real, effective = _users(task, real, effective)
    return _become(task, _set_two(task.creds.uids, real, effective, task.creds.has_here(CAP_SETUID)))


@call("setregid")
def sys_setregid(task: LinuxTask, real: c_int, effective: c_int) -> int:
    real, effective = _groups(task, real, effective)
    return _join(task, _set_two(task.creds.gids, real, effective, task.creds.has_here(CAP_SETGID)))


@call("setresuid")
def sys_setresuid(task: LinuxTask, real: c_int, effective: c_int, saved: c_int) -> int:
    wanted = _users(task, real, effective, saved)
    return _become(task, _set_three(task.creds.uids, wanted, task.creds.has_here(CAP_SETUID)))


@call("setresgid")
def sys_setresgid(task: LinuxTask, real: c_int, effective: c_int, saved: c_int) -> int:
    wanted = _groups(task, real, effective, saved)
    return _join(task, _set_three(task.creds.gids, wanted, task.creds.has_here(CAP_SETGID)))


@call("setfsuid")
def sys_setfsuid(task: LinuxTask, uid: c_int) -> int:
    """What it was before, whether it may be changed or not."""
    creds = task.creds
    wanted = uid_of(creds.space, uid & _STAYS)
    if wanted != _STAYS and (wanted in (*creds.uids, creds.fs_uid) or creds.has_here(CAP_SETUID)):
        task.adopt(creds.with_fs_uid(wanted))
    return shown_uid(creds.space, creds.fs_uid)


@call("setfsgid")
def sys_setfsgid(task: LinuxTask, gid: c_int) -> int:
    creds = task.creds
    wanted = gid_of(creds.space, gid & _STAYS)
    if wanted != _STAYS and (wanted in (*creds.gids, creds.fs_gid) or creds.has_here(CAP_SETGID)):
        task.adopt(creds.but(fs_gid=wanted))
    return shown_gid(creds.space, creds.fs_gid)


@call("getgroups")
def sys_getgroups(task: LinuxTask, size: c_int, groups: Bytes) -> int:
    have = task.creds.groups
    if size < 0:
        raise LinuxError(errno.EINVAL)
    if size:
        if len(have) > size:
            raise LinuxError(errno.EINVAL)
        put_bytes(task, groups.address, pack(f"<{len(have)}I", *(shown_gid(task.creds.space, gid) for gid in have)))
    return len(have)


@call("setgroups")
def sys_setgroups(task: LinuxTask, size: c_int, groups: ConstBytes) -> int:
    _require(task.creds.has_here(CAP_SETGID) and may_set_groups(task.creds.space))
    count = size & 0xFFFF_FFFF
    if count > MOST_GROUPS:
        raise LinuxError(errno.EINVAL)
    told = unpack(f"<{count}I", get_bytes(task, groups.address, 4 * count)) if count else ()
    found = [told_gid(task.creds.space, gid) for gid in told]
    if _STAYS in found:
        raise LinuxError(errno.EINVAL)
    task.adopt(task.creds.but(groups=tuple(sorted(found))))
    return 0


# -- capabilities


def _cap_size(task: LinuxTask, header: Bytes) -> int | None:
    """How large the sets are; None for a version that is not known, the newest being put there."""
    (version,) = unpack("<I", get_bytes(task, header.address, 4))
    size = _CAPABILITIES.get(version)
    if size is None:
        put_user(task, header.address, pack("<I", _CAP_VERSION))
    return size


def _cap_pid(task: LinuxTask, header: Bytes) -> int:
    (pid,) = unpack("<i", get_bytes(task, header.address + 4, 4))
    return int(pid)


@call("capget")
def sys_capget(task: LinuxTask, header: Bytes, data: Bytes) -> int:
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
    creds = find(task, pid).creds
    sets = creds.effective, creds.permitted, creds.inheritable
    told = b"".join(pack("<III", *(one >> shift & _STAYS for one in sets)) for shift in (0, 32))
    put_bytes(task, data.address, told[:size])
    return 0


@call("capset")
def sys_capset(task: LinuxTask, header: Bytes, data: ConstBytes) -> int:
    """Its own alone, and no more than it has or may pass on (cap_capset)."""
    size = _cap_size(task, header)
    if size is None:
        raise LinuxError(errno.EINVAL)
    _require(_cap_pid(task, header) in (0, task.tid))
    words = (*unpack(f"<{size // 4}I", get_bytes(task, data.address, size)), 0, 0, 0)
    effective, permitted, inheritable = (words[n] | words[n + 3] << 32 for n in range(3))
    creds = task.creds
    if not creds.has_here(CAP_SETPCAP):
        _require(not inheritable & ~(creds.inheritable | creds.permitted))
    _require(not inheritable & ~(creds.inheritable | creds.bounding))
    _require(not permitted & ~creds.permitted)
    _require(not effective & ~permitted)
    ambient = creds.ambient & permitted & inheritable
    task.adopt(creds.but(effective=effective, permitted=permitted, inheritable=inheritable, ambient=ambient))
    return 0
