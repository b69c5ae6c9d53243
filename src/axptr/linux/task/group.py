"""`ThreadGroup`: a process, which is what all its threads have in common: Linux' struct signal_struct.

Not here: what a clone flag parts or shares (`Mm`, `FileTable`, `FsContext`, `SigActions`), and what is a thread's own
(`task.task`).
"""

from __future__ import annotations

from ..signals.pending import Pending
from .iocount import IoCount
from .limits import Limits
from .timers import Timers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..ends import Death
    from ..host import HostView


class ThreadGroup:
    """A process. The machine's thread alone uses it.

    | field | exec | fork | a snapshot |
    | --- | --- | --- | --- |
    | tgid | keeps | the child's own | the number |
    | pgid, sid (process group, session) | keeps | has the same | the numbers |
    | started (boottime nanoseconds) | keeps | now | as it is |
    | exit_code, death: set once, when it is over | - | none | as they are |
    | pending (sent to the process) | keeps | none | its records |
    | timers (interval timers, CPU time) | keeps | all off, nothing used | what is left, what was used |
    | limits | keeps | has the same | as they are |
    | io (what was read and written) | keeps | zero | as it is |
    | subreaper (prctl) | keeps | not set | as it is |
    | oom_score_adj, coredump_filter | keeps | has the same | as they are |
    """

    def __init__(self, host: HostView) -> None:
        """The first process of a machine, in the place that the host's process has among its relatives."""
        self._host = host
        self.tgid = host.pid
        self.pgid = host.pgid
        self.sid = host.sid
        self.started = host.boottime_ns()
        self.exit_code: int | None = None
        self.death: Death | None = None
        self.pending = Pending()
        self.timers = Timers(host)
        self.limits = Limits(host)
        self.io = IoCount()
        self.subreaper = False
        self.oom_score_adj = 0
        self.coredump_filter = 0x33

    @property
    def ppid(self) -> int:
        """The parent, which is the host's: nobody in the machine made this process."""
        return self._host.ppid

    @property
    def terminal(self) -> tuple[int, int]:
        """Device and foreground group of the controlling terminal, which is the host's; zeroes for none."""
        return self._host.terminal

    @property
    def over(self) -> bool:
        return self.exit_code is not None or self.death is not None
