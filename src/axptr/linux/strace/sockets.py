"""Arguments of socket calls: families, kinds, addresses. Options and messages print as addresses."""

from __future__ import annotations

import ipaddress
import struct

from . import constants as names
from .decode import PATH_LIMIT, Call, Decoder, decimal, fd, filled, flags, given, pointer, quoted, stored, value

_UNIX, _INET, _INET6 = 1, 2, 10
FAMILY = names.table("AF_UNSPEC=0 AF_UNIX=1 AF_INET=2 AF_INET6=10 AF_NETLINK=16 AF_PACKET=17")
_KIND = names.table("SOCK_STREAM=1 SOCK_DGRAM=2 SOCK_RAW=3 SOCK_RDM=4 SOCK_SEQPACKET=5")
_KIND_FLAGS = names.table("SOCK_CLOEXEC=0x80000 SOCK_NONBLOCK=0x800")
_PROTOCOL = names.table(
    "IPPROTO_IP=0 IPPROTO_ICMP=1 IPPROTO_TCP=6 IPPROTO_UDP=17 IPPROTO_ICMPV6=58 IPPROTO_UDPLITE=136"
)
_HOW = names.table("SHUT_RD=0 SHUT_WR=1 SHUT_RDWR=2")
MESSAGE = names.table(
    "MSG_OOB=1 MSG_PEEK=2 MSG_DONTROUTE=4 MSG_CTRUNC=8 MSG_TRUNC=0x20 MSG_DONTWAIT=0x40 MSG_EOR=0x80 MSG_WAITALL=0x100"
    " MSG_NOSIGNAL=0x4000 MSG_MORE=0x8000 MSG_WAITFORONE=0x10000 MSG_FASTOPEN=0x20000000 MSG_CMSG_CLOEXEC=0x40000000"
)


def kind(call: Call, number: int) -> str:
    low, high = number & 0xF, number & 0xFFFF_FFF0
    text = names.value_name(low, _KIND)
    return f"{text}|{names.flag_names(high, _KIND_FLAGS)}" if high else text


def protocol(call: Call, number: int) -> str:
    if call.value(0) in (_INET, _INET6):
        return names.value_name(number, _PROTOCOL)
    return decimal(call, number)


def address_text(data: bytes) -> str | None:
    """A sockaddr; None for one of a family that is not decoded, or too short a one."""
    if len(data) < 2:
        return None
    family = int.from_bytes(data[:2], "little")
    head = f"{{sa_family={names.value_name(family, FAMILY)}"
    if family == _UNIX:
        path = data[2:]
        if not path:
            return head + "}"
        text = quoted(path.split(b"\0")[0], PATH_LIMIT) if path[0] else "@" + quoted(path[1:], PATH_LIMIT)
        return f"{head}, sun_path={text}}}"
    if family == _INET and len(data) >= 16:
        port = int.from_bytes(data[2:4], "big")
        return f'{head}, sin_port=htons({port}), sin_addr=inet_addr("{ipaddress.IPv4Address(data[4:8])}")}}'
    if family == _INET6 and len(data) >= 28:
        port, flow, scope = *struct.unpack(">HI", data[2:8]), int.from_bytes(data[24:28], "little")
        where = ipaddress.IPv6Address(data[8:24])
        return (
            f"{head}, sin6_port=htons({port}), sin6_flowinfo=htonl({flow}),"
            f' inet_pton(AF_INET6, "{where}", &sin6_addr), sin6_scope_id={scope}}}'
        )
    return None


def given_address(size: int) -> Decoder:
    """A sockaddr whose size is argument `size`."""

    def decode(call: Call, at: int) -> str:
        if not at:
            return "NULL"
        return address_text(call.bytes_at(at, min(max(call.value(size), 0), 128))) or pointer(call, at)

    return decode


def told_address(size: int) -> Decoder:
    """One that the call stores, its size at argument `size`."""

    @stored
    def decode(call: Call, at: int) -> str:
        there = call.bytes_at(call.value(size), 4) if at and not call.failed else b""
        if len(there) < 4:
            return pointer(call, at)
        return address_text(call.bytes_at(at, min(int.from_bytes(there, "little"), 128))) or pointer(call, at)

    return decode


ARGUMENTS: dict[str, tuple[Decoder, ...]] = {
    "socket": (value(FAMILY), kind, protocol),
    "connect": (fd, given_address(2), decimal),
    "bind": (fd, given_address(2), decimal),
    "listen": (fd, decimal),
    "accept": (fd, told_address(2), pointer),
    "accept4": (fd, told_address(2), pointer, flags(_KIND_FLAGS)),
    "getsockname": (fd, told_address(2), pointer),
    "getpeername": (fd, told_address(2), pointer),
    "shutdown": (fd, value(_HOW)),
    "sendto": (fd, given(2), decimal, flags(MESSAGE), given_address(5), decimal),
    "recvfrom": (fd, filled, decimal, flags(MESSAGE), told_address(5), pointer),
    "sendmsg": (fd, pointer, flags(MESSAGE)),
    "recvmsg": (fd, stored(lambda call, at: pointer(call, at)), flags(MESSAGE)),
}
