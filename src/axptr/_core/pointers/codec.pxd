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
    /* The value of an int that is an unsigned 64-bit number: 1 and *out, else 0. Small ones are most. */
    static inline int axptr_as_u64(PyObject *o, uint64_t *out) {
        if (!PyLong_CheckExact(o)) return 0;
    #if PY_VERSION_HEX >= 0x030C0000
        if (PyUnstable_Long_IsCompact((PyLongObject *)o)) {
            Py_ssize_t small = PyUnstable_Long_CompactValue((PyLongObject *)o);
            *out = (uint64_t)small;
            return small >= 0;
        }
    #else
        switch (Py_SIZE(o)) {
        case 0: *out = 0; return 1;
        case 1: *out = ((PyLongObject *)o)->ob_digit[0]; return 1;
        case 2:
            *out = ((PyLongObject *)o)->ob_digit[0] | (uint64_t)((PyLongObject *)o)->ob_digit[1] << PyLong_SHIFT;
            return 1;
        }
        if (Py_SIZE(o) < 0) return 0;
    #endif
        *out = PyLong_AsUnsignedLongLong(o);
        if (*out == (uint64_t)-1 && PyErr_Occurred()) { PyErr_Clear(); *out = 0; return 0; }
        return 1;
    }
    /* A new instance of a ctypes class, zero: what `T.__new__(T)` gives, without the look-ups. */
    static PyObject *axptr_made(PyObject *type) {
        static PyObject *none = NULL;
        if (none == NULL && (none = PyTuple_New(0)) == NULL) return NULL;
        return ((PyTypeObject *)type)->tp_new((PyTypeObject *)type, none, NULL);
    }
    /* The low `size` bytes (2, 4 or 8) in the other order. */
    static inline uint64_t axptr_swapped(uint64_t value, uint64_t size) {
        return __builtin_bswap64(value) >> (64 - 8 * size);
    }
    """
    object axptr_from_u64(uint64_t value)
    int axptr_as_u64(object o, uint64_t* out) noexcept
    object axptr_made(object type)
    uint64_t axptr_swapped(uint64_t value, uint64_t size) noexcept nogil

# How a value is stored.
cdef enum:
    KIND_UNSIGNED = 0
    KIND_SIGNED = 1
    KIND_FLOAT = 2
    KIND_BOOL = 3
    KIND_CHAR = 4          # one byte, as bytes
    KIND_WCHAR = 5         # one character, as str
    KIND_POINTER = 6       # a user pointer
    KIND_SWAPPED = 7       # a number in the byte order that is not the host's; `native` says of which kind
    KIND_OBJECT = 8        # a ctypes instance; from here on no number that fits 64 bits
    KIND_FORM = 9          # what a `Form` makes of the bytes

cdef class Codec:
    cdef object own            # T; None of bytes' own until somebody asks: see `tell`
    cdef readonly uint64_t size
    cdef readonly uint64_t align
    cdef object ctype          # the ctypes type that lies in memory so: T itself, or what a form stands for
    cdef object looks          # T as the model has it that the type is fixed to; T itself if it is fixed to none
    cdef readonly object model # that model, or None
    cdef object form           # the Form of KIND_FORM
    cdef object load_many      # its method, near at hand
    cdef bint mutable          # whether that wants a bytearray
    cdef uint64_t within       # an address with none of these bits has the T in one page (scalars)
    cdef int kind
    cdef int native            # the kind of the number, whatever its byte order
    cdef bytes format          # of a live view's items; empty where Python has no code for them
    cdef bint boxed            # a scalar whose values go through T: long double
    cdef object box(self, const uint8_t* p)
    cdef object box_many(self, const uint8_t* p, Py_ssize_t n)
    cdef int unbox(self, object value, uint8_t* p) except -1

cdef object of_bytes           # handed in as the T of those types that are made without ctypes
cdef object told(Codec codec)
cdef int tell() except -1
cdef uint64_t as_address(object value) except? -1
