"""AF_UNIX that keeps messages apart: SOCK_DGRAM, and SOCK_SEQPACKET over connections. Source: unix(7),
net/unix/af_unix.c, net/core/datagram.c of Linux 6.18.
"""

from __future__ import annotations

import errno
from struct import unpack_from

from ...errors import LinuxError
from .endpoint import (
    AF_UNSPEC,
    CLOSE,
    ESTABLISHED,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    POLLERR,
    POLLHUP,
    POLLRDHUP,
    POLLWRBAND,
    READABLE,
    SHUT_BOTH,
    SHUT_READ,
    SOCK_SEQPACKET,
    WRITABLE,
    Goal,
    Outgoing,
    Received,
    Source,
    Waits,
    taken,
)
from .unix import UnixEndpoint, cost_of_packet
from .unixnames import sockaddr, unix_name
from .unixstream import Connected

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask
    from .network import Network


class Packets(UnixEndpoint):
    """What both kinds do: sending to a queue that may be full, receiving one message at a time."""

    def __init__(self, network: Network, kind: int, owner: int) -> None:
        super().__init__(network, kind, owner)
        self.backlog = network.datagrams
        self.senders: set[UnixEndpoint] = set()  # connected to this one, which does not send back

    @property
    def queue_full(self) -> bool:
        return len(self.messages) > self.backlog

    def deliver(self, task: LinuxTask, data: Source, message: Outgoing, other: UnixEndpoint) -> int:
        """Put a message into another's queue (unix_dgram_sendmsg, from where the goal is known)."""
        size = data.count
        if size > self.options.send_buffer - 32:
            raise LinuxError(errno.EMSGSIZE)
        self.require_room(0, data.rest)
        rest = data.rest
        if not other.dead and not (other.peer is None or other.peer is self):
            raise LinuxError(errno.EPERM)
        if other.dead:
            self.peer_died(other)
        if other.shut & SHUT_READ:
            raise LinuxError(errno.EPIPE)
        if other is not self and other.peer is not self and isinstance(other, Packets) and other.queue_full:
            raise Waits(0, rest, on=other.room)
        made = self.new_message(task, taken(data, size), cost_of_packet(size), message, other)
        other.messages.append(made)
        other.queue.wake(READABLE)
        return size

    def peer_died(self, other: UnixEndpoint) -> None:
        raise LinuxError(errno.EPIPE)

    def receive(self, task: LinuxTask, to: Goal, flags: int, least: int) -> Received:
        if flags & MSG_OOB:
            raise LinuxError(errno.EOPNOTSUPP)
        self.take_error()  # before what came (__skb_try_recv_from_queue)
        if not self.messages:
            if self.shut & SHUT_READ and (self.kind == SOCK_SEQPACKET or not flags & 0x40):
                return Received(0)
            raise Waits(0, to.rest)
        message = self.messages[0]
        was_full = self.queue_full
        if not flags & MSG_PEEK:
            self.messages.popleft()
        got = Received(0)
        if message.sender.address is not None:
            got.source = sockaddr(message.sender.address)
        got.cred = message.cred
        size = min(len(message.data), to.count)
        if size < len(message.data):
            got.flags |= MSG_TRUNC
        copied = to.copy_out(message.data[:size])
        if flags & MSG_PEEK:
            self.show_files(message, got)
        elif copied < size:
            self.discard(message)
        else:
            self.hand_over(message, got)
            self.read_off(message)
        if was_full and not self.queue_full:
            self.has_room()
        if copied < size:
            for file in got.files:
                file.release(self.network.locks)
            raise LinuxError(errno.EFAULT)
        got.count = len(message.data) if flags & MSG_TRUNC else size
        return got

    def has_room(self) -> None:
        """The queue is no longer full: who waited for that looks again."""
        self.room.queue.wake()
        for sender in self.senders:
            sender.queue.wake(WRITABLE | POLLWRBAND)

    def poll(self) -> int:
        found = POLLERR if self.error else 0
        if self.shut & SHUT_READ:
            found |= POLLRDHUP | READABLE
        if self.shut == SHUT_BOTH:
            found |= POLLHUP
        if self.messages:
            found |= READABLE
        if self.write_room():
            other = self.peer
            if not (isinstance(other, Packets) and other.peer is not self and other.queue_full):
                found |= WRITABLE | POLLWRBAND
        return found


class Datagrams(Packets):
    """SOCK_DGRAM."""

    def connect(self, task: LinuxTask, address: bytes, nonblock: bool) -> None:
        other: UnixEndpoint | None = None
        if unpack_from("<H", address)[0] != AF_UNSPEC:
            name = unix_name(address)
            self.name_itself()
            other = self.network.unix.find(task, name, self.kind)
            if not (other.peer is None or other.peer is self):
                raise LinuxError(errno.EPERM)
        before = self.peer
        self._leave()
        self.peer = other
        if isinstance(other, Packets):
            other.senders.add(self)
        self.state = CLOSE if other is None else ESTABLISHED
        if before is not None and other is not before:
            self._parted(before)
        self.queue.wake(WRITABLE | POLLWRBAND)

    def _leave(self) -> None:
        if isinstance(self.peer, Packets):
            self.peer.senders.discard(self)

    def _parted(self, before: UnixEndpoint) -> None:
        """unix_dgram_disconnected: what came from the old one is lost, and it is told if it was connected to us."""
        if self.messages:
            self.discard_queue()
            self.has_room()
            if not before.dead and before.peer is self:
                before.fail(errno.ECONNRESET)

    def send(self, task: LinuxTask, data: Source, message: Outgoing) -> int:
        if message.flags & MSG_OOB:
            raise LinuxError(errno.EOPNOTSUPP)
        if message.to:
            name = unix_name(message.to)
            self.name_itself()
            if data.count > self.options.send_buffer - 32:
                raise LinuxError(errno.EMSGSIZE)
            other = self.network.unix.find(task, name, self.kind)
        elif self.peer is None:
            raise LinuxError(errno.ENOTCONN)
        else:
            self.name_itself()
            other = self.peer
        return self.deliver(task, data, message, other)

    def peer_died(self, other: UnixEndpoint) -> None:
        if self.peer is other:
            self._leave()
            self.peer, self.state = None, CLOSE
            self._parted(other)
        raise LinuxError(errno.ECONNREFUSED)

    def shutdown(self, task: LinuxTask, how: int) -> None:
        self.shut_down(how)

    def close(self) -> None:
        self._leave()
        self.peer = None
        self.shut, self.state = SHUT_BOTH, CLOSE
        self.discard_queue()
        senders, self.senders = self.senders, set()
        super().close()
        for sender in senders:
            sender.queue.wake(WRITABLE | POLLWRBAND)


class SeqPackets(Connected, Packets):
    """SOCK_SEQPACKET: connections of streams, messages of datagrams."""

    def __init__(self, network: Network, kind: int, owner: int) -> None:
        super().__init__(network, kind, owner)
        self.backlog = network.datagrams

    @property
    def queue_full(self) -> bool:
        return False  # the other end is connected to this one

    def send(self, task: LinuxTask, data: Source, message: Outgoing) -> int:
        if self.state != ESTABLISHED or self.peer is None:
            self.take_error()
            raise LinuxError(errno.ENOTCONN)
        if message.flags & MSG_OOB:
            raise LinuxError(errno.EOPNOTSUPP)
        return self.deliver(task, data, message, self.peer)

    def receive(self, task: LinuxTask, to: Goal, flags: int, least: int) -> Received:
        if self.state != ESTABLISHED:
            raise LinuxError(errno.ENOTCONN)
        return Packets.receive(self, task, to, flags, least)

    def poll(self) -> int:
        return Connected.poll(self)
