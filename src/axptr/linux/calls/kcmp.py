"""kcmp(2): whether two processes have the same open file, memory, table. Source: kernel/kcmp.c of Linux 6.18.

What differs is told in an order that means nothing but stays the same, as the kernel's.
"""

from __future__ import annotations

import errno
from struct import unpack

from ...errors import LinuxError
from ...kernel.abi import c_int, c_ulong
from ..files.epoll import EpollFile
from ..registry import call
from ..task.looking import require_look
from ..uaccess import get_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..fs.openfile import OpenFile
    from ..task.task import LinuxTask

_FILE, _VM, _FILES, _FS, _SIGHAND, _IO, _SYSVSEM, _EPOLL_TFD = range(8)
_SHARED: dict[int, Callable[[LinuxTask], object]] = {
    _VM: lambda task: task.mm,
    _FILES: lambda task: task.files,
    _FS: lambda task: task.fs,
    _SIGHAND: lambda task: task.actions,
    _IO: lambda task: None,  # nobody has one until it is shared
    _SYSVSEM: lambda task: None,
}


@call("kcmp")
def sys_kcmp(task: LinuxTask, pid1: c_int, pid2: c_int, kind: c_int, index1: c_ulong, index2: c_ulong) -> int:
    """0 for the same, 1 and 2 for the order, 3 where there is none."""
    one, other = task.machine.thread(pid1), task.machine.thread(pid2)
    if one is None or other is None:
        raise LinuxError(errno.ESRCH)
    require_look(task, one)
    require_look(task, other)
    if kind == _FILE:
        return _order(one.files.get(index1 & 0xFFFF_FFFF), other.files.get(index2 & 0xFFFF_FFFF))
    if kind == _EPOLL_TFD:
        return _order(one.files.get(index1 & 0xFFFF_FFFF), _watched(task, other, index2))
    found = _SHARED.get(kind)
    if found is None:
        raise LinuxError(errno.EINVAL)
    return _order(found(one), found(other))


def _order(one: object, other: object) -> int:
    return 0 if one is other else 1 if id(one) < id(other) else 2


def _watched(task: LinuxTask, other: LinuxTask, address: int) -> OpenFile:
    """The file that an epoll watches: struct kcmp_epoll_slot names the epoll, the descriptor, and which of those that
    were watched by that number."""
    efd, tfd, skip = unpack("<III", get_bytes(task, address, 12))
    epoll = other.files.get(efd)
    if not isinstance(epoll, EpollFile):
        raise LinuxError(errno.EINVAL)
    found = [file for fd, file in epoll.set.entries if fd == tfd]
    if skip >= len(found):
        raise LinuxError(errno.ENOENT)
    watched: OpenFile = found[skip]
    return watched
