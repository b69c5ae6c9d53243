"""Stopping whole processes and letting them go on, and what becomes of groups that nobody could let go on. Source:
kernel/signal.c (do_signal_stop, prepare_signal, do_notify_parent_cldstop), kernel/exit.c (kill_orphaned_pgrp).

A process is asked to stop (`group.stopping`); each of its threads halts when it comes out of what it does, and with the
last one the process is stopped (`group.stopped`), which its parent is told. A thread that halts leaves the call that it
waits in as one does that a signal interrupts, and then waits for `group.going_on`.
"""

from __future__ import annotations

from struct import pack

from ..abi.signals import (
    CLD_CONTINUED,
    CLD_STOPPED,
    SA_NOCLDSTOP,
    SI_KERNEL,
    SIG_IGN,
    SIGCHLD,
    SIGCONT,
    SIGHUP,
    SIGSTOP,
    Info,
)
from ..task.usage import used_by
from .sending import send_group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..machine import Machine
    from ..task.group import ThreadGroup
    from ..task.task import LinuxTask

_TOLD_STOP, _TOLD_CONTINUE = 1, 2
_TICK = 10_000_000
"""Nanoseconds in a unit of times that siginfo has."""


def stop(task: LinuxTask, signal: int) -> bool:
    """What a stop signal does by default; False if nothing, as in an orphaned group, which nobody could let go on."""
    group = task.group
    if signal != SIGSTOP and orphaned(task, group.pgid):
        return False
    if group is task.machine.first and group.leader.host_signals is None and len(task.machine.pids.groups) <= 2:
        return False  # the only process of a machine that nobody outside can signal
    if not group.stopping:
        group.stopping = signal
        for thread in group.threads.values():
            if thread is not task and not thread.halted:
                thread.interrupt()
    if task.trace is not None and task.trace.tracer is not None:
        task.halted = False
        return False  # and halts before the next signal, as its tracer is told
    halt(task)
    return True


def halt(task: LinuxTask) -> None:
    """The thread stops here, until its process goes on."""
    task.halted = True
    task.block(on=[(task.group.going_on, 1)], again=(_go_on, ()))
    if task.blocked is not None:
        task.blocked.deaf = True
    settle(task.group, task)


def _go_on(task: LinuxTask) -> None:
    task.signals.alert = True  # what came in meanwhile


def settle(group: ThreadGroup, task: LinuxTask) -> None:
    """Whether the last thread has halted by now, or has ended: then the process is stopped."""
    if not group.stopping or group.stopped or group.over:
        return
    if all(thread.halted or thread.dead or thread.leaving for thread in group.threads.values()):
        group.stopped = group.stopping
        group.told = _TOLD_STOP
        tell_parent(group, CLD_STOPPED, group.stopped)
        stop_ourselves(task.machine)


def stop_ourselves(machine: Machine) -> None:
    """Where the machine's first process is stopped, this one is, for whoever started it; it goes on when we do.

    A stop that one of its own processes sent is not ours as long as another of the job runs, which may let it go on.
    """
    first = machine.first
    if first is None or not first.stopped or first.leader.host_signals is None:
        return
    job = (one for one in machine.pids.members(first.pgid) if one is not machine.init)
    if first.stopped == SIGSTOP and not all(one.stopped or one.over for one in job):
        return
    first.leader.host_signals.stop_process(first.stopped)
    go_on(first)


def go_on(group: ThreadGroup) -> None:
    """SIGCONT has come, whatever is done about it: the process goes on, if it was stopped or is about to."""
    if not group.stopping:
        return
    was, group.stopping, group.stopped = group.stopped, 0, 0
    group.told = _TOLD_CONTINUE
    for thread in group.threads.values():
        thread.halted = False
        if thread.trace is not None:
            from ..task.trace import notified

            notified(thread)
    group.going_on.queue.wake()
    if was:
        tell_parent(group, CLD_CONTINUED, SIGCONT)
    else:
        tell_parent(group, CLD_STOPPED, 0)


def tell_parent(group: ThreadGroup, code: int, status: int) -> None:
    """SIGCHLD for a stop, or for going on, unless the parent wants none; who waits looks (do_notify_parent_cldstop)."""
    parent, trace = group.parent, group.leader.trace
    goal = next((t for t in parent.threads.values() if not t.dead), None) if parent is not None else None
    if code == CLD_STOPPED and trace is not None and trace.tracer is not None and trace.tracer.group is parent:
        return  # who is told by each thread's stop
    if goal is None:
        return
    action = goal.actions.get(SIGCHLD)
    if action.handler != SIG_IGN and not action.flags & SA_NOCLDSTOP:
        goal.signals.send(goal, tell(group, SIGCHLD, code, status))
    goal.group.changed.queue.wake()


def tell(group: ThreadGroup, signal: int, code: int, status: int) -> Info:
    """siginfo of what has become of a child: number, user, status, and the time that it used."""
    leader = group.leader
    uid = leader.creds.uid
    used = group.used if group.zombie else used_by(leader)
    times = used.user // _TICK, used.system // _TICK
    raw = pack("<iii4xiIi4xqq", signal, 0, code, group.tgid, uid, status, *times)
    return Info(signal, code, pid=group.tgid, uid=uid, raw=raw[:48])


# -- orphaned groups


def orphaned(task: LinuxTask, pgid: int, but: ThreadGroup | None = None) -> bool:
    """Whether no member of a process group has a parent in the session and outside the group, `but` not counted
    (will_become_orphaned_pgrp). The first process's parent is whoever started the machine, and does control jobs."""
    machine = task.machine
    for group in machine.pids.members(pgid):
        parent = group.parent
        if group is but or group.zombie or parent is None:
            continue
        if parent is machine.init:
            if group is machine.first and group.sid == parent.sid:
                return False
            continue
        if parent.pgid != pgid and parent.sid == group.sid:
            return False
    return True


def parted(task: LinuxTask, group: ThreadGroup, parent: ThreadGroup | None) -> None:
    """A process ends, or loses its parent: where that leaves a group with stopped members orphaned, it is hung up."""
    pgid = group.pgid
    ending = parent is None
    above = group.parent if parent is None else parent
    if above is None or above.pgid == pgid or above.sid != group.sid:
        return
    if not any(member.stopped for member in task.machine.pids.members(pgid)):
        return
    if orphaned(task, pgid, group if ending else None):
        send_group(task.machine, pgid, Info(SIGHUP, SI_KERNEL))
        send_group(task.machine, pgid, Info(SIGCONT, SI_KERNEL))
