"""Resource limits, inherited from the host's process and set by the program. Source: getrlimit(2).

Kept by those whom they concern: memory (`mem.limits`), files' sizes (`fs.host.file`), time (`task.timers`), signals,
descriptors. Not kept: RLIMIT_MEMLOCK, RSS, NPROC, LOCKS, MSGQUEUE, RTPRIO and RTTIME.
"""

from __future__ import annotations

import errno
from struct import pack, unpack
from typing import TYPE_CHECKING

from ...errors import LinuxError
from ...kernel.abi import c_int, c_uint
from ..registry import call
from ..task.timers import RLIM_INFINITY
from ..uaccess import (
    Bytes,
    ConstBytes,
    get_bytes,
    put_bytes,
)

if TYPE_CHECKING:
    from ..task.task import LinuxTask

RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_CORE, RLIMIT_NOFILE, RLIMIT_AS = 0, 1, 2, 3, 4, 7, 9
RLIMIT_SIGPENDING, RLIMIT_NICE = 11, 13

NAMES = (
    ("Max cpu time", "seconds"), ("Max file size", "bytes"), ("Max data size", "bytes"), ("Max stack size", "bytes"),
    ("Max core file size", "bytes"), ("Max resident set", "bytes"), ("Max processes", "processes"),
    ("Max open files", "files"), ("Max locked memory", "bytes"), ("Max address space", "bytes"),
    ("Max file locks", "locks"), ("Max pending signals", "signals"), ("Max msgqueue size", "bytes"),
    ("Max nice priority", ""), ("Max realtime priority", ""), ("Max realtime timeout", "us"),
)  # fmt: skip


def get_limit(task: LinuxTask, number: int) -> tuple[int, int]:
    """(soft, hard). The host's, as inherited, unless the program changed it; there are no core files."""
    changed = task.limits.get(number)
    if changed is not None:
        return changed
    if number == RLIMIT_CORE:
        return 0, RLIM_INFINITY
    inherited = task.inherited_limits.get(number)
    if inherited is None:
        inherited = task.inherited_limits[number] = task.machine.host.limit(number)
    return inherited


def _set_limit(task: LinuxTask, number: int, soft: int, hard: int) -> None:
    if soft > hard:
        raise LinuxError(errno.EINVAL)
    if hard > get_limit(task, number)[1]:
        raise LinuxError(errno.EPERM)
    task.limits[number] = soft, hard
    if number == RLIMIT_NOFILE:
        task.files.limit = soft
    elif number == RLIMIT_STACK:
        task.space._set_growth(soft)
    elif number == RLIMIT_CPU:
        task.timers.set_cpu_limit(soft, hard)
        task.engine.stop()  # the run loop looks at the clocks anew


def _prlimit(task: LinuxTask, number: int, new: int, old: int) -> int:
    wanted = unpack("<QQ", get_bytes(task, new, 16)) if new else None
    if number >= len(NAMES):
        raise LinuxError(errno.EINVAL)
    before = get_limit(task, number)
    if wanted is not None:
        _set_limit(task, number, *wanted)
    if old:
        put_bytes(task, old, pack("<QQ", *before))
    return 0


@call("prlimit64")
def sys_prlimit64(task: LinuxTask, pid: c_int, resource: c_uint, new: ConstBytes, old: Bytes) -> int:
    if pid not in (0, task.pid):
        raise LinuxError(errno.ESRCH)
    return _prlimit(task, resource, new.address, old.address)


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
