from libc.stdint cimport int64_t, uint64_t
from axptr._core.cpu.metronome cimport Beat
from axptr._core.mm.space cimport SpaceCore
from axptr._core.phys.coherence cimport EngineLink
from axptr._core.phys.phys cimport PhysMemory

cdef extern from "<unistd.h>" nogil:
    int gettid()

# Why the loop without the GIL came out.
cdef enum:
    CAME_STOPPED = 1       # somebody asked for it
    CAME_FAULT = 2         # an access that no area allows
    CAME_EXCEPTION = 3     # an exception of the CPU
    CAME_TIMEOUT = 4       # the deadline has passed
    CAME_ERROR = 5         # a handler raised
    CAME_PYTHON = 6        # a user's function must supply the page
    CAME_SIGNALS = 7       # time to look for signals
    CAME_RENEW = 8         # something must be made anew before it goes on; nothing is lost
    CAME_BROKEN = 9        # what cannot happen, or a guest's process that was ended from outside
    CAME_ASTRAY = 10       # the guest did what only the stub may
    CAME_STEP = 11         # the one instruction that it was to do is done
    CAME_BREAK = 12        # the next instruction has a breakpoint
    CAME_WATCH = 13        # an access to watched bytes, or near them, is about to be made

# A run of one instruction; without regard to breakpoints where it lies; nor to what is watched.
cdef enum:
    STEP_ONE = 1
    STEP_BARE = 2
    STEP_OPEN = 4

cdef int64_t signal_period

# The memory, and whoever changes spaces, can ask the CPU of `link` to come out, by `beat`; and not any more.
cdef int join(PhysMemory phys, EngineLink *link, Beat *beat) except -1
cdef void leave(PhysMemory phys, EngineLink *link, Beat *beat) noexcept

# What becomes of a call in compiled code.
cdef enum:
    CALL_OPEN = 0          # nothing: it is to be answered
    CALL_DONE = 1
    CALL_WAITS = 2         # its guest is not to go on

# What may answer system calls without a frame of Python's between: a number and six registers.
cdef class Answers:
    cdef int at_once(self, const uint64_t *call, int64_t *result) except -1
    cdef object answer(self, const uint64_t *call)

# Who may put another guest on the CPU while a run is under way: asked where the guest whose call was served does not go on.
cdef class Exchange:
    cdef bint exchange(self) except -1

cdef class RunningCpu:
    cdef readonly PhysMemory phys
    cdef SpaceCore mmu             # the space the CPU sees, or None
    cdef object handler            # what system calls go to
    cdef Exchange successor        # who may have another guest go on in the run under way, or None
    cdef bint closed

    # The run under way.
    cdef bint busy                 # a run() is going on
    cdef void *owner               # by this thread
    cdef Beat *clock               # what asks it to come out; NULL: nothing does
    cdef uint64_t args[7]          # number and arguments of the call being served
    cdef bint serving              # a call is being served
    cdef uint64_t answered         # calls that were answered by Python code
    cdef object error              # what a user's function raised
    cdef bint failed               # `error` is set
    cdef int stop_asked            # from any thread; stays until a run ends for it
    cdef int stop_inside           # by a handler, for this run
    cdef int preempted             # the time is over, whatever the clock says; stays until a run ends for it
    cdef int64_t deadline          # nanoseconds of clock_now(), 0: none
    cdef int single                # STEP_* of the run under way, 0: it goes on
    cdef int64_t signals_due       # when to look for signals next; 0: not this thread's business

    # How it came out.
    cdef readonly bint lost                 # registers that were not here are gone: what ran the guest was ended from outside
    cdef int refused               # FAULT_*: why the last fill was refused
    cdef int refused_access
    cdef uint64_t refused_page
    cdef uint64_t fault_addr       # of an access that was refused, its first byte
    cdef int vector                # the exception that ended the run
    cdef uint64_t error_code

    cdef readonly uint64_t fills, syscalls
    cdef object __weakref__

    # What each kind of CPU has of its own.
    cdef int loop(self) noexcept nogil
    cdef uint64_t next_instruction(self) noexcept
    cdef void put_result(self, uint64_t value) noexcept
    cdef int begin_run(self) except -1
    cdef void take_over(self) noexcept
    cdef void end_run(self) noexcept
    cdef int renew(self) except -1
    cdef object came_out(self, int code)
    cdef int change_space(self, SpaceCore space) except -1
    cdef void release(self) noexcept
    cdef object get_register(self, str name)
    cdef int set_register(self, str name, object value) except -1

    cdef int check_mine(self) except -1
    cdef int handle(self, object handler) except -1
    cdef int64_t require_ready(self, object timeout) except -2
    cdef object execute(self, int64_t wait)
    cdef int asked_to_stop(self) noexcept nogil
    cdef int beaten(self) noexcept nogil
    cdef void goes_on_for(self, int64_t wait) noexcept nogil
    cdef void hasten(self, int64_t wait) noexcept nogil
    cdef void serve_in_python(self) noexcept nogil
    cdef void call_handler(self) noexcept

cdef class Registers:
    cdef RunningCpu cpu
