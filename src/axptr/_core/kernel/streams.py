# cython: nonecheck=True
"""The bytes of sockets that are streams: what has come and was not read, who has room, what poll tells; and transfers as
far as they are plain.

Compiled because servers and their clients do little else. Connecting, ends, urgent bytes, looks, messages with files:
that is `axptr.linux.net`, whose endpoints derive from these, and which says whose the fields are.

Source: tcp(7), unix(7), net/ipv4/tcp.c, net/unix/af_unix.c, net/core/stream.c of Linux 6.18.
"""

from _collections import deque  # `collections` is more than a run needs

import cython
from cython.cimports.axptr._core.kernel.atonce import is_user, there, transfer
from cython.cimports.axptr._core.kernel.streams import (
    CLOSE,
    CLOSE_WAIT,
    ESTABLISHED,
    FIN_WAIT2,
    LISTEN,
    POLLERR,
    POLLHUP,
    POLLPRI,
    POLLRDHUP,
    POLLWRBAND,
    READABLE,
    SHUT_BOTH,
    SHUT_READ,
    SHUT_WRITE,
    STREAM,
    SYN_SENT,
    TAKEN,
    WRITABLE,
    PyMemoryView_GET_BUFFER,
)
from cython.cimports.axptr._core.words.codes import READ, WRITE
from cython.cimports.cpython.bytes import PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cython.cimports.libc.stdint import int64_t, uint64_t

from axptr.errors import LinuxError

_HEAD = 4096 - 320
STREAM_MOST = _HEAD + 8 * 4096
"""Bytes of one message of a stream of AF_UNIX."""
_piece = cython.declare(uint64_t, 1 << 16)
_head = cython.declare(int64_t, _HEAD)
_most = cython.declare(int64_t, STREAM_MOST)
_readable = cython.declare(object, READABLE)
_writable = cython.declare(object, WRITABLE)
_writable_band = cython.declare(object, WRITABLE | POLLWRBAND)
_cannot_wait = cython.declare(object, LinuxError)


@cython.cfunc
def _fetched(task, address: uint64_t, count: uint64_t) -> bytes:
    """A copy of the user's memory, made once; None if it is not there at once."""
    raw: bytes = PyBytes_FromStringAndSize(cython.cast(cython.p_char, cython.NULL), count)
    return raw if transfer(task._space, address, PyBytes_AS_STRING(raw), count, READ) else None


@cython.cclass
class End:
    """`axptr.linux.net.endpoint.Endpoint` derives from it."""

    def poll(self):
        """All of poll's events that are there now."""
        return 0

    def put(self, task, address, count):
        return -1

    def take(self, task, address, count):
        return -1

    def is_empty(self):
        return False


@cython.cclass
class TcpEnd(End):
    """Of `axptr.linux.net.tcp.TcpEndpoint`."""

    def __cinit__(self, *args, **kwargs):
        self.pieces = deque()

    def capacity(self):
        """Bytes that may be on the way to the other end: in its queue, and in ours."""
        own: int64_t = self.options.send_buffer
        theirs: int64_t = 0
        if self.peer is not None:
            theirs = self.peer.options.receive_buffer
        return own + theirs // 2

    def has_room(self):
        """sk_stream_is_writeable."""
        return self.peer is None or self.peer.queued <= self.capacity() * 2 // 3

    def to_mark(self):
        """How many bytes are to be read before the urgent one; -1 where there is none."""
        return -1 if self.urgent is None else self.mark - (self.received - self.queued)

    def came(self, piece):
        """The other end has sent something, for which the machine has room."""
        size: cython.Py_ssize_t = PyBytes_GET_SIZE(piece)
        if size:
            self.network.hold(size)
            self.pieces.append(piece)
            self.queued += size
            self.received += size
        self.queue.wake(_readable)

    def rest_of(self, piece: cython.Py_ssize_t):
        """What was not read yet of one of the pieces."""
        view = memoryview(self.pieces[piece])
        return view[self.head :] if piece == 0 and self.head else view

    def drop(self, size):
        """The first bytes of the queue were taken; who found no room to send goes on once a third is free."""
        left: int64_t = size
        peer: TcpEnd = self.peer
        while left:
            rest: int64_t = PyBytes_GET_SIZE(self.pieces[0]) - self.head
            if left < rest:
                self.head += left
                break
            left -= rest
            self.pieces.popleft()
            self.head = 0
        self.queued -= size
        if self.to_mark() < 0:
            self.urgent = None
        self.network.give_back(size)
        if peer is not None and peer.cramped and not peer.dead and peer.has_room():
            peer.cramped = False
            peer.queue.wake(_writable)

    def poll(self):
        found: cython.int = 0
        hidden: cython.bint
        least: int64_t
        if self.state == LISTEN:
            return READABLE if self.waiting else 0
        if self.error:
            found |= POLLERR
        if self.shut == SHUT_BOTH or self.state == CLOSE:
            found |= POLLHUP
        if self.shut & SHUT_READ:
            found |= READABLE | POLLRDHUP
        if self.state != SYN_SENT:
            hidden = self.urgent is not None and self.to_mark() == 0 and not self.options.on("oob_inline")
            least = self.options.least
            if self.queued >= least + hidden:
                found |= READABLE
            if self.shut & SHUT_WRITE or self.has_room():
                found |= WRITABLE
            else:
                self.cramped = True
            if self.urgent is not None and self.urgent != TAKEN:
                found |= POLLPRI
        return found

    def put(self, task, address, count):
        peer: TcpEnd = self.peer
        if self.state != ESTABLISHED and self.state != CLOSE_WAIT:
            return -1
        if self.error or self.shut & SHUT_WRITE or peer is None or peer.dead:
            return -1
        if peer.state == FIN_WAIT2 and peer.shut & SHUT_READ:
            return -1
        if count == 0 or count > _piece or not is_user(address, count):
            return -1
        if self.capacity() - peer.queued < cython.cast(int64_t, count):
            return -1
        raw: bytes = _fetched(task, address, count)
        if raw is None:
            return -1
        try:
            peer.came(raw)
        except _cannot_wait:  # there is no room for it in the machine
            return -1
        self.sent += count
        return count

    def take(self, task, address, count):
        size: uint64_t = count
        done: uint64_t = 0
        part: uint64_t
        piece: bytes
        at: cython.Py_ssize_t = self.head
        if cython.cast(uint64_t, self.queued) < size:
            size = self.queued
        if size == 0 or self.urgent is not None or self.state == LISTEN or self.options.least != 1:
            return -1
        if not is_user(address, count) or not there(task._space, address, size, WRITE):
            return -1
        for piece in self.pieces:
            part = PyBytes_GET_SIZE(piece) - at
            if part > size - done:
                part = size - done
            if not transfer(task._space, address + done, PyBytes_AS_STRING(piece) + at, part, WRITE):
                break
            done += part
            at = 0
            if done == size:
                break
        if done == 0:
            return -1
        self.drop(done)
        return done

    def is_empty(self):
        if self.queued or self.finished or self.error or self.shut & SHUT_READ or self.options.least != 1:
            return False
        return self.urgent is None and (self.state == ESTABLISHED or self.state == FIN_WAIT2)


# -- AF_UNIX


def allocated(size):
    """What kmalloc gives for a buffer's head of so many bytes, and the record itself."""
    given: int64_t = 512
    while given < ((size + 63) & ~63) + 320:
        given *= 2
    return given + 256


def cost_of_stream(size):
    """What a message of a stream is charged with (skb->truesize)."""
    pages: int64_t = (size - _head + 4095) // 4096 if size > _head else 0
    return allocated(max(size - 4096 * pages, 0)) + 4096 * pages


@cython.cclass
class Message:
    """What lies in a queue. sender: who is charged with `cost` until it is read. user: whose files they count as."""

    def __cinit__(self, *args):
        self.files = ()

    def __init__(self, data: bytes, cost: int64_t, sender: UnixEnd, user: int64_t):
        self.data = memoryview(data)
        self.cost = cost
        self.sender = sender
        self.user = user


@cython.cclass
class UnixEnd(End):
    """Of `axptr.linux.net.unix.UnixEndpoint`."""

    def __cinit__(self, *args, **kwargs):
        self.messages = deque()
        self.waiting = ()

    def write_room(self):
        """unix_writable."""
        most: int64_t = self.options.send_buffer
        return self.state != LISTEN and self.charged * 4 <= most

    def charge(self, cost):
        self.network.hold(cost)
        self.charged += cost

    def read_off(self, message):
        """A message is out of the queue and nobody's any more: its sender has room again (sock_wfree)."""
        sender: UnixEnd = message.sender
        sender.charged -= message.cost
        self.network.give_back(message.cost)
        if not sender.dead and sender.write_room():
            sender.queue.wake(_writable_band)

    def most(self):
        """Bytes of one message of a stream."""
        half: cython.Py_ssize_t = (self.options.send_buffer >> 1) - 64
        return max(1, min(half, _most))

    def poll(self):
        """Of one that is connected, or listens."""
        found: cython.int = POLLERR if self.error else 0
        if self.shut == SHUT_BOTH or self.state == CLOSE:
            found |= POLLHUP
        if self.shut & SHUT_READ:
            found |= POLLRDHUP | READABLE
        if self.messages or self.waiting:
            found |= READABLE
        if self.urgent is not None:
            found |= POLLPRI
        if self.write_room():
            found |= WRITABLE | POLLWRBAND
        return found

    def put(self, task, address, count):
        other: UnixEnd = self.peer
        message: Message
        most: int64_t
        if self.kind != STREAM or other is None or self.error or self.shut & SHUT_WRITE:
            return -1
        if other.dead or other.shut & SHUT_READ or self.options.told_cred or other.options.told_cred:
            return -1
        most = self.options.send_buffer
        if count == 0 or self.charged >= most or not is_user(address, count):
            return -1
        if count > cython.cast(uint64_t, self.most()):
            return -1
        raw: bytes = _fetched(task, address, count)
        if raw is None:
            return -1
        message = Message(raw, cost_of_stream(count), self, task.creds.uid)
        try:
            self.charge(message.cost)
        except _cannot_wait:
            return -1
        other.messages.append(message)
        other.queue.wake(_readable)
        return count

    def take(self, task, address, count):
        message: Message
        size: uint64_t = 0
        done: uint64_t = 0
        part: uint64_t
        if self.kind != STREAM or self.state != ESTABLISHED or self.urgent is not None or self.options.told_cred:
            return -1
        if self.options.least != 1 or not is_user(address, count):
            return -1
        for message in self.messages:
            part = PyMemoryView_GET_BUFFER(message.data).len
            if message.files or part == 0:
                return -1
            size += part
            if size >= count:
                size = count
                break
        if size == 0 or not there(task._space, address, size, WRITE):
            return -1
        while done < size:
            message = self.messages[0]
            part = min(cython.cast(uint64_t, PyMemoryView_GET_BUFFER(message.data).len), size - done)
            start: cython.p_char = cython.cast(cython.p_char, PyMemoryView_GET_BUFFER(message.data).buf)
            if not transfer(task._space, address + done, start, part, WRITE):
                break
            done += part
            if part < cython.cast(uint64_t, PyMemoryView_GET_BUFFER(message.data).len):
                message.data = message.data[part:]
            else:
                self.messages.popleft()
                self.read_off(message)
        return cython.cast(cython.Py_ssize_t, done) if done else -1

    def is_empty(self):
        if self.kind != STREAM or self.state != ESTABLISHED or self.messages or self.error:
            return False
        return not self.shut & SHUT_READ and self.options.least == 1 and self.urgent is None
