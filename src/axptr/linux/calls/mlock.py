"""Promises to keep memory: mlock(2), mlock2, munlock, mlockall, munlockall. Source: mm/mlock.c of Linux 6.18.

Nothing is ever swapped out, so a promise costs nothing: what is locked is brought in, and areas know it, since some
advice is refused for them.
"""

from __future__ import annotations

import errno

from ...errors import LinuxError
from ...kernel.abi import c_int, c_size_t, c_ulong
from ..mem.limits import require_lock, require_lock_right, require_splits
from ..mem.mm import LOCK, LOCK_ON_FAULT
from ..mem.vma import (
    PAGE,
    in_turns,
    page_up,
    populate,
)
from ..registry import call
from ..task import waiting
from ..uaccess import USER_END

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

MLOCK_ONFAULT = 1
MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4


def _set(task: LinuxTask, addr: int, length: int, locked: bool, on_fault: bool = False) -> tuple[int, int]:
    """Lock or unlock area by area up to the first hole, which is ENOMEM; the range in whole pages."""
    start = addr & -PAGE
    size = page_up(length + (addr & (PAGE - 1))) & ((1 << 64) - 1)
    if start + size >= 1 << 64:
        raise LinuxError(errno.EINVAL)
    at, end = start, start + size
    for begin, stop, _ in in_turns(task, start, end):
        if begin > at:
            break
        require_splits(task, begin, stop)
        task.space.set_locked(begin, stop - begin, locked, on_fault=on_fault)
        at = stop
    if at < end:
        raise LinuxError(errno.ENOMEM)
    return start, end


def _lock(task: LinuxTask, addr: int, length: int, flags: int) -> int:
    require_lock_right(task)
    start = addr & -PAGE
    size = page_up(length + (addr & (PAGE - 1))) & ((1 << 64) - 1)
    require_lock(task, size, errno.ENOMEM, (start, min(start + size, USER_END)))
    start, end = _set(task, addr, length, True, bool(flags & MLOCK_ONFAULT))
    failed = populate(task, start, end, stop_at_failure=True)
    waiting.breathe(task)  # it may have been left off
    if failed:
        raise LinuxError(errno.EAGAIN if failed == errno.ENOMEM else errno.ENOMEM)
    return 0


@call("mlock")
def sys_mlock(task: LinuxTask, addr: c_ulong, length: c_size_t) -> int:
    return _lock(task, addr, length, 0)


@call("mlock2")
def sys_mlock2(task: LinuxTask, addr: c_ulong, length: c_size_t, flags: c_int) -> int:
    if flags & ~MLOCK_ONFAULT:
        raise LinuxError(errno.EINVAL)
    return _lock(task, addr, length, flags)


@call("munlock")
def sys_munlock(task: LinuxTask, addr: c_ulong, length: c_size_t) -> int:
    _set(task, addr, length, False)
    return 0


@call("mlockall")
def sys_mlockall(task: LinuxTask, flags: c_int) -> int:
    if not flags or flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) or flags == MCL_ONFAULT:
        raise LinuxError(errno.EINVAL)
    require_lock_right(task)
    if flags & MCL_CURRENT:
        areas = task.space.areas()
        total = sum(area.size for area in areas)
        require_lock(task, total - sum(area.size for area in areas if area.locked), errno.ENOMEM)
    task.mm.lock_future = (LOCK_ON_FAULT if flags & MCL_ONFAULT else LOCK) if flags & MCL_FUTURE else 0
    if flags & MCL_CURRENT:
        for start, end, _ in in_turns(task, 0, USER_END):
            task.space.set_locked(start, end - start, True, on_fault=bool(flags & MCL_ONFAULT))
            if not flags & MCL_ONFAULT:
                populate(task, start, end)
            waiting.breathe(task)  # it may have been left off
    return 0


@call("munlockall")
def sys_munlockall(task: LinuxTask) -> int:
    task.mm.lock_future = 0
    for start, end, _ in in_turns(task, 0, USER_END):
        task.space.set_locked(start, end - start, False)
    return 0
