"""What Linux makes of calls that wait, or work for long, when a signal or the end of the run comes in between.

A call that waits leaves a record on its task (`Task.block` of the framework; `LinuxTask.block`) and is gone on with
by the loop; nothing in this package sleeps or polls. Its `restart` says what becomes of it where a signal cuts it
short: RESTART, NO_HANDLER, or a function and its data that `restart_syscall` goes on with where no handler ran. At
the end of a run it goes on waiting, to be run on.

A call that works for long instead asks `breathe` or `must_stop` between its pieces.
"""

from __future__ import annotations

import errno

from ...errors import LinuxError
from ...kernel.kernel import Unfinished
from ..registry import call
from ..signals.state import RESTART

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .task import LinuxTask


def breathe(task: LinuxTask) -> bool:
    """Between two pieces of long work: whether a signal is to be delivered.

    For a signal that ends the program, and at the end of the run, it raises: what was done stays done, and the call is
    made again should the process run on.
    """
    task.collect_signals()
    signals = task.signals
    ready = signals.deliverable(task)
    if ready and signals.will_die():
        raise _left_off(task, LinuxError(errno.EINTR))
    if task.out_of_time:
        raise _left_off(task, Unfinished())
    return ready


def _left_off(task: LinuxTask, error: LinuxError) -> LinuxError:
    task.signals.cut_short(RESTART, task.call_in_hand)
    task.engine.stop()
    return error


def must_stop(task: LinuxTask, *, at_any_signal: bool = False) -> bool:
    """Between two pieces of long work that has something to show already: whether to leave it at that.

    At the end of the run, for a signal that ends the program, or for any that is to be delivered.
    """
    task.collect_signals()
    signals = task.signals
    if signals.deliverable(task) and (at_any_signal or signals.will_die()):
        return True
    return task.out_of_time


@call("restart_syscall")
def sys_restart_syscall(task: LinuxTask) -> int | None:
    """Go on with the call that a stop cut short; EINTR if there is none."""
    again, task.again = task.again, None
    if again is None:
        raise LinuxError(errno.EINTR)
    function, data = again
    return function(task, *data)
