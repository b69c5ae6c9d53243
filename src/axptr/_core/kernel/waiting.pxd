from libc.stdint cimport int64_t
from axptr._core.cpu.running cimport Exchange
from axptr._core.mm.provider cimport Provider

cdef class Blocked:
    cdef public object on          # a tuple of (waitable, mask)
    cdef public object until
    cdef public object again
    cdef public object restart
    cdef public object interrupted
    cdef public object call
    cdef public tuple held
    cdef public object deaf
    cdef public object woken
    cdef public object timer       # the loop's, as long as the task is in it
    cdef tuple queues              # those that the task was put into; None: see `on`

cdef class WaitQueue:
    cdef public dict _waiters
    cdef public dict _watches

    cpdef add(self, object task, object mask)
    cpdef remove(self, object task)
    cpdef wake(self, object mask=*, object n=*)
    cdef int tell(self, object mask, bint exclusive) except -1

cdef class Watch:
    cdef public object loop
    cdef public bint exclusive

    cpdef wake(self, object events)

# By the function with which a record goes on: how it does in compiled code. Its result; -1: it is to be gone on with.
cdef class Resumed:
    cdef int64_t go_on(self, Waiting task, Blocked record) except -2

cdef dict resumed

cdef class Waker(Exchange):
    cdef int runnable(self, Waiting task) except -1

cdef class Waiting(Provider):
    cdef public Blocked blocked
    cdef public object woken
    cdef public object context
    cdef public object result
    cdef public object loop
    cdef public long long voluntary, involuntary   # how often it left the CPU, by waiting or at the end of a slice
    cdef public object calling     # the call that waits and its arguments, while a tracer looks
    cdef bint host_time            # the clocks of its loop are the host's
    cdef readonly Blocked going_on  # the record of a call that is being gone on with
    cdef object answers            # what answers its calls in the run under way, as its kernel has it; None: not asked yet
    cdef object answers_of         # which run that was

    cdef int rouse(self, object events) except -1
