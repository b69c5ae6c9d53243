"""struct timespec (of 64 bits each) in a program's memory. Source: linux/time_types.h."""

from __future__ import annotations

import errno
from struct import pack, unpack

from ...errors import LinuxError
from ...kernel.task import Task
from ..uaccess import get_bytes, put_bytes

BILLION = 1_000_000_000
KTIME_MAX = (1 << 63) - 1
"""Nanoseconds: the longest time that a timer runs, 292 years. Longer ones are cut to it."""


def read_timespec(task: Task, address: int) -> float:
    """Seconds, any number of them; EINVAL if there are fewer than none, or nanoseconds for a second."""
    seconds, nanos = unpack("<qq", get_bytes(task, address, 16))
    if seconds < 0 or not 0 <= nanos < BILLION:
        raise LinuxError(errno.EINVAL)
    total: float = seconds + nanos / BILLION
    return total


def write_timespec(task: Task, address: int, nanos: int) -> None:
    put_bytes(task, address, pack("<qq", *divmod(nanos, BILLION)))


def read_itimerspec(task: Task, address: int) -> tuple[int, int]:
    """struct itimerspec: interval and value, in nanoseconds, any number of them. EINVAL for what is no time."""
    words = unpack("<qqqq", get_bytes(task, address, 32))
    if words[0] < 0 or words[2] < 0 or not 0 <= words[1] < BILLION or not 0 <= words[3] < BILLION:
        raise LinuxError(errno.EINVAL)
    return words[0] * BILLION + words[1], words[2] * BILLION + words[3]


def write_itimerspec(task: Task, address: int, interval: int, value: int) -> None:
    put_bytes(task, address, pack("<qqqq", *divmod(interval, BILLION), *divmod(value, BILLION)))
