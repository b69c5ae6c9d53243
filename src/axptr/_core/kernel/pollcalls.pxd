from libc.stdint cimport int64_t, uint64_t
from axptr._core.kernel.eventpoll cimport EventPoll
from axptr._core.kernel.quick cimport Quick
from axptr._core.kernel.waiting cimport Waiting

cdef class EpollControl(Quick):
    pass

cdef class EpollWaiting(Quick):
    cdef object again, interrupted
    cdef bint masks

    cdef Py_ssize_t tell(self, Waiting task, EventPoll epoll, uint64_t events, Py_ssize_t most) except -2

cdef class Polling(Quick):
    cdef object limit
