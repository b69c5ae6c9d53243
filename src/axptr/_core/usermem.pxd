from libc.stdint cimport uint8_t, uint64_t
cimport cython
from axptr._core.transfer cimport Transfer

cdef class UserSpace(Transfer):
    # With the GIL, lock not held: `move` with pagers and devices served; raises what failed.
    cdef int moved(self, uint64_t vaddr, uint8_t* buffer, uint64_t size, uint64_t align, int access) except -1
    cdef uint64_t device_piece(self, uint64_t vaddr, uint8_t* buffer, uint64_t size, int access) except? 0xDEAD
    cdef int supply_from(self, uint64_t bad, int access, uint64_t vaddr, uint64_t size) except -1
    cdef int supply_scan(self, uint64_t bad, uint64_t vaddr, uint64_t size, int access, uint64_t limit, uint64_t length) except -1
    cdef int require(self, uint64_t vaddr, uint64_t size, uint64_t align, int access) except -1
    cdef int debug_copy(self, uint64_t vaddr, uint8_t* buffer, uint64_t size, bint write) except -1
    cdef int fail_scan(self, int code, uint64_t vaddr, uint64_t size, int access, uint64_t length, uint64_t bad) except -1
    cdef void touch(self, uint8_t* run, uint64_t length, uint64_t unused) noexcept nogil
