from libc.stdint cimport int64_t

cdef class IoTally:
    cdef public long long rchar, wchar, syscr, syscw

cdef class CpuPart:
    cdef public object _since      # what the clocks showed when it got the CPU, or noted last; None: it has not got it
    cdef int64_t began             # the same by the wall clock, nanoseconds
    cdef int64_t part              # of the time of `turns`, by the wall clock
    cdef ShortTurns turns          # in which some of its time lies that is not its own yet; None
    cdef object limit              # of its process, when the clocks were read for that last; None: it is near
    cdef object run                # in which that was
    cdef double sure_until         # until then it is not used up, by the wall clock, seconds

    cdef int settle(self) except -1

cdef class ShortTurns:
    cdef list members
    cdef CpuPart current           # who has the CPU; None: there is nothing to be settled
    cdef object since              # what the clocks showed when it began
    cdef int64_t first             # the same by the wall clock

    cdef bint hand_over(self, CpuPart before, CpuPart other) except -1
    cdef int join(self, CpuPart part) except -1
    cdef int settle(self) except -1
