# Which account the calling thread acts for: one of `charges`, which alone asks here. (Each compiled module has its own.)

from libc.stdint cimport uint16_t

cdef extern from *:
    """
    #include <stdint.h>
    static __thread void *axptr_acting_memory __attribute__((unused));
    static __thread uint16_t axptr_acting_number __attribute__((unused));
    #define axptr_acts_in() axptr_acting_memory
    #define axptr_acts_for() axptr_acting_number
    #define axptr_set_acting(m, n) (axptr_acting_memory = (m), axptr_acting_number = (n))
    """
    void *axptr_acts_in() noexcept nogil
    uint16_t axptr_acts_for() noexcept nogil
    void axptr_set_acting(void *memory, uint16_t number) noexcept nogil
