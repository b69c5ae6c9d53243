from libc.stdint cimport int64_t, uint64_t
from axptr._core.kernel.filecalls cimport FileCall
from axptr._core.kernel.waiting cimport Waiting

# Of the user's memory: struct iovec.
cdef struct Part:
    uint64_t at, size

cdef class TransferCall(FileCall):
    cdef object opened
    cdef object others

    cdef object left(self, object task, const uint64_t *registers)
    cdef uint64_t parts_of(self, Waiting task, const uint64_t *registers, int access, Part *parts) except? 0
    cdef int descriptor(self, Waiting task, object file, unsigned int kind) except? -1

cdef class ReadCall(TransferCall):
    cdef object from_memory(self, Waiting task, object file, Part *parts, uint64_t count, int64_t at,
                            const uint64_t *registers)
    cdef object serve(self, object task, const uint64_t *registers)

cdef class WriteCall(TransferCall):
    cdef object written
    cdef object rest
    cdef object serve(self, object task, const uint64_t *registers)
