"""What tasks have used: bytes that calls moved, and the CPU time of those that take short turns.

Clocks of CPU time are dear: three calls of the host at each switch would be the greater part of it. So while turns are
short, only the wall clock is read, and what all of them used together is shared out by it as soon as somebody asks, or a
turn was longer, or much has come together. The sum is exact; of who used what, no more than a few short turns are by the
wall clock.

Not here: clocks (`axptr.linux.host`), who asks (`axptr.linux.task.timers`).

Owner: the machine's thread.
"""

import cython
from cython.cimports.axptr._core.cpu.metronome import clock_now
from cython.cimports.libc.stdint import int64_t

_short = cython.declare(int64_t, 200_000)  # nanoseconds: what a turn may take without a look at the clocks
_together = cython.declare(int64_t, 5_000_000)


@cython.cclass
class IoTally:
    """Of a process: rchar, wchar: bytes that calls have read and written; syscr, syscw: how many such calls."""

    def read(self, count: cython.longlong):
        """Note that a call has read `count` bytes; gives them back."""
        self.syscr += 1
        self.rchar += count
        return count

    def wrote(self, count: cython.longlong):
        self.syscw += 1
        self.wchar += count
        return count


@cython.cclass
class CpuPart:
    """The CPU time of one task, as far as turns know of it. Who derives from it has `_now()`, the clocks of CPU time, and
    `_note(total, user)`, by which it is given its own."""

    def _begins(self):
        """It has got the CPU, and `_since` says when."""
        self.began = clock_now()

    def _settle(self):
        """All that it used is to be its own."""
        self.settle()

    def settle(self):
        if self.turns is not None:
            self.turns.settle()
        return 0


@cython.cclass
class ShortTurns:
    """Turns of which nobody has read the clocks."""

    def __cinit__(self):
        self.members = []

    def join(self, part):
        if part.turns is None:
            part.turns = self
            self.members.append(part)
        return 0

    def hand_over(self, before, other):
        """The CPU goes from one to another. False, if the clocks are to be read: then nothing has been noted."""
        now: int64_t = clock_now()
        span: int64_t = now - before.began
        if span > _short:
            return False
        if self.current is None:
            if before._since is None or other.turns is not None:
                return False
            self.since = before._since
            self.first = before.began
            before._since = None
        elif self.current is not before or now - self.first > _together:
            return False
        self.join(before)
        self.join(other)
        before.part += span
        other.began = now
        self.current = other
        return True

    def settle(self):
        """Share out what was used: each has its own then, and the one that has the CPU begins anew."""
        current: CpuPart = self.current
        part: CpuPart
        if current is None:
            return 0
        now: int64_t = clock_now()
        # What the guest has used that goes on beside others is its own, and no part of this.
        reading: tuple = cython.cast(object, current)._now("guest_spent_ns")
        total: object = reading[0] - self.since[0]
        user: object = reading[1] - self.since[1]
        current.part += now - current.began
        members: list = self.members
        whole: object = 0
        for part in members:
            whole += part.part
        left_total: object = total
        left_user: object = user
        for part in members:
            if part is not current and whole:
                own_total: object = total * part.part // whole
                own_user: object = user * part.part // whole
                left_total -= own_total
                left_user -= own_user
                cython.cast(object, part)._note(own_total, own_user)
            part.part = 0
            part.turns = None
        self.members = []
        self.current = None
        self.since = None
        cython.cast(object, current)._note(left_total, left_user)
        current._since = reading
        current.began = now
        return 0
