"""Who has a terminal: sessions, foreground groups, and what those in the background are told. Source: tty_ioctl(4),
setsid(2), drivers/tty/tty_jobctrl.c.

Not here: what a terminal does with what is typed (`files.linedisc`), what stops and continues (`stops`).
"""

from __future__ import annotations

import errno

from ...errors import LinuxError
from ..abi.signals import SI_KERNEL, SIG_IGN, SIGCONT, SIGHUP, SIGTTIN, SIGTTOU, Info, bit
from .sending import send_group, send_process
from .state import RESTART
from .stops import orphaned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..machine import Machine
    from ..task.group import ThreadGroup
    from ..task.task import LinuxTask


class Terminal:
    """What can be a session's controlling terminal.

    device: its number. session: whose controlling terminal it is, 0 for nobody's. pgrp: the group in the foreground.
    """

    device = 0

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.session = 0
        self.pgrp = 0

    @property
    def shown_pgrp(self) -> int:
        """The foreground group as programs are told of it."""
        return self.pgrp

    def foregrounded(self) -> None:
        """Another group is in the foreground."""

    def signal(self, signal: int) -> None:
        """To the foreground group."""
        if self.pgrp:
            send_group(self.machine, self.pgrp, Info(signal, SI_KERNEL))


def check_change(task: LinuxTask, tty: Terminal, signal: int = SIGTTOU) -> None:
    """Before a terminal is read (SIGTTIN) or changed (SIGTTOU): those in the background are stopped, or fail with EIO
    where nobody could let them go on (tty_check_change)."""
    group, signals = task.group, task.signals
    if group.tty is not tty or not tty.pgrp or group.pgid == tty.pgrp:
        return
    if signals.blocked & bit(signal) or signals.actions.get(signal).handler == SIG_IGN:
        if signal == SIGTTIN:
            raise LinuxError(errno.EIO)
        return
    if orphaned(task, group.pgid):
        raise LinuxError(errno.EIO)
    send_group(task.machine, group.pgid, Info(signal, SI_KERNEL))
    signals.cut_short(RESTART, task.call_in_hand)
    task.engine.stop()
    raise LinuxError(errno.EINTR)


def leads(group: ThreadGroup) -> bool:
    """Whether a process leads its session."""
    return group.sid == group.tgid


def _take(group: ThreadGroup, tty: Terminal) -> None:
    tty.session, tty.pgrp = group.sid, group.pgid
    group.tty = tty


def opened(task: LinuxTask, tty: Terminal, *, readable: bool) -> None:
    """Who opens a terminal that is nobody's, leads a session and has none, has it from then on."""
    group = task.group
    if leads(group) and group.tty is None and not tty.session and readable:
        _take(group, tty)


def acquire(task: LinuxTask, tty: Terminal, *, readable: bool) -> None:
    """TIOCSCTTY."""
    group = task.group
    if leads(group) and tty.session == group.sid:
        return
    if not leads(group) or group.tty is not None or tty.session or not readable:
        raise LinuxError(errno.EPERM)
    _take(group, tty)


def give_up(task: LinuxTask) -> None:
    """TIOCNOTTY: of a session's leader, for the whole session."""
    if leads(task.group):
        disassociate(task.group, task.machine, on_exit=False)
    task.group.tty = None


def disassociate(group: ThreadGroup, machine: Machine, *, on_exit: bool) -> None:
    """The leader of a session parts from its terminal, or ends: who is in the foreground is hung up."""
    tty = group.tty
    if tty is None:
        if on_exit and group.old_pgrp:
            send_group(machine, group.old_pgrp, Info(SIGHUP, SI_KERNEL))
            send_group(machine, group.old_pgrp, Info(SIGCONT, SI_KERNEL))
        return
    if tty.pgrp:
        send_group(machine, tty.pgrp, Info(SIGHUP, SI_KERNEL))
        if not on_exit:
            send_group(machine, tty.pgrp, Info(SIGCONT, SI_KERNEL))
    tty.session = tty.pgrp = 0
    _clear(machine, group.sid, tty)


def _clear(machine: Machine, sid: int, tty: Terminal) -> None:
    for member in machine.pids.session(sid):
        if member.tty is tty:
            member.tty = None


def hang_up(tty: Terminal) -> None:
    """The terminal is no more: its session's leader hears of it, and nobody has it (tty_signal_session_leader)."""
    machine, sid, pgrp = tty.machine, tty.session, tty.pgrp
    tty.session = tty.pgrp = 0
    if not sid:
        return
    for member in machine.pids.session(sid):
        if member.tty is not tty:
            continue
        member.tty = None
        if leads(member):
            member.old_pgrp = pgrp
            send_process(member, Info(SIGHUP, SI_KERNEL))
            send_process(member, Info(SIGCONT, SI_KERNEL))


# -- what ioctls ask


def foreground(task: LinuxTask, tty: Terminal, *, own: bool) -> int:
    """TIOCGPGRP. own: asked of the terminal itself, which must be the caller's; else of a pty's other end."""
    if own and task.group.tty is not tty:
        raise LinuxError(errno.ENOTTY)
    return tty.shown_pgrp


def session(task: LinuxTask, tty: Terminal, *, own: bool) -> int:
    """TIOCGSID."""
    if (own and task.group.tty is not tty) or not tty.session:
        raise LinuxError(errno.ENOTTY)
    return tty.session


def require_foreground(task: LinuxTask, tty: Terminal) -> None:
    """The first half of TIOCSPGRP: ENOTTY where nobody could let the caller go on."""
    try:
        check_change(task, tty)
    except LinuxError as error:
        raise LinuxError(errno.ENOTTY) if error.errno == errno.EIO else error from None


def set_foreground(task: LinuxTask, tty: Terminal, pgrp: int) -> None:
    """TIOCSPGRP, to a group of the caller's session."""
    pids, group = task.machine.pids, task.group
    if pgrp < 0:
        raise LinuxError(errno.EINVAL)
    if group.tty is not tty or tty.session != group.sid:
        raise LinuxError(errno.ENOTTY)
    members = pids.members(pgrp)
    if not members:
        known = pgrp in pids.groups or pgrp in pids.tasks
        raise LinuxError(errno.EPERM if known else errno.ESRCH)
    if members[0].sid != group.sid:
        raise LinuxError(errno.EPERM)
    tty.pgrp = pgrp
    tty.foregrounded()
