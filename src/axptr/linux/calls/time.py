"""Clocks and sleep: the host's, and the CPU time of the run; nobody sets a clock. Source: clock_gettime(2),
gettimeofday(2), adjtimex(2), time(2), nanosleep(2), kernel/time/posix-timers.c."""

from __future__ import annotations

import errno
from struct import pack, unpack

from ..._core.host import hostcalls
from ...errors import LinuxError
from ...kernel.abi import c_int
from ..abi.timespec import BILLION, KTIME_MAX, read_timespec, write_timespec
from ..registry import call
from ..signals.state import NO_HANDLER
from ..task.clocks import ALARMS, REALTIME, THREAD_CPU, clock_now, cpu_kind
from ..uaccess import Bytes, ConstBytes, get_bytes, put_bytes, put_user, put_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

_MAX_SLEEP = KTIME_MAX / BILLION


_NO_SLEEP = (THREAD_CPU, 4, 5, 6)  # CLOCK_MONOTONIC_RAW and the coarse ones


@call("clock_gettime")
def sys_clock_gettime(task: LinuxTask, clock: c_int, when: Bytes) -> int:
    write_timespec(task, when.address, clock_now(task, clock))
    return 0


@call("clock_getres")
def sys_clock_getres(task: LinuxTask, clock: c_int, resolution: Bytes) -> int:
    kind = cpu_kind(task, clock)
    nanos = task.machine.host.resolution_ns(clock if kind is None else kind - 8)
    if not resolution.is_null:
        write_timespec(task, resolution.address, nanos)
    return 0


@call("clock_settime")
def sys_clock_settime(task: LinuxTask, clock: c_int, when: ConstBytes) -> int:
    if clock >= 0 and clock != REALTIME:
        raise LinuxError(errno.EINVAL)
    if clock == REALTIME:
        read_timespec(task, when.address)
    else:
        get_bytes(task, when.address, 16)
        cpu_kind(task, clock)
    raise LinuxError(errno.EPERM)


@call("settimeofday")
def sys_settimeofday(task: LinuxTask, tv: ConstBytes, tz: ConstBytes) -> int:
    if not tv.is_null:
        _, micros = unpack("<qq", get_bytes(task, tv.address, 16))
        if not 0 <= micros < 10**6:
            raise LinuxError(errno.EINVAL)
    if not tz.is_null:
        get_bytes(task, tz.address, 8)
    if tv.is_null and tz.is_null:
        return 0
    raise LinuxError(errno.EPERM)


_TIMEX = 208
_ADJ_READ_ONLY = (0, 0xA001)  # nothing to set; ADJ_OFFSET_SS_READ


def _adjust(task: LinuxTask, timex: Bytes) -> int:
    """What the host's clock is steered by, to be read; nobody sets it."""
    data = get_bytes(task, timex.address, _TIMEX)
    (modes,) = unpack("<I", data[:4])
    if modes not in _ADJ_READ_ONLY:
        raise LinuxError(errno.EPERM)
    state, data = hostcalls.adjtimex(data)
    put_bytes(task, timex.address, data)
    return state


@call("adjtimex")
def sys_adjtimex(task: LinuxTask, timex: Bytes) -> int:
    return _adjust(task, timex)


@call("clock_adjtime")
def sys_clock_adjtime(task: LinuxTask, clock: c_int, timex: Bytes) -> int:
    get_bytes(task, timex.address, _TIMEX)
    if clock == REALTIME:
        return _adjust(task, timex)
    cpu_kind(task, clock)
    raise LinuxError(errno.EOPNOTSUPP)


@call("gettimeofday")
def sys_gettimeofday(task: LinuxTask, tv: Bytes, tz: Bytes) -> int:
    if not tv.is_null:
        put_words(task, tv.address, pack("<qq", *divmod(task.machine.host.realtime_ns() // 1000, 10**6)), 8)
    if not tz.is_null:
        put_bytes(task, tz.address, bytes(8))
    return 0


@call("time")
def sys_time(task: LinuxTask, when: Bytes) -> int:
    now = task.machine.host.realtime_ns() // BILLION
    if not when.is_null:
        put_user(task, when.address, pack("<q", now))
    return now


def _sleep(task: LinuxTask, until: float, remaining: int) -> int | None:
    """Sleep to a monotonic time; what is left of it goes to `remaining`, an address or 0, if a signal comes before."""
    if task.machine.host.monotonic() >= until:
        return 0
    rest = _sleep, (until, remaining)
    return task.block(until=until, again=rest, restart=rest, interrupted=_tell_left)


def _tell_left(task: LinuxTask, until: float, remaining: int) -> None:
    if remaining:
        left = int(max(0.0, until - task.machine.host.monotonic()) * BILLION)
        write_timespec(task, remaining, min(left, KTIME_MAX))


def _sleep_until(task: LinuxTask, until: float) -> int | None:
    """Sleep to a time that the program itself named: a signal leaves nothing to tell."""
    if task.machine.host.monotonic() >= until:
        return 0
    return task.block(until=until, again=(_sleep_until, (until,)), restart=NO_HANDLER)


@call("nanosleep")
def sys_nanosleep(task: LinuxTask, duration: ConstBytes, remaining: Bytes) -> int | None:
    seconds = min(read_timespec(task, duration.address), _MAX_SLEEP)
    return _sleep(task, task.machine.host.monotonic() + seconds, remaining.address)


@call("clock_nanosleep")
def sys_clock_nanosleep(
    task: LinuxTask, clock: c_int, flags: c_int, duration: ConstBytes, remaining: Bytes
) -> int | None:
    if clock >= 0:
        cpu_kind(task, clock)
    if clock in _NO_SLEEP or (clock < 0 and clock & 7 == 3):  # or a device's
        raise LinuxError(errno.EOPNOTSUPP)
    seconds = min(read_timespec(task, duration.address), _MAX_SLEEP)
    if clock < 0 and clock & 4:  # a thread's
        raise LinuxError(errno.EINVAL)
    kind = cpu_kind(task, clock)
    if clock in ALARMS:
        task.machine.host.require_alarm(clock)
    if flags & 1:  # TIMER_ABSTIME
        seconds -= clock_now(task, clock) / BILLION
    if kind is not None and seconds > 0:
        return task.block(restart=NO_HANDLER)  # who sleeps uses no CPU
    until = task.machine.host.monotonic() + seconds
    if flags & 1:
        return _sleep_until(task, until)
    return _sleep(task, until, remaining.address)
