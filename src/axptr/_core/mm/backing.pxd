from libc.stdint cimport uint64_t
cimport cython
from axptr._core.mm.frames cimport FrameStore
from axptr._core.mm.space cimport SpaceCore

cdef class BackedSpace(SpaceCore):
    cdef bint wants(self, uint64_t at, object backend, uint64_t offset) noexcept
    cdef void each_of_store(self, FrameStore store, uint64_t first_page, uint64_t last_page, bint drop) noexcept
