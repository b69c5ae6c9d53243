"""The view that a machine of a snapshot has of the host: its clocks go on from where they were.

The monotonic clock and the time since boot do not jump, whenever and wherever a machine goes on: what it had set goes
off when it would have. The time of day is the host's. A seeded view goes on as it was, counts and random bytes
included."""

from __future__ import annotations

import time

from ..host import HostView

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MONOTONIC = frozenset((1, 4, 6))
_BOOTTIME = frozenset((7, 9))
_BILLION = 1_000_000_000


class ResumedView(HostView):
    """The host, some of whose clocks show another time.

    The machine's thread alone uses it. Exec and fork share it; a snapshot keeps what its clocks show.
    """

    def __init__(self, pid: int, monotonic_ns: int, boottime_ns: int) -> None:
        super().__init__(pid)
        self._ahead = monotonic_ns - time.monotonic_ns()
        self._seconds = self._ahead / _BILLION
        self._boot = boottime_ns - time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def monotonic(self) -> float:
        return time.monotonic() + self._seconds

    def monotonic_ns(self) -> int:
        return time.monotonic_ns() + self._ahead

    def ahead(self) -> tuple[int, int, int]:
        return 0, self._ahead, self._boot

    def boottime_ns(self) -> int:
        return super().boottime_ns() + self._boot

    def clock_ns(self, clock: int) -> int:
        now = super().clock_ns(clock)
        if clock in _MONOTONIC:
            return now + self._ahead
        return now + self._boot if clock in _BOOTTIME else now


def state_of(view: HostView) -> tuple[Any, ...]:
    """What is kept of a view: plain data, for `resumed`."""
    called = getattr(view, "called", None)  # of a machine that shows nothing of its host
    if view.repeats:
        return ("seeded", called, *view.state())  # type: ignore[attr-defined]
    return "host", called, view.pid, view.monotonic_ns(), view.boottime_ns()


def resumed(kind: str, called: tuple[Any, ...] | None, *state: Any) -> HostView:
    """A view that goes on from there."""
    cls: Any = ResumedView
    if kind == "seeded":
        from ..seeded import SeededView

        cls = SeededView
    if called is not None:
        from ..ownview import own

        cls = own(cls)
    view: HostView = cls.resumed(*state) if kind == "seeded" else cls(*state)
    if called is not None:
        hostname, limits, memory = called
        view.call_it(hostname, dict(limits), memory)  # type: ignore[attr-defined]
    return view
