"""The calls that read directories. Source: getdents(2)."""

from __future__ import annotations

from ...kernel.abi import c_uint
from ..registry import call
from ..uaccess import Bytes, UserIter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask


@call("getdents64")
def sys_getdents64(task: LinuxTask, fd: c_uint, dirent: Bytes, count: c_uint) -> int:
    file = task.files.get_io(fd)
    return file.getdents(task, UserIter.single(task, dirent.address, count))
