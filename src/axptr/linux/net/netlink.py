"""AF_NETLINK: questions to the kernel about its network, as sockets. Source: netlink(7), net/netlink/af_netlink.c of
Linux 6.18.

A message that is sent is answered at once, into the sender's own queue: `route` and `diag` know the answers. Nothing
can be changed (EPERM), and nothing happens of which a group would be told.

| field | exec | fork | a snapshot |
| --- | --- | --- | --- |
| number, goal, answers that wait | keeps | shared with the open file | plain data |
"""

from __future__ import annotations

import errno
from collections import deque
from struct import Struct, pack, unpack_from

from ...errors import LinuxError
from .attributes import aligned
from .endpoint import (
    AF_NETLINK,
    AF_UNSPEC,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    POLLERR,
    POLLWRBAND,
    READABLE,
    SOCK_DGRAM,
    SOCK_RAW,
    WRITABLE,
    Endpoint,
    Goal,
    Outgoing,
    Received,
    Source,
    Waits,
    taken,
)
from .options import integer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..task.task import LinuxTask
    from .network import Network

    Answer = Callable[[LinuxTask, int, int, bytes], Iterable[bytes]]
    """The bodies of what is asked, each with its type before it: (task, type, flags, body of the question)."""

NETLINK_ROUTE, NETLINK_SOCK_DIAG, NETLINK_KOBJECT_UEVENT, NETLINK_GENERIC = 0, 4, 15, 16
PROTOCOLS = (NETLINK_ROUTE, NETLINK_SOCK_DIAG, NETLINK_KOBJECT_UEVENT, NETLINK_GENERIC)
SOL_NETLINK = 270
NLMSG_ERROR, NLMSG_DONE, FIRST_TYPE = 2, 3, 16
NLM_F_REQUEST, NLM_F_MULTI, NLM_F_ACK, NLM_F_DUMP, NLM_F_CAPPED = 1, 2, 4, 0x300, 0x100
_HEADER = Struct("<IHHII")
_ADD_MEMBERSHIP, _DROP_MEMBERSHIP, _LIST_MEMBERSHIPS = 1, 2, 9
_FLAGS = (3, 4, 5, 8, 10, 11, 12)
_OPTIONS = (_ADD_MEMBERSHIP, _DROP_MEMBERSHIP, *_FLAGS)
_GROUPS = {NETLINK_ROUTE: 36}
"""How many groups a protocol has, where it is not 32."""
_CAP_ACK = 10
_MOST = 32_768
"""Bytes of one answer."""


class NetlinkEndpoint(Endpoint):
    """A socket of one protocol. port: its number among them, 0 until it has one."""

    family = AF_NETLINK

    def __init__(self, network: Network, kind: int, protocol: int, owner: int, answer: Answer) -> None:
        super().__init__(network, kind, protocol, owner)
        self.port = 0
        self.groups = 0
        self.goal = (0, 0)
        self.answers: deque[bytes] = deque()
        self.queued = 0
        self.kept: dict[int, int] = {}
        self._answer = answer

    # -- names

    @staticmethod
    def _address(address: bytes) -> tuple[int, int]:
        if len(address) < 12 or unpack_from("<H", address)[0] != AF_NETLINK:
            raise LinuxError(errno.EINVAL)
        port, groups = unpack_from("<II", address, 4)
        return int(port), int(groups)

    def bind(self, task: LinuxTask, address: bytes) -> None:
        port, groups = self._address(address)
        if self.port:
            if port != self.port:
                raise LinuxError(errno.EINVAL)
        else:
            self._claim(task, port)
        self.groups = groups

    def _claim(self, task: LinuxTask, port: int) -> None:
        taken_ports = self.network.netlink_ports
        if port:
            if (self.protocol, port) in taken_ports:
                raise LinuxError(errno.EADDRINUSE)
        else:
            port = task.pid
            while (self.protocol, port) in taken_ports:
                port = port - 1 if port > 1 << 31 else 0xFFFF_EFFF  # negative numbers, from -4097 on
        taken_ports.add((self.protocol, port))
        self.port = port

    def connect(self, task: LinuxTask, address: bytes, nonblock: bool) -> None:
        if unpack_from("<H", address)[0] == AF_UNSPEC:
            self.goal = (0, 0)
            return
        self.goal = self._address(address)
        if not self.port:
            self._claim(task, 0)

    def name(self, peer: bool) -> bytes:
        port, groups = self.goal if peer else (self.port, self.groups)
        return pack("<HHII", AF_NETLINK, 0, port, groups)

    # -- questions and answers

    def send(self, task: LinuxTask, data: Source, message: Outgoing) -> int:
        if message.flags & MSG_OOB:
            raise LinuxError(errno.EOPNOTSUPP)
        port, groups = self._address(message.to) if message.to else self.goal
        if not self.port:
            self._claim(task, 0)
        size = data.count
        if size > self.options.send_buffer - 32:
            raise LinuxError(errno.EMSGSIZE)
        body = taken(data, size)
        if groups:
            raise LinuxError(errno.ESRCH if task.creds.reigns else errno.EPERM)
        if port:
            raise LinuxError(errno.ECONNREFUSED)
        self._ask(task, body)
        return size

    def _ask(self, task: LinuxTask, body: bytes) -> None:
        """Each message of a datagram in turn (netlink_rcv_skb)."""
        at = 0
        while at + _HEADER.size <= len(body):
            size, kind, flags, sequence, _ = _HEADER.unpack_from(body, at)
            if not _HEADER.size <= size <= len(body) - at:
                return
            one = body[at : at + size]
            at += aligned(size)
            if not flags & NLM_F_REQUEST or kind < FIRST_TYPE:
                if flags & NLM_F_ACK:
                    self._tell_error(one, sequence, 0)
                continue
            try:
                found = list(self._answer(task, kind, flags, one[_HEADER.size :]))
            except LinuxError as error:
                self._tell_error(one, sequence, error.errno)
                continue
            dumps = flags & NLM_F_DUMP == NLM_F_DUMP
            self._tell(found, sequence, dumps)
            if flags & NLM_F_ACK and not dumps:
                self._tell_error(one, sequence, 0)

    def _tell(self, found: list[bytes], sequence: int, dumps: bool) -> None:
        """found: bodies, the type of each in its first two bytes."""
        flags, packet = NLM_F_MULTI if dumps else 0, b""
        for body in found:
            one = _HEADER.pack(_HEADER.size + len(body) - 2, unpack_from("<H", body)[0], flags, sequence, self.port)
            one = (one + body[2:]).ljust(aligned(len(one) + len(body) - 2), b"\0")
            if packet and len(packet) + len(one) > _MOST:
                self._queue(packet)
                packet = b""
            packet += one
        if packet:
            self._queue(packet)
        if dumps:
            self._queue(_HEADER.pack(20, NLMSG_DONE, NLM_F_MULTI, sequence, self.port) + bytes(4))

    def _tell_error(self, asked: bytes, sequence: int, code: int) -> None:
        capped = not code or bool(self.kept.get(_CAP_ACK))
        shown = asked[: _HEADER.size] if capped else asked.ljust(aligned(len(asked)), b"\0")
        flags = NLM_F_CAPPED if capped else 0
        self._queue(_HEADER.pack(20 + len(shown), NLMSG_ERROR, flags, sequence, self.port) + pack("<i", -code) + shown)

    def tell(self, packet: bytes) -> None:
        """A message of the kernel's that nobody asked for here."""
        if not self.dead:
            self._queue(packet)

    def _queue(self, packet: bytes) -> None:
        cost = len(packet) + 768
        if self.queued + cost > self.options.receive_buffer:
            self.fail(errno.ENOBUFS)
            return
        self.network.hold(cost)
        self.queued += cost
        self.answers.append(packet)
        self.queue.wake(READABLE)

    def receive(self, task: LinuxTask, to: Goal, flags: int, least: int) -> Received:
        if flags & MSG_OOB:
            raise LinuxError(errno.EOPNOTSUPP)
        self.take_error()  # before what came (__skb_try_recv_from_queue)
        if not self.answers:
            raise Waits(0, to.rest)
        packet = self.answers[0]
        size = min(len(packet), to.count)
        copied = to.copy_out(packet[:size])
        if not flags & MSG_PEEK:
            self._drop()
        if copied < size:
            raise LinuxError(errno.EFAULT)
        got = Received(len(packet) if flags & MSG_TRUNC else size, pack("<HHII", AF_NETLINK, 0, 0, 0))
        got.cred = (0, 0, 0)
        if size < len(packet):
            got.flags |= MSG_TRUNC
        return got

    def _drop(self) -> None:
        cost = len(self.answers.popleft()) + 768
        self.queued -= cost
        self.network.give_back(cost)

    def poll(self) -> int:
        return (POLLERR if self.error else 0) | (READABLE if self.answers else 0) | WRITABLE | POLLWRBAND

    # -- options

    def set_option(self, task: LinuxTask, level: int, name: int, address: int, size: int) -> None:
        """Groups are joined and left; what they would be told never happens."""
        if level != SOL_NETLINK or name not in _OPTIONS:
            raise LinuxError(errno.ENOPROTOOPT)
        value = integer(task, address, size) if size >= 4 else 0
        if name not in (_ADD_MEMBERSHIP, _DROP_MEMBERSHIP):
            self.kept[name] = value
            return
        if not 0 < value <= _GROUPS.get(self.protocol, 32):
            raise LinuxError(errno.EINVAL)
        bit, joined = 1 << value - 1, self.kept.get(_ADD_MEMBERSHIP, 0)
        self.kept[_ADD_MEMBERSHIP] = joined | bit if name == _ADD_MEMBERSHIP else joined & ~bit

    def get_option(self, task: LinuxTask, level: int, name: int, size: int) -> bytes:
        if level != SOL_NETLINK or name not in (*_FLAGS, _LIST_MEMBERSHIPS):
            raise LinuxError(errno.ENOPROTOOPT)
        if name == _LIST_MEMBERSHIPS:
            joined = self.kept.get(_ADD_MEMBERSHIP)  # there is no table before the first
            return b"" if joined is None else joined.to_bytes(-(-_GROUPS.get(self.protocol, 32) // 32) * 4, "little")
        if size < 4:
            raise LinuxError(errno.EINVAL)
        return pack("<i", int(bool(self.kept.get(name, 0))))

    def close(self) -> None:
        super().close()
        while self.answers:
            self._drop()
        self.network.netlink_ports.discard((self.protocol, self.port))


def create_netlink(network: Network, kind: int, protocol: int, owner: int) -> NetlinkEndpoint:
    """ESOCKTNOSUPPORT, EPROTONOSUPPORT."""
    if kind not in (SOCK_RAW, SOCK_DGRAM):
        raise LinuxError(errno.ESOCKTNOSUPPORT)
    if protocol not in PROTOCOLS:
        raise LinuxError(errno.EPROTONOSUPPORT)
    answer: Answer = _nothing
    if protocol == NETLINK_ROUTE:
        from .route import answer_route as answer
    elif protocol == NETLINK_SOCK_DIAG:
        from .diag import answer_diag as answer
    elif protocol == NETLINK_GENERIC:
        from .generic import answer_generic as answer
    return NetlinkEndpoint(network, kind, protocol, owner, answer)


def _nothing(task: LinuxTask, kind: int, flags: int, body: bytes) -> Iterable[bytes]:
    """Nobody answers to events."""
    raise LinuxError(errno.ENOENT)
