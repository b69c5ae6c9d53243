from libc.stdint cimport uint64_t
from axptr._core.kernel.waiting cimport Waiting
from axptr._core.words.conversion cimport Bound

cdef class FileCall(Bound):
    cdef readonly Bound plain             # what does all of it
    cdef int form                  # which of several calls it is

cdef class StatusCall(FileCall):
    cdef object opened             # the class of an open file of the host's
    cdef object serve(self, object task, const uint64_t *registers)
    cdef object described(self, Waiting task, uint64_t number, uint64_t to)

cdef class OpenCall(FileCall):
    cdef object made               # makes the open file
    cdef int plain_flags
    cdef int kept_flags

    cdef object serve(self, object task, const uint64_t *registers)
    cdef object shown(self, Waiting task, object start, object node, int flags, const uint64_t *registers)

cdef class XattrCall(FileCall):
    cdef object serve(self, object task, const uint64_t *registers)

cdef class ReadlinkCall(FileCall):
    cdef object serve(self, object task, const uint64_t *registers)

cdef class AccessCall(FileCall):
    cdef object serve(self, object task, const uint64_t *registers)
