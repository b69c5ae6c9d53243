"""Waiting, as plain data: what can be waited for, who waits for it, and the record of a task that does.

A handler never waits. Where it would, it says so and returns: `task.block(on=..., until=..., again=...)` leaves a
`Blocked` record on the task and puts the task into the queues of what it waits for. Whoever makes something happen
calls `queue.wake(mask)`; the loop (`run`) then calls the record's `again`, which has a result, or blocks anew. No
frame, no
generator, no thread is kept across a wait: a record can be pickled, given to a twin, and gone on with.

Not here: queues and records themselves (`axptr._core.kernel.waiting`), time (`timers`), descriptors of the host
(`hostpoll`), who runs next (`run`).

Owner: the thread of the loop that the tasks belong to. fork: a child waits for nothing. A snapshot keeps the record;
queues hold no more than who is in them, which `RunLoop.adopt` makes anew.
"""

from __future__ import annotations

from .._core.kernel.waiting import EVERY, Blocked, WaitQueue, Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    Resume = tuple[Callable[..., Any], tuple[Any, ...]]
    """How a call goes on: a function of a module, and the plain data that it is called with after the task."""
    Awaited = tuple[tuple["Waitable", int], ...]
else:
    Protocol = object  # a run does not load `typing`


class Waitable(Protocol):
    """Anything that can be waited for: a pipe, a lock, a word of memory. Masks are its own affair."""

    @property
    def queue(self) -> WaitQueue:
        """Who waits for it."""

    def ready(self, mask: int) -> int:
        """Which events of `mask` are there now."""


__all__ = ["EVERY", "Awaited", "Blocked", "Resume", "WaitQueue", "Waitable", "Watch"]
