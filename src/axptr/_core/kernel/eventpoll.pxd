from libc.stdint cimport uint32_t, uint64_t
from axptr._core.kernel.waiting cimport Watch, WaitQueue

cdef enum:
    EPOLLIN = 1
    EPOLLERR = 8
    EPOLLHUP = 16
    EPOLLRDNORM = 64
    EPOLLEXCLUSIVE = 1 << 28
    EPOLLWAKEUP = 1 << 29
    EPOLLONESHOT = 1 << 30

cdef class Entry(Watch):
    cdef public EventPoll epoll
    cdef public object fd, file
    cdef public uint64_t data
    cdef public uint32_t events

    cpdef start(self)
    cpdef look(self)
    cpdef stop(self)
    cdef uint32_t mask_now(self) noexcept
    cdef uint32_t ready_now(self) except? 0xFFFFFFFF

cdef class EventPoll:
    cdef public object owner
    cdef public dict entries
    cdef public dict listed
    cdef public WaitQueue queue    # of those who wait in epoll_wait
    cdef public WaitQueue polled   # of those who poll it
    cdef public Py_ssize_t outside

    cpdef bint listen(self, Entry entry) except -1
    cpdef change(self, Entry entry, uint32_t events, uint64_t data)
    cpdef add(self, object loop, object fd, object file, uint32_t events, uint64_t data)
    cpdef remove(self, Entry entry)
    cpdef drop(self, Entry entry)
    cpdef look_outside(self)
    cpdef list collect(self, Py_ssize_t most)
    cpdef told(self, Entry entry)
    cpdef keep(self, list entries)
    cpdef done(self)

# poll's events of an open file.
cdef uint32_t events_of(object file, uint32_t mask) except? 0xFFFFFFFF
cdef object queue_of(object file)
