"""What a loop of tasks does at each turn: `Turns`, of which `axptr.kernel.run.RunLoop` derives, and nobody else.

Compiled because every switch between two tasks, and every call that waits, goes through all of this.

Not here: the start and the end of a run, the host and its descriptors (`axptr.kernel.run`), who waits for what (`waiting`).

Owner: the thread of the run.
"""

import cython
from cython.cimports.axptr._core.cpu.native.nativepages import NativePages
from cython.cimports.axptr._core.cpu.native.parked import Parked
from cython.cimports.axptr._core.kernel.waiting import Blocked, Waiting, WaitQueue

from axptr.errors import GuestLost, LinuxError

LOOK = 0.01
"""Seconds of the CPU between two looks at the host while some task waits for it."""
_look = cython.declare(cython.double, LOOK)
_soon = cython.declare(cython.double, 1e-6)
_rounding = cython.declare(cython.double, 1e-9)
_never = cython.declare(cython.double, float("inf"))
_now = cython.declare(cython.double, -float("inf"))
_word = cython.declare(object, 0xFFFF_FFFF_FFFF_FFFF)


@cython.cclass
class Turns:
    """The tasks that can run, in a row; those that wait; the one in the CPU. `RunLoop` says what its fields are."""

    # -- who can run

    def enqueue(self, task):
        """A task can run, or has been woken: it gets its turn after those that are waiting for theirs."""
        if task in self._queued:
            return
        self._queued.add(task)
        self._ready.append(task)
        if self._slice_end is None and self._looks_at != _now and len(self._ready) == 2:
            ends: cython.double = self.clock.monotonic() + self.slice  # the first has to share from now on
            self._slice_end = ends
            self._be_back(ends)

    def _dequeue(self, task):
        if task in self._queued:
            self._queued.remove(task)
            self._ready.remove(task)

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
        if self.timers.heap:
            self.timers.due(self.clock.monotonic())

    def _be_back(self, at):
        """Have the turn under way end at a time, unless it will end by itself before that. The program runs on until
        then."""
        seconds: cython.double
        if at < self._looks_at:
            seconds = at - cython.cast(cython.double, self.clock.monotonic())
            if seconds > _soon:
                self._looks_at = at
                self.clock.shorten(self.engine, seconds)
            else:
                self._come_out()

    def _come_out(self):
        """End the turn under way, if there is one."""
        if self._looks_at != _now:
            self.engine.preempt()

    def time_of(self, task):
        """Seconds that the task may run before somebody must look; None for any number."""
        used = task.time_left
        alone: cython.bint = len(self._ready) == 1
        seconds: cython.double = _never
        now: cython.double
        if alone:
            self._slice_end = None
            if used is None and not self.timers.heap and (self._poller is None or not self._blocked):
                self._looks_at = _never
                return None
        now = self.clock.monotonic()
        if not alone:
            if self._slice_end is None:
                self._slice_end = now + cython.cast(cython.double, self.slice)
            seconds = cython.cast(cython.double, self._slice_end) - now
        if used is not None:
            seconds = min(seconds, cython.cast(cython.double, used))
        return self._until_a_look(now, seconds)

    def _until_a_look(self, now, seconds):
        """So many seconds from now, or as many as timers and the host allow; None for any number."""
        if self.timers.heap:
            until = self.clock.seconds_until(self.timers.next(), outside=True)
            if until is not None:
                seconds = min(seconds, cython.cast(cython.double, until))
        if self._poller is not None and self._blocked:
            seconds = min(seconds, _look)
        if seconds == _never:
            self._looks_at = _never
            return None
        seconds = max(seconds, _soon)
        self._looks_at = now + seconds
        return seconds

    def _end_slice(self, task):
        """The CPU came out for a look: the next task's turn, if this one's is over."""
        late: cython.bint
        if self._blocked and self._poller is not None:
            self._poller.poll(0.0)
        late = self._slice_end is not None and self.clock.monotonic() >= self._slice_end - _rounding
        if late and len(self._ready) > 1:
            self._slice_end = None
            if self._ready[0] is task:
                self._ready.rotate(-1)
                task.preempted()

    # -- a turn

    def _until(self, done):
        """Turns until `done()`, which is asked after each; as `run_until` has it."""
        last = None
        while True:
            self.look()
            if self._left:
                self._left = False
                return last if last is not None else self._came_out("stopped")
            if self._ready:
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
        return self._turn(self._ready[0])

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
        if task.blocked is not None:
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
        if raw[0] == "timeout" and task.blocked is not None:
            return None
        return self.engine._stopping(seconds, None, False, raw)

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
                    before.context = cython.cast(NativePages, engine)._park()
                else:
                    before.context = engine.park()
            self.current = None  # should what follows be refused
            if context is not None:
                if type(context) is Parked:
                    cython.cast(NativePages, engine)._resume(context, task._space)
                else:
                    engine.resume(context, task._space)
                task.context = None
            self.current = task
            self._slice_end = None
            self._install(task)
            if before is not None:
                before.handed_over(task)
            else:
                task.switched(True)
        engine.attach(task._space)
        if task.result is not None:
            engine.regs.result = task.result & _word
            task.result = None

    def reinstall(self, task: Waiting):
        """The task's calls go another way, by its kernel's dispatcher: from now on, or from its next turn on."""
        task.answers = None
        if self.current is task:
            self._install(task)

    def _install(self, task):
        task.engine = self.engine
        if task.answers is None or task.answers_of is not self.run_under_way:
            task.answers = task.kernel.dispatcher(task)
            task.answers_of = self.run_under_way
        self.engine.on_syscall(task.answers)

    def _begin(self, native: cython.bint):
        """A run begins. native: the engine is the host's CPU, for which time passes as for the host."""
        self.native = native
        self.run_under_way = object()

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
        again: tuple = record.again
        task.woken = 0 if record.woken is None else record.woken
        self.leave_wait(task)
        task.going_on = record
        try:
            outcome = again[0](task, *again[1])
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
