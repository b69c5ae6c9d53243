"""What waits tell of tracees, and of their ends. Source: kernel/exit.c (wait_consider_task, wait_task_stopped,
exit_notify), ptrace(2).

Not here: other children (`children`), how a tracee stops (`trace`).
"""

from __future__ import annotations

from ...named import NamedTuple
from ..abi.signals import CLD_TRAPPED, SIGCHLD
from .children import P_ALL, P_PGID, P_PID, WEXITED, WNOTHREAD, WNOWAIT, WSTOPPED, Found, what_became
from .trace import let_go, tell_tracer
from .usage import Usage, used_by

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .children import Wanted
    from .group import ThreadGroup
    from .task import LinuxTask


class Gone(NamedTuple):
    """A thread, not the first of its process, that was traced and has ended: its tracer is to wait for it."""

    tid: int
    pgid: int
    uid: int
    status: int
    tracer: LinuxTask


def traces(group: ThreadGroup, task: LinuxTask) -> bool:
    """Whether one of a process's threads traces the task."""
    trace = task.trace
    return trace is not None and trace.tracer is not None and trace.tracer.group is group


def _means(task: LinuxTask, wanted: Wanted, tid: int, pgid: int, tracer: LinuxTask | None) -> bool:
    """As with children, but whatever they tell of their end by (eligible_child)."""
    if wanted.options & WNOTHREAD and tracer is not task:
        return False
    if wanted.kind == P_PID:
        return tid == wanted.number
    return wanted.kind == P_ALL or (wanted.kind == P_PGID and pgid == wanted.number)


def stop_of(tracee: LinuxTask, options: int) -> Found | None:
    """The stop that a tracee stands in, if it was not told."""
    trace = tracee.trace
    if trace is None or not trace.stopped or not trace.code or trace.listening:
        return None
    code = trace.code
    if not options & WNOWAIT:
        trace.code = 0
    return Found(tracee.tid, tracee.creds.uid, code << 8 | 0x7F, CLD_TRAPPED, code, used_by(tracee))


def look_at_child(task: LinuxTask, wanted: Wanted, child: ThreadGroup) -> tuple[bool, Found | None]:
    """A child that somebody traces, or has: whether it is meant, and what there is to tell. What it comes to is told
    to its tracer first."""
    leader, options = child.leader, wanted.options
    trace = leader.trace
    assert trace is not None
    if traces(task.group, leader):
        if not _means(task, wanted, leader.tid, child.pgid, trace.tracer):
            return False, None
        if leader.dead:
            return True, what_became(child, options)
        found = stop_of(leader, options)
        return True, found if found is not None else what_became(child, options & ~(WEXITED | WSTOPPED))
    if not wanted.means(task, child):
        return False, None
    if trace.tracer is not None:
        options &= ~WEXITED
    return True, what_became(child, options)


def look_at_others(task: LinuxTask, wanted: Wanted) -> tuple[bool, Found | None]:
    """Those tracees that are no children: whether some are meant, and what there is to tell."""
    group, some = task.group, False
    for tracee in list(group.tracees or ()):
        trace, of = tracee.trace, tracee.group
        if trace is None or (tracee is of.leader and of.parent is group):
            continue
        if tracee.dead and not trace.held and tracee is not of.leader:
            continue
        if not _means(task, wanted, tracee.tid, of.pgid, trace.tracer):
            continue
        some = True
        found = _end_of(tracee, wanted.options) if trace.held else stop_of(tracee, wanted.options)
        if found is not None:
            return True, found
    for gone in list(group.gone):
        if not _means(task, wanted, gone.tid, gone.pgid, gone.tracer):
            continue
        some = True
        if wanted.options & WEXITED:
            if not wanted.options & WNOWAIT:
                group.gone.remove(gone)
            return True, _found(gone.tid, gone.uid, gone.status)
    return some, None


def _end_of(tracee: LinuxTask, options: int) -> Found | None:
    if not options & WEXITED:
        return None
    found = _found(tracee.tid, tracee.creds.uid, tracee.group.status or 0)
    if not options & WNOWAIT:
        let_go(tracee)
    return found


def _found(tid: int, uid: int, status: int) -> Found:
    from .ending import ended_as

    return Found(tid, uid, status, *ended_as(status), Usage())


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
    from .ending import ended_as

    tell_tracer(task, *ended_as(status))
    trace.tracer = None


def holds_end(group: ThreadGroup) -> bool:
    """Whether somebody else than the parent traces a process that has ended, and is to be told before the parent."""
    leader = group.leader
    trace, parent = leader.trace, group.parent
    if trace is None or trace.tracer is None:
        return False
    tracer = trace.tracer.group
    if tracer is parent:
        tracer.tracees.pop(leader, None)  # type: ignore[union-attr]
        return False
    if not trace.held:
        trace.held = True
        from .ending import child_info

        trace.tracer.signals.send(trace.tracer, child_info(group, SIGCHLD))
        tracer.changed.queue.wake()
    return True
