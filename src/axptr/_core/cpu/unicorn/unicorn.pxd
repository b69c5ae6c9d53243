cimport cython
from libc.stdint cimport int64_t, uint64_t
from axptr._core.cpu.unicorn.corrections cimport CorrectedCpu

# Why the loop without the GIL came out.
cdef extern from "<unistd.h>" nogil:
    int gettid()

cdef enum:
    CAME_STOPPED = 0       # somebody asked for it
    CAME_FAULT = 1         # an access that no area allows
    CAME_EXCEPTION = 2     # an exception of the CPU
    CAME_TIMEOUT = 3       # the deadline has passed
    CAME_ERROR = 4         # a handler raised
    CAME_PYTHON = 5        # a user's function must supply the page
    CAME_SIGNALS = 6       # time to look for signals
    CAME_BROKEN = 7        # Unicorn reports what cannot happen

cdef class UnicornCpu(CorrectedCpu):
    cdef object handler            # what system calls go to
    cdef object __weakref__

    # The run under way.
    cdef bint busy                 # a run() is going on
    cdef uint64_t args[9]          # number, six arguments, pc and flags of the call being served
    cdef int stop_asked            # from any thread; stays until a run ends for it
    cdef int stop_inside           # by a handler, for this run
    cdef int preempted             # the time is over, whatever the clock says; stays until a run ends for it
    cdef int64_t deadline          # nanoseconds of clock_now(), 0: none
    cdef int64_t signals_due       # when to look for signals next; 0: not this thread's business
    cdef int uc_error
    cdef uint64_t retry_pc         # where a write to code was refused last

    cdef readonly uint64_t starts, syscalls

    cdef int check_mine(self) except -1
    cdef int calm(self) except -1
    cdef void serve(self) noexcept nogil
    cdef int start(self) noexcept nogil
    cdef void retry(self) noexcept nogil
    cdef void step_on(self, uint64_t at) noexcept nogil
    cdef int loop(self) noexcept nogil
    cdef void call_handler(self) noexcept
