"""The calls that read directories. Source: getdents(2)."""

from __future__ import annotations

from ...kernel.abi import c_uint
from ..fs import notify
from ..registry import call
from ..uaccess import Bytes, UserIter, get_bytes, put_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask


_MOST = (1 << 31) - 1


def _entries(task: LinuxTask, fd: int, address: int, count: int) -> int:
    """struct linux_dirent64 after another. A count that is no int has room for none (filldir64)."""
    file = task.files.get_io(fd)
    done = file.getdents(task, UserIter.single(task, address, count if count <= _MOST else 0))
    notify.transferred(task, notify.ACCESS, file, 1)
    return done


@call("getdents64")
def sys_getdents64(task: LinuxTask, fd: c_uint, dirent: Bytes, count: c_uint) -> int:
    return _entries(task, fd, dirent.address, count)


@call("getdents")
def sys_getdents(task: LinuxTask, fd: c_uint, dirent: Bytes, count: c_uint) -> int:
    """The old form, as long as the new one: the type stands in the last byte, and the name where the type was."""
    done = _entries(task, fd, dirent.address, count)
    at = dirent.address
    while at < dirent.address + done:
        entry = get_bytes(task, at, int.from_bytes(get_bytes(task, at + 16, 2), "little"))
        put_bytes(task, at, entry[:18] + entry[19:] + entry[18:19])
        at += len(entry)
    return done
