"""NETLINK_SOCK_DIAG: what `ss` asks. Source: sock_diag(7), net/ipv4/inet_diag.c, net/unix/diag.c of Linux 6.18."""

from __future__ import annotations

import errno
from struct import pack, unpack_from

from ...errors import LinuxError
from ..task.userspace import shown_uid
from .attributes import attribute
from .endpoint import AF_INET, AF_INET6, AF_UNIX, CLOSE, ESTABLISHED, LISTEN, SOCK_DGRAM, SOCK_STREAM
from .listing import inet_sockets, unix_sockets
from .unixstream import Connected

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..task.task import LinuxTask
    from .listing import Listed
    from .unix import UnixEndpoint

SOCK_DIAG_BY_FAMILY, _DUMP = 20, 0x300
_KINDS = {6: SOCK_STREAM, 17: SOCK_DGRAM}
_SHOW_NAME, _SHOW_PEER, _SHOW_ICONS, _SHOW_RQLEN, _SHOW_UID = 1, 4, 8, 16, 64
_NO_COOKIE = 0xFFFF_FFFF


def answer_diag(task: LinuxTask, kind: int, asked: int, body: bytes) -> Iterator[bytes]:
    """Sockets of a family, those in the states that are asked for, or of AF_UNIX one by its number. EINVAL, ENOENT,
    ESTALE."""
    if kind != SOCK_DIAG_BY_FAMILY or len(body) < 2:
        raise LinuxError(errno.EINVAL)
    family, network = body[0], task.network
    if asked & _DUMP != _DUMP:
        if family != AF_UNIX or len(body) < 24:
            raise LinuxError(errno.ENOENT)
        yield _one_unix(task, body)
    elif family == AF_UNIX and len(body) >= 24:
        states, _, show = unpack_from("<III", body, 4)
        for end in unix_sockets(network):
            if states >> _state(end) & 1:
                yield _unix(task, end, show)
    elif family in (AF_INET, AF_INET6) and len(body) >= 56:
        (states,) = unpack_from("<I", body, 4)
        if body[1] in _KINDS:
            for one in inet_sockets(network, family, _KINDS[body[1]]):
                if states >> one.state & 1:
                    yield _inet(task, one)
    else:
        raise LinuxError(errno.ENOENT)


def _one_unix(task: LinuxTask, body: bytes) -> bytes:
    """The socket of AF_UNIX that has the number that is asked for (unix_diag_get_exact)."""
    number, show, *cookie = unpack_from("<IIII", body, 8)
    if not number:
        raise LinuxError(errno.EINVAL)
    for end in unix_sockets(task.network):
        if end.number == number:
            if cookie != [_NO_COOKIE, _NO_COOKIE] and cookie != [number, 0]:
                raise LinuxError(errno.ESTALE)
            return _unix(task, end, show)
    raise LinuxError(errno.ENOENT)


def _inet(task: LinuxTask, one: Listed) -> bytes:
    """struct inet_diag_msg, as a task is told it."""
    end, owner = one.end, shown_uid(task.creds.space, one.end.owner)
    ip, port = end.goal or (bytes(len(end.ip)), 0)
    body = pack("<HBBBB", SOCK_DIAG_BY_FAMILY, end.family, one.state, 0, 0) + pack(">HH", end.port, port)
    for address in (end.ip, ip):
        if end.family == AF_INET6 and len(address) == 4:
            address = bytes(10) + b"\xff\xff" + address
        body += address.ljust(16, b"\0")
    return body + pack("<IIIIIIII", 0, end.number, 0, 0, one.waiting, one.sending, owner, one.number)


def _state(end: UnixEndpoint) -> int:
    if end.state == LISTEN:
        return LISTEN
    return ESTABLISHED if end.peer is not None else CLOSE


def _unix(task: LinuxTask, end: UnixEndpoint, show: int) -> bytes:
    """struct unix_diag_msg, as a task is told it, and what is to be shown."""
    body = pack("<HBBBxIII", SOCK_DIAG_BY_FAMILY, AF_UNIX, end.kind, _state(end), end.number, end.number, 0)
    if show & _SHOW_NAME and end.address is not None:
        body += attribute(0, end.address.rstrip(b"\0") if end.address[0] else end.address)
    if show & _SHOW_PEER and end.peer is not None:
        body += attribute(2, pack("<I", end.peer.number))
    if show & _SHOW_ICONS and isinstance(end, Connected) and end.waiting:
        body += attribute(3, b"".join(pack("<I", made.number) for made in end.waiting))
    if show & _SHOW_RQLEN:
        if isinstance(end, Connected) and end.state == LISTEN:
            body += attribute(4, pack("<II", len(end.waiting), end.backlog))
        else:
            body += attribute(4, pack("<II", end.readable_bytes(), end.charged))
    body += attribute(6, bytes((end.shut,)))
    if show & _SHOW_UID:
        body += attribute(7, pack("<I", shown_uid(task.creds.space, end.owner)))
    return body
