from libc.stdint cimport uint8_t, uint64_t
cimport cython

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #ifdef __cplusplus
    extern "C"
    #endif
    void *memmem(const void *, size_t, const void *, size_t);
    static inline uint64_t axptr_word_at(const uint8_t *p, uint64_t size) {
        uint16_t two; uint32_t four; uint64_t eight;
        switch (size) {
        case 1: return *p;
        case 2: memcpy(&two, p, 2); return two;
        case 4: memcpy(&four, p, 4); return four;
        default: memcpy(&eight, p, 8); return eight;
        }
    }
    """
    void* memmem(const void* haystack, size_t size, const void* needle, size_t length) noexcept nogil
    # The word of 1, 2, 4 or 8 bytes at any address, in the host's order.
    uint64_t axptr_word_at(const uint8_t* p, uint64_t size) noexcept nogil

# What is looked for: bytes, of which `bits` count, or words of `length` bytes between a lower and an upper bound.
cdef struct Want:
    uint64_t length
    uint64_t align
    const uint8_t* text
    const uint8_t* bits        # NULL: all
    const uint64_t* bounds     # NULL: bytes; else pairs that go upwards and do not overlap, both ends included
    uint64_t pairs
    bint swapped               # words in the other byte order than the host's
