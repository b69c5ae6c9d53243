"""`HostView`: what a machine knows of the host that it runs on: clocks, identities, names, random bytes, sizes.

The one place of this package that asks the host for any of that (a test reads the others for it), so that another view
in its place makes a whole machine see another host. A machine's is `machine.host`. What a program sees of files is not
here (`fs`); neither is how long a run may take, which is the user's time and nobody's view: `wall`.

Everything is asked for when it is wanted: identities of the host's process may change under us. Times are nanoseconds
unless the name says otherwise.
"""

from __future__ import annotations

import os
import time

from .._core.host import hostcalls
from ..errors import LinuxError
from ..kernel.run import Clock
from ..named import NamedTuple
from .fs.host.calls import host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._core.phys.phys import PhysMemory
    from ..engine import UnicornEngine
    from .fs.node import AnyStat

_THREAD_USER = -3
"""The clock of the calling thread's user time (CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_VIRT of no thread in particular)."""
_BILLION = 1_000_000_000

wall = time.monotonic
"""Seconds of the user's time, by which a run's deadline is told."""
nap = time.sleep
"""Let the calling thread of the host sleep for so many seconds."""
own_pid = os.getpid
"""The number of the host's process that we are, whatever a machine takes itself for."""
own_group = os.getpgrp
"""Its process group, which terminals of the host are told of."""


class UtsName(NamedTuple):
    """What uname(2) tells, but for the hardware, which is the engine's."""

    sysname: str
    nodename: str
    release: str
    version: str


INIT = 1
"""The number of the process that was there before the first: every pid namespace has it."""
_RESERVED_PIDS, _FIRST_PIDS = 300, 30_000


class HostView:
    """The host as it is. Exec and fork share it, a snapshot makes another.

    repeats: whether all it shows is made up, the same each time. pid: the number of a machine's first process, which is
    none of the host's; chosen at random, so that files named by it do not meet.
    """

    repeats = False
    cpu_count = 1
    """How many tasks may run at once, however many the host has: that is what the engine is."""

    def __init__(self, pid: int | None = None) -> None:
        self._protected: dict[str, int] = {}
        if pid is None:
            pid = _RESERVED_PIDS + int.from_bytes(os.urandom(4), "little") % _FIRST_PIDS
        self.pid = pid

    # -- clocks

    monotonic = staticmethod(time.monotonic)
    """Seconds of the monotonic clock, by which everything waits."""
    monotonic_ns = staticmethod(time.monotonic_ns)
    realtime_ns = staticmethod(time.time_ns)

    def boottime_ns(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def ahead(self) -> tuple[int, int] | tuple[int, int, int] | None:
        """How many nanoseconds CLOCK_REALTIME and CLOCK_MONOTONIC are before the host's own; None where they are not
        the host's by another count. A view with other clocks says so here: programs tell the time by it without a call.
        A third number, for CLOCK_BOOTTIME: then the others are told so too, TAI and the coarse ones as the one that
        they go with, and the raw one as the monotonic.
        """
        return 0, 0, 0

    def clock_ns(self, clock: int) -> int:
        """Any clock that is not of a process, by its number: EINVAL if there is none."""
        return host(time.clock_gettime_ns, clock)

    def resolution_ns(self, clock: int) -> int:
        return round(host(time.clock_getres, clock) * _BILLION)

    def require_alarm(self, clock: int) -> None:
        """The errno of clock_nanosleep unless something can wake the machine by this clock, which the host knows."""
        refused = hostcalls.alarm_refused(clock)
        if refused:
            raise LinuxError(refused)

    def cpu_ns(self) -> tuple[int, int]:
        """What the calling thread has used of a CPU: in all, and in user mode."""
        return time.thread_time_ns(), time.clock_gettime_ns(_THREAD_USER)

    def machine_cpu_ns(self) -> int:
        """What everybody has used of the machine's CPU."""
        return time.process_time_ns()

    # -- how time passes: the host's by itself, another view's as it is told

    def tick(self) -> None:
        """A system call was made."""

    def engine(self, phys: PhysMemory) -> UnicornEngine:
        """The CPU of a machine that has this view."""
        from ..engine.unicorn import UnicornEngine  # a run of the native engine has none

        return UnicornEngine(phys)

    turn, shorten = Clock.turn, Clock.shorten

    def seconds_until(self, when: float | None, *, outside: bool) -> float | None:
        """How long to sleep on the host until the monotonic clock shows `when`; None for ever.

        outside: something of the host's may end the sleep.
        """
        return None if when is None else max(0.0, when - self.monotonic())

    def slept(self, until: float | None) -> None:
        """Nothing ended the sleep before the monotonic clock was to show `until`."""

    # -- the CPU, where programs run on the host's own

    def cpuinfo(self) -> str:
        """The kernel's words on it."""
        with open("/proc/cpuinfo") as file:
            return file.read()

    def hardware(self) -> tuple[int, int, int]:
        """AT_HWCAP, AT_HWCAP2 and AT_MINSIGSTKSZ (2048 where the kernel does not say)."""
        ask = hostcalls.getauxval
        return ask(16), ask(26), ask(51) or 2048

    # -- identities

    @property
    def leads(self) -> tuple[bool, bool]:
        """Whether the host's process leads its process group, and its session: so does a program in its place."""
        own = os.getpid()
        return os.getpgrp() == own, os.getsid(0) == own

    @property
    def pgid(self) -> int:
        """The group of a program in the place of the host's process; numbers are the machine's."""
        return self.pid if self.leads[0] else INIT

    @property
    def sid(self) -> int:
        return self.pid if self.leads[1] else INIT

    @property
    def uids(self) -> tuple[int, int, int]:
        """Real, effective, saved."""
        return os.getresuid()

    @property
    def gids(self) -> tuple[int, int, int]:
        return os.getresgid()

    @property
    def uid(self) -> int:
        return os.getuid()

    @property
    def gid(self) -> int:
        return os.getgid()

    @property
    def euid(self) -> int:
        return os.geteuid()

    @property
    def egid(self) -> int:
        return os.getegid()

    @property
    def groups(self) -> list[int]:
        return os.getgroups()

    @property
    def umask(self) -> int:
        """Read where that is possible: another thread may be making a file, or a machine, just now."""
        try:
            with open("/proc/self/status", "rb") as file:
                for line in file:
                    if line.startswith(b"Umask:"):
                        return int(line[6:], 8)
        except OSError:
            pass
        mask = os.umask(0o022)  # a kernel before 4.7, or no /proc
        os.umask(mask)
        return mask

    @property
    def nice(self) -> int:
        return os.getpriority(os.PRIO_PROCESS, 0)

    @property
    def terminal(self) -> tuple[int, int]:
        """Device and foreground group of the controlling terminal, as /proc/self/stat tells them; zeroes if unknown."""
        try:
            with open("/proc/self/stat", "rb") as file:
                words = file.read().rpartition(b")")[2].split()
            return int(words[4]), self.shown_group(int(words[5]))
        except (OSError, IndexError, ValueError):
            return 0, 0

    def shown_group(self, group: int) -> int:
        """What a process group of the host is called, as a terminal tells of it: ours, or somebody's who was there
        before."""
        return self.pgid if group == own_group() else INIT if group > 0 else group

    def shown_sender(self, pid: int) -> int:
        """Who a process of the host is to a program that it sends a signal: its parent, or somebody unseen (0)."""
        return self.pid if pid == os.getpid() else INIT if pid == os.getppid() else 0

    def limit(self, number: int) -> tuple[int, int]:
        """A resource limit of the host's process, (soft, hard); all ones for none."""
        return hostcalls.getrlimit(number)

    def prctl(self, option: int, argument: int = 0) -> int:
        """What prctl(2) tells of the host's process, for options that give it as their result."""
        return hostcalls.prctl(option, argument)

    # -- the machine

    def protected(self, what: str) -> int:
        """What fs.protected_`what` says: links, FIFOs and files that others left in directories for all."""
        if what not in self._protected:
            try:
                with open(f"/proc/sys/fs/protected_{what}", "rb") as file:
                    self._protected[what] = int(file.read())
            except (OSError, ValueError):
                self._protected[what] = 0
        return self._protected[what]

    @property
    def uname(self) -> UtsName:
        return UtsName(*os.uname()[:4])

    @property
    def memory_size(self) -> int:
        """Bytes."""
        return memory_size()

    def random(self, count: int) -> bytes:
        return os.urandom(count)

    # -- what the host has no lasting name for

    def shown_status(self, status: AnyStat) -> AnyStat:
        """What is told of a file of the host that may be a pipe, a socket or a device."""
        return status

    def shown_name(self, name: bytes) -> bytes:
        """What is told of a name that the host has for an open file, which may be `pipe:[1234]`."""
        return name


def core_count() -> int:
    """How many cores of the host this process may use."""
    return len(os.sched_getaffinity(0))


def memory_size() -> int:
    """Bytes of memory that the host has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def clocks() -> tuple[int, int]:
    """Nanoseconds of the host's realtime and monotonic clocks."""
    return time.time_ns(), time.monotonic_ns()


def time_of_day(seconds: int) -> str:
    """HH:MM:SS, where the host's user is."""
    return time.strftime("%H:%M:%S", time.localtime(seconds))


def unique_name() -> bytes:
    """Random bytes that nothing else is named by; none that a program sees."""
    return os.urandom(16)


def dead_socket() -> int:
    """A descriptor of the host's, which does not wait, of a connection that the other end has closed."""
    import socket

    one, other = socket.socketpair()
    one.setblocking(False)
    other.close()
    return one.detach()


def nameless_devices() -> tuple[int, int]:
    """The devices by which the host's pipes and sockets are told from its files."""
    import socket

    reader, writer = os.pipe()
    try:
        pipes = os.fstat(reader).st_dev
    finally:
        os.close(reader)
        os.close(writer)
    one, other = socket.socketpair()
    with one, other:
        return pipes, os.fstat(one.fileno()).st_dev
