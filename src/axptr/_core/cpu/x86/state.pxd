from axptr._core.cpu.unicorn.uclib cimport Api
from libc.stdint cimport uint64_t

# Words of user_regs_struct.
cdef enum:
    RIP = 16
    CS = 17
    RFLAGS = 18
    SS = 20
    DS = 23
    GS = 26

cdef bytes take_general(Api *api, void *uc, uint64_t pc, uint64_t flags)
cdef bytes take_extended(Api *api, void *uc)
cdef uint64_t general_word(bytes general, int index)
cdef int put_general(Api *api, void *uc, bytes general) except -1
cdef int put_extended(Api *api, void *uc, bytes extended) except -1
cdef int require_state(bytes general, bytes extended) except -1
