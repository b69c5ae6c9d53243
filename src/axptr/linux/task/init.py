"""The machine's first process as a thread: what was there before any program, whose children orphans become.

It is as a thread of the kernel's: it runs nothing, has no memory and no open files, and no signal means anything to it.
What asks by its number (`kill`, `pidfd_open`, `prlimit`, /proc/1) finds it; what goes through all threads that run does
not. It is made when somebody first asks.
"""

from __future__ import annotations

from ..host import INIT
from ..signals.actions import SigActions
from ..signals.state import SignalState
from .creds import Credentials
from .filetable import FileTable
from .task import LinuxTask

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..machine import Machine


class InitSignals(SignalState):
    """Of who takes no signal, SIGKILL neither (SIGNAL_UNKILLABLE). Nothing of it is ever pending; the rest as of
    `SignalState`."""

    def drops(self, signal: int) -> bool:
        return True


def make_init(machine: Machine) -> LinuxTask:
    """The one thread of `machine.init`, in no table of those that run. Its tree is the machine's, whoever asks."""
    group = machine.init
    somebody = next(iter(machine.tasks.values()))
    files, fs = FileTable(1024, machine.locks), somebody.fs.copy()
    fs.root = fs.cwd = fs.mounts.mounts[0].root
    fs.umask = 0
    nobody = (0, 0, 0)
    init = LinuxTask(machine, group, machine.nothing.share(), files, fs, SigActions(), Credentials(nobody, nobody, ()))
    init.signals = InitSignals(init.actions, group.pending)
    init.comm, init.nice = b"init", 0
    init.kernel, init.engine = somebody.kernel, somebody.engine
    init.cpu.engine = init.engine
    del machine.pids.tasks[INIT]
    group.threads.clear()
    group.live = 0
    return init
