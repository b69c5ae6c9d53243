"""Sockets of the host's, for what of the outside a machine may reach. Source: ip(7), tcp(7), udp(7).

The only place where a program's communication leaves the machine. Every address that a program says is copied in once,
judged by the policy, and given to the host as that copy; a connection is made by a descriptor of ours that nobody else
has, and nothing but TCP and UDP of IPv4 and IPv6. The host's descriptor never blocks; who waits for it waits in the
loop (`kernel.hostpoll`).

Options are kept as those of the machine's own sockets, and set on the host where they matter there.

| field | exec | fork | a snapshot |
| --- | --- | --- | --- |
| the host's socket | keeps | shared with the open file | none of it: refused, or `Dropped` then |
"""

from __future__ import annotations

import errno
import socket
from struct import pack

from ...errors import LinuxError
from ...kernel.hostpoll import HostWaitable, ready_now
from ..fs.host.calls import host
from ..fs.openfile import BrokenPipe
from ..uaccess import CHUNK, get_bytes, put_bytes
from .address import Place, family_of, is_any, place_of, sockaddr, unmapped
from .endpoint import (
    AF_INET,
    AF_INET6,
    AF_UNSPEC,
    ESTABLISHED,
    LISTEN,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    POLLOUT,
    SOCK_STREAM,
    Endpoint,
    Goal,
    Outgoing,
    Received,
    Source,
    Waits,
    taken,
)
from .inet import InetEndpoint
from .tcpoptions import IPPROTO_TCP, TCP_CC_INFO, TCP_INFO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..task.task import LinuxTask

_PASSED = MSG_OOB | MSG_PEEK
"""Flags that the host is told of."""
_EVERYTHING = 0x7FFF
_FIONREAD, _OUTQ = 0x541B, 0x5411
_TCP_SET = frozenset((1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 18, 25))
_IP_SET = frozenset((1, 2, 10, 24, 32, 33, 34, 35, 36))
_IPV6_SET = frozenset((16, 17, 18, 19, 20, 21, 23, 26, 67))
_SOCKET_FLAGS = {"reuse_address": 2, "broadcast": 6, "keep_alive": 9, "oob_inline": 10, "reuse_port": 15}


def resolve(name: str) -> list[bytes]:
    """The addresses of a name, as the host knows them now; none if it knows of none."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    packed = {socket.inet_pton(family, str(place[0]).partition("%")[0]) for family, _, _, _, place in found}
    return sorted(unmapped(ip) for ip in packed)


def _host_place(family: int, place: Place, scope: int) -> tuple[object, ...]:
    """A place as Python has it."""
    ip, port = place
    if family == AF_INET:
        return socket.inet_ntop(AF_INET, ip), port
    return socket.inet_ntop(AF_INET6, ip), port, 0, scope


def _place(family: int, told: tuple[object, ...]) -> Place:
    return socket.inet_pton(family, str(told[0]).partition("%")[0]), int(str(told[1]))


class Outside(Endpoint):
    """A socket of the host's. like: the machine's own that it is in place of, whose options are asked and set."""

    def __init__(self, like: InetEndpoint, taken_over: socket.socket | None = None) -> None:
        self._host = taken_over or host(socket.socket, like.family, like.kind)
        self._host.setblocking(False)
        super().__init__(like.network, like.kind, like.protocol, like.owner)
        self.family = like.family
        self.connects = self.opens_by_sending = like.kind == SOCK_STREAM
        self.options = like.options
        self.number, self.group, self.mode = like.number, like.group, like.mode
        self._like = like
        self._waitable = HostWaitable(self._host.fileno())
        self.queue = self._waitable.queue
        self._connecting = False
        self.option_changed()

    @property
    def error(self) -> int:
        """The host's, told once."""
        return self._host.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if hasattr(self, "_waitable") else 0

    @error.setter
    def error(self, code: int) -> None:
        """The host keeps it."""

    def take_error(self) -> None:
        """The host tells it with the next call."""

    def poll(self) -> int:
        return ready_now(self._host.fileno(), _EVERYTHING)

    # -- names, connections

    def _judged(self, address: bytes) -> tuple[object, ...]:
        """A place that may be reached, for the host. ENETUNREACH for another."""
        place, scope = place_of(address, self.family, unspecified=self.kind != SOCK_STREAM)
        ip = place[0]
        if is_any(ip):  # which is the loopback
            ip = b"\x7f\0\0\1" if len(ip) == 4 else b"\0" * 15 + b"\1"
        if not self.network.policy.allows(ip, place[1]):
            raise LinuxError(errno.ENETUNREACH)
        return _host_place(self.family, (ip, place[1]), scope)

    def bind(self, task: LinuxTask, address: bytes) -> None:
        place, scope = place_of(address, self.family, unspecified=True)
        if not self.network.policy.listens and place[1]:
            raise LinuxError(errno.EACCES)
        host(self._host.bind, _host_place(self.family, place, scope))
        self._like.named = True

    def listen(self, task: LinuxTask, backlog: int) -> None:
        if not self.network.policy.listens:
            raise LinuxError(errno.EACCES)
        host(self._host.listen, min(backlog, 4096))
        self.state = LISTEN

    def accept(self, task: LinuxTask) -> Endpoint:
        try:
            made, _ = host(self._host.accept)
        except LinuxError as error:
            if error.errno == errno.EAGAIN:
                raise Waits() from None
            raise
        like = type(self._like)(self.network, self.family, self.owner)  # type: ignore[call-arg]
        like.options = self.options.copy(self.network)
        end = Outside(like, made)
        end.state = ESTABLISHED
        return end

    def connect(self, task: LinuxTask, address: bytes, nonblock: bool) -> None:
        if family_of(address) == AF_UNSPEC:
            raise LinuxError(errno.EAFNOSUPPORT)  # Python has no such call
        goal = self._judged(address)
        if self._connecting and not ready_now(self._host.fileno(), POLLOUT):
            if nonblock:
                raise LinuxError(errno.EALREADY)
            raise Waits()
        if self._connecting:
            self._connecting = False
            code = self._host.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise LinuxError(code)
            self.state = ESTABLISHED
            return
        try:
            host(self._host.connect, goal)
        except LinuxError as error:
            if error.errno != errno.EINPROGRESS:
                raise
            self._connecting = True
            if nonblock:
                raise
            raise Waits() from None
        self.state = ESTABLISHED

    def name(self, peer: bool) -> bytes:
        told = host(self._host.getpeername if peer else self._host.getsockname)
        return sockaddr(self.family, _place(self.family, told))

    def shutdown(self, task: LinuxTask, how: int) -> None:
        host(self._host.shutdown, how - 1)

    # -- transfers

    def send(self, task: LinuxTask, data: Source, message: Outgoing) -> int:
        goal = None
        if message.to is not None and self.kind != SOCK_STREAM:
            goal = self._judged(message.to)
        flags = message.flags & MSG_OOB | socket.MSG_NOSIGNAL
        if self.kind != SOCK_STREAM:
            if data.count > 0xFFFF:
                raise LinuxError(errno.EMSGSIZE)
            rest = data.rest
            body = taken(data, data.count)
            if goal is not None:
                return self._sent(lambda: self._host.sendto(body, flags, goal), rest)
            return self._sent(lambda: self._host.send(body, flags), rest)
        done = 0
        while data.count:
            rest = data.rest
            body = taken(data, min(data.count, CHUNK))
            try:
                sent = self._sent(lambda piece=body: self._host.send(piece, flags), rest)  # type: ignore[misc]
            except Waits as stop:
                stop.done = done
                raise
            except LinuxError as error:
                if error.errno == errno.EPIPE:
                    raise BrokenPipe(done) from None
                if not done:
                    raise
                break
            done += sent
            if sent < len(body):
                raise Waits(done, _after(rest, sent))
        return done

    @staticmethod
    def _sent(send: Callable[[], int], rest: tuple[tuple[int, int], ...]) -> int:
        try:
            return host(send)
        except LinuxError as error:
            if error.errno == errno.EAGAIN:
                raise Waits(0, rest) from None
            raise

    def receive(self, task: LinuxTask, to: Goal, flags: int, least: int) -> Received:
        got = Received(0)
        stream = self.kind == SOCK_STREAM
        while True:
            size = min(to.count, CHUNK if stream else 0x10000)
            try:
                data, _, told, source = host(self._host.recvmsg, max(size, 0 if stream else 1), 0, flags & _PASSED)
            except LinuxError as error:
                if error.errno != errno.EAGAIN:
                    if got.count:
                        return got
                    raise
                if got.count and got.count >= least:
                    return got
                raise Waits(got.count, to.rest) from None
            if not stream:
                place = _place(self.family, source)
                if not self.network.policy.allows(*place):
                    continue  # from somebody who is not to be heard
                got.source = sockaddr(self.family, place)
                got.flags = told & MSG_TRUNC
                data = data[:size]
            copied = to.copy_out(data)
            if copied < len(data):
                if not got.count + copied:
                    raise LinuxError(errno.EFAULT)
                got.count += copied
                return got
            got.count += copied
            if not stream or not data or got.count >= least or flags & MSG_PEEK:
                return got

    # -- options

    def option_changed(self) -> None:
        """Set on the host what matters there."""
        for name, size in ((7, self.options.send_buffer), (8, self.options.receive_buffer)):
            if self.options.numbers.get("buffers_locked", 0) & (name - 6):
                host(self._host.setsockopt, socket.SOL_SOCKET, name, size // 2)
        for flag, name in _SOCKET_FLAGS.items():
            if flag in self.options.flags:
                host(self._host.setsockopt, socket.SOL_SOCKET, name, int(self.options.on(flag)))
        if self.options.linger != (False, 0):
            host(self._host.setsockopt, socket.SOL_SOCKET, 13, pack("<ii", *self.options.linger))

    def get_option(self, task: LinuxTask, level: int, name: int, size: int) -> bytes:
        if level == IPPROTO_TCP and name in (TCP_INFO, TCP_CC_INFO):
            return bytes(host(lambda: self._host.getsockopt(level, name, min(size, 1024))))
        return self._like.get_option(task, level, name, size)

    def set_option(self, task: LinuxTask, level: int, name: int, address: int, size: int) -> None:
        self._like.set_option(task, level, name, address, size)
        known = {IPPROTO_TCP: _TCP_SET, 0: _IP_SET, 41: _IPV6_SET}.get(level, frozenset())
        if name in known:
            host(self._host.setsockopt, level, name, get_bytes(task, address, min(size, 64)))

    def ioctl(self, task: LinuxTask, command: int, argument: int) -> int | None:
        if command not in (_FIONREAD, _OUTQ):
            return None
        import fcntl

        value = bytearray(4)
        host(fcntl.ioctl, self._host.fileno(), command, value)
        put_bytes(task, argument, bytes(value))
        return 0

    def close(self) -> None:
        super().close()
        self._waitable.close()
        self._host.close()


def _after(rest: tuple[tuple[int, int], ...], count: int) -> tuple[tuple[int, int], ...]:
    """What is left of user memory after so many bytes of it."""
    left = []
    for address, size in rest:
        step = min(size, count)
        count -= step
        if size > step:
            left.append((address + step, size - step))
    return tuple(left)
