from libc.stdint cimport uint32_t, uint64_t
cimport cython
from axptr._core.mm.areas cimport AreaRec
from axptr._core.mm.frames cimport FrameStore
from axptr._core.mm.mapping cimport MappedSpace

cdef class BackedSpace(MappedSpace):
    # Lock held.
    cdef int make_tables(self, uint64_t first, uint64_t last, uint64_t target) noexcept nogil
    cdef void move_pages(self, uint64_t first, uint64_t last, uint64_t target) noexcept nogil
    cdef int move_areas(self, uint64_t first, uint64_t last, uint64_t target, bint keep) except -1
    cdef void guard_range(self, uint32_t flags, uint64_t first, uint64_t last) noexcept nogil
    cdef bint wants(self, uint64_t at, object backend, uint64_t offset) noexcept
    cdef void each_of_store(self, FrameStore store, uint64_t first_page, uint64_t last_page, bint drop) noexcept
    cdef void show_store(self, AreaRec* rec, FrameStore old, FrameStore fresh) noexcept
