"""Ports: who has bound what, who may beside them, and which endpoint a place leads to. Source: ip(7), socket(7),
net/ipv4/inet_connection_sock.c, net/ipv4/udp.c, net/ipv6/udp.c of Linux 6.18.

One table for TCP and one for UDP, of a machine. A connection that was closed by its own side keeps its port for a
minute (TIME_WAIT).

| field | guarded by | exec, fork | a snapshot |
| --- | --- | --- | --- |
| endpoints by port; what waits for its time | the machine's thread | the machine's | plain data |
"""

from __future__ import annotations

import errno

from ...errors import LinuxError
from .address import is_any
from .endpoint import AF_INET6, LISTEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .inet import InetEndpoint

FIRST, LAST = 32_768, 60_999
"""Ports that are given out (ip_local_port_range)."""
PRIVILEGED = 1024
TIME_WAIT_SECONDS = 60.0


class Ports:
    """The ports of one protocol. listens: whether it has connections, which share a port with their listener."""

    def __init__(self, now: Callable[[], float], *, listens: bool) -> None:
        self._now = now
        self._listens = listens
        self.bound: dict[int, list[InetEndpoint]] = {}
        self._resting: dict[int, list[tuple[InetEndpoint, float]]] = {}
        self._next = FIRST

    def dissolve(self) -> None:
        """The machine is closed: nobody has a port, nor waits for one."""
        self.bound.clear()
        self._resting.clear()

    def claim(self, end: InetEndpoint, ip: bytes, port: int) -> int:
        """Bind an endpoint: the port that it gets, any for 0. EADDRINUSE."""
        if not port:
            port = self._any(end, ip)
        elif self.conflicts(end, ip, port):
            raise LinuxError(errno.EADDRINUSE)
        self.bound.setdefault(port, []).append(end)
        return port

    def share(self, end: InetEndpoint, port: int) -> None:
        """A connection has the port of its listener."""
        self.bound.setdefault(port, []).append(end)

    def release(self, end: InetEndpoint) -> None:
        there = self.bound.get(end.port)
        if there is not None and end in there:
            there.remove(end)
            if not there:
                del self.bound[end.port]

    def rest(self, end: InetEndpoint) -> None:
        """Its own side closed the connection: nobody else has the port for a while."""
        self.release(end)
        self._resting.setdefault(end.port, []).append((end, self._now() + TIME_WAIT_SECONDS))

    def resting(self, port: int) -> list[InetEndpoint]:
        """Those whose time is not over."""
        there = self._resting.get(port)
        if there is None:
            return []
        now = self._now()
        there[:] = [(end, until) for end, until in there if until > now]
        if not there:
            del self._resting[port]
        return [end for end, _ in there]

    def all_resting(self) -> list[InetEndpoint]:
        return [end for port in list(self._resting) for end in self.resting(port)]

    def _any(self, end: InetEndpoint, ip: bytes) -> int:
        for _ in range(LAST - FIRST + 1):
            port, self._next = self._next, self._next + 1 if self._next < LAST else FIRST
            if port not in self.bound and not self.resting(port):
                return port
        for port in range(FIRST, LAST + 1):
            if not self.conflicts(end, ip, port):
                return port
        raise LinuxError(errno.EADDRINUSE)

    def any_for(self, end: InetEndpoint, ip: bytes, goal: tuple[bytes, int]) -> int:
        """A port for a connection to `goal`: one may serve many connections to different places. EADDRNOTAVAIL."""
        try:
            port = self._any(end, ip)
        except LinuxError:
            raise LinuxError(errno.EADDRNOTAVAIL) from None
        self.bound.setdefault(port, []).append(end)
        return port

    def connected(self, end: InetEndpoint, ip: bytes, goal: tuple[bytes, int]) -> bool:
        """Whether another endpoint is the connection between these two places (__inet_check_established)."""
        there = self.bound.get(end.port, ())
        return any(other is not end and other.goal == goal and other.ip == ip for other in there)

    def conflicts(self, end: InetEndpoint, ip: bytes, port: int) -> bool:
        """Whether somebody has the port in a way that leaves none for `end`."""
        options = end.options
        reuse, share = options.on("reuse_address"), options.on("reuse_port")
        for other in [*self.bound.get(port, ()), *self.resting(port)]:
            if other is end or not _overlap(end, ip, other):
                continue
            theirs = other.options
            if share and theirs.on("reuse_port") and other.owner == end.owner:
                continue
            if reuse and theirs.on("reuse_address") and not (self._listens and other.state == LISTEN):
                continue
            return True
        return False

    def find(self, ip: bytes, port: int, source: tuple[bytes, int], *, listening: bool = False) -> list[InetEndpoint]:
        """Those that what comes from `source` to a place may be for, the best ones only: more than one where they share
        the port. listening: listeners alone."""
        best = -1
        found: list[InetEndpoint] = []
        for end in self.bound.get(port, ()):
            if listening and end.state != LISTEN:
                continue
            score = _score(end, ip, source)
            if score > best:
                best, found = score, [end]
            elif score == best >= 0:
                found.append(end)
        return found


def _takes_v4(end: InetEndpoint) -> bool:
    return end.family != AF_INET6 or not end.v6_only


def _overlap(end: InetEndpoint, ip: bytes, other: InetEndpoint) -> bool:
    """Whether two addresses can be meant by one (inet_rcv_saddr_equal)."""
    theirs = other.ip
    if len(ip) == len(theirs):
        return ip == theirs or is_any(ip) or is_any(theirs)
    six, address = (end, ip) if len(ip) == 16 else (other, theirs)
    return is_any(address) and _takes_v4(six)


def _score(end: InetEndpoint, ip: bytes, source: tuple[bytes, int]) -> int:
    """How well an endpoint fits, negative for not at all (compute_score)."""
    score = 1
    if len(end.ip) == len(ip):
        if not is_any(end.ip):
            if end.ip != ip:
                return -1
            score += 4
        score += 2 if (end.family == AF_INET6) == (len(ip) == 16) else 0
    elif not (is_any(end.ip) and len(end.ip) == 16 and _takes_v4(end)):
        return -1
    if end.goal is not None:
        if end.goal != source:
            return -1
        score += 8
    return score
