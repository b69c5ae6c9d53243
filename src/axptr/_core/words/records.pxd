cimport cython

# held: the description, of `size` bytes; at: where the next stands; names: those that were read.
cdef class Records:
    cdef bytes held
    cdef Py_ssize_t size
    cdef Py_ssize_t at
    cdef list names
    cdef public object limit
    cpdef object number(self)
    cdef object large(self, object value, Py_ssize_t at)
    cpdef object room(self)
    cpdef bytes data(self)
    cpdef object text(self)
    cpdef object name(self)
    cpdef object value(self, int depth=*)
    cdef object real(self)
    cpdef object rare(self, int kind, int depth)
