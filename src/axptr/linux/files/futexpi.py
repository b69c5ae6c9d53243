"""Futexes that lend their holder the priority of who waits: who holds which, and who gets it next. All tasks here have
one priority, so what is left of it is the contract: the word names its holder, the kernel hands it on, in the order in
which they came. Source: futex(2) (FUTEX_LOCK_PI ...), kernel/futex/pi.c of Linux 6.18.

Not here: the call (`calls.futexpi`), robust lists (`robust`).
"""

from __future__ import annotations

from ..._core.pointers.atomic import UserAtomic
from ...errors import LinuxError
from ...kernel.wait import WaitQueue
from .robust import FUTEX_OWNER_DIED, FUTEX_WAITERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask
    from .futex import Key


class PiWord:
    """A word that is held and waited for. Fields are the machine's thread's; exec and fork leave it as it is, a
    snapshot has it with those who wait.

    owner: who holds it. places: of each that waits, the address by which it knows the word.
    """

    def __init__(self, owner: LinuxTask) -> None:
        self.owner = owner
        self.queue = WaitQueue()
        self.places: dict[LinuxTask, int] = {}

    def ready(self, mask: int) -> int:
        """Whoever is woken has it."""
        return 0

    def first(self) -> LinuxTask | None:
        return self.queue.first()  # type: ignore[return-value]  # none but these are put there

    def hand_on(self, *, died: bool) -> bool:
        """Make the first that waits the holder; False if nobody does. died: the holder has ended."""
        heir = self.first()
        if heir is None:
            return False
        word = UserAtomic(self.places.pop(heir))
        mark = FUTEX_OWNER_DIED if died else 0
        try:
            if not died:
                mark = int(word.load(heir)) & FUTEX_OWNER_DIED
            word.store(heir, FUTEX_WAITERS | mark | heir.tid)
        except LinuxError:
            pass  # it has unmapped the word that it waits for
        self.owner = heir
        self.queue.wake(n=1)
        return True


class PiTable:
    """The words that somebody waits for."""

    def __init__(self) -> None:
        self._words: dict[Key, PiWord] = {}

    def get(self, key: Key) -> PiWord | None:
        """The word, if somebody waits for it."""
        found = self._words.get(key)
        if found is not None and not len(found.queue):
            del self._words[key]
            return None
        return found

    def word(self, key: Key, owner: LinuxTask) -> PiWord:
        found = self.get(key)
        if found is None:
            found = self._words[key] = PiWord(owner)
        return found

    def ended(self, task: LinuxTask) -> None:
        """A thread has ended: what it holds goes to those who wait (exit_pi_state_list)."""
        for key, word in list(self._words.items()):
            if word.owner is task and not word.hand_on(died=True):
                del self._words[key]
