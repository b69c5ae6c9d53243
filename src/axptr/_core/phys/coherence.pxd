from libc.stdint cimport uint8_t, uint32_t, uint64_t
from axptr._core.phys.hostmem cimport HostMemory

cdef enum:
    LINK_RANGES = 256      # ranges that are told apart; more of them mean all

# Addresses whose translations are stale, both ends included.
cdef struct StaleRange:
    uint64_t first, last

# A frame that nobody holds, and when it was given up, in `Coherence.epoch`.
cdef struct Waiting:
    uint64_t pfn, since

# What the memory must know of a CPU that may cache translations and code of its frames.
# The engine owns the struct; `PhysMemory` and the spaces write requests into it under the lock.
cdef struct EngineLink:
    int running            # guest code may be executing: frames given up must wait for a flush
    int at_rest            # it holds frames between two runs of guest code, too, and this is between two: what is stale harms
                           # nobody before the next, which begins with dropping it
    int need_flush         # there is something in `ranges`, `all`, `drop` or `drop_all`
    uint64_t stale_since   # then: since when, in `Coherence.epoch`
    int all                # translations of all addresses are stale, not only of those in `ranges`
    uint32_t nranges
    StaleRange ranges[256]
    uint32_t* drop         # frames whose translated code is stale
    uint32_t ndrop
    uint32_t drop_capacity
    int drop_all           # the list could not grow: drop everything
    int gone               # the space that it was attached to is being given up, and is none to look at
    int kin                # whether programs of other such spaces may run where those of this one ran
    void* owner            # identifies the thread that runs the engine
    void (*stop)(void* handle) noexcept nogil   # asks a running guest to come out
    void* handle
    int (*fence)(void* runner) except -1        # has one come out that runs beside what its owner does; NULL: none does
    void* runner

# Bits of PhysMemory.flags
cdef enum:
    FRAME_TABLE = 1        # holds a page table
    FRAME_CODE = 2         # an engine may hold code translated from it
    FRAME_WCACHED = 4      # an engine may hold a writable translation to it
    FRAME_WATCHED = 8      # a writable live view shows it, and it has had code
    FRAME_WAITING = 16     # nobody holds it, and an engine may still have it cached: in no stack
    FRAME_OLD = 32         # nobody holds it, and it has bytes of its last owner: in a run, and in no stack

cdef class Coherence(HostMemory):
    # What is known of each frame, by its number: references and pins, and FRAME_* bits.
    cdef uint32_t* refs
    cdef uint32_t* pins
    cdef uint8_t* flags
    cdef EngineLink** engines
    cdef uint32_t* watched         # frames with FRAME_WATCHED
    cdef uint32_t nwatched, watched_capacity
    cdef uint32_t nengines
    cdef uint64_t epoch            # counts how often an engine began to have something stale
    cdef Waiting* quarantine       # frames with FRAME_WAITING, the oldest first, as far as there was room to note them
    cdef uint64_t quarantine_from, nquarantine, quarantine_capacity

    cdef void free_frame(self, uint64_t pfn) noexcept nogil
    cdef bint quarantine_frame(self, uint64_t pfn) noexcept nogil
    cdef bint room_to_wait(self) noexcept nogil
    cdef uint64_t oldest_stale(self) noexcept nogil
    cdef bint others_stale(self, EngineLink* link) noexcept nogil
    cdef void mark_stale(self, EngineLink* link) noexcept nogil
    cdef void ask(self, EngineLink* link) noexcept nogil
    cdef void request_flush(self, EngineLink* link) noexcept nogil
    cdef void request_range(self, EngineLink* link, uint64_t first, uint64_t last) noexcept nogil
    cdef void code_changed(self, uint64_t pfn) noexcept nogil
    cdef void watch(self, uint64_t pfn) noexcept nogil
    cdef void drop_watched(self, EngineLink* link) noexcept nogil
    cdef void flushed(self, EngineLink* link) noexcept nogil
    cdef int fence(self) except -1
    cdef void settle_quarantine(self) noexcept nogil
    cdef int add_engine(self, EngineLink* link) except -1
    cdef void remove_engine(self, EngineLink* link) noexcept
