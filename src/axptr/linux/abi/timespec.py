"""struct timespec (of 64 bits each) in a program's memory. Source: linux/time_types.h."""

from __future__ import annotations

import errno
from struct import pack, unpack

from ...errors import LinuxError
from ...kernel.task import Task
from ..uaccess import get_bytes, put_bytes

BILLION = 1_000_000_000


def read_timespec(task: Task, address: int) -> float:
    """Seconds, any number of them; EINVAL if there are fewer than none, or nanoseconds for a second."""
    seconds, nanos = unpack("<qq", get_bytes(task, address, 16))
    if seconds < 0 or not 0 <= nanos < BILLION:
        raise LinuxError(errno.EINVAL)
    total: float = seconds + nanos / BILLION
    return total


def write_timespec(task: Task, address: int, nanos: int) -> None:
    put_bytes(task, address, pack("<qq", *divmod(nanos, BILLION)))
