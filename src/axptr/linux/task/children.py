"""Waiting for children: which of them a call means, what there is to tell, and that it is told once. Source: wait(2),
waitid(2), kernel/exit.c (do_wait, wait_consider_task).

Not here: the calls (`calls.wait`), what ends a child (`ending`).
"""

from __future__ import annotations

import errno

from ...errors import LinuxError
from ...named import NamedTuple
from ..abi.signals import CLD_CONTINUED, CLD_DUMPED, CLD_EXITED, CLD_KILLED, CLD_STOPPED, SIGCHLD, SIGCONT
from .ending import reap
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

    def means(self, task: LinuxTask, child: ThreadGroup) -> bool:
        """eligible_child: __WALL any, __WCLONE those that tell by another signal than SIGCHLD, else the others."""
        if self.kind == P_PID and child.tgid != self.number:
            return False
        if self.kind == P_PGID and child.pgid != self.number:
            return False
        if self.options & WNOTHREAD and child.born_of is not task:
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
            from .tracees import look_at_child

            meant, found = look_at_child(task, wanted, child)
            if not meant:
                continue
        elif wanted.means(task, child):
            found = what_became(child, wanted.options)
        else:
            continue
        some = True
        if found is not None:
            return found
    if group.tracees or group.gone:
        from .tracees import look_at_others

        meant, found = look_at_others(task, wanted)
        some = some or meant
        if found is not None:
            return found
    if not some:
        raise LinuxError(errno.ECHILD)
    return None


def what_became(child: ThreadGroup, options: int) -> Found | None:
    leader = child.leader
    take = not options & WNOWAIT
    if child.status is not None:
        if not options & WEXITED:
            return None
        usage = Usage()
        usage.add(child.used)
        usage.add(child.waited)
        status = child.status
        code, shown = (
            (CLD_DUMPED if status & 0x80 else CLD_KILLED, status & 0x7F) if status & 0x7F else (CLD_EXITED, status >> 8)
        )
        if take:
            reap(child)
        return Found(child.tgid, leader.creds.uid, status, code, shown, usage)
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
