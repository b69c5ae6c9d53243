cimport cython
from axptr._core.words.graph cimport Graph, Node
from axptr._core.words.seen cimport Seen
from axptr._core.words.shape cimport Shape
from cpython.ref cimport PyObject
from libc.stdint cimport int32_t

cdef extern from *:
    """
    static int axptr_is_computed(PyObject *cls, PyObject *name)
    {
        PyObject *found = _PyType_Lookup((PyTypeObject *)cls, name);
        return found != NULL && Py_TYPE(found)->tp_descr_set != NULL;
    }
    #define axptr_gives_dict(cls) (((PyTypeObject *)(cls))->tp_dictoffset != 0)
    #define axptr_state_of(it) PyObject_GenericGetDict(it, NULL)
    #define axptr_cls_of(it) ((PyObject *)Py_TYPE(it))
    """
    bint is_computed "axptr_is_computed"(object cls, object name)  # an attribute that its class gives and takes itself
    bint gives_dict "axptr_gives_dict"(object cls)                 # its objects have a `__dict__`
    dict state_of "axptr_state_of"(PyObject *it)                   # that
    PyObject* cls_of "axptr_cls_of"(PyObject *it)
    PyObject* PyTuple_GET_ITEM(tuple, Py_ssize_t)
    PyObject* PyList_GET_ITEM(list, Py_ssize_t)
    PyObject* items_of "PyTuple_GET_ITEM"(PyObject *, Py_ssize_t)
    PyObject* row_of "PyList_GET_ITEM"(PyObject *, Py_ssize_t)
    Py_ssize_t row_size "PyList_GET_SIZE"(PyObject *)
    Py_ssize_t items_size "PyTuple_GET_SIZE"(PyObject *)
    int PyDict_Next(PyObject *, Py_ssize_t *, PyObject **, PyObject **)
    PyObject* PyDict_GetItem(PyObject *, PyObject *)
    Py_ssize_t PyDict_Size(PyObject *)

# One node: its values are `count` of the rows below from `first` on. Of an INSTANCE those in the `__dict__` come first, then
# slots, then what its class computes. cls: of the objects that may stand for it, NULL: none.
cdef struct Row:
    int kind
    int32_t first
    int32_t count
    int32_t ndict
    int32_t nslots
    bint has_dict
    bint by_key
    PyObject *cls

# child: the node that a value is, -1 for an atom, which is in `atom`. name, offset: of an attribute. Shapes, which see.
@cython.final
cdef class InPlace:
    cdef readonly Graph graph
    cdef tuple nodes
    cdef list shapes
    cdef Row *rows
    cdef int32_t *child
    cdef PyObject **atom
    cdef PyObject **name
    cdef Py_ssize_t *offset
    cdef int lay_out(self, Py_ssize_t index, Node node, Py_ssize_t first, object slots, dict known) except -1
    cdef int enter(self, Py_ssize_t at, object value, object name, Py_ssize_t offset) except -1
    cdef int meet(self, int32_t i, PyObject *it, list made, Seen used) except -1
    cdef int meet_root(self, object root, PyObject *it, list made, Seen used) except -1
    cdef int meet_state(self, Row *row, PyObject *it, list made, Seen used) except -1
    cdef int meet_items(self, Row *row, PyObject *table, list made, Seen used) except -1
    cdef int meet_weak(self, Row *row, dict table, list made, Seen used) except -1
    cdef int meet_row(self, Row *row, PyObject *it, list made, Seen used) except -1
    cdef int meet_call(self, Row *row, PyObject *it, list made, Seen used) except -1
    cdef PyObject* meant(self, Py_ssize_t k, list made) noexcept
    cdef bint same_state(self, Row *row, PyObject *it, list made, Shape shape) except -1
    cdef bint same_items(self, Row *row, PyObject *table, list made) except -1
    cdef bint same_mapping(self, Row *row, dict table, list made) except -1
    cdef bint same_set(self, Row *row, set members, list made) except -1
    cdef bint same_row(self, Row *row, PyObject *it, list made) except -1
    cdef bint same_call(self, Row *row, PyObject *it, list made) except -1
    cdef int set_right(self, Py_ssize_t i, list made) except -1
    cdef int set_attributes(self, Row *row, Node node, object it, list made, Shape shape) except -1
    cdef int set_one(self, object it, Py_ssize_t k, list made) except -1
    cdef int set_weak(self, Row *row, object it, list made) except -1
