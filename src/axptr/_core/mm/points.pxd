from libc.stdint cimport uint32_t, uint64_t
from axptr._core.phys.phys cimport PhysMemory

# Addresses of which somebody wants to know when the instruction there is about to be done, both ends included.
cdef struct Stretch:
    uint64_t first, last

# What is different of a page. deny: accesses that a CPU must come out for. breaks: bytes of it are breakpoints of one byte
# each. copy: the frame in which they stand as `int3`, 0 if it was not needed yet; of: the frame that it is a copy of.
cdef struct Watched:
    uint64_t page
    uint32_t deny, breaks
    uint32_t copy, of

# How much of that counts for now: not for the code in the pages of `bare`, and not `deny` at all where it is open.
cdef struct Leave:
    uint64_t first, last           # pages; first > last: none
    bint open

cdef class Points:
    cdef PhysMemory phys
    cdef Stretch *stretches
    cdef Watched *pages
    cdef uint32_t nstretches, npages
    cdef Stretch *next_stretches
    cdef Watched *next_pages
    cdef uint32_t next_nstretches, next_npages

    cdef int prepare(self, list code, dict pages) except -1
    cdef void swap(self) noexcept nogil
    cdef bint breaks_at(self, uint64_t vaddr) noexcept nogil
    cdef Watched *find(self, uint64_t page) noexcept nogil
    cdef uint32_t denied(self, uint64_t page, bint open) noexcept nogil
    cdef uint32_t may_keep(self, uint64_t page, uint32_t pfn, uint32_t shown_pfn, uint32_t perms, Leave *leave) noexcept nogil
    cdef uint32_t may_have(self, uint64_t page, uint32_t *pfn, uint32_t perms, int access, Leave *leave) noexcept nogil
    cdef void fill_copy(self, Watched *watched) noexcept nogil
