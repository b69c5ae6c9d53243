"""The host's side of the guest's file locks: one descriptor of our own for each file, on which the host holds them.

The host's OFD locks stand for the guest's record and OFD locks, the host's flock for the guest's: each conflicts with
its like, whoever asks, and none is lost when some other descriptor of this process is closed. Looking for a lock that
forbids one (`conflict_on_host`) leaves no trace; nothing else here is done to a file that the guest may not write.
"""

from __future__ import annotations

import errno
import fcntl
import os
from struct import Struct

from ....errors import LinuxError
from ...files.locks import (
    F_RDLCK,
    F_UNLCK,
    F_WRLCK,
    OFFSET_MAX,
    Range,
)
from .calls import host
from .fd import Owned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .file import HostFile

F_OFD_GETLK, F_OFD_SETLK = 36, 37
FLOCK = Struct("<hh4xqqi4x")
"""struct flock: l_type, l_whence, l_start, l_len, l_pid."""

_FLOCK_OPERATIONS = {F_RDLCK: fcntl.LOCK_SH, F_WRLCK: fcntl.LOCK_EX, F_UNLCK: fcntl.LOCK_UN}
_REFUSED = (errno.EAGAIN, errno.EACCES)


def pack_range(wanted: Range) -> bytes:
    size = 0 if wanted.last == OFFSET_MAX else wanted.last - wanted.start + 1
    return FLOCK.pack(wanted.kind, os.SEEK_SET, wanted.start, size, 0)


def conflict_on_host(fd: int, wanted: Range) -> tuple[Range, int] | None:
    """The lock of another program that forbids this one, and its holder's pid (-1: an OFD lock's is not told)."""
    answer = host(lambda: fcntl.fcntl(fd, F_OFD_GETLK, pack_range(wanted)))
    kind, _, start, size, pid = FLOCK.unpack(answer)
    if kind == F_UNLCK:
        return None
    return Range(start, start + size - 1 if size else OFFSET_MAX, kind), pid


class HostLocks(Owned):
    """What the host holds for the guest on one file, until `close`. fd: our own description of it."""

    def __init__(self, file: HostFile) -> None:
        self.fd = _reopen(file)

    def lock(self, wanted: Range) -> bool:
        """Hold this on the bytes, or nothing (F_UNLCK); False if another program's lock forbids it."""
        try:
            host(fcntl.fcntl, self.fd, F_OFD_SETLK, pack_range(wanted))
        except LinuxError as error:
            if error.errno in _REFUSED:
                return False
            if error.errno != errno.EBADF:  # this user may not open the file so that it could be held
                raise
        return True

    def flock(self, kind: int) -> bool:
        """False if another program's flock forbids it; then none is held."""
        try:
            host(fcntl.flock, self.fd, _FLOCK_OPERATIONS[kind] | fcntl.LOCK_NB)
        except LinuxError as error:
            if error.errno != errno.EWOULDBLOCK:
                raise
            return False
        return True


def _reopen(file: HostFile) -> int:
    """A description of our own of an open file, that can hold both kinds of locks if the user may have such a one."""
    for mode in (os.O_RDWR, os.O_RDONLY):
        try:
            return os.open(b"/proc/self/fd/%d" % file.host_fd, mode | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError:
            continue
    return host(os.dup, file.host_fd)
