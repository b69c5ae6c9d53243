"""Signals on their way: `Info`, what one of them tells, and `Pending`, the queue of them. Source: sigaction(2),
`siginfo_t`; kernel/signal.c (`__send_signal_locked`, `next_signal`).

Standard signals are pending at most once, real-time ones queue; adding and taking one cost O(1). Not here: whether one
is ignored, blocked or handled (`signals`).
"""

from __future__ import annotations

from ...light import deque
from ..abi.signals import (
    FIRST_REAL_TIME,
    SI_TIMER,
    SIGBUS,
    SIGFPE,
    SIGILL,
    SIGKILL,
    SIGSEGV,
    SIGSYS,
    SIGTRAP,
    Info,
    bit,
)

_FIRST = sum(map(bit, (SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGSYS)))
"""What a fault sends, which is delivered before all others (SYNCHRONOUS_MASK)."""


class Tally:
    """How many signals a machine's processes have on their way, timers' places among them (RLIMIT_SIGPENDING): it is
    the user's, of whom there is one."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class Pending:
    """The pending signals. mask: bit n-1 for signal n. count: how many, queued real-time ones each for itself.
    tally: the machine's, where they are counted too."""

    def __init__(self) -> None:
        self._queues: dict[int, deque[Info]] = {}
        self.mask = 0
        self.count = 0
        self.tally = Tally()

    def _more(self, count: int) -> None:
        self.count += count
        self.tally.count += count

    def add(self, info: Info, *, first: bool = False) -> bool:
        """Note a signal; False if it is a standard one that is pending already. `first`: before those of its number.

        What a timer sends is pending beside its likes: each has a place of its own (posixtimer_send_sigqueue).
        """
        queue = self._queues.get(info.signal)
        if queue is None:
            queue = self._queues[info.signal] = deque()
        elif queue and info.signal < FIRST_REAL_TIME and not first and info.timer is None:
            return False
        if first:
            queue.appendleft(info)
        else:
            queue.append(info)
        self.mask |= bit(info.signal)
        self._more(1)
        return True

    def take(self, wanted: int) -> Info | None:
        """The next signal of the mask `wanted`, taken off: SIGKILL, then those of faults, then the lowest number."""
        ready = self.mask & wanted
        if not ready:
            return None
        ready = ready & bit(SIGKILL) or ready & _FIRST or ready
        signal = (ready & -ready).bit_length()
        queue = self._queues[signal]
        info = queue.popleft()
        self._more(-1)
        if not queue:
            self.mask &= ~bit(signal)
        return info

    def discard(self, mask: int) -> None:
        """Forget all pending signals of a mask."""
        gone = self.mask & mask
        while gone:
            signal = (gone & -gone).bit_length()
            gone &= gone - 1
            self._more(-len(self._queues.pop(signal)))
        self.mask &= ~mask

    def infos(self) -> list[Info]:
        """All of them, by number."""
        return [info for signal in sorted(self._queues) for info in self._queues[signal]]

    def discard_timers(self) -> None:
        """Forget what timers have sent (flush_itimer_signals)."""
        for signal, queue in list(self._queues.items()):
            kept = deque(info for info in queue if info.code != SI_TIMER)
            self._more(len(kept) - len(queue))
            self._queues[signal] = kept
            if not kept:
                self.mask &= ~bit(signal)

    def _check(self) -> None:
        """Raise `AssertionError` unless the mask and the count are those of the queues."""
        mask = sum(bit(signal) for signal, queue in self._queues.items() if queue)
        count = sum(map(len, self._queues.values()))
        if (mask, count) != (self.mask, self.count):
            raise AssertionError(f"mask {self.mask:#x} for {mask:#x}, count {self.count} for {count}")


class TaskPending:
    """What a task may be given: what was sent to it alone (`own`), then what was sent to its process (`shared`).

    As one queue, but for adding (dequeue_signal). A SIGKILL comes before everything.
    """

    __slots__ = ("own", "shared")

    def __init__(self, shared: Pending) -> None:
        self.own = Pending()
        self.shared = shared

    @property
    def mask(self) -> int:
        return self.own.mask | self.shared.mask

    @property
    def count(self) -> int:
        return self.own.count + self.shared.count

    def take(self, wanted: int) -> Info | None:
        """The next signal of the mask `wanted`, taken off."""
        if self.shared.mask & wanted & bit(SIGKILL):
            return self.shared.take(bit(SIGKILL))
        return self.own.take(wanted) or self.shared.take(wanted)

    def discard(self, mask: int) -> None:
        """Forget all pending signals of a mask."""
        self.own.discard(mask)
        self.shared.discard(mask)
