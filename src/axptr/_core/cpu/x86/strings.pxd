from libc.stdint cimport int64_t, uint8_t, uint64_t

cdef struct StringPair:
    uint8_t first[16]
    uint8_t second[16]
    uint8_t control        # the immediate operand
    bint counted           # `lengths` count, else a zero ends each
    int64_t lengths[2]     # in elements, of any size and sign

    uint64_t index
    uint8_t mask[16]
    uint64_t flags

cdef void compare_strings(StringPair *pair) noexcept nogil
