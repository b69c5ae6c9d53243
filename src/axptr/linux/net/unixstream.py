"""AF_UNIX by connections: SOCK_STREAM, and how SOCK_SEQPACKET connects. Source: unix(7), net/unix/af_unix.c of Linux
6.18.

A connection is there as soon as connect has put it into the listener's queue; accept takes it out.

An urgent byte (MSG_OOB) is a message of its own, the socket's `urgent` until it is read or passed. Read as such it
stays in its place, empty, so that the mark can be found.
"""

from __future__ import annotations

import errno
from collections import deque

from ..._core.kernel.streams import Message, cost_of_stream
from ...errors import LinuxError
from ..fs.openfile import BrokenPipe
from .endpoint import (
    CLOSE,
    ESTABLISHED,
    LISTEN,
    MSG_OOB,
    MSG_PEEK,
    POLLPRI,
    READABLE,
    SHUT_BOTH,
    SHUT_READ,
    SHUT_WRITE,
    SOCK_DGRAM,
    Endpoint,
    Goal,
    Outgoing,
    Received,
    Source,
    Waits,
    taken,
)
from .unix import UnixEndpoint
from .unixnames import sockaddr, unix_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask
    from .endpoint import Cred
    from .network import Network


class Connected(UnixEndpoint):
    """One end of a connection, or a listener.

    waiting: connections that nobody has accepted yet; accepted: false of these.
    """

    connects = True

    def __init__(self, network: Network, kind: int, owner: int) -> None:
        super().__init__(network, kind, owner)
        self.waiting: deque[Connected] = deque()
        self.backlog = 0
        self.accepted = True

    # -- connecting

    def listen(self, task: LinuxTask, backlog: int) -> None:
        if self.address is None:
            raise LinuxError(errno.EINVAL)
        if self.state not in (CLOSE, LISTEN):
            raise LinuxError(errno.EINVAL)
        if backlog > self.backlog:
            self.room.queue.wake()
        self.backlog = backlog
        self.state = LISTEN
        self.peer_cred, self.peer_groups = _own_cred(task)

    @property
    def full(self) -> bool:
        return len(self.waiting) > self.backlog

    def connect(self, task: LinuxTask, address: bytes, nonblock: bool) -> None:
        name = unix_name(address)
        self.name_itself()
        other = self.network.unix.find(task, name, self.kind)
        if not isinstance(other, Connected) or other.state != LISTEN or other.shut & SHUT_READ:
            raise LinuxError(errno.ECONNREFUSED)
        if other.full:
            if nonblock:
                raise LinuxError(errno.EAGAIN)
            raise Waits(on=other.room)
        if self.state != CLOSE:
            raise LinuxError(errno.EISCONN if self.state == ESTABLISHED else errno.EINVAL)
        made = type(self)(self.network, self.kind, task.creds.euid)
        made.accepted = False
        made.address, made.node = other.address, other.node
        made.options.pass_cred, made.options.pass_sec = other.options.pass_cred, other.options.pass_sec
        made.options.send_buffer = other.options.send_buffer
        self.join(made)
        made.peer_cred, made.peer_groups = _own_cred(task)
        self.peer_cred, self.peer_groups = other.peer_cred, other.peer_groups
        other.waiting.append(made)
        other.queue.wake(READABLE)
        self.queue.wake()

    def join(self, other: Connected) -> None:
        """They are the ends of one connection from now on."""
        self.peer, other.peer = other, self
        self.state = other.state = ESTABLISHED

    def accept(self, task: LinuxTask) -> Endpoint:
        if self.state != LISTEN:
            raise LinuxError(errno.EINVAL)
        if not self.waiting:
            self.take_error()
            if self.shut & SHUT_READ:
                raise LinuxError(errno.EINVAL)
            raise Waits()
        made = self.waiting.popleft()
        made.accepted = True
        self.room.queue.wake()
        return made

    def shutdown(self, task: LinuxTask, how: int) -> None:
        self.shut_down(how)
        other = self.peer
        if isinstance(other, Connected):
            other.shut_down((SHUT_WRITE if how & SHUT_READ else 0) | (SHUT_READ if how & SHUT_WRITE else 0))

    def close(self) -> None:
        """unix_release_sock: the other end sees the end, or a reset where something was not read."""
        waiting, self.waiting = self.waiting, deque()
        empty = bool(self.messages) and not self.messages[0].data  # a packet's, or an urgent byte's that was read
        lost = len(self.messages) > empty or not self.accepted
        other, self.peer = self.peer, None
        self.shut, self.state = SHUT_BOTH, CLOSE
        if isinstance(other, Connected) and not other.dead:
            if lost:
                other.error = errno.ECONNRESET
            other.shut |= SHUT_BOTH
            other.queue.wake()
        for made in waiting:
            self.network.later(made.close)
        self.discard_queue()
        super().close()


class Stream(Connected):
    """SOCK_STREAM."""

    def send(self, task: LinuxTask, data: Source, message: Outgoing) -> int:
        last = int(bool(message.flags & MSG_OOB))
        if data.count < last:
            raise LinuxError(errno.EOPNOTSUPP)
        if message.to:
            raise LinuxError(errno.EISCONN if self.state == ESTABLISHED else errno.EOPNOTSUPP)
        other, done = self.peer, 0
        if other is None:
            raise LinuxError(errno.ENOTCONN)
        if self.shut & SHUT_WRITE:
            raise BrokenPipe()
        most = self.most()
        try:
            while data.count > last:
                self.require_room(done, data.rest)
                size = min(data.count - last, most)
                try:
                    piece = taken(data, size)
                    if other.dead or other.shut & SHUT_READ:
                        raise BrokenPipe(done)
                except LinuxError:
                    self.send_buffer_set()  # what was charged for it is free again
                    raise
                other.messages.append(self.new_message(task, piece, cost_of_stream(size), message, other))
                message.files = ()
                other.queue.wake(READABLE)
                done += size
        except Waits:
            raise
        except LinuxError as error:
            if error.errno == errno.EPIPE:
                raise BrokenPipe(done) from None
            if not done:
                raise
        if last and data.count:
            self._send_urgent(task, data, message, other, done)
            done += 1 - data.count
        return done

    def _send_urgent(self, task: LinuxTask, data: Source, message: Outgoing, other: UnixEndpoint, done: int) -> None:
        """The last byte (queue_oob), which never waits for room."""
        try:
            self.require_room(done, data.rest)
            if other.dead or other.shut & SHUT_READ:
                raise LinuxError(errno.EPIPE)
            byte = taken(data, 1)
        except Waits:
            if not done:
                raise LinuxError(errno.EAGAIN) from None
            return
        except LinuxError:
            if not done:
                raise
            return
        other.urgent = self.new_message(task, byte, cost_of_stream(1), message, other)
        other.messages.append(other.urgent)
        message.files = ()
        other.queue.wake(POLLPRI)
        other.queue.wake(READABLE)

    def receive(self, task: LinuxTask, to: Goal, flags: int, least: int) -> Received:
        if self.state != ESTABLISHED:
            raise LinuxError(errno.EINVAL)
        if flags & MSG_OOB:
            return self._receive_urgent(to, flags)
        got = Received(0)
        if flags & MSG_PEEK:
            return self._look(to, got)
        cred: Cred | None = None
        checked = False
        if not to.count and not self.messages and not self._over(got):
            raise Waits(0, to.rest)
        while to.count:
            message = self._next(got.count)
            if message is None:
                if got.count >= least or self._over(got) or (got.count and self.messages):
                    break
                raise Waits(got.count, to.rest)
            if checked and message.cred != cred:
                break  # never glue what different writers sent
            if self.options.told_cred:
                got.cred = cred = message.cred
                checked = True
            if got.source is None and message.sender.address is not None:
                got.source = sockaddr(message.sender.address)
            size = min(len(message.data), to.count)
            copied = to.copy_out(message.data[:size])
            if copied < size:
                if not got.count:
                    raise LinuxError(errno.EFAULT)
                break
            got.count += size
            self.hand_over(message, got)
            if size < len(message.data):
                message.data = message.data[size:]
                break
            self.messages.popleft()
            self.read_off(message)
            if got.files:
                break
        return got

    def _next(self, done: int) -> Message | None:
        """The message to read on with; None where there is none, or at a mark with something read (manage_oob)."""
        queue = self.messages
        if queue and not queue[0].data:
            if done and self.urgent is None:
                return None
            self.discard(queue.popleft())
        if not queue or queue[0] is not self.urgent:
            return queue[0] if queue else None
        if done:
            return None
        self.urgent = None
        if not self.options.on("oob_inline"):
            self.discard(queue.popleft())
        return queue[0] if queue else None

    def _seen(self, at: int, done: int) -> int:
        """As `_next` for one who only looks, from a place in the queue on: a place, past the end if there is none."""
        queue = self.messages
        none = len(queue)
        if at < none and not queue[at].data:
            if done and self.urgent is None:
                return none
            at += 1
        if at < none and queue[at] is self.urgent:
            if done:
                return none
            if not self.options.on("oob_inline"):
                at += 1
        return at

    def _over(self, got: Received) -> bool:
        """Whether nothing more can come; raises the error that waits to be told."""
        if got.count == 0:
            self.take_error()
        return bool(self.shut & SHUT_READ) or self.error != 0

    def _look(self, to: Goal, got: Received) -> Received:
        """MSG_PEEK, which waits for the first byte only."""
        at = self._seen(0, 0)
        if at >= len(self.messages) and not self._over(got):
            raise Waits(0, to.rest)
        while at < len(self.messages):
            message = self.messages[at]
            if got.source is None and message.sender.address is not None:
                got.source = sockaddr(message.sender.address)
            if self.options.told_cred:
                if got.count and got.cred != message.cred:
                    break
                got.cred = message.cred
            size = min(len(message.data), to.count)
            copied = to.copy_out(message.data[:size])
            if copied < size:
                if not got.count:
                    raise LinuxError(errno.EFAULT)
                break
            got.count += size
            self.show_files(message, got)
            if message.files or not to.count:
                break
            at = self._seen(at + 1, got.count)
        return got

    def _receive_urgent(self, to: Goal, flags: int) -> Received:
        message = self.urgent
        if self.options.on("oob_inline") or message is None:
            raise LinuxError(errno.EINVAL)
        byte = message.data
        if not flags & MSG_PEEK:
            self.urgent = None
            before = self.messages.index(message) - 1
            if before >= 0 and not self.messages[before].data:
                empty = self.messages[before]
                del self.messages[before]
                self.discard(empty)
            message.data = byte[1:]
        if to.count and not to.copy_out(byte):
            raise LinuxError(errno.EFAULT)
        got = Received(1)
        got.flags |= MSG_OOB
        return got


def _own_cred(task: LinuxTask) -> tuple[Cred, tuple[int, ...]]:
    creds = task.creds
    return (task.pid, creds.euid, creds.egid), tuple(sorted(creds.groups))


def pair(task: LinuxTask, one: UnixEndpoint, other: UnixEndpoint) -> None:
    """What socketpair makes of two."""
    one.peer, other.peer = other, one
    for end in (one, other):
        end.peer_cred, end.peer_groups = _own_cred(task)
        if end.kind != SOCK_DGRAM:
            end.state = ESTABLISHED
