"""ioctl(2). Source: its man page, ioctl_ficlone(2), do_vfs_ioctl of fs/ioctl.c.

Here is what is the same for every file; the rest is the file's own (`fs.host.ioctl` for those of the host).
"""

from __future__ import annotations

import errno
import fcntl
import os
from struct import Struct

from ...errors import LinuxError
from ...kernel.abi import c_uint, c_ulong
from ..fs.host.calls import host
from ..fs.openfile import O_NONBLOCK, OpenFile
from ..registry import call
from ..uaccess import get_bytes, put_user

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

FIONBIO, FIONCLEX, FIOCLEX, FIOASYNC, FIGETBSZ = 0x5421, 0x5450, 0x5451, 0x5452, 2
FICLONE, FICLONERANGE = 0x40049409, 0x4020940D
_CLONE_RANGE = Struct("<qQQQ")


@call("ioctl")
def sys_ioctl(task: LinuxTask, fd: c_uint, cmd: c_uint, arg: c_ulong) -> int | None:
    file = task.files.get_io(fd)
    if cmd in (FIOCLEX, FIONCLEX):
        task.files.set_cloexec(fd, cmd == FIOCLEX)
        return 0
    if cmd in (FIONBIO, FIOASYNC):
        from ..files.sigio import O_ASYNC
        from .files import set_flags

        bit = O_NONBLOCK if cmd == FIONBIO else O_ASYNC
        on = any(get_bytes(task, arg, 4))
        if cmd == FIOASYNC and on and not file.asynchronous:
            raise LinuxError(errno.ENOTTY)
        set_flags(task, fd, file, file.flags | bit if on else file.flags & ~bit)
        return 0
    if cmd in (FICLONE, FICLONERANGE):
        return _clone(task, file, cmd, arg)
    if cmd == FIGETBSZ and file.host_fd is None:
        put_user(task, arg, (4096).to_bytes(4, "little"))
        return 0
    return file.ioctl(task, cmd, arg)


def _clone(task: LinuxTask, goal: OpenFile, command: int, argument: int) -> int:
    """Share blocks between files, where the host's file system can."""
    rest: list[int] = []
    if command == FICLONE:
        number = argument & 0xFFFF_FFFF
    else:
        number, *rest = _CLONE_RANGE.unpack(get_bytes(task, argument, _CLONE_RANGE.size))
    source = task.files.get_io(number)
    if (source.pipe is None) != (goal.pipe is None):
        raise LinuxError(errno.EXDEV)
    source.before_host(task)
    goal.before_host(task)
    with source.end(os.O_RDONLY) as reader, goal.end(os.O_WRONLY) as writer:
        if command == FICLONE:
            host(fcntl.ioctl, writer, FICLONE, reader)
        else:
            host(fcntl.ioctl, writer, FICLONERANGE, _CLONE_RANGE.pack(reader, *rest))
    goal.after_host(task)
    return 0
