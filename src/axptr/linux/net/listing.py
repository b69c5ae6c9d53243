"""The sockets of a machine as a list, for /proc/net and NETLINK_SOCK_DIAG: what each is, in one form.

Only those that an open file refers to, connections that wait to be accepted, and ports that rest (TIME_WAIT).
"""

from __future__ import annotations

from .endpoint import AF_UNIX, CLOSE, LISTEN, SOCK_STREAM
from .inet import InetEndpoint
from .tcp import TcpEndpoint
from .unix import UnixEndpoint
from .unixstream import Connected

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .network import Network

TIME_WAIT = 6


class Listed:
    """A socket of TCP or UDP. waiting: bytes to be read, or of a listener connections; rests: it is TIME_WAIT."""

    __slots__ = ("end", "number", "rests", "sending", "state", "waiting")

    def __init__(self, end: InetEndpoint, *, rests: bool = False, accepted: bool = True) -> None:
        self.end = end
        self.rests = rests
        self.state = TIME_WAIT if rests else end.state
        self.number = 0 if rests or not accepted else end.number
        listens = isinstance(end, TcpEndpoint) and end.state == LISTEN
        self.waiting = len(end.waiting) if isinstance(end, TcpEndpoint) and listens else end.readable_bytes()
        self.sending = end.backlog if isinstance(end, TcpEndpoint) and listens else end.unsent_bytes()


def inet_sockets(network: Network, family: int, kind: int) -> Iterator[Listed]:
    """Those with a port, listeners first."""
    found = [
        end
        for end in network.endpoints.values()
        if isinstance(end, InetEndpoint)
        and end.family == family
        and end.kind == kind
        and end.port
        and end.state != CLOSE
    ]
    if kind != SOCK_STREAM:
        found = [
            end
            for end in network.endpoints.values()
            if isinstance(end, InetEndpoint) and end.family == family and end.kind == kind and end.claimed
        ]
    for end in sorted(found, key=lambda one: one.state != LISTEN):
        yield Listed(end)
        if isinstance(end, TcpEndpoint):
            yield from (Listed(made, accepted=False) for made in end.waiting)
    if kind == SOCK_STREAM:
        yield from (Listed(end, rests=True) for end in network.tcp.all_resting() if end.family == family)


def unix_sockets(network: Network) -> Iterator[UnixEndpoint]:
    """Those of AF_UNIX; connections that wait to be accepted have no number yet."""
    for end in network.endpoints.values():
        if end.family == AF_UNIX and isinstance(end, UnixEndpoint):
            yield end
            if isinstance(end, Connected):
                yield from end.waiting
