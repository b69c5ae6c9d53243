"""NETLINK_ROUTE: the loopback as `ip` and the C library ask for it. Source: rtnetlink(7), net/core/rtnetlink.c,
net/ipv4/devinet.c, net/ipv6/addrconf.c of Linux 6.18.

Links, addresses, routes to this machine, the rules that there are of themselves; no neighbours, no other tables.
Who may arrange the name space brings it up and down.
"""

from __future__ import annotations

import errno
from struct import pack, unpack_from

from ...errors import LinuxError
from ..task.creds import CAP_NET_ADMIN
from .address import LOOPBACK4, LOOPBACK6
from .attributes import attribute, attributes
from .endpoint import AF_INET, AF_INET6, AF_UNSPEC
from .interfaces import ARPHRD_LOOPBACK, IFF_LOWER_UP, IFF_UP, LOOPBACK, LOOPBACK_NUMBER, MTU, QUEUE, flags, set_up

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..task.task import LinuxTask

RTM_NEWLINK, RTM_GETLINK, RTM_NEWADDR, RTM_GETADDR, RTM_NEWROUTE, RTM_GETROUTE = 16, 18, 20, 22, 24, 26
RTM_NEWRULE, RTM_GETRULE = 32, 34
_EMPTY = frozenset((30, 38, 42, 46, 62, 66, 74, 78, 82, 86, 90, 106))
"""Questions to which there is nothing: neighbours, queues, ..."""
_DUMP = 0x300
_ALWAYS = 0xFFFF_FFFF
_RT_TABLE_LOCAL, _RTPROT_KERNEL, _RTN_LOCAL, _SCOPE_HOST, _PERMANENT = 255, 2, 2, 254, 0x80
_RTN_BROADCAST, _SCOPE_LINK, _CLONED = 3, 253, 0x8000_0200
"""RTCF_LOCAL and RTM_F_CLONED are the last."""


def answer_route(task: LinuxTask, kind: int, asked: int, body: bytes) -> Iterator[bytes]:
    """What a message asks for. EPERM, ENODEV, EOPNOTSUPP."""
    dumps = asked & _DUMP == _DUMP
    if kind % 4 != 2:  # neither RTM_GET...
        _change(task, kind, asked, body)
        return
    if kind == RTM_GETLINK:
        if not dumps:
            _require_loopback(body)
        yield _link(task)
    elif kind == RTM_GETADDR:
        yield from _addresses(task, body[0] if body else AF_UNSPEC)
    elif kind == RTM_GETROUTE:
        family = body[0] if body else AF_UNSPEC
        if dumps:
            yield from _routes(task, family)
        else:
            yield _route_to(task, family, body)
    elif kind == RTM_GETRULE and dumps:
        yield from _rules(body[0] if body else AF_UNSPEC)
    elif kind not in _EMPTY and kind != RTM_GETRULE:
        raise LinuxError(errno.EOPNOTSUPP)
    elif not dumps:
        raise LinuxError(errno.ENOENT)


def _change(task: LinuxTask, kind: int, asked: int, body: bytes) -> None:
    """What brings the loopback up, and gives it its address; nothing else. EPERM, EEXIST, ENODEV, EOPNOTSUPP."""
    network = task.network
    if kind >= 128:
        raise LinuxError(errno.EOPNOTSUPP)
    if not task.creds.has_over(network.users, CAP_NET_ADMIN):
        raise LinuxError(errno.EPERM)
    if kind == RTM_NEWLINK:
        if len(body) < 16:
            raise LinuxError(errno.EINVAL)
        if asked & _CREATE and attributes(body[16:]).get(_IFLA_LINKINFO) is not None:  # there are no other devices
            raise LinuxError(errno.EOPNOTSUPP)
        if not unpack_from("<i", body, 4)[0] and not attributes(body[16:]):
            raise LinuxError(errno.ENODEV)
        _require_loopback(body)
        wanted, changes = unpack_from("<II", body, 8)
        if not changes or changes & IFF_UP:
            set_up(network, bool(wanted & IFF_UP))
    elif kind in (RTM_NEWADDR, RTM_DELADDR) and len(body) >= 8:
        family, bits, _, _, number = unpack_from("<BBBBI", body)
        given = attributes(body[8:])
        if number != LOOPBACK_NUMBER:
            raise LinuxError(errno.ENODEV)
        if family != AF_INET or bits != 8 or given.get(2, given.get(1)) != LOOPBACK4:
            raise LinuxError(errno.EOPNOTSUPP)
        if kind == RTM_DELADDR:
            if not network.address:
                raise LinuxError(errno.EADDRNOTAVAIL)
            network.address = False
        elif network.address and not asked & _REPLACE:
            raise LinuxError(errno.EEXIST)
        else:
            network.address = network.routed = True
    else:
        raise LinuxError(errno.EOPNOTSUPP)


_REPLACE, _CREATE, _IFLA_LINKINFO, RTM_DELADDR = 0x100, 0x400, 18, 21
_RULES = {AF_INET: ((0, 255), (32_766, 254), (32_767, 253)), AF_INET6: ((0, 255), (32_766, 254))}
"""Each with the table that it sends to: those that there are of themselves (fib_default_rules_init)."""
_FR_ACT_TO_TBL = 1


def _rules(family: int) -> Iterator[bytes]:
    """Which table is looked at for a route: all, one after the other (struct fib_rule_hdr)."""
    for one, rules in _RULES.items():
        for priority, table in rules if family in (AF_UNSPEC, one) else ():
            body = pack("<HBBBBBBBBI", RTM_NEWRULE, one, 0, 0, 0, table, 0, 0, _FR_ACT_TO_TBL, 0)
            body += attribute(15, pack("<I", table)) + attribute(14, pack("<I", _ALWAYS))
            body += attribute(21, bytes((_RTPROT_KERNEL,)))
            yield body + (attribute(6, pack("<I", priority)) if priority else b"")


def _require_loopback(body: bytes) -> None:
    if len(body) < 16:
        raise LinuxError(errno.EINVAL)
    (number,) = unpack_from("<i", body, 4)
    told = attributes(body[16:])
    name = told.get(3, told.get(53, b"")).rstrip(b"\0")
    if number not in (0, LOOPBACK_NUMBER) or (not number and not name):
        raise LinuxError(errno.ENODEV if number > 0 else errno.EINVAL)
    if name not in (b"", LOOPBACK):
        raise LinuxError(errno.ENODEV)


def _link(task: LinuxTask) -> bytes:
    up = task.network.up
    told = flags(task) | (IFF_LOWER_UP if up else 0)
    body = pack("<HBxHiII", RTM_NEWLINK, AF_UNSPEC, ARPHRD_LOOPBACK, LOOPBACK_NUMBER, told, 0)
    body += attribute(3, LOOPBACK + b"\0") + attribute(13, pack("<I", QUEUE))
    body += attribute(16, bytes((0 if up else 2,))) + attribute(17, b"\0")
    for number, value in ((4, MTU), (50, 0), (51, 0), (27, 0), (30, 0), (61, 0), (31, 1), (40, 65_535), (41, 65_536)):
        body += attribute(number, pack("<I", value))
    body += attribute(32, pack("<I", 1)) + attribute(33, b"\1" if up else b"\0")
    body += attribute(6, b"noqueue\0" if up else b"noop\0") + attribute(35, bytes(4)) + attribute(14, bytes(32))
    return body + attribute(1, bytes(6)) + attribute(2, bytes(6)) + attribute(23, bytes(200)) + attribute(7, bytes(100))


def _addresses(task: LinuxTask, family: int) -> Iterator[bytes]:
    network = task.network
    lasting = attribute(6, pack("<IIII", _ALWAYS, _ALWAYS, 0, 0))
    if network.address and family in (AF_UNSPEC, AF_INET):
        body = pack("<HBBBBI", RTM_NEWADDR, AF_INET, 8, _PERMANENT, _SCOPE_HOST, LOOPBACK_NUMBER)
        body += attribute(1, LOOPBACK4) + attribute(2, LOOPBACK4) + attribute(3, LOOPBACK + b"\0")
        yield body + attribute(8, pack("<I", _PERMANENT)) + lasting
    if network.up and family in (AF_UNSPEC, AF_INET6):
        body = pack("<HBBBBI", RTM_NEWADDR, AF_INET6, 128, _PERMANENT, _SCOPE_HOST, LOOPBACK_NUMBER)
        yield body + attribute(1, LOOPBACK6) + lasting + attribute(8, pack("<I", _PERMANENT))


def _route(family: int, bits: int, goal: bytes, source: bytes, kind: int = _RTN_LOCAL, told: int = 0) -> bytes:
    scope = _SCOPE_HOST if kind == _RTN_LOCAL else _SCOPE_LINK
    protocol = 0 if told else _RTPROT_KERNEL
    if told or family == AF_INET6:
        scope = 0
    body = pack("<HBBBBBBBBI", RTM_NEWROUTE, family, bits, 0, 0, _RT_TABLE_LOCAL, protocol, scope, kind, told)
    body += attribute(15, pack("<I", _RT_TABLE_LOCAL)) + attribute(1, goal)
    return body + (attribute(7, source) if source else b"") + attribute(4, pack("<I", LOOPBACK_NUMBER))


def _routes(task: LinuxTask, family: int) -> Iterator[bytes]:
    if not task.network.up:
        return
    if family in (AF_UNSPEC, AF_INET):
        yield _route(AF_INET, 8, b"\x7f\0\0\0", LOOPBACK4)
        yield _route(AF_INET, 32, LOOPBACK4, LOOPBACK4)
        yield _route(AF_INET, 32, b"\x7f\xff\xff\xff", LOOPBACK4, _RTN_BROADCAST)
    if family in (AF_UNSPEC, AF_INET6):
        yield _route(AF_INET6, 128, LOOPBACK6, b"")


def _route_to(task: LinuxTask, family: int, body: bytes) -> bytes:
    goal = attributes(body[12:]).get(1, b"")
    if len(goal) != (4 if family == AF_INET else 16):
        raise LinuxError(errno.EINVAL)
    if not task.network.is_local(goal):
        raise LinuxError(errno.ENETUNREACH)
    told = _route(family, 8 * len(goal), goal, LOOPBACK4 if family == AF_INET else LOOPBACK6, told=_CLONED)
    return told + attribute(25, pack("<I", task.creds.uid)) + attribute(12, bytes(32))
