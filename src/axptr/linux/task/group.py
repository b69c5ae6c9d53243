"""`ThreadGroup`: a process, which is what all its threads have in common: Linux' struct signal_struct.

Not here: what a clone flag parts or shares (`Mm`, `FileTable`, `FsContext`, `SigActions`), what is a thread's own
(`task.task`), how a process ends (`task.ending`) and is waited for (`task.children`).
"""

from __future__ import annotations

from ...kernel.wait import WaitQueue
from ..abi.signals import SIGCHLD
from ..signals.pending import Pending
from .limits import RLIMIT_CPU, Limits
from .timers import Timers
from .usage import IoCount, Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..ends import Death
    from ..host import HostView
    from ..signals.jobs import Terminal
    from .task import LinuxTask
    from .trace import Gone


class Happening:
    """Something to wait for that tells nothing but that it has happened."""

    def __init__(self) -> None:
        self.queue = WaitQueue()
        self.over = False  # of what happens once

    def ready(self, mask: int) -> int:
        """Who waits looks for himself."""
        return 0


class ThreadGroup:
    """A process. The machine's thread alone uses it.

    | field | exec | fork | a snapshot |
    | --- | --- | --- | --- |
    | tgid | keeps | the child's own | the number |
    | pgid, sid (process group, session): see `PidTable` | keeps | has the same | the numbers |
    | parent, born_of: the process whose child it is, and which of its threads' | keeps | who forked, with \
CLONE_PARENT his parent | the numbers |
    | origin: the process that the user started and it descends from, itself at first; None of init | keeps | has the \
same | its number |
    | children: processes, the oldest first | keeps | none | their numbers |
    | threads: by number; leader: the first of them (init has none); live: how many have not ended | one | one | \
their numbers |
    | exit_signal: what the parent is sent at its end, 0 for nothing | SIGCHLD | as the call says | the number |
    | executed: whether there was an exec since the fork | yes | no | as it is |
    | started (boottime nanoseconds) | keeps | now | as it is |
    | exit_code, death: set once, when it is over | - | none | as they are |
    | dumped: whether its end left a core | - | no | as it is |
    | status: what wait tells, once no thread is left | - | none | the number |
    | stopping: the signal by which it is to stop; stopped: the same once all threads have; told: what \
of a stop is still to be waited for | - | none | numbers |
    | tty: its controlling terminal; old_pgrp: who had it when it was hung up | keeps | has the same; none | by their \
numbers |
    | pending (sent to the process) | keeps | none | its records |
    | timers (interval timers, CPU time) | keeps | all off, nothing used | what is left, what was used |
    | used, waited: what ended threads used, and children that were waited for | keeps | nothing | numbers |
    | voluntary, involuntary: how often its threads left the CPU, see there | keeps | none | the numbers |
    | limits | keeps | has the same | as they are |
    | io (what was read and written) | keeps | zero | as it is |
    | tracees: whom its threads trace, None before the first; gone: threads of those that have ended, to be waited for \
| keeps | none | their numbers |
    | subreaper (prctl) | keeps | not set | as it is |
    | oom_score_adj, coredump_filter | keeps | has the same | as they are |
    | changed: what `wait` waits for; finished: what a pidfd waits for; going_on: what threads that \
have stopped do | keeps | nobody waits | with those who wait |
    """

    leader: LinuxTask
    __slots__ = ("__dict__", "__weakref__", "death", "exit_code", "io", "stopping", "timers", "voluntary")

    def __init__(self, host: HostView, tgid: int, parent: ThreadGroup | None) -> None:
        self._host = host
        self.tgid = self.pgid = self.sid = tgid
        self.parent = parent
        self.born_of: LinuxTask | None = None
        self.origin: ThreadGroup | None = None
        self.children: dict[ThreadGroup, None] = {}
        self.threads: dict[int, LinuxTask] = {}
        self.live = 0
        self.exit_signal = SIGCHLD
        self.executed = False
        self.started = host.boottime_ns()
        self.exit_code: int | None = None
        self.death: Death | None = None
        self.status: int | None = None
        self.stopping = self.stopped = 0
        self.told = 0
        self.pending = Pending()
        self.tty: Terminal | None = None
        self.old_pgrp = 0
        self.dumped = False
        self.timers = Timers(host)
        self.used = Usage()
        self.voluntary = self.involuntary = 0
        self.waited = Usage()
        self.limits = Limits(host)
        self.io = IoCount()
        self.tracees: dict[LinuxTask, None] | None = None
        self.gone: list[Gone] = []
        self.subreaper = False
        self.oom_score_adj = 0
        self.coredump_filter = 0x33
        self.changed = Happening()
        self.finished = Happening()
        self.going_on = Happening()
        if parent is not None:
            parent.children[self] = None

    def fork(self, tgid: int, parent: ThreadGroup) -> ThreadGroup:
        """A process made of this one."""
        child = ThreadGroup(self._host, tgid, parent)
        child.pgid, child.sid, child.tty = self.pgid, self.sid, self.tty
        child.origin = self.origin
        child.limits = self.limits.copy()
        if self.timers.cpu_limit is not None:
            child.timers.set_cpu_limit(*child.limits.get(RLIMIT_CPU))
        child.oom_score_adj, child.coredump_filter = self.oom_score_adj, self.coredump_filter
        return child

    def dissolve(self) -> None:
        """The machine is closed: it has no relatives any more, and no threads."""
        self.parent = self.born_of = self.origin = self.tty = self.tracees = None
        self.children.clear()
        leader = self.__dict__.pop("leader", None)
        for task in (*self.threads.values(), *(() if leader is None else (leader,))):
            task.trace = None
            if task.own_network is not None:
                task.own_network.dissolve()
            if task.fs.mounts is not task.fs.mounts.first:
                task.fs.mounts.dissolve()
        self.threads.clear()
        self.gone.clear()

    @property
    def ppid(self) -> int:
        """The parent's number, 0 of the process that has none."""
        return self.parent.tgid if self.parent is not None else 0

    @property
    def terminal(self) -> tuple[int, int]:
        """Device and foreground group of the controlling terminal; 0 and -1 for none."""
        return (self.tty.device, self.tty.shown_pgrp) if self.tty is not None else (0, -1)

    @property
    def over(self) -> bool:
        """Whether all its threads are to end, or have ended."""
        return self.exit_code is not None or self.death is not None

    @property
    def zombie(self) -> bool:
        """Whether it has ended, and is waited for or was."""
        return self.status is not None
