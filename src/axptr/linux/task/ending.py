"""How a thread ends, and with the last one its process: what is given back, who is told, who inherits the children.
Source: exit(2), kernel/exit.c (do_exit, exit_notify, forget_original_parent), kernel/signal.c (do_notify_parent).

One thread of the host runs all tasks: when one of a process ends the process, the others are in no call and on no CPU,
and end at once.

Not here: waiting for children (`children`), what a signal does by default (`signals.state`).
"""

from __future__ import annotations

from ...errors import LinuxError
from ..abi.signals import SA_NOCLDWAIT, SI_USER, SIG_IGN, SIGCHLD, SIGKILL, Info, ended_as
from ..ends import Death
from ..fs import notify
from ..signals.sending import retarget
from ..signals.stops import parted, settle, stop_ourselves, tell
from ..uaccess import put_user
from .usage import used_by

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .group import ThreadGroup
    from .task import LinuxTask


_ALL = (1 << 64) - 1
_DUMPED = 0x80
"""In a status: there is a core."""


def leave(task: LinuxTask) -> None:
    """A thread has run for the last time. Where its process is over, the others end too."""
    if task.group.over:
        end_others(task)
    end_thread(task)


def end_others(task: LinuxTask) -> None:
    """End all threads of the task's process but itself (zap_other_threads)."""
    for other in list(task.group.threads.values()):
        if other is not task:
            other.leaving = True
            end_thread(other)


def end_group(group: ThreadGroup, signal: int = SIGKILL) -> None:
    """End a process from outside, between two turns, as if a signal that it cannot handle had."""
    if group.death is None:
        group.death = Death(signal, 0, None, None, 0, {})
    for task in list(group.threads.values()):
        task.leaving = True
        end_thread(task)


def abandon(task: LinuxTask) -> None:
    """The machine is no more: give back what a thread has, and tell nobody."""
    _take_out(task)
    if not task.dead:
        task.dead = True
        task.files.release()
        task.mm.release()


def end_thread(task: LinuxTask) -> None:
    """A thread that is not to run any more gives back what it has (do_exit)."""
    if task.dead:
        return
    group, machine = task.group, task.machine
    if task.kernel.on_end is not None:
        task.kernel.on_end(task)
    last = group.live == 1
    if last and group.sid == group.tgid and (group.tty is not None or group.old_pgrp):
        from ..signals.jobs import disassociate

        disassociate(group, machine, on_exit=True)
    if last:
        group.timers.stop(machine.loop)
        if (made := group.timers.made) is not None:
            made.clear(group)
    _take_out(task)
    if group.tracees:
        from .trace import tracer_ended

        for held in tracer_ended(task):
            tell_end(held)
    if task.trace is not None:
        from .trace import thread_ended

        thread_ended(task)
    group.timers.cpu.end(task.cpu)
    task.dead = True
    if task.seccomp is not None:
        from .seccomp import let_go

        let_go(task)
    task.signals.pending.own.discard(_ALL)
    if last:
        group.pending.discard(_ALL)
    elif not group.over:
        _leave_signals(task)
    if last:
        group.used.add(used_by(task))
    leave_memory(task)
    if not (last and group in machine.held):  # whose memory is looked at after the end
        notify.left(task, task.mm)
        task.mm.release()
        task.set_space(machine.nothing.space)  # what it had may go now, and not when somebody has waited for it
        task.mm = machine.nothing
    task.files.release()
    if last:
        machine.left(group, task)
    mounts = task.fs.mounts
    if mounts is mounts.first and task.own_ipc is None and task.own_network is None:
        mounts.leave()
    else:
        from .spaces import part_from_spaces

        part_from_spaces(task)
    _part_from_children(task, last)
    group.live -= 1
    if task is not group.leader:
        forget(task)
    if last:
        _end_process(group, task.code)


def _take_out(task: LinuxTask) -> None:
    """It has no more turns, and waits for nothing: what it waited on may hold its memory."""
    task.machine.loop.remove(task)
    task.blocked = None


def _leave_signals(task: LinuxTask) -> None:
    """The others see to what the process was sent, and are all that is to stop (exit_signals)."""
    retarget(task, ~task.signals.blocked)
    settle(task.group, task)


def forget(task: LinuxTask) -> None:
    """Nobody has the thread's number any more."""
    if task.trace is not None:
        task.trace.inner = None  # it makes no call any more
    del task.group.threads[task.tid]
    del task.machine.tasks[task.tid]


# -- memory


def leave_memory(task: LinuxTask) -> None:
    """The thread is about to give up its memory, at its end or because an exec gives it another (mm_release)."""
    if task.debug is not None:
        from .debugregs import forget as forget_debug

        forget_debug(task)
    if task.robust_list[0]:
        from ..files.robust import give_up

        give_up(task)
    if "futexes_pi" in vars(task.machine):
        task.machine.futexes_pi.ended(task)
    if task.clear_child_tid and task.mm.users > 1:
        address, task.clear_child_tid = task.clear_child_tid, 0
        from ..files.futex import wake_at

        try:
            put_user(task, address, bytes(4))
            wake_at(task, address)
        except LinuxError:
            pass
    if task.vfork is not None:  # a parent that waits since then goes on
        waiting, task.vfork = task.vfork, None
        waiting.over = True
        waiting.queue.wake()


# -- relatives


def _part_from_children(task: LinuxTask, last: bool) -> None:
    """Children of a thread become another thread's, or when there is none left the reaper's (find_new_reaper)."""
    group = task.group
    heir = None if last else next((t for t in group.threads.values() if not t.dead and not t.leaving), None)
    for child in list(group.children):
        if child.born_of is not task and heir is not None:
            continue
        for thread in list(child.threads.values()):
            if thread.kept.pdeath_signal and not thread.dead:
                signal = Info(thread.kept.pdeath_signal, SI_USER, pid=group.tgid, uid=task.creds.uid)
                thread.signals.send(thread, signal)
        if heir is not None:
            child.born_of = heir
        else:
            _adopt(child, _reaper(group))
            parted(task, child, group)


def _reaper(group: ThreadGroup) -> ThreadGroup:
    """The nearest ancestor that asked for orphans (PR_SET_CHILD_SUBREAPER), or the machine's init."""
    above = group.parent
    assert above is not None
    while above.parent is not None and not (above.subreaper and not above.over):
        above = above.parent
    return above


def _adopt(child: ThreadGroup, parent: ThreadGroup) -> None:
    assert child.parent is not None
    del child.parent.children[child]
    child.parent = parent
    child.born_of = next((t for t in parent.threads.values() if not t.dead), None)
    parent.children[child] = None
    child.exit_signal = SIGCHLD
    if child.zombie:
        tell_end(child)


# -- the process


def _end_process(group: ThreadGroup, code: int) -> None:
    """No thread is left: the process is a zombie, until its parent waits for it. code: the last thread's, which is the
    process's unless something else ended that (synchronize_group_exit)."""
    if not group.over:
        group.exit_code = code
    if group.death is not None:
        group.status = group.death.signal | (_DUMPED if group.dumped else 0)
        if group not in group.leader.machine.held:  # of which alone more is told; a fault holds the file of its area
            group.death.fault = None
    else:
        group.status = (group.exit_code or 0) << 8
    group.finished.queue.wake()
    parted(group.leader, group, None)
    stop_ourselves(group.leader.machine)
    tell_end(group)


def tell_end(group: ThreadGroup) -> None:
    """Send what the parent is to be sent, and have it waited for if nobody will (do_notify_parent)."""
    parent = group.parent
    assert parent is not None
    trace = group.leader.trace
    if trace is not None:
        from .trace import told_first

        tracer = told_first(group)
        if tracer is not None:
            if not trace.held:
                trace.held = True
                tracer.signals.send(tracer, child_info(group, SIGCHLD))
                tracer.group.changed.queue.wake()
            return
    goal = next((t for t in parent.threads.values() if not t.dead), None)
    if goal is None:  # init, which waits for everybody
        reap(group)
        return
    signal, gone = group.exit_signal, False
    if signal == SIGCHLD:
        action = goal.actions.get(SIGCHLD)
        gone = action.handler == SIG_IGN or bool(action.flags & SA_NOCLDWAIT)
        if action.handler == SIG_IGN:
            signal = 0
    if 0 < signal <= 64:  # clone takes any byte
        goal.signals.send(goal, child_info(group, signal))
    if gone:
        reap(group)
    parent.changed.queue.wake()


def child_info(group: ThreadGroup, signal: int) -> Info:
    """siginfo of a child's end."""
    return tell(group, signal, *ended_as(group.status or 0))


def reap(group: ThreadGroup) -> None:
    """The process was waited for: nothing of it is left but what it used, which is the parent's (release_task)."""
    parent, leader = group.parent, group.leader
    assert parent is not None
    del parent.children[group]
    machine = leader.machine
    machine.pids.leave(group)
    forget(leader)
    parent.waited.add(group.used)
    parent.waited.add(group.waited)
