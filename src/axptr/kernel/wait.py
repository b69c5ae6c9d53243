"""Waiting, as plain data: what can be waited for, who waits for it, and the record of a task that does.

A handler never waits. Where it would, it says so and returns: `task.block(on=..., until=..., again=...)` leaves a
`Blocked` record on the task and puts the task into the queues of what it waits for. Whoever makes something happen
calls `queue.wake(mask)`; the loop (`run`) then calls the record's `again`, which has a result, or blocks anew. No
frame, no
generator, no thread is kept across a wait: a record can be pickled, given to a twin, and gone on with.

Not here: time (`timers`), descriptors of the host (`hostpoll`), who runs next (`run`).

Owner: the thread of the loop that the tasks belong to. fork: a child waits for nothing. A snapshot keeps the record;
queues hold no more than who is in them, which `RunLoop.adopt` makes anew.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from .run import RunLoop
    from .task import Task
    from .timers import Timer

    Resume = tuple[Callable[..., Any], tuple[Any, ...]]
    """How a call goes on: a function of a module, and the plain data that it is called with after the task."""
    Awaited = tuple[tuple["Waitable", int], ...]
else:
    Protocol = object  # a run does not load `typing`

EVERY = (1 << 64) - 1
"""The mask of all events."""


class Waitable(Protocol):
    """Anything that can be waited for: a pipe, a lock, a word of memory. Masks are its own affair."""

    @property
    def queue(self) -> WaitQueue:
        """Who waits for it."""

    def ready(self, mask: int) -> int:
        """Which events of `mask` are there now."""


class Watch:
    """Who hears of events without waiting: `wake(events)` is called at each, until it is taken out of the queue.

    exclusive: of several such, those behind one that took the event need not hear of it.
    """

    exclusive = False
    blocked = None

    def __init__(self, loop: RunLoop | None) -> None:
        """loop: by which the host is watched, if it is a descriptor of the host that is listened to."""
        self.loop = loop

    def wake(self, events: int) -> bool:
        """Whether somebody will do something about it."""
        raise NotImplementedError


class WaitQueue:
    """The tasks that wait for one thing, each with the mask of events it waits for; the first one came first. Those who
    only watch hear of an event before them, the last one first; exclusive ones after them, in turn (add_wait_queue).

    Adding, removing and waking the first cost O(1); waking passes over those that wait for something else.
    """

    __slots__ = ("_waiters", "_watches")

    def __init__(self) -> None:
        self._waiters: dict[Task, int] = {}
        self._watches: dict[Watch, int] = {}

    def __len__(self) -> int:
        return len(self._waiters) + len(self._watches)

    def add(self, task: Task | Watch, mask: int) -> None:
        """Have `task` woken by any event of `mask`; a task that is in the queue keeps its place and waits for both.

        One that waits for no event is not put in: only its time or an interruption ends such a wait.
        """
        if mask:
            waiters: dict[Any, int] = self._watches if isinstance(task, Watch) else self._waiters
            waiters[task] = waiters.get(task, 0) | mask

    def remove(self, task: Task | Watch) -> None:
        """Nothing happens if it is not there."""
        waiters: dict[Any, int] = self._watches if isinstance(task, Watch) else self._waiters
        waiters.pop(task, None)

    def change(self, watch: Watch, mask: int) -> None:
        """Have one who watches hear of other events; it keeps its place."""
        self._watches[watch] = mask

    def wake(self, mask: int = EVERY, n: int | None = None) -> int:
        """Make runnable those that wait for an event of `mask`, the first `n` of them (None: all); how many there were.

        They leave the queue, so that the next wake is for others; who watches stays.
        """
        if self._watches:
            self._tell(mask, exclusive=False)
        elif not self._waiters:
            return 0
        woken: list[tuple[Task, int]] = []
        for task, wanted in self._waiters.items():
            if len(woken) == n:
                break
            if wanted & mask:
                woken.append((task, wanted & mask))
        for task, events in woken:
            del self._waiters[task]
            task.wake(events)
        if self._watches:
            self._tell(mask, exclusive=True)
        return len(woken)

    def _tell(self, mask: int, exclusive: bool) -> None:
        watches = [(watch, wanted & mask) for watch, wanted in self._watches.items() if wanted & mask]
        for watch, events in watches if exclusive else reversed(watches):
            if watch.exclusive == exclusive and watch.wake(events) and exclusive:
                break

    def first(self) -> Task | None:
        """Who came first of those that wait."""
        return next(iter(self._waiters), None)

    def move(self, goal: Waitable, n: int | None = None) -> int:
        """Have the first `n` wait for `goal` instead, with the masks that they have; how many there were."""
        moved = list(self._waiters.items())[:n]
        for task, mask in moved:
            self.remove(task)
            record = task.blocked
            if record is not None:
                record.on = tuple((goal if w.queue is self else w, m) for w, m in record.on)
            goal.queue.add(task, mask)
        return len(moved)

    def _check(self) -> None:
        """Raise `AssertionError` unless each one in the queue is blocked on it, by a record that says so."""
        for task, mask in self._waiters.items():
            if not mask:
                raise AssertionError(f"{task} waits for nothing")
            record = task.blocked
            if record is None:
                raise AssertionError(f"{task} is in a queue and not blocked")
            if not any(waitable.queue is self for waitable, _ in record.on):
                raise AssertionError(f"{task} is in a queue that its record does not name")


class Blocked:
    """A call that waits: all there is to know of it.

    on: what it waits for. until: when it is woken at the latest, by the loop's clock; None for never.
    again: how it goes on once woken. interrupted: a function that is called with the task and again's data when the
    wait
    is cut short: what the call then gives, or None for what `restart` says. restart, call: of the personality, what
    becomes of a call that was cut short, and which call it is. deaf: whether little of what comes for the task ends
    the wait, which the personality knows.
    woken: the events that have come, 0 if it was the time; None as long as it waits.
    held: of the personality, what is to stay as it is until the call has gone on (`Task.waited`).
    """

    __slots__ = ("again", "call", "deaf", "held", "interrupted", "on", "restart", "timer", "until", "woken")

    def __init__(
        self,
        on: Awaited,
        until: float | None,
        again: Resume | None,
        restart: Any = None,
        interrupted: Callable[..., Any] | None = None,
    ) -> None:
        self.on = on
        self.until = until
        self.again = again
        self.restart = restart
        self.interrupted = interrupted
        self.call = (0, 0)
        self.held: tuple[Any, ...] = ()
        self.deaf = False
        self.woken: int | None = None
        self.timer: Timer | None = None  # the loop's, as long as the task is in it

    @property
    def data(self) -> tuple[Any, ...]:
        return self.again[1] if self.again is not None else ()

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__ if name != "timer"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.timer = None
        for name, value in state.items():
            setattr(self, name, value)

    def __repr__(self) -> str:
        then = f", then {self.again[0].__qualname__}{self.again[1]}" if self.again is not None else ""
        return f"<Blocked on {self.on} until {self.until}{then}>"
