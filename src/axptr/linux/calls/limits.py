"""The calls about resource limits. Source: getrlimit(2). Not here: the limits themselves (`task.limits`)."""

from __future__ import annotations

import errno
from struct import pack, unpack

from ...errors import LinuxError
from ...kernel.abi import c_int, c_uint
from ..registry import call
from ..task.limits import (
    NAMES,
    RLIMIT_CPU,
    RLIMIT_NOFILE,
    RLIMIT_STACK,
    get_limit,
)
from ..uaccess import (
    Bytes,
    ConstBytes,
    get_bytes,
    put_bytes,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask


def _set_limit(task: LinuxTask, number: int, soft: int, hard: int) -> None:
    if soft > hard:
        raise LinuxError(errno.EINVAL)
    if hard > get_limit(task, number)[1]:
        raise LinuxError(errno.EPERM)
    task.group.limits.set(number, soft, hard)
    if number == RLIMIT_NOFILE:
        task.files.limit = soft
    elif number == RLIMIT_STACK:
        task.space._set_growth(soft)
    elif number == RLIMIT_CPU:
        task.group.timers.set_cpu_limit(soft, hard)
        task.interrupt()  # the loop looks at the clocks anew


@call("prlimit64")
def sys_prlimit64(task: LinuxTask, pid: c_int, resource: c_uint, new: ConstBytes, old: Bytes) -> int:
    """Another process's too, of the same user."""
    wanted = unpack("<QQ", get_bytes(task, new.address, 16)) if not new.is_null else None
    goal = task if pid == 0 else task.machine.thread(pid)
    if goal is None or goal.dead:
        raise LinuxError(errno.ESRCH)
    mine, its = task.creds, goal.creds
    if goal.group is not task.group and ({mine.uid} != set(its.uids) or {mine.gid} != set(its.gids)):
        raise LinuxError(errno.EPERM)
    if resource >= len(NAMES):
        raise LinuxError(errno.EINVAL)
    before = get_limit(goal, resource)
    if wanted is not None:
        _set_limit(goal, resource, *wanted)
    if not old.is_null:
        put_bytes(task, old.address, pack("<QQ", *before))
    return 0


@call("getrlimit")
def sys_getrlimit(task: LinuxTask, resource: c_uint, limit: Bytes) -> int:
    if resource >= len(NAMES):
        raise LinuxError(errno.EINVAL)
    put_bytes(task, limit.address, pack("<QQ", *get_limit(task, resource)))
    return 0


@call("setrlimit")
def sys_setrlimit(task: LinuxTask, resource: c_uint, limit: ConstBytes) -> int:
    wanted = unpack("<QQ", get_bytes(task, limit.address, 16))
    if resource >= len(NAMES):
        raise LinuxError(errno.EINVAL)
    _set_limit(task, resource, *wanted)
    return 0
