from libc.stdint cimport uint8_t, uint32_t, uint64_t
cimport cython
from axptr._core.mm.guest cimport GuestMmu

cdef class Transfer(GuestMmu):
    # Checked access. Lock held; `*bad` is the first byte that failed.
    cdef int check_span(self, uint64_t vaddr, uint64_t size, int access, uint64_t* bad) noexcept nogil
    cdef int demand(self, uint64_t vaddr, uint64_t size, uint64_t align, int access, uint64_t* bad) noexcept nogil
    cdef int copy(self, uint64_t vaddr, uint8_t* buffer, uint64_t size, int access, uint64_t* done) noexcept nogil
    cdef uint64_t copy_at_once(self, uint64_t vaddr, uint8_t* buffer, uint64_t size, int access) noexcept nogil
    cdef int move(self, uint64_t vaddr, uint8_t* buffer, uint64_t size, uint64_t align, int access, uint64_t* bad) noexcept nogil
    cdef void stored(self, uint8_t* host) noexcept nogil
    # The number of elements before an all-zero one, into `*length`; `limit` is NO_LIMIT or the most there may be.
    cdef int scan(self, uint64_t vaddr, uint64_t size, uint64_t align, int access, uint64_t limit, uint64_t* length, uint64_t* bad) noexcept nogil
    cdef uint8_t* side_by_side(self, uint64_t vaddr, uint64_t size) noexcept nogil
    cdef int grant(self, uint64_t vaddr, int access, uint8_t** host) noexcept nogil
