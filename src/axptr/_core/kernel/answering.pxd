from libc.stdint cimport int64_t, uint64_t
from axptr._core.cpu.running cimport Answers
from axptr._core.kernel.turns cimport Turns
from axptr._core.kernel.waiting cimport Waiting

cdef class Answering(Answers):
    cdef object table
    cdef object task

    cdef int at_once(self, const uint64_t *call, int64_t *result) except -1
    cdef object answer(self, const uint64_t *call)

cdef class CrewAnswering(Answers):
    cdef Turns loop
    cdef Waiting task
    cdef dict answers

    cdef object _of_task(self)
    cdef int at_once(self, const uint64_t *call, int64_t *result) except -1
    cdef object answer(self, const uint64_t *call)
