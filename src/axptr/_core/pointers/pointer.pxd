from libc.stdint cimport uint8_t, uint32_t, uint64_t
cimport cython
from cpython.object cimport PyObject
from axptr._core.pointers.pointertype cimport PointerType

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    static PyObject *axptr_no_new(PyTypeObject *type, PyObject *args, PyObject *keywords) {
        const char *dot = strrchr(type->tp_name, '.');
        PyErr_Format(PyExc_TypeError, "a pointer needs a type: %s[T](address)", dot ? dot + 1 : type->tp_name);
        return NULL;
    }
    /* Nobody but this module makes instances of the type: one without its fields set would not be safe to use. */
    static void axptr_forbid_new(PyObject *type) {
        ((PyTypeObject *)type)->tp_new = axptr_no_new;
        PyType_Modified((PyTypeObject *)type);
    }
    """
    void axptr_forbid_new(object type)

cdef class Pointer:
    cdef uint64_t addr
    cdef readonly PointerType type
    cdef object terminated(self, object provider, object max_len, bint text)

cdef class UserConstPtr(Pointer):
    pass

cdef class UserPtr(Pointer):
    pass

cdef PyObject* make_pointer(PointerType ptype, PyObject** args, size_t nargsf, PyObject* keywords) except NULL
