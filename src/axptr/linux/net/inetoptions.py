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
_NUMBERS4 = {1: (0, 255, 0), 2: (-1, 255, 64), 10: (0, 5, 1), 21: (0, 255, 0), 33: (-1, 255, 1), 50: (0, 1, 0)}
"""Numbers: (least, most, at first)."""
_NUMBERS4_LONG = {51: 0}
_FLAGS6 = {
    2: 0, 7: 0, 19: 1, 25: 0, 29: 1, 30: 0, 49: 0, 51: 0, 53: 0, 54: 0, 56: 0, 58: 0, 60: 0, 62: 0, 66: 0, 70: 1, 74: 0,
    75: 0, 77: 0, 78: 0, 33: 0, 8: 0, 3: 0, 4: 0, 5: 0, 11: 0,
}  # fmt: skip
_NUMBERS6 = {16: (-1, 255, 64), 18: (-1, 255, 1), 23: (0, 5, 1), 67: (-1, 255, 0), 73: (0, 255, 0), 76: (0, 1, 0)}


class InetOptions:
    """What setsockopt said of a socket. groups: multicast groups that it is in."""

    def __init__(self, family: int) -> None:
        self.v6_only = False
        self.free_bind = False
        self.multicast_interface = ANY4
        self.multicast_number = 0
        self.groups: set[bytes] = set()
        self.kept: dict[tuple[int, int], int] = {}

    def copy(self, family: int) -> InetOptions:
        other = InetOptions(family)
        other.v6_only, other.free_bind = self.v6_only, self.free_bind
        other.kept = dict(self.kept)
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
            if size < 4:
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
        value = self._short(task, address, size)
        if name in _BYTES4:
            if name == _MULTICAST_ALL and value not in (0, 1):
                raise LinuxError(errno.EINVAL)
            if name == _RECVFRAGSIZE:
                raise LinuxError(errno.EINVAL)
            value = int(bool(value))
            if name == IP_FREEBIND:
                self.free_bind = bool(value)
        elif name == IP_TRANSPARENT:
            if value and task.creds.euid:
                raise LinuxError(errno.EPERM)
            value = int(bool(value))
        elif name in _NUMBERS4:
            self._set_number4(end, name, value, size)
            return
        elif name not in _NUMBERS4_LONG:
            raise LinuxError(errno.ENOPROTOOPT)
        self.kept[IPPROTO_IP, name] = value

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
            if group in self.groups:
                raise LinuxError(errno.EADDRINUSE)
            self.groups.add(group)
        elif group not in self.groups:
            raise LinuxError(errno.EADDRNOTAVAIL if is_loopback(via) or number == 1 else errno.ENODEV)
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
                if group in self.groups:
                    raise LinuxError(errno.EADDRINUSE)
                self.groups.add(group)
            elif group not in self.groups:
                raise LinuxError(errno.EADDRNOTAVAIL)
            else:
                self.groups.discard(group)
            return
        value = integer(task, address, size) if size >= 4 else 0
        if name == IPV6_V6ONLY:
            if size < 4 or end.port:
                raise LinuxError(errno.EINVAL)
            self.v6_only = bool(value)
        elif name == IPV6_MULTICAST_IF:
            if end.kind == SOCK_STREAM:
                raise LinuxError(errno.ENOPROTOOPT)
            if value not in (0, 1):
                raise LinuxError(errno.ENODEV)
            self.multicast_number = value
        elif name in _FLAGS6:
            if size < 4 or (name == IPV6_MULTICAST_LOOP and value not in (0, 1)):
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
        else:
            raise LinuxError(errno.ENOPROTOOPT)

    # -- telling

    def get(self, end: InetEndpoint, level: int, name: int, size: int) -> bytes:
        if level == IPPROTO_IP:
            return self._get4(end, name, size)
        return self._get6(end, name)

    def _get4(self, end: InetEndpoint, name: int, size: int) -> bytes:
        if name == IP_OPTIONS:
            return b""
        if name == IP_MULTICAST_IF:
            return self.multicast_interface
        if name == IP_MTU:
            if end.goal is None or end.state == CLOSE:
                raise LinuxError(errno.ENOTCONN)
            value = _MTU
        elif name in _BYTES4:
            value = self.kept.get((IPPROTO_IP, name), _BYTES4[name])
        elif name in _NUMBERS4:
            value = self.kept.get((IPPROTO_IP, name), _NUMBERS4[name][2])
        elif name == IP_TRANSPARENT:
            value = self.kept.get((IPPROTO_IP, name), 0)
        else:
            raise LinuxError(errno.ENOPROTOOPT)
        if 0 < size < 4 and 0 <= value <= 255:  # a byte will do
            return bytes((value,))
        return pack("<i", value)

    def _get6(self, end: InetEndpoint, name: int) -> bytes:
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
        else:
            raise LinuxError(errno.ENOPROTOOPT)
        return pack("<i", value)
