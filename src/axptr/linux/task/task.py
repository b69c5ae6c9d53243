"""The one process of a run: its memory, files, signals, identity.

Not here: how it came to be (`personality`), and what calls do with it (the families' files).
"""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

from ...kernel.task import Task
from ..calls.prctl import KeptState
from ..mem.mm import Mm
from ..signals.state import RESTART, Again, SignalState
from . import waiting
from .iocount import IoCount
from .limits import RLIMIT_SIGPENDING, get_limit
from .timers import Timers

if TYPE_CHECKING:
    from ...engine import Exit
    from ...mm.space import AddrSpace
    from ..ends import Death
    from ..fs.walk import FileSystem
    from ..machine import Machine
    from ..signals.host import HostSignals
    from .filetable import FileTable


MAX_QUEUED_SIGNALS = 1 << 17
"""However high RLIMIT_SIGPENDING is."""


class LinuxTask(Task):
    """A Linux process with one thread.

    machine: what the run holds besides. files: descriptors. fs: working directory and what may be changed.
    signals: handlers, mask, what is pending. limits: changed rlimits, by number.
    mm: the program's memory, replaced by `become` only. comm: the program's name. kept: what prctl set. nice: as set.
    io: what was read and written. oom_score_adj, coredump_filter: kept for the program.
    timers: interval timers and CPU time. again: what `restart_syscall` goes on with. host_signals: where signals of the
    host come in, None if they are not the program's. exit_code, death: set when it is over. deadline: monotonic time at
    which a wait must give up, None for never.
    """

    def __init__(
        self, space: AddrSpace, machine: Machine, files: FileTable, fs: FileSystem, memory_limit: int | None
    ) -> None:
        super().__init__(space)
        self.machine = machine
        self.files = files
        self.fs = fs
        self.memory_limit = memory_limit
        self.signals = SignalState()
        self.timers = Timers(machine.host)
        self.again: Again | None = None
        self.host_signals: HostSignals | None = None
        host = machine.host
        self.pid = host.pid
        self.started = host.boottime_ns()
        self.limits: dict[int, tuple[int, int]] = {}
        self.inherited_limits: dict[int, tuple[int, int]] = {}
        self.exit_code: int | None = None
        self.death: Death | None = None
        self.deadline: float | None = None
        self.clear_child_tid = 0
        self.robust_list = (0, 24)
        self.kept = KeptState()
        self.nice = host.nice
        self.comm = b""
        self.mm = Mm(space, host)
        self.io = IoCount()
        self.oom_score_adj = 0
        self.coredump_filter = 0x33
        self._inodes = itertools.count(1024)

    def next_inode(self) -> int:
        """The inode number that maps show for the next shared anonymous mapping."""
        return next(self._inodes)

    def become(self, mm: Mm, name: bytes) -> None:
        """Take over another program's memory; what the kernel kept of the old one's is forgotten. name: its path."""
        self.set_space(mm.space)
        self.mm = mm
        self.comm = os.path.basename(name)[:15]
        self.kept.exec()
        self.clear_child_tid = 0
        self.robust_list = (0, 24)

    @property
    def brk(self) -> int:
        """Where the heap ends; it belongs to the space, and goes back with it."""
        return self.mm.brk

    @property
    def over(self) -> bool:
        return self.exit_code is not None or self.death is not None

    def exit(self, code: int) -> None:
        """End the process: nothing more of it runs."""
        self.exit_code = code & 0xFF
        self.engine.stop()

    # -- waiting: by `waiting` alone

    def sleep(self, until: float | None, awaited: int = 0) -> bool:
        """Wait until a monotonic time in a call that SA_RESTART makes again: True.

        awaited: signals that end the sleep by becoming pending, blocked or not: False. EINTR when another is to be
        delivered, `TimeUp` at the deadline of the run.
        """
        waiting.sleep(self, until, restart=RESTART, awaited=awaited)
        return not self.signals.pending.mask & awaited

    def wait_for_fd(self, fd: int, event: int) -> None:
        """Wait until the host descriptor is ready, in a call that SA_RESTART makes again.

        EINTR when a signal is to be delivered, `TimeUp` at the deadline.
        """
        waiting.wait(self, [(fd, event)])

    def pause(self, seconds: float) -> None:
        """Wait a moment for what nobody tells us of, in a call that SA_RESTART makes again. EINTR, `TimeUp`."""
        self.sleep(self.machine.host.monotonic() + seconds)

    def next_wakeup(self, until: float | None) -> float | None:
        """The earliest of `until`, the deadline and the program's timer (monotonic seconds)."""
        return min((t for t in (until, self.deadline, self.timers.wakeup) if t is not None), default=None)

    def time_slice(self) -> float | None:
        """Seconds that the CPU may run before a clock must be looked at; None for any number."""
        wake, used = self.next_wakeup(None), self.timers.slice
        if wake is None:
            return used
        left = max(wake - self.machine.host.monotonic(), 1e-6)
        return left if used is None else min(left, used)

    @property
    def signal_queue_limit(self) -> int:
        """How many signals may be pending (RLIMIT_SIGPENDING)."""
        return min(get_limit(self, RLIMIT_SIGPENDING)[0], MAX_QUEUED_SIGNALS)

    def collect_signals(self) -> None:
        """Make pending what timers and the host have for the program by now."""
        self.timers.due(self)
        if self.host_signals is not None:
            self.host_signals.collect()

    def stop_by(self, signal: int) -> None:
        """What a stop signal does by default. Without the host's signals there is nobody who could let it go on."""
        if self.host_signals is not None:
            self.host_signals.stop_process(signal)

    # -- coming out of the CPU

    def on_exit(self, exit: Exit) -> bool:
        """Deliver what the CPU reports, and what has come in since, as signals; True while the process lives."""
        if self.over:
            return False
        if exit.kind == "fault":
            if exit.vector == 14:
                assert exit.address is not None
                self.signals.page_fault(self, exit.address, exit.access, exit.fault)
            else:
                self.signals.exception(self, exit)
        elif exit.kind == "exception":
            self.signals.exception(self, exit)
        self.collect_signals()
        self.signals.deliver(self)
        return not self.over
