from libc.stdint cimport uint64_t
from axptr._core.cpu.native.stub cimport Segments, Stub

# What came of a guest, beside NAT_GUEST_CALL and NAT_TURN.
cdef enum:
    TO_GO = 101            # nothing yet: it is to be let go
    ENDED = 102            # its process is no more

cdef class Parked:
    cdef Stub stub                 # in which the rest lies, or None
    cdef uint64_t regs_[18]
    cdef Segments segments
    cdef bint in_call              # it waits in a call there: what is here is what a call needs, and the place behind it
    cdef bint lost                 # the stub was ended from outside meanwhile
    cdef bytes image               # the vector state, if it lies in no stub; None: as a new program's
    cdef int out                   # it may be running: nothing of it is here
    cdef int event                 # what came of it and has not been looked at; 0: nothing
    cdef bint look                 # whoever has it take turns wants to see it when it is back
    cdef object space, tag, handler   # of one of a crew: its memory, whose it is, and what its calls go to

    cdef bint goes_on(self) noexcept
    cdef int collect(self, int event) except -1
    cdef int recall(self) except -1

    cdef int stay(self, Stub stub) except -1
    cdef Stub take_back(self)
    cdef int surface(self) except -1
    cdef bint has_call(self) noexcept
    cdef int call_anew(self) except -1
    cdef int leave(self) except -1
    cdef int give_up(self) except -1
