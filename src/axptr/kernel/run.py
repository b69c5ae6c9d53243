"""The one loop: which task has the CPU, for how long, and what wakes the others.

    loop = RunLoop(engine)          # or kernel.run(task, engine), which makes one for the task
    loop.add(task)
    loop.run(task, timeout)

A turn: take note of what happened (timers, what other threads posted, descriptors of the host), take the first runnable
task, finish the call it waited in, let it have the CPU until it blocks, ends, or its slice is over. When none can run,
sleep on the host until the next deadline. A task that is switched away from keeps its registers itself; they are saved
only when another is switched to, so that a lone task pays nothing. It has a slice only while others are runnable.

Ctrl-C, and what a handler raises, comes out of `run`; every task then is as it was, and can be run on. `post` is how
other threads reach the loop: the function is called by the thread that runs it.

Not here: what a call waits for (`wait`), when (`timers`), the table of calls (`kernel`).

Owner: the thread in `run`, or nobody; `post` alone is for all. A snapshot keeps the tasks; `adopt` puts them back.
"""

from __future__ import annotations

import time
from collections import deque

from ..errors import GuestLost, LinuxError
from .timers import Timers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from ..engine import Engine, Exit, UnicornEngine
    from ..engine.engine import ExitKind
    from .hostpoll import HostPoller
    from .task import Task
    from .wait import Blocked, Resume

    class Time(Protocol):
        """What a loop asks of a clock."""

        def monotonic(self) -> float: ...
        def turn(self, engine: Any, seconds: float | None, limit: float | None) -> Exit: ...
        def shorten(self, engine: Any, seconds: float) -> None: ...
        def seconds_until(self, when: float | None, *, outside: bool) -> float | None: ...
        def slept(self, until: float | None) -> None: ...


SLICE = 0.004
"""Seconds of the CPU before another runnable task's turn."""
LOOK = 0.01
"""Seconds of the CPU between two looks at the host while some task waits for it."""
_SOON = 1e-6
_ROUNDING = 1e-9
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


class RunLoop:
    """The tasks that share one engine, in turn.

    engine: the CPU. current: the task whose registers it holds. timers: deadlines, by `clock`. slice: seconds
    that a task has while others are runnable. deadline: of the run under way, by `wall`; None for none. stopped_at: the
    exit with which the last run ended at a breakpoint or a watchpoint, stopped: the task that was there; None if it did
    not.
    """

    jobs = 1  # how many tasks may run at once

    def __init__(self, engine: Engine, *, clock: Time | None = None, slice: float = SLICE) -> None:
        self.engine = engine
        engine.keep_in_calls()
        self.clock: Time = clock if clock is not None else Clock()
        self.slice = slice
        self.timers = Timers()
        self.current: Task | None = None
        self.deadline: float | None = None
        self.running = False
        self.stopped_at: Exit | None = None
        self.stopped: Task | None = None
        self._ready: deque[Task] = deque()
        self._queued: set[Task] = set()
        self._blocked: set[Task] = set()
        self._posted: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._left = False
        self._poller: HostPoller | None = None
        self._looks_at = _NOW  # when the turn under way ends by itself
        self._slice_end: float | None = None

    # -- the tasks

    @property
    def tasks(self) -> set[Task]:
        """All of them, runnable and blocked."""
        return self._queued | self._blocked

    @property
    def empty(self) -> bool:
        """Whether there are none."""
        return not self._queued and not self._blocked

    def add(self, task: Task) -> None:
        """Have a task take its turns here; one that is blocked, once it is woken. Nothing happens if it does."""
        if task in self._queued or task in self._blocked:
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
        if self.current is task:
            task.switched(False)
            self.current = None

    def enqueue(self, task: Task) -> None:
        """A task can run, or has been woken: it gets its turn after those that are waiting for theirs."""
        if task in self._queued:
            return
        self._queued.add(task)
        self._ready.append(task)
        if len(self._ready) == 2 and self._slice_end is None and self._looks_at != _NOW:
            self._slice_end = self.clock.monotonic() + self.slice  # the first has to share from now on
            self._be_back(self._slice_end)

    def close(self) -> None:
        """Take all tasks out, and give back the descriptors of the host. Idempotent."""
        for task in self.tasks:
            self.remove(task)
        if self._poller is not None:
            self._poller.close()
            self._poller = None

    def _dequeue(self, task: Task) -> None:
        if task in self._queued:
            self._queued.remove(task)
            self._ready.remove(task)

    def adopt(self, task: Task) -> None:
        """A task that says it is blocked is: put it into the queues of what it waits for, its deadline into ours."""
        record = task.blocked
        assert record is not None
        task.loop = self
        self._blocked.add(task)
        self._dequeue(task)
        for waitable, mask in record.on:
            waitable.queue.add(task, mask)
        if record.until is not None:
            record.timer = self.timers.set(record.until, task.wake)
        if record.woken is not None or task.disturbed():
            self.enqueue(task)
        if self.current is task:
            self._come_out()

    def _forget(self, task: Task) -> None:
        """Out of all queues that a blocked task is in."""
        record = task.blocked
        if record is None:
            return
        for waitable, _ in record.on:
            waitable.queue.remove(task)
        if record.timer is not None:
            self.timers.cancel(record.timer)
            record.timer = None

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
        self._slice_end = self.clock.monotonic()
        self._come_out()

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

    def look(self) -> None:
        """Call what was posted and what is due: between turns, and for a call that works for long."""
        while self._posted:
            function, args = self._posted.popleft()
            function(*args)
        if self.timers.heap:
            self.timers.due(self.clock.monotonic())

    def arm(self, at: float, expire: Callable[[], object]) -> Any:
        """`timers.set`, for a handler: the turn under way ends in time for it."""
        timer = self.timers.set(at, expire)
        self._be_back(at)
        return timer

    def _be_back(self, at: float) -> None:
        """Have the turn under way end at a time, unless it will end by itself before that. The program runs on until
        then."""
        if at < self._looks_at:
            seconds = at - self.clock.monotonic()
            if seconds > _SOON:
                self._looks_at = at
                self.clock.shorten(self.engine, seconds)
            else:
                self._come_out()

    def _come_out(self) -> None:
        """End the turn under way, if there is one."""
        if self._looks_at != _NOW:
            self.engine.preempt()

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
        last = self.run_until(lambda: task not in self._queued and task not in self._blocked, timeout)
        self.show(task)
        return last

    def run_until(self, done: Callable[[], bool], timeout: float | None = None) -> Exit:
        """Run the tasks that there are until `done()`, which is asked after each turn; or for `timeout` seconds.
        How the CPU came out of the last one that ended, or an exit of kind "timeout"; or at a point that somebody has
        set in the space of one (`engine.points`), which has the CPU then, and goes on with the next run.
        """
        last: Exit | None = None
        if self.running:
            raise RuntimeError("this loop runs already")
        self.running = True
        self.stopped_at = self.stopped = None
        self.deadline = None if timeout is None else wall() + timeout
        if self.current is not None:
            self._install(self.current)
            self.current.switched(True)
        try:
            while True:
                self.look()
                if self._left:
                    self._left = False
                    return last if last is not None else self._came_out("stopped")
                if self._ready:
                    last = self._work() or last
                    if self.stopped_at is not None:
                        return self.stopped_at
                    if done():
                        return last if last is not None else self._came_out("stopped")
                else:
                    self._sleep()
                if self.deadline is not None and self.over:
                    return self._came_out("timeout")
        finally:
            self._stand_still()
            self.running = False
            self.deadline = None
            if self.current is not None:
                self.current.switched(False)

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
        if task in self._queued or task in self._blocked:
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
        if not poller.poll(seconds) and seconds is not None and not self.over:
            self.clock.slept(at)

    def _work(self) -> Exit | None:
        """Somebody can run: let him; his exit, if that was his end."""
        return self._turn(self._ready[0])

    def _stand_still(self) -> None:
        """The run is over: nobody runs."""

    def _turn(self, task: Task) -> Exit | None:
        """Let a task run for a while; its exit, if that was its end."""
        if task.blocked is not None:
            self._resume(task)
            if task.blocked is not None:
                return None
        self._switch(task)
        if not self._goes_on(task, None):
            return self._ended(task, None)
        if task.blocked is not None:
            return None
        seconds = self._time(task)
        limit = None if self.deadline is None else max(self.deadline - wall(), _SOON)
        try:
            exit = self.clock.turn(self.engine, seconds, limit)
        except GuestLost:
            exit = self._came_out("lost", 0)
        finally:
            self._looks_at = _NOW
        if task.blocked is not None:
            return None
        if exit.kind == "timeout":
            self._end_slice(task)
        elif exit.points and not task.at_point(exit):
            self.stopped_at, self.stopped = exit, task
        elif not exit.points and not self._goes_on(task, exit):
            return self._ended(task, exit)
        return None

    def _goes_on(self, task: Task, exit: Exit | None) -> bool:
        """`task.on_exit`, without an exit `task.enter`, which may find that the registers are lost."""
        try:
            return task.enter() if exit is None else task.on_exit(exit)
        except GuestLost:
            return task.on_exit(self._came_out("lost", 0))

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

    def _switch(self, task: Task) -> None:
        """Put a task's registers and memory into the CPU."""
        engine = self.engine
        if self.current is not task:
            before = self.current
            context = task.context
            if before is not None:
                before.context = self._kept() if context is None else engine.park()
            self.current = None  # should what follows be refused
            if context is not None:
                engine.resume(context, task.space)
                task.context = None
            self.current = task
            self._slice_end = None
            self._install(task)
            if before is not None:
                before.handed_over(task)
            else:
                task.switched(True)
        engine.attach(task.space)
        if task.result is not None:
            engine.regs.result = task.result & 0xFFFF_FFFF_FFFF_FFFF
            task.result = None

    def reinstall(self, task: Task) -> None:
        """The task's calls go another way, by its kernel's dispatcher: from now on, or from its next turn on."""
        if self.current is task:
            self._install(task)

    def _install(self, task: Task) -> None:
        task.engine = self.engine
        self.engine.on_syscall(task.kernel.dispatcher(task))

    def _time(self, task: Task) -> float | None:
        """Seconds that the task may run before somebody must look; None for any number."""
        used, alone = task.time_left, len(self._ready) == 1
        if alone:
            self._slice_end = None
            if not self.timers.heap and used is None and not (self._poller is not None and self._blocked):
                self._looks_at = _NEVER
                return None
        now, seconds = self.clock.monotonic(), _NEVER
        if not alone:
            if self._slice_end is None:
                self._slice_end = now + self.slice
            seconds = self._slice_end - now
        return self._until_a_look(now, seconds if used is None else min(seconds, used))

    def _until_a_look(self, now: float, seconds: float) -> float | None:
        """So many seconds from now, or as many as timers and the host allow; None for any number."""
        if self.timers.heap and (until := self.clock.seconds_until(self.timers.next(), outside=True)) is not None:
            seconds = min(seconds, until)
        if self._poller is not None and self._blocked:
            seconds = min(seconds, LOOK)
        if seconds == _NEVER:
            self._looks_at = _NEVER
            return None
        seconds = max(seconds, _SOON)
        self._looks_at = now + seconds
        return seconds

    def _end_slice(self, task: Task) -> None:
        """The CPU came out for a look: the next task's turn, if this one's is over."""
        if self._blocked and self._poller is not None:
            self._poller.poll(0.0)
        late = self._slice_end is not None and self.clock.monotonic() >= self._slice_end - _ROUNDING
        if late and len(self._ready) > 1:
            self._slice_end = None
            if self._ready[0] is task:
                self._ready.rotate(-1)
                task.preempted()

    # -- calls that waited

    def _resume(self, task: Task) -> None:
        """Go on with the call of a task that was woken or disturbed: until it has a result, or waits again."""
        record = task.blocked
        assert record is not None
        if record.woken is not None and record.again is not None:
            self._go_on(task, record, record.again)
        elif task.disturbed():
            self._leave_wait(task)
            outcome: int | LinuxError | None
            try:
                outcome = task.interrupted(record)
            except LinuxError as error:
                outcome = error
            task.waited(record)
            self._finish(task, outcome)
        else:
            self._dequeue(task)  # it was told to look, and there is nothing

    def _go_on(self, task: Task, record: Blocked, again: Resume) -> None:
        """Call `again`. What it raises besides `LinuxError` leaves the task waiting, to be woken at once."""
        task.woken = record.woken or 0
        self._leave_wait(task)
        outcome: int | LinuxError | None
        try:
            outcome = again[0](task, *again[1])
        except LinuxError as error:
            outcome = error
        except BaseException:
            if task.blocked is None:
                task.blocked = record
                self.adopt(task)
            raise
        task.waited(record)
        if task.blocked is not None:
            task.blocked.call = record.call
        else:
            self._finish(task, outcome)

    def _leave_wait(self, task: Task) -> None:
        self._forget(task)
        self._blocked.discard(task)
        task.blocked = None

    def _finish(self, task: Task, outcome: int | LinuxError | None) -> None:
        """The call has a result. None: the registers are as they are to be."""
        task.result = -outcome.errno if isinstance(outcome, LinuxError) else outcome
        task.kernel.completed(task, outcome)

    def _check(self) -> None:
        """Raise `AssertionError` unless every task is where its record says."""
        if set(self._ready) != self._queued or len(self._ready) != len(self._queued):
            raise AssertionError(f"queue {list(self._ready)}, set {self._queued}")
        for task in self.tasks:
            if task.loop is not self:
                raise AssertionError(f"{task} belongs to {task.loop}")
            if (task.blocked is not None) != (task in self._blocked):
                raise AssertionError(f"{task} is blocked by its record or by the loop, not by both")
        for task in self._blocked:
            record = task.blocked
            assert record is not None
            if record.woken is not None and task not in self._queued:
                raise AssertionError(f"{task} was woken, and is not runnable")
            for waitable, _ in record.on:
                waitable.queue._check()
            if record.woken is None and (record.until is None) != (record.timer is None):
                raise AssertionError(f"{task} has a deadline or a timer, not both")
        self.timers._check()
        if self._poller is not None:
            self._poller._check()
