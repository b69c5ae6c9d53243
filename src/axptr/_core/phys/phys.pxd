from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from axptr._core.phys.coherence cimport Coherence

cdef enum:
    TRIM_BATCH = 4096      # frames given back at a time

cdef class PhysMemory(Coherence):
    cdef uint64_t nframes
    cdef uint32_t* next_free
    cdef uint64_t next_fresh
    cdef uint32_t cached_head, clean_head
    cdef uint64_t ncached, cache_limit
    cdef uint64_t limit_frames
    cdef uint64_t ndata, ntable, peak, npinned
    cdef bint poison
    cdef long fail_after           # fault injection: allocations left before they fail; -1 is off
    cdef readonly object spaces    # the spaces over this memory, weakly: see _after_fork
    cdef readonly object caches    # frame stores by key, for example of a file: see frames.py

    cdef uint64_t alloc_frame(self, bint table, bint zero) noexcept nogil
    cdef uint64_t alloc_run(self, uint64_t count, uint64_t align) noexcept nogil
    cdef uint64_t find_free_run(self, uint64_t count, uint64_t align) noexcept nogil
    cdef void release_frame(self, uint64_t pfn) noexcept nogil
    cdef void incref(self, uint64_t pfn) noexcept nogil
    cdef void decref(self, uint64_t pfn) noexcept nogil
    cdef void pin_frame(self, uint64_t pfn) noexcept nogil
    cdef void unpin_frame(self, uint64_t pfn) noexcept nogil
    cdef void trim(self, uint64_t keep) noexcept nogil
    cdef void reuse_frame(self, uint64_t pfn) noexcept nogil
