"""`Endpoint`: one end of a communication, Linux' struct sock; and what passes through its calls.

A family derives from it and does what its sockets do: `unix`, `tcp`, `udp`, `netlink`. What a family does not have is
refused here with the errno of sock_no_*. Nothing here waits: what cannot be done now raises `Waits`, and the calls
make a record of that (`calls.messages`). Events are poll's.

Not here: descriptors and flags of the open file (`socket`), options that all families have (`options`), control
messages (`control`). Source: net/core/sock.c, include/net/sock.h of Linux 6.18.

| field | exec | fork | a snapshot |
| --- | --- | --- | --- |
| all of an endpoint; the machine's thread alone uses it | keeps | shared with the open file | plain data, and what is \
queued |
"""

from __future__ import annotations

import errno

from ..._core.kernel.streams import End
from ...errors import LinuxError
from ...kernel.wait import WaitQueue
from ..fs.openfile import WouldBlock
from .options import Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from ...kernel.wait import Waitable
    from ..fs.openfile import OpenFile
    from ..task.task import LinuxTask
    from ..uaccess import UserIter
    from .network import Network

    Cred = tuple[int, int, int]
    """Process, user, group, as struct ucred has them."""
else:
    Protocol = object

AF_UNSPEC, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET = 0, 1, 2, 10, 16, 17
SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_RDM, SOCK_SEQPACKET = 1, 2, 3, 4, 5
MSG_OOB, MSG_PEEK, MSG_DONTROUTE, MSG_CTRUNC, MSG_TRUNC, MSG_DONTWAIT, MSG_EOR, MSG_WAITALL = (
    1, 2, 4, 8, 0x20, 0x40, 0x80, 0x100,
)  # fmt: skip
MSG_ERRQUEUE, MSG_NOSIGNAL, MSG_MORE, MSG_WAITFORONE = 0x2000, 0x4000, 0x8000, 0x10000
MSG_FASTOPEN, MSG_CMSG_CLOEXEC = 0x2000_0000, 0x4000_0000
POLLIN, POLLPRI, POLLOUT, POLLERR, POLLHUP, POLLRDNORM, POLLRDBAND = 1, 2, 4, 8, 16, 64, 128
POLLWRNORM, POLLWRBAND, POLLRDHUP = 0x100, 0x200, 0x2000
READABLE = POLLIN | POLLRDNORM
WRITABLE = POLLOUT | POLLWRNORM
SHUT_READ, SHUT_WRITE, SHUT_BOTH = 1, 2, 3
CLOSE, LISTEN, SYN_SENT, ESTABLISHED = 7, 10, 2, 1
"""States, by the numbers of TCP's that all families use."""


class Waits(WouldBlock):
    """A call of a socket that cannot go on now. on: what is waited for instead of the socket itself."""

    def __init__(self, done: int = 0, rest: tuple[tuple[int, int], ...] = (), on: Waitable | None = None) -> None:
        super().__init__(done, rest)
        self.on = on


class Room:
    """Something that gets room now and then: a queue of connections, of datagrams. Who waits looks again."""

    __slots__ = ("queue",)

    def __init__(self) -> None:
        self.queue = WaitQueue()

    def ready(self, mask: int) -> int:
        return mask


class Source(Protocol):
    """Where bytes that are sent come from: user memory (`UserIter`), or the machine's own (`Plain`)."""

    @property
    def count(self) -> int: ...

    @property
    def rest(self) -> tuple[tuple[int, int], ...]: ...

    def copy_in(self, buf: bytearray | memoryview, /) -> int: ...


class Goal(Protocol):
    """Where bytes that are received go."""

    @property
    def count(self) -> int: ...

    @property
    def rest(self) -> tuple[tuple[int, int], ...]: ...

    def copy_out(self, data: bytes | memoryview, /) -> int: ...


class Plain:
    """Memory of the machine's own as one side of a transfer."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._at = 0

    @property
    def count(self) -> int:
        return len(self._view) - self._at

    @property
    def rest(self) -> tuple[tuple[int, int], ...]:
        return ()

    def copy_in(self, buf: bytearray | memoryview, /) -> int:
        done = min(self.count, len(buf))
        memoryview(buf)[:done] = self._view[self._at : self._at + done]
        self._at += done
        return done

    def copy_out(self, data: bytes | memoryview, /) -> int:
        done = min(self.count, len(data))
        self._view[self._at : self._at + done] = data[:done]
        self._at += done
        return done


def taken(data: Source, size: int) -> bytes:
    """The next `size` bytes, all or EFAULT; `size` is what a socket holds at most."""
    buffer = bytearray(size)
    if data.copy_in(buffer) < size:
        raise LinuxError(errno.EFAULT)
    return bytes(buffer)


class Outgoing:
    """What is sent besides bytes. to: the goal's address, as it was copied in, None for the one that the socket is
    connected to. files, cred: of control messages. ancillary: what else these said, (level, type, data)."""

    __slots__ = ("ancillary", "cred", "files", "flags", "to")

    def __init__(self, flags: int = 0, to: bytes | None = None) -> None:
        self.flags = flags
        self.to = to
        self.files: tuple[OpenFile, ...] = ()
        self.cred: Cred | None = None
        self.ancillary: tuple[tuple[int, int, bytes], ...] = ()


class Received:
    """What came. count: as the call gives it. source: the sender's address, None where a family tells none.

    files: open files that came along, each held until it is installed or let go of. cred: of the sender, None where
    nobody asks. ancillary: further control messages. flags: MSG_TRUNC, MSG_EOR ...
    """

    __slots__ = ("ancillary", "count", "cred", "files", "flags", "source")

    def __init__(self, count: int, source: bytes | None = None) -> None:
        self.count = count
        self.source = source
        self.files: list[OpenFile] = []
        self.cred: Cred | None = None
        self.ancillary: list[tuple[int, int, bytes]] = []
        self.flags = 0


class Endpoint(End):
    """The base: nothing but options, an error that waits to be told, and who waits.

    shut: SHUT_READ, SHUT_WRITE. error: told once, by the next call. owner, group, mode: of its file, at first the
    effective ones of who made it.
    """

    family = AF_UNSPEC
    connects = False
    """Whether it is one of connections (SOCK_STREAM, SOCK_SEQPACKET)."""
    opens_by_sending = False
    """Whether MSG_FASTOPEN connects it."""

    def __init__(self, network: Network, kind: int, protocol: int, owner: int) -> None:
        self.network = network
        self.kind = kind
        self.protocol = protocol
        self.owner = owner
        self.group = 0
        self.mode = 0o140777
        self.queue = WaitQueue()
        self.options = Options(network)
        self.state = CLOSE
        self.number = network.next_number()

    def discard_queue(self) -> None:
        """Forget the open files that messages to it have."""

    def info(self) -> bytes:
        """What /proc/PID/fdinfo tells of the socket besides what it tells of every file."""
        return b""

    # -- errors and events

    def take_error(self) -> None:
        """Raise the error that waits to be told (sock_error)."""
        if self.error:
            code, self.error = self.error, 0
            raise LinuxError(code)

    def fail(self, code: int) -> None:
        """Something went wrong that nobody waits for: the next call tells."""
        self.error = code
        self.queue.wake()

    # -- what families may have

    def bind(self, task: LinuxTask, address: bytes) -> None:
        raise LinuxError(errno.EOPNOTSUPP)

    def connect(self, task: LinuxTask, address: bytes, nonblock: bool) -> None:
        """`Waits` while it is under way, as long as the caller wants to wait (not `nonblock`)."""
        raise LinuxError(errno.EOPNOTSUPP)

    def listen(self, task: LinuxTask, backlog: int) -> None:
        raise LinuxError(errno.EOPNOTSUPP)

    def accept(self, task: LinuxTask) -> Endpoint:
        """The next connection. `Waits` if there is none."""
        raise LinuxError(errno.EOPNOTSUPP)

    def name(self, peer: bool) -> bytes:
        """The address as a struct sockaddr. ENOTCONN for a peer that there is not."""
        raise LinuxError(errno.EOPNOTSUPP)

    def accepted_name(self) -> bytes:
        """What accept tells of the peer. ECONNABORTED."""
        try:
            return self.name(True)
        except LinuxError:
            raise LinuxError(errno.ECONNABORTED) from None

    def send(self, task: LinuxTask, data: Source, message: Outgoing) -> int:
        """Bytes taken; the flags' MSG_DONTWAIT is the caller's affair: `Waits` says what went, and what is left."""
        raise LinuxError(errno.EOPNOTSUPP)

    def receive(self, task: LinuxTask, to: Goal, flags: int, least: int) -> Received:
        """What there is, `least` bytes at least where bytes are a stream. `Waits` if it has not come yet."""
        raise LinuxError(errno.EOPNOTSUPP)

    def shutdown(self, task: LinuxTask, how: int) -> None:
        """how: SHUT_READ, SHUT_WRITE, both."""
        raise LinuxError(errno.EOPNOTSUPP)

    def get_option(self, task: LinuxTask, level: int, name: int, size: int) -> bytes:
        """Of the family's own levels; cut to `size` by the caller."""
        raise LinuxError(errno.EOPNOTSUPP)

    def set_option(self, task: LinuxTask, level: int, name: int, address: int, size: int) -> None:
        raise LinuxError(errno.EOPNOTSUPP)

    def ioctl(self, task: LinuxTask, command: int, argument: int) -> int | None:
        """None for a command that is not the family's."""
        return None

    def close(self) -> None:
        """No open file refers to it any more. Called once."""
        self.dead = True

    # -- of the family's own options of SOL_SOCKET

    peer_cred: Cred | None = None
    peer_groups: tuple[int, ...] | None = None

    def option_changed(self) -> None:
        """An option of SOL_SOCKET was set."""

    def send_buffer_set(self) -> None:
        """SO_SNDBUF: who waits for room is told (sk_write_space)."""
        self.queue.wake(WRITABLE | POLLWRBAND)

    def least_set(self) -> None:
        """SO_RCVLOWAT."""

    def least_wanted(self, count: int) -> int:
        """How many bytes SO_RCVLOWAT comes to (sk_prot->set_rcvlowat)."""
        return count


def stopped(flags: int, nonblock: bool) -> bool:
    """Whether a call of a socket is not to wait."""
    return bool(flags & MSG_DONTWAIT) or nonblock


def unread(to: UserIter, before: tuple[tuple[int, int], ...], task: LinuxTask) -> UserIter:
    """The same user memory from where it was: a look (MSG_PEEK) that waits for more starts again."""
    return type(to).over(task, before)
