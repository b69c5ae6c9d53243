"""ioctl(2). Source: its man page, ioctl_ficlone(2), do_vfs_ioctl of fs/ioctl.c.

Here is what is the same for every file; the rest is the file's own (`fs.host.ioctl` for those of the host).
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
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
FIBMAP, FIOQSIZE, FIDEDUPERANGE, FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR = 1, 0x5460, 0xC0189436, 0x40086602, 0x401C5820
_OF_ALL = (FIBMAP, FIGETBSZ, FIOQSIZE, FIDEDUPERANGE, FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR)
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
    if cmd in _OF_ALL:
        found = _of_all(task, file, cmd, arg)
        if found is not None:
            return found
    return file.ioctl(task, cmd, arg)


def _of_all(task: LinuxTask, file: OpenFile, command: int, argument: int) -> int | None:
    """Those that Linux itself sees to, whatever is open (do_vfs_ioctl); None for what is left to the file."""
    if command in (FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR):
        get_bytes(task, argument, 4 if command == FS_IOC_SETFLAGS else 28)
        return None
    status = file.stat(task)
    kind = stat.S_IFMT(status.st_mode)
    if command == FIDEDUPERANGE:
        get_bytes(task, argument, 24)
        code = errno.EOPNOTSUPP if kind == stat.S_IFREG else errno.EISDIR if kind == stat.S_IFDIR else errno.EINVAL
        raise LinuxError(code)
    if command == FIBMAP:
        if kind == stat.S_IFREG:
            raise LinuxError(errno.EPERM)  # which takes a capability
        return None
    if file.host_fd is not None:
        return None
    if command == FIOQSIZE:
        if kind not in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
            raise LinuxError(errno.ENOTTY)
        put_user(task, argument, (512 * status.st_blocks).to_bytes(8, "little"))
        return 0
    put_user(task, argument, (1024 if status.st_blksize == 1024 else 4096).to_bytes(4, "little"))
    return 0


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
