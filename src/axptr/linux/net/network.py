"""`Network`: what a machine has of sockets in all: names, numbers, ports, what may be reached, what it costs.

Linux' network name space; one that a program makes is `apart`. Nothing of it is the host's: names, ports and addresses
are the machine's own, and what lies outside is reached as `policy` allows. Source: net_namespaces(7).

| field | guarded by | exec, fork | a snapshot |
| --- | --- | --- | --- |
| names of AF_UNIX: abstract, and by node | the machine's thread | the machine's | the names; nodes by their paths |
| ports: who has bound what (`ports`) | the machine's thread | the machine's | plain data |
| in flight: open files in messages | the machine's thread | the machine's | with the messages |
| queued: bytes that sockets hold, counted against the machine's memory | the machine's thread | the machine's | the \
number |
| policy | never changed | the machine's | as it is |
"""

from __future__ import annotations

import errno
import itertools

from ...errors import LinuxError
from ...light import cached_property
from ..task.held import DYNAMIC_FIRST, Held

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from ..files.locks import LockTable
    from ..fs.openfile import OpenFile
    from ..task.userspace import UserSpace
    from .endpoint import Endpoint
    from .flight import Flight
    from .policy import Policy
    from .ports import Ports
    from .unix import UnixEndpoint
    from .unixnames import UnixNames
else:
    Protocol = object

FIRST_SPACE = 0xEFFF_FFF9
SOCKET_COST = 1024
"""Bytes of books for a socket."""


class Clock(Protocol):
    """What is asked of the machine's view of the host."""

    def monotonic(self) -> float: ...

    def realtime_ns(self) -> int: ...


class Network(Held):
    """The sockets of a machine.

    endpoints: by number, those that an open file refers to. up: whether the loopback is; address: whether it has one,
    routed: whether it ever had. number: the name space's; users: the one of users that owns it. netlink_ports: protocol
    and number, those that are taken.
    """

    buffer = 212_992
    """What a socket may hold in each direction unless it is set (net.core.wmem_default)."""
    buffer_limit = 4_194_304
    """The most that a program may ask for (net.core.wmem_max)."""
    backlog_limit = 4096
    datagrams = 10
    """That wait at a socket of AF_UNIX (net.unix.max_dgram_qlen)."""

    def __init__(self, charge: Callable[[int], None], locks: LockTable, clock: Clock, policy: Policy) -> None:
        """charge: count so many bytes more (or fewer) that sockets hold; raises `LinuxError` for too many.

        locks: of the machine, for files that are closed in messages. clock: its times. policy:
        what of the outside may be reached.
        """
        self._charge = charge
        self.locks = locks
        self._clock = clock
        self.policy = policy
        self.up = self.address = policy.kind != "none"
        self.routed = True
        self.number = FIRST_SPACE
        self.users: UserSpace | None = None
        self._numbers = itertools.count(20_001)
        self.endpoints: dict[int, Endpoint] = {}
        self.netlink_ports: set[tuple[int, int]] = set()
        self._closing: list[Callable[[], None]] = []
        self._closes = False

    def dissolve(self) -> None:
        """The machine is closed: no ports are given out any more, by a clock that leads back here, and sockets that
        only messages refer to are gone."""
        for name in ("tcp", "udp", "udplite"):
            ports = self.__dict__.pop(name, None)
            if ports is not None:
                ports.dissolve()
        for end in list(self.endpoints.values()):
            end.discard_queue()

    def apart(self, number: int, users: UserSpace | None) -> Network:
        """Another of the same machine: its loopback is down, and nothing outside can be reached. Names of AF_UNIX that
        are paths, and files in messages, are the machine's."""
        from .policy import Policy

        made = Network(self._charge, self.locks, self._clock, Policy("none"))
        made.number, made.users, made._numbers = number, users, self._numbers
        made.routed, made.flight = False, self.flight
        made.unix.by_node = self.unix.by_node
        return made

    def now(self) -> float:
        """Seconds of the machine's monotonic clock."""
        return self._clock.monotonic()

    def realtime_ns(self) -> int:
        return self._clock.realtime_ns()

    def next_number(self) -> int:
        """The next inode number of sockfs."""
        return next(self._numbers)

    def hold(self, size: int) -> None:
        """A socket is to hold so many bytes more. ENOBUFS if the machine has no room for them."""
        try:
            self._charge(size)
        except LinuxError:
            raise LinuxError(errno.ENOBUFS) from None

    def give_back(self, size: int) -> None:
        self._charge(-size)

    def opened(self, end: Endpoint) -> None:
        self.hold(SOCKET_COST)
        self.endpoints[end.number] = end

    def closed(self, end: Endpoint) -> None:
        if self.endpoints.pop(end.number, None) is not None:
            self.give_back(SOCKET_COST)

    def leave_host(self) -> None:
        """Its machine is put back to what it was: sockets of the host's are no part of that, and over."""
        if not self.endpoints:
            return
        from .outside import Outside

        for end in list(self.endpoints.values()):
            if isinstance(end, Outside) and not end.dead:
                for watch in list(end.queue._watches):
                    end.queue.remove(watch)
                end.close()

    @cached_property
    def flight(self) -> Flight:
        """Open files in messages that nobody has received yet."""
        from .flight import Flight

        return Flight()

    @cached_property
    def unix(self) -> UnixNames:
        """Who has which name of AF_UNIX."""
        from .unixnames import UnixNames

        return UnixNames()

    def is_local(self, ip: bytes) -> bool:
        """Whether an address is one of the machine's own: of the loopback, 127.0.0.0/8 or ::1."""
        return self.up and (self.address and ip[0] == 127 if len(ip) == 4 else ip == b"\0" * 15 + b"\1")

    @cached_property
    def tcp(self) -> Ports:
        from .ports import Ports

        return Ports(self.now, listens=True)

    @cached_property
    def udp(self) -> Ports:
        from .ports import Ports

        return Ports(self.now, listens=False)

    @cached_property
    def udplite(self) -> Ports:
        from .ports import Ports

        return Ports(self.now, listens=False)

    def milliseconds(self) -> int:
        """A clock of 32 bits."""
        return int(self.now() * 1000) & 0x7FFF_FFFF

    def collect(self) -> None:
        """A socket of AF_UNIX was closed: close what now nobody can receive any more."""
        if "flight" in self.__dict__:
            self.flight.collect(_unix_end, self.locks)

    def later(self, work: Callable[[], None]) -> None:
        """Do something that may lead to more of its kind, one after the other and not one within the other."""
        self._closing.append(work)
        if self._closes:
            return
        self._closes = True
        try:
            while self._closing:
                self._closing.pop()()
        finally:
            self._closes = False
        if self.number >= DYNAMIC_FIRST and not self.holders and not self.endpoints:
            self.dissolve()

    def unheld(self) -> None:
        """No task is in it; a socket keeps what it has (sock_net)."""
        super().unheld()
        if not self.endpoints:
            self.dissolve()


def _unix_end(file: OpenFile) -> UnixEndpoint | None:
    """The endpoint of a socket of AF_UNIX; None of other files."""
    end: UnixEndpoint | None = getattr(file, "endpoint", None)
    return end if end is not None and end.family == 1 else None  # AF_UNIX
