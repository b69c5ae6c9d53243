"""Clocks and sleep: the host's. Source: clock_gettime(2), gettimeofday(2), time(2), nanosleep(2)."""

from __future__ import annotations

import errno
import time
from struct import pack, unpack
from typing import TYPE_CHECKING

from ..errors import LinuxError
from ..kernel.abi import c_int
from .hostio import host
from .registry import syscall
from .uaccess import Bytes, ConstBytes, get_bytes, put_bytes

if TYPE_CHECKING:
    from .task import LinuxTask

_BILLION = 1_000_000_000
KTIME_MAX = (1 << 63) - 1
"""Nanoseconds: the longest time that a timer runs, 292 years. Longer ones are cut to it."""
_MAX_SLEEP = KTIME_MAX / _BILLION


def read_timespec(task: LinuxTask, address: int) -> float:
    """Seconds, any number of them; EINVAL if there are fewer than none, or nanoseconds for a second."""
    seconds, nanos = unpack("<qq", get_bytes(task, address, 16))
    if seconds < 0 or not 0 <= nanos < _BILLION:
        raise LinuxError(errno.EINVAL)
    total: float = seconds + nanos / _BILLION
    return total


def write_timespec(task: LinuxTask, address: int, nanos: int) -> None:
    put_bytes(task, address, pack("<qq", *divmod(nanos, _BILLION)))


def _clock(clock: int) -> int:
    """A clock of the process or the machine; the CPU clock of another process is EINVAL."""
    if not 0 <= clock <= 11 or clock == 10:
        raise LinuxError(errno.EINVAL)
    return clock


@syscall(228, "clock_gettime")
def sys_clock_gettime(task: LinuxTask, clock: c_int, when: Bytes) -> int:
    write_timespec(task, when.address, host(time.clock_gettime_ns, _clock(clock)))
    return 0


@syscall(229, "clock_getres")
def sys_clock_getres(task: LinuxTask, clock: c_int, resolution: Bytes) -> int:
    nanos = round(host(time.clock_getres, _clock(clock)) * _BILLION)
    if not resolution.is_null:
        write_timespec(task, resolution.address, nanos)
    return 0


@syscall(227, "clock_settime")
def sys_clock_settime(task: LinuxTask, clock: c_int, when: ConstBytes) -> int:
    read_timespec(task, when.address)
    raise LinuxError(errno.EPERM if clock == 0 else errno.EINVAL)


@syscall(96, "gettimeofday")
def sys_gettimeofday(task: LinuxTask, tv: Bytes, tz: Bytes) -> int:
    if not tv.is_null:
        put_bytes(task, tv.address, pack("<qq", *divmod(time.time_ns() // 1000, 10**6)))
    if not tz.is_null:
        put_bytes(task, tz.address, bytes(8))
    return 0


@syscall(201, "time")
def sys_time(task: LinuxTask, when: Bytes) -> int:
    now = int(time.time())
    if not when.is_null:
        put_bytes(task, when.address, pack("<q", now))
    return now


def _sleep(task: LinuxTask, until: float, remaining: Bytes | None) -> int:
    if task.sleep(until):
        return 0
    if remaining is not None and not remaining.is_null:
        left = max(0.0, until - time.monotonic())
        write_timespec(task, remaining.address, min(int(left * _BILLION), KTIME_MAX))
    raise LinuxError(errno.EINTR)


@syscall(35, "nanosleep")
def sys_nanosleep(task: LinuxTask, duration: ConstBytes, remaining: Bytes) -> int:
    return _sleep(task, time.monotonic() + min(read_timespec(task, duration.address), _MAX_SLEEP), remaining)


@syscall(230, "clock_nanosleep")
def sys_clock_nanosleep(task: LinuxTask, clock: c_int, flags: c_int, duration: ConstBytes, remaining: Bytes) -> int:
    if clock not in (0, 1, 2, 7, 8, 9, 11):
        raise LinuxError(errno.EINVAL)
    seconds = min(read_timespec(task, duration.address), _MAX_SLEEP)
    if flags & 1:  # TIMER_ABSTIME
        return _sleep(task, time.monotonic() + seconds - host(time.clock_gettime, clock), None)
    return _sleep(task, time.monotonic() + seconds, remaining)
