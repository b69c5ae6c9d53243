"""Addresses of AF_INET and AF_INET6: as bytes, and as a struct sockaddr has them. Source: ip(7), ipv6(7).

An address is 4 bytes or 16; one of IPv4 that a socket of AF_INET6 uses (v4-mapped) is 4 bytes here, so that both
families meet.
"""

from __future__ import annotations

import errno
from struct import pack, unpack_from

from ...errors import LinuxError
from .endpoint import AF_INET, AF_INET6, AF_UNSPEC

Place = tuple[bytes, int]
"""Address and port."""

ANY4, ANY6 = bytes(4), bytes(16)
LOOPBACK4, LOOPBACK6 = b"\x7f\0\0\1", bytes(15) + b"\1"
BROADCAST = b"\xff" * 4
_MAPPED = bytes(10) + b"\xff\xff"
SIZE4, SIZE6, LEAST6 = 16, 28, 24
"""Of the structures; what one of AF_INET6 has at least (SIN6_LEN_RFC2133)."""


def is_any(ip: bytes) -> bool:
    return not any(ip)


def is_loopback(ip: bytes) -> bool:
    """127.0.0.0/8, ::1."""
    return ip[0] == 127 if len(ip) == 4 else ip == LOOPBACK6


def is_multicast(ip: bytes) -> bool:
    return ip[0] & 0xF0 == 0xE0 if len(ip) == 4 else ip[0] == 0xFF


def is_link_local(ip: bytes) -> bool:
    return len(ip) == 16 and ip[0] == 0xFE and ip[1] & 0xC0 == 0x80


def unmapped(ip: bytes) -> bytes:
    """The 4 bytes of a v4-mapped address; others as they are."""
    return ip[12:] if len(ip) == 16 and ip[:12] == _MAPPED else ip


def mapped(ip: bytes) -> bytes:
    """16 bytes for any address."""
    return _MAPPED + ip if len(ip) == 4 else ip


def loopback_of(ip: bytes) -> bytes:
    """What the loopback is called where `ip` is."""
    return LOOPBACK4 if len(ip) == 4 else LOOPBACK6


def sockaddr(family: int, place: Place) -> bytes:
    ip, port = place
    if family == AF_INET:
        return pack("<H", AF_INET) + pack(">H", port) + ip.rjust(4, b"\0") + bytes(8)
    return pack("<H", AF_INET6) + pack(">HI", port, 0) + mapped(ip) + bytes(4)


def family_of(address: bytes) -> int:
    """sa_family. EINVAL for what is too short to have one."""
    if len(address) < 2:
        raise LinuxError(errno.EINVAL)
    (family,) = unpack_from("<H", address)
    return int(family)


def place_of(address: bytes, family: int, *, unspecified: bool = False) -> tuple[Place, int]:
    """What a struct sockaddr says to a socket of a family: the place, and the interface for AF_INET6.

    EINVAL for one that is too short, EAFNOSUPPORT for another family's. unspecified: AF_UNSPEC is taken for AF_INET.
    """
    if len(address) < (SIZE4 if family == AF_INET else LEAST6):
        raise LinuxError(errno.EINVAL)
    found = family_of(address)
    if found != family and not (unspecified and found == AF_UNSPEC and family == AF_INET):
        raise LinuxError(errno.EAFNOSUPPORT)
    (port,) = unpack_from(">H", address, 2)
    if family == AF_INET:
        return (address[4:8], port), 0
    scope = unpack_from("<I", address, 24)[0] if len(address) >= SIZE6 else 0
    return (address[8:24], port), scope
