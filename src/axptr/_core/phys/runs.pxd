from libc.stdint cimport uint16_t, uint32_t, uint64_t
from axptr._core.phys.coherence cimport Coherence

cdef enum:
    TRIM_BATCH = 4096      # frames given back at a time

cdef enum:
    RUN_FRAMES = 512       # of a piece of the memory that is given away as a whole: 2 MiB

cdef enum:
    PIECE_NEVER = 0        # above it nothing was taken yet, or it is below `floor`
    PIECE_RUN = 1          # somebody's: its free frames are his
    PIECE_FREE = 2         # nobody's; in the list
    PIECE_LOOSE = 3        # its frames go like those below `floor`

cdef struct Piece:
    uint64_t owner         # whoever asked for it last knows it by this number; 0: nobody
    uint32_t next          # in the list of free ones
    uint16_t used          # frames that somebody holds, or that wait
    uint16_t old           # frames with FRAME_OLD
    uint32_t state

cdef class FrameRuns(Coherence):
    cdef uint64_t nframes
    cdef uint64_t next_fresh       # frames from here on to `floor` were never used
    cdef uint64_t floor            # from here on the memory was cut into pieces
    cdef uint32_t* next_free       # of a frame on a stack, the one below it
    cdef uint32_t cached_head, clean_head
    cdef uint64_t ncached, cache_limit
    cdef Piece* pieces
    cdef uint32_t free_pieces      # the head of the list; 0 is none
    cdef uint64_t nold             # frames with FRAME_OLD

    cdef int make_pieces(self) except -1
    cdef void push_free(self, uint64_t pfn, bint old) noexcept nogil
    cdef void trim(self, uint64_t keep) noexcept nogil
    cdef bint is_spare(self, uint64_t pfn) noexcept nogil
    cdef uint32_t take_piece(self, uint64_t owner) noexcept nogil
    cdef uint64_t place_in_run(self, uint32_t* run, uint64_t owner, uint32_t index) noexcept nogil
    cdef uint64_t take_row(self, uint32_t* run, uint64_t owner, uint32_t index, uint64_t count) noexcept nogil
    cdef void back_to_run(self, uint64_t pfn) noexcept nogil
    cdef bint break_a_run(self) noexcept nogil
    cdef uint64_t find_free_run(self, uint64_t count, uint64_t align) noexcept nogil
    cdef void give_old_back(self, uint64_t keep) noexcept nogil

cdef inline bint in_a_run(FrameRuns memory, uint64_t pfn) noexcept nogil:
    return pfn >= memory.floor and memory.pieces[pfn // RUN_FRAMES].state == PIECE_RUN
