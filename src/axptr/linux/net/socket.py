"""`Socket`: a socket as an open file. What it does is its endpoint's affair (`endpoint`, and the families).

Reads and writes are receives and sends without an address; how long a call may wait is said by options and flags.
Source: net/socket.c of Linux 6.18, socket(7).
"""

from __future__ import annotations

import errno
import os
import stat

from ..._core.kernel.fields import learn_socket
from ...errors import LinuxError
from ..files.sigio import F_OWNER_PGRP, owner_named, owner_of, set_owner
from ..fs.node import Node, Stat
from ..fs.openfile import BrokenPipe, OpenFile
from ..uaccess import get_bytes, put_bytes
from .endpoint import (
    MSG_NOSIGNAL,
    POLLERR,
    POLLHUP,
    READABLE,
    Endpoint,
    Outgoing,
    Plain,
    Waits,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...kernel.run import RunLoop
    from ...kernel.wait import WaitQueue
    from ..task.task import LinuxTask
    from ..uaccess import UserIter

O_NONBLOCK = os.O_NONBLOCK
_SOCKFS_MAGIC = 0x534F434B
_FIOSETOWN, _SIOCSPGRP, _FIOGETOWN, _SIOCGPGRP, _SIOCGSTAMP = 0x8901, 0x8902, 0x8903, 0x8904, 0x8906


class SocketNode(Node):
    """What a descriptor of a socket leads to: a file of sockfs, which has no names."""

    dev = 8
    magic = _SOCKFS_MAGIC

    def __init__(self, end: Endpoint) -> None:
        super().__init__(b"socket:[%d]" % end.number)
        self._end = end
        self.mode = end.mode

    @property
    def ino(self) -> int:
        return self._end.number

    def stat(self, task: LinuxTask) -> Stat:
        told = Stat(self.mode, self.ino, self.dev, 0)
        told.st_uid = self._end.owner
        told.st_gid = self._end.group
        told.st_blksize = 4096
        return told

    def changeable(self) -> SocketNode:
        return self

    def set_mode(self, mode: int) -> None:
        self._end.mode = self.mode = stat.S_IFSOCK | mode & 0o7777

    def set_owner(self, uid: int, gid: int) -> None:
        end = self._end
        end.owner = end.owner if uid in (-1, 0xFFFF_FFFF) else uid
        end.group = end.group if gid in (-1, 0xFFFF_FFFF) else gid

    def set_times(self, times: bytes | None) -> None:
        """None are kept."""


class Socket(OpenFile):
    """An open socket.

    endpoint: what it is one end of; another in its place where it turns out that it communicates with the outside.
    """

    __slots__ = ("endpoint",)

    kind = stat.S_IFSOCK
    asynchronous = urgent = True
    moves = False
    may_wait = True

    def __init__(self, end: Endpoint, flags: int = 0) -> None:
        super().__init__(os.O_RDWR | flags & O_NONBLOCK)
        self.endpoint = end
        end.network.opened(end)

    def become(self, end: Endpoint, loop: RunLoop | None) -> None:
        """It turns out to communicate with the outside: who waits for it or watches it does so there, by the loop."""
        before = self.endpoint.queue
        self.endpoint = end
        end.network.endpoints[end.number] = end
        waiters: list[tuple[Any, int]] = [*before._waiters.items(), *before._watches.items()]
        for waiting, mask in waiters:
            before.remove(waiting)
            if waiting.loop is None:
                waiting.goes_outside(loop)
            end.queue.add(waiting, mask)

    @property
    def large(self) -> int:
        return 0

    @property
    def queue(self) -> WaitQueue:
        return self.endpoint.queue

    def ready(self, mask: int) -> int:
        return self.endpoint.poll() & (mask | POLLERR | POLLHUP)

    def info(self) -> bytes:
        return self.endpoint.info()

    def deadline(self, task: LinuxTask, event: int) -> float | None:
        options = self.endpoint.options
        timeout = options.receive_timeout if event & READABLE else options.send_timeout
        return None if timeout is None else task.machine.host.monotonic() + timeout

    # -- transfers

    def read(self, task: LinuxTask, to: UserIter, pos: int | None) -> int:
        if not to.count:  # sock_read_iter
            return 0
        return self.read_on(task, to, 0)

    def read_on(self, task: LinuxTask, to: UserIter, done: int) -> int:
        least = min(self.endpoint.options.least, to.count + done) - done  # sock_rcvlowat
        try:
            got = self.endpoint.receive(task, to, 0, least)
        except Waits as stop:
            if self.blocks:
                raise
            if stop.done:
                return stop.done
            raise LinuxError(errno.EAGAIN) from None
        for file in got.files:
            file.release(task.machine.locks)
        return got.count

    def write(self, task: LinuxTask, data: UserIter, pos: int | None) -> int:
        try:
            return self.endpoint.send(task, data, Outgoing())
        except Waits as stop:
            if self.blocks:
                raise
            if stop.done:
                return stop.done
            raise LinuxError(errno.EAGAIN) from None

    def write_host(self, task: LinuxTask, data: memoryview, pos: int | None) -> int:
        try:
            return self.endpoint.send(task, Plain(data), Outgoing(MSG_NOSIGNAL))
        except BrokenPipe as error:
            if error.done:
                return error.done
            raise
        except Waits as stop:
            if stop.done:
                return stop.done
            raise LinuxError(errno.EAGAIN) from None

    def read_host(self, task: LinuxTask, view: memoryview, pos: int | None) -> int:
        try:
            got = self.endpoint.receive(task, Plain(view), 0, 1)
        except Waits:
            raise LinuxError(errno.EAGAIN) from None
        for file in got.files:
            file.release(task.machine.locks)
        return got.count

    def require_ready(self, event: int) -> None:
        if not self.ready(event):
            raise LinuxError(errno.EAGAIN)

    # -- the rest

    def node(self) -> SocketNode:
        return SocketNode(self.endpoint)

    def stat(self, task: LinuxTask) -> Stat:
        return self.node().stat(task)

    def name(self) -> bytes:
        return b"socket:[%d]" % self.endpoint.number

    def ioctl(self, task: LinuxTask, command: int, argument: int) -> int | None:
        if command in (_FIOSETOWN, _SIOCSPGRP):
            who = int.from_bytes(get_bytes(task, argument, 4), "little", signed=True)
            set_owner(task, self, *owner_named(who))
            return 0
        if command in (_FIOGETOWN, _SIOCGPGRP):
            kind, who = owner_of(task, self)
            put_bytes(task, argument, (-who if kind == F_OWNER_PGRP else who).to_bytes(4, "little", signed=True))
            return 0
        if command == _SIOCGSTAMP:
            raise LinuxError(errno.ENOENT)
        found = self.endpoint.ioctl(task, command, argument)
        if found is not None:
            return found
        from .interfaces import interface_ioctl

        return interface_ioctl(task, self.endpoint, command, argument)

    def close(self) -> None:
        end = self.endpoint
        end.network.closed(end)
        end.network.later(end.close)


learn_socket(Socket)
