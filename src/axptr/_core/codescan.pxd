from libc.stdint cimport uint8_t, uint16_t

# What the next instruction is to whoever runs it alone.
cdef enum:
    PLAIN = 0
    UNFINISHED = 1         # these bytes do not tell
    FORBIDDEN = 2          # a bit test of a register under `lock`
    READS_FLAGS = 3        # pushf
    SETS_FLAGS = 4         # popf, iret
    PAUSE = 5              # its last byte is the first 0x90

cdef enum:
    NEEDS_STEPS = -1
    MOST_EXITS = 24

cdef int judge(const uint8_t *page, uint16_t *exits) noexcept nogil
cdef int kind_of(const uint8_t *code, int size) noexcept nogil
