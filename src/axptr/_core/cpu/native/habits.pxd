from libc.stdint cimport uint64_t
from axptr._core.cpu.native.stub cimport Held, Stub
from axptr._core.mm.space cimport SpaceCore

cdef class Habits:
    cdef uint64_t *pages            # in order, each with what it may do there in its low bits
    cdef uint64_t count
    cdef object latest              # the stub that was born last, weakly
    cdef object origin              # the frozen space that the others were made of, weakly

    cdef int prepare(self, Stub stub, SpaceCore space) except -1
    cdef void bring(self, Stub stub, SpaceCore space) noexcept nogil
    cdef int look_at_latest(self) except -1
    cdef int learn(self, Stub stub) except -1
    cdef void take(self, Stub stub, SpaceCore origin) noexcept nogil
    cdef bint is_written(self, SpaceCore origin, Stub stub, Held *note) noexcept nogil
