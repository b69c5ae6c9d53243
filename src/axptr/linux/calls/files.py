"""Descriptors: close, dup, fcntl, pipe. Source: close(2), dup(2), fcntl(2), pipe(2). Opening is `opening`."""

from __future__ import annotations

import errno
import os
from struct import pack

from ...errors import LinuxError
from ...kernel.abi import c_int, c_uint, c_ulong
from ..fs.openfile import (
    O_APPEND,
    O_DIRECT,
    O_NONBLOCK,
    O_PATH,
    OpenFile,
)
from ..fs.permissions import require_owner
from ..registry import call
from ..uaccess import Bytes, ConstBytes, put_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

O_ASYNC, O_NOATIME = os.O_ASYNC, os.O_NOATIME
CLOSE_RANGE_UNSHARE, CLOSE_RANGE_CLOEXEC = 2, 4
_LOCK_COMMANDS = frozenset({5, 6, 7, 36, 37, 38})
"""F_GETLK, F_SETLK, F_SETLKW, and the same of open file descriptions."""
_SETTABLE = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME  # what F_SETFL may change; O_ASYNC where it means something


@call("close")
def sys_close(task: LinuxTask, fd: c_uint) -> int:
    task.files.close(fd)
    return 0


@call("close_range")
def sys_close_range(task: LinuxTask, first: c_uint, last: c_uint, flags: c_uint) -> int:
    if first > last or flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC):
        raise LinuxError(errno.EINVAL)
    if flags & CLOSE_RANGE_UNSHARE:
        task.unshare_files()
    for fd in task.files.descriptors():
        if first <= fd <= last:
            if flags & CLOSE_RANGE_CLOEXEC:
                task.files.set_cloexec(fd, True)
            else:
                task.files.close(fd)
    return 0


@call("dup")
def sys_dup(task: LinuxTask, fd: c_uint) -> int:
    return task.files.add(task.files.get(fd))


@call("dup2")
def sys_dup2(task: LinuxTask, oldfd: c_uint, newfd: c_uint) -> int:
    file = task.files.get(oldfd)
    if oldfd != newfd:
        task.files.place(newfd, file)
    return newfd


@call("dup3")
def sys_dup3(task: LinuxTask, oldfd: c_uint, newfd: c_uint, flags: c_int) -> int:
    if flags & ~os.O_CLOEXEC or oldfd == newfd:
        raise LinuxError(errno.EINVAL)
    file = task.files.get(oldfd)
    task.files.place(newfd, file, cloexec=bool(flags & os.O_CLOEXEC))
    return newfd


F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL = range(5)
F_NOTIFY = 1026
F_DUPFD_QUERY, F_CREATED_QUERY, F_DUPFD_CLOEXEC = 1027, 1028, 1030
F_SETPIPE_SZ, F_GETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS = range(1031, 1035)


@call("fcntl")
def sys_fcntl(task: LinuxTask, fd: c_uint, cmd: c_uint, arg: c_ulong) -> int | None:
    files = task.files
    file = files.get(fd)
    if cmd in (F_DUPFD, F_DUPFD_CLOEXEC):
        lowest = arg & 0xFFFF_FFFF
        if lowest >= files.limit:
            raise LinuxError(errno.EINVAL)
        return files.add(file, cloexec=cmd == F_DUPFD_CLOEXEC, lowest=lowest)
    if cmd == F_GETFD:
        return int(files.cloexec(fd))
    if cmd == F_SETFD:
        files.set_cloexec(fd, bool(arg & 1))
        return 0
    if cmd == F_GETFL:
        return task.layouts.open_flags(file.flags if file.flags & O_PATH else file.flags | file.large)
    if cmd == F_DUPFD_QUERY:
        return int(files.get(arg & 0xFFFF_FFFF) is file)
    if cmd == F_CREATED_QUERY:
        return int(file.created)
    if file.flags & O_PATH:
        raise LinuxError(errno.EBADF)
    if cmd == F_SETFL:
        arg = task.layouts.open_flags(arg)
        if arg & O_NOATIME & ~file.flags and (node := file.node()) is not None:
            require_owner(task, node)
        set_flags(task, fd, file, arg)
        return 0
    if cmd in _LOCK_COMMANDS:
        from .locks import record_lock

        return record_lock(task, file, cmd, arg)
    if cmd in (F_SETPIPE_SZ, F_GETPIPE_SZ):
        return file.pipe_size(task, arg & 0xFFFF_FFFF if cmd == F_SETPIPE_SZ else None)
    if cmd in (F_ADD_SEALS, F_GET_SEALS):
        return file.seals(task, arg & 0xFFFF_FFFF if cmd == F_ADD_SEALS else None)
    if cmd == F_NOTIFY:
        from ..files.dnotify import notify

        return notify(task, file, fd, arg)
    from .fileowner import ownership  # few programs ask

    return ownership(task, file, cmd, arg)


def set_flags(task: LinuxTask, fd: int, file: OpenFile, arg: int) -> None:
    """What F_SETFL does."""
    settable = _SETTABLE | (O_ASYNC if file.asynchronous else 0)
    changed = (file.flags ^ arg) & settable & O_ASYNC
    file.set_flags(file.flags & ~settable | arg & settable)
    if changed:
        from ..files.sigio import follow, set_owner

        if arg & O_ASYNC and not file.owner[1] and (owner := file.default_owner(task)) is not None:
            set_owner(task, file, *owner)
        follow(task, file, fd)


def _pipe(task: LinuxTask, fds: Bytes, flags: int) -> int:
    flags = task.layouts.open_flags(flags)
    if flags & ~(os.O_CLOEXEC | O_NONBLOCK | os.O_DIRECT):
        raise LinuxError(errno.EINVAL)
    cloexec, files = bool(flags & os.O_CLOEXEC), task.files
    from ..files.pipe import make_pipe

    ends = make_pipe(task, flags)
    taken: list[int] = []
    try:
        for end in ends:
            taken.append(files.add(end, cloexec=cloexec))
        put_bytes(task, fds.address, pack("<ii", *taken))
    except LinuxError:
        for fd in taken:
            files.close(fd)
        for end in ends[len(taken) + 1 :]:
            end.close()
        raise
    return 0


@call("pipe")
def sys_pipe(task: LinuxTask, fds: Bytes) -> int:
    return _pipe(task, fds, 0)


@call("pipe2")
def sys_pipe2(task: LinuxTask, fds: Bytes, flags: c_int) -> int:
    return _pipe(task, fds, flags)


MFD_CLOEXEC, MFD_ALLOW_SEALING, MFD_HUGETLB, MFD_NOEXEC_SEAL, MFD_EXEC = 1, 2, 4, 8, 16
_MFD_NAME_MAX = 249


@call("memfd_create")
def sys_memfd_create(task: LinuxTask, name: ConstBytes, flags: c_uint) -> int:
    """A regular file in memory without a name (mm/memfd.c). There are no huge pages."""
    if flags & ~(0x1F | (0x3F << 26 if flags & MFD_HUGETLB else 0)):
        raise LinuxError(errno.EINVAL)
    if flags & MFD_EXEC and flags & MFD_NOEXEC_SEAL:
        raise LinuxError(errno.EINVAL)
    try:
        text = name.read_cstr(task, _MFD_NAME_MAX)
    except LinuxError as error:
        raise LinuxError(errno.EINVAL) if error.errno == errno.ENAMETOOLONG else error from None
    if flags & MFD_HUGETLB:
        raise LinuxError(errno.ENOSYS)
    try:
        node = task.machine.memory_files.file(b"memfd:" + text, 0o666 if flags & MFD_NOEXEC_SEAL else 0o777, task.creds)
    except LinuxError:
        raise LinuxError(errno.ENOMEM) from None
    node.inode.sealable = bool(flags & (MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL))
    if flags & MFD_NOEXEC_SEAL:
        from ..fs.inode import F_SEAL_EXEC

        node.inode.seals = F_SEAL_EXEC
    file = node.open_as(task, os.O_RDWR)
    file.counted = False  # alloc_file_pseudo: it can be executed while this is open
    return task.files.add(file, cloexec=bool(flags & MFD_CLOEXEC))
