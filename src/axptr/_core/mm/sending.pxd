# Bytes from one file to another without a copy of ours (sendfile(2)); `offset` is in the first, the second's own position
# goes on.
cdef extern from "<sys/sendfile.h>" nogil:
    Py_ssize_t sendfile(int into, int of, long long *offset, size_t count)
