"""The calls that do one thing of futex(2) each: futex_wait, futex_wake, futex_requeue, futex_waitv. Source:
kernel/futex/syscalls.c, waitwake.c, requeue.c of Linux 6.18.

A word is of 32 bits; that a word names a node of memory of its own (FUTEX2_NUMA, FUTEX2_MPOL) is EINVAL, as on a kernel
of one node without it.
"""

from __future__ import annotations

import errno
from struct import Struct

from ...errors import LinuxError
from ...kernel.abi import c_int, c_uint, c_ulong
from ..abi.timespec import read_timespec
from ..files.futex import ANY, FUTEX_WAITV_MAX, awake, last_of, load, which, word_key
from ..registry import call
from ..uaccess import Bytes, ConstBytes, get_bytes
from .futex import move, since_boot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

    Wanted = tuple[int, int, bool]
    """What a word must have, where it is, whether it is private."""

_SIZE, _SIZE_U32, _PRIVATE = 3, 2, 128
_KNOWN = _SIZE | _PRIVATE
_CLOCK_REALTIME, _CLOCK_MONOTONIC = 0, 1
_WAITER = Struct("<QQII")


def _is_private(flags: int, *numbers: int) -> bool:
    """EINVAL for flags that there are not, and numbers that do not go into a word."""
    if flags & ~_KNOWN or flags & _SIZE != _SIZE_U32 or any(number > ANY for number in numbers):
        raise LinuxError(errno.EINVAL)
    return bool(flags & _PRIVATE)


def _until(task: LinuxTask, timeout: ConstBytes, clock: int) -> float | None:
    if timeout.is_null:
        return None
    if clock not in (_CLOCK_REALTIME, _CLOCK_MONOTONIC):
        raise LinuxError(errno.EINVAL)
    until = read_timespec(task, timeout.address)
    return until + since_boot(task) if clock == _CLOCK_REALTIME else until


@call("futex_wake")
def sys_futex_wake(task: LinuxTask, word: Bytes, mask: c_ulong, count: c_int, flags: c_uint) -> int:
    private = _is_private(flags, mask)
    if not mask:
        raise LinuxError(errno.EINVAL)
    key = word_key(task, word, private)
    return task.machine.futexes.wake(key, max(count, 1), mask) if count else 0


@call("futex_wait")
def sys_futex_wait(
    task: LinuxTask, word: Bytes, value: c_ulong, mask: c_ulong, flags: c_uint, timeout: ConstBytes, clock: c_int
) -> int | None:
    private = _is_private(flags, value, mask)
    until = _until(task, timeout, clock)
    if not mask:
        raise LinuxError(errno.EINVAL)
    key = word_key(task, word, private)
    if load(task, word) != value:
        raise LinuxError(errno.EAGAIN)
    return task.block(on=[(task.machine.futexes.word(key), mask)], until=until, again=(awake, ()))


def _waiters(task: LinuxTask, address: int, count: int) -> list[Wanted]:
    """An array of struct futex_waitv."""
    found = []
    for index in range(count):
        value, word, flags, reserved = _WAITER.unpack(get_bytes(task, address + index * _WAITER.size, _WAITER.size))
        if reserved:
            raise LinuxError(errno.EINVAL)
        found.append((value, word, _is_private(flags, value)))
    return found


@call("futex_requeue")
def sys_futex_requeue(task: LinuxTask, waiters: ConstBytes, flags: c_uint, wake: c_int, most: c_int) -> int:
    if flags or waiters.is_null:
        raise LinuxError(errno.EINVAL)
    (value, one, private), (_, other, also) = _waiters(task, waiters.address, 2)
    if private != also or wake < 0 or most < 0:  # as they must be for now
        raise LinuxError(errno.EINVAL)
    return move(task, (Bytes(one), private), (Bytes(other), also), wake, most, value)


@call("futex_waitv")
def sys_futex_waitv(
    task: LinuxTask, waiters: ConstBytes, count: c_uint, flags: c_uint, timeout: ConstBytes, clock: c_int
) -> int | None:
    """At several words at once; which of them it was, the last if several were woken."""
    if flags or not 0 < count <= FUTEX_WAITV_MAX or waiters.is_null:
        raise LinuxError(errno.EINVAL)
    until = _until(task, timeout, clock)
    wanted = _waiters(task, waiters.address, count)
    words = [(value, Bytes(address), word_key(task, Bytes(address), private)) for value, address, private in wanted]
    if any(load(task, word) != value for value, word, _ in words):
        raise LinuxError(errno.EAGAIN)
    table = task.machine.futexes
    on = [(table.word(key), ANY | which(index)) for index, (_, _, key) in enumerate(words)]
    return task.block(on=on, until=until, again=(_awake_by, ()))


def _awake_by(task: LinuxTask) -> int:
    if not task.woken:
        raise LinuxError(errno.ETIMEDOUT)
    return last_of(task.woken)
