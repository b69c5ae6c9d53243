from libc.stdint cimport uint64_t
cimport cython
from axptr._core.mmu cimport Provider
from axptr._core.transfer cimport Transfer

cdef class SpaceCore(Transfer):
    # Areas. Lock and GIL held.
    cdef int split(self, uint64_t at) except -1
    cdef void carve(self, uint64_t first, uint64_t last) noexcept
    cdef void join_around(self, uint64_t at) noexcept
    cdef int span_of(self, object start, object size, uint64_t* first, uint64_t* last) except -1
