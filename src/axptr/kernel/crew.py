"""The loop of tasks that run at once: as `RunLoop`, on as many of the host's cores as it is told.

    loop = CrewLoop(engine, jobs=2)

Runnable tasks are let go, up to `jobs` of them, each in a process of its own; what they come back with is served in
turn, by the one thread that runs the loop. So a handler never meets another one, and a task is touched only by the
thread that serves it; what runs on beside it is other programs' own code.

Who is out has a CPU to itself, by number (`Task.cpus` says which it may have), and its slice only while others want to
run. Who was woken goes before those that had a slice (`RunQueue`), and takes the CPU of one of them. A signal, a tracer
or the end of a run brings it back; what it came back with then is looked at when it is let go again.
A task that finds that somebody else had its CPU meanwhile, or that it has another, hears of it before it goes on
(`Task.placed`).

Not here: how an engine lets go several guests (`axptr._core.cpu.native.crew`). Runs that repeat have one task at a
time.

Owner: as of `RunLoop`. Between runs nobody is out: a snapshot finds every task parked.
"""

from __future__ import annotations

from .._core.kernel.answering import CrewAnswering
from .._core.kernel.turns import PROMPT
from ..named import NamedTuple
from .run import _NEVER, _NOW, _SOON, SLICE, RunLoop, wall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..engine import Exit, NativeEngine
    from .kernel import Dispatch
    from .run import Time
    from .task import Task


class Turn(NamedTuple):
    """Of a task that is out: since when, for how many seconds while others want to run; whether that is a turn of its
    own, or of what the woken ones share, and whether it is the rest of one."""

    since: float
    seconds: float
    own: bool
    begun: bool


class CrewLoop(RunLoop):
    """jobs: how many tasks may run at once. engine: one that can let go several (`join`, `run_all`)."""

    engine: NativeEngine

    def __init__(self, engine: NativeEngine, jobs: int, *, clock: Time | None = None, slice: float = SLICE) -> None:
        super().__init__(engine, clock=clock, slice=slice)
        self.jobs = jobs
        self._out: dict[Task, Turn] = {}  # who was let go
        self._cpus: list[Task | None] = [None] * jobs  # who of those has each
        self._last: list[Task | None] = [None] * jobs  # who ran there last, and was not disturbed since
        self._answers: dict[Task, Dispatch] = {}  # what answers their calls, of those that were let go once
        self._yields: Task | None = None
        self._alone = False  # the last turn was of one with breakpoints, which no other runs beside

    # -- the tasks

    def remove(self, task: Task) -> None:
        if task in self._out:
            if self.current is not task:
                self._bring_back(task)
            else:
                self._is_back(task)
        self._answers.pop(task, None)
        self._last = [None if last is task else last for last in self._last]
        super().remove(task)

    def enqueue(self, task: Task) -> None:
        if not self.queue.add(task) or self._looks_at == _NOW:
            return
        if len(self._out) < self.jobs:
            self._come_out()
        else:
            self._be_back(self.clock.monotonic() + self.queue.slice * (PROMPT if self.queue.share > 0 else 1))

    def interrupt(self, task: Task) -> None:
        if task in self._out and self.current is not task:
            self.engine.nudge(task.context)
        else:
            super().interrupt(task)

    def switch(self) -> None:
        self._yields = self.current
        self._come_out()

    def fence(self, those: Callable[[Task], bool], *, disturb: bool = False) -> None:
        for task in list(self._out):
            if task is not self.current and those(task):
                if disturb:
                    self._bring_back(task)
                    self._come_out()
                else:
                    self.engine.fence(task.context)

    def moved(self) -> None:
        self._last = [None] * self.jobs

    def shift(self, task: Task) -> None:
        if task not in self._out or task.cpus >> task.cpu_number & 1:
            return
        if task is not self.current:
            self._bring_back(task)
        self._come_out()

    def reinstall(self, task: Task) -> None:
        if task in self._answers:
            self._answers[task] = task.kernel.dispatcher(task)

    # -- running

    def _install(self, task: Task) -> None:
        task.engine = self.engine
        answers = self._answers
        answers[task] = task.kernel.dispatcher(task)
        self.engine.on_syscall(CrewAnswering(self, task, answers))

    def _work(self) -> Exit | None:
        """Let go who can run, and see to the first that comes back for something; its exit, if that was its end."""
        rows = self.queue.woken, self.queue.ready
        alone = next((task for row in rows for task in row if task.space.stops is not None), None)
        self._alone = alone is not None and not self._alone
        if alone is not None and self._alone:
            self._stand_still()
            return self._turn_alone(alone)
        ended = self._let_go()
        if ended is not None or not self._out:
            return ended
        task = None
        if self.current is not None:  # who waits
            self.current.context = self.engine.park()
            self.current.switched(False)
            self.current = None
        seconds = self._time_of_all()
        if self.deadline is not None:
            left = max(self.deadline - wall(), _SOON)
            seconds = left if seconds is None else min(seconds, left)
        try:
            exit, task = self.engine.run_all(seconds)
        finally:
            self._looks_at = _NOW
            self._came_back(task if task is not None else self.engine.tag)
        if task is None:
            self._look_around()
        elif task.blocked is not None:
            pass
        elif exit.kind == "timeout":
            if self._yields is not None and task is self._yields:
                self._to_the_end(task)
        elif not self._goes_on(task, exit):
            return self._ended(task, exit)
        self._yields = None
        return None

    def _turn_alone(self, task: Task) -> Exit | None:
        if task.blocked is not None:
            self._resume(task)
            if task.blocked is not None or task not in self.queue.all:
                return None
        self._switch(task)
        self._place(task)
        try:
            return self._turn(task)
        finally:
            self.queue.interrupt(self.clock.monotonic())

    def _let_go(self) -> Exit | None:
        queue = self.queue
        woken, ready = tuple(queue.woken), tuple(queue.ready)
        for task in woken + ready if queue.share > 0 else ready + woken:
            if len(self._out) >= self.jobs:
                break
            if task in self._out or task not in queue.all or task.space.stops is not None:
                continue
            if task.blocked is not None:
                self._resume(task)
                if task.blocked is not None or task not in queue.all:
                    continue
            if not self._has_place(task):
                continue
            self._switch(task)
            self._place(task)
            if not self._goes_on(task, None):
                return self._ended(task, None)
            if task.blocked is not None or task not in queue.all:
                continue
            task.context = self.engine.join(task)
            task.switched(False)
            task.set_out(task.context)
            self.current = None
            own = len(queue.all) <= self.jobs or queue.share <= 0 or task in ready
            begun = own and task in queue.rests
            whole = queue.slice * task.weight
            seconds = queue.rests.pop(task, whole) if own else queue.share / self.jobs  # of all that are out
            self._out[task] = Turn(self.clock.monotonic(), seconds, own, begun)
            self._cpus[task.cpu_number] = task
        return None

    def _has_place(self, task: Task) -> bool:
        """Whether a CPU is free that the task may have."""
        return any(has is None and task.cpus >> number & 1 for number, has in enumerate(self._cpus))

    def _place(self, task: Task) -> None:
        """Give it one, that which it had if it can be. The engine has its registers."""
        free = [number for number, has in enumerate(self._cpus) if has is None and task.cpus >> number & 1]
        number = task.cpu_number if task.cpu_number in free else free[0]
        if self._last[number] is not task:
            self._last = [task if n == number else None if last is task else last for n, last in enumerate(self._last)]
            task.placed(number)

    def _is_back(self, task: Task) -> None:
        """It is not out any more. Its CPU is free."""
        turn = self._out.pop(task, None)
        if turn is not None:
            self._cpus[task.cpu_number] = None
            task.set_out(None)
            self._count(task, turn)

    def _count(self, task: Task, turn: Turn) -> None:
        """What is left of the turn is its own, or the woken ones'; once an own one is over, they have a whole slice."""
        queue = self.queue
        used = self.clock.monotonic() - turn.since
        if not turn.own:
            queue.share = max(queue.share - used, 0.0)
        elif task in queue.all and used < turn.seconds:
            queue.rests[task] = turn.seconds - used
        else:
            queue.share = queue.slice

    def _came_back(self, task: Task | None) -> None:
        """The run is over, and the CPU has the registers of this task, or nobody's."""
        if task is None:
            if self.current is not None:
                self.current.switched(False)
                self.current = None
            return
        if self.current is not task:
            self._serve(task)
        self._is_back(task)
        task.context = None

    def _time_of_all(self) -> float | None:
        """Seconds that those who are out may run before somebody must look; None for any number."""
        now, seconds = self.clock.monotonic(), _NEVER
        queue = self.queue
        if len(queue.all) > len(self._out):
            seconds = min(turn.since + turn.seconds for turn in self._out.values()) - now
            if queue.share > 0 and any(task not in self._out for task in queue.woken):
                seconds = min(seconds, min(map(self._may_lose, self._out.values())) - now)
        for task in self._out:
            if (used := task.time_left) is not None:
                seconds = min(seconds, used / len(self._out))  # of a clock that all of them may drive
        return self._until_a_look(now, seconds)

    def _may_lose(self, turn: Turn) -> float:
        """When it may be interrupted for one that was woken: an own turn, once."""
        return turn.since + self.queue.slice * PROMPT if turn.own and not turn.begun else _NEVER

    def _look_around(self) -> None:
        """Nobody came back, and it is time for a look: at the host, at the clocks of those that are out, at slices."""
        self._look_at_host()
        now, others = self.clock.monotonic(), len(self.queue.all) > len(self._out)
        for task, turn in list(self._out.items()):
            late = others and now >= turn.since + turn.seconds
            if late or task.time_left is not None:
                self._bring_back(task)
                if late:
                    task.preempted()
                    self._to_the_end(task)
        if others and self.queue.share > 0:
            self._make_room(now)

    def _make_room(self, now: float) -> None:
        """Whoever was woken and finds no CPU has that of one who has had a turn of its own for a moment."""
        queue = self.queue
        for task in [task for task in queue.woken if task not in self._out]:
            if self._has_place(task):
                continue
            for other, turn in self._out.items():
                if now >= self._may_lose(turn) - _SOON and task.cpus >> other.cpu_number & 1:
                    self._bring_back(other)
                    other.preempted()
                    queue.step_back(other)
                    break
            else:
                break

    def _to_the_end(self, task: Task) -> None:
        """Those that wait for their turn have it before this one."""
        if task in self.queue.all and len(self.queue.all) > len(self._out):
            self.queue.behind(task, self.clock.monotonic())

    def _bring_back(self, task: Task) -> None:
        """It is to be let go anew, and has been disturbed. What it has used is its own."""
        before = self.current
        if before is not None:
            before.handed_over(task)
        else:
            task.switched(True)
        self.engine.withdraw(task.context)
        self._is_back(task)
        self._last[task.cpu_number] = None
        if before is not None:
            task.handed_over(before)
        else:
            task.switched(False)

    def _stand_still(self) -> None:
        for task in list(self._out):
            self._bring_back(task)

    def _check(self) -> None:
        """Raise `AssertionError` unless every task is where its record says, and nobody is out who waits."""
        super()._check()
        for task in self._out:
            if task not in self.queue.all or task.blocked is not None or task.context is None:
                raise AssertionError(f"{task} runs, and is not to run")
        if sorted(map(id, self._out)) != sorted(id(task) for task in self._cpus if task is not None):
            raise AssertionError(f"{list(self._out)} are out, and the CPUs are those of {self._cpus}")
