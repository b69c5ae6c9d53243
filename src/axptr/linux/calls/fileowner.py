"""fcntl for what goes with an open file besides its flags: whom it signals, leases, how long what is written will live.

Kept with the description: the host is told of none of it. Source: fcntl(2). Signals themselves: `files.sigio`.
"""

from __future__ import annotations

import errno
from struct import pack, unpack

from ...errors import LinuxError
from ..files.locks import F_UNLCK
from ..files.sigio import F_OWNER_PGRP, F_OWNER_PID, F_OWNER_TID, owner_named, owner_of, set_owner
from ..task.userspace import uid_in
from ..uaccess import get_bytes, put_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..fs.openfile import OpenFile
    from ..task.task import LinuxTask

F_SETOWN, F_GETOWN, F_SETSIG, F_GETSIG, F_SETOWN_EX, F_GETOWN_EX = 8, 9, 10, 11, 15, 16
F_GETOWNER_UIDS, F_GET_RW_HINT, F_SET_RW_HINT = 17, 1035, 1036
F_SETLEASE, F_GETLEASE = 1024, 1025
_OWNERS = (F_OWNER_TID, F_OWNER_PID, F_OWNER_PGRP)
_LAST_HINT = 5  # RWH_WRITE_LIFE_EXTREME


def ownership(task: LinuxTask, file: OpenFile, cmd: int, arg: int) -> int:
    """The result of any such command; EINVAL for one that there is not."""
    if cmd in (F_SETOWN, F_SETOWN_EX):
        if cmd == F_SETOWN:
            who = (arg & 0xFFFF_FFFF ^ 1 << 31) - (1 << 31)
            kind, pid = owner_named(who)
        else:
            kind, pid = unpack("<ii", get_bytes(task, arg, 8))
        if kind not in _OWNERS:
            raise LinuxError(errno.EINVAL)
        set_owner(task, file, kind, pid)
        return 0
    if cmd == F_GETOWN:
        kind, pid = owner_of(task, file)
        return -pid if kind == F_OWNER_PGRP else pid
    if cmd == F_GETOWN_EX:
        put_bytes(task, arg, pack("<ii", *owner_of(task, file)))
        return 0
    if cmd == F_GET_RW_HINT:
        put_bytes(task, arg, pack("<Q", file.write_hint))
        return 0
    if cmd == F_SET_RW_HINT:
        (hint,) = unpack("<Q", get_bytes(task, arg, 8))
        if hint > _LAST_HINT:
            raise LinuxError(errno.EINVAL)
        file.write_hint = hint
        return 0
    if cmd == F_GETOWNER_UIDS:
        put_bytes(task, arg, pack("<II", *(uid_in(task.creds.space, uid) for uid in file.owner_uids)))
        return 0
    if cmd == F_SETSIG:
        if arg > 64:
            raise LinuxError(errno.EINVAL)
        file.signal = arg
        return 0
    if cmd == F_GETSIG:
        return file.signal
    if cmd == F_GETLEASE:
        return F_UNLCK
    if cmd == F_SETLEASE and file.leases() and arg & 0xFFFF_FFFF <= F_UNLCK:
        raise LinuxError(errno.EAGAIN)  # as while others have the file open
    raise LinuxError(errno.EINVAL)
