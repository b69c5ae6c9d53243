from cpython.object cimport PyObject
from axptr._core.words.budget cimport Budget

cdef class Provider:
    cdef PyObject* space_ptr   # the SpaceCore, borrowed: a space points at itself, a task at its `_space`
    cdef readonly object _space
    cdef object data_model     # of a space; else None
    cdef Budget own_budget         # None: that of the space

cdef extern from *:
    """
    /* Whether `base` is what a type and all its bases go back to, but for object: of classes with one line of bases,
       which nearly all providers are, three loads instead of a search. */
    static inline int axptr_roots_in(PyObject *o, PyObject *base) {
        PyObject *line = Py_TYPE(o)->tp_mro;
        Py_ssize_t n = line != NULL ? PyTuple_GET_SIZE(line) : 0;
        return n >= 2 && PyTuple_GET_ITEM(line, n - 2) == base;
    }
    """
    bint axptr_roots_in(object o, object base) noexcept

# The SpaceCore that a provider leads to directly, borrowed; NULL for other providers, and for one without a space.
cdef inline PyObject* space_of(object provider) noexcept:
    if axptr_roots_in(provider, Provider) or isinstance(provider, Provider):
        return (<Provider>provider).space_ptr
    return NULL

cdef int mark_enter() noexcept nogil
cdef void mark_leave() noexcept nogil
