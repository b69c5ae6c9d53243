from libc.stdint cimport uint64_t
from axptr._core.cpu.running cimport Answers

cdef class Answering(Answers):
    cdef object table
    cdef object task

    cdef object answer(self, const uint64_t *call)

cdef class CrewAnswering(Answers):
    cdef object loop
    cdef object task
    cdef dict answers

    cdef object _of_task(self)
    cdef object answer(self, const uint64_t *call)
