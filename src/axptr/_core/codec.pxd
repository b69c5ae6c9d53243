from libc.stdint cimport uint8_t, uint64_t
cimport cython

cdef extern from *:
    """
    #include <stddef.h>
    #include <stdint.h>
    static inline PyObject *axptr_from_u64(uint64_t value) {
    #if PY_VERSION_HEX < 0x030C0000 && PyLong_SHIFT == 30 && !defined(Py_TRACE_REFS) && !defined(Py_REF_DEBUG)
        if (value >> 30 == 0) return PyLong_FromLong((long)value);
        if (value >> 60 == 0) {
            /* What _PyLong_New(2) does, without its two calls: a quarter of the cost of an int. */
            PyLongObject *made = (PyLongObject *)PyObject_Malloc(offsetof(PyLongObject, ob_digit) + 2 * sizeof(digit));
            if (made == NULL) return PyErr_NoMemory();
            Py_SET_TYPE((PyObject *)made, &PyLong_Type);
            Py_SET_SIZE((PyVarObject *)made, 2);
            made->ob_digit[0] = (digit)(value & PyLong_MASK);
            made->ob_digit[1] = (digit)(value >> 30);
            Py_SET_REFCNT((PyObject *)made, 1);
            return (PyObject *)made;
        }
    #endif
        return PyLong_FromUnsignedLongLong(value);
    }
    """
    object axptr_from_u64(uint64_t value)

# How a value is stored.
cdef enum:
    KIND_UNSIGNED = 0
    KIND_SIGNED = 1
    KIND_FLOAT = 2
    KIND_BOOL = 3
    KIND_CHAR = 4          # one byte, as bytes
    KIND_WCHAR = 5         # one character, as str
    KIND_POINTER = 6       # a user pointer
    KIND_OBJECT = 7        # a ctypes instance; from here on no number that fits 64 bits
    KIND_FORM = 8          # what a `Form` makes of the bytes

cdef class Codec:
    cdef readonly object T
    cdef readonly uint64_t size
    cdef readonly uint64_t align
    cdef object ctype          # the ctypes type that lies in memory so: T itself, or what a form stands for
    cdef readonly object seen  # T as the model has it that the type is fixed to; T itself if it is fixed to none
    cdef readonly object model # that model, or None
    cdef object form           # the Form of KIND_FORM
    cdef uint64_t within       # an address with none of these bits has the T in one page (scalars)
    cdef int kind
    cdef bytes format
    cdef bint boxed            # a scalar whose values go through T: other byte order, long double
    cdef object box(self, const uint8_t* p)
    cdef int unbox(self, object value, uint8_t* p) except -1
