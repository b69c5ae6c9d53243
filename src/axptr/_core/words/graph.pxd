cimport cython
from axptr._core.words.seen cimport Seen
from axptr._core.words.shape cimport Shape
from cpython.ref cimport PyObject

cdef extern from *:
    """
    #define axptr_has_dict(it) (Py_TYPE(it)->tp_dictoffset != 0)
    #define axptr_state_of(it) PyObject_GenericGetDict(it, NULL)
    """
    bint has_dict "axptr_has_dict"(object it)
    dict state_of "axptr_state_of"(object it)    # its `__dict__`
    PyObject* PyTuple_GET_ITEM(tuple, Py_ssize_t)
    PyObject* PyList_GET_ITEM(list, Py_ssize_t)

@cython.final
cdef class Place:
    cdef readonly Py_ssize_t index

@cython.final
cdef class Rule:
    cdef readonly int kind
    cdef readonly object take
    cdef readonly tuple slots
    cdef readonly frozenset omit

@cython.final
cdef class Node:
    cdef Shape shape
    cdef readonly int kind
    cdef readonly object cls
    cdef readonly tuple names
    cdef readonly tuple values

@cython.final
cdef class Capture:
    cdef readonly dict rules
    cdef readonly object missing
    cdef readonly object owner
    cdef dict memo
    cdef list kept
    cdef readonly list nodes
    cdef list todo
    cdef dict shapes
    cdef enter(self, object it, Rule rule)
    cdef note(self, object it, Node node)
    cdef fill(self, object it, Rule rule, Node node)

@cython.final
cdef class Graph:
    cdef readonly tuple nodes
    cdef readonly tuple roots
    cdef object slots              # see `put_back`
    cdef one(self, object value, list made)
    cdef list values_of(self, Node node, list made)
    cdef refill(self, Node node, object it, list made)
    cdef object create(self, Node node, list made, object leaf)
    cdef int meet(self, object value, PyObject *it, list made, Seen used) except -1
    cdef int meet_row(self, tuple values, object row, list made, Seen used) except -1
    cdef Shape shape_of(self, Node node)
    cdef int meet_state(self, Node node, object it, list made, Seen used) except -1
    cdef int meet_weak(self, Node node, dict table, bint by_key, list made, Seen used) except -1
    cdef int meet_items(self, Node node, dict table, list made, Seen used) except -1
    cdef int set_right(self, Node node, object it, list made) except -1
    cdef PyObject* meant(self, Node node, Py_ssize_t k, list made) noexcept
    cdef int set_attributes(self, Node node, object it, list made) except -1
    cdef int set_slots(self, Node node, object it, list made, Shape shape) except -1
    cdef bint same_items(self, Node node, dict table, list made)
    cdef bint same_row(self, Node node, object row, list made)
    cdef bint same_mapping(self, Node node, dict table, list made)
    cdef int set_weak(self, Node node, object it, list made) except -1
