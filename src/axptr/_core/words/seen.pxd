cimport cython
from cpython.ref cimport PyObject
from libc.stdint cimport uint64_t

# table: `size` places, NULL where nobody is; count: how many are there. line: numbers that wait for their user, `waiting` of
# them, as many as were expected at most.
@cython.final
cdef class Seen:
    cdef void **table
    cdef uint64_t size
    cdef uint64_t count
    cdef Py_ssize_t *line
    cdef Py_ssize_t waiting
    cdef void **place(self, void *it) noexcept
    cdef bint enter(self, PyObject *it) except -1
    cdef int grow(self) except -1
