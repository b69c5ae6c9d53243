from libc.stdint cimport uint8_t, uint64_t
cimport cython
from axptr._core.mm.transfer cimport Transfer

from cpython.object cimport PyObject

cdef extern from *:
    """
    /* Room for n bytes, not filled yet: `bytes`, or a `bytearray` if `mutable`. Nobody but the maker has it yet. */
    static PyObject *axptr_room(int mutable, Py_ssize_t n) {
        return mutable ? PyByteArray_FromStringAndSize(NULL, n) : PyBytes_FromStringAndSize(NULL, n);
    }
    static int axptr_grow(PyObject **room, Py_ssize_t n) {
        return PyBytes_CheckExact(*room) ? _PyBytes_Resize(room, n) : PyByteArray_Resize(*room, n);
    }
    static uint8_t *axptr_bytes_of(PyObject *room) {
        return (uint8_t *)(PyBytes_CheckExact(room) ? PyBytes_AS_STRING(room) : PyByteArray_AS_STRING(room));
    }
    """
    PyObject* axptr_room(bint mutable, Py_ssize_t n) except NULL
    int axptr_grow(PyObject** room, Py_ssize_t n) except -1
    uint8_t* axptr_bytes_of(PyObject* room) noexcept

cdef class UserSpace(Transfer):
    # With the GIL, lock not held: `move` with pagers and devices served; raises what failed.
    cdef int moved(self, uint64_t vaddr, uint8_t* buffer, uint64_t size, uint64_t align, int access) except -1
    cdef uint64_t counted(self, uint64_t vaddr, uint8_t* buffer, uint64_t size, int access) except? 0xDEAD
    cdef uint64_t device_piece(self, uint64_t vaddr, uint8_t* buffer, uint64_t size, int access) except? 0xDEAD
    cdef int supply_from(self, uint64_t bad, int access, uint64_t vaddr, uint64_t size) except -1
    cdef int supply_scan(self, uint64_t bad, uint64_t vaddr, uint64_t size, int access, uint64_t limit, uint64_t length) except -1
    cdef int require(self, uint64_t vaddr, uint64_t size, uint64_t align, int access) except -1
    cdef int debug_copy(self, uint64_t vaddr, uint8_t* buffer, uint64_t size, bint write) except -1
    cdef int fail_scan(self, int code, uint64_t vaddr, uint64_t size, int access, uint64_t length, uint64_t bad) except -1
    cdef void touch(self, uint8_t* run, uint64_t length, uint64_t unused) noexcept nogil
    cdef object load(self, uint64_t vaddr, uint64_t size, uint64_t align, bint mutable)
