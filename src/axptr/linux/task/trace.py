"""A task that another traces (ptrace): what it is to stop at, how it stops, and how it goes on. Source: ptrace(2),
kernel/ptrace.c, kernel/signal.c (ptrace_stop, ptrace_signal, do_jobctl_trap), include/linux/ptrace.h of Linux 6.18.

A tracee that has stopped is a task that waits, for `Trace.resumed`, and that little else ends. It stops only when it
comes to the CPU (`proceed`) or out of it: its registers are then whole, in its context as soon as the tracer runs. A
task that nobody traces has no `Trace`, and its calls go where they always do.

Not here: the call (`calls.ptrace`), what waits tell of tracees (`children`), their registers (`traceregs`).
"""

from __future__ import annotations

from contextlib import suppress
from struct import pack

from ...errors import GuestLost, LinuxError
from ...named import NamedTuple
from ..abi.signals import (
    CLD_STOPPED,
    CLD_TRAPPED,
    SA_NOCLDSTOP,
    SI_USER,
    SIG_IGN,
    SIGCHLD,
    SIGKILL,
    SIGSTOP,
    SIGTRAP,
    Info,
    bit,
    ended_as,
)
from .group import Happening

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ...kernel.kernel import Dispatch
    from .clone import CloneArgs
    from .group import ThreadGroup
    from .task import LinuxTask

TRACESYSGOOD = 1
FORK, VFORK, CLONE, EXEC, VFORK_DONE, EXIT, SECCOMP = range(1, 8)
"""Events; the option for each has the bit of its number."""
STOP = 128
EXITKILL, SUSPEND_SECCOMP = 1 << 20, 1 << 21
SYSCALL_ENTRY, SYSCALL_EXIT = 1, 2
NOTHING, ENTRY, PENDING, IN_CALL, FILTERED, PASSED = range(6)
"""How far a call of the tracee's has come: there is none, it was made, it is to be done, it is being done; a filter had
it stop for the tracer, it has stopped for that and is to be done."""
_TRAP_FLAG = 0x100
_ENOSYS = (1 << 64) - 38
_MASK = (1 << 64) - 1
_VFORKS, _UNTRACED, _PTRACE = 0x4000, 0x80_0000, 0x2000
_TRAP_BRKPT = 1


class Trace:
    """That a task is traced. The machine's thread alone uses it.

    | field | exec | fork, clone | a snapshot |
    | --- | --- | --- | --- |
    | tracer: the thread; None once it has let go, while the call in hand lasts | keeps | by an option the same | its \
number |
    | seized, options | keeps | by an option the same | as they are |
    | stopped: whether it stands; code: what of that wait is to tell, 0 if it was told; shown: the same for good; \
why: CLD_TRAPPED, or CLD_STOPPED for a stop of its process; event: whether that is a PTRACE_EVENT_STOP | - | no | as \
they are |
    | info: siginfo of the stop, None where there is none; message: of the event | - | none | plain data |
    | listening: it stands for its process alone, and is told of what comes; trap: it is to stop so at the next \
chance | - | as `begin_child` says | as they are |
    | by_call, by_step: whether it goes on until a call, or for one instruction; emulated: whether until a call that \
is then not done (PTRACE_SYSEMU) | - | no | as they are |
    | flagged: whether the trap flag was set for that | - | no | as it is |
    | call: the number of the call in hand, -1 for none (orig_rax); phase: how far it has come | as it is | the \
parent's; none | numbers |
    | given: the signal to go on with | - | none | plain data |
    | leaving: whether its end was told | - | no | as it is |
    | held: it has ended, which its parent is told after its tracer | - | no | as it is |
    | inner: how its calls are done | anew | anew | anew |
    """

    def __init__(self, tracer: LinuxTask, *, seized: bool, options: int = 0) -> None:
        self.tracer: LinuxTask | None = tracer
        self.seized = seized
        self.options = options
        self.stopped = False
        self.code = self.shown = 0
        self.why = CLD_TRAPPED
        self.info: Info | None = None
        self.message = 0
        self.listening = self.trap = False
        self.by_call = self.by_step = self.emulated = self.flagged = False
        self.call = -1
        self.phase = NOTHING
        self.given: Info | None = None
        self.leaving = self.held = False
        self.resumed = Happening()
        self.inner: Dispatch | None = None

    @property
    def at_group_stop(self) -> bool:
        """Whether it stands in a PTRACE_EVENT_STOP."""
        return self.stopped and self.info is not None and self.info.code >> 8 == STOP

    def wants(self, event: int) -> bool:
        return self.tracer is not None and bool(self.options & 1 << event)


class Gone(NamedTuple):
    """A thread, not the first of its process, that was traced and has ended: its tracer is to wait for it."""

    tid: int
    pgid: int
    uid: int
    status: int
    tracer: LinuxTask


# -- beginning and end


def attach(task: LinuxTask, tracer: LinuxTask, *, seized: bool, options: int = 0) -> Trace:
    """Have the tracer trace the task from now on."""
    before = task.trace
    trace = task.trace = Trace(tracer, seized=seized, options=options)
    if before is not None:  # one that let go amid a call
        trace.call, trace.phase, trace.inner = before.call, before.phase, before.inner
    elif task.blocked is not None and not task.halted:
        trace.call = task.blocked.call[0]
    if tracer.group.tracees is None:
        tracer.group.tracees = {}
    tracer.group.tracees[task] = None
    _reinstall(task)
    return trace


def _reinstall(task: LinuxTask) -> None:
    """Another way for the task's calls, if it has the CPU; else that is found when it gets it."""
    if task.loop is not None:
        task.loop.reinstall(task)


def stop_if_halted(task: LinuxTask) -> None:
    """One that stands with its process stands for its tracer from now on."""
    assert task.trace is not None
    if task.halted:
        task.trace.trap = True
        task.group.going_on.queue.remove(task)
        task.wake()


def let_go(task: LinuxTask, signal: int = 0) -> bool:
    """The tracer does no more trace it (ptrace_detach): it goes on, with a signal, or stands with its process. Whether
    it has ended instead, which its parent is to be told now."""
    trace = task.trace
    assert trace is not None
    assert trace.tracer is not None
    tracees = trace.tracer.group.tracees
    if tracees is not None:
        tracees.pop(task, None)
    tracer, trace.tracer = trace.tracer, None
    trace.trap = trace.listening = trace.by_call = trace.by_step = trace.emulated = False
    if trace.held:
        trace.held = False
        return True
    if task.dead:
        return False
    task.halted = False
    if trace.stopped:
        resume(task, signal, tracer)
    elif task.group.stopping:
        task.interrupt()
    return False


def tracer_ended(tracer: LinuxTask) -> Iterator[ThreadGroup]:
    """Its tracees go on untraced, or are killed where that was asked for (exit_ptrace). Gives, as it comes to them, the
    processes whose end their parents are to be told now."""
    for task in list(tracer.group.tracees or ()):
        trace = task.trace
        if trace is None or trace.tracer is not tracer:
            continue
        if trace.options & EXITKILL and not task.dead:
            task.signals.send(task, Info(SIGKILL, SI_USER), own=True)
        if let_go(task):
            yield task.group


def told_first(group: ThreadGroup) -> LinuxTask | None:
    """Who traces a process that has ended, and is to be told that before its parent; None if it is the parent."""
    leader = group.leader
    trace = leader.trace
    if trace is None or trace.tracer is None:
        return None
    tracer = trace.tracer
    if tracer.group is not group.parent:
        return tracer
    if tracer.group.tracees is not None:
        tracer.group.tracees.pop(leader, None)
    return None


def thread_ended(task: LinuxTask) -> None:
    """A traced thread has ended, of which its process has others or which is not the first: its tracer is told."""
    trace, group = task.trace, task.group
    assert trace is not None
    tracer = trace.tracer
    if tracer is None or task is group.leader:
        return
    if group.death is not None:
        status = group.death.signal
    else:
        status = ((group.exit_code if group.over else task.code) or 0) << 8
    if tracer.group.tracees is not None:
        tracer.group.tracees.pop(task, None)
    tracer.group.gone.append(Gone(task.tid, group.pgid, task.creds.uid, status, tracer))
    tell_tracer(task, *ended_as(status))
    trace.tracer = None


def begin_child(task: LinuxTask, child: LinuxTask, args: CloneArgs) -> int:
    """A new task of a tracee's: traced too if the event is asked for. The event, 0 for none."""
    trace = task.trace
    assert trace is not None
    event = 0
    if not args.flags & _UNTRACED:
        event = VFORK if args.flags & _VFORKS else FORK if args.exit_signal == SIGCHLD else CLONE
        if not trace.wants(event):
            event = 0
    if trace.tracer is not None and (event or args.flags & _PTRACE):
        made = attach(child, trace.tracer, seized=trace.seized, options=trace.options)
        made.call = trace.call
        if made.seized:
            made.trap = True
        else:
            child.signals.send(child, Info(SIGSTOP, SI_USER), own=True)
    return event


# -- stopping


def _stop(task: LinuxTask, code: int, info: Info | None, why: int, again: tuple[object, ...] = ()) -> None:
    """The task stands here until its tracer has it go on. again: a function and its data, by which it does."""
    trace = task.trace
    assert trace is not None
    assert trace.tracer is not None
    if trace.flagged:
        trace.flagged = False
        _change(task, "rflags", lambda flags: flags & ~_TRAP_FLAG)
    trace.stopped, trace.code, trace.shown, trace.info, trace.why = True, code, code, info, why
    trace.listening = False
    task.block(on=[(trace.resumed, 1)], again=again or (_go_on, ()))  # type: ignore[arg-type]
    if task.blocked is not None:
        task.blocked.deaf = True
    tell_tracer(task, why, code & 0x7F)


def _go_on(task: LinuxTask, result: int | None = None) -> int | None:
    return result


def tell_tracer(task: LinuxTask, code: int, status: int) -> None:
    """SIGCHLD for the tracer, unless it wants none; who waits looks (do_notify_parent_cldstop)."""
    trace = task.trace
    assert trace is not None
    assert trace.tracer is not None
    tracer = trace.tracer
    action = tracer.actions.get(SIGCHLD)
    if not tracer.dead and action.handler != SIG_IGN and not action.flags & SA_NOCLDSTOP:
        raw = pack("<iii4xiIi4x16x", SIGCHLD, 0, code, task.tid, task.creds.uid, status)
        info = Info(SIGCHLD, code, pid=task.tid, uid=task.creds.uid, raw=raw[:48])
        tracer.signals.send(tracer, info)
    tracer.group.changed.queue.wake()


def _change(task: LinuxTask, name: str, change: Callable[[int], int]) -> None:
    """Of a register. Those in the CPU are another task's where this one goes on with a call that waited."""
    loop = task.loop
    if loop is None or loop.current is task:
        setattr(task.engine.regs, name, change(getattr(task.engine.regs, name)))
    elif task.context is not None:
        with suppress(GuestLost):
            context = loop.registers(task)
            task.context = context.replace(**{name: change(context.read(name))})


def _notify(task: LinuxTask, code: int, message: int = 0, again: tuple[object, ...] = ()) -> None:
    """A stop that is no signal's (ptrace_notify)."""
    assert task.trace is not None
    task.trace.message = message
    _stop(task, code, Info(SIGTRAP, code, pid=task.tid, uid=task.creds.uid), CLD_TRAPPED, again)


def event_stop(task: LinuxTask, event: int, message: int, *result: int) -> None:
    """In a call: the stop of an event; the call then has the result, or leaves registers as they are."""
    if event != EXEC:
        _change(task, "rax", lambda number: _ENOSYS)  # as during every call
    _notify(task, SIGTRAP | event << 8, message, (_go_on, result))


def resume(task: LinuxTask, signal: int, tracer: LinuxTask) -> None:
    """A stopped tracee goes on, with a signal where its stop has room for one."""
    trace = task.trace
    assert trace is not None
    info = trace.info
    trace.stopped = trace.listening = False
    trace.code, trace.info = 0, None
    if signal and info is not None:
        if trace.given is not None:
            trace.given = info if info.signal == signal else Info(
                signal, SI_USER, pid=tracer.pid, uid=tracer.creds.uid
            )  # fmt: skip
            if task.signals.blocked & bit(signal):
                info, trace.given = trace.given, None
                task.signals.send(task, info, own=True)
        elif info.code in (SIGTRAP, SIGTRAP | 0x80):  # a stop at a call
            task.signals.send(task, Info(signal, SI_USER, pid=task.pid, uid=task.creds.uid), own=True)
    elif not signal:
        trace.given = None
    task.signals.alert = True  # what came in meanwhile
    trace.resumed.queue.wake()


def signal_stop(task: LinuxTask, info: Info) -> None:
    """A signal is about to be delivered: the tracer may have another delivered, or none (ptrace_signal)."""
    assert task.trace is not None
    task.trace.given, task.trace.message = info, 0
    _stop(task, info.signal, info, CLD_TRAPPED)


def stop_with_process(task: LinuxTask) -> None:
    """Its process has stopped, or has gone on, or the tracer asked for it (do_jobctl_trap)."""
    trace = task.trace
    assert trace is not None
    trace.trap = False
    signal = task.group.stopping
    if trace.seized:
        signal = signal or SIGTRAP
        code = signal | STOP << 8
        trace.message = 0
        _stop(task, code, Info(signal, code, pid=task.tid, uid=task.creds.uid), CLD_STOPPED)
    else:
        _stop(task, signal or SIGSTOP, None, CLD_STOPPED)


def notified(task: LinuxTask) -> None:
    """Something has become of the process of one that was seized: it is told by another stop (ptrace_trap_notify)."""
    trace = task.trace
    if trace is None or trace.tracer is None or not trace.seized:
        return
    trace.trap = True
    if trace.listening:
        resume(task, 0, trace.tracer)
    elif not trace.stopped:
        task.signals.alert = True
        task.interrupt()


def executed(task: LinuxTask, old: int) -> None:
    """Another program was begun. old: the number that the thread had."""
    trace = task.trace
    assert trace is not None
    if trace.wants(EXEC):
        event_stop(task, EXEC, old)
    elif trace.tracer is not None and not trace.seized:
        task.signals.send(task, Info(SIGTRAP, SI_USER, pid=task.pid, uid=task.creds.uid), own=True)


# -- calls, and the way to the CPU


def traced(task: LinuxTask, inner: Dispatch) -> Dispatch:
    """The function that answers a tracee's calls. One at which it stops is done on its way back to the CPU."""
    trace = task.trace
    assert trace is not None
    trace.inner = inner

    def dispatch(nr: int, a0: int, a1: int, a2: int, a3: int, a4: int, a5: int) -> int | None:
        trace = task.trace
        if trace is None or not (trace.by_call or trace.by_step or trace.emulated):
            if trace is not None:
                trace.call = _entered(task)
            result = inner(nr, a0, a1, a2, a3, a4, a5)
            if task.blocked is not None and (trace := task.trace) is not None:
                trace.phase = IN_CALL
            return result
        trace.call, trace.phase = _entered(task), ENTRY
        task.engine.regs.rax = _ENOSYS
        task.interrupt()
        return None

    return dispatch


def _entered(task: LinuxTask) -> int:
    """All of the register that has a call's number: a tracer sees it whole, though no more than the low half counts."""
    whole: int = task.engine.regs.rax
    return whole - (1 << 64) if whole >> 63 else whole


def proceed(task: LinuxTask) -> bool:
    """A tracee is about to get the CPU: what it has to do before, and where it stops instead (then it is blocked).
    False if it has ended."""
    trace = task.trace
    assert trace is not None
    if trace.stopped:  # something else than its tracer has ended that: it is to be killed
        trace.stopped, trace.code, trace.given = False, 0, None
    killed = bool(task.signals.pending.mask & bit(SIGKILL))
    if not killed and not task.over and _call(task, trace):
        return True
    if not task.over:
        task.timers.due(task)
        signals = task.signals
        if signals.deliverable(task) or signals.unsettled or trace.given is not None:
            signals.deliver(task)
            if task.blocked is not None:
                return True
    if task.over:
        return not over(task)
    trace.call = -1
    if trace.tracer is None:
        task.trace = None
        _reinstall(task)
    elif trace.by_step and not trace.flagged and not task.engine.regs.rflags & _TRAP_FLAG:
        trace.flagged = True
        task.engine.regs.rflags |= _TRAP_FLAG
    return True


def in_hand(task: LinuxTask) -> bool:
    """Whether a call was just made, and is to be done before anything else is made of how the CPU came out: an engine
    may have a trap for the trap flag behind the instruction that makes it."""
    return task.trace is not None and task.trace.phase in (ENTRY, FILTERED)


def filtered(task: LinuxTask, data: int) -> bool:
    """A filter says that the tracer is to see a call before it is done (SECCOMP_RET_TRACE): whether there is one that
    wants to, for whom the task stops on its way back to the CPU."""
    trace = task.trace
    if trace is None or not trace.wants(SECCOMP):
        return False
    trace.phase, trace.message = FILTERED, data
    task.engine.regs.rax = _ENOSYS
    task.interrupt()
    return True


def over(task: LinuxTask) -> bool:
    """The task has come to its end: whether that is all, or it stops once more before it."""
    trace = task.trace
    assert trace is not None
    if trace.leaving or not trace.wants(EXIT) or task.dead or task.blocked is not None:
        return True
    trace.leaving = True
    group = task.group
    status = group.death.signal if group.death is not None else (group.exit_code or task.code) << 8
    if group.death is None and trace.call >= 0:
        task.engine.regs.rax = _ENOSYS
    _notify(task, SIGTRAP | EXIT << 8, status)
    return False


def _call(task: LinuxTask, trace: Trace) -> bool:
    """Whatever is left of a call. True if the task waits then, in it or at a stop."""
    if trace.phase == ENTRY:
        trace.phase = IN_CALL if trace.emulated else PENDING  # whatever is asked for at the stop
        if (trace.by_call or trace.emulated) and trace.tracer is not None:
            _notify(task, SIGTRAP | (0x80 if trace.options & TRACESYSGOOD else 0), SYSCALL_ENTRY)
            return True
    if trace.phase == PENDING:
        _do(task, trace)
    if trace.phase == FILTERED:
        trace.phase = PASSED
        if trace.tracer is not None:
            _notify(task, SIGTRAP | SECCOMP << 8, trace.message)
            return True
    if trace.phase == PASSED:
        _do(task, trace)
    if task.over or task.blocked is not None:
        return task.blocked is not None
    if trace.phase != IN_CALL:
        return False
    trace.phase = NOTHING
    trace.message = 0
    if trace.tracer is None:
        return False
    if trace.by_step and not trace.emulated:
        task.signals.force(task, Info(SIGTRAP, _TRAP_BRKPT, address=task.engine.regs.pc))
    elif trace.by_call:
        _notify(task, SIGTRAP | (0x80 if trace.options & TRACESYSGOOD else 0), SYSCALL_EXIT)
        return True
    return False


def _do(task: LinuxTask, trace: Trace) -> None:
    """The call, as the registers and the tracer have it by now; none for a number below 0."""
    regs, number, phase = task.engine.regs, trace.call & 0xFFFF_FFFF, trace.phase
    if number >> 31:
        trace.phase = IN_CALL
        return
    before = regs.rax
    regs.rax = number
    arguments = [getattr(regs, name) for name in task.engine.arch.arguments]
    assert trace.inner is not None
    try:
        result = trace.inner(number, *arguments)
    except LinuxError as error:
        result = -error.errno
    except BaseException:
        regs.rax = before
        raise
    if trace.phase == phase:
        trace.phase = IN_CALL
    if result is not None:
        regs.rax = result & _MASK
