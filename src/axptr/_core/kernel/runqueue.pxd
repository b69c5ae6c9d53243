from axptr._core.kernel.waiting cimport Waiting

cdef class RunQueue:
    cdef public double slice       # seconds
    cdef public object woken       # a deque
    cdef public object ready       # a deque
    cdef public set all
    cdef public dict rests         # what is left of turns that were interrupted, seconds
    cdef public double share       # what the woken ones have left, seconds, until somebody's own turn is over
    cdef public Waiting turn       # whose turn is under way; None: nobody's
    cdef public bint own           # it is one of its own, not of the woken ones' share
    cdef double ends               # when it is over, by the loop's clock; infinity: when it likes

    cpdef bint add(self, Waiting task) except -1
    cpdef remove(self, Waiting task)
    cpdef behind(self, Waiting task, double now)
    cpdef step_back(self, Waiting task)
    cpdef set_down(self, double now)
    cpdef interrupt(self, double now)
    cdef Waiting first(self)
    cdef bint alone(self, Waiting task) except -1
    cdef int begin(self, Waiting task, double now) except -1
    cdef int take_out(self, Waiting task) except -1
    cdef int over(self) except -1
