"""Signals for what comes to open files: O_ASYNC, F_SETOWN, F_SETSIG, and SIGURG of sockets. Source: fcntl(2),
fs/fcntl.c (send_sigio, f_modown) of Linux 6.18.

Not here: the host's own descriptors, of which nothing is told but to who waits or polls.
"""

from __future__ import annotations

import errno
import os
from struct import pack

from ...errors import LinuxError
from ...kernel.wait import Watch
from ..abi.signals import SI_KERNEL, SIGBUS, SIGCHLD, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP, Info

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..fs.openfile import OpenFile
    from ..machine import Machine
    from ..task.group import ThreadGroup
    from ..task.task import LinuxTask

O_ASYNC = os.O_ASYNC
F_OWNER_TID, F_OWNER_PID, F_OWNER_PGRP = range(3)
SIGIO, SIGURG = 29, 23
POLL_IN, POLL_OUT, POLL_MSG, POLL_ERR, POLL_PRI, POLL_HUP = range(1, 7)
_BANDS = {POLL_IN: 0x41, POLL_OUT: 0x304, POLL_MSG: 0x441, POLL_ERR: 8, POLL_PRI: 0x82, POLL_HUP: 0x18}
_SI_SIGIO = -5
_HAVE_CODES = (SIGILL, SIGFPE, SIGSEGV, SIGBUS, SIGTRAP, SIGCHLD, SIGSYS)
"""Signals whose codes say something else (sig_specific_sicodes)."""
_IN, _PRI, _OUT, _ERR, _HUP = 1, 2, 4, 8, 16
_ALL = (1 << 64) - 1


def set_owner(task: LinuxTask, file: OpenFile, kind: int, number: int) -> None:
    """Say who is to be signalled: a thread, a process, a process group; nobody by number 0. ESRCH if there is none."""
    pids = task.machine.pids
    known = pids.tasks if kind == F_OWNER_TID else pids.groups
    if number and not (pids.members(number) if kind == F_OWNER_PGRP else number in known):
        raise LinuxError(errno.ESRCH)
    file.owner = (kind, number)
    file.owner_uids = task.creds.uids[:2] if number else (0, 0)
    follow(task, file)


def owner_named(who: int) -> tuple[int, int]:
    """Kind and number of whom F_SETOWN and FIOSETOWN name: a process, by its negative a group. EINVAL."""
    if who == -(1 << 31):
        raise LinuxError(errno.EINVAL)
    return (F_OWNER_PGRP, -who) if who < 0 else (F_OWNER_PID, who)


def owner_of(task: LinuxTask, file: OpenFile) -> tuple[int, int]:
    """Who is to be signalled: kind and number, 0 for one that is no more."""
    kind, number = file.owner
    pids = task.machine.pids
    if kind == F_OWNER_PGRP:
        there = bool(pids.members(number))
    else:
        there = number in (pids.tasks if kind == F_OWNER_TID else pids.groups)
    return kind, number if there else 0


def follow(task: LinuxTask, file: OpenFile, fd: int | None = None) -> None:
    """Watch a file, or watch it no more, after a change of its flags or owner. fd: under which descriptor that is told;
    None for the one that was said last."""
    notice, wanted = file.notice, bool(file.flags & O_ASYNC and file.asynchronous)
    if notice is not None:
        notice.forget()
    if file.poll_fd is not None or not (wanted or (file.urgent and file.owner[1])):
        return
    if notice is None:
        notice = file.notice = Notice(task.machine, file)
        file.watchers.append(notice)
    if fd is not None:
        notice.fd = fd
    file.queue.add(notice, _ALL)
    if file.pipe is not None and file.writable:
        file.pipe.notices += (notice,)


class Notice(Watch):
    """Who hears of a file's events by signals: Linux' fasync_struct. The machine's thread alone uses it; fork and exec
    leave it with the open file, a snapshot has plain data.
    """

    def __init__(self, machine: Machine, file: OpenFile) -> None:
        super().__init__(None)
        self.machine = machine
        self.file = file
        self.fd = 0

    def wake(self, events: int) -> bool:
        file = self.file
        if events != _ALL and events & _PRI and file.urgent:
            for goal, thread in _goals(self.machine, file):
                _send(goal, thread, Info(SIGURG, SI_KERNEL))
        if file.flags & O_ASYNC:
            reason = self._reason(events)
            if reason:
                signal_owner(self.machine, file, reason, self.fd)
        return False

    def _reason(self, events: int) -> int:
        """What is told of these events; 0 for nothing. Of room tells whoever takes something out of a pipe (`room`); of
        sockets and terminals it is told to those alone who found none, of which nothing is known."""
        file = self.file
        if events == _ALL:
            events = file.ready(_ALL & 0xFFFF)
            if file.pipe is not None:
                return POLL_OUT if file.writable else POLL_IN
        if events & _HUP:  # of a terminal that hangs up nobody hears any more (__tty_hangup)
            return POLL_HUP if file.urgent else 0
        if events & _PRI and file.urgent:
            return POLL_PRI
        if events & _IN:
            return POLL_IN if file.readable else 0
        return POLL_ERR if events & _ERR else 0

    def room(self) -> None:
        """Somebody has taken something out."""
        if self.file.flags & O_ASYNC:
            signal_owner(self.machine, self.file, POLL_OUT, self.fd)

    def forget(self) -> None:
        """The file is closed for good, or nobody is to hear of it for now."""
        self.file.queue.remove(self)
        if self.file.pipe is not None:
            self.file.pipe.notices = tuple(other for other in self.file.pipe.notices if other is not self)


def signal_owner(machine: Machine, file: OpenFile, reason: int, fd: int) -> None:
    """Send what F_SETSIG said, or SIGIO: with the reason and the descriptor, as long as there is room for that."""
    for goal, thread in _goals(machine, file):
        if file.signal:
            code = _SI_SIGIO if file.signal != SIGIO and file.signal in _HAVE_CODES else reason
            raw = pack("<iii4xqi", file.signal, 0, code, _BANDS[reason], fd).ljust(48, b"\0")
            try:
                _send(goal, thread, Info(file.signal, code, raw=raw))
                continue
            except LinuxError:  # too many are pending
                pass
        _send(goal, thread, Info(SIGIO, SI_KERNEL))


def _send(goal: ThreadGroup, thread: LinuxTask | None, info: Info) -> None:
    if goal.over or not goal.live:
        return
    if thread is not None:
        thread.signals.send(thread, info, own=True)
    else:
        goal.leader.signals.send(goal.leader, info)


def _goals(machine: Machine, file: OpenFile) -> Iterator[tuple[ThreadGroup, LinuxTask | None]]:
    """Processes, or the thread in one, that who said it may signal (sigio_perm)."""
    kind, number = file.owner
    if not number:
        return
    found: list[tuple[ThreadGroup, LinuxTask | None]] = []
    if kind == F_OWNER_PGRP:
        found = [(group, None) for group in machine.pids.members(number)]
    elif kind == F_OWNER_TID:
        thread = machine.tasks.get(number)
        found = [(thread.group, thread)] if thread is not None and not thread.dead else []
    elif number in machine.pids.groups:
        found = [(machine.pids.groups[number], None)]
    uid, euid = file.owner_uids
    for group, thread in found:
        theirs = group.leader.creds.uids
        if euid == 0 or {uid, euid} & {theirs[0], theirs[2]}:
            yield group, thread
