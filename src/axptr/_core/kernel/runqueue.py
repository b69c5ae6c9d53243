# cython: nonecheck=True
"""Who runs next: `RunQueue`, the tasks of a loop that can run, in their order.

They stand in two rows. Who was woken, or is new, stands in `woken`; who has had a slice and wants another, in `ready`; who
came first is first. Each of `ready` has turns of its own, of a slice, or as much of it as its weight says (`Task.weight`).
The woken ones go before them, and even interrupt such a turn, the rest of which comes after theirs; but all of them share
one slice, until an own turn is over. Whose slice that was when it ended goes behind all others. So

- who waits often, and works little, hardly waits for those who only compute;
- no chain of tasks that wake each other keeps one that computes waiting: its turn comes when those before it have had theirs,
  with one shared slice between two of them;
- nobody has more than about half of the time by sleeping at the right moments.

Who can run alone has a turn of its own without an end, once what came before is settled. Its place may be in `woken` until
another comes (`first`).

Not here: when a task is woken and when its turn is broken off (`turns`, `axptr.kernel.crew`).

Invariants, checked by `_check`: each of `all` stands in one row, once; `rests` are of theirs, `turn` is one of them.

Owner: the thread of the loop. A snapshot keeps all of it, between runs, where no turn has an end by a clock (`set_down`);
tasks go with fork and exec as tasks do.
"""

import cython

from axptr.light import deque

_never = cython.declare(cython.double, float("inf"))
_soon = cython.declare(cython.double, 1e-6)


@cython.cclass
class RunQueue:
    """slice: seconds that a turn has while others can run."""

    def __cinit__(self, slice: cython.double = 0.0):
        self.slice = self.share = slice
        self.woken = deque()
        self.ready = deque()
        self.all = set()
        self.rests = {}
        self.ends = _never

    def add(self, task):
        """It was woken, or is new. False, if it can run already."""
        if task in self.all:
            return False
        self.all.add(task)
        self.woken.append(task)
        return True

    def remove(self, task):
        """It cannot run any more; its turn is over, if it had it. Nothing happens if it is not there."""
        if task not in self.all:
            return
        self.all.remove(task)
        self.take_out(task)
        if task is self.turn:
            self.turn = None
            if self.own:
                self.own = False
                self.ends = _never
                self.share = self.slice

    def take_out(self, task):
        """Out of its row."""
        if self.woken and self.woken[0] is task:
            self.woken.popleft()
        elif self.ready and self.ready[0] is task:
            self.ready.popleft()
        elif task in self.woken:
            self.woken.remove(task)
        else:
            self.ready.remove(task)
        if self.rests:
            self.rests.pop(task, None)
        return 0

    def first(self):
        """Who runs now, of those that there are."""
        if self.woken:
            if self.own and self.woken[0] is self.turn:  # it was alone when it began
                self.ready.appendleft(self.woken.popleft())
                if not self.woken:
                    return self.ready[0]
            if not self.ready:
                if self.share <= 0:
                    self.share = self.slice
                return self.woken[0]
            if self.share > 0:
                return self.woken[0]
        return self.ready[0]

    def alone(self, task):
        """Whether it has a turn without an end. There is nobody else; but who wakes in a moment finds what is left of the
        share, and so does this one of its turn."""
        if self.ends != _never or self.share < self.slice or self.rests:
            return False
        self.turn = task
        self.own = True
        return True

    def begin(self, task, now):
        """The first one has a turn now, or goes on with the one that it has."""
        own: cython.bint = not self.woken or self.woken[0] is not task
        if self.ends != _never:
            if self.turn is task:
                return 0
            if not own:  # the share goes on
                self.turn = task
                return 0
            self.share = max(self.ends - now, 0.0)
        self.turn = task
        self.own = own
        if own:
            left = self.rests.pop(task, None) if self.rests else None
            if left is None:
                left = self.slice * cython.cast(object, task).weight
            self.ends = now + cython.cast(cython.double, left)
        else:
            self.ends = now + self.share
        return 0

    def behind(self, task, now):
        """Its slice is over, or it has given it up: it is the last one."""
        self.take_out(task)
        self.ready.append(task)
        if self.turn is task:
            if self.own:
                self.share = self.slice
            elif self.ends != _never:
                self.share = max(self.ends - now, 0.0)
            self.over()

    def over(self):
        """Nobody's turn is under way."""
        self.turn = None
        self.own = False
        self.ends = _never
        return 0

    def step_back(self, task):
        """Its own turn was interrupted: it goes on as the first of those that have some."""
        left = self.rests.get(task)
        self.take_out(task)
        self.ready.appendleft(task)
        if left is not None:
            self.rests[task] = left

    def set_down(self, now):
        """The run ends: what is left of the turn under way is kept, until it goes on."""
        if self.ends != _never:
            if not self.own:
                self.share = max(self.ends - now, 0.0)
            elif self.turn is not None:
                self.rests[self.turn] = max(self.ends - now, _soon)
            self.ends = _never

    def interrupt(self, now):
        """The turn under way is to go on later."""
        self.set_down(now)
        self.over()

    def _check(self):
        """Raise `AssertionError` unless all is as the module says."""
        rows: list = [*self.woken, *self.ready]
        if len(rows) != len(self.all) or set(rows) != self.all:
            raise AssertionError(f"rows {self.woken} and {self.ready}, set {self.all}")
        if not set(self.rests) <= self.all or (self.turn is not None and self.turn not in self.all):
            raise AssertionError(f"rests {self.rests}, the turn of {self.turn}, of {self.all}")
        if not 0 <= self.share <= self.slice or (self.own and self.turn is None):
            raise AssertionError(f"a share of {self.share} of {self.slice}, own {self.own} of {self.turn}")
