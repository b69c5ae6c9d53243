"""One heap of deadlines: when the loop must look up next, and what it does then.

Times are seconds of the loop's clock. Setting costs O(log n), cancelling O(1): a cancelled timer stays in the heap
until its time, or until they are the greater part of it.

Not here: what is due (`wait`, interval timers of a personality). Owner: the thread of the loop. A snapshot keeps no
heap: whoever owns a time sets it again.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_FEW = 64
"""Dead timers that are never worth a clean-up."""


class Timer:
    """A function to be called at a time. `at` is None once it has been, or is not to be, called."""

    __slots__ = ("at", "expire")

    def __init__(self, at: float, expire: Callable[[], object]) -> None:
        self.at: float | None = at
        self.expire = expire


class Timers:
    """The heap. Timers of one time go off in the order in which they were set. heap: empty, if there are none."""

    __slots__ = ("_dead", "_serial", "heap")

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, Timer]] = []
        self._serial = 0
        self._dead = 0

    def __len__(self) -> int:
        return len(self.heap) - self._dead

    def set(self, at: float, expire: Callable[[], object]) -> Timer:
        """Have `expire()` called at `at`, or as soon after it as the loop looks."""
        from _heapq import heappush  # no run that sets none loads it

        timer = Timer(at, expire)
        self._serial += 1
        heappush(self.heap, (at, self._serial, timer))
        return timer

    def cancel(self, timer: Timer) -> None:
        """Nothing happens if it has gone off, or was cancelled."""
        if timer.at is None:
            return
        timer.at = None
        self._dead += 1
        if self._dead > _FEW and self._dead * 2 > len(self.heap):
            from _heapq import heapify

            self.heap = [entry for entry in self.heap if entry[2].at is not None]
            heapify(self.heap)
            self._dead = 0

    def next(self) -> float | None:
        """When the earliest goes off; None if there is none."""
        heap = self.heap
        if not heap:
            return None
        if heap[0][2].at is None:
            from _heapq import heappop

            while heap and heap[0][2].at is None:
                heappop(heap)
                self._dead -= 1
        return heap[0][0] if heap else None

    def due(self, now: float) -> int:
        """Let all those go off whose time has come, in order; how many. One set meanwhile waits for the next look."""
        if not self.heap or self.heap[0][0] > now:
            return 0
        from _heapq import heappop, heappush

        last, count = self._serial, 0
        later: list[tuple[float, int, Timer]] = []
        try:
            while (at := self.next()) is not None and at <= now:
                entry = heappop(self.heap)
                if entry[1] > last:
                    later.append(entry)
                    continue
                timer = entry[2]
                timer.at = None
                count += 1
                timer.expire()
        finally:
            for entry in later:
                heappush(self.heap, entry)
        return count

    def _check(self) -> None:
        """Raise `AssertionError` unless this is a heap and its dead are counted."""
        heap = self.heap
        for i in range(1, len(heap)):
            if heap[(i - 1) // 2][:2] > heap[i][:2]:
                raise AssertionError(f"no heap: {heap}")
        dead = sum(entry[2].at is None for entry in heap)
        if dead != self._dead:
            raise AssertionError(f"{self._dead} are said to be dead, {dead} are")
        if any(entry[2].at not in (None, entry[0]) for entry in heap):
            raise AssertionError("a timer was moved by hand")
