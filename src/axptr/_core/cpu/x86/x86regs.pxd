from libc.stdint cimport uint64_t
from axptr._core.cpu.unicorn.uclib cimport Api

cdef enum:
    USER_FLAGS = 0x250DD5          # what is set by name: CF PF AF ZF SF TF DF OF RF AC ID
    POPF_FLAGS = USER_FLAGS | 0x4000  # what a program may set: NT too
    FIXED_FLAGS = 0x202            # what is always set: interrupts on, and bit 1
    FIRST_FPCW = 0x37F             # FPU control word and MXCSR as the kernel hands them to a program
    FIRST_MXCSR = 0x1F80

# Whether a program can have loaded a selector where data is meant: null, or Linux' descriptors for programs.
cdef inline bint is_loadable(uint64_t selector) noexcept nogil:
    return selector < 4 or (selector < 0x80 and selector & 0xFFFC in (0x20, 0x28, 0x30, 0x78))

cdef object read_register(Api *api, void *uc, str name)
cdef int write_register(Api *api, void *uc, str name, object value) except -1
cdef uint64_t register_bits(object value) except? 0xFFFFFFFFFFFFFFFF
