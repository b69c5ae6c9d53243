"""Signals: what the program asked for, what is pending, and delivery.

One process with one thread: signals come from its own faults and calls (kill to itself, a broken pipe, alarm), never
from the host. A standard signal is pending at most once. Source: signal(7), kernel/signal.c.

`SignalState` is the bookkeeping and the decision; how a frame looks on the stack is `sigframe`, the calls `sigcalls`.
"""

from __future__ import annotations

import errno
import time
from struct import pack
from typing import TYPE_CHECKING

from ..addr import VirtAddrRange
from ..errors import FaultReason, LinuxError, UserFault
from ..flags import EXECUTE, READ, WRITE, MappingFlags
from .program import Death
from .uaccess import USER_END

if TYPE_CHECKING:
    from .task import LinuxTask

SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGSEGV, SIGPIPE, SIGALRM = 4, 5, 6, 7, 8, 9, 11, 13, 14
SIGCHLD, SIGCONT, SIGSTOP, SIGURG, SIGWINCH = 17, 18, 19, 23, 28
SIG_DFL, SIG_IGN = 0, 1
SI_USER, SI_KERNEL, SI_TKILL = 0, 0x80, -6

SA_SIGINFO, SA_RESTORER, SA_ONSTACK, SA_RESTART = 0x4, 0x0400_0000, 0x0800_0000, 0x1000_0000
SA_NODEFER, SA_RESETHAND = 0x4000_0000, 0x8000_0000

_IGNORED_BY_DEFAULT = frozenset({SIGCHLD, SIGCONT, SIGURG, SIGWINCH, 20, 21, 22})
_SYNCHRONOUS = (SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, 31)
_UNBLOCKABLE = 1 << (SIGKILL - 1) | 1 << (SIGSTOP - 1)

GENERAL = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15")
"""Names of the general registers."""


def bit(signal: int) -> int:
    return 1 << (signal - 1)


class Action:
    """A disposition: struct kernel_sigaction."""

    __slots__ = ("flags", "handler", "mask", "restorer")

    def __init__(self, handler: int = SIG_DFL, flags: int = 0, restorer: int = 0, mask: int = 0) -> None:
        self.handler = handler
        self.flags = flags
        self.restorer = restorer
        self.mask = mask


_DEFAULT = Action()


class Info:
    """A signal on its way: siginfo, and for a fault what the CPU said (trap number, error code, cr2)."""

    __slots__ = ("address", "code", "cr2", "error", "fault", "pid", "signal", "trap", "uid", "value")

    def __init__(
        self,
        signal: int,
        code: int,
        *,
        address: int | None = None,
        fault: LinuxError | None = None,
        pid: int = 0,
        uid: int = 0,
        value: int = 0,
        trap: int = 0,
        error: int = 0,
        cr2: int = 0,
    ) -> None:
        self.signal = signal
        self.code = code
        self.address = address
        self.fault = fault
        self.pid = pid
        self.uid = uid
        self.value = value
        self.trap = trap
        self.error = error
        self.cr2 = cr2

    def pack(self) -> bytes:
        """siginfo_t, 128 bytes."""
        head = pack("<iii4x", self.signal, 0, self.code)
        by_fault = self.address is not None
        body = pack("<Q", self.address) if by_fault else pack("<iIQ", self.pid, self.uid, self.value)
        return (head + body).ljust(128, b"\0")


class SignalState:
    """A process's signals. Masks have bit n-1 for signal n.

    saved_mask: the mask to go back to after the handler that ends a sigsuspend. restart_call: the call that a signal
    interrupted, if SA_RESTART may repeat it. alarm_at: monotonic time of the next SIGALRM; alarm_interval: nanoseconds.
    """

    def __init__(self) -> None:
        self.actions: dict[int, Action] = {}
        self.blocked = 0
        self.pending: list[Info] = []
        self.altstack = (0, 2, 0)  # address, flags (SS_DISABLE), size
        self.saved_mask: int | None = None
        self.restart_call: int | None = None
        self.alarm_at: float | None = None
        self.alarm_interval = 0

    # -- questions

    def action(self, signal: int) -> Action:
        return self.actions.get(signal, _DEFAULT)

    def ignores(self, signal: int) -> bool:
        handler = self.action(signal).handler
        return handler == SIG_IGN or (handler == SIG_DFL and signal in _IGNORED_BY_DEFAULT)

    @property
    def pending_mask(self) -> int:
        mask = 0
        for info in self.pending:
            mask |= bit(info.signal)
        return mask

    @property
    def ignored_mask(self) -> int:
        return sum(bit(s) for s, a in self.actions.items() if a.handler == SIG_IGN)

    @property
    def caught_mask(self) -> int:
        return sum(bit(s) for s, a in self.actions.items() if a.handler not in (SIG_DFL, SIG_IGN))

    def deliverable(self, task: LinuxTask) -> bool:
        return bool(self.pending_mask & ~self.blocked)

    # -- sending

    def send(self, task: LinuxTask, info: Info) -> None:
        """Make a signal pending, if it is not ignored; it is delivered when the call in hand is done."""
        signal = info.signal
        if self.ignores(signal) and not self.blocked & bit(signal):
            return
        if signal >= 32 or not self.pending_mask & bit(signal):
            self.pending.append(info)
        self.recheck(task)

    def recheck(self, task: LinuxTask) -> None:
        """After a change of mask or pending signals, in a call: leave the CPU if one is to be delivered."""
        if self.pending and self.deliverable(task):
            task.engine.stop()

    def broken_pipe(self, task: LinuxTask) -> None:
        """A write found no reader."""
        self.send(task, Info(SIGPIPE, SI_USER, pid=task.pid))

    def alarm_fired(self, task: LinuxTask) -> None:
        self.alarm_at = time.monotonic() + self.alarm_interval / 1e9 if self.alarm_interval else None
        self.send(task, Info(SIGALRM, SI_KERNEL))

    def force(self, task: LinuxTask, info: Info) -> None:
        """A signal that the program cannot avoid: blocked or ignored, it kills."""
        signal = info.signal
        if self.blocked & bit(signal) or self.action(signal).handler == SIG_IGN:
            self.actions.pop(signal, None)
            self.blocked &= ~bit(signal)
        self.pending.insert(0, info)

    # -- what the CPU reports

    def page_fault(self, task: LinuxTask, address: int, access: MappingFlags | None, fault: LinuxError | None) -> None:
        """SIGSEGV, SIGBUS for a page whose backing failed, SIGKILL where memory ran out (as the OOM killer)."""
        wanted = access if access is not None else MappingFlags(0)
        error = 4 | (2 if wanted & WRITE else 0) | (16 if wanted & EXECUTE else 0)
        if fault is not None and not isinstance(fault, UserFault):
            self.force(task, Info(SIGKILL, SI_KERNEL, address=address, fault=fault))
            return
        reason = fault.reason if fault is not None else FaultReason.UNMAPPED
        if USER_END <= address < (1 << 64) - (1 << 47) and not address < 1 << 47:  # not canonical: no page fault
            self.force(task, Info(SIGSEGV, SI_KERNEL, address=0, fault=fault, trap=13))
            return
        code, signal = 1, SIGSEGV  # SEGV_MAPERR
        if wanted & EXECUTE and reason is FaultReason.PROTECTION:
            # Linux brings the page in first, then finds it not executable
            in_reach = task.space.check_region_access(VirtAddrRange.from_start_size(address, 1), READ)
            if not task.space.handle_page_fault(address, READ) and in_reach:
                reason = FaultReason.BACKING_FAILED
        if address >= USER_END or task.space.query(address) is not None:
            error |= 1  # the page is present; of kernel addresses Linux always says so
        if reason is FaultReason.PROTECTION:
            code = 2  # SEGV_ACCERR
        elif reason is FaultReason.BACKING_FAILED:
            code, signal = 2, SIGBUS  # BUS_ADRERR
        self.force(task, Info(signal, code, address=address, fault=fault, trap=14, error=error, cr2=address))

    def exception(self, task: LinuxTask, vector: int, rip: int) -> None:
        """A CPU exception by its vector (arch/x86/kernel/traps.c)."""
        signal, code, address = {
            0: (SIGFPE, 1, rip),  # FPE_INTDIV
            1: (SIGTRAP, 1, rip),  # TRAP_BRKPT
            3: (SIGTRAP, SI_KERNEL, None),
            6: (SIGILL, 2, rip),  # ILL_ILLOPN
            16: (SIGFPE, 7, rip),  # FPE_FLTINV
            19: (SIGFPE, 7, rip),
        }.get(vector, (SIGSEGV, SI_KERNEL, 0))
        self.force(task, Info(signal, code, address=address, trap=vector))

    # -- delivery

    def _next(self) -> Info | None:
        """The next signal to deliver, synchronous ones first, then by number; taken off the list."""
        ready = [i for i in self.pending if not self.blocked & bit(i.signal)]
        if not ready:
            return None
        info = min(ready, key=lambda i: (i.signal not in _SYNCHRONOUS, i.signal))
        self.pending.remove(info)
        return info

    def deliver(self, task: LinuxTask) -> None:
        """Deliver everything deliverable: handler frames are stacked, a fatal signal ends the process."""
        while self.pending and not task.over:
            info = self._next()
            if info is None:
                break
            action = self.action(info.signal)
            if info.signal not in (SIGKILL, SIGSTOP) and action.handler not in (SIG_DFL, SIG_IGN):
                self._call_handler(task, info, action)
            elif self.ignores(info.signal) or info.signal == SIGSTOP:
                continue
            else:
                self._die(task, info)
        if self.saved_mask is not None:  # a sigsuspend that no handler ended
            self.blocked, self.saved_mask = self.saved_mask, None
        self.restart_call = None

    def _call_handler(self, task: LinuxTask, info: Info, action: Action) -> None:
        from .sigframe import push_frame

        if self.restart_call is not None:
            if action.flags & SA_RESTART:
                regs = task.engine.regs
                regs.rax = self.restart_call
                regs.rip -= 2  # the syscall instruction
            self.restart_call = None
        mask = self.saved_mask if self.saved_mask is not None else self.blocked
        self.saved_mask = None
        try:
            push_frame(task, info, action, mask)
        except LinuxError as error:
            # No room for the frame: SIGSEGV, and if that is what could not be delivered, its default.
            if info.signal == SIGSEGV:
                self.actions.pop(SIGSEGV, None)
            fault = error if error.errno == errno.EFAULT else None
            self.force(task, Info(SIGSEGV, SI_KERNEL, address=None, fault=fault))
            return
        if action.flags & SA_RESETHAND:
            self.actions.pop(info.signal, None)
        self.blocked |= action.mask
        if not action.flags & SA_NODEFER:
            self.blocked |= bit(info.signal)
        self.blocked &= ~_UNBLOCKABLE

    def _die(self, task: LinuxTask, info: Info) -> None:
        regs = task.engine.regs
        values = {name: getattr(regs, name) for name in (*GENERAL, "rip", "rflags", "fs_base", "gs_base")}
        task.death = Death(info.signal, info.code, info.address, info.fault, values)

    def set_blocked(self, task: LinuxTask, mask: int) -> None:
        self.blocked = mask & ~_UNBLOCKABLE & ((1 << 64) - 1)
        self.recheck(task)
