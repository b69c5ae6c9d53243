"""Waiting for children and tracees: which of them a call means, what there is to tell, and that it is told once.
Source: wait(2), waitid(2), ptrace(2), kernel/exit.c (do_wait, wait_consider_task, wait_task_stopped).

Not here: the calls (`calls.wait`), what ends a child (`ending`), how a tracee stops (`trace`).
"""

from __future__ import annotations

import errno

from ...errors import LinuxError
from ...named import NamedTuple
from ..abi.signals import CLD_CONTINUED, CLD_STOPPED, CLD_TRAPPED, SIGCHLD, SIGCONT, ended_as
from .ending import reap, tell_end
from .usage import Usage, used_by

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .group import ThreadGroup
    from .task import LinuxTask

P_ALL, P_PID, P_PGID, P_PIDFD = range(4)
WNOHANG, WSTOPPED, WEXITED, WCONTINUED, WNOWAIT = 1, 2, 4, 8, 0x0100_0000
WNOTHREAD, WALL, WCLONE = 0x2000_0000, 0x4000_0000, 0x8000_0000
TOLD_STOP, TOLD_CONTINUE = 1, 2
"""What of `ThreadGroup.told` is still to be waited for: that it stopped, that it goes on."""
_CONTINUED = 0xFFFF


class Wanted(NamedTuple):
    """Which children are meant: a kind (P_ALL, P_PID, P_PGID) and its number, and the options of the call."""

    kind: int
    number: int
    options: int

    def names(self, pid: int, pgid: int) -> bool:
        """eligible_pid."""
        return self.kind == P_ALL or self.number == (pid if self.kind == P_PID else pgid)

    def means(self, task: LinuxTask, child: ThreadGroup) -> bool:
        """eligible_child: __WALL any, __WCLONE those that tell by another signal than SIGCHLD, else the others."""
        if not self.names(child.tgid, child.pgid) or (self.options & WNOTHREAD and child.born_of is not task):
            return False
        return bool(self.options & WALL) or (child.exit_signal != SIGCHLD) == bool(self.options & WCLONE)


class Found(NamedTuple):
    """What has become of a child. status: as wait4 stores it; code, shown: as siginfo has it."""

    pid: int
    uid: int
    status: int
    code: int
    shown: int
    usage: Usage


def look(task: LinuxTask, wanted: Wanted) -> Found | None:
    """What there is to tell of the children that are meant, the oldest first; None if there is nothing yet.

    ECHILD if there are none. What is told is taken, unless WNOWAIT.
    """
    some, group = False, task.group
    for child in group.children:
        if child.leader.trace is not None:
            meant, found = look_at_child(task, wanted, child)
            some = some or meant
        elif wanted.means(task, child):
            found = what_became(child, wanted.options)
            some = some or _lives_on(child, wanted.options)
        else:
            continue
        if found is not None:
            return found
    if group.tracees or group.gone:
        meant, found = look_at_others(task, wanted)
        some = some or meant
        if found is not None:
            return found
    if not some:
        raise LinuxError(errno.ECHILD)
    return None


def _lives_on(child: ThreadGroup, options: int) -> bool:
    """Whether there may be something to tell of a child: of one that has ended only its end (wait_consider_task)."""
    return child.status is None or bool(options & WEXITED)


def what_became(child: ThreadGroup, options: int) -> Found | None:
    leader = child.leader
    take = not options & WNOWAIT
    if child.status is not None:
        if not options & WEXITED:
            return None
        usage = Usage()
        usage.add(child.used)
        usage.add(child.waited)
        found = Found(child.tgid, leader.creds.uid, child.status, *ended_as(child.status), usage)
        if take:
            reap(child)
        return found
    if options & WSTOPPED and child.told & TOLD_STOP:
        if take:
            child.told &= ~TOLD_STOP
        status = child.stopped << 8 | 0x7F
        return Found(child.tgid, leader.creds.uid, status, CLD_STOPPED, child.stopped, used_by(leader))
    if options & WCONTINUED and child.told & TOLD_CONTINUE:
        if take:
            child.told &= ~TOLD_CONTINUE
        return Found(child.tgid, leader.creds.uid, _CONTINUED, CLD_CONTINUED, SIGCONT, used_by(leader))
    return None


# -- tracees


def traces(group: ThreadGroup, task: LinuxTask) -> bool:
    """Whether one of a process's threads traces the task."""
    trace = task.trace
    return trace is not None and trace.tracer is not None and trace.tracer.group is group


def _means(task: LinuxTask, wanted: Wanted, tid: int, pgid: int, tracer: LinuxTask | None) -> bool:
    """As with children, but whatever they tell of their end by (eligible_child)."""
    return wanted.names(tid, pgid) and (tracer is task or not wanted.options & WNOTHREAD)


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
            return _lives_on(child, options), what_became(child, options)
        found = stop_of(leader, options)
        return True, found if found is not None else what_became(child, options & ~(WEXITED | WSTOPPED))
    if not wanted.means(task, child):
        return False, None
    if trace.tracer is not None:
        return True, what_became(child, options & ~WEXITED)
    return _lives_on(child, options), what_became(child, options)


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
        from .trace import let_go

        if let_go(tracee):
            tell_end(tracee.group)
    return found


def _found(tid: int, uid: int, status: int) -> Found:
    return Found(tid, uid, status, *ended_as(status), Usage())
