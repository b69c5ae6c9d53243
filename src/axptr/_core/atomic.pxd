from libc.stdint cimport int64_t, uint8_t, uint64_t
cimport cython

cdef extern from *:
    """
    #include <stdint.h>
    enum { AXPTR_LOAD, AXPTR_STORE, AXPTR_EXCHANGE, AXPTR_COMPARE, AXPTR_ADD, AXPTR_ADD_SWAPPED };
    #define AXPTR_ATOMIC(T, SWAP) \\
        T *word = (T *)p; T old = (T)expected; \\
        switch (op) { \\
        case AXPTR_LOAD: return __atomic_load_n(word, __ATOMIC_SEQ_CST); \\
        case AXPTR_STORE: __atomic_store_n(word, (T)value, __ATOMIC_SEQ_CST); return 0; \\
        case AXPTR_EXCHANGE: return __atomic_exchange_n(word, (T)value, __ATOMIC_SEQ_CST); \\
        case AXPTR_ADD: return __atomic_fetch_add(word, (T)value, __ATOMIC_SEQ_CST); \\
        case AXPTR_ADD_SWAPPED: \\
            old = __atomic_load_n(word, __ATOMIC_SEQ_CST); \\
            while (!__atomic_compare_exchange_n(word, &old, SWAP((T)(SWAP(old) + (T)value)), 0, __ATOMIC_SEQ_CST, \\
                                                __ATOMIC_SEQ_CST)) {} \\
            return old; \\
        default: __atomic_compare_exchange_n(word, &old, (T)value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); return old; \\
        }
    static inline uint64_t axptr_atomic_4(int op, void *p, uint64_t value, uint64_t expected) {
        AXPTR_ATOMIC(uint32_t, __builtin_bswap32)
    }
    static inline uint64_t axptr_atomic_8(int op, void *p, uint64_t value, uint64_t expected) {
        AXPTR_ATOMIC(uint64_t, __builtin_bswap64)
    }
    static inline uint64_t axptr_swapped(uint64_t value, uint64_t size) {
        return size == 4 ? __builtin_bswap32((uint32_t)value) : __builtin_bswap64(value);
    }
    """
    enum:
        AXPTR_LOAD
        AXPTR_STORE
        AXPTR_EXCHANGE
        AXPTR_COMPARE
        AXPTR_ADD
        AXPTR_ADD_SWAPPED
    uint64_t axptr_swapped(uint64_t value, uint64_t size) noexcept nogil
    # The value before, of an aligned word; 0 for a store. `expected` is for a comparison alone.
    uint64_t axptr_atomic_4(int op, void* p, uint64_t value, uint64_t expected) noexcept nogil
    uint64_t axptr_atomic_8(int op, void* p, uint64_t value, uint64_t expected) noexcept nogil
