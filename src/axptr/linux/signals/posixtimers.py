"""Timers that a program makes, each of which sends a signal of its choice: timer_create(2). Source: kernel/time/
posix-timers.c and posix-cpu-timers.c, kernel/signal.c (posixtimer_send_sigqueue, posixtimer_deliver_signal) of
Linux 6.18.

A timer has one signal on its way at a time. How often it has gone off meanwhile is counted when that one is taken, and
only then does it run on; so one whose signal is blocked costs nothing. A signal that is ignored waits for a handler.

Not here: interval timers (`task.timers`), timers with a descriptor (`files.timerfd`).
"""

from __future__ import annotations

import errno

from ...errors import LinuxError
from ..abi.signals import SI_TIMER, Info
from ..task.clocks import Beat, clock_now, cpu_kind, moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...kernel.timers import Timer as Deadline
    from ..task.group import ThreadGroup
    from ..task.task import LinuxTask

SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD, SIGEV_THREAD_ID = 0, 1, 2, 4
_INT_MAX = (1 << 31) - 1


class PosixTimer:
    """One timer.

    number: its id. clock: whose time it goes by; cpu: whether that is a process's or thread's. how: SIGEV_NONE, or a
    number that says that a signal is sent, to `thread` or to its process. sent: whether one is on its way. times: how
    often it was set, by which signals of an earlier setting are known. ignored: whether its signal was, when it went
    off.
    """

    def __init__(self, owner: LinuxTask, number: int, clock: int, how: int, signal: int, value: int) -> None:
        self.owner = owner
        self.number = number
        self.clock = clock
        self.cpu = cpu_kind(owner, clock) is not None
        self.how = how
        self.signal = signal
        self.value = value
        self.thread: LinuxTask | None = None
        self.beat = Beat()
        self.sent = self.ignored = False
        self.times = 0
        self.overrun = 0
        self._count = -1
        self._alarm: Deadline | None = None

    @property
    def now(self) -> int:
        return clock_now(self.owner, self.clock)

    def set(self, value: int, interval: int, *, absolute: bool) -> None:
        """Go off in so many nanoseconds, or at a time of the clock. What an earlier setting has sent is void."""
        self.stop()
        self.times += 1
        self.sent = self.ignored = False
        self.overrun, self._count = 0, -1
        self.beat.set(self.now, value, interval, absolute=absolute)
        self._start()

    def left(self) -> tuple[int, int]:
        """(interval, nanoseconds until it goes off): 0 if it does not, 1 if it is about to."""
        beat, silent = self.beat, self.how == SIGEV_NONE
        if beat.at is None or (self.sent and not beat.interval):
            return beat.interval, 0
        now = self.now
        if beat.interval and (self.sent or self.ignored or silent):
            self._count += beat.passed(now)
        if beat.at > now:
            return beat.interval, beat.at - now
        return beat.interval, 0 if silent else 1

    def _start(self) -> None:
        beat, loop = self.beat, self.owner.loop
        if beat.at is None or self.how == SIGEV_NONE or loop is None:
            return
        if self.cpu:
            self.owner.interrupt()  # which looks at `time_left` anew
        else:
            self._alarm = loop.arm(moment(self.owner.machine.host, self.clock, beat.at), self.look)

    def stop(self) -> None:
        """It is not to go off."""
        if self._alarm is not None and self.owner.loop is not None:
            self.owner.loop.timers.cancel(self._alarm)
        self._alarm = None

    def look(self) -> None:
        """Send the signal if the time has come."""
        self._alarm = None
        at = self.beat.at
        if at is None or self.sent or self.ignored or self.how == SIGEV_NONE:
            return
        if at > self.now:  # the clock was set back meanwhile
            if not self.cpu:
                self._start()
            return
        self.send()

    def send(self) -> None:
        """It has gone off."""
        goal = self._goal()
        if goal is None:
            return
        if goal.signals.drops(self.signal):
            self.ignored = bool(self.beat.interval)
            if not self.ignored:
                self.beat.at = None
            return
        self.ignored, self.sent = False, True
        info = Info(self.signal, SI_TIMER, pid=self.number, value=self.value, timer=self)
        info.set = self.times
        goal.signals.send(goal, info, own=self.thread is not None)

    def _goal(self) -> LinuxTask | None:
        if self.thread is not None:
            machine = self.thread.machine
            return self.thread if machine.tasks.get(self.thread.tid) is self.thread else None
        return self.owner if not self.owner.dead else self.owner.group.leader

    def taken(self, info: Info) -> bool:
        """The signal is about to be delivered: what it tells of overruns is settled, and the timer runs on. False for
        one of an earlier setting, or of a timer that is no more."""
        if info.set != self.times:
            return False
        self.sent = False
        if self.beat.interval:
            self._count += self.beat.passed(self.now)
            self.overrun, self._count = self._count, -1
            self._start()
        else:
            self.beat.at = None
        info.uid = min(max(self.overrun, 0), _INT_MAX)  # si_overrun stands where others have a user
        return True


class PosixTimers:
    """The timers of a process. Exec and its end delete them, a fork has none, a snapshot keeps their settings."""

    def __init__(self) -> None:
        self._timers: dict[int, PosixTimer] = {}
        self._next = 0

    def __bool__(self) -> bool:
        return bool(self._timers)

    def all(self) -> list[PosixTimer]:
        return list(self._timers.values())

    def create(
        self, owner: LinuxTask, clock: int, how: int, signal: int, value: int | None, wanted: int | None = None
    ) -> PosixTimer:
        """value: what the signal carries, its number by default. wanted: its number, EBUSY if that is taken."""
        number = self._next if wanted is None else wanted
        if wanted is not None and wanted in self._timers:
            raise LinuxError(errno.EBUSY)
        while number in self._timers:
            number = (number + 1) & _INT_MAX
        if wanted is None:
            self._next = (number + 1) & _INT_MAX
        timer = PosixTimer(owner, number, clock, how, signal, number if value is None else value)
        self._timers[number] = timer
        owner.machine.signal_tally.count += 1
        return timer

    def get(self, number: int) -> PosixTimer:
        """EINVAL if there is none."""
        timer = self._timers.get(number)
        if timer is None:
            raise LinuxError(errno.EINVAL)
        return timer

    def delete(self, number: int) -> None:
        timer = self.get(number)
        timer.stop()
        timer.times += 1
        del self._timers[number]
        timer.owner.machine.signal_tally.count -= 1

    def clear(self, group: ThreadGroup) -> None:
        """Delete all, and what they have sent (exit_itimers)."""
        for number in list(self._timers):
            self.delete(number)
        self._next = 0
        group.pending.discard_timers()

    def stop(self) -> None:
        """The process is over: nothing goes off any more."""
        for number in list(self._timers):
            self.delete(number)

    def heed(self, signal: int) -> None:
        """The signal is not ignored any more: those that went off send it now (posixtimer_sig_unignore)."""
        for timer in self._timers.values():
            if timer.ignored and timer.signal == signal:
                timer.send()

    # -- those of CPU time

    def due(self) -> None:
        for timer in self._timers.values():
            if timer.cpu and timer.beat.at is not None:
                timer.look()

    @property
    def slice(self) -> int | None:
        """Nanoseconds of CPU time until one goes off; None for none."""
        left = [
            timer.beat.left(timer.now)
            for timer in self._timers.values()
            if timer.cpu
            and timer.beat.at is not None
            and not timer.sent
            and not timer.ignored
            and timer.how != SIGEV_NONE
        ]
        return min(left) if left else None
