from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from axptr._core.phys.hostmem cimport HostMemory

# What the memory must know of a CPU that may cache translations and code of its frames.
# The engine owns the struct; `PhysMemory` and the spaces write requests into it under the lock.
cdef struct EngineLink:
    int running            # guest code may be executing: frames given up must wait for a flush
    int need_flush         # translations cached by the engine are stale
    uint32_t* drop         # frames whose translated code is stale
    uint32_t ndrop
    uint32_t drop_capacity
    int drop_all           # the list could not grow: drop everything
    void* owner            # identifies the thread that runs the engine
    void (*stop)(void* handle) noexcept nogil   # asks a running guest to come out
    void* handle

# Bits of PhysMemory.flags
cdef enum:
    FRAME_TABLE = 1        # holds a page table
    FRAME_CODE = 2         # an engine may hold code translated from it
    FRAME_WCACHED = 4      # an engine may hold a writable translation to it
    FRAME_WATCHED = 8      # a writable live view shows it, and it has had code
    FRAME_WAITING = 16     # nobody holds it, and an engine may still have it cached: in no stack

cdef enum:
    TRIM_BATCH = 4096      # frames given back at a time

cdef class PhysMemory(HostMemory):
    cdef uint64_t nframes
    cdef uint32_t* refs
    cdef uint32_t* pins
    cdef uint32_t* next_free
    cdef uint8_t* flags
    cdef uint64_t next_fresh
    cdef uint32_t cached_head, clean_head
    cdef uint64_t ncached, cache_limit
    cdef uint64_t limit_frames
    cdef uint64_t ndata, ntable, peak, npinned
    cdef bint poison
    cdef EngineLink** engines
    cdef uint32_t* watched
    cdef uint32_t nwatched, watched_capacity
    cdef uint32_t nengines
    cdef uint32_t* quarantine
    cdef uint64_t nquarantine, quarantine_capacity
    cdef long fail_after           # fault injection: allocations left before they fail; -1 is off
    cdef readonly object spaces    # the spaces over this memory, weakly: see _after_fork
    cdef readonly object caches    # frame stores by key, for example of a file: see frames.py

    cdef uint64_t alloc_frame(self, bint table, bint zero) noexcept nogil
    cdef uint64_t alloc_run(self, uint64_t count, uint64_t align) noexcept nogil
    cdef uint64_t find_free_run(self, uint64_t count, uint64_t align) noexcept nogil
    cdef void free_frame(self, uint64_t pfn) noexcept nogil
    cdef void release_frame(self, uint64_t pfn) noexcept nogil
    cdef void incref(self, uint64_t pfn) noexcept nogil
    cdef void decref(self, uint64_t pfn) noexcept nogil
    cdef void pin_frame(self, uint64_t pfn) noexcept nogil
    cdef void unpin_frame(self, uint64_t pfn) noexcept nogil
    cdef void trim(self, uint64_t keep) noexcept nogil
    cdef void reuse_frame(self, uint64_t pfn) noexcept nogil
    cdef void code_changed(self, uint64_t pfn) noexcept nogil
    cdef void watch(self, uint64_t pfn) noexcept nogil
    cdef bint engine_running(self) noexcept nogil
    cdef bint others_stale(self, EngineLink* link) noexcept nogil
    cdef void drop_watched(self, EngineLink* link) noexcept nogil
    cdef void request_flush(self, EngineLink* link) noexcept nogil
    cdef void flushed(self, EngineLink* link) noexcept nogil
    cdef int add_engine(self, EngineLink* link) except -1
    cdef void remove_engine(self, EngineLink* link) noexcept
