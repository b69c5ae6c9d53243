cimport cython
from libc.stdint cimport int64_t, uint64_t
from axptr._core.metronome cimport Beat
from axptr._core.phys cimport EngineLink
from axptr._core.space cimport SpaceCore
from axptr._core.uclib cimport TlbAnswer
from axptr._core.usercpu cimport UserCpu

# Why the loop without the GIL came out.
cdef enum:
    CAME_STOPPED = 0       # somebody asked for it
    CAME_FAULT = 1         # an access that no area allows
    CAME_EXCEPTION = 2     # an exception of the CPU
    CAME_TIMEOUT = 3       # the deadline has passed
    CAME_ERROR = 4         # a handler raised
    CAME_PYTHON = 5        # a user's function must supply the page
    CAME_SIGNALS = 6       # time to look for signals
    CAME_BROKEN = 7        # Unicorn reports what cannot happen

cdef enum:
    NO_VECTOR = -1

ctypedef void (*Ask)(void *) noexcept nogil

cdef class UnicornCpu(UserCpu):
    cdef EngineLink link
    cdef Beat beat
    cdef SpaceCore mmu             # the space the CPU sees, or None
    cdef object handler            # what system calls go to
    cdef object error              # what a handler raised
    cdef object __weakref__

    # The run under way. `pc` is the next instruction whenever the guest is not executing.
    cdef bint linked               # `link` is registered with the memory
    cdef uint64_t pc
    cdef bint pc_set               # `pc` is right as it is, the library's is not
    cdef bint busy                 # a run() is going on
    cdef bint failed               # `error` is set
    cdef bint asked_out            # a callback of ours asked the guest to come out
    cdef uint64_t args[9]          # number, six arguments, pc and flags of the call being served
    cdef int stop_asked            # from any thread; stays until a run ends for it
    cdef int stop_inside           # by a handler, for this run
    cdef int64_t deadline          # nanoseconds of clock_now(), 0: none
    cdef int64_t signals_due       # when to look for signals next; 0: not this thread's business
    cdef int vector
    cdef int uc_error
    cdef bint probing              # the fill hook answers for the probe window
    cdef int refused               # FAULT_*: why the last fill was refused
    cdef int refused_access
    cdef uint64_t refused_page
    cdef uint64_t fault_addr
    cdef uint64_t retry_pc
    cdef int retries

    # The size of Unicorn's own table of translations, as far as we can tell from outside.
    cdef uint64_t fresh            # fills since the last flush
    cdef uint64_t grow_at

    cdef readonly uint64_t fills, flushes, starts, syscalls, code_drops

    cdef int check_mine(self) except -1
    cdef void release(self) noexcept
    cdef bint answer(self, uint64_t vaddr, int kind, TlbAnswer *entry) noexcept nogil
    cdef void flush(self) noexcept nogil
    cdef void flush_inside(self) noexcept nogil
    cdef void apply(self) noexcept nogil
    cdef void enter(self) noexcept nogil
    cdef void serve(self) noexcept nogil
    cdef int start(self, bint has_exit, uint64_t exit_at) noexcept nogil
    cdef int loop(self) noexcept nogil
    cdef void call_handler(self) noexcept
