from libc.stdint cimport uint64_t
from axptr._core.cpu.native.nativepages cimport NativePages

cdef class NativeCpu(NativePages):
    cdef readonly uint64_t exits

    cdef void serve(self) noexcept nogil
    cdef int go(self) noexcept nogil
    cdef bint sets_out(self) noexcept nogil
    cdef int wait(self) noexcept nogil
    cdef int sort_signal(self) noexcept nogil
    cdef int sort_out(self) noexcept nogil
