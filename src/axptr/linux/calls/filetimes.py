"""Times of files: utime(2), utimes(2), futimesat(2), utimensat(2). Source: fs/utimes.c, in its order of checks.

What a file system makes of a time that it cannot keep is the host's affair: it is given the time as it is.
"""

from __future__ import annotations

import errno
from struct import pack, unpack

from ...errors import LinuxError
from ...kernel.abi import c_int
from ..fs import notify
from ..fs.permissions import set_times
from ..fs.walk import AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW
from ..registry import call
from ..uaccess import ConstBytes, get_bytes
from .names import changeable, changeable_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

UTIME_NOW, UTIME_OMIT = 0x3FFFFFFF, 0x3FFFFFFE
_BILLION, _MILLION = 10**9, 10**6


def _set(task: LinuxTask, dirfd: int, path: ConstBytes, times: tuple[int, ...] | None, flags: int) -> int:
    """do_utimes: by name, or without one of what is open. times: seconds and nanoseconds, twice; None for now."""
    if path.is_null and dirfd != AT_FDCWD:
        if flags:
            raise LinuxError(errno.EINVAL)
        node = changeable_file(task, dirfd)
    else:
        if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
            raise LinuxError(errno.EINVAL)
        node = changeable(task, dirfd, path, flags)
    if times is not None and any(n not in (UTIME_NOW, UTIME_OMIT) and not 0 <= n < _BILLION for n in times[1::2]):
        raise LinuxError(errno.EINVAL)
    touch = times is None or times[1::2] == (UTIME_NOW, UTIME_NOW)
    set_times(task, node, None if times is None else pack("<4q", *times), touch=touch)
    what = notify.ATTRIB
    if times is not None and UTIME_OMIT in times[1::2]:
        what = notify.ACCESS if times[3] == UTIME_OMIT else notify.MODIFY
    notify.happened(task, what, node)
    return 0


@call("utimensat")
def sys_utimensat(task: LinuxTask, dirfd: c_int, path: ConstBytes, times: ConstBytes, flags: c_int) -> int:
    wanted = None
    if not times.is_null:
        wanted = unpack("<4q", get_bytes(task, times.address, 32))
        if wanted[1::2] == (UTIME_OMIT, UTIME_OMIT):  # nothing to do, and nothing is looked at
            return 0
    return _set(task, dirfd, path, wanted, flags)


def _micros(task: LinuxTask, dirfd: int, path: ConstBytes, times: ConstBytes) -> int:
    """Times in microseconds, which have no special values."""
    if times.is_null:
        return _set(task, dirfd, path, None, 0)
    atime, amicros, mtime, mmicros = unpack("<4q", get_bytes(task, times.address, 32))
    if not (0 <= amicros < _MILLION and 0 <= mmicros < _MILLION):
        raise LinuxError(errno.EINVAL)
    return _set(task, dirfd, path, (atime, amicros * 1000, mtime, mmicros * 1000), 0)


@call("futimesat")
def sys_futimesat(task: LinuxTask, dirfd: c_int, path: ConstBytes, times: ConstBytes) -> int:
    return _micros(task, dirfd, path, times)


@call("utimes")
def sys_utimes(task: LinuxTask, path: ConstBytes, times: ConstBytes) -> int:
    return _micros(task, AT_FDCWD, path, times)


@call("utime")
def sys_utime(task: LinuxTask, path: ConstBytes, times: ConstBytes) -> int:
    if times.is_null:
        return _set(task, AT_FDCWD, path, None, 0)
    atime, mtime = unpack("<qq", get_bytes(task, times.address, 16))
    return _set(task, AT_FDCWD, path, (atime, 0, mtime, 0), 0)
