"""What security modules there are: lsm_list_modules, lsm_get_self_attr, lsm_set_self_attr. Source:
security/lsm_syscalls.c of Linux 6.18. Capabilities alone are a module here, and they have no attributes.
"""

from __future__ import annotations

import errno
from struct import pack, unpack

from ...errors import LinuxError
from ...kernel.abi import c_uint
from ..registry import call
from ..uaccess import Bytes, ConstBytes, get_bytes, put_bytes, put_user

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

_CAPABILITY = 100
_ONE_OF_THEM = 1
_HEADER = 32
"""struct lsm_ctx."""


@call("lsm_list_modules")
def sys_lsm_list_modules(task: LinuxTask, ids: Bytes, size: Bytes, flags: c_uint) -> int:
    if flags:
        raise LinuxError(errno.EINVAL)
    (room,) = unpack("<I", get_bytes(task, size.address, 4))
    put_user(task, size.address, pack("<I", 8))
    if room < 8:
        raise LinuxError(errno.E2BIG)
    put_user(task, ids.address, pack("<Q", _CAPABILITY))
    return 1


@call("lsm_get_self_attr")
def sys_lsm_get_self_attr(task: LinuxTask, attr: c_uint, context: Bytes, size: Bytes, flags: c_uint) -> int:
    if attr == 0 or size.is_null:
        raise LinuxError(errno.EINVAL)
    get_bytes(task, size.address, 4)
    if flags:
        if flags & ~_ONE_OF_THEM or context.is_null:
            raise LinuxError(errno.EINVAL)
        (wanted,) = unpack("<Q", get_bytes(task, context.address, _HEADER)[:8])
        if not wanted:
            raise LinuxError(errno.EINVAL)
    put_bytes(task, size.address, bytes(4))
    raise LinuxError(errno.EOPNOTSUPP)


@call("lsm_set_self_attr")
def sys_lsm_set_self_attr(task: LinuxTask, attr: c_uint, context: ConstBytes, size: c_uint, flags: c_uint) -> int:
    if flags or size < _HEADER:
        raise LinuxError(errno.EINVAL)
    if size > 4096:
        raise LinuxError(errno.E2BIG)
    _, _, length, text = unpack("<QQQQ", get_bytes(task, context.address, size)[:_HEADER])
    if size < length or length < _HEADER + text:
        raise LinuxError(errno.EINVAL)
    raise LinuxError(errno.EOPNOTSUPP)
