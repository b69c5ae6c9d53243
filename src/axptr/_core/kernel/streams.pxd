from libc.stdint cimport int64_t, uint64_t
from axptr._core.kernel.waiting cimport Waiting, WaitQueue

from cpython.buffer cimport Py_buffer

cdef extern from "Python.h":
    Py_buffer *PyMemoryView_GET_BUFFER(object)

cdef enum:
    POLLIN = 1
    POLLPRI = 2
    POLLOUT = 4
    POLLERR = 8
    POLLHUP = 16
    POLLWRBAND = 0x200
    POLLRDHUP = 0x2000
    READABLE = 0x41                # POLLIN, POLLRDNORM
    WRITABLE = 0x104               # POLLOUT, POLLWRNORM
    SHUT_READ = 1
    SHUT_WRITE = 2
    SHUT_BOTH = 3
    ESTABLISHED = 1                # states, as `axptr.linux.net.endpoint` has them
    SYN_SENT = 2
    FIN_WAIT2 = 5
    CLOSE = 7
    CLOSE_WAIT = 8
    LISTEN = 10
    STREAM = 1                     # SOCK_STREAM
    TAKEN = -1                     # in the place of an urgent byte: it was read, and what follows it was not

# One end of a communication: what calls and polls look at.
cdef class End:
    cdef public object network, options
    cdef public WaitQueue queue
    cdef public int kind, error, shut, state
    cdef public bint dead

    cpdef int poll(self) except -1
    # As much of the user's memory as a plain transfer moves at once; -1: it is not as simple as that, and nothing has changed.
    cdef Py_ssize_t put(self, Waiting task, uint64_t address, uint64_t count) except -2
    cdef Py_ssize_t take(self, Waiting task, uint64_t address, uint64_t count) except -2
    # Whether who reads finds nothing, and there is nothing else to say.
    cdef bint is_empty(self) except -1

cdef class TcpEnd(End):
    cdef public TcpEnd peer
    cdef public object pieces      # a deque
    cdef public int64_t head       # bytes of the first piece that have been read
    cdef public int64_t queued
    cdef public int64_t received, sent
    cdef public object urgent
    cdef public int64_t mark
    cdef public bint finished, cramped

    cpdef int64_t capacity(self) except -1
    cpdef bint has_room(self) except -1
    cpdef int64_t to_mark(self) except? -2
    cpdef came(self, bytes piece)
    cpdef drop(self, int64_t size)

cdef class Message:
    cdef public object data, cred
    cdef public UnixEnd sender
    cdef public int64_t cost, user
    cdef public tuple files

cdef class UnixEnd(End):
    cdef public UnixEnd peer
    cdef public object messages    # a deque
    cdef public object waiting     # a deque
    cdef public Message urgent
    cdef public int64_t charged

    cpdef bint write_room(self) except -1
    cpdef charge(self, int64_t cost)
    cpdef read_off(self, Message message)
    cpdef Py_ssize_t most(self) except -1

cpdef int64_t allocated(int64_t size)
cpdef int64_t cost_of_stream(int64_t size)
