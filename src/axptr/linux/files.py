"""Descriptors: open, close, dup, fcntl, pipe. Source: open(2), close(2), dup(2), fcntl(2), pipe(2)."""

from __future__ import annotations

import errno
import os
import stat
from struct import pack
from typing import TYPE_CHECKING

from ..errors import LinuxError
from ..kernel.abi import c_int, c_uint, c_ulong
from . import lockcalls
from .hostfile import HostFile
from .hostio import host
from .nodes import DirNode, LinkNode
from .openfile import O_APPEND, O_NONBLOCK, O_PATH, OpenFile, PathFile
from .paths import AT_FDCWD, Place
from .registry import syscall
from .uaccess import Bytes, ConstBytes, read_path

if TYPE_CHECKING:
    from .task import LinuxTask

O_TMPFILE = 0o20200000
O_LARGEFILE = 0o100000
_SETTABLE = O_APPEND | O_NONBLOCK | 0o20000 | 0o40000 | 0o1000000  # what F_SETFL may change


def open_file(task: LinuxTask, dirfd: int, path: bytes, flags: int, mode: int) -> OpenFile:
    """Open a path for the guest. Reads are the host's to allow, changes are refused with EROFS unless allowed."""
    creating = bool(flags & os.O_CREAT)
    exclusive = creating and bool(flags & os.O_EXCL)
    follow = not (flags & os.O_NOFOLLOW or exclusive)
    wants_write = flags & os.O_ACCMODE != os.O_RDONLY or bool(flags & os.O_TRUNC)
    if flags & O_PATH:
        flags &= O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        creating = wants_write = False
    elif flags & O_TMPFILE == O_TMPFILE:
        raise LinuxError(errno.EOPNOTSUPP if flags & os.O_ACCMODE != os.O_RDONLY else errno.EINVAL)
    place = task.fs.resolve(task, dirfd, path, follow=follow, change=creating or wants_write)
    if place.node is not None:
        return _open_node(task, place, flags, exclusive, wants_write)
    if place.slash and creating:
        raise LinuxError(errno.EISDIR)
    if not place.exists and not creating:
        raise LinuxError(errno.ENOENT)
    if creating or wants_write:
        _check_change(task, place, flags, wants_write, exclusive)
    # O_NONBLOCK keeps a device from waiting; a fifo must wait, as it would for the program itself.
    host_flags = (flags | os.O_CLOEXEC | os.O_NOCTTY) & ~O_LARGEFILE
    if not flags & os.O_NOFOLLOW:
        host_flags |= os.O_NOFOLLOW  # the path holds no link any more; if it does now, something moved
    _refuse_devices(place.path)
    cut = flags & os.O_TRUNC and flags & os.O_ACCMODE != os.O_RDONLY
    if cut:  # once it is open: mappings of the file lose their pages too
        host_flags &= ~os.O_TRUNC
    fd = host(os.open, place.path, host_flags, mode & 0o7777 & ~task.fs.umask)
    if creating:
        task.fs.names_changed()
    file = HostFile(fd, flags & ~(os.O_CREAT | os.O_EXCL | os.O_TRUNC | os.O_NOCTTY | os.O_CLOEXEC), place.path)
    if cut and file.regular:
        file.truncate(task, 0)
    return file


def _open_node(task: LinuxTask, place: Place, flags: int, exclusive: bool, wants_write: bool) -> OpenFile:
    node = place.node
    assert node is not None
    if exclusive:
        raise LinuxError(errno.EEXIST)
    if flags & O_PATH:
        if flags & os.O_DIRECTORY and not isinstance(node, DirNode):
            raise LinuxError(errno.ENOTDIR)
        return node.open(task, flags) if isinstance(node, DirNode) else PathFile(node, flags)
    if isinstance(node, LinkNode):
        raise LinuxError(errno.ELOOP)
    if isinstance(node, DirNode) and (wants_write or flags & os.O_CREAT):
        raise LinuxError(errno.EISDIR)
    if flags & os.O_DIRECTORY and not isinstance(node, DirNode):
        raise LinuxError(errno.ENOTDIR)
    if wants_write and not node.mode & 0o222:
        raise LinuxError(errno.EACCES)
    return node.open(task, flags & ~(os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOCTTY))


def _check_change(task: LinuxTask, place: Place, flags: int, wants_write: bool, exclusive: bool) -> None:
    """The order of fs/namei.c: what is there first (EEXIST, EISDIR), then the read-only file system (EROFS)."""
    try:
        mode = os.lstat(place.path).st_mode
    except FileNotFoundError:
        task.fs.require_change_in(place)
        return
    except OSError as error:
        raise LinuxError(error.errno or errno.EIO) from None
    if exclusive:
        raise LinuxError(errno.EEXIST)
    if stat.S_ISDIR(mode) and (wants_write or flags & os.O_CREAT):
        raise LinuxError(errno.EISDIR)
    if wants_write:
        task.fs.require_change(place)


def _refuse_devices(path: bytes) -> None:
    """Devices outside our own /dev are not opened: what they do is not reading a file."""
    try:
        mode = os.lstat(path).st_mode
    except (OSError, ValueError):
        return
    if stat.S_ISBLK(mode) or stat.S_ISCHR(mode):
        raise LinuxError(errno.ENXIO)


def _open(task: LinuxTask, dirfd: int, path: ConstBytes, flags: int, mode: int) -> int:
    if flags < 0:
        flags &= 0xFFFF_FFFF
    name = read_path(task, path)
    file = open_file(task, dirfd, name, flags, mode)
    return task.files.add(file, cloexec=bool(flags & os.O_CLOEXEC))


@syscall(2, "open")
def sys_open(task: LinuxTask, path: ConstBytes, flags: c_int, mode: c_uint) -> int:
    return _open(task, AT_FDCWD, path, flags, mode)


@syscall(257, "openat")
def sys_openat(task: LinuxTask, dirfd: c_int, path: ConstBytes, flags: c_int, mode: c_uint) -> int:
    return _open(task, dirfd, path, flags, mode)


@syscall(85, "creat")
def sys_creat(task: LinuxTask, path: ConstBytes, mode: c_uint) -> int:
    return _open(task, AT_FDCWD, path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode)


@syscall(437, "openat2")
def sys_openat2(task: LinuxTask, dirfd: c_int, path: ConstBytes, how: ConstBytes, size: c_ulong) -> int:
    """As openat; RESOLVE_* restrictions are not implemented (ENOSYS makes callers fall back)."""
    raise LinuxError(errno.ENOSYS)


@syscall(3, "close")
def sys_close(task: LinuxTask, fd: c_uint) -> int:
    task.files.close(fd)
    return 0


@syscall(436, "close_range")
def sys_close_range(task: LinuxTask, first: c_uint, last: c_uint, flags: c_uint) -> int:
    if first > last or flags & ~6:
        raise LinuxError(errno.EINVAL)
    for fd in task.files.descriptors():
        if first <= fd <= last:
            if flags & 4:
                task.files.set_cloexec(fd, True)
            else:
                task.files.close(fd)
    return 0


@syscall(32, "dup")
def sys_dup(task: LinuxTask, fd: c_uint) -> int:
    return task.files.add(task.files.get(fd))


@syscall(33, "dup2")
def sys_dup2(task: LinuxTask, oldfd: c_uint, newfd: c_uint) -> int:
    file = task.files.get(oldfd)
    if oldfd != newfd:
        task.files.place(newfd, file)
    return newfd


@syscall(292, "dup3")
def sys_dup3(task: LinuxTask, oldfd: c_uint, newfd: c_uint, flags: c_int) -> int:
    if flags & ~os.O_CLOEXEC or oldfd == newfd:
        raise LinuxError(errno.EINVAL)
    file = task.files.get(oldfd)
    task.files.place(newfd, file, cloexec=bool(flags & os.O_CLOEXEC))
    return newfd


F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL = range(5)
F_SETOWN, F_GETOWN, F_DUPFD_CLOEXEC, F_SETPIPE_SZ, F_GETPIPE_SZ, F_GET_SEALS = 8, 9, 1030, 1031, 1032, 1034


@syscall(72, "fcntl")
def sys_fcntl(task: LinuxTask, fd: c_uint, cmd: c_uint, arg: c_ulong) -> int:
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
        return file.flags | O_LARGEFILE if not file.flags & O_PATH else file.flags
    if file.flags & O_PATH:
        raise LinuxError(errno.EBADF)
    if cmd == F_SETFL:
        _set_flags(file, arg)
        return 0
    if cmd in lockcalls.COMMANDS:
        return lockcalls.record_lock(task, file, cmd, arg)
    if cmd in (F_SETPIPE_SZ, F_GETPIPE_SZ) and isinstance(file, HostFile):
        import fcntl

        return host(fcntl.fcntl, file.host_fd, cmd, arg & 0x7FFF_FFFF)
    if cmd in (F_GETOWN, F_SETOWN):
        return 0
    raise LinuxError(errno.EINVAL)


def _set_flags(file: OpenFile, arg: int) -> None:
    file.flags = file.flags & ~_SETTABLE | arg & _SETTABLE
    if not isinstance(file, HostFile):
        return
    if not file.owned:
        file.borrowed_nonblock = bool(file.flags & O_NONBLOCK)
        return
    import fcntl

    host(fcntl.fcntl, file.host_fd, F_SETFL, file.flags & _SETTABLE)


def _pipe(task: LinuxTask, fds: Bytes, flags: int) -> int:
    if flags & ~(os.O_CLOEXEC | O_NONBLOCK | os.O_DIRECT):
        raise LinuxError(errno.EINVAL)
    reader, writer = host(os.pipe2, flags & (O_NONBLOCK | os.O_DIRECT) | os.O_CLOEXEC)
    cloexec, keep = bool(flags & os.O_CLOEXEC), flags & (O_NONBLOCK | os.O_DIRECT)
    files = task.files
    ends = [HostFile(reader, os.O_RDONLY | keep, None), HostFile(writer, os.O_WRONLY | keep, None)]
    taken: list[int] = []
    try:
        for end in ends:
            taken.append(files.add(end, cloexec=cloexec))
        fds.write_slice(task, pack("<ii", *taken))
    except LinuxError:
        for fd in taken:
            files.close(fd)
        for end in ends[len(taken) + 1 :]:
            end.close()
        raise
    return 0


@syscall(22, "pipe")
def sys_pipe(task: LinuxTask, fds: Bytes) -> int:
    return _pipe(task, fds, 0)


@syscall(293, "pipe2")
def sys_pipe2(task: LinuxTask, fds: Bytes, flags: c_int) -> int:
    return _pipe(task, fds, flags)
