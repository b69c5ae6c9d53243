from libc.stdint cimport uint8_t, uint64_t
cimport cython
from cpython.object cimport PyObject

cdef int block_fetch(object provider, PyObject* raw, uint64_t addr, uint8_t* buffer, uint64_t size, uint64_t align) except -1
cdef int block_put(object provider, PyObject* raw, uint64_t addr, uint8_t* buffer, uint64_t size, uint64_t align) except -1
cdef object block_take(object provider, PyObject* raw, uint64_t addr, uint64_t size, uint64_t align, bint mutable)
cdef uint64_t block_partial(PyObject* raw, uint64_t addr, object buf, int access, uint64_t* whole) except? 0xDEAD
cdef object block_counted(object provider, uint64_t addr, object buf, int access)
cdef object block_stop(PyObject* raw, uint64_t addr, int access, uint64_t whole, uint64_t done)
cdef object block_text(object provider, PyObject* raw, uint64_t addr, object max_len, bint decoded)
