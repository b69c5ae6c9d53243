cimport cython

# The kinds of nodes. Those from _TUPLE on cannot change; `records` and files of machines have the numbers.
cdef enum:
    _ATOM, _INSTANCE, _LIST, _DICT, _SET, _ARRAY, _MAPPING, _TUPLE, _FROZENSET, _CALL, _LEAF, _STANDIN

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
    cdef one(self, object value, list made)
    cdef list values_of(self, Node node, list made)
    cdef refill(self, Node node, object it, list made)
    cdef object create(self, Node node, list made, object leaf)
