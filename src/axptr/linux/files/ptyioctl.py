"""ioctl on the ends of a pty. Source: ioctl_tty(2), TIOCPKT of ioctl_tty(2), drivers/tty/tty_ioctl.c, tty_io.c, pty.c,
n_tty.c. Asked of the master, most of them mean the slave."""

from __future__ import annotations

import errno
import os

from ...errors import LinuxError
from ..abi.signals import SI_KERNEL, SIGINT, SIGQUIT, SIGTSTP, SIGWINCH, Info
from ..signals import jobs
from ..signals.sending import send_group
from ..uaccess import get_bytes, put_bytes
from .termios import CLOCAL, VSTART, VSTOP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..task.task import LinuxTask
    from .pty import MasterFile, Pty, PtyFile

TCGETS, TCSETS, TCSETSW, TCSETSF, TCGETA, TCSETA, TCSETAW, TCSETAF, TCSBRK, TCXONC, TCFLSH = range(0x5401, 0x540C)
TIOCEXCL, TIOCNXCL, TIOCSCTTY, TIOCGPGRP, TIOCSPGRP, TIOCOUTQ, TIOCSTI, TIOCGWINSZ, TIOCSWINSZ = range(0x540C, 0x5415)
TIOCGSOFTCAR, TIOCSSOFTCAR, FIONREAD, TIOCCONS, TIOCPKT = 0x5419, 0x541A, 0x541B, 0x541D, 0x5420
TIOCNOTTY, TIOCSETD, TIOCGETD, TCSBRKP = range(0x5422, 0x5426)
TIOCSBRK, TIOCCBRK, TIOCGSID = range(0x5427, 0x542A)
TCGETS2, TCSETS2, TCSETSW2, TCSETSF2 = 0x802C542A, 0x402C542B, 0x402C542C, 0x402C542D
TIOCGPTN, TIOCSPTLCK, TIOCGDEV, TIOCSIG, TIOCGPKT, TIOCGPTLCK, TIOCGEXCL, TIOCGPTPEER = (
    0x80045430, 0x40045431, 0x80045432, 0x40045436, 0x80045438, 0x80045439, 0x80045440, 0x5441,
)  # fmt: skip
TIOCVHANGUP, TIOCGLCKTRMIOS, TIOCSLCKTRMIOS = 0x5437, 0x5456, 0x5457
_GET = {TCGETS: 36, TCGETA: 18, TCGETS2: 44}
_SET = {TCSETS: 36, TCSETSW: 36, TCSETA: 18, TCSETAW: 18, TCSETS2: 44, TCSETSW2: 44}
_SET_FLUSHED = {TCSETSF: 36, TCSETAF: 18, TCSETSF2: 44}
_EMPTY = (TCSBRK, TCSBRKP, TIOCSBRK)


def pty_ioctl(task: LinuxTask, file: PtyFile, command: int, argument: int) -> int | None:
    """ENOTTY for what neither end knows; of a terminal that was hung up nothing is known."""
    pty = file.pty
    if file.hung_up:
        raise LinuxError(errno.ENOTTY if command == TIOCSPGRP else errno.EIO)
    if file.is_master and command in _MASTER:
        return _MASTER[command](task, pty, argument)
    if file.is_master and command == TIOCGPTPEER:
        return _peer(task, file, argument)  # type: ignore[arg-type]
    if command in _GET:
        put_bytes(task, argument, pty.discipline.termios.pack(_GET[command]))
        return 0
    if command in _SET or command in _SET_FLUSHED:
        return _set_modes(task, pty, command, argument)
    if command in _EMPTY:
        jobs.check_change(task, pty)
        return 0
    handler = _BOTH.get(command)
    if handler is None:
        raise LinuxError(errno.ENOTTY)
    return handler(task, file, argument)


def _put(task: LinuxTask, address: int, number: int) -> int:
    put_bytes(task, address, (number & 0xFFFF_FFFF).to_bytes(4, "little"))
    return 0


def _get(task: LinuxTask, address: int) -> int:
    return int.from_bytes(get_bytes(task, address, 4), "little", signed=True)


# -- modes


def _set_modes(task: LinuxTask, pty: Pty, command: int, argument: int) -> int:
    jobs.check_change(task, pty)
    size = _SET.get(command) or _SET_FLUSHED[command]
    modes = pty.discipline.termios.changed(get_bytes(task, argument, size))
    if command in _SET_FLUSHED:
        pty.flush_typed()
    pty.set_termios(modes)
    pty.take_in()
    return 0


# -- of both ends


def _window(task: LinuxTask, file: PtyFile, argument: int) -> int:
    put_bytes(task, argument, file.pty.winsize)
    return 0


def _set_window(task: LinuxTask, file: PtyFile, argument: int) -> int:
    pty, size = file.pty, get_bytes(task, argument, 8)
    if size != pty.winsize:
        pty.winsize = size
        jobs.Terminal.signal(pty, SIGWINCH)
    return 0


def _waiting_bytes(task: LinuxTask, file: PtyFile, argument: int) -> int:
    pty = file.pty
    there = min(len(pty.shown), 4095) if file.is_master else pty.discipline.readable
    return _put(task, argument, there)


def _flush(task: LinuxTask, file: PtyFile, argument: int) -> int:
    pty = file.pty
    jobs.check_change(task, pty)
    if argument not in (0, 1, 2):
        raise LinuxError(errno.EINVAL)
    master = file.is_master
    if argument in (0, 2):
        if master:
            pty.shown.clear()
            pty.to_slave.wake()
        else:
            pty.flush_typed()
    if argument in (1, 2):
        if master:
            pty.typed_ahead.clear()
        else:
            pty.drop_shown()
    return 0


def _flow_control(task: LinuxTask, file: PtyFile, argument: int) -> int:
    pty = file.pty
    jobs.check_change(task, pty)
    if argument == 0:  # TCOOFF
        pty.stop()
        pty.held = True
    elif argument == 1:  # TCOON
        if pty.held:
            pty.held = False
            pty.start()
    elif argument in (2, 3):  # the other end is told by its character
        c = pty.discipline.termios.cc[VSTOP if argument == 2 else VSTART]
        if c:
            pty.show(bytes((c,)))
    else:
        raise LinuxError(errno.EINVAL)
    return 0


def _exclusive(on: bool) -> Callable[[LinuxTask, PtyFile, int], int]:
    def set_it(task: LinuxTask, file: PtyFile, argument: int) -> int:
        file.pty.exclusive = on
        return 0

    return set_it


def _controlling(task: LinuxTask, file: PtyFile, argument: int) -> int:
    if file.is_master:
        raise LinuxError(errno.EPERM)
    jobs.acquire(task, file.pty, readable=file.readable)
    return 0


def _no_terminal(task: LinuxTask, file: PtyFile, argument: int) -> int:
    if task.group.tty is not file.pty or file.is_master:
        raise LinuxError(errno.ENOTTY)
    jobs.give_up(task)
    return 0


def _foreground(task: LinuxTask, file: PtyFile, argument: int) -> int:
    return _put(task, argument, jobs.foreground(task, file.pty, own=not file.is_master))


def _set_foreground(task: LinuxTask, file: PtyFile, argument: int) -> int:
    jobs.require_foreground(task, file.pty)
    jobs.set_foreground(task, file.pty, _get(task, argument))
    return 0


def _session(task: LinuxTask, file: PtyFile, argument: int) -> int:
    return _put(task, argument, jobs.session(task, file.pty, own=not file.is_master))


def _set_discipline(task: LinuxTask, file: PtyFile, argument: int) -> int:
    """There is the one."""
    jobs.check_change(task, file.pty)
    if _get(task, argument):
        raise LinuxError(errno.EINVAL)
    return 0


def _tell_exclusive(task: LinuxTask, file: PtyFile, argument: int) -> int:
    return _put(task, argument, file.pty.exclusive)


def _tell_local(task: LinuxTask, file: PtyFile, argument: int) -> int:
    return _put(task, argument, bool(file.pty.discipline.termios.cflag & CLOCAL))


def _tell_device(task: LinuxTask, file: PtyFile, argument: int) -> int:
    return _put(task, argument, file.pty.device)


def _tell_zero(task: LinuxTask, file: PtyFile, argument: int) -> int:
    """Nothing is on its way out; there is one line discipline."""
    return _put(task, argument, 0)


def _simulate(task: LinuxTask, file: PtyFile, argument: int) -> int:
    """To type in somebody's place takes a capability (legacy_tiocsti)."""
    raise LinuxError(errno.EIO)


def _tell_locked(task: LinuxTask, file: PtyFile, argument: int) -> int:
    """Which modes are locked, as struct termios: none ever."""
    put_bytes(task, argument, bytes(_GET[TCGETS]))
    return 0


def _not_permitted(task: LinuxTask, file: PtyFile, argument: int) -> int:
    """What takes CAP_SYS_ADMIN, which nobody has."""
    raise LinuxError(errno.EPERM)


_BOTH: dict[int, Callable[[LinuxTask, PtyFile, int], int | None]] = {
    TIOCGWINSZ: _window,
    TIOCSWINSZ: _set_window,
    FIONREAD: _waiting_bytes,
    TCFLSH: _flush,
    TCXONC: _flow_control,
    TIOCEXCL: _exclusive(True),
    TIOCNXCL: _exclusive(False),
    TIOCGEXCL: _tell_exclusive,
    TIOCSCTTY: _controlling,
    TIOCNOTTY: _no_terminal,
    TIOCGPGRP: _foreground,
    TIOCSPGRP: _set_foreground,
    TIOCGSID: _session,
    TIOCOUTQ: _tell_zero,
    TIOCGETD: _tell_zero,
    TIOCSETD: _set_discipline,
    TIOCCBRK: lambda task, file, at: 0,
    TIOCSTI: _simulate,
    TIOCGDEV: _tell_device,
    TIOCGSOFTCAR: _tell_local,
    TIOCCONS: _not_permitted,
    TIOCVHANGUP: _not_permitted,
    TIOCGLCKTRMIOS: _tell_locked,
    TIOCSLCKTRMIOS: _not_permitted,
}


# -- of the master alone


def _lock(task: LinuxTask, pty: Pty, argument: int) -> int:
    pty.locked = _get(task, argument) != 0
    return 0


def _packets(task: LinuxTask, pty: Pty, argument: int) -> int:
    on = _get(task, argument) != 0
    if on and not pty.packet:
        pty.status = 0
    pty.packet = on
    return 0


def _signal(task: LinuxTask, pty: Pty, argument: int) -> int:
    if argument not in (SIGINT, SIGQUIT, SIGTSTP):
        raise LinuxError(errno.EINVAL)
    if pty.pgrp:
        send_group(task.machine, pty.pgrp, Info(argument, SI_KERNEL))
    return 0


def _tell_number(task: LinuxTask, pty: Pty, argument: int) -> int:
    return _put(task, argument, pty.number)


def _tell_lock(task: LinuxTask, pty: Pty, argument: int) -> int:
    return _put(task, argument, pty.locked)


def _tell_packets(task: LinuxTask, pty: Pty, argument: int) -> int:
    return _put(task, argument, pty.packet)


def _peer(task: LinuxTask, file: MasterFile, argument: int) -> int:
    """The slave, whatever is mounted at its name."""
    argument = task.layouts.open_flags(argument)
    opened = file.peer(task, argument & ~os.O_CLOEXEC)
    return task.files.add(opened, cloexec=bool(argument & os.O_CLOEXEC))


_MASTER: dict[int, Callable[[LinuxTask, Pty, int], int]] = {
    TIOCGPTN: _tell_number,
    TIOCSPTLCK: _lock,
    TIOCGPTLCK: _tell_lock,
    TIOCPKT: _packets,
    TIOCGPKT: _tell_packets,
    TIOCSIG: _signal,
}
