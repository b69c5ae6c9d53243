"""Extended attributes, the host's. Source: xattr(7), getxattr(2), setxattr(2)."""

from __future__ import annotations

import errno
from struct import Struct

from ..._core.kernel.filecalls import GETXATTR, LGETXATTR, LISTXATTR, LLISTXATTR, XattrCall
from ...errors import LinuxError
from ...kernel.abi import c_int, c_size_t, c_uint
from ..fs import notify
from ..fs.node import Node
from ..fs.permissions import judge, require_xattr
from ..fs.walk import AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW
from ..registry import at_once, call
from ..uaccess import (
    Bytes,
    ConstBytes,
    get_bytes,
    get_struct,
    put_bytes,
    read_path,
)
from .stat import lookup, read_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..task.task import LinuxTask

_MAX_VALUE = 65536


def _node(task: LinuxTask, path: ConstBytes, follow: bool) -> Node:
    return task.fs.resolve(task, AT_FDCWD, read_path(task, path), follow=follow)


def _opened(task: LinuxTask, fd: int) -> Node:
    node = task.files.get_io(fd).node()
    if node is None:
        raise LinuxError(errno.EOPNOTSUPP)
    return node


def _give(task: LinuxTask, data: bytes, buf: Bytes, size: int) -> int:
    if size:
        if len(data) > size:
            raise LinuxError(errno.ERANGE)
        put_bytes(task, buf.address, data)
    return len(data)


def _getxattr(task: LinuxTask, node: Node, attribute: bytes, buf: Bytes, size: int) -> int:
    require_xattr(task, node, attribute, write=False)
    found = node.xattr(attribute)
    return found if isinstance(found, int) else _give(task, found, buf, size)


def _xattr_name(task: LinuxTask, name: ConstBytes) -> bytes:
    try:
        attribute = name.read_cstr(task, 255)
    except LinuxError as error:
        raise LinuxError(errno.ERANGE) if error.errno == errno.ENAMETOOLONG else error from None
    if not attribute:
        raise LinuxError(errno.ERANGE)
    return attribute


@call("getxattr")
def sys_getxattr(task: LinuxTask, path: ConstBytes, name: ConstBytes, buf: Bytes, size: c_size_t) -> int:
    attribute = _xattr_name(task, name)  # first, as by path_getxattrat
    return _getxattr(task, _node(task, path, True), attribute, buf, size)


@call("lgetxattr")
def sys_lgetxattr(task: LinuxTask, path: ConstBytes, name: ConstBytes, buf: Bytes, size: c_size_t) -> int:
    attribute = _xattr_name(task, name)
    return _getxattr(task, _node(task, path, False), attribute, buf, size)


@call("fgetxattr")
def sys_fgetxattr(task: LinuxTask, fd: c_int, name: ConstBytes, buf: Bytes, size: c_size_t) -> int:
    attribute = _xattr_name(task, name)
    return _getxattr(task, _opened(task, fd), attribute, buf, size)


def _listxattr(task: LinuxTask, node: Node, buf: Bytes, size: int) -> int:
    return _give(task, node.listxattr(), buf, size)


@call("listxattr")
def sys_listxattr(task: LinuxTask, path: ConstBytes, buf: Bytes, size: c_size_t) -> int:
    return _listxattr(task, _node(task, path, True), buf, size)


@call("llistxattr")
def sys_llistxattr(task: LinuxTask, path: ConstBytes, buf: Bytes, size: c_size_t) -> int:
    return _listxattr(task, _node(task, path, False), buf, size)


@call("flistxattr")
def sys_flistxattr(task: LinuxTask, fd: c_int, buf: Bytes, size: c_size_t) -> int:
    return _listxattr(task, _opened(task, fd), buf, size)


at_once("getxattr", XattrCall, GETXATTR)
at_once("lgetxattr", XattrCall, LGETXATTR)
at_once("listxattr", XattrCall, LISTXATTR)
at_once("llistxattr", XattrCall, LLISTXATTR)


# -- changes


def _setxattr(
    task: LinuxTask, find: Callable[[], Node], name: ConstBytes, value: ConstBytes, size: int, flags: int
) -> int:
    """The arguments are read before the file is looked for, as setxattr_copy is called before the walk."""
    if flags & ~3:
        raise LinuxError(errno.EINVAL)
    attribute = _xattr_name(task, name)
    if size > _MAX_VALUE:
        raise LinuxError(errno.E2BIG)
    data = get_bytes(task, value.address, size) if size else b""
    judge(task, found := find(), "write")
    node = found.changeable()
    require_xattr(task, node, attribute, write=True)
    node.setxattr(attribute, data, flags)
    notify.happened(task, notify.ATTRIB, node)
    return 0


@call("setxattr")
def sys_setxattr(
    task: LinuxTask, path: ConstBytes, name: ConstBytes, value: ConstBytes, size: c_size_t, flags: c_int
) -> int:
    return _setxattr(task, lambda: _node(task, path, True), name, value, size, flags)


@call("lsetxattr")
def sys_lsetxattr(
    task: LinuxTask, path: ConstBytes, name: ConstBytes, value: ConstBytes, size: c_size_t, flags: c_int
) -> int:
    return _setxattr(task, lambda: _node(task, path, False), name, value, size, flags)


@call("fsetxattr")
def sys_fsetxattr(task: LinuxTask, fd: c_int, name: ConstBytes, value: ConstBytes, size: c_size_t, flags: c_int) -> int:
    return _setxattr(task, lambda: _opened(task, fd), name, value, size, flags)


def _removexattr(task: LinuxTask, find: Callable[[], Node], name: ConstBytes) -> int:
    attribute = _xattr_name(task, name)
    judge(task, found := find(), "write")
    node = found.changeable()
    require_xattr(task, node, attribute, write=True)
    node.removexattr(attribute)
    notify.happened(task, notify.ATTRIB, node)
    return 0


@call("removexattr")
def sys_removexattr(task: LinuxTask, path: ConstBytes, name: ConstBytes) -> int:
    return _removexattr(task, lambda: _node(task, path, True), name)


@call("lremovexattr")
def sys_lremovexattr(task: LinuxTask, path: ConstBytes, name: ConstBytes) -> int:
    return _removexattr(task, lambda: _node(task, path, False), name)


@call("fremovexattr")
def sys_fremovexattr(task: LinuxTask, fd: c_int, name: ConstBytes) -> int:
    return _removexattr(task, lambda: _opened(task, fd), name)


# -- by a directory's descriptor

_ARGS = Struct("<QII")


def _at_node(task: LinuxTask, dirfd: int, path: ConstBytes, flags: int) -> Callable[[], Node]:
    """What a call of these is about. EINVAL for flags that there are not, which is judged at once."""
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
        raise LinuxError(errno.EINVAL)

    def find() -> Node:
        name = read_name(task, path, flags)
        if not name and flags & AT_EMPTY_PATH and dirfd != AT_FDCWD:
            return _opened(task, dirfd)
        return lookup(task, dirfd, name, flags)

    return find


def _args(task: LinuxTask, address: int, size: int) -> tuple[int, int, int]:
    """struct xattr_args: where the value is, its size, flags."""
    if size < _ARGS.size:
        raise LinuxError(errno.EINVAL)
    if size > 4096:
        raise LinuxError(errno.E2BIG)
    value, length, flags = _ARGS.unpack(get_struct(task, address, size, _ARGS.size))
    return value, length, flags


@call("setxattrat")
def sys_setxattrat(
    task: LinuxTask, dirfd: c_int, path: ConstBytes, flags: c_uint, name: ConstBytes, args: ConstBytes, size: c_size_t
) -> int:
    value, length, how = _args(task, args.address, size)
    return _setxattr(task, _at_node(task, dirfd, path, flags), name, ConstBytes(value), length, how)


@call("getxattrat")
def sys_getxattrat(
    task: LinuxTask, dirfd: c_int, path: ConstBytes, flags: c_uint, name: ConstBytes, args: ConstBytes, size: c_size_t
) -> int:
    value, length, how = _args(task, args.address, size)
    if how:
        raise LinuxError(errno.EINVAL)
    find = _at_node(task, dirfd, path, flags)
    attribute = _xattr_name(task, name)
    return _getxattr(task, find(), attribute, Bytes(value), length)


@call("listxattrat")
def sys_listxattrat(task: LinuxTask, dirfd: c_int, path: ConstBytes, flags: c_uint, buf: Bytes, size: c_size_t) -> int:
    return _listxattr(task, _at_node(task, dirfd, path, flags)(), buf, size)


@call("removexattrat")
def sys_removexattrat(task: LinuxTask, dirfd: c_int, path: ConstBytes, flags: c_uint, name: ConstBytes) -> int:
    return _removexattr(task, _at_node(task, dirfd, path, flags), name)
