from libc.stdint cimport uint8_t, uint32_t, uint64_t
cimport cython
from cpython.object cimport PyObject

cdef extern from *:
    """
    #include <stdint.h>
    typedef PyObject *(*axptr_vectorcall)(PyObject *, PyObject *const *, size_t, PyObject *);
    /* Let calls of instances of this type go straight to the function at `offset`, without an argument tuple. */
    static void axptr_enable_vectorcall(PyObject *type, Py_ssize_t offset) {
        PyTypeObject *t = (PyTypeObject *)type;
        t->tp_vectorcall_offset = offset;
        t->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL;
        t->tp_call = PyVectorcall_Call;
        PyType_Modified(t);
    }
    /* The value of an int that is an unsigned 64-bit number: 1 and *out, else 0. */
    static inline int axptr_as_u64(PyObject *o, uint64_t *out) {
        if (!PyLong_CheckExact(o)) return 0;
        *out = PyLong_AsUnsignedLongLong(o);
        if (*out == (uint64_t)-1 && PyErr_Occurred()) { PyErr_Clear(); *out = 0; return 0; }
        return 1;
    }
    static inline PyObject *axptr_type(PyObject *o) { return (PyObject *)Py_TYPE(o); }
    """
    int axptr_as_u64(object o, uint64_t* out) noexcept
    PyObject* axptr_type(object o) noexcept
    ctypedef PyObject* (*axptr_vectorcall)(PyObject*, PyObject* const*, size_t, PyObject*)
    void axptr_enable_vectorcall(object type, Py_ssize_t offset)

# How a value is stored.
cdef enum:
    KIND_UNSIGNED = 0
    KIND_SIGNED = 1
    KIND_FLOAT = 2
    KIND_BOOL = 3
    KIND_CHAR = 4          # one byte, as bytes
    KIND_WCHAR = 5         # one character, as str
    KIND_POINTER = 6       # a user pointer
    KIND_OBJECT = 7        # a ctypes instance

cdef class PointerType:
    cdef axptr_vectorcall call
    cdef readonly object T
    cdef readonly bint const
    cdef readonly uint64_t size
    cdef readonly uint64_t align
    cdef int kind
    cdef int access
    cdef bytes format
    cdef bint boxed            # a scalar whose values go through T: other byte order, long double
    cdef object __weakref__
    cdef object box(self, const uint8_t* p)
    cdef int unbox(self, object value, uint8_t* p) except -1

cdef class Pointer:
    cdef uint64_t addr
    cdef readonly PointerType type
    cdef int fetch(self, object provider, uint8_t* buffer, uint64_t size, uint64_t align) except -1
    cdef int put(self, object provider, uint8_t* buffer, uint64_t size, uint64_t align) except -1
    cdef object value(self, object provider, uint64_t align)
    cdef object take(self, object provider, uint64_t size, uint64_t align)
    cdef object terminated(self, object provider, object max_len, bint text)
    cdef object shown(self, object provider, object n)

cdef class UserConstPtr(Pointer):
    pass

cdef class UserPtr(Pointer):
    cdef int store(self, object provider, object value, uint64_t align) except -1
