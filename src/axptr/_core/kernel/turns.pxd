from axptr._core.kernel.waiting cimport Blocked, Waiting

cdef class Turns:
    cdef public object engine, clock, timers, slice, deadline, stopped_at, stopped
    cdef public bint running
    cdef public Waiting current
    cdef public object _ready      # a deque
    cdef public set _queued
    cdef public set _blocked
    cdef public object _posted     # a deque
    cdef public bint _left
    cdef public object _poller
    cdef public double _looks_at   # when the turn under way ends by itself
    cdef public object _slice_end
    cdef bint native               # the engine is the host's CPU, under the host's clock
    cdef object run_under_way      # another for each run

    cpdef enqueue(self, Waiting task)
    cpdef adopt(self, Waiting task)
    cpdef look(self)
    cpdef _dequeue(self, Waiting task)
    cpdef _forget(self, Waiting task)
    cpdef _be_back(self, double at)
    cpdef _come_out(self)
    cpdef _work(self)
    cpdef _turn(self, Waiting task)
    cpdef bint _goes_on(self, Waiting task, object exit) except -1
    cpdef _switch(self, Waiting task)
    cpdef _install(self, Waiting task)
    cpdef _resume(self, Waiting task)
    cpdef _end_slice(self, Waiting task)
    cpdef _until_a_look(self, double now, double seconds)
    cdef time_of(self, Waiting task)
    cdef object ran(self, Waiting task, object seconds)
    cdef go_on(self, Waiting task, Blocked record)
    cdef leave_wait(self, Waiting task)
    cdef finish(self, Waiting task, object outcome)
