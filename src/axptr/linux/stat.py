"""What files are: stat, statx, access, readlink, statfs. Source: the man page of each, fs/stat.c."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from struct import pack
from typing import TYPE_CHECKING

from ..errors import LinuxError
from ..kernel.abi import c_int, c_uint
from .hostfile import HostFile
from .hostio import ccall, host
from .nodes import LinkNode, Node, Stat
from .openfile import OpenFile
from .paths import AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, Place
from .registry import syscall
from .uaccess import PATH_MAX, Bytes, ConstBytes, read_path

if TYPE_CHECKING:
    from .task import LinuxTask

AT_NO_AUTOMOUNT = 0x800
AT_STATX_SYNC_TYPE = 0x6000
AT_EACCESS = 0x200

_BASIC_STATS = 0x7FF
_BILLION = 1_000_000_000


def pack_stat(s: os.stat_result | Stat) -> bytes:
    """struct stat of x86-64, 144 bytes."""
    return pack(
        "<QQQIIIIQqqqqQqQqQ24x",
        s.st_dev,
        s.st_ino,
        s.st_nlink,
        s.st_mode,
        s.st_uid,
        s.st_gid,
        0,
        s.st_rdev,
        s.st_size,
        s.st_blksize,
        s.st_blocks,
        *divmod(s.st_atime_ns, _BILLION),
        *divmod(s.st_mtime_ns, _BILLION),
        *divmod(s.st_ctime_ns, _BILLION),
    )


def pack_statx(s: os.stat_result | Stat) -> bytes:
    """struct statx, 256 bytes, with the basic fields."""

    def when(ns: int) -> bytes:
        return pack("<qI4x", *divmod(ns, _BILLION))

    return (
        pack("<IIQIIIH2xQQQQ", _BASIC_STATS, s.st_blksize, 0, s.st_nlink, s.st_uid, s.st_gid, s.st_mode, s.st_ino,
             s.st_size, s.st_blocks, 0)
        + when(s.st_atime_ns)
        + bytes(16)
        + when(s.st_ctime_ns)
        + when(s.st_mtime_ns)
        + pack("<IIII", os.major(s.st_rdev), os.minor(s.st_rdev), os.major(s.st_dev), os.minor(s.st_dev))
    ).ljust(256, b"\0")  # fmt: skip


def stat_place(task: LinuxTask, place: Place) -> os.stat_result | Stat:
    if place.node is not None:
        return place.node.stat(task)
    if not place.exists:
        raise LinuxError(errno.ENOENT)
    return host(os.lstat, place.path)


def lookup(task: LinuxTask, dirfd: int, path: bytes, flags: int) -> Place | OpenFile:
    """What a path names, or with AT_EMPTY_PATH and no path, the open file itself."""
    if not path and flags & AT_EMPTY_PATH and dirfd != AT_FDCWD:
        return task.files.get(dirfd)
    return task.fs.resolve(
        task, dirfd, path or (b"." if flags & AT_EMPTY_PATH else b""), follow=not flags & AT_SYMLINK_NOFOLLOW
    )


def _name(task: LinuxTask, path: ConstBytes, flags: int) -> bytes:
    if path.is_null and flags & AT_EMPTY_PATH:  # since Linux 6.11
        return b""
    return read_path(task, path)


@syscall(4, "stat")
def sys_stat(task: LinuxTask, path: ConstBytes, statbuf: Bytes) -> int:
    place = task.fs.resolve(task, AT_FDCWD, read_path(task, path))
    statbuf.write_slice(task, pack_stat(stat_place(task, place)))
    return 0


@syscall(5, "fstat")
def sys_fstat(task: LinuxTask, fd: c_uint, statbuf: Bytes) -> int:
    statbuf.write_slice(task, pack_stat(task.files.get(fd).stat(task)))
    return 0


@syscall(6, "lstat")
def sys_lstat(task: LinuxTask, path: ConstBytes, statbuf: Bytes) -> int:
    place = task.fs.resolve(task, AT_FDCWD, read_path(task, path), follow=False)
    statbuf.write_slice(task, pack_stat(stat_place(task, place)))
    return 0


@syscall(262, "newfstatat")
def sys_newfstatat(task: LinuxTask, dirfd: c_int, path: ConstBytes, statbuf: Bytes, flags: c_int) -> int:
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE):
        raise LinuxError(errno.EINVAL)
    found = lookup(task, dirfd, _name(task, path, flags), flags)
    status = found.stat(task) if isinstance(found, OpenFile) else stat_place(task, found)
    statbuf.write_slice(task, pack_stat(status))
    return 0


@syscall(332, "statx")
def sys_statx(task: LinuxTask, dirfd: c_int, path: ConstBytes, flags: c_uint, mask: c_uint, buffer: Bytes) -> int:
    if mask & 0x8000_0000:
        raise LinuxError(errno.EINVAL)
    if flags & AT_STATX_SYNC_TYPE == AT_STATX_SYNC_TYPE:
        raise LinuxError(errno.EINVAL)
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE):
        raise LinuxError(errno.EINVAL)
    found = lookup(task, dirfd, _name(task, path, flags), flags)
    buffer.write_slice(task, _statx(task, found, flags, mask))
    return 0


def _statx(task: LinuxTask, found: Place | OpenFile, flags: int, mask: int) -> bytes:
    """The host's own answer where the file is the host's: the time of birth and the attributes are in it."""
    sync = flags & AT_STATX_SYNC_TYPE
    raw = ctypes.create_string_buffer(256)
    if isinstance(found, OpenFile):
        if not isinstance(found, HostFile):
            return pack_statx(found.stat(task))
        args = (found.host_fd, b"", AT_EMPTY_PATH | sync)
    elif found.node is not None:
        if not isinstance(found.node.stat(task), os.stat_result) or found.node.twin is None:
            return pack_statx(found.node.stat(task))
        args = (AT_FDCWD, found.node.twin, AT_SYMLINK_NOFOLLOW | sync)
    elif not found.exists:
        raise LinuxError(errno.ENOENT)
    else:
        args = (AT_FDCWD, found.path, AT_SYMLINK_NOFOLLOW | sync)
    try:
        ccall("statx", *args, ctypes.c_uint(mask), raw)
    except LinuxError as error:
        if error.errno != errno.ENOSYS:
            raise
        return pack_statx(found.stat(task) if isinstance(found, OpenFile) else stat_place(task, found))
    return raw.raw


# -- access


def _access(task: LinuxTask, dirfd: int, path: ConstBytes, mode: int, flags: int) -> int:
    if mode & ~7 or flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
        raise LinuxError(errno.EINVAL)
    found = lookup(task, dirfd, _name(task, path, flags), flags)
    if isinstance(found, OpenFile):
        status = found.stat(task)
        node: Node | None = found.node()
        where = b"/proc/self/fd/%d" % found.host_fd if found.host_fd is not None else b""
        canonical = found.path
    else:
        status, node, where, canonical = stat_place(task, found), found.node, found.path, found.path
    if node is not None:
        if (mode & 2 and not stat.S_ISCHR(status.st_mode)) or (mode & 1 and not status.st_mode & 0o111):
            raise LinuxError(errno.EACCES)
        return 0
    on_disk = stat.S_IFMT(status.st_mode) in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)
    if mode & 2 and on_disk and (canonical is None or not task.fs.may_change(canonical)):
        raise LinuxError(errno.EROFS)
    effective = bool(flags & AT_EACCESS)
    if not os.access(where, mode, effective_ids=effective):
        raise LinuxError(errno.EACCES)
    return 0


@syscall(21, "access")
def sys_access(task: LinuxTask, path: ConstBytes, mode: c_int) -> int:
    return _access(task, AT_FDCWD, path, mode, 0)


@syscall(269, "faccessat")
def sys_faccessat(task: LinuxTask, dirfd: c_int, path: ConstBytes, mode: c_int) -> int:
    return _access(task, dirfd, path, mode, 0)


@syscall(439, "faccessat2")
def sys_faccessat2(task: LinuxTask, dirfd: c_int, path: ConstBytes, mode: c_int, flags: c_int) -> int:
    return _access(task, dirfd, path, mode, flags)


# -- symbolic links


def _readlink(task: LinuxTask, dirfd: int, path: ConstBytes, buf: Bytes, size: int) -> int:
    if size <= 0:
        raise LinuxError(errno.EINVAL)
    name = read_path(task, path)
    if not name and dirfd != AT_FDCWD:
        file = task.files.get(dirfd)
        place = Place(file.path or b"", file.node(), True, False)
    else:
        place = task.fs.resolve(task, dirfd, name, follow=False)
    if place.node is not None:
        if not isinstance(place.node, LinkNode):
            raise LinuxError(errno.EINVAL)
        target = place.node.target(task)[: PATH_MAX - 1]
    else:
        target = host(os.readlink, place.path)
    data = target[:size]
    buf.write_slice(task, data)
    return len(data)


@syscall(89, "readlink")
def sys_readlink(task: LinuxTask, path: ConstBytes, buf: Bytes, size: c_int) -> int:
    return _readlink(task, AT_FDCWD, path, buf, size)


@syscall(267, "readlinkat")
def sys_readlinkat(task: LinuxTask, dirfd: c_int, path: ConstBytes, buf: Bytes, size: c_int) -> int:
    return _readlink(task, dirfd, path, buf, size)


# -- file systems

_ST_VALID = 0x20


def _statfs(task: LinuxTask, node: Node | None, where: bytes | int, buf: Bytes) -> int:
    if node is not None:
        data = pack("<qqQQQQQqqqq32x", node.magic, 4096, 0, 0, 0, 0, 0, 0, 255, 4096, _ST_VALID)
    else:
        raw = ctypes.create_string_buffer(256)
        if isinstance(where, int):
            ccall("fstatfs", where, raw)
        else:
            ccall("statfs", where, raw)
        data = raw.raw[:120]
    buf.write_slice(task, data)
    return 0


@syscall(137, "statfs")
def sys_statfs(task: LinuxTask, path: ConstBytes, buf: Bytes) -> int:
    place = task.fs.resolve(task, AT_FDCWD, read_path(task, path))
    if not place.exists:
        raise LinuxError(errno.ENOENT)
    return _statfs(task, place.node, place.path, buf)


@syscall(138, "fstatfs")
def sys_fstatfs(task: LinuxTask, fd: c_uint, buf: Bytes) -> int:
    file = task.files.get(fd)
    if file.node() is None and file.host_fd is None:
        raise LinuxError(errno.ENOSYS)
    return _statfs(task, file.node(), file.host_fd if file.host_fd is not None else b"", buf)
