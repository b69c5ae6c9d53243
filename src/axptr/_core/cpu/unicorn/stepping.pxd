cimport cython
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from axptr._core.cpu.unicorn.cpudevices cimport DeviceCpu

cdef enum:
    NO_VECTOR = -1         # no exception ended the run

# What is to be done about the next instruction.
cdef enum:
    STEP = 0               # the library runs it, alone
    DONE = 1               # it has been done
    REFUSED = 2            # its access to memory was
    INVALID = 3            # exception 6
    PROTECTED = 4          # exception 13

cdef class SteppedCpu(DeviceCpu):
    cdef uint64_t pc               # the next instruction whenever the guest is not executing
    cdef bint pc_set               # `pc` is right as it is, the library's is not
    cdef bint asked_out            # a callback of ours asked the guest to come out

    cdef uint64_t step_page        # steps go on while `pc` is in this page
    cdef uint64_t stepped_from     # where the step began that ended right before now, or 0
    cdef uint64_t jumped_from      # the same of the last stay in guest code
    cdef uint64_t entered_at       # where that began
    cdef bint step_once            # one step is all that is wanted
    cdef public bint _always_step  # for tests
    cdef int step_kind             # of the instruction to be stepped over
    cdef int step_chance           # what of it differs from run to run, where that is not to be
    cdef bint trapping             # the trap flag is ours, the guest's is `guest_trap`
    cdef bint trapped              # the step is done
    cdef uint64_t guest_trap

    cdef bint own_fault            # we found it, not the library

    # A CPU whose time is what it has done: bytes of code that have begun to run.
    cdef bint metered
    cdef readonly uint64_t work
    cdef uint64_t work_limit       # where the run under way ends; 0: nowhere
    cdef public uint64_t clock_base  # what the time stamp counter shows before any work
    cdef public uint64_t entropy   # what rdrand's numbers are made of next

    # What was translated last.
    cdef uint64_t block_at         # the instruction before, in the block in hand
    cdef int leaked                # temporaries since the block began
    cdef bint narrow               # the upper half of rax is zero there, see `narrows_rax`

    cdef void leave(self, uint32_t number) noexcept nogil
    cdef int code_at(self, uint64_t vaddr, uint8_t *code) noexcept nogil
    cdef int peek(self, uint64_t vaddr, uint8_t *code, int size) noexcept nogil
    cdef uint64_t frame_at(self, uint64_t vaddr) noexcept nogil
    cdef int begin_step(self) noexcept nogil
    cdef int correct(self, const uint8_t *code, int size) noexcept nogil
    cdef void corrected(self) noexcept nogil
    cdef void give_flags_back(self) noexcept nogil
    cdef void end_step(self) noexcept nogil
    cdef bint keeps_stepping(self, uint64_t last_pc) noexcept nogil
