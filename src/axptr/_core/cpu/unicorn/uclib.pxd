from axptr._core.cpu.metronome cimport pthread_t
from libc.stdint cimport uint16_t, uint32_t, uint64_t

# The functions of the library that we call, as unicorn.h declares them.
cdef struct Api:
    unsigned int (*version)(unsigned int *major, unsigned int *minor) noexcept nogil
    int (*open)(int arch, int mode, void **uc) noexcept nogil
    int (*close)(void *uc) noexcept nogil
    int (*ctl)(void *uc, int control, ...) noexcept nogil
    const char *(*strerror)(int code) noexcept nogil
    int (*hook_add)(void *uc, size_t *hook, int type, void *callback, void *user, uint64_t begin, uint64_t end, ...) noexcept nogil
    int (*hook_del)(void *uc, size_t hook) noexcept nogil
    int (*mem_map_ptr)(void *uc, uint64_t address, uint64_t size, uint32_t perms, void *ptr) noexcept nogil
    int (*mmio_map)(void *uc, uint64_t address, size_t size, void *read, void *user_read, void *write, void *user_write) noexcept nogil
    int (*emu_start)(void *uc, uint64_t begin, uint64_t until, uint64_t timeout, size_t count) noexcept nogil
    int (*emu_stop)(void *uc) noexcept nogil
    int (*reg_read)(void *uc, int regid, void *value) noexcept nogil
    int (*reg_write)(void *uc, int regid, const void *value) noexcept nogil
    int (*reg_read_batch)(void *uc, const int *regs, void **vals, int count) noexcept nogil
    int (*reg_write_batch)(void *uc, const int *regs, void **vals, int count) noexcept nogil
    int (*context_alloc)(void *uc, void **context) noexcept nogil
    int (*context_free)(void *context) noexcept nogil
    int (*context_save)(void *uc, void *context) noexcept nogil
    int (*context_restore)(void *uc, void *context) noexcept nogil
    int (*context_reg_read)(void *context, int regid, void *value) noexcept nogil
    int (*context_reg_write)(void *context, int regid, const void *value) noexcept nogil

cdef struct TlbAnswer:         # uc_tlb_entry
    uint64_t paddr
    uint32_t perms

cdef struct TableRegister:     # uc_x86_mmr
    uint16_t selector
    uint64_t base
    uint32_t limit
    uint32_t flags

cdef enum:
    UC_ARCH_X86 = 4
    UC_MODE_64 = 8
    UC_CPU_X86_IVYBRIDGE = 18

    UC_ERR_OK = 0
    UC_ERR_INSN_INVALID = 10
    UC_ERR_EXCEPTION = 21

    UC_HOOK_INTR = 1
    UC_HOOK_INSN = 2
    UC_HOOK_BLOCK = 8
    UC_HOOK_TLB_FILL = 131072

    UC_MEM_READ = 16
    UC_MEM_WRITE = 17
    UC_MEM_FETCH = 18
    UC_PROT_ALL = 7

    UC_X86_INS_IN = 218
    UC_X86_INS_OUT = 500
    UC_X86_INS_SYSCALL = 699
    UC_X86_INS_SYSENTER = 700

    # uc_ctl: the control, the number of its arguments << 26, write << 30
    CTL_USE_EXITS = 4 | 1 << 26 | 1 << 30
    CTL_EXITS = 6 | 2 << 26 | 1 << 30
    CTL_CPU_MODEL = 7 | 1 << 26 | 1 << 30
    CTL_REMOVE_CACHE = 9 | 2 << 26 | 1 << 30
    CTL_TB_FLUSH = 10 | 1 << 30
    CTL_TLB_FLUSH = 11 | 1 << 30
    CTL_TLB_TYPE = 12 | 1 << 26 | 1 << 30
    UC_TLB_VIRTUAL = 1

    UC_X86_REG_CS = 11
    UC_X86_REG_DS = 17
    UC_X86_REG_EFLAGS = 25
    UC_X86_REG_ES = 28
    UC_X86_REG_FPSW = 31
    UC_X86_REG_FS = 32
    UC_X86_REG_GS = 33
    UC_X86_REG_RAX = 35
    UC_X86_REG_RBP = 36
    UC_X86_REG_RBX = 37
    UC_X86_REG_RCX = 38
    UC_X86_REG_RDI = 39
    UC_X86_REG_RDX = 40
    UC_X86_REG_RIP = 41
    UC_X86_REG_RSI = 43
    UC_X86_REG_RSP = 44
    UC_X86_REG_SS = 49
    UC_X86_REG_FP0 = 82
    UC_X86_REG_CR0 = 50
    UC_X86_REG_CR4 = 54
    UC_X86_REG_R8 = 106
    UC_X86_REG_ST0 = 114
    UC_X86_REG_XMM0 = 122
    UC_X86_REG_GDTR = 243
    UC_X86_REG_FPCW = 246
    UC_X86_REG_FPTAG = 247
    UC_X86_REG_MXCSR = 249
    UC_X86_REG_FS_BASE = 250
    UC_X86_REG_GS_BASE = 251
    UC_X86_REG_FIP = 254
    UC_X86_REG_FDP = 256
    UC_X86_REG_FOP = 258

cdef extern from "<pthread.h>" nogil:
    int pthread_join(pthread_t, void **)

cdef int load(str path) except -1
cdef Api *loaded() noexcept nogil
