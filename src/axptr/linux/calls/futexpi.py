"""The operations of futex(2) on words whose holder inherits priority: FUTEX_LOCK_PI, LOCK_PI2, TRYLOCK_PI, UNLOCK_PI.
Source: kernel/futex/pi.c of Linux 6.18. The call itself is `calls.futex`, which loads this when it is needed; who waits
where is `files.futexpi`.
"""

from __future__ import annotations

import errno

from ..._core.pointers.atomic import UserAtomic
from ...errors import LinuxError
from ..files.futex import key_of
from ..files.robust import FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS
from ..signals.state import ALWAYS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask


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
