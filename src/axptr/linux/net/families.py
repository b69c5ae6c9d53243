"""Which sockets there are: family, type and protocol as socket(2) is called with them. Source: net/socket.c, and the
create function of each family of Linux 6.18.

What only a privileged process of a container could have, raw and packet sockets, is refused as one without the right
is. Families' modules are loaded when the first socket of theirs is made.
"""

from __future__ import annotations

import errno

from ...errors import LinuxError
from .endpoint import (
    AF_INET,
    AF_INET6,
    AF_NETLINK,
    AF_PACKET,
    AF_UNIX,
    SOCK_DGRAM,
    SOCK_RAW,
    SOCK_SEQPACKET,
    SOCK_STREAM,
    Endpoint,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask
    from .inet import InetEndpoint

_FAMILIES, _TYPES = 46, 11
_SOCK_PACKET = 10
_PROTOCOLS = 263
"""IPPROTO_MAX."""
IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_UDPLITE = 6, 17, 1, 58, 136


def create(task: LinuxTask, family: int, kind: int, protocol: int) -> Endpoint:
    """A new endpoint. EAFNOSUPPORT, EINVAL, ESOCKTNOSUPPORT, EPROTONOSUPPORT, EPERM."""
    if not 0 <= family < _FAMILIES:
        raise LinuxError(errno.EAFNOSUPPORT)
    if not 0 <= kind < _TYPES:
        raise LinuxError(errno.EINVAL)
    if family == AF_INET and kind == _SOCK_PACKET:
        family = AF_PACKET
    if family == AF_UNIX:
        return _unix(task, kind, protocol)
    if family in (AF_INET, AF_INET6):
        return _inet(task, family, kind, protocol)
    if family == AF_NETLINK:
        return _netlink(task, kind, protocol)
    if family == AF_PACKET:
        raise LinuxError(errno.EPERM)
    raise LinuxError(errno.EAFNOSUPPORT)


def _unix(task: LinuxTask, kind: int, protocol: int) -> Endpoint:
    if protocol not in (0, AF_UNIX):
        raise LinuxError(errno.EPROTONOSUPPORT)
    network, owner = task.network, task.creds.euid
    if kind == SOCK_STREAM:
        from .unixstream import Stream

        return Stream(network, kind, owner)
    from .unixpacket import Datagrams, SeqPackets

    if kind in (SOCK_DGRAM, SOCK_RAW):
        return Datagrams(network, SOCK_DGRAM, owner)
    if kind == SOCK_SEQPACKET:
        return SeqPackets(network, kind, owner)
    raise LinuxError(errno.ESOCKTNOSUPPORT)


def _inet(task: LinuxTask, family: int, kind: int, protocol: int) -> Endpoint:
    network, owner = task.network, task.creds.euid
    if not 0 <= protocol < _PROTOCOLS:
        raise LinuxError(errno.EINVAL)
    if kind == SOCK_STREAM and protocol in (0, IPPROTO_TCP):
        from .tcp import TcpEndpoint

        return _of_host(TcpEndpoint(network, family, owner))
    if kind == SOCK_DGRAM and protocol in (0, IPPROTO_UDP, IPPROTO_UDPLITE):
        from .udp import UdpEndpoint

        return _of_host(UdpEndpoint(network, family, owner, protocol or IPPROTO_UDP))
    if kind == SOCK_RAW:
        raise LinuxError(errno.EPERM if protocol else errno.EPROTONOSUPPORT)
    if kind == SOCK_DGRAM and protocol == (IPPROTO_ICMP if family == AF_INET else IPPROTO_ICMPV6):
        raise LinuxError(errno.EACCES)  # ping_group_range is empty
    if kind in (SOCK_STREAM, SOCK_DGRAM):
        raise LinuxError(errno.EPROTONOSUPPORT)
    raise LinuxError(errno.ESOCKTNOSUPPORT)


def _of_host(end: InetEndpoint) -> Endpoint:
    """The host's in its place, where the host's network is the program's."""
    if not end.network.policy.listens:
        return end
    from .outside import Outside

    return Outside(end)


def elsewhere(end: Endpoint, address: bytes) -> Endpoint | None:
    """What takes the place of an endpoint that is to communicate with `address`, which lies outside and may be reached;
    None where it stays what it is."""
    network = end.network
    policy = network.policy
    if (not policy.outside and policy.refused is None) or end.family not in (AF_INET, AF_INET6):
        return None
    from .address import is_any, place_of, unmapped
    from .inet import InetEndpoint

    if not isinstance(end, InetEndpoint) or end.goal is not None or end.named:
        return None
    try:
        (ip, port), _ = place_of(address, end.family)
    except LinuxError:
        return None
    ip = unmapped(ip)
    if is_any(ip) or network.is_local(ip) or not policy.allows(ip, port):
        return None
    from .outside import Outside

    made = Outside(end)
    end.give_port_back()
    return made


def _netlink(task: LinuxTask, kind: int, protocol: int) -> Endpoint:
    from .netlink import create_netlink

    return create_netlink(task.network, kind, protocol, task.creds.euid)


def create_pair(task: LinuxTask, family: int, kind: int, protocol: int) -> tuple[Endpoint, Endpoint]:
    """Two that are connected. EOPNOTSUPP where a family has no such pairs."""
    if family in (AF_INET, AF_INET6, AF_NETLINK):
        raise LinuxError(errno.EOPNOTSUPP)
    one, other = (create(task, family, kind, protocol) for _ in range(2))
    from .unix import UnixEndpoint
    from .unixstream import pair

    assert isinstance(one, UnixEndpoint)
    assert isinstance(other, UnixEndpoint)
    pair(task, one, other)
    return one, other
