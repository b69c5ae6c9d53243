"""`LinuxTask`: a thread, the one of a run. Its process is `group`.

Not here: how it came to be (`personality`), and what calls do with it (the families' files).
"""

from __future__ import annotations

import errno
import os

from ...errors import LinuxError
from ...kernel.task import Task
from ..calls.prctl import KeptState
from ..fs.openfile import OpenFile
from ..mem.mm import Mm
from ..signals.actions import SigActions
from ..signals.state import RESTART, SignalState, first_argument
from .creds import Credentials
from .group import ThreadGroup
from .limits import RLIMIT_SIGPENDING, get_limit
from .scheduling import Scheduling

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ...engine import Exit
    from ...kernel.wait import Blocked, Resume, Waitable
    from ...mm.space import AddrSpace
    from ..ends import Death
    from ..fs.walk import FsContext
    from ..machine import Machine
    from ..signals.host import HostSignals
    from ..signals.state import Again
    from .filetable import FileTable
    from .rseq import Rseq
    from .timers import Timers

MAX_QUEUED_SIGNALS = 1 << 17
"""However high RLIMIT_SIGPENDING is."""


class LinuxTask(Task):
    """A thread: what it has of its own, and what it shares with others as `clone` was told. The machine's thread alone
    uses it.

    | field | exec | fork, clone | a snapshot |
    | --- | --- | --- | --- |
    | machine, tid | keeps | another number | the number |
    | group: the process | the thread is its only one | another, with CLONE_THREAD the same | the group |
    | mm: memory | another | a twin, with CLONE_VM the same | the space, the rest as it is |
    | files: descriptors | marked ones closed | a copy, with CLONE_FILES the same | the table |
    | fs: root, working directory, umask | keeps | a copy, with CLONE_FS the same | the paths |
    | signals: mask, pending, alternate stack, actions | see there | see there | see there |
    | creds: who it is | `Credentials.after_exec` | shares it | numbers |
    | comm: its name | the program's | has the same | as it is |
    | nice; kept: what prctl set | keeps; see there | has the same | as they are |
    | clear_child_tid, robust_list: addresses | none | as the call says; none | the numbers |
    | rseq: its area; sched: what it asked of the scheduler | none; keeps | see `task.rseq`; see there | plain data |
    | again: what `restart_syscall` goes on with | - | none | plain data |
    | registers, in the engine | a program's first | the same, with another result | all |

    host_signals: where signals of the host come in, None if they are not the program's.
    """

    def __init__(
        self,
        machine: Machine,
        group: ThreadGroup,
        mm: Mm,
        files: FileTable,
        fs: FsContext,
        actions: SigActions,
        creds: Credentials,
    ) -> None:
        """The first thread of a process. It is in the machine's table until the end."""
        super().__init__(mm.space)
        self.machine = machine
        self.group = group
        self.tid = group.tgid
        self.mm = mm
        self.files = files
        self.fs = fs
        self.signals = SignalState(actions, group.pending)
        self.creds = creds
        self.comm = b""
        self.nice = machine.host.nice
        self.kept = KeptState()
        self.clear_child_tid = 0
        self.robust_list = (0, 24)
        self.rseq: Rseq | None = None
        self.sched = Scheduling()
        self.again: Again | None = None
        self.host_signals: HostSignals | None = None
        machine.tasks[self.tid] = self

    @classmethod
    def first(cls, machine: Machine, space: AddrSpace, files: FileTable, fs: FsContext) -> LinuxTask:
        """The first task of a machine, which is what the host's process is among those of the host."""
        host = machine.host
        creds = Credentials.of_host(host)
        return cls(machine, ThreadGroup(host), Mm(space, host), files, fs, SigActions(), creds)

    def become(self, mm: Mm, name: bytes) -> None:
        """Take over another program's memory; what the kernel kept of the old one's is forgotten. name: its path."""
        self.set_space(mm.space)
        self.mm = mm
        self.signals.exec()
        self.creds = self.creds.after_exec()
        self.comm = os.path.basename(name)[:15]
        self.kept.exec()
        self.clear_child_tid = 0
        self.robust_list = (0, 24)
        self.rseq = None

    @property
    def pid(self) -> int:
        """The process's number."""
        return self.group.tgid

    @property
    def actions(self) -> SigActions:
        return self.signals.actions

    @property
    def timers(self) -> Timers:
        return self.group.timers

    @property
    def brk(self) -> int:
        """Where the heap ends; it belongs to the space, and goes back with it."""
        return self.mm.brk

    @property
    def exit_code(self) -> int | None:
        return self.group.exit_code

    @property
    def death(self) -> Death | None:
        return self.group.death

    @property
    def over(self) -> bool:
        return self.group.over

    def exit(self, code: int) -> None:
        """End the process: nothing more of it runs."""
        self.group.exit_code = code & 0xFF
        self.engine.stop()

    # -- waiting: see `waiting`

    def block(
        self,
        on: Iterable[tuple[Waitable, int]] = (),
        until: float | None = None,
        *,
        again: Resume | None = None,
        restart: int | Again = RESTART,
        interrupted: Callable[..., int | LinuxError | None] | None = None,
    ) -> int | None:
        """As the framework has it; by default the call is made again where a signal cuts it short (ERESTARTSYS).

        Open files among what it waits for and in the data of `again` stay open until it has gone on, whoever closes
        them meanwhile.
        """
        super().block(on, until, again=again, restart=restart, interrupted=interrupted)
        record = self.blocked
        if record is not None:
            record.call = self.call_in_hand  # `again`'s is the same call, and the loop knows it
            record.held = files = tuple(
                x for x in (*(w for w, _ in record.on), *record.data) if isinstance(x, OpenFile)
            )
            for file in files:
                file.hold()
        return None

    def waited(self, record: Blocked) -> None:
        """The open files that the call had in hand may be closed."""
        files, record.held = record.held, ()
        for file in files:
            file.release(self.machine.locks)

    @property
    def call_in_hand(self) -> tuple[int, int]:
        """The number and the first argument of the call in hand, by which it can be made again."""
        return self.engine.regs.number, first_argument(self)

    def disturbed(self) -> bool:
        return self.signals.deliverable(self)

    def interrupted(self, record: Blocked) -> int | LinuxError | None:
        outcome = super().interrupted(record)
        if isinstance(outcome, LinuxError) and outcome.errno == errno.EINTR:
            self.signals.cut_short(record.restart, record.call)
        return outcome

    @property
    def out_of_time(self) -> bool:
        """Whether the time of the run is up."""
        return self.loop is not None and self.loop.over

    @property
    def signal_queue_limit(self) -> int:
        """How many signals may be pending (RLIMIT_SIGPENDING)."""
        return min(get_limit(self, RLIMIT_SIGPENDING)[0], MAX_QUEUED_SIGNALS)

    def collect_signals(self) -> None:
        """Make pending what timers and the host have for the program by now."""
        if self.loop is not None:
            self.loop.look()
        self.timers.due(self)

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
            if exit.trap == "page":
                assert exit.address is not None
                self.signals.page_fault(self, exit.address, exit.access, exit.fault)
            else:
                self.signals.exception(self, exit)
        elif exit.kind == "exception":
            self.signals.exception(self, exit)
        self.signals.deliver(self)
        return not self.over

    # -- sharing the CPU

    def enter(self) -> bool:
        """What has come in is delivered before the program goes on."""
        self.timers.due(self)
        if self.signals.deliverable(self):
            self.signals.deliver(self)
        return not self.over

    def switched(self, running: bool) -> None:
        if running:
            self.timers.cpu.resume()
        else:
            self.timers.cpu.pause()

    @property
    def time_left(self) -> float | None:
        """Until a clock of the CPU time that it uses must be looked at."""
        return self.timers.slice
