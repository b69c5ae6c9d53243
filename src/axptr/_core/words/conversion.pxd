from libc.stdint cimport uint64_t

cdef extern from "Python.h":
    unsigned long long PyLong_AsUnsignedLongLongMask(object number) except? -1

cdef class Bound:
    cdef object handler
    cdef int count
    cdef int beyond[6]
    cdef bint signed[6]
    cdef list made

    cdef object serve(self, object task, const uint64_t *registers)
