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

cdef object pin_span(SpaceCore space, uint64_t vaddr, uint64_t count, uint64_t size, uint64_t align, int access, bytes format, bint rows)
