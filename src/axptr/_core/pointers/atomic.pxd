from libc.stdint cimport int64_t, uint8_t, uint64_t
cimport cython

cdef extern from *:
    """
    #include <stdint.h>
    enum { AXPTR_LOAD, AXPTR_STORE, AXPTR_EXCHANGE, AXPTR_COMPARE, AXPTR_ADD, AXPTR_ADD_SWAPPED, AXPTR_OR, AXPTR_AND,
           AXPTR_XOR };
    #define AXPTR_ATOMIC(NAME, T, SWAP) \\
        static inline uint64_t NAME(int op, void *p, uint64_t value, uint64_t expected) { \\
            T *word = (T *)p; T old = (T)expected; \\
            switch (op) { \\
            case AXPTR_LOAD: return __atomic_load_n(word, __ATOMIC_SEQ_CST); \\
            case AXPTR_STORE: __atomic_store_n(word, (T)value, __ATOMIC_SEQ_CST); return 0; \\
            case AXPTR_EXCHANGE: return __atomic_exchange_n(word, (T)value, __ATOMIC_SEQ_CST); \\
            case AXPTR_ADD: return __atomic_fetch_add(word, (T)value, __ATOMIC_SEQ_CST); \\
            case AXPTR_OR: return __atomic_fetch_or(word, (T)value, __ATOMIC_SEQ_CST); \\
            case AXPTR_AND: return __atomic_fetch_and(word, (T)value, __ATOMIC_SEQ_CST); \\
            case AXPTR_XOR: return __atomic_fetch_xor(word, (T)value, __ATOMIC_SEQ_CST); \\
            case AXPTR_ADD_SWAPPED: \\
                old = __atomic_load_n(word, __ATOMIC_SEQ_CST); \\
                while (!__atomic_compare_exchange_n(word, &old, SWAP((T)(SWAP(old) + (T)value)), 0, \\
                                                    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {} \\
                return old; \\
            default: \\
                __atomic_compare_exchange_n(word, &old, (T)value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \\
                return old; \\
            } \\
        }
    AXPTR_ATOMIC(axptr_atomic_1, uint8_t, (uint8_t))
    AXPTR_ATOMIC(axptr_atomic_2, uint16_t, __builtin_bswap16)
    AXPTR_ATOMIC(axptr_atomic_4, uint32_t, __builtin_bswap32)
    AXPTR_ATOMIC(axptr_atomic_8, uint64_t, __builtin_bswap64)
    static inline uint64_t axptr_atomic(uint64_t size, int op, void *p, uint64_t value, uint64_t expected) {
        switch (size) {
        case 1: return axptr_atomic_1(op, p, value, expected);
        case 2: return axptr_atomic_2(op, p, value, expected);
        case 4: return axptr_atomic_4(op, p, value, expected);
        default: return axptr_atomic_8(op, p, value, expected);
        }
    }
    """
    enum:
        AXPTR_LOAD
        AXPTR_STORE
        AXPTR_EXCHANGE
        AXPTR_COMPARE
        AXPTR_ADD
        AXPTR_ADD_SWAPPED
        AXPTR_OR
        AXPTR_AND
        AXPTR_XOR
    # The value before, of an aligned word of 1, 2, 4 or 8 bytes; 0 for a store. `expected` is for a comparison alone.
    uint64_t axptr_atomic(uint64_t size, int op, void* p, uint64_t value, uint64_t expected) noexcept nogil
