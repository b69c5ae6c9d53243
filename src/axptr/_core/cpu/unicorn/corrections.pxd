from libc.stdint cimport uint8_t, uint64_t
from axptr._core.cpu.x86.codescan cimport Insn
from axptr._core.cpu.unicorn.stepping cimport SteppedCpu

cdef class CorrectedCpu(SteppedCpu):
    cdef Insn insn                 # the instruction in hand, its bytes and how many, as far as immediate operands
    cdef const uint8_t *bytes
    cdef int room
    cdef int length                # without immediate operands
    cdef int lent                  # the library's number of a register that holds a copy of another, or -1
    cdef uint64_t kept[2]          # and what it held

    cdef uint64_t general(self, int number) noexcept nogil
    cdef void set_general(self, int number, uint64_t value) noexcept nogil
    cdef void set_flags(self, uint64_t flags) noexcept nogil
    cdef uint64_t address(self) noexcept nogil
    cdef int reach(self, uint64_t vaddr, int size, int access, uint8_t **hosts) noexcept nogil
    cdef int load(self, uint64_t vaddr, int size, uint8_t *to) noexcept nogil
    cdef int update(self, uint64_t vaddr, int width, int kind, uint64_t *value, uint64_t *flags) noexcept nogil
    cdef int width(self) noexcept nogil
    cdef uint64_t byte_register(self, int number, int width) noexcept nogil
    cdef int exchange(self) noexcept nogil
    cdef int negate(self) noexcept nogil
    cdef int test(self) noexcept nogil
    cdef int controls(self) noexcept nogil
    cdef int truncate(self) noexcept nogil
    cdef int selector(self) noexcept nogil
    cdef int pair(self) noexcept nogil
    cdef void lend(self) noexcept nogil
    cdef int detour(self) noexcept nogil
    cdef int strings(self) noexcept nogil
    cdef int timestamp(self) noexcept nogil
    cdef int random_number(self) noexcept nogil
    cdef int finish(self, int length) noexcept nogil
