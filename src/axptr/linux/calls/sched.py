"""Scheduling: on which CPUs a program may run, its share of them, and what else it asks for, kept for it to read back;
the host is not told. Source: sched(7), sched_setattr(2), ioprio_set(2), kernel/sched/syscalls.c, block/ioprio.c of
Linux 6.18.

The guest has no capability: real-time and deadline policies, and real-time I/O, are EPERM.
"""

from __future__ import annotations

import errno
import os
from struct import Struct, pack, unpack

from ...errors import LinuxError
from ...kernel.abi import c_int, c_uint
from ..fs.host.calls import host
from ..registry import call
from ..task.creds import CAP_SYS_NICE
from ..task.limits import RLIMIT_NICE, get_limit
from ..task.scheduling import (
    SCHED_BATCH,
    SCHED_DEADLINE,
    SCHED_EXT,
    SCHED_FIFO,
    SCHED_IDLE,
    SCHED_OTHER,
    SCHED_RR,
)
from ..task.userspace import NONE, uid_of
from ..uaccess import Bytes, ConstBytes, get_bytes, get_struct, put_bytes, put_user
from .process import find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

PRIO_PROCESS, PRIO_PGRP, PRIO_USER = range(3)
SCHED_RESET_ON_FORK = 0x4000_0000
_POLICIES = (SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE, SCHED_DEADLINE, SCHED_EXT)
_FAIR = (SCHED_OTHER, SCHED_BATCH, SCHED_IDLE, SCHED_EXT)
_REAL_TIME = (SCHED_FIFO, SCHED_RR)
_FLAG_RESET_ON_FORK, _FLAG_KEEP_POLICY, _FLAG_KEEP_PARAMS, _FLAG_UTIL_CLAMP, _FLAGS = 1, 8, 16, 0x60, 0x7F
_ATTR = Struct("<IIQiIQQQII")
"""struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period, and two hints of use."""
_ATTR_VER0, _ATTR_MOST = 48, 4096
IOPRIO_CLASS_NONE, IOPRIO_CLASS_RT, IOPRIO_CLASS_BE, IOPRIO_CLASS_IDLE = range(4)


# -- the CPU, and who comes first


@call("sched_yield")
def sys_sched_yield(task: LinuxTask) -> int:
    task.machine.loop.switch()
    return 0


@call("sched_getaffinity")
def sys_sched_getaffinity(task: LinuxTask, pid: c_int, size: c_uint, mask: Bytes) -> int:
    if size & 7 or size * 8 & 0xFFFF_FFFF < 64:  # bits, counted in 32 of them
        raise LinuxError(errno.EINVAL)
    those = find(task, pid).cpus & _all(task)
    put_bytes(task, mask.address, pack("<Q", those))
    return 8


@call("sched_setaffinity")
def sys_sched_setaffinity(task: LinuxTask, pid: c_int, size: c_uint, mask: ConstBytes) -> int:
    wanted = int.from_bytes(get_bytes(task, mask.address, min(size, 8)), "little") & _all(task)
    goal = find(task, pid)
    _require_user(task, goal)
    if not wanted:
        raise LinuxError(errno.EINVAL)
    goal.sched.cpus = -1 if wanted == _all(task) else wanted
    task.machine.loop.shift(goal)
    return 0


def _rules(task: LinuxTask, other: LinuxTask) -> bool:
    """Whether a task may arrange another whosever it is."""
    return task.creds.reigns or task.creds.has_over(other.creds.space, CAP_SYS_NICE)


def _same_user(task: LinuxTask, other: LinuxTask) -> bool:
    """Whether a task may arrange another: its user's, or one over whose name space it may (check_same_owner)."""
    return task.creds.euid in (other.creds.euid, other.creds.uid) or _rules(task, other)


def _is_safe(task: LinuxTask, other: LinuxTask) -> bool:
    """Whether the other could do nothing that the task could not (cap_safe_nice)."""
    return not other.creds.permitted & ~task.creds.permitted or _rules(task, other)


def _require_user(task: LinuxTask, other: LinuxTask) -> None:
    if not _same_user(task, other) or not _is_safe(task, other):
        raise LinuxError(errno.EPERM)


def _all(task: LinuxTask) -> int:
    """The machine's CPUs, as bits."""
    return (1 << task.machine.host.cpu_count) - 1


@call("getcpu")
def sys_getcpu(task: LinuxTask, cpu: Bytes, node: Bytes, cache: Bytes) -> int:
    for ptr, number in ((cpu, task.cpu_number), (node, 0)):
        if not ptr.is_null:
            put_user(task, ptr.address, pack("<I", number))
    return 0


MPOL_F_NODE, MPOL_F_ADDR, MPOL_F_MEMS_ALLOWED = 1, 2, 4


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


def _those(task: LinuxTask, which: int, who: int) -> list[LinuxTask]:
    """The threads that a kind of set and its number mean, 0 for the caller's own. EINVAL, ESRCH if there are none."""
    tasks = list(task.machine.tasks.values())
    if which == PRIO_PROCESS:
        return [find(task, who)]
    if which == PRIO_PGRP:
        found = [other for other in tasks if other.group.pgid == (who or task.group.pgid)]
    elif which == PRIO_USER:
        uid = uid_of(task.creds.space, who & NONE) if who else task.creds.uid
        found = [other for other in tasks if other.creds.uid == uid]
    else:
        raise LinuxError(errno.EINVAL)
    if not found:
        raise LinuxError(errno.ESRCH)
    return found


@call("getpriority")
def sys_getpriority(task: LinuxTask, which: c_int, who: c_int) -> int:
    return max(20 - other.nice for other in _those(task, which, who))


@call("setpriority")
def sys_setpriority(task: LinuxTask, which: c_int, who: c_int, nice: c_int) -> int:
    """How long the turns of those are (`LinuxTask.weight`): the host is not told."""
    wanted = max(-20, min(nice, 19))
    failed = 0
    for other in _those(task, which, who):
        if not _same_user(task, other):
            failed = errno.EPERM
        elif wanted < other.nice and 20 - wanted > get_limit(other, RLIMIT_NICE)[0] and not task.creds.reigns:
            failed = failed or errno.EACCES
        elif not _is_safe(task, other):
            failed = errno.EPERM
        else:
            other.nice = wanted
    if failed:
        raise LinuxError(failed)
    return 0


# -- policies


def _set_policy(task: LinuxTask, goal: LinuxTask, policy: int, priority: int, nice: int | None, reset: bool) -> int:
    """__sched_setscheduler of `goal` for one without capabilities. nice: None where the call does not tell."""
    if policy not in _POLICIES or (priority != 0 if policy not in _REAL_TIME else not 1 <= priority <= 99):
        raise LinuxError(errno.EINVAL)
    if policy not in _FAIR or policy == SCHED_EXT:
        raise LinuxError(errno.EPERM)
    sched = goal.sched
    _require_user(task, goal)
    if nice is not None and not _may_nice(task, goal, nice):
        raise LinuxError(errno.EPERM)
    if not task.creds.reigns and (
        (sched.policy == SCHED_IDLE != policy and not _in_limit(goal, goal.nice)) or (sched.reset_on_fork and not reset)
    ):
        raise LinuxError(errno.EPERM)
    sched.policy, sched.reset_on_fork = policy, reset
    if nice is not None:
        goal.nice = nice
    return 0


def _in_limit(goal: LinuxTask, nice: int) -> bool:
    """Whether the limit of nice values allows this one (is_nice_reduction)."""
    return 20 - nice <= get_limit(goal, RLIMIT_NICE)[0]


def _may_nice(task: LinuxTask, goal: LinuxTask, nice: int) -> bool:
    """Whether a nice value is no better than what it is, or what the limit allows (can_nice)."""
    return nice >= goal.nice or _in_limit(goal, nice) or task.creds.reigns


def _scheduler(task: LinuxTask, pid: int, policy: int | None, param: ConstBytes) -> int:
    if param.is_null or pid < 0:
        raise LinuxError(errno.EINVAL)
    (priority,) = unpack("<i", get_bytes(task, param.address, 4))
    goal = find(task, pid)
    reset = goal.sched.reset_on_fork
    if policy is None:
        policy = goal.sched.policy
    else:
        reset, policy = bool(policy & SCHED_RESET_ON_FORK), policy & ~SCHED_RESET_ON_FORK
    return _set_policy(task, goal, policy, priority, None, reset)


@call("sched_setscheduler")
def sys_sched_setscheduler(task: LinuxTask, pid: c_int, policy: c_int, param: ConstBytes) -> int:
    if policy < 0:
        raise LinuxError(errno.EINVAL)
    return _scheduler(task, pid, policy, param)


@call("sched_setparam")
def sys_sched_setparam(task: LinuxTask, pid: c_int, param: ConstBytes) -> int:
    return _scheduler(task, pid, None, param)


@call("sched_getscheduler")
def sys_sched_getscheduler(task: LinuxTask, pid: c_int) -> int:
    if pid < 0:
        raise LinuxError(errno.EINVAL)
    sched = find(task, pid).sched
    return sched.policy | (SCHED_RESET_ON_FORK if sched.reset_on_fork else 0)


@call("sched_getparam")
def sys_sched_getparam(task: LinuxTask, pid: c_int, param: Bytes) -> int:
    if param.is_null or pid < 0:
        raise LinuxError(errno.EINVAL)
    find(task, pid)
    put_bytes(task, param.address, bytes(4))
    return 0


def _slice_ns() -> int:
    """How long a task runs before another's turn comes: the host's figure."""
    return round(host(os.sched_rr_get_interval, 0) * 10**9)


@call("sched_rr_get_interval")
def sys_sched_rr_get_interval(task: LinuxTask, pid: c_int, interval: Bytes) -> int:
    if pid < 0:
        raise LinuxError(errno.EINVAL)
    find(task, pid)
    put_bytes(task, interval.address, pack("<qq", *divmod(_slice_ns(), 10**9)))
    return 0


@call("sched_setattr")
def sys_sched_setattr(task: LinuxTask, pid: c_int, attr: ConstBytes, flags: c_uint) -> int:
    if attr.is_null or pid < 0 or flags:
        raise LinuxError(errno.EINVAL)
    (size,) = unpack("<I", get_bytes(task, attr.address, 4))
    size = size or _ATTR_VER0
    try:
        if not _ATTR_VER0 <= size <= _ATTR_MOST:
            raise LinuxError(errno.E2BIG)
        data = get_struct(task, attr.address, size, _ATTR.size)
    except LinuxError as error:
        if error.errno == errno.E2BIG:
            put_user(task, attr.address, pack("<I", _ATTR.size))
        raise
    _, policy, asked, nice, priority, *_ = _ATTR.unpack(data)
    if (asked & _FLAG_UTIL_CLAMP and size < _ATTR.size) or policy >> 31:
        raise LinuxError(errno.EINVAL)
    goal = find(task, pid)
    if asked & _FLAG_KEEP_POLICY:
        policy = goal.sched.policy
    nice = max(-20, min(nice, 19))
    if asked & _FLAG_KEEP_PARAMS:
        nice, priority = goal.nice, 0
    if asked & ~_FLAGS:
        raise LinuxError(errno.EINVAL)
    if asked & _FLAG_UTIL_CLAMP:
        raise LinuxError(errno.EOPNOTSUPP)
    return _set_policy(task, goal, policy, priority, nice, bool(asked & _FLAG_RESET_ON_FORK))


@call("sched_getattr")
def sys_sched_getattr(task: LinuxTask, pid: c_int, attr: Bytes, size: c_uint, flags: c_uint) -> int:
    if attr.is_null or pid < 0 or not _ATTR_VER0 <= size <= _ATTR_MOST or flags:
        raise LinuxError(errno.EINVAL)
    goal = find(task, pid)
    sched, used = goal.sched, min(size, _ATTR.size)
    asked = _FLAG_RESET_ON_FORK if sched.reset_on_fork else 0
    data = _ATTR.pack(used, sched.policy, asked, goal.nice, 0, _slice_ns(), 0, 0, 0, 1024)
    put_bytes(task, attr.address + used, bytes(size - used))  # first: copy_struct_to_user
    put_bytes(task, attr.address, data[:used])
    return 0


# -- input and output


def _ioprio_of(task: LinuxTask, which: int, who: int) -> list[LinuxTask]:
    if which not in (1, 2, 3):
        raise LinuxError(errno.EINVAL)
    return _those(task, which - 1, who)


@call("ioprio_get")
def sys_ioprio_get(task: LinuxTask, which: c_int, who: c_int) -> int:
    """What was set; of groups and users the best, for one that set nothing what follows from the nice value."""
    those = _ioprio_of(task, which, who)
    if which == 1:
        return those[0].sched.ioprio
    return min(map(_effective, those))


def _effective(task: LinuxTask) -> int:
    sched = task.sched
    if sched.ioprio >> 13 != IOPRIO_CLASS_NONE:
        return sched.ioprio
    kind = IOPRIO_CLASS_IDLE if sched.policy == SCHED_IDLE else IOPRIO_CLASS_BE
    return kind << 13 | (task.nice + 20) // 5


@call("ioprio_set")
def sys_ioprio_set(task: LinuxTask, which: c_int, who: c_int, ioprio: c_int) -> int:
    kind = ioprio >> 13 & 7
    if kind == IOPRIO_CLASS_RT:
        raise LinuxError(errno.EPERM)
    if kind > IOPRIO_CLASS_IDLE or (kind == IOPRIO_CLASS_NONE and ioprio & 7):
        raise LinuxError(errno.EINVAL)
    for other in _ioprio_of(task, which, who):
        same = other.creds.uid in (task.creds.uid, task.creds.euid)
        if not (same or _rules(task, other)) or not _is_safe(task, other):
            raise LinuxError(errno.EPERM)
        other.sched.ioprio = ioprio & 0xFFFF
    return 0
