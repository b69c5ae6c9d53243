cimport cython

# held: the description, of `size` bytes; at: where the next stands; names: those that were read.
cdef class Records:
    cdef bytes held
    cdef Py_ssize_t size
    cdef Py_ssize_t at
    cdef list names
    cdef dict known
    cdef dict alike
    cdef public object limit
    cpdef object number(self)
    cdef object large(self, object value, Py_ssize_t at)
    cpdef object room(self)
    cpdef bytes data(self)
    cpdef object text(self)
    cpdef object name(self)
    cpdef tuple some_names(self)
    cpdef object value(self, int depth=*)
    cpdef tuple values(self)
    cdef object real(self)
    cdef object items(self, int depth)
    cdef object node(self, Py_ssize_t index, Py_ssize_t count)
    cpdef object rare(self, int kind, int depth)
