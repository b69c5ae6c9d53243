from libc.stdint cimport uint8_t, uint32_t, uint64_t
cimport cython
from axptr._core.phys.phys cimport PhysMemory
from axptr._core.mm.space cimport SpaceCore

cdef class PinnedView:
    cdef PhysMemory phys
    cdef uint64_t* pfns
    cdef uint64_t npages
    cdef uint8_t* start        # the first byte shown
    cdef uint8_t* window       # host pages of its own that show scattered frames side by side, or NULL
    cdef Py_ssize_t nbytes
    cdef bint readonly
    cdef bytes format
    cdef int ndim
    cdef Py_ssize_t itemsize
    cdef Py_ssize_t shape[2]
    cdef Py_ssize_t strides[2]
    cdef object __weakref__
    cdef int pin(self, SpaceCore space, uint64_t vaddr, uint64_t* bad) except -1
    cdef void pin_page(self, SpaceCore space, uint64_t at, uint64_t pfn) noexcept nogil
    cdef uint8_t* side_by_side(self) except NULL
    cdef uint64_t run_from(self, uint64_t first) noexcept nogil
    cdef int open_window(self) except -1

cdef object pin_span(SpaceCore space, uint64_t vaddr, uint64_t count, uint64_t size, uint64_t align, int access, bytes format, bint rows)
