cimport cython
from libc.stdint cimport uint64_t
from axptr._core.cpu.unicorn.corrections cimport CorrectedCpu

cdef class UnicornCpu(CorrectedCpu):
    cdef uint64_t entry[2]         # pc and flags of the call being served
    cdef int uc_error
    cdef bint resumes              # the resume flag: no breakpoint before the next instruction
    cdef uint64_t retry_pc         # where a write to code was refused last

    cdef readonly uint64_t starts

    cdef int calm(self) except -1
    cdef void serve(self) noexcept nogil
    cdef int start(self) noexcept nogil
    cdef void retry(self) noexcept nogil
    cdef bint is_repeated(self, uint64_t vaddr) noexcept nogil
    cdef void step_on(self, uint64_t at) noexcept nogil
