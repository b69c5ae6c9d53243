from libc.stdint cimport int64_t, uint64_t
from axptr._core.kernel.waiting cimport Waiting

# A call that is done at once as far as it is plain.
cdef class Quick:
    cdef object plain              # that handler's wrapper

    cdef int at_once(self, Waiting task, const uint64_t *a, int64_t *result) except -1

cdef class Reading(Quick):
    cdef object again, interrupted

cdef class Writing(Quick):
    pass

cdef class AtWord(Quick):
    cdef object bits
    cdef tuple again
