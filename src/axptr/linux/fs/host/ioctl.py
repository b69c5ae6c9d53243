"""ioctl on files of the host: what terminals, pipes and file systems answer. Source: ioctl_tty(2), ioctl_fiemap(2),
ioctl_iflags(2).

A request is known by its number: how many bytes it reads or writes. The host is asked itself, where its answer changes
nothing, or only what the guest may change; a terminal's modes are given back when the run is over (`terminal`).
"""

from __future__ import annotations

import errno
import fcntl
import os
from struct import Struct

from ....errors import LinuxError
from ...host import own_group
from ...signals import jobs
from ...uaccess import get_bytes, put_bytes
from .calls import host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...task.task import LinuxTask
    from .file import HostFile

TCGETS, TCSETS, TCSETSW, TCSETSF, TCSBRK, TCXONC, TCFLSH = 0x5401, 0x5402, 0x5403, 0x5404, 0x5409, 0x540A, 0x540B
TCGETA, TCSETA, TCSETAW, TCSETAF, TCSBRKP = 0x5405, 0x5406, 0x5407, 0x5408, 0x5425
TCGETS2, TCSETS2, TCSETSW2, TCSETSF2 = 0x802C542A, 0x402C542B, 0x402C542C, 0x402C542D
TIOCGPGRP, TIOCSPGRP, TIOCOUTQ, TIOCGWINSZ, TIOCSWINSZ, FIONREAD = 0x540F, 0x5410, 0x5411, 0x5413, 0x5414, 0x541B
TIOCSCTTY, TIOCNOTTY, TIOCGSID, TIOCGPTN = 0x540E, 0x5422, 0x5429, 0x80045430
FIOQSIZE, FIGETBSZ = 0x5460, 2
FIEMAP = 0xC020660B
FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, FS_IOC_GETVERSION = 0x80086601, 0x40086602, 0x80087601
FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR, FS_IOC_GETFSUUID = 0x801C581F, 0x401C5820, 0x80111500

_READS = {TCGETS: 36, TCGETA: 18, TCGETS2: 44, TIOCGPGRP: 4, TIOCOUTQ: 4, TIOCGWINSZ: 8, FIONREAD: 4, TIOCGSID: 4}
_READS |= {TIOCGPTN: 4, FIOQSIZE: 8, FIGETBSZ: 4, FS_IOC_GETFLAGS: 4, FS_IOC_GETVERSION: 4}
_READS |= {FS_IOC_FSGETXATTR: 28, FS_IOC_GETFSUUID: 17}
_MODES = {TCSETS: 36, TCSETSW: 36, TCSETSF: 36, TCSETA: 18, TCSETAW: 18, TCSETAF: 18, TIOCSWINSZ: 8}
_MODES |= {TCSETS2: 44, TCSETSW2: 44, TCSETSF2: 44}
_PLAIN = {TCSBRK, TCSBRKP, TCXONC, TCFLSH}
_DRAINING = {TCSBRK, TCSBRKP, TCSETSW, TCSETSF, TCSETAW, TCSETAF, TCSETSW2, TCSETSF2}
_ATTRIBUTES = {FS_IOC_SETFLAGS: 4, FS_IOC_FSSETXATTR: 28}

_FIEMAP = Struct("<QQIIII")
_FIEMAP_EXTENT = 56
_FIEMAP_MOST = 512
"""Extents that are told at once; a program that gets fewer than it has room for, none of them the last, asks on."""


def host_ioctl(task: LinuxTask, file: HostFile, command: int, argument: int) -> int | None:
    """Ask the host: ENOTTY for what it does not know, too."""
    fd = file.host_fd
    if command in _READS:
        answer = bytearray(max(_READS[command], 8))
        host(fcntl.ioctl, fd, command, answer, True)
        console = task.machine.console
        if command in (TIOCGPGRP, TIOCGSID) and console is not None and console.is_it(file):
            asked = jobs.foreground if command == TIOCGPGRP else jobs.session
            answer[:4] = asked(task, console, own=True).to_bytes(4, "little", signed=True)
        elif command in (TIOCGPGRP, TIOCGSID):
            group = int.from_bytes(answer[:4], "little", signed=True)
            answer[:4] = task.machine.host.shown_group(group).to_bytes(4, "little", signed=True)
        put_bytes(task, argument, bytes(answer[: _READS[command]]))
        return 0
    if command in _MODES and file.is_device:
        data = get_bytes(task, argument, _MODES[command])
        if command != TIOCSWINSZ:
            _check_change(task, file)
        if command in _DRAINING and _unsent(fd):
            return _drain(task, file, command, argument)
        host(task.machine.terminals.about_to_change, fd)
        host(fcntl.ioctl, fd, command, data)
        return 0
    if command == TIOCSPGRP and file.is_device:
        console = task.machine.console
        if console is None or not console.is_it(file):
            raise LinuxError(errno.ENOTTY)
        jobs.require_foreground(task, console)
        jobs.set_foreground(task, console, int.from_bytes(get_bytes(task, argument, 4), "little", signed=True))
        host(os.tcsetpgrp, fd, own_group())
        return 0
    if command in (TIOCSCTTY, TIOCNOTTY) and file.is_device:
        return _controlling(task, file, command)
    if command in _PLAIN and file.is_device:
        if command in _DRAINING and _unsent(fd):
            return _drain(task, file, command, argument)
        return host(fcntl.ioctl, fd, command, argument & 0x7FFF_FFFF)
    if command in _ATTRIBUTES:
        data = get_bytes(task, argument, _ATTRIBUTES[command])
        node = file.node()
        if node is None:
            raise LinuxError(errno.ENOTTY)
        node.changeable()
        host(fcntl.ioctl, fd, command, data.ljust(8, b"\0"))
        return 0
    if command == FIEMAP:
        return _fiemap(task, file, argument)
    raise LinuxError(errno.ENOTTY)


def _check_change(task: LinuxTask, file: HostFile) -> None:
    """Who is in the background of the user's terminal changes nothing of it."""
    console = task.machine.console
    if console is not None and console.is_it(file):
        jobs.check_change(task, console)


def _controlling(task: LinuxTask, file: HostFile, command: int) -> int:
    console = task.machine.console
    if console is None or not console.is_it(file):
        raise LinuxError(errno.ENOTTY if command == TIOCNOTTY else errno.EPERM)
    if command == TIOCSCTTY:
        jobs.acquire(task, console, readable=file.readable)
    elif task.group.tty is not console:
        raise LinuxError(errno.ENOTTY)
    else:
        jobs.give_up(task)
    return 0


def _unsent(fd: int) -> bool:
    """Whether a terminal has not sent all that was written to it yet."""
    return any(host(fcntl.ioctl, fd, TIOCOUTQ, bytes(4)))


def _drain(task: LinuxTask, file: HostFile, command: int, argument: int) -> int | None:
    """Wait until it has, which the host's call would do unseen (tcdrain(3))."""
    until = task.machine.host.monotonic() + 0.005
    return task.block(until=until, again=(host_ioctl, (file, command, argument)))


def _fiemap(task: LinuxTask, file: HostFile, argument: int) -> int:
    start, length, flags, _, count, reserved = _FIEMAP.unpack(get_bytes(task, argument, _FIEMAP.size))
    if count > ((1 << 32) - 1) // _FIEMAP_EXTENT:
        raise LinuxError(errno.EINVAL)
    asked = min(count, _FIEMAP_MOST)
    answer = bytearray(_FIEMAP.pack(start, length, flags, 0, asked, reserved)) + bytes(asked * _FIEMAP_EXTENT)
    try:
        host(fcntl.ioctl, file.host_fd, FIEMAP, answer, True)
    except LinuxError as error:
        if error.errno == errno.EBADR:  # says in the structure which flags it does not know
            put_bytes(task, argument, bytes(answer[: _FIEMAP.size]))
        raise
    _, _, flags, mapped, _, _ = _FIEMAP.unpack(answer[: _FIEMAP.size])
    extents = bytes(answer[_FIEMAP.size : _FIEMAP.size + min(mapped, asked) * _FIEMAP_EXTENT])
    put_bytes(task, argument + _FIEMAP.size, extents)
    put_bytes(task, argument, _FIEMAP.pack(start, length, flags, mapped, count, reserved))
    return 0
