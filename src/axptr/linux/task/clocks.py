"""Clocks as calls number them: those of the machine, and the CPU time of a process; `Beat`, what goes off by one.
Source: clock_gettime(2), clock_getcpuclockid(3), kernel/time/posix-timers.c (clockid_to_kclock), kernel/time/hrtimer.c.

Not here: the calls (`calls.time`, `calls.timers`), the interval timers of a process (`timers`).
"""

from __future__ import annotations

import errno

from ...errors import LinuxError
from ..abi.timespec import KTIME_MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..host import HostView
    from .task import LinuxTask
    from .timers import CpuTime, ProcessTime

REALTIME, MONOTONIC, PROCESS_CPU, THREAD_CPU, BOOTTIME = 0, 1, 2, 3, 7
ALARMS = (8, 9)
_PROF, _VIRTUAL, _SCHED = 0, 1, 2
_PER_THREAD = 4
_BILLION = 1_000_000_000


def cpu_kind(task: LinuxTask, clock: int) -> int | None:
    """Which CPU time a clock's number asks for; None for clocks of the machine. EINVAL for one that there is not.

    Negative ones are made of a process or a thread and a kind (clock_getcpuclockid(3), posix-timers.h).
    """
    if clock in (PROCESS_CPU, THREAD_CPU):
        return _SCHED
    if clock >= 0:
        if clock > 11 or clock == 10:
            raise LinuxError(errno.EINVAL)
        return None
    if clock & 3 == 3:
        raise LinuxError(errno.EINVAL)
    cpu_of(task, clock)
    return clock & 3


def cpu_of(task: LinuxTask, clock: int) -> CpuTime | ProcessTime:
    """Whose CPU time it is: a process's, or one thread's of this process (pid_for_clock). EINVAL."""
    if clock >= 0:
        return task.cpu if clock == THREAD_CPU else task.group.timers.cpu
    number = ~(clock >> 3)
    if clock & _PER_THREAD:
        thread = task if number == 0 else task.group.threads.get(number)
        if thread is None:
            raise LinuxError(errno.EINVAL)
        return thread.cpu
    group = task.group if number in (0, task.tid) else task.machine.pids.groups.get(number)
    if group is None:
        raise LinuxError(errno.EINVAL)
    return group.timers.cpu


def clock_now(task: LinuxTask, clock: int) -> int:
    """A clock's time in nanoseconds: the machine's, or what the program used of its CPU."""
    kind = cpu_kind(task, clock)
    if kind is None:
        return task.machine.host.clock_ns(clock)
    cpu = cpu_of(task, clock)
    return cpu.user if kind == _VIRTUAL else cpu.total


def moment(host: HostView, clock: int, at: int) -> float:
    """The monotonic time, in seconds, at which a clock of the machine shows `at`: not before it, as far as is known
    now."""
    return host.monotonic() + (at - host.clock_ns(clock)) / _BILLION + 1e-7


class Beat:
    """Something that goes off at a time of some clock, and every `interval` nanoseconds from then on (0: once).

    at: when next; None if it does not.
    """

    __slots__ = ("at", "interval")

    def __init__(self) -> None:
        self.at: int | None = None
        self.interval = 0

    def set(self, now: int, value: int, interval: int, *, absolute: bool) -> None:
        """value: nanoseconds from now, or a time of the clock; 0 turns it off, whichever it is."""
        self.at = min(value if absolute else now + value, KTIME_MAX) if value else None
        self.interval = min(interval, KTIME_MAX) if value else 0

    def passed(self, now: int) -> int:
        """How often it has gone off since this was asked last; the beat is kept (hrtimer_forward)."""
        if self.at is None or now < self.at:
            return 0
        if not self.interval:
            self.at = None
            return 1
        beats = (now - self.at) // self.interval + 1
        self.at = min(self.at + beats * self.interval, KTIME_MAX)
        return beats

    def left(self, now: int) -> int:
        """Nanoseconds until it goes off; 0 if it does not, or should have."""
        return 0 if self.at is None else max(self.at - now, 0)
