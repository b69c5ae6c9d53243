from cpython.object cimport PyObject
from axptr._core.pointers.codec cimport Codec

cdef extern from *:
    """
    typedef PyObject *(*axptr_vectorcall)(PyObject *, PyObject *const *, size_t, PyObject *);
    /* Let calls of instances of this type go straight to the function at `offset`, without an argument tuple. */
    static void axptr_enable_vectorcall(PyObject *type, Py_ssize_t offset) {
        PyTypeObject *t = (PyTypeObject *)type;
        t->tp_vectorcall_offset = offset;
        t->tp_flags |= Py_TPFLAGS_HAVE_VECTORCALL;
        t->tp_call = PyVectorcall_Call;
        PyType_Modified(t);
    }
    """
    ctypedef PyObject* (*axptr_vectorcall)(PyObject*, PyObject* const*, size_t, PyObject*)
    void axptr_enable_vectorcall(object type, Py_ssize_t offset)

cdef class PointerType(Codec):
    cdef axptr_vectorcall call
    cdef readonly bint const
    cdef int access
    cdef object last_model         # the foreign data model met last, and the type that stands for this one under it
    cdef object last_twin
    cdef object __weakref__

ctypedef bint (*axptr_is_one)(PointerType ptype, object instance) noexcept

cdef dict types         # by T, those that are fixed to no data model
cdef dict const_types
cdef object pointer_type(object T, bint const, object model)
cdef object fixed_type(object T, bint const, object model)
cdef Py_ssize_t offset_of(void* field, object of) noexcept
cdef void made_by(axptr_vectorcall maker, axptr_is_one is_one) except *
