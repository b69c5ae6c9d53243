from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from axptr._core.phys.runs cimport FrameRuns

cdef struct Charges:
    uint64_t used          # frames that are charged to it, those of `into` it too
    uint64_t limit         # how many there may be
    uint64_t peak          # how many there were at most
    uint64_t base          # frames of those before it, which whoever has it shows besides
    uint64_t machine       # whose it is, or was when it came to be
    uint64_t frames        # frames that have its number
    uint32_t children
    uint16_t into          # who is charged for them: itself, once it is over another, or 0: nobody
    uint16_t parent        # the account of what it came of; 0 is none
    uint8_t held           # somebody has it
    uint8_t known          # the number is in use

cdef class FrameAccounts(FrameRuns):
    cdef uint64_t limit_frames
    cdef uint64_t ndata, ntable, peak
    cdef uint64_t nshelved         # of `ndata`: what is laid aside, and given up when a frame is wanted; see `mm.shelf`
    cdef uint16_t* payers          # of each frame the number of the account that it was charged to; NULL before the first
    cdef Charges* charges          # by their numbers; 0 is nobody's
    cdef uint32_t naccounts
    cdef uint64_t machines

    cdef uint16_t acting(self) noexcept nogil
    cdef bint may_charge(self, uint64_t count) noexcept nogil
    cdef bint is_short(self, uint64_t count) noexcept nogil
    cdef void note_peak(self) noexcept nogil
    cdef void count_in(self, uint64_t first, uint64_t count) noexcept nogil
    cdef void charge(self, uint64_t first, uint64_t count) noexcept nogil
    cdef void discharge(self, uint64_t pfn) noexcept nogil
    cdef void fold(self, uint16_t number, uint16_t into) noexcept nogil
    cdef void settle(self, uint16_t number) noexcept nogil
    cdef uint16_t only_child(self, uint16_t number) noexcept nogil
    cdef int open_account(self, uint64_t limit, uint16_t parent, uint64_t machine) except -1

cdef class Account:
    cdef FrameAccounts memory
    cdef uint16_t number
