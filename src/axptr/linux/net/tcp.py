"""TCP over the machine's loopback: connections without packets. Source: tcp(7), net/ipv4/tcp.c, net/ipv4/tcp_input.c,
net/ipv4/inet_connection_sock.c of Linux 6.18.

What one end sends is in the other's queue at once, as far as there is room, so that nothing is lost, resent or out of
order; states, resets, ends and errors are those that packets would have brought about. Options are `tcpoptions`.

| field | exec | fork | a snapshot |
| --- | --- | --- | --- |
| state, peer, bytes that came (`pieces`), urgent byte and its place; waiting, arriving: of a \
listener, who is to be accepted, who waits for room there \
| keeps | shared with the open file | plain data; peers by number |
"""

from __future__ import annotations

import errno
from collections import deque

from ..._core.kernel.streams import TcpEnd
from ...errors import LinuxError
from ..fs.openfile import BrokenPipe
from .address import Place, family_of, is_link_local, is_multicast, sockaddr
from .endpoint import (
    AF_INET,
    AF_INET6,
    AF_UNSPEC,
    CLOSE,
    ESTABLISHED,
    LISTEN,
    MSG_ERRQUEUE,
    MSG_OOB,
    MSG_PEEK,
    MSG_TRUNC,
    POLLPRI,
    READABLE,
    SHUT_BOTH,
    SHUT_READ,
    SHUT_WRITE,
    SOCK_STREAM,
    SYN_SENT,
    WRITABLE,
    Endpoint,
    Goal,
    Outgoing,
    Received,
    Source,
    Waits,
    taken,
)
from .inet import InetEndpoint
from .tcpoptions import IPPROTO_TCP, TCP_INQ, TcpOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask
    from .network import Network

FIN_WAIT1, FIN_WAIT2, TIME_WAIT, CLOSE_WAIT, LAST_ACK, CLOSING = 4, 5, 6, 8, 9, 11
SEND_BUFFER_FIRST, RECEIVE_BUFFER = 16_384, 131_072
SEND_BUFFER = 2_626_560
"""What a connection over the loopback may have on its way, unless it is set."""
_PIECE = 1 << 16
_MOST_RECEIVED = 33_554_432
"""The last of net.ipv4.tcp_rmem."""
_TAKEN = -1


class TcpEndpoint(TcpEnd, InetEndpoint):
    """One end of a connection, or a listener.

    pieces: bytes that came, `queued` in all that were not read; of the first piece `head` were. urgent: the urgent
    byte, or _TAKEN, until what follows it is read; mark: its number among those received. finished: the other end will
    send nothing more (SOCK_DONE). cramped: somebody found no room to send (SOCK_NOSPACE).
    """

    peer: TcpEndpoint | None

    connects = opens_by_sending = True

    def __init__(self, network: Network, family: int, owner: int) -> None:
        super().__init__(network, family, SOCK_STREAM, IPPROTO_TCP, owner)
        self.ports = network.tcp
        self.options.send_buffer, self.options.receive_buffer = SEND_BUFFER_FIRST, RECEIVE_BUFFER
        self.tcp = TcpOptions()
        self.connecting = False
        self.waiting: deque[TcpEndpoint] = deque()
        self.arriving: deque[TcpEndpoint] = deque()
        self.backlog = 0

    # -- connecting

    def listen(self, task: LinuxTask, backlog: int) -> None:
        if self.connecting or self.state not in (CLOSE, LISTEN):
            raise LinuxError(errno.EINVAL)
        self.backlog = backlog
        if self.state == LISTEN:
            self._let_in()
            return
        if not self.claimed:
            self.ensure_port()
        elif any(
            other is not self and other.state == LISTEN and self.ports.conflicts(self, self.ip, self.port)
            for other in self.ports.bound.get(self.port, ())
        ):
            raise LinuxError(errno.EADDRINUSE)
        self.state = LISTEN
        self.shut = 0

    def connect(self, task: LinuxTask, address: bytes, nonblock: bool) -> None:
        if family_of(address) == AF_UNSPEC:
            self._disconnect()
            return
        if self.connecting:
            self._connect_on(nonblock)
            return
        if self.state != CLOSE or self.goal is not None:
            raise LinuxError(errno.EISCONN)
        goal = self._goal(address)
        source = self.source_for(goal[0])
        if not self.claimed:
            self.port = self.ports.any_for(self, source, goal)
            self.claimed = True
        elif self.ports.connected(self, source, goal):
            raise LinuxError(errno.EADDRNOTAVAIL)
        self.ip, self.goal, self.shut, self.error = source, goal, 0, 0
        self.state, self.connecting = SYN_SENT, True
        self._knock(task)
        if nonblock:
            raise LinuxError(errno.EINPROGRESS)
        self._connect_on(nonblock)

    def _goal(self, address: bytes) -> Place:
        if self.family == AF_INET6 and is_link_local(address[8:24]) and not address[24:28].strip(b"\0"):
            raise LinuxError(errno.EINVAL)
        goal = self.goal_of(address)
        if is_multicast(goal[0]) or goal[0] == b"\xff" * 4:
            raise LinuxError(errno.ENETUNREACH)
        self.require_reachable(goal[0])
        return goal

    def _connect_on(self, nonblock: bool) -> None:
        """How a connection that is under way stands."""
        if self.state == SYN_SENT:
            if nonblock:
                raise LinuxError(errno.EALREADY)
            raise Waits()
        self.connecting = False
        if self.state == CLOSE:
            code = self.error or errno.ECONNABORTED
            self._clear()
            raise LinuxError(code)

    def _knock(self, task: LinuxTask) -> None:
        """What becomes of the first packet."""
        assert self.goal is not None
        ip, port = self.goal
        found = self.ports.find(ip, port, (self.ip, self.port), listening=True)
        if not found:
            if (ip, port) == (self.ip, self.port):  # it called itself
                self.peer, self.state = self, ESTABLISHED
                self._grow()
                self.queue.wake()
                return
            self._end(errno.ECONNREFUSED)
            return
        listener = found[self.port % len(found)]
        assert isinstance(listener, TcpEndpoint)
        if listener.full:
            listener.arriving.append(self)
        else:
            listener._admit(self)

    @property
    def full(self) -> bool:
        return len(self.waiting) > self.backlog

    def _admit(self, client: TcpEndpoint) -> None:
        """Somebody connects: the other end of the connection is made."""
        assert client.goal is not None
        made = TcpEndpoint(self.network, self.family, self.owner)
        made.options = self.options.copy(self.network)
        made.inet = self.inet.copy(self.family)
        made.tcp = self.tcp.copy()
        made.ip, made.port = client.goal
        made.goal = (client.ip, client.port)
        made.peer, client.peer = client, made
        made.state = client.state = ESTABLISHED
        made.group, made.mode = self.group, self.mode
        self.ports.share(made, made.port)
        made.claimed = True
        made._grow()
        client._grow()
        self.waiting.append(made)
        self.queue.wake(READABLE)
        client.queue.wake()

    def _grow(self) -> None:
        """Buffers grow with a connection, unless they were set (tcp_init_buffer_space)."""
        if not self.options.numbers.get("buffers_locked", 0) & 1:
            self.options.send_buffer = SEND_BUFFER

    def _let_in(self) -> None:
        while self.arriving and not self.full:
            client = self.arriving.popleft()
            if client.state == SYN_SENT and not client.dead:
                self._admit(client)

    def accept(self, task: LinuxTask) -> Endpoint:
        if self.state != LISTEN:
            raise LinuxError(errno.EINVAL)
        if not self.waiting:
            raise Waits()
        made = self.waiting.popleft()
        self._let_in()
        return made

    def accepted_name(self) -> bytes:
        """Also of one that has been reset meanwhile."""
        if self.goal is None:
            raise LinuxError(errno.ECONNABORTED)
        return sockaddr(self.family, self.goal)

    # -- ends

    def shutdown(self, task: LinuxTask, how: int) -> None:
        if self.state == LISTEN:
            if how & SHUT_READ:
                self._stop_listening()
                self.state, self.shut = CLOSE, 0
                if not self.named:
                    self.give_port_back()
        elif self.state == SYN_SENT:
            self._disconnect()
        else:
            closed = self.state == CLOSE
            self.shut |= how
            if how & SHUT_WRITE and not closed:
                self._send_fin()
            self.queue.wake()
            if closed:
                raise LinuxError(errno.ENOTCONN)
        self.queue.wake()

    def _send_fin(self) -> None:
        """This end sends nothing more (tcp_send_fin, and what the answer makes of the states)."""
        peer = self.peer
        if self.state == ESTABLISHED:
            self.state = FIN_WAIT2
        elif self.state == CLOSE_WAIT:
            self.state = CLOSE
            self.shut = SHUT_BOTH
            self.give_port_back()
        else:
            return
        if peer is not None and peer is not self:
            peer._fin_came()

    def _fin_came(self) -> None:
        self.finished = True
        self.shut |= SHUT_READ
        if self.state == ESTABLISHED:
            self.state = CLOSE_WAIT
        elif self.state == FIN_WAIT2:
            self.state = CLOSE
            self.shut = SHUT_BOTH
            self.claimed = False
            self.ports.rest(self)
        self.queue.wake()

    def _reset_came(self) -> None:
        """tcp_reset."""
        if self.state == SYN_SENT:
            self._end(errno.ECONNREFUSED)
        elif self.state == CLOSE_WAIT:
            self._end(errno.EPIPE)
        elif self.state != CLOSE:
            self._end(errno.ECONNRESET)

    def _end(self, code: int) -> None:
        """The connection is over, for a reason."""
        self.error, self.state, self.shut = code, CLOSE, SHUT_BOTH
        self.peer = None
        if not self.named:
            self.give_port_back()
        self.queue.wake()

    def _disconnect(self) -> None:
        """connect with AF_UNSPEC (tcp_disconnect)."""
        if self.state == LISTEN:
            self._stop_listening()
        elif self.state in (ESTABLISHED, CLOSE_WAIT, FIN_WAIT2):
            self._send_reset()
        lost = self.state in (ESTABLISHED, CLOSE_WAIT, FIN_WAIT2, SYN_SENT)
        self._clear()
        if lost:
            self.error = errno.ECONNRESET
        if not self.named:
            self.give_port_back()
        self.queue.wake()

    def _clear(self) -> None:
        """As one that was never connected, but for the port."""
        self.state, self.shut, self.error = CLOSE, 0, 0
        self.peer, self.goal, self.connecting, self.finished = None, None, False, False
        self._forget_pieces()
        self.urgent = None
        if not self.named:
            self.ip = bytes(4 if self.family == AF_INET else 16)

    def _send_reset(self) -> None:
        peer, self.peer = self.peer, None
        if peer is not None and peer is not self:
            peer._reset_came()

    def _stop_listening(self) -> None:
        waiting, self.waiting = self.waiting, deque()
        arriving, self.arriving = self.arriving, deque()
        for made in waiting:
            made._send_reset()
            made.state = CLOSE  # nothing of it rests in TIME_WAIT
            self.network.later(made.close)
        for client in arriving:
            client._end(errno.ECONNREFUSED)

    def close(self) -> None:
        unread = bool(self.pieces)
        if self.state == LISTEN:
            self._stop_listening()
        elif self.state in (ESTABLISHED, CLOSE_WAIT, FIN_WAIT2):
            if unread or self.options.linger == (True, 0):
                self._send_reset()
            else:
                self._send_fin()
        self.shut = SHUT_BOTH
        self._forget_pieces()
        super_close = self.state
        self.dead = True
        if super_close != FIN_WAIT2:  # else it waits for the other end
            self.state = CLOSE
            self.give_port_back()
        self.queue.wake()

    def _forget_pieces(self) -> None:
        if self.queued:
            self.network.give_back(self.queued)
        self.pieces.clear()
        self.queued = self.head = 0

    # -- transfers

    def send(self, task: LinuxTask, data: Source, message: Outgoing) -> int:
        if self.state == SYN_SENT:
            self.take_error()
            raise Waits(0, data.rest)
        if self.state not in (ESTABLISHED, CLOSE_WAIT) or self.error or self.shut & SHUT_WRITE:
            self._refuse(0)
        done = 0
        peer = self.peer
        assert peer is not None
        if peer.dead or (peer.state == FIN_WAIT2 and peer.shut & SHUT_READ):
            return self._send_to_nobody(data, peer)
        urgent = bool(message.flags & MSG_OOB)
        while data.count:
            room = self.capacity() - peer.queued
            if room <= 0:
                self.cramped = True
                raise Waits(done, data.rest)
            size = min(data.count, room, _PIECE)
            try:
                piece = taken(data, size)
                if urgent and not data.count:
                    peer._urgent_comes(piece)
                peer.came(piece)
            except LinuxError:
                if not done:
                    raise
                break
            done += size
        self.sent += done
        return done

    def _refuse(self, done: int) -> None:
        """sk_stream_error."""
        if self.error and self.error != errno.EPIPE:
            self.take_error()
        self.error = 0
        raise BrokenPipe(done)

    def _send_to_nobody(self, data: Source, peer: TcpEndpoint) -> int:
        """The other end is closed, or shut in both directions: it takes the bytes, and answers with a reset."""
        size = min(data.count, _PIECE)
        if size:
            taken(data, size)
            if not peer.dead:
                peer._end(errno.ECONNRESET)
            self._reset_came()
        return size

    def _urgent_comes(self, piece: bytes) -> None:
        """The last byte of what comes next is urgent (tcp_check_urg)."""
        if self.to_mark() == 0 and self.pieces and not self.options.on("oob_inline"):
            self.drop(1)  # the one before, which nobody wanted as such
        self.urgent, self.mark = piece[-1], self.received + len(piece) - 1
        self.queue.wake(POLLPRI)
        self.queue.wake(READABLE)  # as at the bytes it comes with (tcp_urg)

    def receive(self, task: LinuxTask, to: Goal, flags: int, least: int) -> Received:
        if flags & MSG_ERRQUEUE:
            raise LinuxError(errno.EAGAIN)
        if self.state == LISTEN:
            raise LinuxError(errno.ENOTCONN)
        if flags & MSG_OOB:
            return self._receive_urgent(to, flags)
        got = self._receive(to, flags, least)
        if self.tcp.kept.get(TCP_INQ):
            left = self.readable_bytes() or int(self.finished)  # tcp_inq_hint: there is the end to be read
            got.ancillary.append((IPPROTO_TCP, TCP_INQ, left.to_bytes(4, "little")))
        return got

    def _receive(self, to: Goal, flags: int, least: int) -> Received:
        got = Received(0)
        if flags & MSG_PEEK:
            return self._look(to, flags, got, least)
        if not to.count and not self.queued and not self._over(0):
            raise Waits(0, to.rest)
        while to.count:
            before = self.to_mark()
            if before == 0 and got.count:
                break
            if before == 0 and self.pieces and not self.options.on("oob_inline"):
                self.drop(1)
                continue
            if not self.pieces:
                if got.count >= least or self._over(got.count):
                    break
                raise Waits(got.count, to.rest)
            size = min(self.queued if before <= 0 else before, to.count)
            if flags & MSG_TRUNC:
                size = min(size, to.count - got.count)
                if not size:
                    break
            elif self._copy(to, size) < size:
                if not got.count:
                    raise LinuxError(errno.EFAULT)
                break
            got.count += size
            self.drop(size)
        return got

    def _copy(self, to: Goal, size: int, skipped: int = 0) -> int:
        """Copy the next bytes, which are one buffer of Linux'; how many before a fault."""
        done = number = 0
        while done < size:
            piece = self.rest_of(number)
            part = piece[skipped : skipped + size - done]
            skipped = max(0, skipped - len(piece))
            number += 1
            copied = to.copy_out(part)
            done += copied
            if copied < len(part):
                break
        return done

    def _over(self, done: int) -> bool:
        """Whether nothing more can come; with nothing received, what there is to say of it."""
        if done:
            return bool(self.finished or self.error or self.state == CLOSE or self.shut & SHUT_READ)
        if self.finished:
            return True
        self.take_error()
        if self.shut & SHUT_READ:
            return True
        if self.state == CLOSE:
            raise LinuxError(errno.ENOTCONN)
        return False

    def _look(self, to: Goal, flags: int, got: Received, least: int) -> Received:
        before = self.to_mark()
        skipped = int(before == 0 and self.queued > 0 and not self.options.on("oob_inline"))
        if self.queued - skipped < least and before <= 0 and not self._over(self.queued - skipped):
            raise Waits(0, to.rest)
        size = min(before if before > 0 else self.queued - skipped, to.count)
        if not flags & MSG_TRUNC and self._copy(to, size, skipped) < size:
            raise LinuxError(errno.EFAULT)
        got.count = size
        return got

    def _receive_urgent(self, to: Goal, flags: int) -> Received:
        if self.options.on("oob_inline") or self.urgent is None or self.urgent == _TAKEN:
            raise LinuxError(errno.EINVAL)
        got = Received(0)
        if to.count:
            if not flags & MSG_TRUNC and not to.copy_out(bytes((self.urgent,))):
                raise LinuxError(errno.EFAULT)
            got.count = 1
        else:
            got.flags |= MSG_TRUNC
        if not flags & MSG_PEEK:
            self.urgent = _TAKEN
        got.flags |= MSG_OOB
        return got

    def readable_bytes(self) -> int:
        before = self.to_mark()
        return self.queued if before < 0 or self.options.on("oob_inline") else min(before, self.queued)

    def at_mark(self) -> int:
        return int(self.to_mark() == 0)

    def unsent_bytes(self) -> int:
        return max(0, self.peer.queued - RECEIVE_BUFFER) if self.peer is not None else 0

    # -- options

    def get_option(self, task: LinuxTask, level: int, name: int, size: int) -> bytes:
        if level == IPPROTO_TCP:
            return self.tcp.get(self, name, size)
        return super().get_option(task, level, name, size)

    def send_buffer_set(self) -> None:
        if self.has_room():
            self.cramped = False
            self.queue.wake(WRITABLE)

    def least_set(self) -> None:
        """Who waits is told if that is enough now (tcp_data_ready)."""
        if self.finished or 0 < self.queued >= self.options.least:
            self.queue.wake(READABLE)

    def least_wanted(self, count: int) -> int:
        """No more than half of what may lie here (tcp_set_rcvlowat)."""
        locked = self.options.numbers.get("buffers_locked", 0) & 2
        return min(count, (self.options.receive_buffer if locked else _MOST_RECEIVED) >> 1)

    def set_option(self, task: LinuxTask, level: int, name: int, address: int, size: int) -> None:
        if level == IPPROTO_TCP:
            self.tcp.set(task, self, name, address, size)
        else:
            super().set_option(task, level, name, address, size)
