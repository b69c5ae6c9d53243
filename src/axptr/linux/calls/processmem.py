"""Memory of a process that a descriptor names: process_madvise, process_mrelease; and of a file in the cache:
cachestat. Source: mm/madvise.c, mm/oom_kill.c, mm/filemap.c of Linux 6.18.
"""

from __future__ import annotations

import errno
from struct import pack, unpack

from ...errors import LinuxError
from ...flags import WRITE
from ...kernel.abi import c_int, c_size_t, c_uint
from ..files.pidfd import PidFile
from ..mem.vma import PAGE
from ..registry import call
from ..task.looking import require_look
from ..uaccess import Bytes, ConstBytes, get_bytes, import_iovec, put_bytes
from .advice import MADV_COLD, MADV_COLLAPSE, MADV_PAGEOUT, sys_madvise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

_SELF_THREAD, _SELF_GROUP = -10_000, -10_001
_WILLNEED = 3
_OF_OTHERS = (MADV_COLD, MADV_PAGEOUT, _WILLNEED, MADV_COLLAPSE)
_MOST = (1 << 64) - 1


def _process(task: LinuxTask, pidfd: int) -> LinuxTask:
    """Whom a pidfd names, or the caller (PIDFD_SELF). EBADF for what is none, ESRCH for one that is gone."""
    if pidfd in (_SELF_THREAD, _SELF_GROUP):
        return task
    file = task.files.get_io(pidfd)
    if not isinstance(file, PidFile):
        raise LinuxError(errno.EBADF)
    if file.gone or file.task.dead:
        raise LinuxError(errno.ESRCH)
    return file.task


@call("process_madvise")
def sys_process_madvise(
    task: LinuxTask, pidfd: c_int, vec: ConstBytes, count: c_size_t, advice: c_int, flags: c_uint
) -> int:
    """Bytes that were advised; those before a range that refuses stand."""
    if flags:
        raise LinuxError(errno.EINVAL)
    ranges = import_iovec(task, vec, count, WRITE)
    goal = _process(task, pidfd)
    require_look(task, goal, by_files=True)
    if goal.mm is not task.mm:
        if advice not in _OF_OTHERS:
            raise LinuxError(errno.EINVAL)
        raise LinuxError(errno.EPERM)  # CAP_SYS_NICE, which no container has
    done = 0
    try:
        for address, size in ranges:
            sys_madvise(task, address, size, advice)
            done += size
    except LinuxError:
        if not done:
            raise
    return done


@call("process_mrelease")
def sys_process_mrelease(task: LinuxTask, pidfd: c_int, flags: c_uint) -> int:
    """Only one that is being killed gives its memory up before its time; it does so by itself."""
    if flags:
        raise LinuxError(errno.EINVAL)
    if not _process(task, pidfd).over:
        raise LinuxError(errno.EINVAL)
    return 0


@call("cachestat")
def sys_cachestat(task: LinuxTask, fd: c_uint, range: ConstBytes, stat: Bytes, flags: c_uint) -> int:
    """Pages that the machine has of a file. Nothing is ever thrown out of its cache or waits to be written."""
    file = task.files.get_io(fd)
    start, length = unpack("<QQ", get_bytes(task, range.address, 16))
    if flags:
        raise LinuxError(errno.EINVAL)
    first = start // PAGE
    last = (start + length - 1) % (1 << 64) // PAGE if length else _MOST
    status = file.stat(task)
    pages = -(-status.st_size // PAGE) if status.st_mode & 0o170000 == 0o100000 else 0
    there = max(0, min(last, pages - 1) - first + 1)
    put_bytes(task, stat.address, pack("<5Q", there, 0, 0, 0, 0))
    return 0
