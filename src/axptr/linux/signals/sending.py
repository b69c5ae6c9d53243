"""Sending signals to processes and groups of them: who may, and which thread takes one. Source: kill(2), signal(7),
kernel/signal.c (check_kill_permission, complete_signal, retarget_shared_pending).

Not here: what is pending and delivered (`state`), what stops and continues (`stops`).
"""

from __future__ import annotations

import errno

from ...errors import LinuxError
from ..abi.signals import SIGCONT, SIGKILL, Info, bit
from ..task.creds import CAP_KILL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..machine import Machine
    from ..task.group import ThreadGroup
    from ..task.task import LinuxTask


def require_permission(task: LinuxTask, goal: ThreadGroup, signal: int) -> None:
    """EINVAL for what is no signal; EPERM unless the task may send it: to itself, to its user's processes, to those
    over whom it has CAP_KILL, and SIGCONT within its session."""
    if not 0 <= signal <= 64:
        raise LinuxError(errno.EINVAL)
    if goal is task.group:
        return
    own = task.creds
    theirs = goal.leader.creds if hasattr(goal, "leader") else None  # not init; one that has ended keeps whose it was
    if theirs is not None and {own.uid, own.euid} & {theirs.uids[0], theirs.uids[2]}:
        return
    if own.has_over(None if theirs is None else theirs.space, CAP_KILL):
        return
    if signal == SIGCONT and goal.sid == task.group.sid:
        return
    raise LinuxError(errno.EPERM)


def send_process(goal: ThreadGroup, info: Info, first: LinuxTask | None = None) -> None:
    """Send to a process; nothing becomes of it for one that has ended. first: the thread that gets it if it can, by
    default the leader."""
    if goal.over or not goal.live:
        return
    thread = first if first is not None and not first.dead else goal.leader
    thread.signals.send(thread, info)


def send_from(task: LinuxTask, goal: ThreadGroup, info: Info, first: LinuxTask | None = None) -> None:
    """The same for a call of the task's, who must have the right. Signal 0 asks for it only."""
    require_permission(task, goal, info.signal)
    if info.signal:
        send_process(goal, info, first)


def send_all(task: LinuxTask, goals: Iterable[ThreadGroup], info: Info) -> None:
    """To each of a process group: ESRCH if there is none, an error only if none may be sent it (__kill_pgrp_info)."""
    failed = errno.ESRCH
    for goal in goals:
        try:
            send_from(task, goal, info)
        except LinuxError as error:
            failed = failed and error.errno
        else:
            failed = 0
    if failed:
        raise LinuxError(failed)


def send_group(machine: Machine, pgid: int, info: Info) -> None:
    """From the kernel itself, which may always, to a process group."""
    for goal in machine.pids.members(pgid):
        send_process(goal, info)


def takes(thread: LinuxTask, signal: int) -> bool:
    """Whether a thread is one that a signal of its process is given to (wants_signal)."""
    signals = thread.signals
    if signals.blocked & bit(signal) and not signals.waited_for & bit(signal):
        return False
    if thread.over or thread.dead:
        return False
    if signal == SIGKILL:
        return True
    if thread.halted and thread.trace is None:
        return False
    return not signals.alert or (thread.loop is not None and thread.loop.current is thread)


def choose(task: LinuxTask, signal: int, *, own: bool) -> LinuxTask | None:
    """The thread that is to look at a new signal: the one it was sent to, or another of the process; None if nobody
    takes it now."""
    if takes(task, signal):
        return task
    if own:
        return None
    return next((thread for thread in task.group.threads.values() if takes(thread, signal)), None)


def retarget(task: LinuxTask, mask: int) -> None:
    """The thread takes the signals of a mask no more: others have a look at those that are pending for the process."""
    mask &= task.group.pending.mask
    if not mask:
        return
    for thread in task.group.threads.values():
        if thread is not task and not thread.over and not thread.dead and mask & ~thread.signals.blocked:
            thread.signals.alert = True
            thread.interrupt()
            mask &= thread.signals.blocked
            if not mask:
                return
