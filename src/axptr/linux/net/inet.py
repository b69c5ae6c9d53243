"""What sockets of AF_INET and AF_INET6 have in common: places, binding, what is local. Source: ip(7), ipv6(7),
net/ipv4/af_inet.c, net/ipv6/af_inet6.c of Linux 6.18.

The loopback is the machine's own: 127.0.0.0/8 and ::1 lead to its sockets and never to the host's. Whatever else there
is lies outside, and is reached as the policy allows (`policy`), or not at all: ENETUNREACH, as where there are no
routes.
"""

from __future__ import annotations

import errno

from ...errors import LinuxError
from ..task.creds import CAP_NET_BIND_SERVICE
from ..uaccess import put_bytes
from .address import (
    ANY4,
    ANY6,
    LOOPBACK4,
    LOOPBACK6,
    Place,
    is_any,
    is_link_local,
    is_multicast,
    loopback_of,
    place_of,
    sockaddr,
    unmapped,
)
from .endpoint import AF_INET, AF_INET6, CLOSE, LISTEN, SOCK_STREAM, SYN_SENT, Endpoint
from .inetoptions import IPPROTO_IP, IPPROTO_IPV6, InetOptions
from .ports import PRIVILEGED, Ports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask
    from .network import Network

_SIOCINQ, _SIOCOUTQ, _SIOCATMARK = 0x541B, 0x5411, 0x8905


class InetEndpoint(Endpoint):
    """A socket with an address and a port. ip, port: its own, zeros for any and none; goal: that it is connected to.

    family: AF_INET or AF_INET6. named: the user bound it. claimed: it has its port in the table.
    """

    ports: Ports

    def __init__(self, network: Network, family: int, kind: int, protocol: int, owner: int) -> None:
        super().__init__(network, kind, protocol, owner)
        self.family = family
        self.ip = ANY4 if family == AF_INET else ANY6
        self.port = 0
        self.goal: Place | None = None
        self.named = False
        self.claimed = False
        self.inet = InetOptions(family)

    @property
    def v6_only(self) -> bool:
        return self.inet.v6_only

    # -- names

    def bind(self, task: LinuxTask, address: bytes) -> None:
        (ip, port), scope = place_of(address, self.family, unspecified=True)
        if address[:2] == b"\0\0" and not is_any(ip):
            raise LinuxError(errno.EAFNOSUPPORT)
        if self.family == AF_INET:
            self._require_local(ip)
        elif is_multicast(ip) and self.kind == SOCK_STREAM:
            raise LinuxError(errno.EINVAL)
        if 0 < port < PRIVILEGED and not task.creds.has_over(self.network.users, CAP_NET_BIND_SERVICE):
            raise LinuxError(errno.EACCES)
        if self.family == AF_INET6:
            ip = self._own6(ip, scope)
        if self.state != CLOSE or self.claimed:
            raise LinuxError(errno.EINVAL)
        self.port = self.ports.claim(self, ip, port)
        self.ip = ip
        self.named = self.claimed = True

    def _require_local(self, ip: bytes) -> None:
        """EADDRNOTAVAIL for an address that is no interface's."""
        if is_any(ip) or is_multicast(ip) or ip == b"\xff" * 4 or self.inet.free_bind:
            return
        if len(ip) == 4 and not self.network.routed:  # no table says what is local (inet_addr_type)
            return
        if not self.network.is_local(ip):
            raise LinuxError(errno.EADDRNOTAVAIL)

    def _own6(self, ip: bytes, scope: int) -> bytes:
        four = unmapped(ip)
        if len(four) == 4:
            if self.v6_only:
                raise LinuxError(errno.EINVAL)
            self._require_local(four)
            return four
        if is_link_local(ip) and not scope:
            raise LinuxError(errno.EINVAL)
        self._require_local(ip)
        return ip

    def name(self, peer: bool) -> bytes:
        if not peer:
            return sockaddr(self.family, (self.ip, self.port))
        if self.goal is None or self.state in (CLOSE, SYN_SENT):
            raise LinuxError(errno.ENOTCONN)
        return sockaddr(self.family, self.goal)

    def goal_of(self, address: bytes) -> Place:
        """Where a struct sockaddr leads: any address is the loopback. ENETUNREACH where no way does."""
        (ip, port), _ = place_of(address, self.family, unspecified=self.kind != SOCK_STREAM)
        if self.family == AF_INET6:
            ip = unmapped(ip)
            if len(ip) == 4 and self.v6_only:
                raise LinuxError(errno.ENETUNREACH)
            if ip == ANY6:
                ip = LOOPBACK4 if len(self.ip) == 4 else LOOPBACK6
            elif len(ip) == 16 and len(self.ip) == 4:
                raise LinuxError(errno.ENETUNREACH if self.kind == SOCK_STREAM else errno.EAFNOSUPPORT)
        if is_any(ip):
            ip = loopback_of(ip) if not self.network.is_local(self.ip) else self.ip
        return ip, port

    def require_reachable(self, ip: bytes) -> None:
        """ENETUNREACH for what lies outside."""
        if not self.network.is_local(ip):
            raise LinuxError(errno.ENETUNREACH)

    def source_for(self, ip: bytes) -> bytes:
        """The address that it sends from to an address of the machine's."""
        return loopback_of(ip) if is_any(self.ip) else self.ip

    def ensure_port(self) -> None:
        """It gets a port at the first use (inet_autobind). EAGAIN if there is none left."""
        if not self.claimed:
            try:
                self.port = self.ports.claim(self, self.ip, 0)
            except LinuxError:
                raise LinuxError(errno.EAGAIN) from None
            self.claimed = True

    def give_port_back(self) -> None:
        if self.claimed:
            self.ports.release(self)
            self.claimed = False

    # -- options, ioctls

    def get_option(self, task: LinuxTask, level: int, name: int, size: int) -> bytes:
        if level == IPPROTO_IP or (level == IPPROTO_IPV6 and self.family == AF_INET6):
            return self.inet.get(self, level, name, size)
        raise LinuxError(errno.EOPNOTSUPP if self.family == AF_INET else errno.ENOPROTOOPT)

    def set_option(self, task: LinuxTask, level: int, name: int, address: int, size: int) -> None:
        if level == IPPROTO_IP or (level == IPPROTO_IPV6 and self.family == AF_INET6):
            self.inet.set(task, self, level, name, address, size)
            return
        raise LinuxError(errno.ENOPROTOOPT)

    def ioctl(self, task: LinuxTask, command: int, argument: int) -> int | None:
        if command == _SIOCINQ:
            if self.state == LISTEN:
                raise LinuxError(errno.EINVAL)
            value = self.readable_bytes()
        elif command == _SIOCOUTQ:
            if self.state == LISTEN:
                raise LinuxError(errno.EINVAL)
            value = self.unsent_bytes()
        elif command == _SIOCATMARK and self.kind == SOCK_STREAM:
            value = self.at_mark()
        else:
            return None
        put_bytes(task, argument, value.to_bytes(4, "little"))
        return 0

    def readable_bytes(self) -> int:
        return 0

    def unsent_bytes(self) -> int:
        return 0

    def at_mark(self) -> int:
        """SIOCATMARK."""
        return 0

    def close(self) -> None:
        super().close()
        self.give_port_back()
        self.queue.wake()
