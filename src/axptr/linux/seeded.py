"""`SeededView`: a host that is the same each time, made of a number. What `--seed` shows a machine.

Its time does not pass by itself: a byte of code that runs takes a nanosecond, a system call CALL of them, a sleep as
long as it says, in no time of the user's. Only who waits for something outside (a terminal, a pipe of the host) waits
for the user's time. So two runs of one program with one input see the same at each call, whatever the host does.

What stays the host's is what a run is given: files and their times, the user and the groups, limits, the environment,
terminals, and signals from outside. Random bytes are a stream of BLAKE2b over the seed and a count.
"""

from __future__ import annotations

import errno
import stat
from hashlib import blake2b

from ..engine.unicorn import UnicornEngine
from ..errors import LinuxError
from .fs.node import Stat
from .host import HostView, UtsName, nameless_devices

CALL = 1_000
"""Nanoseconds of a system call, in the kernel. A byte of code takes one, in user mode."""
_BILLION = 1_000_000_000
_EPOCH = 1_767_225_600
"""2026-01-01 00:00 UTC: time begins in the four weeks from then on."""
_COARSE_TICK = 4_000_000
_REALTIME, _REALTIME_COARSE, _MONOTONIC_COARSE, _BOOTTIME, _REALTIME_ALARM, _BOOTTIME_ALARM, _TAI = 0, 5, 6, 7, 8, 9, 11
_OF_REALTIME = frozenset({_REALTIME, _REALTIME_COARSE, _REALTIME_ALARM, _TAI})
_OF_MONOTONIC = frozenset({1, 4, _MONOTONIC_COARSE, _BOOTTIME, _BOOTTIME_ALARM})


TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._core.phys.phys import PhysMemory
    from ..engine import Exit
    from .fs.node import AnyStat


class SeededView(HostView):
    """What is seen of a host with one CPU and 4 GiB, on which nothing else happens.

    The machine's thread alone uses it. Exec and fork share it; a snapshot keeps the seed and the counts.
    """

    repeats = True

    def __init__(self, seed: int) -> None:
        self._key = blake2b(b"%d" % seed).digest()
        self._blocks = 0
        self._spare = b""
        self._protected = {}
        self._engine: UnicornEngine | None = None
        self._worked = 0  # by an engine that is no more
        self._entropy: int | None = None  # of that one
        self._system = self._idle = 0  # nanoseconds that have passed in calls, and in sleeps
        self._stored: dict[tuple[int, int], int] = {}
        self._uptime = 3600 * _BILLION + self._number(86400 * _BILLION)
        self._epoch = _EPOCH * _BILLION + self._number(28 * 86400 * _BILLION)
        self.pid = 300 + self._number(30000)
        self._nameless = nameless_devices()

    def state(self) -> tuple[object, ...]:
        """All that a view which goes on from here must know, as plain data."""
        counts = self._key, self._blocks, self._spare, self._system, self._idle, self._uptime, self._epoch
        entropy = self._engine.entropy if self._engine is not None else 0
        return *counts, self.pid, tuple(self._stored.items()), self._user, entropy

    @classmethod
    def resumed(cls, *state: Any) -> SeededView:
        """A view in the state of another. The work of the engine that it had is time that has passed."""
        view = cls.__new__(cls)
        view._key, view._blocks, view._spare, view._system, view._idle, view._uptime, view._epoch = state[:7]
        view.pid, stored, view._worked, view._entropy = state[7:]
        view._stored = dict(stored)
        view._engine = None
        view._protected = {}
        view._nameless = nameless_devices()
        return view

    def take_over(self, engine: UnicornEngine) -> None:
        """Go on with the engine of the machine that is to be as it was, whose work until now never was."""
        self._engine = engine
        self._worked -= engine.work
        engine.entropy = self._entropy or 0
        self._show_time()

    def _number(self, most: int) -> int:
        return int.from_bytes(self.random(8), "little") % most

    def random(self, count: int) -> bytes:
        pieces, have = [self._spare], len(self._spare)
        while have < count:
            pieces.append(blake2b(self._blocks.to_bytes(8, "little"), key=self._key).digest())
            self._blocks += 1
            have += 64
        whole = b"".join(pieces)
        self._spare = whole[count:]
        return whole[:count]

    # -- clocks

    def engine(self, phys: PhysMemory) -> UnicornEngine:
        engine = self._engine = UnicornEngine(phys, metered=True)
        engine.entropy = self._number(1 << 64) if self._entropy is None else self._entropy
        self._show_time()
        return engine

    def turn(self, engine: Any, seconds: float | None, limit: float | None) -> Exit:
        exit: Exit = engine.run(limit, None if seconds is None else max(round(seconds * _BILLION), 1))
        return exit

    def shorten(self, engine: Any, seconds: float) -> None:
        engine.shorten(count=max(round(seconds * _BILLION), 1))

    def tick(self) -> None:
        self._system += CALL
        self._show_time()

    def _show_time(self) -> None:
        if self._engine is not None:
            self._engine.clock_base = self._uptime + self._system + self._idle

    @property
    def _user(self) -> int:
        return self._worked + (self._engine.work if self._engine is not None else 0)

    @property
    def _now(self) -> int:
        return self._system + self._idle + self._user

    def seconds_until(self, when: float | None, *, outside: bool) -> float | None:
        if when is None:
            return None
        return max(0.0, when - self.monotonic()) if outside else 0.0

    def slept(self, until: float | None) -> None:
        if until is not None:
            self._idle += max(int(until * _BILLION) + 1 - self.monotonic_ns(), 0)
            self._show_time()

    def monotonic_ns(self) -> int:
        return self._uptime + self._now

    def monotonic(self) -> float:
        return (self._uptime + self._now) / _BILLION

    def realtime_ns(self) -> int:
        return self._epoch + self._now

    def boottime_ns(self) -> int:
        return self._uptime + self._now

    def ahead(self) -> None:
        return None

    def clock_ns(self, clock: int) -> int:
        if clock not in _OF_REALTIME | _OF_MONOTONIC:
            raise LinuxError(errno.EINVAL)
        now = self.realtime_ns() if clock in _OF_REALTIME else self.monotonic_ns()
        return now - now % _COARSE_TICK if clock in (_REALTIME_COARSE, _MONOTONIC_COARSE) else now

    def resolution_ns(self, clock: int) -> int:
        if clock < 0:  # of CPU time, by its kind: what the scheduler counts, or ticks
            return 1 if clock & 3 == 2 else _COARSE_TICK
        self.clock_ns(clock)
        return _COARSE_TICK if clock in (_REALTIME_COARSE, _MONOTONIC_COARSE) else 1

    def cpu_ns(self) -> tuple[int, int]:
        return self._user + self._system, self._user

    def machine_cpu_ns(self) -> int:
        return self._user + self._system

    # -- identities

    @property
    def leads(self) -> tuple[bool, bool]:
        return True, False

    @property
    def nice(self) -> int:
        return 0

    # -- the machine

    @property
    def uname(self) -> UtsName:
        return UtsName("Linux", "axptr", "6.18.0", "#1 SMP PREEMPT_DYNAMIC axptr")

    def protected(self, what: str) -> int:
        return 0

    @property
    def memory_size(self) -> int:
        return 4 << 30

    # -- files without a name

    def shown_status(self, status: AnyStat) -> AnyStat:
        nameless = status.st_dev in self._nameless
        if not nameless and not stat.S_ISCHR(status.st_mode):
            return status
        shown = Stat(status.st_mode, status.st_ino, status.st_dev, self._epoch, rdev=status.st_rdev)
        if nameless:
            shown.st_ino = self._stored_number(status.st_dev, status.st_ino)
        shown.st_uid, shown.st_gid, shown.st_nlink = status.st_uid, status.st_gid, status.st_nlink
        shown.st_size, shown.st_blocks, shown.st_blksize = status.st_size, status.st_blocks, status.st_blksize
        return shown

    def shown_name(self, name: bytes) -> bytes:
        kind, _, rest = name.partition(b":[")
        if kind not in (b"pipe", b"socket") or not rest[:-1].isdigit():
            return name
        return b"%s:[%d]" % (kind, self._stored_number(self._nameless[kind == b"socket"], int(rest[:-1])))

    def _stored_number(self, device: int, inode: int) -> int:
        """Numbers in the order in which the program asked for them."""
        return self._stored.setdefault((device, inode), 2000 + len(self._stored))
