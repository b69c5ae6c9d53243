from libc.stdint cimport uint64_t
from axptr._core.cpu.native.clockpage cimport ClockPage
from axptr._core.cpu.native.nativepages cimport NativePages

cdef class NativeCpu(NativePages):
    cdef readonly uint64_t exits
    cdef ClockPage clock_page      # what guests tell the time by, to be kept right; None for nothing

    cdef void serve(self) noexcept nogil
    cdef int go(self) noexcept nogil
    cdef bint sets_out(self) noexcept nogil
    cdef int set_off(self) noexcept nogil
    cdef int wait(self) noexcept nogil
    cdef int arrive(self, int event) noexcept nogil
    cdef int sort_signal(self) noexcept nogil
    cdef int sort_out(self) noexcept nogil
    cdef int served(self) noexcept nogil
    cdef bint at_breakpoint(self, uint64_t vaddr) noexcept nogil
