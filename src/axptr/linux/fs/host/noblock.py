"""Host descriptors that may block, read and written so that they do not: EAGAIN instead. The call then waits
(`calls.rw`).

A description that is ours alone has O_NONBLOCK on the host, whatever the guest asked for, and we do the blocking. One
that others use too (a standard stream, shared with the user's shell) keeps its flags: pipes, FIFOs and terminals are
opened once more, without blocking, which gives us a description of the same thing; what cannot be opened again (a
socket, a pipe of another user) is asked with RWF_NOWAIT, and what knows neither is polled first, and written to in
pieces that fit where poll says there is room.

Not exact, where it comes to the last: between poll and the call somebody else may take the bytes or the room, and the
call blocks on the host.
"""

from __future__ import annotations

import errno
import os
import stat

from ...._core.host import hostcalls
from ....errors import LinuxError
from .calls import host
from .fd import by_descriptor

POLLIN, POLLOUT = 1, 4
PIPE_BUF = 4096
"""How much may be written without blocking where poll says that there is room (pipe(7))."""

_BLOCKING = (stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK)


def may_block(kind: int) -> bool:
    """Whether files of this kind make readers and writers wait."""
    return kind in _BLOCKING


def epoll_takes(fd: int) -> bool:
    """Whether the host's epoll would watch a descriptor: not a device that is always ready."""
    import select  # which few runs need

    epoll = select.epoll()
    try:
        epoll.register(fd)
    except OSError as error:
        return error.errno != errno.EPERM
    finally:
        epoll.close()
    return True


class Channel:
    """Transfers over a host descriptor that may block. fd: what is to be polled, read and written. nowait: whether
    it blocks by itself, and each transfer is to say that it is not to."""

    def __init__(self, fd: int, flags: int, kind: int, *, shared: bool) -> None:
        """`shared`: others use the description too. flags: the access mode that it has."""
        self.fd = fd
        self._own = -1
        self.nowait = False
        if not shared:
            host(os.set_blocking, fd, False)
            return
        self.nowait = True
        if kind == stat.S_IFIFO or (kind == stat.S_IFCHR and os.isatty(fd)):
            wanted = flags & os.O_ACCMODE | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            try:
                self.fd = self._own = os.open(by_descriptor(fd), wanted)
            except OSError:
                return
            self.nowait = False

    def read(self, view: memoryview) -> int:
        """As much as there is; EAGAIN for nothing."""
        if not self.nowait:
            return host(os.readv, self.fd, [view])
        try:
            return host(os.preadv, self.fd, [view], -1, os.RWF_NOWAIT)
        except LinuxError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
        self._require(POLLIN)
        return host(os.readv, self.fd, [view])

    def write(self, data: memoryview) -> int:
        """As much as there is room for; EAGAIN for none."""
        if not self.nowait:
            return host(os.write, self.fd, data)
        try:
            return host(os.pwritev, self.fd, [data], -1, os.RWF_NOWAIT)
        except LinuxError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
        self._require(POLLOUT)
        return host(os.write, self.fd, data[:PIPE_BUF])

    def require(self, event: int) -> None:
        """Before a call of the host that this class has not: EAGAIN if the descriptor is not ready for it."""
        if self.nowait:
            self._require(event)

    def _require(self, event: int) -> None:
        if not hostcalls.poll_now(self.fd, event):
            raise LinuxError(errno.EAGAIN)

    def close(self) -> None:
        if self._own >= 0:
            os.close(self._own)
            self._own = -1
