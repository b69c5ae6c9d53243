# Where attributes of `__slots__` lie in the objects of a Python class, for compiled code that reads and writes them there.

from cpython.object cimport PyObject

cdef extern from *:
    """
    #include <structmember.h>
    #ifndef AXPTR_SLOTS_H
    #define AXPTR_SLOTS_H
    static Py_ssize_t axptr_slot(PyObject *cls, PyObject *name)
    {
        PyObject *found = _PyType_Lookup((PyTypeObject *)cls, name);
        PyMemberDef *member;
        if (found == NULL || !Py_IS_TYPE(found, &PyMemberDescr_Type))
            return 0;
        member = ((PyMemberDescrObject *)found)->d_member;
        return member->type == T_OBJECT_EX && !(member->flags & READONLY) ? member->offset : 0;
    }
    #define axptr_at(it, offset) (*(PyObject **)((char *)(it) + (offset)))
    #endif
    """
    Py_ssize_t slot_of "axptr_slot"(object cls, object name)      # 0: it is no slot
    PyObject* at_offset "axptr_at"(object it, Py_ssize_t offset)  # borrowed; NULL: not set
    PyObject* at_offset_of "axptr_at"(PyObject *it, Py_ssize_t offset)
