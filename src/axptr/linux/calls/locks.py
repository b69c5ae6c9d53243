"""The calls that lock files: fcntl's F_SETLK, F_SETLKW, F_GETLK and their OFD kin, and flock. Source: fcntl_locking(2),
flock(2), fs/locks.c.

Where the guest may write, the host holds its locks too. Elsewhere the host is only asked whether another program's
record lock is in the way, and nothing is left there; flock(2) of other programs is not seen there.
"""

from __future__ import annotations

import errno
import os

from ...errors import LinuxError
from ...kernel.abi import c_uint
from ..files.locks import (
    F_RDLCK,
    F_UNLCK,
    F_WRLCK,
    OFFSET_MAX,
    Range,
)
from ..fs.host.locks import FLOCK
from ..registry import call
from ..uaccess import get_bytes, put_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...kernel.wait import Resume
    from ..fs.openfile import OpenFile
    from ..task.task import LinuxTask

F_GETLK, F_SETLK, F_SETLKW = 5, 6, 7
F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW = 36, 37, 38

_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.02
LOCK_SH, LOCK_EX, LOCK_NB, LOCK_UN, LOCK_MAND = 1, 2, 4, 8, 32
_FLOCK_KINDS = {LOCK_SH: F_RDLCK, LOCK_EX: F_WRLCK, LOCK_UN: F_UNLCK}


def record_lock(task: LinuxTask, file: OpenFile, command: int, argument: int) -> int | None:
    """fcntl(2) with one of these six; `argument` is the address of a struct flock."""
    kind, whence, start, size, pid = FLOCK.unpack(get_bytes(task, argument, FLOCK.size))
    ofd = command >= F_OFD_GETLK
    owner = file if ofd else task.files
    if command in (F_GETLK, F_OFD_GETLK):
        if not ofd and kind not in (F_RDLCK, F_WRLCK):
            raise LinuxError(errno.EINVAL)
        wanted = _range(task, file, kind, whence, start, size)
        if ofd and pid:
            raise LinuxError(errno.EINVAL)
        found = task.machine.locks.conflict(file, owner, wanted) or _foreign(task, file, wanted)
        if found is None:
            put_bytes(task, argument, FLOCK.pack(F_UNLCK, whence, start, size, pid))
        else:
            (start, last, kind), holder = found
            size = 0 if last == OFFSET_MAX else last - start + 1
            put_bytes(task, argument, FLOCK.pack(kind, os.SEEK_SET, start, size, holder))
        return 0
    wanted = _range(task, file, kind, whence, start, size)
    if (kind == F_RDLCK and not file.readable) or (kind == F_WRLCK and not file.writable):
        raise LinuxError(errno.EBADF)
    if ofd and pid:
        raise LinuxError(errno.EINVAL)
    locks = task.machine.locks
    if kind == F_UNLCK:
        locks.release(file, owner, wanted.start, wanted.last)
        return 0
    waits = command in (F_SETLKW, F_OFD_SETLKW)
    return _record_lock_on(task, file, ofd, (wanted.start, wanted.last, wanted.kind), waits, _FIRST_PAUSE)


def _record_lock_on(
    task: LinuxTask, file: OpenFile, ofd: bool, wanted: tuple[int, int, int], waits: bool, pause: float
) -> int | None:
    """Take the lock (start, last, kind), or wait for it."""
    locks, ours, hold = task.machine.locks, Range(*wanted), file.host_locks(task)
    foreign = hold is None and _foreign(task, file, ours) is not None
    if not foreign and locks.take(file, file if ofd else task.files, -1 if ofd else task.pid, ours, hold):
        return 0
    if waits and not ofd and _deadlock(task, file, ours):
        raise LinuxError(errno.EDEADLK)
    again = _record_lock_on, (file, ofd, wanted, waits, min(2 * pause, _LONGEST_PAUSE))
    return _wait(task, file, waits, pause, again)


_LONGEST_CHAIN = 10


def _deadlock(task: LinuxTask, file: OpenFile, wanted: Range) -> bool:
    """Whether who is in the way waits, over others maybe, for a lock that this process holds (posix_locks_deadlock)."""
    locks, owner = task.machine.locks, task.files
    waiting = {}
    for other in task.machine.tasks.values():
        record = other.blocked
        if record is not None and record.again is not None and record.again[0] is _record_lock_on:
            waiting[other.files] = record.data
    found = locks.blocker(file, owner, wanted)
    for _ in range(_LONGEST_CHAIN):
        data = waiting.get(found)  # type: ignore[call-overload]
        if data is None:
            return False
        found = locks.blocker(data[0], found, Range(*data[2]))
        if found is owner:
            return True
    return False


def _range(task: LinuxTask, file: OpenFile, kind: int, whence: int, start: int, size: int) -> Range:
    """The bytes that a struct flock means (flock64_to_posix_lock). EINVAL, EOVERFLOW."""
    if whence == os.SEEK_SET:
        base = 0
    elif whence == os.SEEK_CUR:
        base = file.seek(0, os.SEEK_CUR) if file.seekable else 0
    elif whence == os.SEEK_END:
        base = file.stat(task).st_size
    else:
        raise LinuxError(errno.EINVAL)
    low = base + start
    if low > OFFSET_MAX:
        raise LinuxError(errno.EOVERFLOW)
    if low < 0:
        raise LinuxError(errno.EINVAL)
    last = OFFSET_MAX
    if size > 0:
        last = low + size - 1
        if last > OFFSET_MAX:
            raise LinuxError(errno.EOVERFLOW)
    elif size < 0:
        if low + size < 0:
            raise LinuxError(errno.EINVAL)
        low, last = low + size, low - 1
    if kind not in (F_RDLCK, F_WRLCK, F_UNLCK):
        raise LinuxError(errno.EINVAL)
    return Range(low, last, kind)


@call("flock")
def sys_flock(task: LinuxTask, fd: c_uint, operation: c_uint) -> int | None:
    if operation & LOCK_MAND:  # mandatory locks are no more: the call says so in the log and succeeds
        return 0
    kind = _FLOCK_KINDS.get(operation & ~LOCK_NB)
    if kind is None:
        raise LinuxError(errno.EINVAL)
    file = task.files.get_io(fd)
    if kind != F_UNLCK and not (file.readable or file.writable):
        raise LinuxError(errno.EBADF)
    return _flock_on(task, file, kind, not operation & LOCK_NB, _FIRST_PAUSE)


def _flock_on(task: LinuxTask, file: OpenFile, kind: int, waits: bool, pause: float) -> int | None:
    if task.machine.locks.flock(file, kind, file.host_locks(task)):
        return 0
    return _wait(task, file, waits, pause, (_flock_on, (file, kind, waits, min(2 * pause, _LONGEST_PAUSE))))


def _wait(task: LinuxTask, file: OpenFile, waits: bool, pause: float, again: Resume) -> int | None:
    """Until a lock of the run on this file is given up, and for so many seconds at most: nobody tells us when another
    program of the host gives up its own. EAGAIN for who does not wait."""
    if not waits:
        raise LinuxError(errno.EAGAIN)
    until = task.machine.host.monotonic() + pause
    return task.block(on=[(task.machine.locks.waiters(file), 1)], until=until, again=again)


def _foreign(task: LinuxTask, file: OpenFile, wanted: Range) -> tuple[Range, int] | None:
    """Another program's record or OFD lock that forbids this one."""
    return None if wanted.kind == F_UNLCK else file.foreign_lock(task, wanted)
