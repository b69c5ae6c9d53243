# cython: nonecheck=True
"""Waiting, as plain data: who waits for a thing, and the record of a task that does. `axptr.kernel.wait` says how all of it
is used.

Compiled because a task that is woken by another goes through all of this each time.

Not here: who runs next (`turns`), time (`axptr.kernel.timers`), descriptors of the host (`axptr.kernel.hostpoll`).

Owner: the thread of the loop that the tasks belong to. A snapshot keeps records; queues hold no more than who is in them.
"""

import cython
from cython.cimports.axptr._core.cpu.running import Exchange

EVERY = (1 << 64) - 1
_every = cython.declare(object, EVERY)


@cython.cclass
class Watch:
    """Who hears of events without waiting: `wake(events)` is called at each, until it is taken out of the queue.

    exclusive: of several such, those behind one that took the event need not hear of it.
    """

    blocked = None

    def __init__(self, loop):
        """loop: by which the host is watched, if it is a descriptor of the host that is listened to."""
        self.loop = loop

    def wake(self, events):
        """Whether somebody will do something about it."""
        raise NotImplementedError

    def goes_outside(self, loop):
        """What it watches is a descriptor of the host from now on."""
        self.loop = loop


@cython.cclass
class WaitQueue:
    """The tasks that wait for one thing, each with the mask of events it waits for; the first one came first. Those who
    only watch hear of an event before them, the last one first; exclusive ones after them, in turn (add_wait_queue).

    Adding, removing and waking the first cost O(1); waking passes over those that wait for something else.
    """

    def __cinit__(self):
        self._waiters = {}
        self._watches = {}

    def __len__(self):
        return len(self._waiters) + len(self._watches)

    def __reduce__(self):
        raise TypeError("a wait queue cannot be pickled: who waits is told by the records")

    def add(self, task, mask):
        """Have `task` woken by any event of `mask`; a task that is in the queue keeps its place and waits for both.

        One that waits for no event is not put in: only its time or an interruption ends such a wait.
        """
        if mask:
            waiters: dict = self._watches if isinstance(task, Watch) else self._waiters
            before = waiters.get(task)
            waiters[task] = mask if before is None else before | mask

    def remove(self, task):
        """Nothing happens if it is not there."""
        waiters: dict = self._watches if isinstance(task, Watch) else self._waiters
        if waiters and task in waiters:
            del waiters[task]

    def change(self, watch, mask):
        """Have one who watches hear of other events; it keeps its place."""
        self._watches[watch] = mask

    def wake(self, mask=_every, n=None):
        """Make runnable those that wait for an event of `mask`, the first `n` of them (None: all); how many there were.

        They leave the queue, so that the next wake is for others; who watches stays.
        """
        if self._watches:
            self.tell(mask, False)
        elif not self._waiters:
            return 0
        woken: list = []
        for task, wanted in self._waiters.items():
            if n is not None and len(woken) == n:
                break
            events = wanted & mask
            if events:
                woken.append((task, events))
        for task, events in woken:
            del self._waiters[task]
            if isinstance(task, Waiting):
                cython.cast(Waiting, task).rouse(events)
            else:
                task.wake(events)
        if self._watches:
            self.tell(mask, True)
        return len(woken)

    def tell(self, mask, exclusive):
        watches: list = []
        watch: Watch
        for watch, wanted in self._watches.items():
            if watch.exclusive == exclusive and wanted & mask:
                watches.append((watch, wanted & mask))
        if not exclusive:
            watches.reverse()
        for watch, events in watches:
            if watch.wake(events) and exclusive:
                break
        return 0

    def first(self):
        """Who came first of those that wait."""
        for task in self._waiters:
            return task
        return None

    def move(self, goal, n=None):
        """Have the first `n` wait for `goal` instead, with the masks that they have; how many there were."""
        moved: list = list(self._waiters.items())[:n]
        for task, mask in moved:
            self.remove(task)
            record = task.blocked
            if record is not None:
                record.on = tuple([(goal if w.queue is self else w, m) for w, m in record.on])
                cython.cast(Blocked, record).queues = None
            goal.queue.add(task, mask)
        return len(moved)

    def _check(self):
        """Raise `AssertionError` unless each one in the queue is blocked on it, by a record that says so."""
        for task, mask in self._waiters.items():
            if not mask:
                raise AssertionError(f"{task} waits for nothing")
            record = task.blocked
            if record is None:
                raise AssertionError(f"{task} is in a queue and not blocked")
            for waitable, _ in record.on:
                if waitable.queue is self:
                    break
            else:
                raise AssertionError(f"{task} is in a queue that its record does not name")


@cython.freelist(8)
@cython.cclass
class Blocked:
    """A call that waits: all there is to know of it.

    on: what it waits for. until: when it is woken at the latest, by the loop's clock; None for never.
    again: how it goes on once woken. interrupted: a function that is called with the task and again's data when the
    wait is cut short: what the call then gives, or None for what `restart` says. restart, call: of the personality, what
    becomes of a call that was cut short, and which call it is. deaf: whether little of what comes for the task ends
    the wait, which the personality knows.
    woken: the events that have come, 0 if it was the time; None as long as it waits.
    held: of the personality, what is to stay as it is until the call has gone on (`Task.waited`).
    """

    def __cinit__(self, on=(), until=None, again=None, restart=None, interrupted=None):
        self.on = on
        self.until = until
        self.again = again
        self.restart = restart
        self.interrupted = interrupted
        self.call = _no_call
        self.held = ()
        self.deaf = False

    def requeued(self):
        """The queues that it was put into are others now: those of `on`."""
        self.queues = None

    @property
    def data(self):
        return self.again[1] if self.again is not None else ()

    def __getstate__(self):
        return {name: getattr(self, name) for name in KEPT}

    def __setstate__(self, state):
        for name, value in state.items():
            setattr(self, name, value)

    def __reduce__(self):
        return Blocked, (), self.__getstate__()

    def __repr__(self):
        then = f", then {self.again[0].__qualname__}{self.again[1]}" if self.again is not None else ""
        return f"<Blocked on {self.on} until {self.until}{then}>"


@cython.cclass
class Resumed:
    """How calls of one kind that waited go on, as far as that is plain."""

    def go_on(self, task, record):
        return -1


resumed = {}


KEPT = ("again", "call", "deaf", "held", "interrupted", "on", "restart", "until", "woken")
"""What a record is, as plain data."""
_no_call = cython.declare(tuple, (0, 0))


@cython.cclass
class Waker(Exchange):
    """A loop, as those see it who wake its tasks."""

    def runnable(self, task):
        """It can run, or has been woken."""
        return 0


@cython.cclass
class Waiting(Provider):
    """Of a task what the loop looks at, at each of its turns: see `axptr.kernel.task.Task`, which alone derives from it."""

    def __cinit__(self, *args, **kwargs):
        self.woken = 0

    def _begin_wait(self, on, until, again, restart, interrupted):
        """`Task.block`; the record."""
        if self.loop is None:
            raise RuntimeError("a task waits in the loop that runs it, and this one was never run")
        if self.blocked is not None:
            raise RuntimeError(f"this task waits already: {self.blocked}")
        record: Blocked = Blocked(tuple(on), until, again, restart, interrupted)
        self.blocked = record
        self.loop.adopt(self)
        return record

    def wake(self, events=0):
        """End the task's wait, as a queue does: it goes on, with these events, when its turn comes."""
        self.rouse(events)

    def rouse(self, events):
        record: Blocked = self.blocked
        if record is not None and self.loop is not None:
            record.woken = events if record.woken is None else record.woken | events
            if isinstance(self.loop, Waker):
                cython.cast(Waker, self.loop).runnable(self)
            else:
                self.loop.enqueue(self)
        return 0

    def _ask_again(self):
        """What answers its calls is not known any more."""
        self.answers = None
