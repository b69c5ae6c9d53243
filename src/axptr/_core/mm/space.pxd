from libc.stdint cimport uint32_t, uint64_t
cimport cython
from axptr._core.mm.areas cimport AreaRec
from axptr._core.mm.provider cimport Provider
from axptr._core.mm.usermem cimport UserSpace

cdef int note_released(AreaRec* rec, list released) except -1
cdef int retire(AreaRec* gone, list released) except -1

cdef class SpaceCore(UserSpace):
    # Areas. Lock and GIL held.
    cdef uint64_t count_areas(self, uint64_t first, uint64_t last) noexcept nogil
    cdef int require_unsealed(self, uint64_t first, uint64_t last) except -1
    cdef void guard_leaf(self, uint64_t* slot, uint32_t flags) noexcept nogil
    cdef int require_covered(self, uint64_t first, uint64_t last) except -1
    cdef int split_ends(self, uint64_t first, uint64_t last, uint64_t more) except -1
    cdef void join_within(self, uint64_t first, uint64_t last) noexcept
    cdef int split(self, uint64_t at) except -1
    cdef list give_up_areas(self)
    cdef uint64_t reach(self, uint64_t first, uint64_t pages) noexcept nogil
    cdef AreaRec* carve(self, uint64_t first, uint64_t last) noexcept nogil
    cdef void join_around(self, uint64_t at) noexcept
    cdef int span_of(self, object start, object size, uint64_t* first, uint64_t* last) except -1
