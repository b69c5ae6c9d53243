from libc.stdint cimport uint64_t
cimport cython

cdef class Budget:
    cdef uint64_t call_limit
    cdef uint64_t task_limit
    cdef uint64_t used
    cdef uint64_t left(self) noexcept
    cdef int take(self, uint64_t size) except -1
