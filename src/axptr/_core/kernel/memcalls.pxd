from libc.stdint cimport int64_t, uint32_t, uint64_t
from axptr._core.kernel.filecalls cimport FileCall
from axptr._core.kernel.waiting cimport Waiting
from axptr._core.mm.mapping cimport MappedSpace

# What a machine may hold, in bytes; `besides`: what is taken off it beside books of areas.
cdef struct Books:
    bint limited
    int64_t limit, besides

cdef class MemoryCall(FileCall):
    cdef object mend               # writes back what shared mappings had written
    cdef uint32_t rights[8]        # what an area gets, by PROT_READ, WRITE and EXEC

    cdef bint ordinary(self, Waiting task) except -1

cdef class MapCall(MemoryCall):
    cdef object fresh              # what backs fresh memory
    cdef object opened             # the class of an open file of the host's
    cdef object made               # has an open file mapped for the first time

    cdef tuple shown(self, Waiting task, uint64_t fd, uint64_t end, bint executes)
    cdef object serve(self, object task, const uint64_t *registers)

cdef class UnmapCall(MemoryCall):
    cdef object serve(self, object task, const uint64_t *registers)

cdef class ProtectCall(MemoryCall):
    cdef object serve(self, object task, const uint64_t *registers)

cdef class BreakCall(MemoryCall):
    cdef object fresh

    cdef object serve(self, object task, const uint64_t *registers)
    cdef bint moved(self, Waiting task, uint64_t old, uint64_t new) except -1
