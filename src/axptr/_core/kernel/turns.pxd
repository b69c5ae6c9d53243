from libc.stdint cimport uint64_t
from axptr._core.kernel.accounts cimport ShortTurns
from axptr._core.kernel.runqueue cimport RunQueue
from axptr._core.kernel.waiting cimport Blocked, Waiting, Waker

cdef class Turns(Waker):
    cdef public object engine, clock, timers, deadline, stopped_at, stopped
    cdef public bint running
    cdef public Waiting current
    cdef public RunQueue queue     # who can run
    cdef public set _blocked
    cdef public object _posted     # a deque
    cdef public bint _left
    cdef public object _poller
    cdef public double _looks_at   # when the turn under way ends by itself
    cdef bint hurried              # the turn under way is to end soon, for one that was woken in it
    cdef bint native               # the engine is the host's CPU, under the host's clock
    cdef bint host_time            # the clocks are the host's
    cdef bint one_guest            # `native`, and no other runs beside it
    cdef bint single               # one task at a time has the CPU
    cdef ShortTurns short_turns
    cdef Py_ssize_t heap_at        # where the timers have their heap; 0: in their `__dict__`
    cdef object run_under_way      # another for each run
    cdef object done               # of the run under way: whether it is over
    cdef uint64_t asked            # how many calls had been answered by Python code when that was asked last
    cdef bint news                 # something else has happened since that it may depend on
    cdef bint refused              # the task in the CPU is to end: it has said so in the middle of a run
    cdef public double _polled     # when the host was looked at last

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
    cpdef _poll(self, double now)
    cpdef _look_at_host(self)
    cdef bint next_one(self, Waiting before) except -1
    cdef bint is_done(self) except -1
    cdef double now(self) except? -1
    cdef int put_result(self, Waiting task) except -1
    cpdef _serve(self, Waiting task)
    cdef int hand_over(self, Waiting before, Waiting task) except -1
    cdef object cpu_time_of(self, Waiting task)
    cpdef _until_a_look(self, double now, double seconds)
    cdef time_of(self, Waiting task)
    cdef object ran(self, Waiting task, object seconds)
    cdef go_on(self, Waiting task, Blocked record)
    cdef leave_wait(self, Waiting task)
    cdef finish(self, Waiting task, object outcome)
    cdef let_go(self, Waiting task, Blocked record)
    cdef int line_up(self, Waiting task) except -1
    cdef bint any_timers(self) except -1
