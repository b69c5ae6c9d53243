from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint64_t
from axptr._core.kernel.accounts cimport IoTally
from axptr._core.kernel.waiting cimport Waiting

cdef extern from "<time.h>" nogil:
    cdef struct timespec:
        long tv_sec
        long tv_nsec
    int clock_gettime(int, timespec *)
    int CLOCK_REALTIME

cdef extern from *:
    """
    #define axptr_made(cls, n) PyType_GenericAlloc((PyTypeObject *)(cls), n)
    """
    object PyType_GenericAlloc "axptr_made"(PyObject *cls, Py_ssize_t)

cdef PyObject *file_of(Waiting task, uint64_t fd) except? NULL
cdef IoTally tally_of(Waiting task)
cdef Py_ssize_t take_out(Waiting task, object file, uint64_t address, uint64_t count) except -2
cdef Py_ssize_t put_in(Waiting task, object file, uint64_t address, uint64_t count) except -2
