from libc.stdint cimport int64_t, uint32_t, uint64_t
from axptr._core.phys.phys cimport PhysMemory

cdef extern from "keepclock.h" nogil:
    struct clock_page:
        uint32_t one_cpu
    struct clock_keeper:
        pass
    void keep_begin(clock_keeper *)
    int keep_due(const clock_keeper *)
    void keep_page(clock_keeper *, clock_page *, const int64_t *ahead, bint all)

cdef extern from "vdso_bytes.h" nogil:
    const unsigned char nat_vdso[]
    size_t nat_vdso_size

cdef class ClockPage:
    cdef PhysMemory phys
    cdef clock_page *page
    cdef clock_keeper keeper
    cdef int64_t ahead[3]
    cdef bint all

    cdef void renew(self) noexcept nogil
