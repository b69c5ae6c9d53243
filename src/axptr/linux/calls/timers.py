"""timer_create and its family, timerfd_create and its. Source: timer_create(2), timerfd_create(2), kernel/time/
posix-timers.c, fs/timerfd.c. What they make: `signals.posixtimers`, `files.timerfd`."""

from __future__ import annotations

import errno
import os
from struct import unpack_from

from ...errors import LinuxError
from ...kernel.abi import c_int
from ..abi.signals import SIGALRM
from ..abi.timespec import read_itimerspec, write_itimerspec
from ..files.timerfd import TimerFile
from ..registry import call
from ..signals.posixtimers import SIGEV_NONE, SIGEV_SIGNAL, SIGEV_THREAD, SIGEV_THREAD_ID
from ..task.clocks import ALARMS, BOOTTIME, MONOTONIC, REALTIME, cpu_kind
from ..uaccess import Bytes, ConstBytes, get_bytes, put_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

TIMER_ABSTIME, TFD_TIMER_CANCEL_ON_SET = 1, 2
_SIGEVENT = 64
_NO_TIMERS = (4, 5, 6)
"""CLOCK_MONOTONIC_RAW and the coarse ones."""


def _require_clock(task: LinuxTask, clock: int) -> None:
    """EINVAL for a clock that there is not, EOPNOTSUPP for one that has no timers."""
    if clock < 0 and clock & 7 == 3:  # a device's
        raise LinuxError(errno.EOPNOTSUPP)
    if clock >= 0:
        cpu_kind(task, clock)
    if clock in _NO_TIMERS:
        raise LinuxError(errno.EOPNOTSUPP)


@call("timer_create")
def sys_timer_create(task: LinuxTask, clock: c_int, event: ConstBytes, number: Bytes) -> int:
    how, signal, value, tid = SIGEV_SIGNAL, SIGALRM, None, 0
    if not event.is_null:
        data = get_bytes(task, event.address, _SIGEVENT)
        value, signal, how, tid = unpack_from("<Qiii", data)
    _require_clock(task, clock)
    thread = None
    if how in (SIGEV_SIGNAL, SIGEV_THREAD, SIGEV_THREAD_ID):
        if how == SIGEV_THREAD_ID:
            thread = task.machine.tasks.get(tid)
            if thread is None or thread.group is not task.group:
                raise LinuxError(errno.EINVAL)
        if not 0 < signal <= 64:
            raise LinuxError(errno.EINVAL)
    elif how != SIGEV_NONE:
        raise LinuxError(errno.EINVAL)
    if task.machine.signal_tally.count >= task.signal_queue_limit:
        raise LinuxError(errno.EAGAIN)
    timers = task.group.timers.posix
    cpu_kind(task, clock)
    wanted = None
    if task.group.timers.restores:
        wanted = int.from_bytes(get_bytes(task, number.address, 4), "little")
        if wanted >> 31:
            raise LinuxError(errno.EINVAL)
    made = timers.create(task, clock, how, signal, value, wanted)
    made.thread = thread
    try:
        put_bytes(task, number.address, made.number.to_bytes(4, "little"))
        if clock in ALARMS:
            task.machine.host.require_alarm(clock)
            raise LinuxError(errno.EPERM)  # which takes a capability
    except LinuxError:
        timers.delete(made.number)
        raise
    return 0


@call("timer_settime")
def sys_timer_settime(task: LinuxTask, number: c_int, flags: c_int, new: ConstBytes, old: Bytes) -> int:
    if new.is_null:
        raise LinuxError(errno.EINVAL)
    interval, value = read_itimerspec(task, new.address)
    timer = task.group.timers.posix.get(number)
    before = timer.left()
    timer.set(value, interval, absolute=bool(flags & TIMER_ABSTIME))
    if not old.is_null:
        write_itimerspec(task, old.address, *before)
    return 0


@call("timer_gettime")
def sys_timer_gettime(task: LinuxTask, number: c_int, value: Bytes) -> int:
    write_itimerspec(task, value.address, *task.group.timers.posix.get(number).left())
    return 0


@call("timer_getoverrun")
def sys_timer_getoverrun(task: LinuxTask, number: c_int) -> int:
    return min(max(task.group.timers.posix.get(number).overrun, 0), (1 << 31) - 1)


@call("timer_delete")
def sys_timer_delete(task: LinuxTask, number: c_int) -> int:
    task.group.timers.posix.delete(number)
    return 0


# -- by a descriptor


@call("timerfd_create")
def sys_timerfd_create(task: LinuxTask, clock: c_int, flags: c_int) -> int:
    if flags & ~(os.O_CLOEXEC | os.O_NONBLOCK) or clock not in (REALTIME, MONOTONIC, BOOTTIME, *ALARMS):
        raise LinuxError(errno.EINVAL)
    if clock in ALARMS:
        raise LinuxError(errno.EPERM)
    return task.files.add(TimerFile(task, clock, flags & os.O_NONBLOCK), cloexec=bool(flags & os.O_CLOEXEC))


def _timer(task: LinuxTask, fd: int) -> TimerFile:
    file = task.files.get_io(fd)
    if not isinstance(file, TimerFile):
        raise LinuxError(errno.EINVAL)
    return file


@call("timerfd_settime")
def sys_timerfd_settime(task: LinuxTask, fd: c_int, flags: c_int, new: ConstBytes, old: Bytes) -> int:
    interval, value = read_itimerspec(task, new.address)
    if flags & ~(TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET):
        raise LinuxError(errno.EINVAL)
    before = _timer(task, fd).set(value, interval, absolute=bool(flags & TIMER_ABSTIME))
    if not old.is_null:
        write_itimerspec(task, old.address, *before)
    return 0


@call("timerfd_gettime")
def sys_timerfd_gettime(task: LinuxTask, fd: c_int, value: Bytes) -> int:
    write_itimerspec(task, value.address, *_timer(task, fd).left())
    return 0
