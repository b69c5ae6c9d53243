"""Extended attributes, the host's. Source: xattr(7), getxattr(2), setxattr(2)."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from ..errors import LinuxError
from ..kernel.abi import c_int, c_size_t
from .hostio import host
from .names import changeable, changeable_file
from .paths import AT_FDCWD, AT_SYMLINK_NOFOLLOW
from .registry import syscall
from .uaccess import Bytes, ConstBytes, get_bytes, read_path

if TYPE_CHECKING:
    from .task import LinuxTask

_MAX_VALUE = 65536


def _xattr_place(task: LinuxTask, path: ConstBytes, follow: bool) -> bytes:
    place = task.fs.resolve(task, AT_FDCWD, read_path(task, path), follow=follow)
    if place.node is not None:
        raise LinuxError(errno.EOPNOTSUPP)
    if not place.exists:
        raise LinuxError(errno.ENOENT)
    return place.path


def _xattr_file(task: LinuxTask, fd: int) -> int:
    file = task.files.get_io(fd)
    if file.host_fd is None:
        raise LinuxError(errno.EOPNOTSUPP)
    return file.host_fd


def _give(task: LinuxTask, data: bytes, buf: Bytes, size: int) -> int:
    if size:
        if len(data) > size:
            raise LinuxError(errno.ERANGE)
        buf.write_slice(task, data)
    return len(data)


def _getxattr(task: LinuxTask, where: bytes | int, name: ConstBytes, buf: Bytes, size: int) -> int:
    attribute = _xattr_name(task, name)
    follow = {} if isinstance(where, int) else {"follow_symlinks": False}
    return _give(task, host(os.getxattr, where, attribute, **follow), buf, size)


def _xattr_name(task: LinuxTask, name: ConstBytes) -> bytes:
    try:
        attribute = name.read_cstr(task, 255)
    except LinuxError as error:
        raise LinuxError(errno.ERANGE) if error.errno == errno.ENAMETOOLONG else error from None
    if not attribute:
        raise LinuxError(errno.ERANGE)
    return attribute


@syscall(191, "getxattr")
def sys_getxattr(task: LinuxTask, path: ConstBytes, name: ConstBytes, buf: Bytes, size: c_size_t) -> int:
    return _getxattr(task, _xattr_place(task, path, True), name, buf, size)


@syscall(192, "lgetxattr")
def sys_lgetxattr(task: LinuxTask, path: ConstBytes, name: ConstBytes, buf: Bytes, size: c_size_t) -> int:
    return _getxattr(task, _xattr_place(task, path, False), name, buf, size)


@syscall(193, "fgetxattr")
def sys_fgetxattr(task: LinuxTask, fd: c_int, name: ConstBytes, buf: Bytes, size: c_size_t) -> int:
    return _getxattr(task, _xattr_file(task, fd), name, buf, size)


def _listxattr(task: LinuxTask, where: bytes | int, buf: Bytes, size: int) -> int:
    follow = {} if isinstance(where, int) else {"follow_symlinks": False}
    names = host(os.listxattr, where, **follow)
    return _give(task, b"".join(os.fsencode(n) + b"\0" for n in names), buf, size)


@syscall(194, "listxattr")
def sys_listxattr(task: LinuxTask, path: ConstBytes, buf: Bytes, size: c_size_t) -> int:
    return _listxattr(task, _xattr_place(task, path, True), buf, size)


@syscall(195, "llistxattr")
def sys_llistxattr(task: LinuxTask, path: ConstBytes, buf: Bytes, size: c_size_t) -> int:
    return _listxattr(task, _xattr_place(task, path, False), buf, size)


@syscall(196, "flistxattr")
def sys_flistxattr(task: LinuxTask, fd: c_int, buf: Bytes, size: c_size_t) -> int:
    return _listxattr(task, _xattr_file(task, fd), buf, size)


# -- changes


def _setxattr(task: LinuxTask, where: bytes | int, name: ConstBytes, value: ConstBytes, size: int, flags: int) -> int:
    if flags & ~3:
        raise LinuxError(errno.EINVAL)
    attribute = _xattr_name(task, name)
    if size > _MAX_VALUE:
        raise LinuxError(errno.E2BIG)
    data = get_bytes(task, value.address, size) if size else b""
    follow = {} if isinstance(where, int) else {"follow_symlinks": False}
    host(os.setxattr, where, attribute, data, flags, **follow)
    return 0


@syscall(188, "setxattr")
def sys_setxattr(
    task: LinuxTask, path: ConstBytes, name: ConstBytes, value: ConstBytes, size: c_size_t, flags: c_int
) -> int:
    return _setxattr(task, changeable(task, AT_FDCWD, path, 0), name, value, size, flags)


@syscall(189, "lsetxattr")
def sys_lsetxattr(
    task: LinuxTask, path: ConstBytes, name: ConstBytes, value: ConstBytes, size: c_size_t, flags: c_int
) -> int:
    return _setxattr(task, changeable(task, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW), name, value, size, flags)


@syscall(190, "fsetxattr")
def sys_fsetxattr(task: LinuxTask, fd: c_int, name: ConstBytes, value: ConstBytes, size: c_size_t, flags: c_int) -> int:
    return _setxattr(task, changeable_file(task, task.files.get_io(fd)), name, value, size, flags)


def _removexattr(task: LinuxTask, where: bytes | int, name: ConstBytes) -> int:
    follow = {} if isinstance(where, int) else {"follow_symlinks": False}
    host(os.removexattr, where, _xattr_name(task, name), **follow)
    return 0


@syscall(197, "removexattr")
def sys_removexattr(task: LinuxTask, path: ConstBytes, name: ConstBytes) -> int:
    return _removexattr(task, changeable(task, AT_FDCWD, path, 0), name)


@syscall(198, "lremovexattr")
def sys_lremovexattr(task: LinuxTask, path: ConstBytes, name: ConstBytes) -> int:
    return _removexattr(task, changeable(task, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW), name)


@syscall(199, "fremovexattr")
def sys_fremovexattr(task: LinuxTask, fd: c_int, name: ConstBytes) -> int:
    return _removexattr(task, changeable_file(task, task.files.get_io(fd)), name)
