from libc.stdint cimport uint64_t
from axptr._core.cpu.native.stub cimport Segments, Stub

cdef class Parked:
    cdef Stub stub                 # in which the rest lies, or None
    cdef uint64_t regs_[18]
    cdef Segments segments
    cdef bint in_call              # it waits in a call there: what is here is what a call needs, and the place behind it
    cdef bint lost                 # the stub was ended from outside meanwhile
    cdef bytes image               # the vector state, if it lies in no stub; None: as a new program's

    cdef int stay(self, Stub stub) except -1
    cdef Stub take_back(self)
    cdef int surface(self) except -1
    cdef int leave(self) except -1
    cdef int give_up(self) except -1
