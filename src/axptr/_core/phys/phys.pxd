from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from axptr._core.phys.charges cimport FrameAccounts

cdef class PhysMemory(FrameAccounts):
    cdef uint64_t npinned
    cdef void *shelf               # NULL: nothing is laid aside
    cdef void (*shed)(PhysMemory phys, bint end) noexcept nogil
    cdef uint64_t owners           # who had runs and is no page table, so far
    cdef bint poison
    cdef long fail_after           # fault injection: allocations left before they fail; -1 is off
    cdef readonly object spaces    # the spaces over this memory, weakly: see _after_fork
    cdef readonly object caches    # frame stores by key, for example of a file: see frames.py

    cdef uint64_t alloc_frame(self, bint table, bint zero) noexcept nogil
    cdef bint may_alloc(self) noexcept nogil
    cdef bint has_room(self, uint64_t count) noexcept nogil
    cdef uint64_t new_owner(self) noexcept nogil
    cdef uint64_t row_in_run(self, uint32_t* run, uint64_t owner, uint32_t index, uint64_t count) noexcept nogil
    cdef uint64_t alloc_in_a_row(self, uint64_t count) noexcept nogil
    cdef uint32_t used_in_run(self, uint64_t* slot) noexcept nogil
    cdef uint64_t alloc_in_run(self, uint64_t* slot, bint zero) noexcept nogil
    cdef uint64_t alloc_in(self, uint32_t* run, uint64_t owner, uint32_t index, bint zero) noexcept nogil
    cdef uint64_t alloc_run(self, uint64_t count, uint64_t align) noexcept nogil
    cdef uint64_t show_file(self, int fd, uint64_t offset, uint64_t npages) except? 0
    cdef void release_frame(self, uint64_t pfn) noexcept nogil
    cdef void incref(self, uint64_t pfn) noexcept nogil
    cdef void decref(self, uint64_t pfn) noexcept nogil
    cdef void pin_frame(self, uint64_t pfn) noexcept nogil
    cdef void unpin_frame(self, uint64_t pfn) noexcept nogil
    cdef void reuse_frame(self, uint64_t pfn) noexcept nogil
