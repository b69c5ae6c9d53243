cimport cython
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from axptr._core.cpudevices cimport DeviceCpu

cdef enum:
    NO_VECTOR = -1

cdef class SteppedCpu(DeviceCpu):
    cdef uint64_t pc               # the next instruction whenever the guest is not executing
    cdef bint pc_set               # `pc` is right as it is, the library's is not
    cdef int vector                # the exception that ended the run, or NO_VECTOR
    cdef bint asked_out            # a callback of ours asked the guest to come out

    cdef uint64_t step_page        # steps go on while `pc` is in this page
    cdef int step_kind             # of the instruction to be stepped over
    cdef bint trapping             # the trap flag is ours, the guest's is `guest_trap`
    cdef bint trapped              # the step is done
    cdef uint64_t guest_trap

    cdef void leave(self, uint32_t number) noexcept nogil
    cdef int peek(self, uint64_t vaddr, uint8_t *code, int size) noexcept nogil
    cdef uint64_t frame_at(self, uint64_t vaddr) noexcept nogil
    cdef int begin_step(self) noexcept nogil
    cdef void give_flags_back(self) noexcept nogil
    cdef void end_step(self) noexcept nogil
    cdef bint keeps_stepping(self, uint64_t last_pc) noexcept nogil
