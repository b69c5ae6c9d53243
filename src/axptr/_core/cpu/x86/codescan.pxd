from libc.stdint cimport uint8_t, uint64_t

# What an instruction is. From UNDEFINED on, the library must not translate it as it does.
cdef enum:
    PLAIN = 0
    UNFINISHED = 1         # these bytes do not tell
    READS_FLAGS = 2        # pushf
    SETS_FLAGS = 3         # popf, iret
    PAUSE = 4              # its last byte is the first 0x90
    UNDEFINED = 5          # exception 6 on a CPU, something else for the library
    STRINGS = 6            # pcmpestri, pcmpestrm; pcmpistri, pcmpistrm that look for a substring
    EXCHANGE = 7           # cmpxchg of 32 bits
    NEGATE = 8             # lock neg
    TEST = 9               # the other spelling of test with a constant
    CONTROLS = 10          # ldmxcsr, fxrstor
    COMPARE = 11           # fcomi and its kin
    TRUNCATE = 12          # fisttp
    SELECTOR = 13          # a segment register is loaded
    PAIR = 14              # cmpxchg8b, cmpxchg16b
    HORIZONTAL = 15        # phaddw and its kin, of a register with itself
    REWRITE = 16           # right in another spelling of the same length (`rewrite`)

# What differs from run to run in an instruction that is plain.
cdef enum:
    NOTHING = 0
    TIMESTAMP = 1          # rdtsc, rdtscp
    ENTROPY = 2            # rdrand

cdef enum:
    LONGEST = 15           # bytes of the longest instruction

# What follows a modrm byte, without immediate operands. size: bytes, modrm itself too; -1 if `room` bytes do not tell.
cdef struct Insn:
    int at                 # of the opcode's first byte
    int modrm              # where that byte stands
    uint8_t rex            # 0 without
    bint short             # 0x66
    bint near              # 0x67
    bint locked
    bint stray             # a REX prefix that does not count, for it is not the last prefix
    uint8_t repeat         # 0xF2, 0xF3 or 0, the last one
    uint8_t segment        # 0x64, 0x65 or 0

cdef bint is_dull(uint8_t first) noexcept nogil
cdef bint is_in_memory(const uint8_t *code, int size) noexcept nogil
cdef int is_misaligned(const uint8_t *code, int size, uint64_t vaddr) noexcept nogil
cdef bint narrows_rax(const uint8_t *code, int size, bint narrow) noexcept nogil
cdef int operand_size(const uint8_t *modrm, int room) noexcept nogil
cdef bint read_prefixes(const uint8_t *code, int size, Insn *insn) noexcept nogil
cdef void rewrite(uint8_t *code, int size) noexcept nogil
cdef int kind_of(const uint8_t *code, int size) noexcept nogil
cdef int leak_of(const uint8_t *code, int size) noexcept nogil
cdef int chance_in(const uint8_t *code, int size) noexcept nogil
