"""The one way in which a call waits: for host descriptors, for a time, for a signal.

Every call that may block comes through `wait` (or `sleep`, which is `wait` for no descriptor), and nothing else in this
package sleeps or polls. A wait looks at everything that can end it: what it is for, its own time, the program's timers,
signals (those of the host too, which wake it through a descriptor), and the deadline of the run.

How it ends: by what it waited for; by `LinuxError(EINTR)` when a signal is to be delivered, `restart` having told
whether the call is then made again; by `TimeUp` at the deadline, after which the call is made again should the process
run on. A call that works for long instead of waiting asks `breathe` between its pieces.
"""

from __future__ import annotations

import errno
import select

from ...errors import LinuxError
from ..host import wall
from ..registry import call
from ..signals.state import RESTART

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..signals.state import Again
    from .task import LinuxTask

_MAX_MILLISECONDS = 1 << 30
_SELECT_LIMIT = 1024


class TimeUp(Exception):
    """The run's time is over while call `number` waits; `LinuxKernel.run_process` turns it into a result."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def wait(
    task: LinuxTask,
    wanted: list[tuple[int, int]],
    until: float | None = None,
    *,
    restart: int = RESTART,
    again: Again | None = None,
    awaited: int = 0,
) -> list[tuple[int, int]]:
    """Wait for host descriptors, each with poll's events, until a monotonic time (None: for ever).

    The ready ones with their events; none when the time is over, or when a signal of the mask `awaited` is pending,
    blocked or not. restart: what becomes of the call should a signal be delivered (`signals.Restart`). again: how the
    call goes on with what is left of its time, where making it again from its arguments would wait anew.
    """
    view, signals = task.machine.host, task.host_signals
    wake_fd = signals.wake_fd if signals is not None else -1
    poller = None
    if wanted or wake_fd >= _SELECT_LIMIT:
        poller = select.poll()
        for fd, events in wanted:
            poller.register(fd, events)
        if wake_fd >= 0:
            poller.register(wake_fd, select.POLLIN)
    while True:
        wake = task.next_wakeup(until)
        seconds = 0.0 if task.signals.deliverable(task) else view.seconds_until(wake, outside=bool(wanted))
        if task.deadline is not None:
            left = max(task.deadline - wall(), 0.0)
            seconds = left if seconds is None else min(seconds, left)
        if poller is None:
            found = _sleep(wake_fd, seconds)
        else:
            found = poller.poll(None if seconds is None else min(seconds * 1000, _MAX_MILLISECONDS))
        if not found and seconds is not None and (task.deadline is None or wall() < task.deadline):
            view.slept(wake)
        if wake_fd >= 0:
            found = [(fd, events) for fd, events in found if fd != wake_fd]
        if found:
            return found
        task.collect_signals()
        if task.signals.pending.mask & awaited:
            return []
        over = until is not None and view.monotonic() >= until
        if task.signals.deliverable(task):
            raise task.signals.interrupted(task, restart, again)
        if over:
            return []
        check_deadline(task, again)


def _sleep(wake_fd: int, seconds: float | None) -> list[tuple[int, int]]:
    """Until the descriptor is readable (none: -1), which it then gives, or the time is over; finer than poll is."""
    readers = [wake_fd] if wake_fd >= 0 else []
    if seconds is None and not readers:
        seconds = 3600.0  # a caller that waits for nothing comes back here
    ready, _, _ = select.select(readers, [], [], None if seconds is None else min(seconds, _MAX_MILLISECONDS / 1000))
    return [(fd, select.POLLIN) for fd in ready]


def sleep(
    task: LinuxTask, until: float | None, *, restart: int = RESTART, again: Again | None = None, awaited: int = 0
) -> None:
    """`wait` for no descriptor."""
    wait(task, [], until, restart=restart, again=again, awaited=awaited)


def check_deadline(task: LinuxTask, again: Again | None = None) -> None:
    """TimeUp if the run's time is over: the call in hand is made again, or gone on with, when the process is run on."""
    if task.deadline is not None and wall() >= task.deadline:
        raise TimeUp(task.signals.call_again(task, again))


def breathe(task: LinuxTask) -> bool:
    """Between two pieces of long work: whether a signal is to be delivered.

    At the deadline of the run and for a signal that ends the program it raises as `wait` does: what was done stays
    done, and the call is made again should the process run on.
    """
    task.collect_signals()
    signals = task.signals
    ready = signals.deliverable(task)
    if ready and signals.will_die():
        raise signals.interrupted(task, RESTART)
    check_deadline(task)
    return ready


def must_stop(task: LinuxTask, *, at_any_signal: bool = False) -> bool:
    """Between two pieces of long work that has something to show already: whether to leave it at that.

    At the deadline of the run, for a signal that ends the program, or for any that is to be delivered.
    """
    task.collect_signals()
    signals = task.signals
    if signals.deliverable(task) and (at_any_signal or signals.will_die()):
        return True
    return task.deadline is not None and wall() >= task.deadline


def partial(task: LinuxTask, done: int) -> int:
    """For a call whose wait was ended after it had something to show: that is its result, it is not made again."""
    task.signals.settled()
    return done


@call("restart_syscall")
def sys_restart_syscall(task: LinuxTask) -> int | None:
    """Go on with the call that a stop or the end of a run cut short; EINTR if there is none."""
    again, task.again = task.again, None
    if again is None:
        raise LinuxError(errno.EINTR)
    function, data = again
    return function(task, *data)
