cdef int borrow(object data, Py_buffer* view, bint writable) except -1
