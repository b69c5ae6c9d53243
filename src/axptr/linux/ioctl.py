"""ioctl: what terminals, pipes and files answer. Source: ioctl_tty(2), ioctl(2).

A request is known by its number: how many bytes it reads or writes. Terminals of the host are asked themselves.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ..errors import LinuxError
from ..kernel.abi import c_uint, c_ulong
from .hostio import host
from .openfile import O_NONBLOCK
from .registry import syscall
from .uaccess import get_bytes, put_bytes

if TYPE_CHECKING:
    from .hostfile import HostFile
    from .task import LinuxTask

TCGETS, TCSETS, TCSETSW, TCSETSF, TCSBRK, TCXONC, TCFLSH = 0x5401, 0x5402, 0x5403, 0x5404, 0x5409, 0x540A, 0x540B
TIOCGPGRP, TIOCSPGRP, TIOCOUTQ, TIOCGWINSZ, TIOCSWINSZ, FIONREAD = 0x540F, 0x5410, 0x5411, 0x5413, 0x5414, 0x541B
FIONBIO, FIONCLEX, FIOCLEX, FIOASYNC, TIOCGSID, TIOCGPTN = 0x5421, 0x5450, 0x5451, 0x5452, 0x5429, 0x80045430
FICLONE = 0x40049409

_READS = {TCGETS: 36, TIOCGPGRP: 4, TIOCOUTQ: 4, TIOCGWINSZ: 8, FIONREAD: 4, TIOCGSID: 4, TIOCGPTN: 4}
_WRITES = {TCSETS: 36, TCSETSW: 36, TCSETSF: 36, TIOCSWINSZ: 8, TIOCSPGRP: 4}
_PLAIN = {TCSBRK, TCXONC, TCFLSH}


@syscall(16, "ioctl")
def sys_ioctl(task: LinuxTask, fd: c_uint, cmd: c_uint, arg: c_ulong) -> int:
    file = task.files.get_io(fd)
    if cmd in (FIOCLEX, FIONCLEX):
        task.files.set_cloexec(fd, cmd == FIOCLEX)
        return 0
    if cmd == FIONBIO:
        from .files import F_SETFL, sys_fcntl

        on = any(get_bytes(task, arg, 4))
        flags = file.flags | O_NONBLOCK if on else file.flags & ~O_NONBLOCK
        sys_fcntl(task, fd, F_SETFL, flags)
        return 0
    return file.ioctl(task, cmd, arg)


def host_ioctl(task: LinuxTask, file: HostFile, command: int, argument: int) -> int:
    """Ask the host: ENOTTY for what it does not know, too."""
    import fcntl

    if command in _READS:
        answer = bytearray(_READS[command])
        host(fcntl.ioctl, file.host_fd, command, answer, True)
        put_bytes(task, argument, bytes(answer))
        return 0
    if command in _WRITES:
        if not file.kind == 0o020000:
            raise LinuxError(errno.ENOTTY)
        data = get_bytes(task, argument, _WRITES[command])
        host(fcntl.ioctl, file.host_fd, command, data)
        return 0
    if command in _PLAIN:
        return host(fcntl.ioctl, file.host_fd, command, argument & 0x7FFF_FFFF)
    if command == FICLONE:
        raise LinuxError(errno.EOPNOTSUPP)
    raise LinuxError(errno.ENOTTY)
