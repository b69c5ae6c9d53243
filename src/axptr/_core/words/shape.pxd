cimport cython

# offsets: of each of the names, 0 in the `__dict__`. unset: slots that are none of them.
@cython.final
cdef class Shape:
    cdef Py_ssize_t *offsets
    cdef tuple unset
    cdef Py_ssize_t *unset_at      # where they lie, 0 of what is no plain slot
    cdef int unset_in(self, object it) except -1
