"""timerfd: a timer that is read: how often it has gone off. Source: timerfd_create(2), fs/timerfd.c.

Nobody sets a clock here, so nothing is ever cancelled (TFD_TIMER_CANCEL_ON_SET). Between going off and being read a
periodic one asks nothing of the loop.
"""

from __future__ import annotations

import errno
from struct import unpack

from ...errors import LinuxError
from ...flags import WRITE
from ...kernel.wait import WaitQueue
from ..fs.openfile import WouldBlock
from ..task.clocks import Beat, moment
from ..uaccess import get_bytes
from .anon import AnonFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...kernel.timers import Timer as Deadline
    from ..task.task import LinuxTask
    from ..uaccess import UserIter

_POLLIN = 1
_SET_TICKS = 0x40085400
_SECOND = 10**9


class TimerFile(AnonFile):
    """The timer.

    | field | guarded by | exec, fork | a snapshot |
    | --- | --- | --- | --- |
    | clock | set once | the same | the number |
    | beat, absolute: how it was set | the machine's thread | the open file's, so shared | numbers |
    | ticks: gone off and not read | the machine's thread | so shared | the number |
    | the deadline in the loop's heap | the machine's thread | the same | nothing: it is set again |
    | queue | the machine's thread | - | nothing: who waits says so |
    """

    what = b"timerfd"

    def __init__(self, task: LinuxTask, clock: int, flags: int) -> None:
        super().__init__(flags)
        self.clock = clock
        self.beat = Beat()
        self.absolute = False
        self.ticks = 0
        self._host, self._loop = task.machine.host, task.loop
        self._queue = WaitQueue()
        self._alarm: Deadline | None = None

    @property
    def queue(self) -> WaitQueue:
        return self._queue

    def ready(self, mask: int) -> int:
        self._settle()
        return mask & _POLLIN if self.ticks else 0

    def set(self, value: int, interval: int, *, absolute: bool) -> tuple[int, int]:
        """As timerfd_settime; (interval, what was left) of before."""
        before = self.beat.interval, self._left()
        self.ticks, self.absolute = 0, absolute
        self.beat.set(self._host.clock_ns(self.clock), value, interval, absolute=absolute)
        self.beat.interval = interval  # which is told even of one that is off
        self._arm()
        return before

    def ioctl(self, task: LinuxTask, command: int, argument: int) -> int | None:
        """TFD_IOC_SET_TICKS: say how often it has rung, once at least."""
        if command != _SET_TICKS:
            return super().ioctl(task, command, argument)
        (ticks,) = unpack("<Q", get_bytes(task, argument, 8))
        if not ticks:
            raise LinuxError(errno.EINVAL)
        self.ticks = ticks
        self.queue.wake()
        return 0

    def info(self) -> bytes:
        """The flags are those of the call that set it last, as far as they are kept: TFD_TIMER_ABSTIME."""
        left = self._left()
        words = self.clock, self.ticks, self.absolute, *divmod(left, _SECOND), *divmod(self.beat.interval, _SECOND)
        return b"clockid: %d\nticks: %d\nsettime flags: 0%o\nit_value: (%d, %d)\nit_interval: (%d, %d)\n" % words

    def left(self) -> tuple[int, int]:
        """(interval, nanoseconds until it goes off). A periodic one that has gone off runs on."""
        left = self._left()
        if self.ticks and self.beat.interval:
            self._arm()
        return self.beat.interval, left

    def _left(self) -> int:
        self._settle()
        return self.beat.left(self._host.clock_ns(self.clock))

    def _settle(self) -> None:
        """Count what has passed by now."""
        if self.beat.at is not None:
            self.ticks += self.beat.passed(self._host.clock_ns(self.clock))

    def _arm(self) -> None:
        if self._alarm is not None and self._loop is not None:
            self._loop.timers.cancel(self._alarm)
        self._alarm = None
        if self.beat.at is not None and self._loop is not None:
            self._alarm = self._loop.arm(moment(self._host, self.clock, self.beat.at), self._ring)

    def _ring(self) -> None:
        self._alarm = None
        before = self.ticks
        self._settle()
        if self.ticks > before:
            self._queue.wake(_POLLIN)
        else:
            self._arm()  # the clock was set back meanwhile

    def read(self, task: LinuxTask, to: UserIter, pos: int | None) -> int:
        if to.count < 8:
            raise LinuxError(errno.EINVAL)
        self._settle()
        if not self.ticks:
            raise WouldBlock(0, to.rest) if self.blocks else LinuxError(errno.EAGAIN)
        ticks, self.ticks = self.ticks, 0
        self._arm()
        if to.copy_out((ticks & (1 << 64) - 1).to_bytes(8, "little")) < 8:
            raise to.fault(WRITE)
        return 8

    def write(self, task: LinuxTask, data: UserIter, pos: int | None) -> int:
        raise LinuxError(errno.EINVAL)

    def close(self) -> None:
        self.beat.at = None
        self._arm()
