"""AF_UNIX: what all its sockets have, names, peers, messages with files and credentials, and what a message costs.

Messages are bytes of the machine's own; each is charged to its sender as Linux' buffers are, so that as much fits into
a socket here as there. `unixstream` has streams, `unixpacket` what keeps messages apart. Source: unix(7),
net/unix/af_unix.c, net/core/sock.c (sock_alloc_send_pskb) of Linux 6.18.

| field | exec | fork | a snapshot |
| --- | --- | --- | --- |
| address, node; peer; queue of messages, the urgent one of them; charged: what its own messages cost that others have \
not read | keeps | \
shared with the open file | plain data; peers by number |
"""

from __future__ import annotations

import errno

from ..._core.kernel.streams import Message, UnixEnd, allocated
from ...errors import LinuxError
from ..uaccess import put_bytes
from .endpoint import (
    AF_UNIX,
    LISTEN,
    POLLWRBAND,
    SHUT_READ,
    SHUT_WRITE,
    SOCK_DGRAM,
    WRITABLE,
    Endpoint,
    Outgoing,
    Received,
    Room,
    Waits,
)
from .unixnames import sockaddr, unix_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..fs.node import Node
    from ..fs.openfile import OpenFile
    from ..task.task import LinuxTask
    from .network import Network

SIOCINQ, SIOCOUTQ, _SIOCATMARK = 0x541B, 0x5411, 0x8905
_PAGE = 4096
_LINEAR = 4 * _PAGE - 320
_FRAGMENTS = 17 * _PAGE


def cost_of_packet(size: int) -> int:
    """What a datagram is charged with."""
    paged = 0
    if size > _LINEAR:
        paged = -(-min(size - _LINEAR, _FRAGMENTS) // _PAGE) * _PAGE
    return allocated(max(0, size - paged)) + paged


class UnixEndpoint(UnixEnd, Endpoint):
    """What sockets of AF_UNIX have in common."""

    peer: UnixEndpoint | None

    family = AF_UNIX

    def __init__(self, network: Network, kind: int, owner: int) -> None:
        super().__init__(network, kind, 0, owner)
        self.address: bytes | None = None
        self.node: Node | None = None
        self.room = Room()

    # -- names

    def bind(self, task: LinuxTask, address: bytes) -> None:
        if len(address) == 2 and address == sockaddr(None):
            if self.address is not None:
                return
            self.network.unix.autobind(self)
            return
        self.network.unix.bind(task, self, unix_name(address))

    def name(self, peer: bool) -> bytes:
        if not peer:
            return sockaddr(self.address)
        if self.peer is None:
            raise LinuxError(errno.ENOTCONN)
        return sockaddr(self.peer.address)

    def accepted_name(self) -> bytes:
        return sockaddr(self.peer.address if self.peer is not None else None)

    def name_itself(self) -> None:
        """A socket that tells credentials gets a name before it sends."""
        if self.address is None and (self.options.pass_cred or self.options.pass_pidfd):
            self.network.unix.autobind(self)

    # -- what is sent

    def send_buffer_set(self) -> None:
        if self.write_room():
            self.queue.wake(WRITABLE | POLLWRBAND)

    def require_room(self, done: int, rest: tuple[tuple[int, int], ...]) -> None:
        """`Waits` unless one more message may be charged (sock_alloc_send_pskb)."""
        self.take_error()
        if self.shut & SHUT_WRITE:
            raise LinuxError(errno.EPIPE)
        if self.charged >= self.options.send_buffer:
            raise Waits(done, rest)

    def new_message(self, task: LinuxTask, data: bytes, cost: int, message: Outgoing, other: UnixEndpoint) -> Message:
        """A message of this socket's, charged to it; its files are on their way."""
        made = Message(data, cost, self, task.creds.uid)
        self.charge(cost)
        if message.cred is not None:
            made.cred = message.cred
        elif self.options.told_cred or other.options.told_cred:
            made.cred = (task.pid, task.creds.uid, task.creds.gid)
        if message.files:
            made.files = message.files
            self.network.flight.depart(made.files, made.user)
        return made

    def hand_over(self, message: Message, got: Received) -> None:
        """What came with a message is the receiver's now."""
        if message.files:
            files, message.files = message.files, ()
            self.network.flight.arrive(files, message.user)
            got.files.extend(files)

    @staticmethod
    def show_files(message: Message, got: Received) -> None:
        """Somebody looked (MSG_PEEK), and has the files too."""
        for file in message.files:
            file.hold()
        got.files.extend(message.files)

    # -- being closed

    def queued_files(self) -> list[OpenFile]:
        """Files in messages that lie here, each as often as it does."""
        return [file for message in self.messages for file in message.files]

    def info(self) -> bytes:
        """How many files lie here (unix_show_fdinfo)."""
        return b"scm_fds: %d\n" % len(self.queued_files())

    def discard_queue(self) -> None:
        """Forget all that lies here, files too."""
        self.urgent = None
        while self.messages:
            message = self.messages.popleft()
            self.discard(message)

    def discard(self, message: Message) -> None:
        files, message.files = message.files, ()
        if files:
            self.network.flight.arrive(files, message.user)
        self.read_off(message)
        for file in files:
            file.release(self.network.locks)

    def close(self) -> None:
        super().close()
        self.network.unix.forget(self)
        self.node = None
        self.queue.wake()
        self.room.queue.wake()
        self.network.collect()

    # -- the rest

    def ioctl(self, task: LinuxTask, command: int, argument: int) -> int | None:
        if command == SIOCINQ:
            value = self.readable_bytes()
        elif command == SIOCOUTQ:
            value = self.charged
        elif command == _SIOCATMARK:
            value = self.at_mark()
        else:
            return None
        put_bytes(task, argument, value.to_bytes(4, "little"))
        return 0

    def readable_bytes(self) -> int:
        """SIOCINQ. EINVAL for one that listens."""
        if self.state == LISTEN:
            raise LinuxError(errno.EINVAL)
        if self.kind == SOCK_DGRAM:
            return len(self.messages[0].data) if self.messages else 0
        return sum(len(message.data) for message in self.messages)

    def at_mark(self) -> int:
        """SIOCATMARK: whether an urgent byte is next, or was read from there."""
        if not self.messages:
            return 0
        first = self.messages[0]
        if first.data:
            return int(first is self.urgent)
        return int(self.urgent is None or (len(self.messages) > 1 and self.messages[1] is self.urgent))

    def shut_down(self, how: int) -> None:
        """Mark directions as shut and tell who waits, be it again (sk_state_change)."""
        before = self.shut
        self.shut |= how
        self.queue.wake()
        if self.shut & ~before & SHUT_READ:
            self.room.queue.wake()
