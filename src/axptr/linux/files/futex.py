"""The words of memory that tasks wait at. Source: futex(2), kernel/futex/core.c (`get_futex_key`), waitwake.c,
requeue.c.

A word is known by its memory and address where it is private, by the object and the place in it where several memories
may share it. The events of its queue are the 32 bits of FUTEX_WAIT_BITSET; above them who waits at several words has a
bit for each, `which`, by which it is told which of them it was.

Not here: the calls (`calls.futex`, `futex2`).

Owner: the machine's thread. fork, exec and a snapshot need nothing of it: a word is there as long as somebody waits.
"""

from __future__ import annotations

import errno

from ..._core.kernel.fields import learn_word
from ...errors import LinuxError
from ...flags import READ, WRITE
from ...kernel.wait import WaitQueue
from ...weak import WeakTable
from ..uaccess import require_user

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask
    from ..uaccess import Bytes

    Key = tuple[object, int]


ANY = 0xFFFF_FFFF
"""All of the bits by which waiters can be told apart."""
FUTEX_WAITV_MAX = 128
WHICH = ((1 << FUTEX_WAITV_MAX) - 1) << 32


def which(index: int) -> int:
    """The bit by which one of several words is told apart."""
    return 1 << (32 + index)


def last_of(events: int) -> int:
    """Of the words that events came from, the last (futex_unqueue_multiple)."""
    return (events >> 32).bit_length() - 1


class FutexWord:
    """One word that is waited at.

    inheriting: of those that are to be moved to a word with a holder and to nothing else (FUTEX_WAIT_REQUEUE_PI), that
    word and the address by which they know it.
    """

    __slots__ = ("__weakref__", "inheriting", "key", "queue")

    def __init__(self, key: Key) -> None:
        self.key = key
        self.queue = WaitQueue()
        self.inheriting: dict[LinuxTask, tuple[Key, int]] = {}

    def ready(self, mask: int) -> int:
        """What a word is waited for nobody sees in it."""
        return 0


learn_word(FutexWord)


class FutexTable:
    """The words that somebody waits at."""

    def __init__(self) -> None:
        self._words = WeakTable()  # key -> FutexWord

    def word(self, key: Key) -> FutexWord:
        """What to wait for; it lives as long as a task's record names it."""
        found = self.get(key)
        if found is None:
            found = FutexWord(key)
            self._words.setdefault(key, found)
        return found

    def get(self, key: Key) -> FutexWord | None:
        """The word, if somebody waits at it."""
        return self._words.get(key)  # type: ignore[no-any-return]

    def wake(self, key: Key, count: int, bits: int) -> int:
        """Wake the first `count` of those that wait with one of these bits; how many there were. EINVAL where one is to
        be moved to a word with a holder, and to be woken by nothing else."""
        found = self.get(key)
        if found is None:
            return 0
        if found.inheriting:
            raise LinuxError(errno.EINVAL)
        return found.queue.wake(bits | WHICH, count)

    def requeue(self, key: Key, goal: Key, count: int) -> int:
        """Have the first `count` wait at another word instead; how many there were."""
        found = self.get(key)
        if found is None or count == 0:
            return 0
        if found.inheriting:
            raise LinuxError(errno.EINVAL)
        if key == goal:  # they keep their places
            return min(len(found.queue), count)
        return found.queue.move(self.word(goal), count)


def key_of(task: LinuxTask, address: int, private: bool) -> Key:
    """What word this is. private: the program says that no other memory shares it."""
    area = None if private else task.space.find_area(address)
    if area is not None and area.backend.shared:
        return area.backend.store, area.offset + (address - area.start)
    return task.mm, address


def wake_at(task: LinuxTask, address: int) -> None:
    """Wake one who waits at a word, private or shared: what the kernel itself does when a thread ends."""
    task.machine.futexes.wake(key_of(task, address, False), 1, ANY)


def awake(task: LinuxTask) -> int:
    """Somebody woke it, or its time was over."""
    if not task.woken:
        raise LinuxError(errno.ETIMEDOUT)
    return 0


def word_key(task: LinuxTask, word: Bytes, private: bool, *, write: bool = False) -> Key:
    """Which word it is. EINVAL, EFAULT."""
    check_word(task, word, private, write=write)
    return key_of(task, word.address, private)


def load(task: LinuxTask, word: Bytes) -> int:
    """What the word has now."""
    from ..._core.pointers.atomic import UserAtomic  # not at every start

    return int(UserAtomic(word.address).load(task))


def check_word(task: LinuxTask, word: Bytes, private: bool, *, write: bool = False) -> None:
    """get_futex_key: alignment is EINVAL, then access_ok; a shared one is known by its page, which must be there."""
    if word.address & 3:
        raise LinuxError(errno.EINVAL)
    require_user(task, word.address, 4, WRITE)
    if not private:
        area = task.space.find_area(word.address)
        wanted = WRITE if write or (area is not None and area.backend.kind_name == "alloc") else READ
        if not task.space.handle_page_fault(word.address, wanted):
            raise task.space.fault(word.address, wanted, size=4)
