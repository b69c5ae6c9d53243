"""The one loop: which task has the CPU, for how long, and what wakes the others.

    loop = RunLoop(engine)          # or kernel.run(task, engine), which makes one for the task
    loop.add(task)
    loop.run(task, timeout)

A turn: take note of what happened (timers, what other threads posted, descriptors of the host), take the first runnable
task (`axptr._core.kernel.runqueue` has their order), finish the call it waited in, let it have the CPU until it blocks,
ends, or its slice is over. When none can run, sleep on the host until the next deadline. A task that is switched away
from keeps its registers itself; they are saved only when another is switched to, so that a lone task pays nothing. It
has a slice only while others are runnable.

Ctrl-C, and what a handler raises, comes out of `run`; every task then is as it was, and can be run on. `post` is how
other threads reach the loop: the function is called by the thread that runs it.

Not here: what a turn is made of (`axptr._core.kernel.turns`), what a call waits for (`wait`), when (`timers`), the
table of calls (`kernel`).

Owner: the thread in `run`, or nobody; `post` alone is for all. A snapshot keeps the tasks; `adopt` puts them back.
"""

from __future__ import annotations

import time

from .._core.cpu.native.nativepages import NativePages
from .._core.kernel.runqueue import RunQueue
from .._core.kernel.turns import Turns
from ..errors import GuestLost
from ..light import deque
from .timers import Timers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from ..engine import Engine, Exit, UnicornEngine
    from ..engine.engine import ExitKind
    from .hostpoll import HostPoller
    from .task import Task

    class Time(Protocol):
        """What a loop asks of a clock."""

        def monotonic(self) -> float: ...
        def turn(self, engine: Any, seconds: float | None, limit: float | None) -> Exit: ...
        def shorten(self, engine: Any, seconds: float) -> None: ...
        def seconds_until(self, when: float | None, *, outside: bool) -> float | None: ...
        def slept(self, until: float | None) -> None: ...


SLICE = 0.004
"""Seconds of the CPU before another runnable task's turn."""
_SOON = 1e-6
_BILLION = 1_000_000_000
_NEVER = float("inf")
_NOW = -_NEVER

wall = time.monotonic
"""Seconds of the user's time, by which a run's deadline is told."""


class Clock:
    """The clock that tasks wait by: the host's. One whose time passes in another way has the same verbs."""

    def monotonic(self) -> float:
        """Seconds."""
        return time.monotonic()

    def turn(self, engine: Engine, seconds: float | None, limit: float | None) -> Exit:
        """Run the CPU for so many seconds of this clock at most, and of the user's; None for any number."""
        return engine.run(timeout=limit if seconds is None else seconds if limit is None else min(seconds, limit))

    def shorten(self, engine: Engine, seconds: float) -> None:
        """In a handler: the CPU comes out in so many seconds of this clock at the latest."""
        engine.shorten(seconds)

    def seconds_until(self, when: float | None, *, outside: bool) -> float | None:
        """How long to sleep on the host until it is `when`; None for ever. outside: the host may end the sleep."""
        return None if when is None else max(0.0, when - self.monotonic())

    def slept(self, until: float | None) -> None:
        """Nothing ended the sleep before that."""


class WorkClock:
    """A clock that passes with what a metered engine does: a nanosecond for a byte of code that has begun to run, and
    what is slept, in no time of the user's. Slices by it are the same each time, and so is all that several tasks do.

        engine = UnicornEngine(phys, metered=True)
        task.loop = RunLoop(engine, clock=WorkClock(engine), slice=1e-6)    # a thousand bytes of code
    """

    def __init__(self, engine: UnicornEngine) -> None:
        self._engine = engine
        self._slept = 0.0

    def monotonic(self) -> float:
        return self._engine.work / _BILLION + self._slept

    def turn(self, engine: UnicornEngine, seconds: float | None, limit: float | None) -> Exit:
        return engine.run(limit, None if seconds is None else max(round(seconds * _BILLION), 1))

    def shorten(self, engine: UnicornEngine, seconds: float) -> None:
        engine.shorten(count=max(round(seconds * _BILLION), 1))

    def seconds_until(self, when: float | None, *, outside: bool) -> float | None:
        if when is None:
            return None
        return max(0.0, when - self.monotonic()) if outside else 0.0

    def slept(self, until: float | None) -> None:
        if until is not None:
            self._slept += max(until - self.monotonic(), 0.0)


class RunLoop(Turns):
    """The tasks that share one engine, in turn.

    engine: the CPU. current: the task whose registers it holds. timers: deadlines, by `clock`. queue: who can run,
    and who of them is first; its slice is what a task has while others can run. deadline: of the run under way, by
    `wall`; None for none. stopped_at: the exit with which the last run ended at a breakpoint or a watchpoint, stopped:
    the task that was there; None if it did not.
    """

    jobs = 1  # how many tasks may run at once

    def __init__(self, engine: Engine, *, clock: Time | None = None, slice: float = SLICE) -> None:
        self.engine = engine
        engine.keep_in_calls()
        self.clock = clock if clock is not None else Clock()
        self.queue = RunQueue(slice)
        self.timers = Timers()
        self._blocked = set()
        self._posted = deque()
        self._looks_at = _NOW

    # -- the tasks

    @property
    def tasks(self) -> set[Task]:
        """All of them, runnable and blocked."""
        return self.queue.all | self._blocked

    @property
    def empty(self) -> bool:
        """Whether there are none."""
        return not self.queue.all and not self._blocked

    def add(self, task: Task) -> None:
        """Have a task take its turns here; one that is blocked, once it is woken. Nothing happens if it does."""
        if task in self.queue.all or task in self._blocked:
            return
        task.loop = self
        if task.blocked is not None:
            self.adopt(task)
        else:
            self.enqueue(task)

    def remove(self, task: Task) -> None:
        """Take a task out, whatever it does. Its registers are lost if they were in the CPU."""
        self._forget(task)
        self._blocked.discard(task)
        self._dequeue(task)
        if task.blocked is not None:
            task.waited(task.blocked)
        task._ask_again()
        if self.current is task:
            task.switched(False)
            self.current = None

    def close(self) -> None:
        """Take all tasks out, and give back the descriptors of the host. Idempotent."""
        for task in self.tasks:
            self.remove(task)
        if self._poller is not None:
            self._poller.close()
            self._poller = None

    def dissolve(self) -> None:
        """It is closed for good: nothing is to be called any more."""
        self._posted.clear()
        self.timers = Timers()

    def interrupt(self, task: Task) -> None:
        """Have a task look at what has come for it (`Task.disturbed`), soon."""
        if task in self._blocked:
            self.enqueue(task)
        elif task is self.current:
            self._come_out()

    def registers(self, task: Task) -> Any:
        """A copy of the task's registers, as they are now: a `Context`; None of one that has none yet."""
        if self.current is task:
            return self.engine.save()
        return None if task.context is None else self.engine.saved(task.context)

    def switch(self) -> None:
        """In a handler: the task that makes the call goes on only after all others that are runnable had a turn."""
        task = self.current
        if task is not None and task is self.queue.turn and len(self.queue.all) > 1:
            self.queue.behind(task, self.clock.monotonic())
            task.preempted()
        self._come_out()

    def fence(self, those: Callable[[Task], bool], *, disturb: bool = False) -> None:
        """In a handler: what those others did is done when this returns. disturb: as if they had lost the CPU, too.
        Here nobody runs beside who makes a call."""

    def moved(self) -> None:
        """Between runs: the tasks are others, or as they were once."""

    def shift(self, task: Task) -> None:
        """In a handler: a task may run on other CPUs (`Task.cpus`) than before. Here there is one."""

    # -- what happens outside

    @property
    def poller(self) -> HostPoller:
        """Made when something of the host is first waited for."""
        if self._poller is None:
            from .hostpoll import HostPoller

            self._poller = HostPoller()
        return self._poller

    def post(self, function: Callable[..., object], *args: Any) -> None:
        """From any thread: have `function(*args)` called by the thread that runs the loop, as soon as it can."""
        self._posted.append((function, args))
        self.engine.preempt()
        poller = self._poller
        if poller is not None:
            poller.wake()

    def later(self, function: Callable[..., object], *args: Any) -> None:
        """`post` for the thread of the loop itself, which need not hurry: before the next turn."""
        self._posted.append((function, args))

    def leave(self) -> None:
        """From any thread: have `run_until` come back between two turns, done or not; the next run, if none is."""
        self.post(self._leave)

    def _leave(self) -> None:
        self._left = True

    def arm(self, at: float, expire: Callable[[], object]) -> Any:
        """`timers.set`, for a handler: the turn under way ends in time for it."""
        timer = self.timers.set(at, expire)
        self._be_back(at)
        return timer

    # -- running

    @property
    def over(self) -> bool:
        """Whether the time of the run is up."""
        return self.deadline is not None and wall() >= self.deadline

    def run(self, task: Task, timeout: float | None = None) -> Exit:
        """Run until `task` ends, its exit being the result; or for `timeout` seconds, which gives one of kind
        "timeout".

        Others stay as they are, to be run on with it, or when another is waited for.
        """
        self.add(task)
        last = self.run_until(lambda: task not in self.queue.all and task not in self._blocked, timeout)
        self.show(task)
        return last

    def run_until(self, done: Callable[[], bool], timeout: float | None = None) -> Exit:
        """Run the tasks that there are until `done()`, which is asked after each turn; or for `timeout` seconds.
        How the CPU came out of the last one that ended, or an exit of kind "timeout"; or at a point that somebody has
        set in the space of one (`engine.points`), which has the CPU then, and goes on with the next run.
        """
        if self.running:
            raise RuntimeError("this loop runs already")
        self.running = True
        try:
            self._begin(isinstance(self.engine, NativePages) and type(self.clock).turn is Clock.turn)
            self.stopped_at = self.stopped = None
            self.deadline = None if timeout is None else wall() + timeout
            if self.current is not None:
                self._install(self.current)
                self.current.switched(True)
            try:
                return self._until(done)
            finally:
                self._stand_still()
                self._end()
                if self.current is not None:
                    self.current.switched(False)
        finally:  # whatever came in between: the machine can be closed
            self.running = False
            self.deadline = None

    def park(self) -> None:
        """Between turns: have their task keep the registers that the CPU holds, so that another can be made in it."""
        before = self.current
        if before is not None:
            before.context = self._kept()
            before.switched(False)
            self.current = None

    def seat(self, task: Task) -> None:
        """Between turns, after `park`: the registers in the CPU are those of a task, which is new here."""
        self.current = task
        self.add(task)

    def show(self, task: Task) -> None:
        """Between runs: have the CPU hold a task's registers and see its memory, if it has not ended."""
        if task in self.queue.all or task in self._blocked:
            self._switch(task)

    def _came_out(self, kind: ExitKind, pc: int | None = None) -> Exit:
        from ..engine.exit import Exit

        return Exit(kind, self.engine.regs.pc if pc is None else pc)

    def _sleep(self) -> None:
        """Until something happens; nobody can run."""
        poller = self.poller  # made before the look at what was posted: whoever posts from here on wakes it
        if self._posted:
            return
        at = self.timers.next()
        seconds = self.clock.seconds_until(at, outside=poller.watching)
        if self.deadline is not None:
            left = max(self.deadline - wall(), 0.0)
            seconds = left if seconds is None else min(seconds, left)
        told = poller.poll(seconds)
        self._polled = self.clock.monotonic()
        if not told and seconds is not None and not self.over:
            self.clock.slept(at)

    def _time_left(self) -> float:
        """Seconds until the time of the run is up, of one that has a deadline."""
        assert self.deadline is not None
        return max(self.deadline - wall(), _SOON)

    def _stand_still(self) -> None:
        """The run is over: nobody runs."""

    def _kept(self) -> Any:
        """The registers in the CPU as a context; of a guest that is lost what says so when it is to go on."""
        try:
            return self.engine.save()
        except GuestLost:
            return self.engine.park()

    def _ended(self, task: Task, exit: Exit | None) -> Exit:
        if exit is None:
            exit = self._came_out("stopped")
        self.remove(task)
        task.ended()
        return exit

    def _check(self) -> None:
        """Raise `AssertionError` unless every task is where its record says."""
        self.queue._check()
        for task in self.tasks:
            if task.loop is not self:
                raise AssertionError(f"{task} belongs to {task.loop}")
            if (task.blocked is not None) != (task in self._blocked):
                raise AssertionError(f"{task} is blocked by its record or by the loop, not by both")
        for task in self._blocked:
            record = task.blocked
            assert record is not None
            if record.woken is not None and task not in self.queue.all:
                raise AssertionError(f"{task} was woken, and is not runnable")
            for waitable, _ in record.on:
                waitable.queue._check()
            if record.woken is None and (record.until is None) != (record.timer is None):
                raise AssertionError(f"{task} has a deadline or a timer, not both")
        self.timers._check()
        if self._poller is not None:
            self._poller._check()
