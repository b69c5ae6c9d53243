"""Options of IPPROTO_IP and IPPROTO_IPV6. Source: ip(7), ipv6(7), net/ipv4/ip_sockglue.c, net/ipv6/ipv6_sockglue.c of
Linux 6.18.

What changes nothing on a loopback is kept as it was said. Multicast groups are those of the loopback's.
"""

from __future__ import annotations

import errno
from struct import pack, unpack

from ...errors import LinuxError
from ..uaccess import get_bytes
from .address import ANY4, LOOPBACK4, is_any, is_loopback, is_multicast
from .endpoint import CLOSE, SOCK_STREAM
from .options import integer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask
    from .inet import InetEndpoint

IPPROTO_IP, IPPROTO_IPV6 = 0, 41
IP_TOS, IP_TTL, IP_OPTIONS, IP_PKTINFO, IP_MTU_DISCOVER, IP_RECVERR, IP_RECVTTL, IP_RECVTOS, IP_MTU = (
    1, 2, 4, 8, 10, 11, 12, 13, 14,
)  # fmt: skip
IP_FREEBIND, IP_TRANSPARENT, IP_MULTICAST_IF, IP_MULTICAST_TTL, IP_MULTICAST_LOOP = 15, 19, 32, 33, 34
IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP = 35, 36
IPV6_UNICAST_HOPS, IPV6_MULTICAST_IF, IPV6_MULTICAST_HOPS, IPV6_MULTICAST_LOOP = 16, 17, 18, 19
IPV6_JOIN, IPV6_LEAVE, IPV6_MTU, IPV6_V6ONLY = 20, 21, 24, 26
IPV6_RECVPKTINFO, IPV6_TCLASS = 49, 67

_MTU = 65_536
_RECVFRAGSIZE, _MULTICAST_ALL = 25, 49
_BYTES4 = {6: 0, 7: 0, 8: 0, 11: 0, 12: 0, 13: 0, 15: 0, 18: 0, 20: 0, 23: 0, 24: 0, 25: 0, 26: 0, 34: 1, 49: 1}
"""Flags of IPPROTO_IP: number -> what they are at first."""
_NUMBERS4 = {1: (0, 255, 0), 2: (-1, 255, 64), 10: (0, 5, 1), 21: (0, 255, 0), 33: (-1, 255, 1)}
"""Numbers: (least, most, at first)."""
_ROUTER_ALERT, _PKTOPTIONS, _IPSEC_POLICY, _XFRM_POLICY, _NODEFRAG, _RECVERR_4884 = 5, 9, 16, 17, 22, 26
_UNBLOCK, _MSFILTER, MCAST_JOIN_GROUP, MCAST_LEAVE_GROUP, MCAST_MSFILTER = 37, 41, 42, 45, 48
_UNICAST_IF, _LOCAL_PORT_RANGE = 50, 51
_LOOPBACK_BIG = 1 << 24
"""The loopback's number, in the network's order."""
MULTICAST4 = range(_UNBLOCK, MCAST_MSFILTER + 1)
_REFUSED4 = (_ROUTER_ALERT, _IPSEC_POLICY, _XFRM_POLICY)
_NOT_EMPTY4 = (IP_FREEBIND, IP_TRANSPARENT, 21, IP_MULTICAST_LOOP, _MULTICAST_ALL)
_ZERO4 = (3, _ROUTER_ALERT, IP_TRANSPARENT, _NODEFRAG, _UNICAST_IF, _LOCAL_PORT_RANGE, 52)
"""IP_HDRINCL, IP_PROTOCOL and others that are 0 where they cannot be set."""
_ADDRFORM, _PKTOPTIONS6, _ROUTER_ALERT6, _IPSEC_POLICY6, _XFRM_POLICY6 = 1, 6, 22, 34, 35
_ROUTING_HEADER, _ADDR_PREFERENCES, _UNICAST_IF6 = 57, 72, 76
_HEADERS6 = (54, 55, _ROUTING_HEADER, 59)
_REFUSED6 = (
    _ADDRFORM, 27, 28, 32, _IPSEC_POLICY6, _XFRM_POLICY6, MCAST_JOIN_GROUP, 43, 44, MCAST_LEAVE_GROUP, 46, 47,
    MCAST_MSFILTER, 50, 64, 65,
)  # fmt: skip
_PATHMTU, _MTUINFO = 61, 32
_GET_REFUSED6 = (32, MCAST_MSFILTER, _PATHMTU, 64, 65, 68, 69, 80)
_MAY_BE_EMPTY6 = (62, 70, 77)
_STRICT6 = (IPV6_MULTICAST_LOOP, 31)
_LEAST_MTU6 = 1280
_FLAGS6 = {
    2: 0, 19: 1, 25: 0, 29: 1, 30: 0, 31: 0, 49: 0, 51: 0, 53: 0, 56: 0, 58: 0, 60: 0, 62: 0, 66: 0, 70: 1, 74: 0,
    75: 0, 77: 0, 78: 0, 33: 0, 8: 0, 3: 0, 4: 0, 5: 0, 11: 0,
}  # fmt: skip
_NUMBERS6 = {16: (-1, 255, 64), 18: (-1, 255, 1), 23: (0, 5, 1), 67: (-1, 255, 0), 73: (0, 255, 0)}


class InetOptions:
    """What setsockopt said of a socket. groups: multicast groups that it is in."""

    def __init__(self, family: int) -> None:
        self.v6_only = False
        self.free_bind = False
        self.multicast_interface = ANY4
        self.multicast_number = 0
        self.groups: set[bytes] = set()
        self.headers: dict[int, bytes] = {}
        self.kept: dict[tuple[int, int], int] = {}

    def copy(self, family: int) -> InetOptions:
        other = InetOptions(family)
        other.v6_only, other.free_bind = self.v6_only, self.free_bind
        other.kept, other.headers = dict(self.kept), dict(self.headers)
        return other

    def on(self, level: int, name: int) -> bool:
        return bool(self.kept.get((level, name), 0))

    # -- setting

    def set(self, task: LinuxTask, end: InetEndpoint, level: int, name: int, address: int, size: int) -> None:
        if level == IPPROTO_IP:
            self._set4(task, end, name, address, size)
        else:
            self._set6(task, end, name, address, size)

    @staticmethod
    def _short(task: LinuxTask, address: int, size: int) -> int:
        """An int, or a byte where there are fewer than four."""
        if size >= 4:
            return integer(task, address, size)
        return get_bytes(task, address, 1)[0] if size else 0

    def _set4(self, task: LinuxTask, end: InetEndpoint, name: int, address: int, size: int) -> None:
        if name in (IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP):
            self._membership4(task, end, name, address, size)
            return
        if name == IP_MULTICAST_IF:
            if size < 4 or end.kind == SOCK_STREAM:
                raise LinuxError(errno.EINVAL)
            raw = get_bytes(task, address, min(size, 12))
            chosen = raw[4:8] if size >= 8 else raw[:4]
            number = unpack("<i", raw[8:12])[0] if size >= 12 else 0
            if number not in (0, 1) or not (is_any(chosen) or is_loopback(chosen)):
                raise LinuxError(errno.EADDRNOTAVAIL)
            self.multicast_interface = LOOPBACK4 if number else chosen
            return
        if name == IP_OPTIONS:
            if size > 40:
                raise LinuxError(errno.EINVAL)
            return
        if name in MULTICAST4 or name in _REFUSED4:
            self._set_refused4(task, end, name, address, size)
            return
        value = self._short(task, address, size)
        if size < 1 and name in _NOT_EMPTY4:
            raise LinuxError(errno.EINVAL)
        if name in _BYTES4:
            if name in (_MULTICAST_ALL, _RECVERR_4884) and value not in (0, 1):
                raise LinuxError(errno.EINVAL)
            if name == _RECVFRAGSIZE and end.kind == SOCK_STREAM:
                raise LinuxError(errno.EINVAL)
            value = int(bool(value))
            if name == IP_FREEBIND:
                self.free_bind = bool(value)
        elif name == IP_TRANSPARENT:
            if value and not task.creds.reigns:
                raise LinuxError(errno.EPERM)
            value = int(bool(value))
        elif name in _NUMBERS4:
            self._set_number4(end, name, value, size)
            return
        elif name == _UNICAST_IF:
            if size != 4:
                raise LinuxError(errno.EINVAL)
            if value not in (0, _LOOPBACK_BIG):
                raise LinuxError(errno.EADDRNOTAVAIL)
        elif name == _LOCAL_PORT_RANGE:
            if size != 4 or (value & 0xFFFF and value >> 16 & 0xFFFF and value & 0xFFFF > value >> 16 & 0xFFFF):
                raise LinuxError(errno.EINVAL)
        else:
            raise LinuxError(errno.ENOPROTOOPT)
        self.kept[IPPROTO_IP, name] = value

    def _set_refused4(self, task: LinuxTask, end: InetEndpoint, name: int, address: int, size: int) -> None:
        """Groups by the structures that all families have, and what is for raw sockets, or takes rights."""
        if name in (MCAST_JOIN_GROUP, MCAST_LEAVE_GROUP):
            self._group_request(task, end, name, address, size)
        if name in (_IPSEC_POLICY, _XFRM_POLICY):
            raise LinuxError(errno.EMSGSIZE if not size else errno.EPERM)
        if name not in (MCAST_JOIN_GROUP, MCAST_LEAVE_GROUP):
            raise LinuxError(errno.EINVAL)

    def _group_request(self, task: LinuxTask, end: InetEndpoint, name: int, address: int, size: int) -> None:
        """struct group_req: an interface's number, and a group of whichever family."""
        if size < 136:
            raise LinuxError(errno.EINVAL)
        number, family = unpack("<I4xH", get_bytes(task, address, 10))
        if family not in (2, 10) or (family == 10 and end.family != 10):
            raise LinuxError(errno.EADDRNOTAVAIL)
        if end.kind == SOCK_STREAM:
            raise LinuxError(errno.EPROTO)
        at, length = (address + 12, 4) if family == 2 else (address + 16, 16)
        group = get_bytes(task, at, length)
        if not is_multicast(group):
            raise LinuxError(errno.EINVAL)
        if number != 1 or not end.network.up:
            raise LinuxError(errno.ENODEV)
        if name == MCAST_JOIN_GROUP:
            self._join(group)
        else:
            self._leave(group)

    def _join(self, group: bytes) -> None:
        if group in self.groups:
            raise LinuxError(errno.EADDRINUSE)
        self.groups.add(group)

    def _leave(self, group: bytes) -> None:
        if group not in self.groups:
            raise LinuxError(errno.EADDRNOTAVAIL)
        self.groups.discard(group)

    def _set_number4(self, end: InetEndpoint, name: int, value: int, size: int) -> None:
        least, most, first = _NUMBERS4[name]
        if name == IP_TOS:
            value &= 0xFF
            if end.kind == SOCK_STREAM:
                value &= ~3
        if name == IP_MULTICAST_TTL and (end.kind == SOCK_STREAM or size < 1):
            raise LinuxError(errno.EINVAL)
        if not least <= value <= most or (name == IP_TTL and (size < 1 or value == 0)):
            raise LinuxError(errno.EINVAL)
        self.kept[IPPROTO_IP, name] = first if value == -1 else value

    def _membership4(self, task: LinuxTask, end: InetEndpoint, name: int, address: int, size: int) -> None:
        if end.kind == SOCK_STREAM:
            raise LinuxError(errno.EPROTO)
        if size < 8:
            raise LinuxError(errno.EINVAL)
        raw = get_bytes(task, address, min(size, 12))
        group, via = raw[:4], raw[4:8]
        number = unpack("<i", raw[8:12])[0] if size >= 12 else 0
        if name == IP_ADD_MEMBERSHIP:
            if not is_multicast(group):
                raise LinuxError(errno.EINVAL)
            if not (number == 1 or is_loopback(via)) or not end.network.up:
                raise LinuxError(errno.ENODEV)
            self._join(group)
        elif group not in self.groups:
            known = is_any(via) or is_loopback(via) or number == 1
            raise LinuxError(errno.EADDRNOTAVAIL if known else errno.ENODEV)
        else:
            self.groups.discard(group)

    def _set6(self, task: LinuxTask, end: InetEndpoint, name: int, address: int, size: int) -> None:
        if name in (IPV6_JOIN, IPV6_LEAVE):
            if size < 20:
                raise LinuxError(errno.EINVAL)
            raw = get_bytes(task, address, 20)
            group, number = raw[:16], unpack("<i", raw[16:])[0]
            if end.kind == SOCK_STREAM:
                raise LinuxError(errno.ENOPROTOOPT)
            if name == IPV6_JOIN:
                if not is_multicast(group):
                    raise LinuxError(errno.EINVAL)
                if number != 1:
                    raise LinuxError(errno.ENODEV)
                self._join(group)
            else:
                self._leave(group)
            return
        if name in _HEADERS6:
            self._set_header6(task, name, address, size)
            return
        if name in _REFUSED6:
            if name in (MCAST_JOIN_GROUP, MCAST_LEAVE_GROUP):
                self._group_request(task, end, name, address, size)
                return
            if name in (_IPSEC_POLICY6, _XFRM_POLICY6):
                raise LinuxError(errno.EMSGSIZE if not size else errno.EPERM)
            goal = name == _ADDRFORM and size >= 4 and integer(task, address, size) == 2
            raise LinuxError(errno.ENOTCONN if goal else errno.EINVAL)
        value = integer(task, address, size) if size >= 4 else 0
        if name == IPV6_V6ONLY:
            if size < 4 or end.port:
                raise LinuxError(errno.EINVAL)
            self.v6_only = bool(value)
        elif name == IPV6_MULTICAST_IF:
            if end.kind == SOCK_STREAM:
                raise LinuxError(errno.ENOPROTOOPT)
            if size < 4:
                raise LinuxError(errno.EINVAL)
            if value not in (0, 1):
                raise LinuxError(errno.ENODEV)
            self.multicast_number = value
        elif name in _FLAGS6:
            if (size < 4 and name not in _MAY_BE_EMPTY6) or (name in _STRICT6 and value not in (0, 1)):
                raise LinuxError(errno.EINVAL)
            self.kept[IPPROTO_IPV6, name] = int(bool(value))
        elif name in _NUMBERS6:
            least, most, first = _NUMBERS6[name]
            if name == IPV6_MULTICAST_HOPS and end.kind == SOCK_STREAM:
                raise LinuxError(errno.ENOPROTOOPT)
            if size < 4 or not least <= value <= most:
                raise LinuxError(errno.EINVAL)
            value = first if value == -1 else value
            if name == IPV6_TCLASS and end.kind == SOCK_STREAM:
                value &= ~3
            self.kept[IPPROTO_IPV6, name] = value
        elif name == _ROUTER_ALERT6 and size < 4:
            raise LinuxError(errno.EINVAL)
        elif name == IPV6_MTU:
            if size < 4 or (value and value < _LEAST_MTU6):
                raise LinuxError(errno.EINVAL)
        elif name == _UNICAST_IF6:
            if size != 4:
                raise LinuxError(errno.EINVAL)
            if value not in (0, _LOOPBACK_BIG):
                raise LinuxError(errno.EADDRNOTAVAIL)
            self.kept[IPPROTO_IPV6, name] = value
        elif name == _ADDR_PREFERENCES:
            self._prefer(value, size)
        else:
            raise LinuxError(errno.ENOPROTOOPT)

    def _set_header6(self, task: LinuxTask, name: int, address: int, size: int) -> None:
        """Headers of extension that go with each packet, of which nobody here knows anything: a number of eights of
        bytes, as they say themselves (ipv6_set_opt_hdr)."""
        if size and (size < 8 or size & 7 or size > 8 * 255):
            raise LinuxError(errno.EINVAL)
        data = get_bytes(task, address, size)
        if size and ((data[1] + 1) * 8 > size or (name == _ROUTING_HEADER and data[2] != 2)):
            raise LinuxError(errno.EINVAL)
        self.headers[name] = data[: (data[1] + 1) * 8] if size else b""

    def _prefer(self, value: int, size: int) -> None:
        """Which of its addresses is to be the source: one way of each pair (ipv6_sock_set_addr_preferences)."""
        public, home = value & 0x103, value & 0x404  # TMP, PUBLIC, or neither; COA or HOME
        if size < 4 or public not in (0, 1, 2, 0x100) or home == 0x404 or value & 0x808 == 0x808:
            raise LinuxError(errno.EINVAL)
        self.kept[IPPROTO_IPV6, _ADDR_PREFERENCES] = (public or 0x100) | (home or 0x400)

    # -- telling

    def get(self, end: InetEndpoint, level: int, name: int, size: int) -> bytes:
        if level == IPPROTO_IP:
            return self._get4(end, name, size)
        return self._get6(end, name, size)

    def _get4(self, end: InetEndpoint, name: int, size: int) -> bytes:
        if name == IP_OPTIONS or (name == _PKTOPTIONS and end.kind == SOCK_STREAM):
            return b""
        if name in (_MSFILTER, MCAST_MSFILTER):
            raise LinuxError(errno.EINVAL)
        if name == IP_MULTICAST_IF:
            return self.multicast_interface
        if name == IP_MTU:
            if end.goal is None or end.state == CLOSE:
                raise LinuxError(errno.ENOTCONN)
            value = _MTU
        elif name in _BYTES4:
            first = _BYTES4[name] if name != _MULTICAST_ALL or end.family == 2 else 0
            value = self.kept.get((IPPROTO_IP, name), first)
        elif name in _NUMBERS4:
            value = self.kept.get((IPPROTO_IP, name), _NUMBERS4[name][2])
        elif name in _ZERO4:
            value = self.kept.get((IPPROTO_IP, name), 0)
        else:
            raise LinuxError(errno.ENOPROTOOPT)
        if 0 < size < 4 and 0 <= value <= 255:  # a byte will do
            return bytes((value,))
        return pack("<i", value)

    def _get6(self, end: InetEndpoint, name: int, size: int) -> bytes:
        if name in _HEADERS6:
            return self.headers.get(name, b"")
        if name == _ADDRFORM or (name == _PATHMTU and size >= _MTUINFO):
            raise LinuxError(errno.ENOTCONN)
        if name in _GET_REFUSED6:
            raise LinuxError(errno.EINVAL)
        if name == _PKTOPTIONS6 and end.kind == SOCK_STREAM:
            return b""
        if name == IPV6_V6ONLY:
            value = int(self.v6_only)
        elif name == IPV6_MTU:
            if end.goal is None or end.state == CLOSE:
                raise LinuxError(errno.ENOTCONN)
            value = _MTU
        elif name == IPV6_MULTICAST_IF:
            value = self.multicast_number
        elif name in _FLAGS6:
            value = self.kept.get((IPPROTO_IPV6, name), _FLAGS6[name])
        elif name in _NUMBERS6:
            value = self.kept.get((IPPROTO_IPV6, name), _NUMBERS6[name][2])
        elif name == _ADDR_PREFERENCES:
            value = self.kept.get((IPPROTO_IPV6, name), 0x500)
        elif name in (_UNICAST_IF6, _ROUTER_ALERT6):
            value = self.kept.get((IPPROTO_IPV6, name), 0)
        else:
            raise LinuxError(errno.ENOPROTOOPT)
        return pack("<i", value)
