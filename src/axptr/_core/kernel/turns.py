# cython: nonecheck=True
"""What a loop of tasks does at each turn: `Turns`, of which `axptr.kernel.run.RunLoop` derives, and nobody else.

Compiled because every switch between two tasks, and every call that waits, goes through all of this.

Not here: the start and the end of a run, the host and its descriptors (`axptr.kernel.run`), who waits for what (`waiting`).

Owner: the thread of the run.
"""

from time import monotonic, time_ns

import cython
from cython.cimports.axptr._core.cpu.metronome import clock_now
from cython.cimports.axptr._core.cpu.native.nativepages import NativePages
from cython.cimports.axptr._core.cpu.native.parked import Parked
from cython.cimports.axptr._core.cpu.native.stub import R_RAX
from cython.cimports.axptr._core.cpu.running import RunningCpu
from cython.cimports.axptr._core.kernel.accounts import CpuPart, ShortTurns
from cython.cimports.axptr._core.kernel.fields import (
    calm,
    class_of,
    cpu_limit_of,
    fields,
    general_way,
    get,
    let_go,
    task_class,
    unasked,
)
from cython.cimports.axptr._core.kernel.runqueue import RunQueue
from cython.cimports.axptr._core.kernel.waiting import Blocked, Resumed, Waiting, WaitQueue, Waker, resumed
from cython.cimports.axptr._core.mm.space import SpaceCore
from cython.cimports.axptr._core.words.slots import slot_of
from cython.cimports.cpython.dict import PyDict_GetItem
from cython.cimports.cpython.object import PyObject
from cython.cimports.libc.stdint import int64_t, uint64_t

from axptr.errors import GuestLost, LinuxError

LOOK = 0.01
"""Seconds of the CPU between two looks at the host while some task waits for it."""
PROMPT = 0.125
"""Of a slice: how long a task that has a turn of its own goes on when it has woken another."""
_look = cython.declare(cython.double, LOOK)
_prompt = cython.declare(cython.double, PROMPT)
_soon = cython.declare(cython.double, 1e-6)
_near = cython.declare(cython.double, 0.02)  # seconds of CPU time that are left: they are watched as they go
_rounding = cython.declare(cython.double, 1e-9)
_never = cython.declare(cython.double, float("inf"))
_now = cython.declare(cython.double, -float("inf"))
_word = cython.declare(object, 0xFFFF_FFFF_FFFF_FFFF)


@cython.cclass
class Turns(Waker):
    """The tasks that can run; those that wait; the one in the CPU. `RunLoop` says what its fields are."""

    def __cinit__(self, *args, **kwargs):
        mine: type = Turns
        self.single = type(self).enqueue == cython.cast(object, mine).enqueue
        self.short_turns = ShortTurns()

    def now(self):
        """Seconds of the clock."""
        return clock_now() * 1e-9 if self.host_time else self.clock.monotonic()

    # -- who can run

    def enqueue(self, task):
        """A task can run, or has been woken: `RunQueue` says when its turn comes."""
        self.line_up(task)

    def runnable(self, task):
        if self.single:
            return self.line_up(task)
        self.enqueue(task)
        return 0

    def line_up(self, task):
        queue: RunQueue = self.queue
        if queue.add(task) and queue.own and self._looks_at != _now and not self.hurried:
            now: cython.double = self.now()
            self.hurried = True
            if queue.ends == _never:
                queue.ends = now + queue.slice  # it has to share from now on
            self._be_back(min(queue.ends, now + queue.slice * _prompt) if queue.share > 0 else queue.ends)
        return 0

    def _dequeue(self, task):
        self.queue.remove(task)

    def adopt(self, task):
        """A task that says it is blocked is: put it into the queues of what it waits for, its deadline into ours."""
        record: Blocked = task.blocked
        if record is None:
            raise RuntimeError("this task waits for nothing")
        task.loop = self
        self._blocked.add(task)
        self._dequeue(task)
        queues: list = []
        for waitable, mask in record.on:
            queue: WaitQueue = waitable.queue
            queue.add(task, mask)
            queues.append(queue)
        record.queues = tuple(queues)
        if record.until is not None:
            record.timer = self.timers.set(record.until, task.time_over)
        if record.woken is not None or task.disturbed():
            self.enqueue(task)
        if self.current is task:
            self._come_out()

    def _forget(self, task):
        """Out of all queues that a blocked task is in."""
        record: Blocked = task.blocked
        queue: WaitQueue
        if record is None:
            return
        if record.queues is not None:
            for queue in record.queues:
                queue.remove(task)
        else:
            for waitable, _ in record.on:
                waitable.queue.remove(task)
        if record.timer is not None:
            self.timers.cancel(record.timer)
            record.timer = None

    # -- when the CPU comes out

    def look(self):
        """Call what was posted and what is due: between turns, and for a call that works for long."""
        while self._posted:
            function, args = self._posted.popleft()
            function(*args)
        if self.any_timers():
            self.timers.due(self.clock.monotonic())

    def any_timers(self):
        """Whether some are set."""
        if self.heap_at:
            return len(cython.cast(list, get(self.timers, self.heap_at))) != 0
        return bool(self.timers.heap)

    def _be_back(self, at):
        """Have the turn under way end at a time, unless it will end by itself before that. The program runs on until
        then."""
        seconds: cython.double
        if at < self._looks_at:
            seconds = at - self.now()
            if seconds > _soon:
                self._looks_at = at
                if self.host_time:
                    cython.cast(RunningCpu, self.engine).hasten(cython.cast(int64_t, seconds * 1e9))
                else:
                    self.clock.shorten(self.engine, seconds)
            else:
                self._come_out()

    def _come_out(self):
        """End the turn under way, if there is one."""
        if self._looks_at != _now:
            self.engine.preempt()

    def time_of(self, task):
        """Seconds that the task may run before somebody must look; None for any number."""
        used = self.cpu_time_of(task)
        queue: RunQueue = self.queue
        seconds: cython.double = _never
        now: cython.double
        self.hurried = False
        if len(queue.all) == 1 and queue.alone(task):
            if used is None and not self.any_timers() and (self._poller is None or not self._blocked):
                self._looks_at = _never
                return None
            now = self.now()
        else:
            now = self.now()
            queue.begin(task, now)
            seconds = queue.ends - now
        if used is not None:
            seconds = min(seconds, cython.cast(cython.double, used))
        return self._until_a_look(now, seconds)

    def cpu_time_of(self, task):
        """Seconds until a clock of the CPU time that the task uses must be looked at; None for none.

        A limit is looked at when half of what was left has passed: this thread and one guest use no more than two seconds of
        their CPUs in one, and the clocks need not be read at each turn.
        """
        part: CpuPart
        now: cython.double
        left: cython.double
        if class_of(task) != task_class or general_way or not unasked(task):
            return task.time_left
        limit: cython.pointer(PyObject) = cpu_limit_of(task)
        if limit == cython.NULL:
            return None
        if not self.host_time or not self.one_guest:
            return task.time_left
        part = cython.cast(CpuPart, get(task, fields.cpu))
        now = self.now()
        if part.limit is not cython.cast(object, limit) or part.run is not self.run_under_way or now >= part.sure_until:
            left = task.time_left
            if left < _near:
                part.limit = None
                return left
            part.limit, part.run = cython.cast(object, limit), self.run_under_way
            part.sure_until = now + left / 2
        return part.sure_until - now

    def _until_a_look(self, now, seconds):
        """So many seconds from now, or as many as timers and the host allow; None for any number."""
        if self.any_timers():
            until = self.clock.seconds_until(self.timers.next(), outside=True)
            if until is not None:
                seconds = min(seconds, cython.cast(cython.double, until))
        if self._poller is not None and self._blocked:
            seconds = min(seconds, self._polled + _look - cython.cast(cython.double, now))
        if seconds == _never:
            self._looks_at = _never
            return None
        seconds = max(seconds, _soon)
        self._looks_at = now + seconds
        return seconds

    def _poll(self, now):
        """See what the host has for those who wait for it."""
        self._polled = now
        self._poller.poll(0.0)

    def _look_at_host(self):
        """The same, if somebody waits, and it is time."""
        if self._poller is not None and self._blocked:
            now: cython.double = self.now()
            if now >= self._polled + _look - _rounding:
                self._poll(now)

    def _end_slice(self, task):
        """The CPU came out for a look: the next task's turn, if this one's is over."""
        queue: RunQueue = self.queue
        now: cython.double
        self._look_at_host()
        if queue.turn is task and queue.ends != _never:
            now = self.clock.monotonic()
            if now >= queue.ends - _rounding:
                queue.behind(task, now)
                if len(queue.all) > 1:
                    task.preempted()

    # -- a turn

    def _until(self, done):
        """Turns until `done()`, which is asked after each; as `run_until` has it."""
        last = None
        self.done = done
        self.news = True
        while True:
            self.look()
            self._look_at_host()
            if self._left:
                self._left = False
                return last if last is not None else self._came_out("stopped")
            if len(self.queue.all) != 0:
                ended = self._work()
                if ended is not None:
                    last = ended
                if self.stopped_at is not None:
                    return self.stopped_at
                if done():
                    return last if last is not None else self._came_out("stopped")
            else:
                self._sleep()
            if self.deadline is not None and self.over:
                return self._came_out("timeout")

    def _work(self):
        """Somebody can run: let him; his exit, if that was his end."""
        queue: RunQueue = self.queue
        task: Waiting = queue.first()
        before: Waiting = queue.turn
        if before is not None and before is not task:  # who was woken goes first
            self._switch(before)
            queue.interrupt(self.now())
            before.preempted()
        return self._turn(task)

    def _turn(self, task):
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
        try:
            exit = self.ran(task, self.time_of(task))
        except GuestLost:
            exit = self._came_out("lost", 0)
        finally:
            self._looks_at = _now
        if self.refused:
            self.refused = False
            return self._ended(self.current, None)
        task = self.current  # perhaps another by now, or none (`ran`)
        if task is None or task.blocked is not None:
            return None
        if exit.kind == "timeout":
            self._end_slice(task)
        elif exit.points:
            if not task.at_point(exit):
                self.stopped_at, self.stopped = exit, task
        elif not self._goes_on(task, exit):
            return self._ended(task, exit)
        return None

    def ran(self, task, seconds):
        """The task has the CPU for so long, None: as long as it likes; how it came out. That does not matter of one that
        waits now."""
        limit = None
        if self.deadline is not None:
            limit = self._time_left()
        if not self.native or self.engine.space.stops is not None:
            return self.clock.turn(self.engine, seconds, limit)
        if limit is not None:
            seconds = limit if seconds is None else min(seconds, limit)
        raw: tuple = self.engine._run(seconds)
        now: Waiting = self.current  # None: another thread of its process ended it within the run
        if raw[0] == "timeout" and (self.refused or now is None or now.blocked is not None):
            return None
        return self.engine._stopping(seconds, None, False, raw)

    def exchange(self):
        """The task that made the call in hand waits: the next one has the CPU, without an end of the run, if a turn of it is
        no more than that. All that is done is what the way over the end of the run does."""
        before: Waiting = self.current
        if (
            before is None
            or before.blocked is None
            or not len(self.queue.all)
            or self._posted
            or self._left
            or general_way
        ):
            return False
        if self.any_timers() and self.timers.due(self.clock.monotonic()):
            self.news = True
        self._looks_at = _now
        return self.next_one(before)

    def is_done(self):
        """Whether the run is over. What is done at once of calls changes nothing about that."""
        cpu: RunningCpu = self.engine
        if cpu.answered == self.asked and not self.news:
            return False
        self.asked = cpu.answered
        self.news = False
        return self.done()

    def next_one(self, before):
        """Whether the first who can run has the CPU now, in the run under way."""
        cpu: NativePages = self.engine
        limit: cython.double
        task: Waiting = self.queue.first()
        if (
            task is before
            or self.queue.turn is not None
            or type(task.context) is not Parked
            or cython.cast(SpaceCore, task._space).has_points
        ):
            return False
        if self.is_done() or self._left or self._posted:
            self.news = True
            return False
        self._look_at_host()
        if self.deadline is not None and self.over:
            return False
        if task.blocked is not None:
            self._resume(task)
            if task.blocked is not None:
                return False
        self._switch(task)
        if cpu.lost:
            return False
        if not calm(task):
            self.news = True
            if not self._goes_on(task, None):
                self.refused = True
                return False
        if task.blocked is not None or cpu.lost or self._posted:
            return False
        seconds = self.time_of(task)
        if self.deadline is not None:
            limit = self._time_left()
            if seconds is None or limit < cython.cast(cython.double, seconds):
                seconds = limit
        cpu.goes_on_for(-1 if seconds is None else cython.cast(int64_t, cython.cast(cython.double, seconds) * 1e9))
        return True

    def _goes_on(self, task, exit):
        """`task.on_exit`, without an exit `task.enter`, which may find that the registers are lost."""
        try:
            return task.enter() if exit is None else task.on_exit(exit)
        except GuestLost:
            return task.on_exit(self._came_out("lost", 0))

    def _switch(self, task):
        """Put a task's registers and memory into the CPU."""
        engine: object = self.engine
        before: Waiting = self.current
        if before is not task:
            context: object = task.context
            if before is not None:
                if context is None:
                    before.context = self._kept()
                elif isinstance(engine, NativePages):
                    before.context = cython.cast(NativePages, engine).put_aside()
                else:
                    before.context = engine.park()
            self.current = None  # should what follows be refused
            if context is not None:
                if type(context) is Parked:
                    cython.cast(NativePages, engine).put_on(context, task._space)
                else:
                    engine.resume(context, task._space)
                task.context = None
            self.current = task
            self._install(task)
            if before is not None:
                self.hand_over(before, task)
            else:
                task.switched(True)
        if not isinstance(engine, RunningCpu) or cython.cast(RunningCpu, engine).mmu is not task._space:
            engine.attach(task._space)
        if task.result is not None:
            self.put_result(task)

    def put_result(self, task):
        """A call that waited has its result: into the register."""
        engine: object = self.engine
        cpu: NativePages
        if isinstance(engine, NativePages):
            cpu = engine
            if cpu.in_call and not cpu.lost and not cpu.closed:
                cpu.regs_[R_RAX] = cython.cast(uint64_t, cython.cast(int64_t, task.result))
                task.result = None
                return 0
        engine.regs.result = task.result & _word
        task.result = None
        return 0

    def _serve(self, task):
        """The CPU has the registers of another task, which ran beside others."""
        before: Waiting = self.current
        self.current = task
        if before is not None:
            self.hand_over(before, task)
        else:
            task.switched(True)

    def hand_over(self, before, task):
        """The CPU goes from one task to another."""
        if (
            self.native
            and not general_way
            and class_of(before) == task_class
            and class_of(task) == task_class
            and unasked(before)
            and unasked(task)
            and self.short_turns.hand_over(
                cython.cast(CpuPart, get(before, fields.cpu)), cython.cast(CpuPart, get(task, fields.cpu))
            )
        ):
            return 0
        before.handed_over(task)
        return 0

    def reinstall(self, task: Waiting):
        """The task's calls go another way, by its kernel's dispatcher: from now on, or from its next turn on."""
        task.answers = None
        if self.current is task:
            self._install(task)

    def _install(self, task):
        engine: cython.pointer(PyObject) = cython.cast(cython.pointer(PyObject), self.engine)
        if task_class == cython.NULL or class_of(task) != task_class or get(task, fields.engine) != engine:
            task.engine = self.engine
        task.host_time = self.host_time
        if task.answers is None or task.answers_of is not self.run_under_way:
            task.answers = task.kernel.dispatcher(task)
            task.answers_of = self.run_under_way
        if isinstance(self.engine, RunningCpu):
            cython.cast(RunningCpu, self.engine).handle(task.answers)
        else:
            self.engine.on_syscall(task.answers)

    def _begin(self, native: cython.bint):
        """A run begins. native: the engine is the host's CPU, for which time passes as for the host."""
        self.native = native
        view: object = type(self.clock)
        self.host_time = native and view.monotonic is monotonic and getattr(view, "realtime_ns", None) is time_ns
        self.refused = False
        self.heap_at = slot_of(type(self.timers), "heap")
        self.one_guest = native and self.jobs == 1
        if self.one_guest:
            cython.cast(RunningCpu, self.engine).successor = self
        self.run_under_way = object()

    def _end(self):
        """The run is over."""
        if self.native:
            cython.cast(RunningCpu, self.engine).successor = None
        self.done = None
        if self.queue.ends != _never:
            self.queue.set_down(self.now())

    # -- calls that waited

    def _resume(self, task):
        """Go on with the call of a task that was woken or disturbed: until it has a result, or waits again."""
        record: Blocked = task.blocked
        if record.woken is not None and record.again is not None:
            self.go_on(task, record)
        elif task.disturbed():
            self.leave_wait(task)
            try:
                outcome = task.interrupted(record)
            except LinuxError as error:
                outcome = error
            task.waited(record)
            self.finish(task, outcome)
        else:
            self._dequeue(task)  # it was told to look, and there is nothing

    def go_on(self, task, record):
        """Call `again`. What it raises besides `LinuxError` leaves the task waiting, to be woken at once."""
        done: int64_t
        function, data = record.again
        plain: cython.pointer(PyObject) = PyDict_GetItem(resumed, function)
        if plain != cython.NULL and record.woken and calm(task) and task.calling is None:
            done = cython.cast(Resumed, plain).go_on(task, record)
            if done >= 0:
                self.leave_wait(task)
                self.let_go(task, record)
                task.result = done
                return
        self.news = True
        task.woken = 0 if record.woken is None else record.woken
        self.leave_wait(task)
        task.going_on = record
        try:
            outcome = function(task, *data)
        except LinuxError as error:
            outcome = error
        except BaseException:
            if task.blocked is None:
                task.blocked = record
                self.adopt(task)
            raise
        finally:
            task.going_on = None
        task.waited(record)
        if task.blocked is not None:
            task.blocked.call = record.call
        else:
            self.finish(task, outcome)

    def let_go(self, task, record):
        """`Task.waited`, of a task of the class that is known: the open files may be closed."""
        files: tuple = record.held
        if len(files) == 1 and let_go(files[0]) == 0:
            record.held = ()
        elif files:
            task.waited(record)

    def leave_wait(self, task):
        self._forget(task)
        self._blocked.discard(task)
        task.blocked = None

    def finish(self, task, outcome):
        """The call has a result. None: the registers are as they are to be."""
        if isinstance(outcome, LinuxError):
            task.result = -cython.cast(object, outcome).errno
        else:
            task.result = outcome
        task.kernel.completed(task, outcome)
