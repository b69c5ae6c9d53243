"""futex: waiting at a word of memory, waking who waits, moving them to another word. Source: futex(2),
kernel/futex/core.c, waitwake.c, requeue.c. Not here: who waits where (`files.futex`), the priority-inheriting
operations (`futexpi`), the calls that do one thing each (`futex2`).

This is the one call that wants its word aligned.
"""

from __future__ import annotations

import _operator as operator
import errno

from ..._core.kernel.quick import AtWord
from ..._core.pointers.atomic import UserAtomic
from ...errors import LinuxError
from ...kernel.abi import c_int, c_uint
from ..abi.timespec import read_timespec
from ..files.futex import ANY, WHICH, awake, check_word, load, word_key
from ..registry import at_once, call
from ..signals.state import RESTART
from ..uaccess import Bytes, ConstBytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

FUTEX_WAIT, FUTEX_WAKE, FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP = 0, 1, 3, 4, 5
FUTEX_LOCK_PI, FUTEX_UNLOCK_PI, FUTEX_TRYLOCK_PI = 6, 7, 8
FUTEX_WAIT_BITSET, FUTEX_WAKE_BITSET, FUTEX_WAIT_REQUEUE_PI, FUTEX_CMP_REQUEUE_PI, FUTEX_LOCK_PI2 = 9, 10, 11, 12, 13
FUTEX_PRIVATE, FUTEX_CLOCK_REALTIME = 128, 256
FUTEX_OP_OPARG_SHIFT = 8
_COMPARISONS = (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge)


@call("futex")
def sys_futex(
    task: LinuxTask, word: Bytes, op: c_int, value: c_uint, timeout: ConstBytes, word2: Bytes, value3: c_uint
) -> int | None:
    command, private = op & ~(FUTEX_PRIVATE | FUTEX_CLOCK_REALTIME), bool(op & FUTEX_PRIVATE)
    if op & FUTEX_CLOCK_REALTIME and command not in (FUTEX_WAIT_BITSET, FUTEX_LOCK_PI2, FUTEX_WAIT_REQUEUE_PI):
        if command == FUTEX_WAIT and not timeout.is_null:
            read_timespec(task, timeout.address)  # which is judged first
        raise LinuxError(errno.ENOSYS)
    if command in (FUTEX_WAIT, FUTEX_WAIT_BITSET):
        bits = value3 if command == FUTEX_WAIT_BITSET else ANY
        return _wait(task, word, private, value, _until(task, op, timeout), bits)
    if command in (FUTEX_WAKE, FUTEX_WAKE_BITSET):
        if command == FUTEX_WAKE_BITSET and value3 == 0:
            raise LinuxError(errno.EINVAL)
        key = word_key(task, word, private)
        return task.machine.futexes.wake(key, _count(value), value3 if command == FUTEX_WAKE_BITSET else ANY)
    if command in (FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_CMP_REQUEUE_PI):
        # how many to wake and how many to move are signed, and the latter is in the place of the timeout
        if value >= 1 << 31 or timeout.address & 0x8000_0000:
            raise LinuxError(errno.EINVAL)
        most = timeout.address & 0x7FFF_FFFF
        if command == FUTEX_CMP_REQUEUE_PI:
            from .futexpi import requeue

            return requeue(task, word, word2, private, value, most, value3)
        goal = word2, private
        return move(task, (word, private), goal, value, most, value3 if command == FUTEX_CMP_REQUEUE else None)
    if command == FUTEX_WAKE_OP:
        key, other = word_key(task, word, private), word_key(task, word2, private, write=True)
        holds = _apply(task, word2, value3)
        woken = task.machine.futexes.wake(key, _count(value), ANY)
        if holds:
            woken += task.machine.futexes.wake(other, _count(timeout.address & ANY), ANY)
        return woken
    if command in (FUTEX_LOCK_PI, FUTEX_LOCK_PI2, FUTEX_TRYLOCK_PI, FUTEX_UNLOCK_PI):
        return _inheriting(task, word, op, timeout)
    if command == FUTEX_WAIT_REQUEUE_PI:
        from .futexpi import wait_to_be_moved

        return wait_to_be_moved(task, word, word2, private, value, _until(task, op, timeout))
    raise LinuxError(errno.ENOSYS)


at_once("futex", AtWord, awake, ANY | WHICH)


def _inheriting(task: LinuxTask, word: Bytes, op: int, timeout: ConstBytes) -> int | None:
    """Those on words that have a holder. The time of the oldest is the wall clock's, whatever else is said."""
    from . import futexpi

    command, private = op & ~(FUTEX_PRIVATE | FUTEX_CLOCK_REALTIME), bool(op & FUTEX_PRIVATE)
    until = None
    if not timeout.is_null and command in (FUTEX_LOCK_PI, FUTEX_LOCK_PI2):
        until = read_timespec(task, timeout.address)
        if command == FUTEX_LOCK_PI or op & FUTEX_CLOCK_REALTIME:
            until += since_boot(task)
    check_word(task, word, private, write=True)
    if command == FUTEX_UNLOCK_PI:
        return futexpi.unlock(task, word.address, private)
    return futexpi.lock(task, word.address, private, until, try_only=command == FUTEX_TRYLOCK_PI)


def since_boot(task: LinuxTask) -> float:
    """What turns a time of the wall clock into one of the monotonic clock."""
    host = task.machine.host
    return (host.monotonic_ns() - host.realtime_ns()) / 10**9


def _until(task: LinuxTask, op: int, timeout: ConstBytes) -> float | None:
    """When a wait ends at the latest, by the monotonic clock. FUTEX_WAIT alone says how long it is to be."""
    if timeout.is_null:
        return None
    until = read_timespec(task, timeout.address)
    if op & ~(FUTEX_PRIVATE | FUTEX_CLOCK_REALTIME) == FUTEX_WAIT:
        return until + task.machine.host.monotonic()
    return until + since_boot(task) if op & FUTEX_CLOCK_REALTIME else until


def _wait(task: LinuxTask, word: Bytes, private: bool, value: int, until: float | None, bits: int) -> int | None:
    if bits == 0:
        raise LinuxError(errno.EINVAL)
    return _wait_on(task, word.address, private, value, until, bits)


def _wait_on(task: LinuxTask, address: int, private: bool, value: int, until: float | None, bits: int) -> int | None:
    word = Bytes(address)
    key = word_key(task, word, private)
    if load(task, word) != value:
        raise LinuxError(errno.EAGAIN)
    rest = _wait_on, (address, private, value, until, bits)
    on = [(task.machine.futexes.word(key), bits)]
    return task.block(on=on, until=until, again=(awake, ()), restart=RESTART if until is None else rest)


def move(
    task: LinuxTask, one: tuple[Bytes, bool], other: tuple[Bytes, bool], wake: int, most: int, value: int | None
) -> int:
    """Wake some of those who wait at one word, and have the next wait at another; how many both were. The words are
    told with whether they are private. EAGAIN if the first does not have the value that it is said to have."""
    key, goal = word_key(task, *one), word_key(task, *other)
    if value is not None and load(task, one[0]) != value:
        raise LinuxError(errno.EAGAIN)
    table = task.machine.futexes
    return (table.wake(key, wake, ANY) if wake else 0) + table.requeue(key, goal, most)


def _count(value: int) -> int:
    """How many are to be woken: a signed number, and at least one (futex_wake)."""
    return value if 0 < value < 1 << 31 else 1


def _apply(task: LinuxTask, word: Bytes, encoded: int) -> bool:
    """FUTEX_WAKE_OP's change of the second word, and whether its comparison holds (futex_atomic_op_inuser).

    ENOSYS for an operation or comparison that there is not: the former before anything is changed, the latter after it,
    as on Linux.
    """
    kind, compare = encoded >> 28 & 7, encoded >> 24 & 15
    operand = _signed12(encoded >> 12)
    if encoded & FUTEX_OP_OPARG_SHIFT << 28:
        operand = 1 << (operand & 31)
    atomic = UserAtomic(word.address)
    operand &= ANY
    if kind == 0:
        old = atomic.exchange(task, operand)
    elif kind == 1:
        old = atomic.fetch_add(task, operand)
    elif kind == 2:
        old = atomic.fetch_or(task, operand)
    elif kind == 3:
        old = atomic.fetch_and(task, ~operand & ANY)
    elif kind == 4:
        old = atomic.fetch_xor(task, operand)
    else:
        raise LinuxError(errno.ENOSYS)
    if compare >= len(_COMPARISONS):
        raise LinuxError(errno.ENOSYS)
    number = int(old)
    return bool(_COMPARISONS[compare](number - (number >> 31 << 32), _signed12(encoded)))


def _signed12(value: int) -> int:
    return (value & 0xFFF ^ 0x800) - 0x800
