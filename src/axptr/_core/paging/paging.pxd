cimport cython
from libc.stdint cimport uint32_t, uint64_t
from axptr._core.paging.format cimport CFormat, FormatCode
from axptr._core.phys.phys cimport PhysMemory

cdef class PageTable:
    cdef readonly PhysMemory phys
    cdef readonly object source
    cdef readonly object format
    cdef FormatCode code
    cdef CFormat* fmt          # code's
    cdef uint64_t root_paddr
    cdef bint owned
    cdef bint of_space         # seen through `space.page_table`
    cdef uint64_t load(self, uint64_t paddr) except? 0xDEAD
    cdef uint64_t* find(self, uint64_t vaddr, uint32_t* level) noexcept nogil
    cdef uint64_t* mapped(self, object vaddr, uint32_t* level) except NULL
