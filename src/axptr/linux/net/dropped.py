"""What a socket of the host's is in a copy of its machine: the other end is not there any more.

A connection is one that the peer has reset: the next call tells ECONNRESET, then reads find the end, and writes give
EPIPE. A listener accepts nothing (EINVAL, as after shutdown); a datagram goes nowhere (ENETUNREACH), and none comes: a
read finds the end. All events are there, so that nobody waits for it. A program has to make a new socket.

| field | exec | fork | a snapshot |
| --- | --- | --- | --- |
| like: whose options are asked and set | keeps | shared with the open file | it |
| error: what is still to be told; listened: it was a listener | keep | the same | as they are |
"""

from __future__ import annotations

import errno

from ...errors import LinuxError
from ...kernel.wait import WaitQueue
from ..fs.openfile import BrokenPipe
from .endpoint import (
    CLOSE,
    ESTABLISHED,
    LISTEN,
    POLLERR,
    POLLHUP,
    POLLIN,
    POLLOUT,
    POLLRDHUP,
    POLLRDNORM,
    POLLWRNORM,
    SOCK_STREAM,
    Endpoint,
    Goal,
    Outgoing,
    Received,
    Source,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from ..task.task import LinuxTask
    from .inet import InetEndpoint
    from .outside import Outside

_ALL = POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLHUP | POLLRDHUP


class Dropped(Endpoint):
    """In the place of an `Outside`, with its number."""

    like: InetEndpoint
    listened: bool

    @classmethod
    def of(cls, end: Outside) -> Self:
        """Of one that goes on in its own machine."""
        made = cls.__new__(cls)
        for name in ("network", "kind", "protocol", "owner", "group", "mode", "options", "shut", "number", "dead"):
            setattr(made, name, getattr(end, name))
        made.family, made.connects = end.family, end.connects
        made.like = end._like
        made.queue = WaitQueue()
        made.state = CLOSE
        made.listened = end.state == LISTEN
        broken = end.connects and (end.state == ESTABLISHED or end._connecting)
        made.error = errno.ECONNRESET if broken else 0
        return made

    def poll(self) -> int:
        return _ALL | (POLLERR if self.error else 0)

    def connect(self, task: LinuxTask, address: bytes, nonblock: bool) -> None:
        self.take_error()
        raise LinuxError(errno.ENETUNREACH)

    def accept(self, task: LinuxTask) -> Endpoint:
        raise LinuxError(errno.EINVAL)

    def name(self, peer: bool) -> bytes:
        return self.like.name(peer)

    def send(self, task: LinuxTask, data: Source, message: Outgoing) -> int:
        self.take_error()
        if self.kind == SOCK_STREAM:
            raise BrokenPipe()
        raise LinuxError(errno.ENETUNREACH)

    def receive(self, task: LinuxTask, to: Goal, flags: int, least: int) -> Received:
        if self.listened:
            raise LinuxError(errno.ENOTCONN)
        self.take_error()
        return Received(0)

    def shutdown(self, task: LinuxTask, how: int) -> None:
        raise LinuxError(errno.ENOTCONN)

    def get_option(self, task: LinuxTask, level: int, name: int, size: int) -> bytes:
        return self.like.get_option(task, level, name, size)

    def set_option(self, task: LinuxTask, level: int, name: int, address: int, size: int) -> None:
        self.like.set_option(task, level, name, address, size)

    def ioctl(self, task: LinuxTask, command: int, argument: int) -> int | None:
        return self.like.ioctl(task, command, argument)
