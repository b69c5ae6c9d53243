"""What files are: stat, statx, access, readlink, statfs. Source: the man page of each, fs/stat.c."""

from __future__ import annotations

import errno
import stat
from struct import pack_into, unpack_from

from ..._core.kernel.filecalls import (
    AT,
    FSTAT,
    LSTAT,
    NEWFSTATAT,
    PLAIN,
    STAT,
    STATX,
    AccessCall,
    ReadlinkCall,
    StatusCall,
)
from ...errors import LinuxError
from ...kernel.abi import c_int, c_uint
from ..abi.layouts import pack_statx
from ..fs.host.file import HostFile
from ..fs.node import Node
from ..fs.permissions import MAY_EXEC, MAY_WRITE, require_access
from ..fs.walk import AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW
from ..registry import at_once, call
from ..uaccess import (
    PATH_MAX,
    Bytes,
    ConstBytes,
    put_bytes,
    read_path,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..fs.node import AnyStat
    from ..task.task import LinuxTask

AT_NO_AUTOMOUNT = 0x800
AT_STATX_SYNC_TYPE = 0x6000
AT_EACCESS = 0x200
_MNT_ID, _MNT_ID_UNIQUE, _MOUNT_ROOT = 0x1000, 0x4000, 0x2000
_ATTRIBUTES = 0x20_3000
"""Those that every file system can tell: STATX_ATTR_AUTOMOUNT, _MOUNT_ROOT, _DAX."""


def lookup(task: LinuxTask, dirfd: int, path: bytes, flags: int) -> Node:
    """What a path names, or with AT_EMPTY_PATH and no path, the open file itself. EBADF if that is no file."""
    if path or not flags & AT_EMPTY_PATH:
        return task.fs.resolve(task, dirfd, path, follow=not flags & AT_SYMLINK_NOFOLLOW)
    if dirfd == AT_FDCWD:
        return task.fs.cwd
    node = task.files.get(dirfd).node()
    if node is None:
        raise LinuxError(errno.EBADF)
    return node


def read_name(task: LinuxTask, path: ConstBytes, flags: int) -> bytes:
    """A path that may be none with AT_EMPTY_PATH (since Linux 6.11)."""
    if path.is_null and flags & AT_EMPTY_PATH:
        return b""
    return read_path(task, path)


def _found(task: LinuxTask, dirfd: int, path: ConstBytes, flags: int) -> Node:
    """`lookup` of a path in memory."""
    if not flags & AT_EMPTY_PATH:  # as nearly all
        return task.fs.resolve(task, dirfd, read_path(task, path), follow=not flags & AT_SYMLINK_NOFOLLOW)
    return lookup(task, dirfd, read_name(task, path, flags), flags)


def packed(task: LinuxTask, status: AnyStat) -> bytes:
    """The structure that a program gets, with owner and group as they are called in its name space (cp_new_stat)."""
    raw = task.layouts.stat(status)
    if task.creds.space is None:
        return raw
    told = bytearray(raw)
    _call_owners(task, told, task.layouts.stat_owner)
    return bytes(told)


def _call_owners(task: LinuxTask, told: bytearray, at: int) -> None:
    """Have the owner, which stands there, and the group after it called as they are in the task's name space."""
    from ..task.userspace import shown_gid, shown_uid

    space = task.creds.space
    uid, gid = unpack_from("<II", told, at)
    pack_into("<II", told, at, shown_uid(space, uid), shown_gid(space, gid))


@call("stat")
def sys_stat(task: LinuxTask, path: ConstBytes, statbuf: Bytes) -> int:
    put_bytes(task, statbuf.address, packed(task, _found(task, AT_FDCWD, path, 0).stat(task)))
    return 0


@call("fstat")
def sys_fstat(task: LinuxTask, fd: c_uint, statbuf: Bytes) -> int:
    put_bytes(task, statbuf.address, packed(task, task.files.get(fd).stat(task)))
    return 0


@call("lstat")
def sys_lstat(task: LinuxTask, path: ConstBytes, statbuf: Bytes) -> int:
    put_bytes(task, statbuf.address, packed(task, _found(task, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW).stat(task)))
    return 0


@call("newfstatat")
def sys_newfstatat(task: LinuxTask, dirfd: c_int, path: ConstBytes, statbuf: Bytes, flags: c_int) -> int:
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE):
        raise LinuxError(errno.EINVAL)
    if not (name := read_name(task, path, flags)) and flags & AT_EMPTY_PATH and dirfd != AT_FDCWD:  # which is fstat
        status = task.files.get(dirfd).stat(task)
    else:
        status = lookup(task, dirfd, name, flags).stat(task)
    put_bytes(task, statbuf.address, packed(task, status))
    return 0


@call("statx")
def sys_statx(task: LinuxTask, dirfd: c_int, path: ConstBytes, flags: c_uint, mask: c_uint, buffer: Bytes) -> int:
    if mask & 0x8000_0000:
        raise LinuxError(errno.EINVAL)
    if flags & AT_STATX_SYNC_TYPE == AT_STATX_SYNC_TYPE:
        raise LinuxError(errno.EINVAL)
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE):
        raise LinuxError(errno.EINVAL)
    node = _found(task, dirfd, path, flags)
    raw = node.statx(task, flags & AT_STATX_SYNC_TYPE, mask)
    raw = raw if raw is not None else pack_statx(node.stat(task))
    put_bytes(task, buffer.address, _in_its_mount(task, raw, node, mask))
    return 0


def _in_its_mount(task: LinuxTask, raw: bytes, node: Node, mask: int) -> bytes:
    """struct statx with what it says of mounts, which are the machine's own (vfs_statx_path), and of who has it."""
    mount = node.mount
    told = bytearray(raw)
    (got, attributes), (known,) = unpack_from("<I4xQ", told), unpack_from("<Q", told, 56)
    number = 0 if mount is None else mount.number
    if mask & _MNT_ID_UNIQUE:
        got, number = got & ~_MNT_ID | _MNT_ID_UNIQUE, number | 1 << 31
    else:
        got |= _MNT_ID
    attributes &= ~_MOUNT_ROOT
    if mount is not None and mount.is_root(node):
        attributes |= _MOUNT_ROOT
    pack_into("<I", told, 0, got)
    if task.creds.space is not None:
        _call_owners(task, told, 20)
    for at, value in ((8, attributes), (56, known | _ATTRIBUTES), (144, number)):
        pack_into("<Q", told, at, value)
    return bytes(told)


for _name, _form in (("stat", STAT), ("lstat", LSTAT), ("newfstatat", NEWFSTATAT), ("statx", STATX), ("fstat", FSTAT)):
    at_once(_name, StatusCall, _form, HostFile, arch="x86_64")


# -- access


def _access(task: LinuxTask, dirfd: int, path: ConstBytes, mode: int, flags: int) -> int:
    if mode & ~7 or flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
        raise LinuxError(errno.EINVAL)
    creds = task.creds
    if not flags & AT_EACCESS:
        task.creds = creds.by_real_ids()  # for the walk, too (access_override_creds)
    try:
        node = _found(task, dirfd, path, flags)
        if mode & MAY_EXEC and stat.S_ISREG(node.mode) and node.mount is not None and node.mount.noexec:
            raise LinuxError(errno.EACCES)
        require_access(task, node, mode)
        if mode & MAY_WRITE and stat.S_IFMT(node.mode) in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
            node.require_writable()
    finally:
        task.creds = creds
    return 0


@call("access")
def sys_access(task: LinuxTask, path: ConstBytes, mode: c_int) -> int:
    return _access(task, AT_FDCWD, path, mode, 0)


@call("faccessat")
def sys_faccessat(task: LinuxTask, dirfd: c_int, path: ConstBytes, mode: c_int) -> int:
    return _access(task, dirfd, path, mode, 0)


@call("faccessat2")
def sys_faccessat2(task: LinuxTask, dirfd: c_int, path: ConstBytes, mode: c_int, flags: c_int) -> int:
    return _access(task, dirfd, path, mode, flags)


at_once("access", AccessCall, PLAIN)
at_once("faccessat", AccessCall, AT)


# -- symbolic links


def _readlink(task: LinuxTask, dirfd: int, path: ConstBytes, buf: Bytes, size: int) -> int:
    if size <= 0:
        raise LinuxError(errno.EINVAL)
    name = read_path(task, path)
    node = lookup(task, dirfd, name, AT_SYMLINK_NOFOLLOW | (AT_EMPTY_PATH if dirfd != AT_FDCWD else 0))
    if not name and not node.is_link:
        raise LinuxError(errno.ENOENT)
    data = node.target(task)[: PATH_MAX - 1][:size]
    put_bytes(task, buf.address, data)
    return len(data)


@call("readlink")
def sys_readlink(task: LinuxTask, path: ConstBytes, buf: Bytes, size: c_int) -> int:
    return _readlink(task, AT_FDCWD, path, buf, size)


@call("readlinkat")
def sys_readlinkat(task: LinuxTask, dirfd: c_int, path: ConstBytes, buf: Bytes, size: c_int) -> int:
    return _readlink(task, dirfd, path, buf, size)


at_once("readlink", ReadlinkCall, PLAIN)
at_once("readlinkat", ReadlinkCall, AT)


# -- file systems


@call("statfs")
def sys_statfs(task: LinuxTask, path: ConstBytes, buf: Bytes) -> int:
    put_bytes(task, buf.address, task.fs.resolve(task, AT_FDCWD, read_path(task, path)).statfs())
    return 0


@call("fstatfs")
def sys_fstatfs(task: LinuxTask, fd: c_uint, buf: Bytes) -> int:
    node = task.files.get(fd).node()
    if node is None:
        raise LinuxError(errno.ENOSYS)
    put_bytes(task, buf.address, node.statfs())
    return 0
