"""When the program is to be woken: its interval timers, the time it has used, and its limit on that. Source:
getitimer(2), getrlimit(2) (RLIMIT_CPU), kernel/time/itimer.c, kernel/time/posix-cpu-timers.c.

A thread's CPU time is that of the host's thread that runs it, counted while it runs: emulation included, what was
before the run left out.
"""

from __future__ import annotations

from ..._core.kernel.accounts import CpuPart
from ...light import partial
from ..abi.signals import (
    SI_KERNEL,
    SIGALRM,
    SIGKILL,
    Info,
)
from ..abi.timespec import KTIME_MAX
from .limits import RLIM_INFINITY, RLIMIT_CPU

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..._core.cpu.native.parked import Parked
    from ...engine import Engine
    from ...kernel.run import RunLoop
    from ...kernel.timers import Timer as Deadline
    from ..host import HostView
    from ..signals.posixtimers import PosixTimers
    from .task import LinuxTask

ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF = 0, 1, 2
SIGXCPU, SIGVTALRM, SIGPROF = 24, 26, 27
_BILLION = 1_000_000_000


class CpuTime(CpuPart):
    """The CPU time of a thread. `resume` and `pause` are called by the loop, around the time that it has the CPU.

    engine: the CPU, some of which run guests in a process of their own, whose time comes on top.
    """

    def __init__(self, host: HostView) -> None:
        self._host = host
        self.engine: Engine | None = None
        self._total = self._user = 0
        self._since = None
        self.out: Parked | None = None  # where it runs on by itself, beside others

    @property
    def _beside(self) -> int:
        """What it has used where it runs by itself, and nobody has noted."""
        return self.out._used if self.out is not None else 0

    def _now(self, clock: str = "guest_cpu_ns") -> tuple[int, int]:
        total, user = self._host.cpu_ns()
        beside = getattr(self.engine, clock, 0)
        return total + beside, user + beside

    def resume(self) -> None:
        """What the guest has used and nobody has noted is its own."""
        self._settle()
        self._since = self._now("guest_spent_ns")
        self._begins()

    def pause(self) -> None:
        self._settle()
        self._stop(self._now())

    def hand_over(self, other: CpuTime) -> None:
        """`pause`, and `resume` of another of this machine, at one moment: clocks of CPU time are dear."""
        self._settle()
        total, user = self._host.cpu_ns()
        beside = getattr(self.engine, "guest_spent_ns", 0)
        now = total + beside, user + beside
        other._since = now
        other._begins()
        if (since := self._since) is not None:
            self._total += now[0] - since[0]
            self._user = min(self._user + now[1] - since[1], self._total)
            self._since = None

    def _stop(self, now: tuple[int, int]) -> None:
        if self._since is not None:
            total, user = self._since
            self._note(now[0] - total, now[1] - user)
            self._since = None

    def _note(self, total: int, user: int) -> None:
        self._total += total
        self._user = min(self._user + user, self._total)

    @property
    def total(self) -> int:
        """Nanoseconds, in user and kernel mode."""
        self._settle()
        if self._since is None:
            return self._total + self._beside
        return self._total + self._now()[0] - self._since[0]

    @property
    def user(self) -> int:
        """Nanoseconds in user mode."""
        self._settle()
        if self._since is None:
            return self._user + self._beside
        return min(self._user + self._now()[1] - self._since[1], self.total)

    @property
    def system(self) -> int:
        return max(self.total - self.user, 0)


class ProcessTime:
    """The CPU time of a process: of its threads, and of those that have ended."""

    def __init__(self) -> None:
        self._threads: list[CpuTime] = []
        self._total = self._user = 0

    def begin(self, thread: CpuTime) -> None:
        self._threads.append(thread)

    def end(self, thread: CpuTime) -> None:
        """The thread has ended: what it used stays counted."""
        self._threads.remove(thread)
        self._total += thread.total
        self._user += thread.user

    @property
    def total(self) -> int:
        return self._total + sum([thread.total for thread in self._threads])

    @property
    def user(self) -> int:
        return self._user + sum([thread.user for thread in self._threads])

    @property
    def system(self) -> int:
        return max(self.total - self.user, 0)


class Timer:
    """An interval timer on some clock. at: when it fires next, in that clock's nanoseconds, None if it is off."""

    __slots__ = ("at", "interval", "signal")

    def __init__(self, signal: int) -> None:
        self.signal = signal
        self.at: int | None = None
        self.interval = 0

    def set(self, now: int, value: int, interval: int) -> None:
        """Fire `value` nanoseconds from now, 0 for never, and every `interval` after that, 0 for once."""
        self.at = min(now + value, KTIME_MAX) if value else None
        self.interval = min(interval, KTIME_MAX) if value or self.signal != SIGALRM else 0  # one of CPU time keeps it

    def left(self, now: int) -> int:
        """Nanoseconds until it fires, one at least; 0 if it is off."""
        return 0 if self.at is None else max(self.at - now, 1)

    def fires(self, now: int) -> bool:
        """Whether its time has come; it is set for the next then, the beat kept (hrtimer_forward)."""
        if self.at is None or now < self.at:
            return False
        beats = (now - self.at) // self.interval + 1 if self.interval else 0
        self.at = min(self.at + beats * self.interval, KTIME_MAX) if self.interval else None
        return True


class Timers:
    """The three interval timers of a process and those that it has made (posix, made), its CPU time, and
    the limit on that. restores: whether those that it makes get the numbers that it says (prctl)."""

    __slots__ = ("__dict__", "__weakref__", "_posix", "cpu_limit", "prof", "virtual")

    def __init__(self, host: HostView) -> None:
        self._host = host
        self.cpu = ProcessTime()
        self.real = Timer(SIGALRM)
        self.virtual = Timer(SIGVTALRM)
        self.prof = Timer(SIGPROF)
        self._posix: PosixTimers | None = None
        self.restores = False
        self._alarm: Deadline | None = None  # the real-time timer in the loop's heap
        self.cpu_limit: tuple[int, int] | None = None
        """RLIMIT_CPU, (soft, hard) seconds, as the program set it, or its parent did. One that it inherited of the host
        is here where the guest runs in a process beside ours; elsewhere the host looks after it."""

    @property
    def posix(self) -> PosixTimers:
        """Those of timer_create."""
        if self._posix is None:
            from ..signals.posixtimers import PosixTimers  # which few programs have

            self._posix = PosixTimers()
        return self._posix

    @property
    def made(self) -> PosixTimers | None:
        """The same, None if there are none."""
        return self._posix or None

    def clock_of(self, which: int) -> tuple[Timer, int]:
        """An interval timer by its number, and its clock's time."""
        if which == ITIMER_REAL:
            return self.real, self._host.monotonic_ns()
        if which == ITIMER_VIRTUAL:
            return self.virtual, self.cpu.user
        return self.prof, self.cpu.total

    @property
    def slice(self) -> float | None:
        """Seconds that the CPU may run before a clock of its time must be looked at; None for any number."""
        if self.virtual.at is None and self.prof.at is None and self.cpu_limit is None and not self._posix:
            return None
        left = []
        if self.virtual.at is not None:
            left.append(self.virtual.at - self.cpu.user)
        if self.prof.at is not None:
            left.append(self.prof.at - self.cpu.total)
        if self.cpu_limit is not None:
            left.append(min(self.cpu_limit) * _BILLION - self.cpu.total)
        if self._posix and (soon := self._posix.slice) is not None:
            left.append(soon)
        return max(min(left), 0) / _BILLION + 1e-6 if left else None

    def arm(self, task: LinuxTask) -> None:
        """After a change of the timers: have the loop look when the real-time one fires, and at the others anew."""
        loop = task.loop
        if loop is None:
            return
        if self._alarm is not None:
            loop.timers.cancel(self._alarm)
            self._alarm = None
        if self.real.at is not None:
            self._alarm = loop.arm(self.real.at / _BILLION, partial(self._ring, task))
        task.interrupt()

    def stop(self, loop: RunLoop) -> None:
        """The process is over: nothing rings any more."""
        for timer in (self.real, self.virtual, self.prof):
            timer.at = None
        self.cpu_limit = None
        if self._posix:
            self._posix.stop()
        if self._alarm is not None:
            loop.timers.cancel(self._alarm)
            self._alarm = None

    def _ring(self, task: LinuxTask) -> None:
        self._alarm = None
        if self.real.fires(self._host.monotonic_ns()):
            task.signals.send(task, Info(SIGALRM, SI_KERNEL))
        self.arm(task)

    def due(self, task: LinuxTask) -> None:
        """Send the signals of the timers of CPU time that have come due."""
        if self.virtual.at is not None and self.virtual.fires(self.cpu.user):
            task.signals.send(task, Info(SIGVTALRM, SI_KERNEL))
        if self.prof.at is not None and self.prof.fires(self.cpu.total):
            task.signals.send(task, Info(SIGPROF, SI_KERNEL))
        if self.cpu_limit is not None:
            self._look_at_limit(task)
        if self._posix:
            self._posix.due()

    def _look_at_limit(self, task: LinuxTask) -> None:
        """SIGXCPU at the soft limit and every second after it, SIGKILL at the hard one (check_process_timers)."""
        assert self.cpu_limit is not None
        soft, hard = self.cpu_limit
        spent = self.cpu.total
        if spent >= hard * _BILLION:
            task.signals.send(task, Info(SIGKILL, SI_KERNEL))
        elif spent >= soft * _BILLION:
            self.cpu_limit = soft + 1, hard
            task.group.limits.set(RLIMIT_CPU, soft + 1, hard)
            task.signals.send(task, Info(SIGXCPU, SI_KERNEL))

    def set_cpu_limit(self, soft: int, hard: int) -> None:
        """RLIMIT_CPU from now on. A soft limit of 0 is one second (update_rlimit_cpu)."""
        self.cpu_limit = None if min(soft, hard) == RLIM_INFINITY else (max(soft, 1), hard)
