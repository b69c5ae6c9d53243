"""Waiting for children: wait4, waitid. Source: wait(2), kernel/exit.c. What there is to tell: `task.children`."""

from __future__ import annotations

import errno
from struct import pack

from ...errors import LinuxError
from ...kernel.abi import c_int, c_uint
from ..abi.signals import SIGCHLD
from ..fs.openfile import O_NONBLOCK
from ..registry import call
from ..task.children import (
    P_ALL,
    P_PGID,
    P_PID,
    P_PIDFD,
    WALL,
    WCLONE,
    WCONTINUED,
    WEXITED,
    WNOHANG,
    WNOTHREAD,
    WNOWAIT,
    WSTOPPED,
    Found,
    Wanted,
    look,
)
from ..task.userspace import shown_uid
from ..uaccess import Bytes, put_bytes, put_user, put_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

_INT_MIN = -(1 << 31)


@call("wait4")
def sys_wait4(task: LinuxTask, pid: c_int, status: Bytes, options: c_uint, usage: Bytes) -> int | None:
    if options & ~(WNOHANG | WSTOPPED | WCONTINUED | WNOTHREAD | WCLONE | WALL):
        raise LinuxError(errno.EINVAL)
    if pid == _INT_MIN:
        raise LinuxError(errno.ESRCH)
    if pid == -1:
        kind, number = P_ALL, 0
    elif pid < 0:
        kind, number = P_PGID, -pid
    elif pid == 0:
        kind, number = P_PGID, task.group.pgid
    else:
        kind, number = P_PID, pid
    return _wait4_on(task, Wanted(kind, number, options | WEXITED), status.address, usage.address)


def _wait4_on(task: LinuxTask, wanted: Wanted, status: int, usage: int) -> int | None:
    found = look(task, wanted)
    if found is None:
        if wanted.options & WNOHANG:
            return 0
        return task.block(on=[(task.group.changed, 1)], again=(_wait4_on, (wanted, status, usage)))
    if status:
        put_user(task, status, pack("<I", found.status))
    if usage:
        put_bytes(task, usage, found.usage.pack())
    return found.pid


@call("waitid")
def sys_waitid(task: LinuxTask, which: c_int, pid: c_int, info: Bytes, options: c_uint, usage: Bytes) -> int | None:
    """The fields of a child are stored whatever becomes of the call, as zeros where there is none."""
    try:
        wanted, eager = _wanted(task, which, pid, options)
    except LinuxError:
        _store(task, info.address, None)
        raise
    return _waitid_on(task, wanted, eager, info.address, usage.address)


def _waitid_on(task: LinuxTask, wanted: Wanted, eager: bool, info: int, usage: int) -> int | None:
    """eager: a pidfd that does not wait was given: EAGAIN."""
    try:
        found = look(task, wanted)
        if found is None and eager:
            raise LinuxError(errno.EAGAIN)
    except LinuxError:
        _store(task, info, None)
        raise
    if found is None and not wanted.options & WNOHANG:
        return task.block(on=[(task.group.changed, 1)], again=(_waitid_on, (wanted, eager, info, usage)))
    if found is not None and usage:
        put_bytes(task, usage, found.usage.pack())
    _store(task, info, found)
    return 0


def _wanted(task: LinuxTask, which: int, pid: int, options: int) -> tuple[Wanted, bool]:
    """Whom the arguments mean, and whether a pidfd says that nobody is to wait."""
    if options & ~(WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED | WNOTHREAD | WCLONE | WALL):
        raise LinuxError(errno.EINVAL)
    if not options & (WEXITED | WSTOPPED | WCONTINUED) or which not in (P_ALL, P_PID, P_PGID, P_PIDFD):
        raise LinuxError(errno.EINVAL)
    if (which == P_PID and pid <= 0) or (which in (P_PGID, P_PIDFD) and pid < 0):
        raise LinuxError(errno.EINVAL)
    if which == P_PIDFD:
        from ..files.pidfd import PidFile

        file = task.files.get_io(pid)
        if not isinstance(file, PidFile):
            raise LinuxError(errno.EBADF)
        return Wanted(P_PID, file.group.tgid, options), bool(file.flags & O_NONBLOCK) and not options & WNOHANG
    if which == P_PGID and pid == 0:
        pid = task.group.pgid
    return Wanted(which, pid, options), False


def _store(task: LinuxTask, info: int, found: Found | None) -> None:
    """The six fields of siginfo_t that waitid fills."""
    if not info:
        return
    if found is None:
        head, body = bytes(12), bytes(12)
    else:
        head = pack("<iii", SIGCHLD, 0, found.code)
        body = pack("<iIi", found.pid, shown_uid(task.creds.space, found.uid), found.shown)
    put_words(task, info, head, 4)
    put_words(task, info + 16, body, 4)
