from libc.stdint cimport int64_t, uint64_t
from axptr._core.kernel.waiting cimport Blocked, Resumed, Waiting, WaitQueue

# A call that is done at once as far as it is plain.
cdef class Quick(Resumed):
    cdef object plain              # that handler's wrapper

    cdef int at_once(self, Waiting task, const uint64_t *a, int64_t *result) except -1

cdef class Reading(Quick):
    cdef object again, interrupted

    cdef Py_ssize_t received(self, Waiting task, object file, uint64_t address, uint64_t count) except -2

cdef class Writing(Quick):
    pass

cdef class Receiving(Quick):
    cdef object again, interrupted
    cdef tuple end, plainly

cdef class Sending(Quick):
    pass

cdef class AtWord(Quick):
    cdef object bits
    cdef tuple again

cdef object socket_of(Waiting task, uint64_t fd)
# The task waits for an event of one thing, for ever: its record.
cdef Blocked wait(Waiting task, object waitable, WaitQueue queue, object mask, tuple again, object interrupted)
# Whether nothing keeps it from that.
cdef bint may_wait(Waiting task) noexcept
