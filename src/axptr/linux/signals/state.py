"""Signals of a task: what is blocked, what is sent, and delivery.

One process with one thread: signals come from its own faults, calls and timers, and, where the run was started so,
from the host (`signals.host`). Source: signal(7), kernel/signal.c.

`SignalState` is the bookkeeping and the decision; what the program asked for is `actions`, what is pending is
`pending`, what a CPU reports and how a frame looks on
the stack is the architecture's affair (`arch`), the calls are `calls.signals`.
"""

from __future__ import annotations

import errno

from ...addr import VirtAddrRange
from ...errors import FaultReason, LinuxError, UserFault
from ...flags import (
    EXECUTE,
    READ,
    MappingFlags,
)
from ...kernel.wait import WaitQueue
from ..abi.numbers import NUMBERS
from ..abi.signals import (
    DUMPING,
    FIRST_REAL_TIME,
    SA_NODEFER,
    SA_RESETHAND,
    SA_RESTART,
    SI_KERNEL,
    SI_USER,
    SIG_DFL,
    SIG_IGN,
    SIGBUS,
    SIGCONT,
    SIGKILL,
    SIGPIPE,
    SIGSEGV,
    SIGSTOP,
    SIGTSTP,
    SIGTTIN,
    SIGTTOU,
    SIGXFSZ,
    Info,
    bit,
)
from ..arch import frames, traps
from ..ends import Death
from .actions import SA_IMMUTABLE, Action, SigActions
from .pending import Pending, TaskPending
from .sending import choose, retarget
from .stops import go_on, halt, settle, stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ...engine import Exit
    from ..task.group import ThreadGroup
    from ..task.task import LinuxTask

    Again = tuple[Callable[..., "int | None"], tuple[Any, ...]]
    """How a call goes on: a function of a module, and plain data that it is called with after the task
    (ERESTART_RESTARTBLOCK)."""

RESTART, NO_HANDLER, NEVER, ALWAYS = 0, 1, 2, 3
"""What becomes of a call that a signal ended: made again after handlers with SA_RESTART, as if nothing had been
(ERESTARTSYS), or only where no handler ran (ERESTARTNOHAND), or not even after a stop (EINTR), or after any handler
(ERESTARTNOINTR). Where it is a function
and its data, those are gone on with if no handler ran (ERESTART_RESTARTBLOCK)."""

_BY_KEY = 0x20  # of a page fault's error code (X86_PF_PK)
_STOPPING = sum(map(bit, (SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU)))
_UNBLOCKABLE = bit(SIGKILL) | bit(SIGSTOP)
_SS_DISABLE, _SS_AUTODISARM = 2, 1 << 31


def first_argument(task: LinuxTask) -> int:
    """The first argument of the call in hand."""
    engine = task.engine
    return int(getattr(engine.regs, engine.arch.arguments[0]))


def make_again(task: LinuxTask, number: int, first: int) -> None:
    """Have the call in hand made again when the CPU goes on, as another if the number is another's."""
    task.engine.arch.rewind(task.engine.regs, number, first)


def _restart_syscall(task: LinuxTask) -> int:
    return NUMBERS[task.engine.arch.name]["restart_syscall"]


def on_altstack(altstack: tuple[int, int, int], sp: int) -> bool:
    """Whether a stack pointer is on the alternate stack: (address, flags, size), as sigaltstack(2) has them."""
    address, flags, size = altstack
    return not flags & (_SS_DISABLE | _SS_AUTODISARM) and address < sp <= address + size


class SignalState:
    """A task's signals. Masks have bit n-1 for signal n. The machine's thread alone changes them.

    | field | exec | fork, clone | a snapshot |
    | --- | --- | --- | --- |
    | actions: what is done about each, of all that share the table | `SigActions.after_exec` | shared or copied, by a \
flag | the table |
    | blocked: the mask | keeps | has the same | the number |
    | pending: the task's own, and its process's | keeps | none of its own | its records |
    | altstack: address, flags, size | none | a thread none, a process the same | the numbers |
    | alert: whether this is the thread that is to look (TIF_SIGPENDING) | keeps | no | as it is |
    | waited_for: what sigtimedwait takes though it is blocked (real_blocked) | - | none | with the call |
    | queue: who waits for one to come in (sigtimedwait) | - | nobody | - |
    | saved_mask: to go back to after the handler that ends a sigsuspend | none | none | the number |
    """

    __slots__ = ("__dict__", "__weakref__", "_restart", "alert")

    def __init__(self, actions: SigActions, shared: Pending) -> None:
        """shared: what is pending for the process."""
        self.actions = actions
        self.blocked = 0
        self.pending = TaskPending(shared)
        self.altstack = (0, 2, 0)  # address, flags (SS_DISABLE), size
        self.saved_mask: int | None = None
        self.alert = False
        self.waited_for = 0
        self.queue = WaitQueue()
        self._restart: tuple[int | Again, tuple[int, int]] | None = None  # of the call that a signal ended, and which

    def exec(self) -> None:
        """Another program: it has no handlers and no alternate stack, and nobody else's table of actions."""
        self.actions = self.actions.after_exec()
        self.altstack = (0, 2, 0)

    # -- questions

    def ready(self, mask: int) -> int:
        """Which signals of a mask are pending, blocked or not: what `queue` is for."""
        return self.pending.mask & mask

    def deliverable(self, task: LinuxTask) -> bool:
        """Whether there is something for the thread to do about signals before it goes on."""
        if self.alert and self.pending.mask & ~self.blocked:
            return True
        if task.group.stopping and not task.halted:
            return True
        return task.trace is not None and task.trace.trap

    @property
    def unsettled(self) -> bool:
        """Whether a call that a signal ended waits for its thread to go on, which has stopped meanwhile."""
        return self._restart is not None

    @property
    def shown_restart(self) -> int:
        """Of a call that a signal ended, the error that tells a tracer what is to become of it; 0 for none
        (ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK)."""
        if self._restart is None:
            return 0
        restart = self._restart[0]
        return 516 if isinstance(restart, tuple) else {RESTART: 512, ALWAYS: 513, NO_HANDLER: 514}[restart]

    def settle_restart(self) -> None:
        """A tracer has settled what becomes of such a call."""
        self._restart = None

    def will_die(self) -> bool:
        """Whether one of the signals that can be delivered now ends the program."""
        ready = self.pending.mask & ~self.blocked & ~_STOPPING
        return any(self.actions.fatal(n) for n in range(1, 65) if ready & bit(n))

    def ends_at_once(self, signal: int) -> bool:
        """Whether a process that is sent this ends, without a core: whoever waits for an end alone waits no more
        (complete_signal)."""
        return self.actions.fatal(signal) and not bit(signal) & _STOPPING and signal not in DUMPING

    def left_to_host(self, signal: int) -> bool:
        """Whether the host may do to this process what the signal does by default: nobody handles or blocks it."""
        return not self.blocked & bit(signal) and self.actions.get(signal).handler == SIG_DFL

    def drops(self, signal: int) -> bool:
        """Whether nothing becomes of the signal: it is ignored, and not blocked (sig_ignored)."""
        return self.actions.ignores(signal) and not self.blocked & bit(signal)

    def take(self, wanted: int) -> Info | None:
        """The next pending signal of a mask, taken off (dequeue_signal)."""
        while (info := self.pending.take(wanted)) is not None:
            if info.timer is None or info.timer.taken(info):
                break
        return info

    # -- sending

    def send(self, task: LinuxTask, info: Info, *, own: bool = False) -> None:
        """Make a signal pending, if it is not ignored; it is delivered when the call in hand is done.

        own: for the task alone; else for its process, any thread of which may get it.
        A signal to stop and one to go on take each other off, in the whole process, and the latter lets it go on
        (prepare_signal).
        """
        signal, group = info.signal, task.group
        if group.over:
            return
        if task.creds.space is not None and info.pid | info.uid:
            from ..task.userspace import shown_uid

            info = info.from_user(shown_uid(task.creds.space, info.uid))
        if signal == SIGCONT or bit(signal) & _STOPPING:
            self._take_off(group, _STOPPING if signal == SIGCONT else bit(SIGCONT))
            if signal == SIGCONT:
                go_on(group)
        if self.drops(signal) and (task.trace is None or task.trace.tracer is None):
            if task.kernel.on_signal is not None:
                task.kernel.on_signal(task, info, "dropped")
            return
        queue = self.pending.own if own else self.pending.shared
        if info.timer is None and self.full(task, info):
            if signal >= FIRST_REAL_TIME and info.code not in (SI_USER, SI_KERNEL):
                raise LinuxError(errno.EAGAIN)
            info = Info(signal, SI_USER)  # what came with it is lost
        if not queue.add(info):
            return
        self.queue.wake(bit(signal))
        if not own and group.live > 1:
            for thread in group.threads.values():
                thread.signals.queue.wake(bit(signal))
        for file in task.machine.signal_files:
            file.notify(signal)
        chosen = choose(task, signal, own=own)
        if chosen is not None and not chosen.signals.blocked & bit(signal):
            record = chosen.blocked
            if record is not None and record.deaf and chosen.trace is None and chosen.signals.ends_at_once(signal):
                record.deaf = False
            chosen.signals.alert = True
            chosen.interrupt()

    @staticmethod
    def _take_off(group: ThreadGroup, mask: int) -> None:
        group.pending.discard(mask)
        for thread in group.threads.values():
            thread.signals.pending.own.discard(mask)

    def full(self, task: LinuxTask, info: Info) -> bool:
        """Whether as many signals are pending as may be (RLIMIT_SIGPENDING); standard ones that are no program's own
        invention always have a place (__send_signal_locked)."""
        if info.signal < FIRST_REAL_TIME and info.code >= 0:
            return False
        return task.machine.signal_tally.count >= task.signal_queue_limit

    def recheck(self, task: LinuxTask) -> None:
        """After a change of mask or pending signals: have the task look, if one is to be delivered."""
        if self.pending.mask & ~self.blocked:
            self.alert = True
            task.interrupt()

    def broken_pipe(self, task: LinuxTask) -> None:
        """A write found no reader."""
        self.send(task, Info(SIGPIPE, SI_USER, pid=task.pid), own=True)

    def file_too_large(self, task: LinuxTask) -> LinuxError:
        """A file was to grow beyond RLIMIT_FSIZE: SIGXFSZ, and the error to raise."""
        self.send(task, Info(SIGXFSZ, SI_USER, pid=task.pid, uid=task.creds.uid), own=True)
        return LinuxError(errno.EFBIG)

    def force(self, task: LinuxTask, info: Info) -> None:
        """A signal that the program cannot avoid: blocked or ignored, it kills."""
        signal = info.signal
        task.passed = None  # it did not come to that call
        if self.blocked & bit(signal) or self.actions.get(signal).handler == SIG_IGN:
            self.actions.reset(signal)
            self.blocked &= ~bit(signal)
        self.pending.own.add(info, first=True)
        self.alert = True

    # -- calls that a signal ends

    def cut_short(self, restart: int | Again, call: tuple[int, int]) -> None:
        """A call ends with EINTR; `deliver` then settles whether the program sees it. restart: what else may become of
        it, see RESTART. call: its number and first argument."""
        self._restart = (restart, call) if restart != NEVER else None

    def restore_mask(self, task: LinuxTask) -> None:
        """The call that had another mask is done, by itself or because no handler ended it."""
        if self.saved_mask is not None:
            mask, self.saved_mask = self.saved_mask, None
            self.set_blocked(task, mask)

    def _rewind(self, task: LinuxTask, handler: Action | None) -> None:
        """Have the call that a signal ended made again, if that is the rule for it and the handler that is to run."""
        if self._restart is None:
            return
        (restart, (number, first)), self._restart = self._restart, None
        if handler is not None and restart != ALWAYS and (restart != RESTART or not handler.flags & SA_RESTART):
            return
        if isinstance(restart, tuple):
            task.again, number = restart, _restart_syscall(task)
        make_again(task, number, first)

    # -- what the CPU reports

    def page_fault(self, task: LinuxTask, address: int, access: MappingFlags | None, fault: LinuxError | None) -> None:
        """SIGSEGV, SIGBUS for a page whose backing failed, SIGKILL where memory ran out (as the OOM killer)."""
        wanted = access if access is not None else MappingFlags(0)
        if fault is not None and not isinstance(fault, UserFault):
            self.force(task, Info(SIGKILL, SI_KERNEL, address=address, fault=fault))
            return
        reason = fault.reason if fault is not None else FaultReason.UNMAPPED
        code, signal = 1, SIGSEGV  # SEGV_MAPERR
        if wanted & EXECUTE and reason is FaultReason.PROTECTION:
            # Linux brings the page in first, then finds it not executable
            in_reach = task.space.check_region_access(VirtAddrRange.from_start_size(address, 1), READ)
            if not task.space.handle_page_fault(address, READ) and in_reach:
                reason = FaultReason.BACKING_FAILED
        cpu = traps(task).page_fault(task, address, wanted)
        if reason is FaultReason.PROTECTION:
            by_key = wanted and task.space.check_region_access(VirtAddrRange.from_start_size(address, 1), wanted)
            code = 4 if by_key else 2  # SEGV_PKUERR, SEGV_ACCERR
            cpu = cpu[0], cpu[1] | (_BY_KEY if by_key else 0), cpu[2]
        elif reason is FaultReason.BACKING_FAILED:
            code, signal = 2, SIGBUS  # BUS_ADRERR
        self.force(task, Info(signal, code, address=address, fault=fault, cpu=cpu))

    def exception(self, task: LinuxTask, exit: Exit) -> None:
        """An exception of the CPU, or a fault at an address that it cannot form."""
        self.force(task, traps(task).exception(task, exit))

    def killed_outside(self, task: LinuxTask) -> None:
        """Somebody on the host ended what ran the program: it is gone as if it had been killed itself."""
        task.engine.reset()
        self.ended_outside(task)

    def ended_outside(self, task: LinuxTask) -> None:
        """The same, seen by another before it has gone on."""
        self.force(task, Info(SIGKILL, SI_USER, address=None))
        if task.loop is not None:
            task.loop.interrupt(task)

    # -- delivery

    def deliver(self, task: LinuxTask) -> None:
        """Deliver everything deliverable: handler frames are stacked, a fatal signal ends the process.

        A call that was let go on (`LinuxTask.passed`) is made first."""
        if task.passed is not None and task.trace is None and not self.pending.mask & bit(SIGKILL):
            self._rewind(task, None)
            return
        while not task.over:
            if task.trace is not None and (task.trace.tracer is not None or task.trace.given is not None):
                info, stands = self._traced(task)
                if stands:
                    return
            elif task.group.stopping and not self.pending.mask & bit(SIGKILL):
                halt(task)
                return  # and goes on with this when it is woken
            else:
                info = self.take(~self.blocked)
            if info is None:
                break
            if task.kernel.on_signal is not None:
                task.kernel.on_signal(task, info, "delivered")
            action = self.actions.get(info.signal)
            if info.signal not in (SIGKILL, SIGSTOP) and action.handler not in (SIG_DFL, SIG_IGN):
                self._call_handler(task, info, action)
            elif self.actions.ignores(info.signal):
                continue
            elif bit(info.signal) & _STOPPING:
                if stop(task, info.signal):
                    if task.kernel.on_signal is not None:
                        task.kernel.on_signal(task, info, "stopped")
                    return
            else:
                self._die(task, info)
        self.alert = False
        self.restore_mask(task)
        self._rewind(task, None)

    def _traced(self, task: LinuxTask) -> tuple[Info | None, bool]:
        """The next signal for one that is traced, which its tracer has let through; True if the task stands now."""
        from ..task.trace import signal_stop, stop_with_process

        trace, group = task.trace, task.group
        assert trace is not None
        if not self.pending.mask & bit(SIGKILL):
            if trace.given is not None:
                given, trace.given = trace.given, None
                return given, False
            if group.stopping and not task.halted:
                task.halted = trace.trap = True
                settle(group, task)
            if trace.trap:
                stop_with_process(task)
                return None, True
        info = self.take(~self.blocked)
        if info is None or info.signal == SIGKILL or trace.tracer is None:
            return info, False
        if self.actions.get(info.signal).flags & SA_IMMUTABLE:
            return info, False
        signal_stop(task, info)
        return None, True

    def _call_handler(self, task: LinuxTask, info: Info, action: Action) -> None:
        self._rewind(task, action)
        mask = self.saved_mask if self.saved_mask is not None else self.blocked
        self.saved_mask = None
        try:
            if task.rseq is not None:
                from ..task.rseq import leave_section

                leave_section(task)
            frames(task).push_frame(task, info, action, mask)
        except LinuxError as error:
            # No room for the frame: SIGSEGV, and if that is what could not be delivered, its default.
            if info.signal == SIGSEGV:
                self.actions.reset(SIGSEGV)
            fault = error if error.errno == errno.EFAULT else None
            self.force(task, Info(SIGSEGV, SI_KERNEL, address=None, fault=fault))
            return
        if action.flags & SA_RESETHAND:
            self.actions.set(info.signal, Action(SIG_DFL, action.flags, action.restorer, action.mask))
        blocked = self.blocked | action.mask
        if not action.flags & SA_NODEFER:
            blocked |= bit(info.signal)
        self.set_blocked(task, blocked)

    def _die(self, task: LinuxTask, info: Info) -> None:
        if task.machine.core is not None:
            task.machine.dump_core(task, info)
        task.group.death = Death(
            info.signal, info.code, info.address, info.fault, task.engine.regs.pc, traps(task).registers(task)
        )

    def set_blocked(self, task: LinuxTask, mask: int) -> None:
        before, self.blocked = self.blocked, mask & ~_UNBLOCKABLE & ((1 << 64) - 1)
        if self.blocked & ~before and task.group.live > 1:
            retarget(task, self.blocked & ~before)
        self.recheck(task)
        if task.host_signals is not None and (before ^ self.blocked) & task.host_signals.followed:
            task.host_signals.follow(self)
