from libc.stdint cimport uint8_t, uint64_t
from axptr._core.cpu.native.stub cimport Segments, Stub
from axptr._core.cpu.running cimport RunningCpu

cdef enum:
    R_RSP = 15             # of gregs; see `stub` for more
    R_RFLAGS = 17
    G_ERROR = 19           # behind them in a signal's frame
    G_TRAP = 20
    G_CR2 = 22

cdef bytes first_image()
# user_regs_struct of these registers.
cdef bytes user_regs(uint64_t *regs, Segments *segments)
# How many bytes the XSAVE area of a frame has.
cdef object extent_of(Stub stub)
cdef int put_vectors(Stub stub, bytes image) except -1

cdef class NativeState(RunningCpu):
    cdef Stub stub                 # that holds the pages, or None: made when the guest is to run
    cdef uint64_t regs_[18]        # the guest's, whenever it is not its turn
    cdef Segments segments
    cdef bint in_call              # the guest waits in a system call: of its registers we have what a call needs
    cdef bint stays                # there, between two runs, too
    cdef int pending               # what came of the guest and has not been looked at: an event, see `parked`; 0: nothing
    cdef bytes image               # the vector state while there is no stub: an XSAVE area; None: as a new program's

    cdef int surface(self) noexcept nogil
    cdef void bring_out(self) noexcept
    cdef int need_all(self) except -1
    cdef void bring_in(self) noexcept nogil
    cdef uint8_t *state(self, int component) except NULL
