"""The one process of a run: its memory, files, signals, identity.

Not here: how it came to be (`personality`), and what calls do with it (the families' files).
"""

from __future__ import annotations

import errno
import itertools
import os
import time
from typing import TYPE_CHECKING

from ..errors import LinuxError
from ..kernel.task import Task
from .mm import Mm
from .signals import SignalState

if TYPE_CHECKING:
    from ..engine import Exit
    from ..mm.space import AddrSpace
    from .machine import Machine
    from .openfile import FileTable
    from .paths import FileSystem
    from .program import Death


class TimeUp(Exception):
    """The run's time is over while call `number` waits; `LinuxKernel.run_process` turns it into a result."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class LinuxTask(Task):
    """A Linux process with one thread.

    machine: what the run holds besides. files: descriptors. fs: working directory and what may be changed.
    signals: handlers, mask, what is pending. limits: changed rlimits, by number.
    mm: the program's memory, replaced by `become` only. comm: the program's name.
    exit_code, death: set when it is over. deadline: monotonic time at which a wait must give up, None for never.
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
        self.pid = os.getpid()
        self.started = time.clock_gettime(time.CLOCK_BOOTTIME)
        self.limits: dict[int, tuple[int, int]] = {}
        self.exit_code: int | None = None
        self.death: Death | None = None
        self.deadline: float | None = None
        self.clear_child_tid = 0
        self.robust_list = (0, 24)
        self.comm = b""
        self.mm = Mm(space)
        self._inodes = itertools.count(1024)

    def next_inode(self) -> int:
        """The inode number that maps show for the next shared anonymous mapping."""
        return next(self._inodes)

    def become(self, mm: Mm, name: bytes) -> None:
        """Take over another program's memory; what the kernel kept of the old one's is forgotten. name: its path."""
        self.set_space(mm.space)
        self.mm = mm
        self.comm = os.path.basename(name)[:15]
        self.clear_child_tid = 0
        self.robust_list = (0, 24)

    @property
    def over(self) -> bool:
        return self.exit_code is not None or self.death is not None

    def exit(self, code: int) -> None:
        """End the process: nothing more of it runs."""
        self.exit_code = code & 0xFF
        self.engine.stop()

    # -- waiting

    @property
    def interruptible(self) -> bool:
        """Whether a wait must look at the clock: the run has a deadline, or a timer of the program is set."""
        return self.deadline is not None or self.signals.alarm_at is not None

    def wait_for_fd(self, fd: int, event: int) -> None:
        """Wait until the host descriptor is ready, in a call that SA_RESTART makes again.

        EINTR when a signal is to be delivered, `TimeUp` at the deadline.
        """
        from .poll import wait

        try:
            wait(self, [(fd, event)], None)
        except LinuxError:
            self.signals.restart_call = self.engine.regs.rax
            raise

    def pause(self, seconds: float) -> None:
        """Wait a moment for what nobody tells us of, in a call that SA_RESTART makes again. EINTR, `TimeUp`."""
        if not self.sleep(time.monotonic() + seconds):
            self.signals.restart_call = self.engine.regs.rax
            raise LinuxError(errno.EINTR)

    def next_wakeup(self, until: float | None) -> float | None:
        """The earliest of `until`, the deadline and the program's timer (monotonic seconds)."""
        times = [t for t in (until, self.deadline, self.signals.alarm_at) if t is not None]
        return min(times, default=None)

    def alarm_due(self) -> bool:
        """Send the program's SIGALRM if its time has come; whether it had."""
        due = self.signals.alarm_at is not None and time.monotonic() >= self.signals.alarm_at
        if due:
            self.signals.alarm_fired(self)
        return due

    def check_wakeup(self) -> bool:
        """After a wait in a call: TimeUp at the deadline; whether a signal is now to be delivered."""
        if self.deadline is not None and time.monotonic() >= self.deadline:
            raise TimeUp(self.engine.regs.rax)
        self.alarm_due()
        return self.signals.deliverable(self)

    def sleep(self, until: float, awaited: int = 0) -> bool:
        """Sleep to a monotonic time; False if a signal cut it short. `TimeUp` at the deadline.

        awaited: signals that end the sleep by becoming pending, blocked or not.
        """
        while True:
            wake = self.next_wakeup(until)
            assert wake is not None
            time.sleep(min(max(0.0, wake - time.monotonic()), 86_400.0))  # a guest's 292 years are too many for it
            if self.check_wakeup() or self.signals.pending_mask & awaited:
                return False
            if time.monotonic() >= until:
                return True

    # -- coming out of the CPU

    def on_exit(self, exit: Exit) -> bool:
        """Deliver what the CPU reports as a signal; True while the process lives."""
        if self.over:
            return False
        if exit.kind == "fault":
            fault = exit.fault
            assert exit.address is not None
            self.signals.page_fault(self, exit.address, exit.access, fault)
        elif exit.kind == "exception":
            self.signals.exception(self, exit.vector, exit.rip)
        self.signals.deliver(self)
        return not self.over
