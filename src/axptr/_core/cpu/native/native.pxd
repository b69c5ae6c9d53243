from libc.stdint cimport int64_t, uint64_t
from axptr._core.cpu.native.nativepages cimport NativePages

cdef enum:
    CAME_STOPPED = 1
    CAME_FAULT = 2
    CAME_EXCEPTION = 3
    CAME_TIMEOUT = 4
    CAME_PYTHON = 5
    CAME_ERROR = 6
    CAME_SIGNALS = 7
    CAME_DEAD = 8
    CAME_ASTRAY = 9        # the guest did what only the stub may
    CAME_MOVED = 10        # another stub is needed; nothing is lost

cdef class NativeCpu(NativePages):
    cdef bint failed
    cdef int stop_inside, stop_asked, preempted
    cdef int64_t signals_due
    cdef object handler, error
    cdef uint64_t fault_addr
    cdef int fault_access, fault_code, vector, error_code
    cdef readonly uint64_t syscalls, exits

    cdef int go(self) noexcept nogil
    cdef int wait(self) noexcept nogil
    cdef void serve(self) noexcept nogil
    cdef void call_handler(self) noexcept
    cdef int loop(self) noexcept nogil
    cdef int sort_out(self) noexcept nogil
