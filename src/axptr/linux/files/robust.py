"""Robust futexes: what a thread holds when it ends is marked, and who waits for it woken. Source:
Documentation/locking/robust-futex-ABI.rst, kernel/futex/core.c (exit_robust_list, handle_futex_death).

The list lies in the program's memory, as the program made it: whatever is wrong with it ends the walk.
"""

from __future__ import annotations

from struct import unpack

from ...errors import LinuxError
from ..uaccess import get_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

ROBUST_LIST_LIMIT = 2048
FUTEX_WAITERS, FUTEX_OWNER_DIED, FUTEX_TID_MASK = 0x8000_0000, 0x4000_0000, 0x3FFF_FFFF


def give_up(task: LinuxTask) -> None:
    """Go through the thread's list, and forget it."""
    head, task.robust_list = task.robust_list[0], (0, 24)
    try:
        _walk(task, head)
    except LinuxError:
        return


def _walk(task: LinuxTask, head: int) -> None:
    """struct robust_list_head: next, the offset from an entry to its word, the entry that is just being taken or given
    up. Bit 0 of a pointer says that priorities are inherited."""
    entry, offset, pending = unpack("<QqQ", get_bytes(task, head, 24))
    under_way = pending & ~1
    for _ in range(ROBUST_LIST_LIMIT):
        if entry & ~1 == head:
            break
        here, inherits = entry & ~1, bool(entry & 1)
        torn = False
        try:
            (entry,) = unpack("<Q", get_bytes(task, here, 8))
        except LinuxError:  # the word is looked at all the same
            torn = True
        if here != under_way:
            _dies(task, here + offset, inherits, pending=False)
        if torn:
            return
    if under_way:
        _dies(task, under_way + offset, bool(pending & 1), pending=True)


def _dies(task: LinuxTask, address: int, inherits: bool, *, pending: bool) -> None:
    """A word that names the thread as its holder gets the mark of one that died."""
    from ..._core.pointers.atomic import UserAtomic  # a list that is there is empty as a rule
    from .futex import wake_at

    address &= (1 << 64) - 1
    word = UserAtomic(address)
    while True:
        value = int(word.load(task))
        if pending and not inherits and not value:
            wake_at(task, address)
            return
        if value & FUTEX_TID_MASK != task.tid:
            return
        if int(word.compare_exchange(task, value, value & FUTEX_WAITERS | FUTEX_OWNER_DIED)) == value:
            break
    if not inherits and value & FUTEX_WAITERS:
        wake_at(task, address)
