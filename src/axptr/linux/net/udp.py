"""UDP and UDP-Lite over the machine's loopback. Source: udp(7), net/ipv4/udp.c, net/ipv4/datagram.c
of Linux 6.18.

A datagram is in the queue of whom it is for when send returns, or is lost because there is no room, as it may be.
That nobody has a port is told to a connected socket by ECONNREFUSED at its next call.
"""

from __future__ import annotations

import errno
from collections import deque
from struct import pack

from ...errors import LinuxError
from .address import BROADCAST, Place, family_of, is_any, is_multicast, mapped, sockaddr, unmapped
from .endpoint import (
    AF_INET,
    AF_INET6,
    AF_UNSPEC,
    CLOSE,
    ESTABLISHED,
    MSG_ERRQUEUE,
    MSG_MORE,
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
    SHUT_WRITE,
    SOCK_DGRAM,
    WRITABLE,
    Goal,
    Outgoing,
    Received,
    Source,
    Waits,
    stopped,
    taken,
)
from .inet import InetEndpoint
from .inetoptions import (
    IP_PKTINFO,
    IP_RECVTOS,
    IP_RECVTTL,
    IP_TOS,
    IP_TTL,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPV6_RECVPKTINFO,
    IPV6_TCLASS,
    IPV6_UNICAST_HOPS,
)
from .options import integer
from .unix import cost_of_packet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask
    from .network import Network

IPPROTO_UDP, IPPROTO_UDPLITE = 17, 136
MOST4, MOST6 = 65_507, 65_527
_HEADERS = 64
_MARKS6 = 52, 67
"""IPV6_HOPLIMIT and IPV6_TCLASS, as messages are told of them."""
_SMALL, _SMALL_COST = 192, 832
_UDP_OPTIONS = {1: 1, 101: 1, 102: 1, 103: 65_535, 104: 1}
"""Options of IPPROTO_UDP, and the most that each may be."""
_COVERAGE = (10, 11)
"""Of UDP-Lite: how much of a datagram its checksum covers. None is ever damaged."""
_CORK = 1
_ENCAP, _ENCAPSULATIONS = 100, (0, 2, 3)
"""What datagrams have in them, which is for whoever reads them: nothing, ESP, L2TP."""
_UDP_TOLD = (*_COVERAGE, _ENCAP)


def _cost(size: int) -> int:
    return _SMALL_COST if size <= _SMALL else cost_of_packet(size + _HEADERS)


def _most(ip: bytes) -> int:
    """Bytes of a datagram to this address."""
    return MOST4 if len(ip) == 4 else MOST6


class Datagram:
    """One in a queue. source: who sent it; to: the address that it was sent to. hops, traffic: what its header says of
    both (TTL or hop limit, TOS or traffic class)."""

    __slots__ = ("data", "hops", "source", "to", "traffic")

    def __init__(self, data: bytes, source: Place, to: bytes, marks: tuple[int, int]) -> None:
        self.data = memoryview(data)
        self.source = source
        self.to = to
        self.hops, self.traffic = marks


class UdpEndpoint(InetEndpoint):
    """A socket of datagrams.

    corked: what was sent with more to come (MSG_MORE, UDP_CORK) of one datagram, for whom, with what marks; or None.
    """

    def __init__(self, network: Network, family: int, owner: int, protocol: int = IPPROTO_UDP) -> None:
        super().__init__(network, family, SOCK_DGRAM, protocol, owner)
        self.ports = network.udp if protocol == IPPROTO_UDP else network.udplite
        self.datagrams: deque[Datagram] = deque()
        self.queued = 0
        self.drops = 0
        self.udp: dict[int, int] = {}
        self.corked: tuple[bytes, Place, tuple[int, int]] | None = None

    # -- connecting

    def connect(self, task: LinuxTask, address: bytes, nonblock: bool) -> None:
        if family_of(address) == AF_UNSPEC:
            self.goal, self.state = None, CLOSE
            self.ip = self.ip if self.named else bytes(len(self.ip))
            if not self.named:
                self.give_port_back()
                self.port = 0
            return
        self.ensure_port()
        goal = self.goal_of(address)
        self._require_way(goal[0])
        self.ip = self.source_for(goal[0]) if self.network.is_local(goal[0]) else self.ip
        self.goal, self.state = goal, ESTABLISHED

    def _require_way(self, ip: bytes) -> None:
        if ip == BROADCAST or (len(ip) == 4 and ip == b"\x7f\xff\xff\xff"):
            if not self.options.on("broadcast"):
                raise LinuxError(errno.EACCES if ip != BROADCAST else errno.ENETUNREACH)
            if ip == BROADCAST:
                raise LinuxError(errno.ENETUNREACH)
            return
        if is_multicast(ip):
            if not self._multicasts(ip):
                raise LinuxError(errno.ENETUNREACH)
            return
        self.require_reachable(ip)

    def _multicasts(self, ip: bytes) -> bool:
        """Whether multicasts go by the loopback: nothing else could take them."""
        if not self.network.up:
            return False
        inet = self.inet
        return inet.multicast_number == 1 or not is_any(inet.multicast_interface) or self.network.is_local(self.ip)

    # -- sending

    def send(self, task: LinuxTask, data: Source, message: Outgoing) -> int:
        size = data.count
        if size > 0xFFFF:
            raise LinuxError(errno.EMSGSIZE)
        if message.flags & MSG_OOB:
            raise LinuxError(errno.EOPNOTSUPP)
        more = bool(message.flags & MSG_MORE or self.udp.get(_CORK))
        if self.corked is not None:
            return self._append(data, size, more)
        goal = self._goal_of(message.to)
        self.take_error()
        if size > _most(goal[0]):
            raise LinuxError(errno.EMSGSIZE)
        if self.shut & SHUT_WRITE:
            raise LinuxError(errno.EPIPE)
        self._require_way(goal[0])
        self.ensure_port()
        marks = self._marks(message, len(goal[0]) == 4)
        body = taken(data, size)
        self._send(body, goal, marks, more)
        return size

    def _append(self, data: Source, size: int, more: bool) -> int:
        """One that follows those with more to come is of their datagram, whomever it is for. What cannot be is the end
        of all (udp_flush_pending_frames)."""
        assert self.corked is not None
        before, goal, marks = self.corked
        self._uncork()
        if self.shut & SHUT_WRITE:
            raise LinuxError(errno.EPIPE)
        if len(before) + size > _most(goal[0]):
            raise LinuxError(errno.EMSGSIZE)
        body = before + taken(data, size)
        self._send(body, goal, marks, more)
        return size

    def _uncork(self) -> None:
        if self.corked is not None:
            self.network.give_back(_cost(len(self.corked[0])))
            self.corked = None

    def _send(self, body: bytes, goal: Place, marks: tuple[int, int], more: bool = False) -> None:
        """more: there is more of it to come, for which it waits."""
        if more:
            self.network.hold(_cost(len(body)))
            self.corked = body, goal, marks
            return
        source = self.source_for(goal[0]), self.port
        found = self._goals(goal, source)
        for end in found:
            end.come(body, source, goal[0], marks)
        if not found and self.goal is not None and not is_multicast(goal[0]):
            self.error = errno.ECONNREFUSED
            self.queue.wake()

    def _marks(self, message: Outgoing, four: bool) -> tuple[int, int]:
        """Hops and traffic class of a datagram: of the message, else of the socket, else as they are by default
        (ip_cmsg_send, ip6_datagram_send_ctl). EINVAL."""
        level, names, least = (IPPROTO_IP, (IP_TTL, IP_TOS), 1) if four else (IPPROTO_IPV6, _MARKS6, -1)
        options = (IP_TTL, IP_TOS) if four else (IPV6_UNICAST_HOPS, IPV6_TCLASS)
        found = [self.inet.kept.get((level, name), -1) for name in options]
        for where, name, data in message.ancillary:
            if where == level and name in names:
                value = int.from_bytes(data, "little", signed=True)
                if len(data) != 4 or not (least if name == IP_TTL else min(least, 0)) <= value <= 255:
                    raise LinuxError(errno.EINVAL)
                found[names.index(name)] = value
        return found[0] if found[0] >= 0 else 64, max(found[1], 0)

    def _goal_of(self, to: bytes | None) -> Place:
        if to is None:
            if self.goal is None:
                raise LinuxError(errno.EDESTADDRREQ)
            return self.goal
        if self.family == AF_INET6 and len(to) >= 2 and family_of(to) == AF_INET:
            if self.v6_only:
                raise LinuxError(errno.ENETUNREACH)
            to = pack("<H", AF_INET6) + to[2:4] + bytes(4) + mapped(to[4:8]) + bytes(4) if len(to) >= 16 else b""
        elif self.family == AF_INET6 and len(to) >= 2 and family_of(to) == AF_UNSPEC:
            if self.goal is None:
                raise LinuxError(errno.EDESTADDRREQ)
            return self.goal
        goal = self.goal_of(to)
        if not goal[1]:
            raise LinuxError(errno.EINVAL)
        return goal

    def _goals(self, goal: Place, source: Place) -> list[UdpEndpoint]:
        """Who gets a datagram: one socket, or each that is in the group."""
        ip, port = goal
        if is_multicast(ip) or ip == b"\x7f\xff\xff\xff":
            return [
                end
                for end in self.ports.bound.get(port, ())
                if isinstance(end, UdpEndpoint)
                and (is_any(end.ip) or unmapped(end.ip) == ip)
                and (ip in end.inet.groups or not is_multicast(ip))
            ]
        found = [end for end in self.ports.find(ip, port, source) if isinstance(end, UdpEndpoint)]
        if len(found) > 1:  # of those that share a port one, by where it comes from; else the last that was bound
            shared = all(end.options.on("reuse_port") for end in found)
            return [found[source[1] % len(found)] if shared else found[-1]]
        return found

    def come(self, data: bytes, source: Place, to: bytes, marks: tuple[int, int]) -> None:
        """A datagram for this socket: lost if there is no room."""
        cost = _cost(len(data))
        if self.queued + cost > self.options.receive_buffer:
            self.drops += 1
            return
        try:
            self.network.hold(cost)
        except LinuxError:
            self.drops += 1
            return
        self.queued += cost
        self.datagrams.append(Datagram(data, source, to, marks))
        self.queue.wake(READABLE)

    # -- receiving

    def receive(self, task: LinuxTask, to: Goal, flags: int, least: int) -> Received:
        if flags & MSG_ERRQUEUE:
            raise LinuxError(errno.EAGAIN)
        self.take_error()  # before what came (__skb_recv_udp)
        if not self.datagrams:
            if self.shut & SHUT_READ and not stopped(flags, False):
                return Received(0)
            raise Waits(0, to.rest)
        datagram = self.datagrams[0]
        got = Received(0, sockaddr(self.family, datagram.source))
        size = min(len(datagram.data), to.count)
        copied = to.copy_out(datagram.data[:size])
        if not flags & MSG_PEEK:
            self._take()
        if copied < size:
            raise LinuxError(errno.EFAULT)
        if size < len(datagram.data):
            got.flags |= MSG_TRUNC
        got.count = len(datagram.data) if flags & MSG_TRUNC else size
        self._tell(datagram, got)
        return got

    def _take(self) -> None:
        datagram = self.datagrams.popleft()
        cost = _cost(len(datagram.data))
        self.queued -= cost
        self.network.give_back(cost)

    def _tell(self, datagram: Datagram, got: Received) -> None:
        """What options ask to be told of a datagram (ip_cmsg_recv)."""
        kept = self.inet
        ip = datagram.to
        if self.options.on("stamp") or self.options.on("stamp_new"):
            now = self.network.realtime_ns()
            got.ancillary.append((1, 29, pack("<qq", now // 10**9, now % 10**9 // 1000)))
        elif self.options.on("stamp_ns") or self.options.on("stamp_ns_new"):
            got.ancillary.append((1, 35, pack("<qq", *divmod(self.network.realtime_ns(), 10**9))))
        if self.family == AF_INET6 and kept.on(IPPROTO_IPV6, IPV6_RECVPKTINFO):
            got.ancillary.append((IPPROTO_IPV6, 50, mapped(ip) + pack("<I", 1)))
        if self.family == AF_INET6 and kept.on(IPPROTO_IPV6, 51):
            got.ancillary.append((IPPROTO_IPV6, _MARKS6[0], pack("<i", datagram.hops)))
        if self.family == AF_INET6 and kept.on(IPPROTO_IPV6, 66):
            got.ancillary.append((IPPROTO_IPV6, _MARKS6[1], pack("<i", datagram.traffic)))
        if len(ip) == 4 and kept.on(IPPROTO_IP, IP_PKTINFO):
            got.ancillary.append((IPPROTO_IP, 8, pack("<I4s4s", 1, ip, ip)))
        if len(ip) == 4 and kept.on(IPPROTO_IP, IP_RECVTTL):
            got.ancillary.append((IPPROTO_IP, IP_TTL, pack("<i", datagram.hops)))
        if len(ip) == 4 and kept.on(IPPROTO_IP, IP_RECVTOS):
            got.ancillary.append((IPPROTO_IP, IP_TOS, bytes([datagram.traffic])))

    def shutdown(self, task: LinuxTask, how: int) -> None:
        self.shut |= how
        self.queue.wake()
        if self.state == CLOSE:
            raise LinuxError(errno.ENOTCONN)

    def poll(self) -> int:
        found = POLLERR if self.error else 0
        if self.shut & SHUT_READ:
            found |= POLLRDHUP | READABLE
        if self.shut == SHUT_BOTH:
            found |= POLLHUP
        if self.datagrams:
            found |= READABLE
        return found | WRITABLE | POLLWRBAND

    def readable_bytes(self) -> int:
        return len(self.datagrams[0].data) if self.datagrams else 0

    def unsent_bytes(self) -> int:
        return _cost(len(self.corked[0])) if self.corked is not None else 0

    def close(self) -> None:
        self.shut = SHUT_BOTH
        self._uncork()
        while self.datagrams:
            self._take()
        super().close()

    # -- options

    def get_option(self, task: LinuxTask, level: int, name: int, size: int) -> bytes:
        if level in (IPPROTO_UDP, IPPROTO_UDPLITE):
            if name not in _UDP_OPTIONS and name not in _UDP_TOLD:
                raise LinuxError(errno.ENOPROTOOPT)
            return pack("<i", self.udp.get(name, 0))
        return super().get_option(task, level, name, size)

    def set_option(self, task: LinuxTask, level: int, name: int, address: int, size: int) -> None:
        if level not in (IPPROTO_UDP, IPPROTO_UDPLITE):
            super().set_option(task, level, name, address, size)
            return
        value = integer(task, address, size)
        if name in _COVERAGE and self.protocol == IPPROTO_UDPLITE:
            self.udp[name] = 0 if not value else min(max(value, 8), 65_535)
            return
        if name == _ENCAP and value in _ENCAPSULATIONS:
            self.udp[name] = value
            return
        if name not in _UDP_OPTIONS:
            raise LinuxError(errno.ENOPROTOOPT)
        most = _UDP_OPTIONS[name]
        if most == 65_535 and not 0 <= value <= most:
            raise LinuxError(errno.EINVAL)
        self.udp[name] = int(bool(value)) if most == 1 else value
        if name == _CORK and not value and self.corked is not None:
            body, goal, marks = self.corked
            self._uncork()
            self._send(body, goal, marks)
