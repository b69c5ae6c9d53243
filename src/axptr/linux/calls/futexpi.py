"""The operations of futex(2) on words whose holder inherits priority: FUTEX_LOCK_PI, LOCK_PI2, TRYLOCK_PI, UNLOCK_PI,
and those by which a waiter gets from another word to such a one: WAIT_REQUEUE_PI, CMP_REQUEUE_PI. Source:
kernel/futex/pi.c, requeue.c of Linux 6.18. The call itself is `calls.futex`, which loads this when it is needed; who
waits where is `files.futexpi`.
"""

from __future__ import annotations

import errno

from ..._core.pointers.atomic import UserAtomic
from ...errors import LinuxError
from ..files.futex import ANY, awake, key_of, load, word_key
from ..files.robust import FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS
from ..signals.state import ALWAYS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..files.futex import Key
    from ..files.futexpi import PiWord
    from ..task.task import LinuxTask
    from ..uaccess import Bytes


def lock(task: LinuxTask, address: int, private: bool, until: float | None, *, try_only: bool) -> int | None:
    """Hold the word, once nobody else does. EDEADLK for one that the task holds, ESRCH if its holder is no more."""
    key, word, table = key_of(task, address, private), UserAtomic(address), task.machine.futexes_pi
    while True:
        value = int(word.load(task))
        holder = value & FUTEX_TID_MASK
        if holder == task.tid:
            raise LinuxError(errno.EDEADLK)
        waited = table.get(key)
        if waited is None and not holder:
            if int(word.compare_exchange(task, value, value & FUTEX_OWNER_DIED | task.tid)) == value:
                return 0
            continue
        if try_only and holder in task.machine.tasks:
            raise LinuxError(errno.EAGAIN)
        owner = waited.owner if waited is not None else task.machine.tasks.get(holder)
        if value & FUTEX_WAITERS or int(word.compare_exchange(task, value, value | FUTEX_WAITERS)) == value:
            break
    if owner is None or owner.dead:
        raise LinuxError(errno.ESRCH)
    if waited is not None and waited.owner.tid != holder and not value & FUTEX_OWNER_DIED:
        raise LinuxError(errno.EINVAL)  # the program wrote there
    waiting = table.word(key, owner)
    waiting.places[task] = address
    return task.block(on=[(waiting, 1)], until=until, again=(_held, ()), restart=ALWAYS)


def _held(task: LinuxTask) -> int:
    if not task.woken:
        raise LinuxError(errno.ETIMEDOUT)
    return 0


def unlock(task: LinuxTask, address: int, private: bool) -> int:
    """Give the word to the first that waits for it. EPERM for one that the task does not hold."""
    key, word = key_of(task, address, private), UserAtomic(address)
    while True:
        value = int(word.load(task))
        if value & FUTEX_TID_MASK != task.tid:
            raise LinuxError(errno.EPERM)
        waited = task.machine.futexes_pi.get(key)
        if waited is not None and waited.hand_on(died=False):
            return 0
        if int(word.compare_exchange(task, value, 0)) == value:
            return 0


# -- from another word


def wait_to_be_moved(
    task: LinuxTask, word: Bytes, goal: Bytes, private: bool, value: int, until: float | None
) -> int | None:
    """Wait at a word, to be moved to another and to hold that in the end. EAGAIN where a signal ends it after it was
    moved."""
    if word.address == goal.address:
        raise LinuxError(errno.EINVAL)
    return _wait_for_move(task, word.address, goal.address, private, value, until)


def _wait_for_move(
    task: LinuxTask, address: int, goal: int, private: bool, value: int, until: float | None
) -> int | None:
    from ..uaccess import Bytes

    word = Bytes(address)
    held = word_key(task, Bytes(goal), private, write=True)
    key = word_key(task, word, private)
    if load(task, word) != value:
        raise LinuxError(errno.EAGAIN)
    if key == held:
        raise LinuxError(errno.EINVAL)
    waited = task.machine.futexes.word(key)
    waited.inheriting[task] = held, goal
    again = _moved, (address, private)
    return task.block(on=[(waited, ANY)], until=until, again=again, restart=ALWAYS, interrupted=_cut_short)


def _stays(task: LinuxTask, address: int, private: bool) -> bool:
    """Whether it was not moved; it is to be moved no more."""
    waited = task.machine.futexes.get(key_of(task, address, private))
    return waited is not None and waited.inheriting.pop(task, None) is not None


def _moved(task: LinuxTask, address: int, private: bool) -> int:
    _stays(task, address, private)
    return awake(task)


def _cut_short(task: LinuxTask, address: int, private: bool) -> LinuxError | None:
    return None if _stays(task, address, private) else LinuxError(errno.EAGAIN)


def requeue(task: LinuxTask, word: Bytes, goal: Bytes, private: bool, wake: int, most: int, value: int) -> int:
    """The first of those that wait to be moved gets the other word if nobody holds it; the next `most` wait for it. How
    many both were. EINVAL for one that waits for something else."""
    if word.address == goal.address or wake != 1:
        raise LinuxError(errno.EINVAL)
    key, held = word_key(task, word, private), word_key(task, goal, private, write=True)
    if key == held:
        raise LinuxError(errno.EINVAL)
    if load(task, word) != value:
        raise LinuxError(errno.EAGAIN)
    waited = task.machine.futexes.get(key)
    first = waited.queue.first() if waited is not None else None
    if waited is None or first is None:
        return 0
    _require_goal(waited.inheriting, first, held)
    done = 0
    waiting = _taken(task, first, goal.address, held, bool(most))  # type: ignore[arg-type]
    if waiting is None:
        del waited.inheriting[first]  # type: ignore[arg-type]
        done += waited.queue.wake(n=1)
    while done - 1 < most and (one := waited.queue.first()) is not None:
        try:
            _require_goal(waited.inheriting, one, held)
            if waiting is None:
                waiting = _taken(task, one, goal.address, held, True)  # type: ignore[arg-type]
                assert waiting is not None
        except LinuxError:
            if not done:
                raise
            break
        waiting.places[one] = waited.inheriting.pop(one)[1]  # type: ignore[index, call-overload]
        done += waited.queue.move(waiting, 1)
    return done


def _require_goal(moving: dict[LinuxTask, tuple[Key, int]], one: object, held: Key) -> None:
    """EINVAL for one that does not wait to be moved there."""
    if moving.get(one, (None, 0))[0] != held:  # type: ignore[call-overload]
        raise LinuxError(errno.EINVAL)


def _taken(task: LinuxTask, heir: LinuxTask, address: int, key: Key, waiters: bool) -> PiWord | None:
    """Have `heir` hold the word if nobody does, and give None; else what is to be waited for
    (futex_proxy_trylock_atomic). EDEADLK for one that it holds already, ESRCH if the holder is no more."""
    word, table = UserAtomic(address), task.machine.futexes_pi
    while True:
        seen = int(word.load(task))
        holder, waited = seen & FUTEX_TID_MASK, table.get(key)
        if holder == heir.tid:
            raise LinuxError(errno.EDEADLK)
        if waited is None and not holder:
            taken = seen & FUTEX_OWNER_DIED | heir.tid | (FUTEX_WAITERS if waiters else 0)
            if int(word.compare_exchange(task, seen, taken)) == seen:
                return None
            continue
        owner = waited.owner if waited is not None else task.machine.tasks.get(holder)
        if seen & FUTEX_WAITERS or int(word.compare_exchange(task, seen, seen | FUTEX_WAITERS)) == seen:
            break
    if owner is None or owner.dead:
        raise LinuxError(errno.ESRCH)
    return table.word(key, owner)
