"""`LinuxTask`: a thread. Its process is `group`.

Not here: how it comes to be (`api`, `task.clone`) and ends (`task.ending`), and what calls do with it (the families'
files).
"""

from __future__ import annotations

import errno
import os

from ..._core.kernel.fields import learn_task
from ...errors import LinuxError
from ...kernel.task import Task
from ..abi.layouts import LAYOUTS
from ..abi.signals import SIGCHLD, SIGKILL, bit
from ..fs import notify
from ..fs.openfile import OpenFile
from ..mem.mm import Mm
from ..signals.actions import SigActions
from ..signals.state import RESTART, SignalState, first_argument
from ..uaccess import put_user
from .creds import Credentials
from .filetable import FileTable
from .group import Happening, ThreadGroup
from .kept import KeptState
from .limits import RLIMIT_SIGPENDING, get_limit
from .scheduling import LEAST_WEIGHT, MOST_WEIGHT, SCHED_IDLE, Scheduling
from .timers import CpuTime, Timer, Timers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ...engine import Exit
    from ...kernel.wait import Blocked, Resume, Waitable
    from ...mm.space import AddrSpace
    from ..abi.layouts import Layouts
    from ..ends import Death
    from ..fs.walk import FsContext
    from ..ipc.space import IpcSpace
    from ..machine import Machine
    from ..net.network import Network
    from ..policy.judged import Kept
    from ..signals.host import HostSignals
    from ..signals.state import Again
    from .debugregs import DebugRegisters
    from .rseq import Rseq
    from .seccomp import Seccomp
    from .trace import Trace
    from .userdispatch import Diverted
    from .uts import Uts

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
    | set_child_tid: where its number is to be put when it first runs | - | as the call says | the number |
    | vfork: what its parent waits for until it has a memory of its own | nobody waits | by the call | who waits |
    | halted: it has stopped, with its process or before it | no | no | as it is |
    | cpu: the time that it used | keeps | none | the numbers |
    | voluntary, involuntary: how often it left the CPU, by waiting or at the end of a slice | keeps | none | \
the numbers |
    | leaving, code, dead: it is to end, with what; it has ended | - | none | as they are |
    | seccomp: what it may still call, None for all | keeps | has the same | plain data |
    | passed: the call that who listens to its filter let go on, until that is made | - | none | plain data |
    | diverted: which of its calls come back as signals (`task.userdispatch`), or None | none | none | plain data |
    | rseq: its area; sched: what it asked of the scheduler | none; keeps | see `task.rseq`; see there | plain data |
    | debug: its debug registers, None until a tracer sets one | none | none | the numbers |
    | trace: by whom it is traced, and how; None for nobody | keeps | see `task.trace` | see there |
    | judged: the call that waits, for functions that look at it (`linux.policy`) | - | none | nothing |
    | own_uts: names of the machine that it sees in place of the machine's | keeps | has the same, with CLONE_NEWUTS a \
copy | as they are |
    | own_ipc, own_network: the same of objects of System V, and of where sockets are made | keeps | has the same, \
with CLONE_NEWIPC or CLONE_NEWNET an empty one | as they are |
    | again: what `restart_syscall` goes on with | - | none | plain data |
    | registers, in the engine | a program's first | the same, with another result | all |

    host_signals: where signals of the host come in, None if they are not the program's.
    """

    __slots__ = (
        "cpu", "files", "group", "judged", "leaving", "machine", "mm", "set_child_tid", "signals", "trace",
    )  # fmt: skip

    def __init__(
        self,
        machine: Machine,
        group: ThreadGroup,
        mm: Mm,
        files: FileTable,
        fs: FsContext,
        actions: SigActions,
        creds: Credentials,
        tid: int | None = None,
    ) -> None:
        """The first thread of a process, or with a number of its own one more. It is in the machine's table until the
        end."""
        super().__init__(mm.space)
        self.machine = machine
        self.group = group
        self.tid = group.tgid if tid is None else tid
        self.mm = mm
        self.files = files
        self.fs = fs
        self.signals = SignalState(actions, group.pending)
        self.signals.pending.own.tally = group.pending.tally = machine.signal_tally
        self.creds = creds
        self.comm = b""
        self.nice = machine.nice
        self.kept = KeptState()
        self.clear_child_tid = 0
        self.robust_list = (0, 24)
        self.rseq: Rseq | None = None
        self.seccomp: Seccomp | None = None
        self.passed: bytes | None = None
        self.diverted: Diverted | None = None
        self.sched = Scheduling()
        self.again: Again | None = None
        self.host_signals: HostSignals | None = None
        self.cpu = CpuTime(machine.host)
        self.set_child_tid = 0
        self.vfork: Happening | None = None
        self.leaving = False
        self.code = 0
        self.dead = False
        self.halted = False
        self.trace: Trace | None = None
        self.judged: Kept | None = None
        self.debug: DebugRegisters | None = None
        self.own_uts: Uts | None = None
        self.own_ipc: IpcSpace | None = None
        self.own_network: Network | None = None
        fs.mounts.holders += 1
        machine.pids.tasks[self.tid] = self
        if not group.threads:
            group.leader = self
        group.threads[self.tid] = self
        group.live += 1
        group.timers.cpu.begin(self.cpu)

    @classmethod
    def first(
        cls, machine: Machine, space: AddrSpace, files: FileTable, fs: FsContext, *, alone: bool = True
    ) -> LinuxTask:
        """The first task of a process that the user starts. alone: the only one, which stands where the host's process
        does."""
        host = machine.host
        creds = Credentials.of_host(host)
        group = machine.first_group(alone=alone)
        return cls(machine, group, Mm(space, host), files, fs, SigActions(), creds)

    def become(self, mm: Mm, name: bytes, *, readable: bool = True) -> None:
        """Take over another program's memory; what the kernel kept of the old one's is forgotten. name: its path.
        readable: whether the task may read the program's file, and so others of its user its memory.

        It is the only thread of its process then, under the process's number, and shares no descriptors.
        """
        from .ending import end_others, forget, leave_memory

        if self.group.live > 1 or self.group.leader is not self:
            end_others(self)
            leader = self.group.leader
            if leader is not self:
                forget(leader)
                forget(self)
                self.tid = self.group.tgid
                self.group.leader = self.group.threads[self.tid] = self.machine.tasks[self.tid] = self
        self.group.executed = True
        if self.group.exit_signal:
            self.group.exit_signal = SIGCHLD
        self.unshare_files()
        leave_memory(self)
        mm.inherit_flags(self.mm)
        notify.left(self, self.mm)
        self.mm.release()
        self.set_space(mm.space)
        self.mm = mm
        self.signals.exec()
        if (timers := self.timers.made) is not None:
            timers.clear(self.group)
        self.creds = self.creds.after_exec()
        self.mm.dumpable = readable and not self.creds.set_id
        mm.space.is_kin = mm.space.is_kin and self.mm.dumpable
        self.comm = os.path.basename(name)[:15]
        self.clear_child_tid = 0
        self.robust_list = (0, 24)
        self.rseq = None

    def unshare_files(self) -> None:
        """From now on its descriptors are nobody else's."""
        if self.files.users > 1:
            shared, self.files = self.files, self.files.copy()
            shared.release()

    def adopt(self, creds: Credentials) -> None:
        """Be somebody else from now on (commit_creds)."""
        if creds.exposes(self.creds):
            self.mm.dumpable = False
            self.kept.pdeath_signal = 0
        if not creds.same(self.creds):
            self.space.is_kin = False
        self.creds = creds

    @property
    def layouts(self) -> Layouts:
        """The structures of its program's architecture."""
        return LAYOUTS[self.engine.arch.name]

    @property
    def pid(self) -> int:
        """The process's number."""
        return self.group.tgid

    @property
    def uts(self) -> Uts:
        """What the machine is called, as it sees it."""
        return self.own_uts or self.machine.uts

    @property
    def ipc(self) -> IpcSpace:
        """The objects of System V, and queues, that it sees."""
        return self.own_ipc or self.machine.ipc

    @property
    def network(self) -> Network:
        """Where its sockets are made."""
        return self.own_network or self.machine.network

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
        """Whether nothing more of it is to run."""
        return self.leaving or self.group.over

    def exit(self, code: int) -> None:
        """End the process: nothing more of it runs. What a signal or another thread has begun stands."""
        if not self.group.over:
            self.group.exit_code = code & 0xFF
        self.engine.stop()

    def exit_thread(self, code: int) -> None:
        """End this thread; its process, if it was the last."""
        self.leaving, self.code = True, code & 0xFF
        self.engine.stop()

    def ended(self) -> None:
        """The loop has taken the task out."""
        from .ending import leave

        leave(self)

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
        record = self._begin_wait(on, until, again, restart, interrupted)
        self.voluntary += 1
        self.group.voluntary += 1
        call = None
        if self.going_on is not None:
            call = self.going_on.call  # `again`'s is the same call
        elif again is not None and self.trace is None:
            call = self.engine._call_in_hand()  # type: ignore[attr-defined]
        record.call = self.call_in_hand if call is None else call
        held = []
        for waitable, _ in record.on:
            if isinstance(waitable, OpenFile):
                waitable.refs += 1
                held.append(waitable)
        for it in again[1] if again is not None else ():
            if isinstance(it, OpenFile):
                it.refs += 1
                held.append(it)
        record.held = tuple(held)
        return None

    def waited(self, record: Blocked) -> None:
        """The open files that the call had in hand may be closed."""
        files = record.held
        if files:
            record.held = ()
            for file in files:
                if file.refs > 1:
                    file.refs -= 1
                else:
                    file.release(self.machine.locks)

    @property
    def call_in_hand(self) -> tuple[int, int]:
        """The number and the first argument of the call in hand, by which it can be made again."""
        return self.engine.regs.number, first_argument(self)

    def disturbed(self) -> bool:
        if self.blocked is not None and self.blocked.deaf:
            return (self.over and (self.trace is None or not self.trace.leaving)) or bool(
                self.signals.pending.mask & bit(SIGKILL)
            )
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

    # -- coming out of the CPU

    def on_exit(self, exit: Exit) -> bool:
        """Deliver what the CPU reports, and what has come in since, as signals; True while the process lives."""
        if self.over:
            return self._stops_at_end()
        if exit.kind == "fault":
            if exit.trap == "page":
                assert exit.address is not None
                self.signals.page_fault(self, exit.address, exit.access, exit.fault)
            else:
                self.signals.exception(self, exit)
        elif exit.kind == "exception":
            if self.trace is not None:
                from .trace import in_hand

                if in_hand(self):
                    return True
                if exit.vector == 1:
                    from .debugregs import stepped

                    stepped(self)
            self.signals.exception(self, exit)
        elif exit.kind == "lost":
            self.signals.killed_outside(self)
        self.signals.deliver(self)
        return not self.over or self._stops_at_end()

    def at_point(self, exit: Exit) -> bool:
        """A tracer's debug registers stop the thread; others' registers over the same memory do not."""
        if self.over:
            return self.on_exit(exit)
        if exit.vector == 1 or any(point.owner is not None for point in exit.points):
            from .debugregs import hit

            if hit(self, exit):
                self.signals.deliver(self)
        return all(point.owner is not None for point in exit.points)

    # -- sharing the CPU

    def enter(self) -> bool:
        """What has come in is delivered before the program goes on."""
        if self.set_child_tid:
            self._tell_number()
        if self.trace is not None:
            from .trace import proceed

            return proceed(self)
        group, signals = self.group, self.signals
        if group.timers.slice is not None:
            group.timers.due(self)
        if signals.unsettled or ((signals.alert or group.stopping) and signals.deliverable(self)):
            signals.deliver(self)
        elif signals.alert:
            signals.alert = False  # what it was to look at is gone, or blocked (recalc_sigpending)
        return not self.leaving and not group.over

    def _stops_at_end(self) -> bool:
        """Whether a tracer wants to see it before its end."""
        if self.trace is None:
            return False
        from .trace import over

        return not over(self)

    def _tell_number(self) -> None:
        """CLONE_CHILD_SETTID: in the child's memory, which may not have it (schedule_tail)."""
        address, self.set_child_tid = self.set_child_tid, 0
        try:
            put_user(self, address, self.tid.to_bytes(4, "little"))
        except LinuxError:
            pass

    def preempted(self) -> None:
        self.involuntary += 1
        self.group.involuntary += 1
        if self.rseq is not None and self.loop is not None and self.loop.current is self:
            from .rseq import disturbed

            disturbed(self)

    @property
    def cpus(self) -> int:  # type: ignore[override]
        return self.sched.cpus

    @property
    def weight(self) -> float:  # type: ignore[override]
        """By its nice value, against that with which the machine began: a quarter more for each step, as Linux has it
        (sched_prio_to_weight). Shorter or longer turns than these cost others more than they give."""
        if self.sched.policy == SCHED_IDLE:
            return LEAST_WEIGHT
        steps = self.nice - self.machine.nice
        return 1.0 if steps == 0 else min(max(1.25**-steps, LEAST_WEIGHT), MOST_WEIGHT)

    @property
    def cpu_number(self) -> int:  # type: ignore[override]
        return self.sched.cpu

    def placed(self, cpu: int) -> None:
        moved, self.sched.cpu = self.sched.cpu != cpu, cpu
        if self.rseq is not None:
            from .rseq import disturbed

            disturbed(self, moved)

    def set_out(self, parked: Any) -> None:
        self.cpu.out = parked

    def switched(self, running: bool) -> None:
        if running:
            self.cpu.resume()
        else:
            self.cpu.pause()

    def handed_over(self, other: Task) -> None:
        if isinstance(other, LinuxTask):
            self.cpu.hand_over(other.cpu)
        else:
            super().handed_over(other)

    @property
    def time_left(self) -> float | None:
        """Until a clock of the CPU time that it uses must be looked at."""
        return self.timers.slice


learn_task(LinuxTask, ThreadGroup, Timers, Timer, SignalState, FileTable)
