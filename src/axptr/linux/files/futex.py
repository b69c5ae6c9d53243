"""The words of memory that tasks wait at. Source: futex(2), kernel/futex/core.c (`get_futex_key`), waitwake.c,
requeue.c.

A word is known by its memory and address where it is private, by the object and the place in it where several memories
may share it. The events of its queue are the 32 bits of FUTEX_WAIT_BITSET.

Not here: the call (`calls.futex`), what a word holds.

Owner: the machine's thread. fork, exec and a snapshot need nothing of it: a word is there as long as somebody waits.
"""

from __future__ import annotations

from weakref import WeakValueDictionary

from ...kernel.wait import WaitQueue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

    Key = tuple[object, int]


ANY = 0xFFFF_FFFF
"""All of the bits by which waiters can be told apart."""


class FutexWord:
    """One word that is waited at."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self.queue = WaitQueue()

    def ready(self, mask: int) -> int:
        """What a word is waited for nobody sees in it."""
        return 0


class FutexTable:
    """The words that somebody waits at."""

    def __init__(self) -> None:
        self._words: WeakValueDictionary[Key, FutexWord] = WeakValueDictionary()

    def word(self, key: Key) -> FutexWord:
        """What to wait for; it lives as long as a task's record names it."""
        found = self._words.get(key)
        if found is None:
            found = self._words[key] = FutexWord(key)
        return found

    def wake(self, key: Key, count: int, bits: int) -> int:
        """Wake the first `count` of those that wait with one of these bits; how many there were."""
        found = self._words.get(key)
        return found.queue.wake(bits, count) if found is not None else 0

    def requeue(self, key: Key, goal: Key, count: int) -> int:
        """Have the first `count` wait at another word instead; how many there were."""
        found = self._words.get(key)
        if found is None or count == 0:
            return 0
        if key == goal:  # they keep their places
            return min(len(found.queue), count)
        return found.queue.move(self.word(goal), count)


def key_of(task: LinuxTask, address: int, private: bool) -> Key:
    """What word this is. private: the program says that no other memory shares it."""
    area = None if private else task.space.find_area(address)
    if area is not None and area.backend.shared:
        return area.backend.store, area.backend.offset + (address - area.start)
    return task.mm, address


def wake_at(task: LinuxTask, address: int) -> None:
    """Wake one who waits at a word, private or shared: what the kernel itself does when a thread ends."""
    task.machine.futexes.wake(key_of(task, address, False), 1, ANY)
