from libc.stdint cimport uint8_t, uint32_t, uint64_t
cimport cython
from cpython.object cimport PyObject
from axptr._core.pointertype cimport PointerType

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
    /* Pointers come and go by the million: the last few of each class wait here, type and table of methods in
       place, to be used again. Kind 0 is UserPtr, 1 is UserConstPtr. */
    #define AXPTR_SPARES 64
    static PyObject *axptr_spare[2][AXPTR_SPARES];
    static int axptr_nspare[2];
    static destructor axptr_full_dealloc;
    static Py_ssize_t axptr_type_at;
    static inline void axptr_keep(PyObject *o, int kind) {
        if (axptr_nspare[kind] == AXPTR_SPARES) { axptr_full_dealloc(o); return; }
        Py_DECREF(*(PyObject **)((char *)o + axptr_type_at));
        axptr_spare[kind][axptr_nspare[kind]++] = o;
    }
    static void axptr_keep_ptr(PyObject *o) { axptr_keep(o, 0); }
    static void axptr_keep_const(PyObject *o) { axptr_keep(o, 1); }
    static void axptr_reuse(PyObject *ptr, PyObject *constptr, Py_ssize_t type_at) {
        axptr_type_at = type_at;
        axptr_full_dealloc = ((PyTypeObject *)ptr)->tp_dealloc;
        ((PyTypeObject *)ptr)->tp_dealloc = axptr_keep_ptr;
        ((PyTypeObject *)constptr)->tp_dealloc = axptr_keep_const;
    }
    /* A pointer used before with a new address and a new reference to its type, or NULL. */
    static inline PyObject *axptr_again(int kind, PyObject *type, uint64_t address, Py_ssize_t address_at) {
        PyObject *o;
        if (axptr_nspare[kind] == 0) return NULL;
        o = axptr_spare[kind][--axptr_nspare[kind]];
        Py_SET_REFCNT(o, 1);
        Py_INCREF(type);
        *(PyObject **)((char *)o + axptr_type_at) = type;
        *(uint64_t *)((char *)o + address_at) = address;
        return o;
    }
    static inline PyObject *axptr_type(PyObject *o) { return (PyObject *)Py_TYPE(o); }
    """
    PyObject* axptr_type(object o) noexcept
    void axptr_reuse(object ptr, object constptr, Py_ssize_t type_at)
    PyObject* axptr_again(int kind, object type, uint64_t address, Py_ssize_t address_at) noexcept
    void axptr_forbid_new(object type)

cdef class Pointer:
    cdef uint64_t addr
    cdef readonly PointerType type
    cdef int fetch(self, object provider, uint8_t* buffer, uint64_t size, uint64_t align) except -1
    cdef int put(self, object provider, uint8_t* buffer, uint64_t size, uint64_t align) except -1
    cdef object value(self, object provider, uint64_t align)
    cdef uint64_t bytes_of(self, object n, uint64_t* count) except? -1
    cdef object take(self, object provider, uint64_t size, uint64_t align, bint mutable)
    cdef object terminated(self, object provider, object max_len, bint text)
    cdef object shown(self, object provider, object n)

cdef class UserConstPtr(Pointer):
    pass

cdef class UserPtr(Pointer):
    cdef int store(self, object provider, object value, uint64_t align) except -1

cdef PyObject* make_pointer(PointerType ptype, PyObject** args, size_t nargsf, PyObject* keywords) except NULL
