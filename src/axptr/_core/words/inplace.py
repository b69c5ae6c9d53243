"""Objects that are there become again what a graph says they were: `InPlace`.

`match` finds those that stand where the graph has them, `complete` makes the others, and `put_back` changes what is not
as it was, and nothing else. Between the first and the last they may change: each looks at all of them.

What a look needs to know of the graph lies flat, side by side in the order in which it is asked for: a node's values,
whose numbers and addresses are compared with what is there, one read for each attribute.

Not here: graphs (`graph`), where attributes lie (`shape`).

Locking: none; who puts back sees to it that nothing runs meanwhile. One `InPlace` serves any number of machines.

Failure: what a leaf or a constructor raises comes out of `complete`, and no object was changed; `MemoryError`.
"""

from functools import partial
from types import MethodType
from weakref import WeakKeyDictionary

import cython
from cython.cimports.axptr._core.words.graph import (
    _ARRAY,
    _CALL,
    _DICT,
    _INSTANCE,
    _LIST,
    _MAPPING,
    _SET,
    _TUPLE,
    Graph,
    Node,
    Place,
)
from cython.cimports.axptr._core.words.inplace import (
    PyDict_GetItem,
    PyDict_Next,
    PyDict_Size,
    PyList_GET_ITEM,
    PyTuple_GET_ITEM,
    Row,
    cls_of,
    gives_dict,
    is_computed,
    items_of,
    items_size,
    row_of,
    row_size,
    state_of,
)
from cython.cimports.axptr._core.words.seen import Seen
from cython.cimports.axptr._core.words.shape import Shape
from cython.cimports.axptr._core.words.slots import at_offset_of
from cython.cimports.cpython.object import PyObject_GenericSetAttr
from cython.cimports.cpython.ref import PyObject
from cython.cimports.libc.stdint import int32_t
from cython.cimports.libc.stdlib import calloc, free

_CALLS = (MethodType, partial)
"""What calls make that never changes: it may stay where it names the same."""


@cython.final
@cython.cclass
class InPlace:
    """slots: `slots(class)` gives the names of the attributes that are in no `__dict__`."""

    def __cinit__(self, graph: Graph, slots: object):
        node: Node
        total: cython.Py_ssize_t = 0
        i: cython.Py_ssize_t
        count: cython.Py_ssize_t = len(graph.nodes)
        known: dict = {}
        self.graph = graph
        self.nodes = graph.nodes
        self.shapes = [None] * count
        for node in self.nodes:
            total += len(node.values)
        self.rows = cython.cast(cython.pointer(Row), calloc(count + 1, cython.sizeof(Row)))
        self.child = cython.cast(cython.pointer(int32_t), calloc(total + 1, cython.sizeof(int32_t)))
        self.offset = cython.cast(
            cython.pointer(cython.Py_ssize_t), calloc(total + 1, cython.sizeof(cython.Py_ssize_t))
        )
        self.atom = cython.cast(
            cython.pointer(cython.pointer(PyObject)), calloc(total + 1, cython.sizeof(cython.p_void))
        )
        self.name = cython.cast(
            cython.pointer(cython.pointer(PyObject)), calloc(total + 1, cython.sizeof(cython.p_void))
        )
        if (
            self.rows == cython.NULL
            or self.child == cython.NULL
            or self.offset == cython.NULL
            or self.atom == cython.NULL
            or self.name == cython.NULL
        ):
            raise MemoryError
        total = 0
        for i in range(count):
            node = self.nodes[i]
            self.lay_out(i, node, total, slots, known)
            total += len(node.values)

    def __dealloc__(self):
        free(self.rows)
        free(self.child)
        free(self.offset)
        free(self.atom)
        free(self.name)

    def lay_out(self, index, node, first, slots, known):
        row: cython.pointer(Row) = self.rows + index
        k: cython.Py_ssize_t
        at: cython.Py_ssize_t = first
        shape: Shape
        row.kind = node.kind
        row.first = cython.cast(int32_t, first)
        row.count = cython.cast(int32_t, len(node.values))
        if node.kind <= _TUPLE:
            row.cls = cython.cast(cython.pointer(PyObject), node.cls)
        elif node.kind == _CALL and node.values[0] in _CALLS:
            row.cls = PyTuple_GET_ITEM(node.values, 0)
        if node.kind == _MAPPING:
            row.by_key = node.cls is WeakKeyDictionary
        if node.kind != _INSTANCE:
            for value in node.values:
                self.enter(at, value, None, 0)
                at += 1
            return 0
        row.has_dict = gives_dict(node.cls)
        shape = known.get((node.cls, node.names))
        if shape is None:
            shape = known[node.cls, node.names] = Shape(node.cls, node.names, slots(node.cls))
        self.shapes[index] = shape
        turn: cython.int
        kind: cython.int
        for turn in range(3):
            for k in range(len(node.names)):
                if shape.offsets[k]:
                    kind = 1
                else:
                    kind = 2 if not row.has_dict or is_computed(node.cls, node.names[k]) else 0
                if kind == turn:
                    self.enter(at, node.values[k], node.names[k], shape.offsets[k])
                    at += 1
            if turn == 0:
                row.ndict = cython.cast(int32_t, at - first)
            elif turn == 1:
                row.nslots = cython.cast(int32_t, at - first) - row.ndict
        return 0

    def enter(self, at, value, name, offset):
        if type(value) is Place:
            self.child[at] = cython.cast(int32_t, cython.cast(Place, value).index)
        else:
            self.child[at] = -1
            self.atom[at] = cython.cast(cython.pointer(PyObject), value)  # its node holds it, as it does the name
        self.name[at] = cython.cast(cython.pointer(PyObject), name)
        self.offset[at] = offset
        return 0

    # -- what stands where

    def match(self, live: list):
        """For each node an object that may become what it says, where one stands in its place; None for others.

        live: what the roots are now, as far as anything is. An object stands for one node at most. Leaves have none.
        Those that cannot change are found, too, and `complete` looks whether they are right. The second result: those
        that were found, by their numbers (`id`)."""
        i: cython.Py_ssize_t
        done: cython.Py_ssize_t = 0
        count: cython.Py_ssize_t = len(self.nodes)
        row: cython.pointer(Row)
        it: cython.pointer(PyObject)
        made: list = [None] * count
        used: Seen = Seen(count)
        for i in range(min(len(live), len(self.graph.roots))):
            self.meet_root(self.graph.roots[i], PyList_GET_ITEM(live, i), made, used)
        while done < used.waiting:  # each node once
            i = used.line[done]
            done += 1
            row = self.rows + i
            it = PyList_GET_ITEM(made, i)
            if row.kind == _INSTANCE:
                self.meet_state(row, it, made, used)
            elif row.kind == _DICT:
                self.meet_items(row, it, made, used)
            elif row.kind == _LIST or row.kind == _TUPLE:
                self.meet_row(row, it, made, used)
            elif row.kind == _CALL:
                self.meet_call(row, it, made, used)
            elif row.kind == _MAPPING:
                self.meet_weak(row, cython.cast(object, it).data, made, used)
        return made, used

    def meet_root(self, root, it, made, used):
        if type(root) is Place:
            self.meet(cython.cast(int32_t, cython.cast(Place, root).index), it, made, used)
        return 0

    def meet(self, i, it, made, used):
        """An object that stands where a node does; NULL for none."""
        if it == cython.NULL or self.rows[i].cls != cls_of(it):
            return 0
        if PyList_GET_ITEM(made, i) != cython.cast(cython.pointer(PyObject), None) or not used.enter(it):
            return 0
        made[i] = cython.cast(object, it)
        used.line[used.waiting] = i
        used.waiting += 1
        return 0

    def meet_state(self, row, it, made, used):
        k: cython.Py_ssize_t = row.first
        end: cython.Py_ssize_t = k + row.ndict
        at: cython.Py_ssize_t = 0
        key: cython.pointer(PyObject)
        value: cython.pointer(PyObject)
        state: dict
        if end > k:
            state = state_of(it)
            table: cython.pointer(PyObject) = cython.cast(cython.pointer(PyObject), state)
            while k < end and PyDict_Next(table, cython.address(at), cython.address(key), cython.address(value)):
                if key != self.name[k]:
                    break
                if self.child[k] >= 0:
                    self.meet(self.child[k], value, made, used)
                k += 1
            while k < end:  # it is in another order
                if self.child[k] >= 0:
                    self.meet(self.child[k], PyDict_GetItem(table, self.name[k]), made, used)
                k += 1
        end += row.nslots
        while k < end:
            if self.child[k] >= 0:
                self.meet(self.child[k], at_offset_of(it, self.offset[k]), made, used)
            k += 1
        end = row.first + row.count
        while k < end:
            if self.child[k] >= 0:
                found: object = getattr(cython.cast(object, it), cython.cast(object, self.name[k]), None)
                self.meet(self.child[k], cython.cast(cython.pointer(PyObject), found), made, used)
            k += 1
        return 0

    def meet_items(self, row, table, made, used):
        k: cython.Py_ssize_t = row.first
        end: cython.Py_ssize_t = k + row.count
        at: cython.Py_ssize_t = 0
        key: cython.pointer(PyObject)
        value: cython.pointer(PyObject)
        while k < end and PyDict_Next(table, cython.address(at), cython.address(key), cython.address(value)):
            if self.child[k] >= 0:
                self.meet(self.child[k], key, made, used)
            elif key != self.atom[k]:
                break
            if self.child[k + 1] >= 0:
                self.meet(self.child[k + 1], value, made, used)
            k += 2
        while k < end:  # from here on by name
            if self.child[k] < 0 and self.child[k + 1] >= 0:
                self.meet(self.child[k + 1], PyDict_GetItem(table, self.atom[k]), made, used)
            k += 2
        return 0

    def meet_weak(self, row, table, made, used):
        """The same of a weak one: `table` has references in the place of its keys or of its values."""
        k: cython.Py_ssize_t = row.first
        end: cython.Py_ssize_t = k + row.count
        if row.by_key:
            for reference, value in list(table.items()):
                if k < end:
                    it = reference()
                    if self.child[k] >= 0:
                        self.meet(self.child[k], cython.cast(cython.pointer(PyObject), it), made, used)
                    if self.child[k + 1] >= 0:
                        self.meet(self.child[k + 1], cython.cast(cython.pointer(PyObject), value), made, used)
                k += 2
            return 0
        while k < end:
            if self.child[k] < 0 and self.child[k + 1] >= 0:
                reference = table.get(cython.cast(object, self.atom[k]))
                if reference is not None:
                    it = reference()
                    self.meet(self.child[k + 1], cython.cast(cython.pointer(PyObject), it), made, used)
            k += 2
        return 0

    def meet_row(self, row, it, made, used):
        """The objects in a list, a tuple or the like."""
        k: cython.Py_ssize_t
        if row.kind == _TUPLE:
            for k in range(min(row.count, items_size(it))):
                if self.child[row.first + k] >= 0:
                    self.meet(self.child[row.first + k], items_of(it, k), made, used)
        elif row.cls == cython.cast(cython.pointer(PyObject), list):
            for k in range(min(row.count, row_size(it))):
                if self.child[row.first + k] >= 0:
                    self.meet(self.child[row.first + k], row_of(it, k), made, used)
        else:
            k = row.first
            for one in cython.cast(object, it):
                if k < row.first + row.count and self.child[k] >= 0:
                    self.meet(self.child[k], cython.cast(cython.pointer(PyObject), one), made, used)
                k += 1
        return 0

    def meet_call(self, row, it, made, used):
        k: cython.Py_ssize_t
        arguments: tuple = _arguments(cython.cast(object, it))
        for k in range(min(row.count - 1, len(arguments))):
            if self.child[row.first + 1 + k] >= 0:
                self.meet(self.child[row.first + 1 + k], PyTuple_GET_ITEM(arguments, k), made, used)
        return 0

    def complete(self, made: list, leaf: object):
        """Make what `match` has not found: the places of these. No object that was there is changed. A leaf that has its
        object in `made` is not asked for."""
        i: cython.Py_ssize_t
        it: cython.pointer(PyObject)
        row: cython.pointer(Row)
        fresh: set = set()
        for i in range(len(self.nodes)):  # what cannot change stands behind all that it names
            row = self.rows + i
            it = PyList_GET_ITEM(made, i)
            if it != cython.cast(cython.pointer(PyObject), None):
                if row.kind == _TUPLE:
                    if self.same_row(row, it, made):
                        continue
                elif row.kind == _CALL:
                    if self.same_call(row, it, made):
                        continue
                else:
                    continue
            made[i] = self.graph.create(self.nodes[i], made, leaf)
            if row.kind < _TUPLE:
                fresh.add(i)
        return fresh

    # -- what is as it was

    def meant(self, k, made):
        """What a value stands for, which somebody holds."""
        return PyList_GET_ITEM(made, self.child[k]) if self.child[k] >= 0 else self.atom[k]

    def same_state(self, row, it, made, shape):
        """Whether an object has what its node says in its `__dict__`, in that order, and in its slots, and nothing else."""
        k: cython.Py_ssize_t = row.first
        end: cython.Py_ssize_t = k + row.ndict
        at: cython.Py_ssize_t = 0
        key: cython.pointer(PyObject)
        value: cython.pointer(PyObject)
        state: dict
        if row.has_dict:
            state = state_of(it)
            table: cython.pointer(PyObject) = cython.cast(cython.pointer(PyObject), state)
            if PyDict_Size(table) != row.ndict:
                return False
            while PyDict_Next(table, cython.address(at), cython.address(key), cython.address(value)):
                if key != self.name[k] or value != self.meant(k, made):
                    return False
                k += 1
        end += row.nslots
        while k < end:
            if at_offset_of(it, self.offset[k]) != self.meant(k, made):
                return False
            k += 1
        for k in range(len(shape.unset)):
            if not shape.unset_at[k] or at_offset_of(it, shape.unset_at[k]) != cython.NULL:
                return False
        return True

    def same_items(self, row, table, made):
        """Whether a table has the very keys and values that its node says, in this order."""
        k: cython.Py_ssize_t = row.first
        at: cython.Py_ssize_t = 0
        key: cython.pointer(PyObject)
        value: cython.pointer(PyObject)
        if 2 * PyDict_Size(table) != row.count:
            return False
        while PyDict_Next(table, cython.address(at), cython.address(key), cython.address(value)):
            if key != self.meant(k, made) or value != self.meant(k + 1, made):
                return False
            k += 2
        return True

    def same_mapping(self, row, table, made):
        """The same of one with weak keys, whose table has references in their place."""
        k: cython.Py_ssize_t = row.first
        if 2 * len(table) != row.count:
            return False
        for key, value in table.items():
            it = key()
            if self.meant(k, made) != cython.cast(cython.pointer(PyObject), it):
                return False
            if self.meant(k + 1, made) != cython.cast(cython.pointer(PyObject), value):
                return False
            k += 2
        return True

    def same_set(self, row, members, made):
        k: cython.Py_ssize_t
        if len(members) != row.count:
            return False
        for k in range(row.first, row.first + row.count):
            if cython.cast(object, self.meant(k, made)) not in members:
                return False
        return True

    def same_row(self, row, it, made):
        """Whether a list, a tuple or the like has the very objects that its node says."""
        k: cython.Py_ssize_t
        if row.kind == _TUPLE:
            if items_size(it) != row.count:
                return False
            for k in range(row.count):
                if items_of(it, k) != self.meant(row.first + k, made):
                    return False
        elif row.cls == cython.cast(cython.pointer(PyObject), list):
            if row_size(it) != row.count:
                return False
            for k in range(row.count):
                if row_of(it, k) != self.meant(row.first + k, made):
                    return False
        else:
            if len(cython.cast(object, it)) != row.count:
                return False
            k = row.first
            for one in cython.cast(object, it):
                if cython.cast(cython.pointer(PyObject), one) != self.meant(k, made):
                    return False
                k += 1
        return True

    def same_call(self, row, it, made):
        k: cython.Py_ssize_t
        arguments: tuple = _arguments(cython.cast(object, it))
        if len(arguments) != row.count - 1:
            return False
        for k in range(row.count - 1):
            if PyTuple_GET_ITEM(arguments, k) != self.meant(row.first + 1 + k, made):
                return False
        return True

    # -- and what is not

    def put_back(self, made: list, fresh: set):
        """Let all objects be what the graph says, those of `fresh` being empty: the roots.

        What is right already is not touched, but for attributes that a class computes: these are set in any case."""
        i: cython.Py_ssize_t
        anew: bytearray = bytearray(len(self.nodes))
        for place in fresh:
            anew[place] = 1
        for i in range(len(self.nodes)):
            if self.rows[i].kind >= _TUPLE:
                continue
            if anew[i]:
                self.graph.refill(self.nodes[i], made[i], made)
            else:
                self.set_right(i, made)
        return [self.graph.one(value, made) for value in self.graph.roots]

    def set_right(self, i, made):
        """An object that was there becomes what its node says."""
        row: cython.pointer(Row) = self.rows + i
        k: cython.Py_ssize_t
        it: object = cython.cast(object, PyList_GET_ITEM(made, i))
        at: cython.pointer(PyObject) = cython.cast(cython.pointer(PyObject), it)
        if row.kind == _INSTANCE:
            shape: Shape = self.shapes[i]
            if not self.same_state(row, at, made, shape):
                return self.set_attributes(row, self.nodes[i], it, made, shape)
            for k in range(row.first + row.ndict + row.nslots, row.first + row.count):
                self.set_one(it, k, made)
            return 0
        if row.kind == _DICT:
            if self.same_items(row, at, made):
                return 0
        elif row.kind == _ARRAY:
            if it == cython.cast(object, self.atom[row.first]):
                return 0
        elif row.kind == _SET:
            if self.same_set(row, it, made):
                return 0
        elif row.kind == _LIST:
            if self.same_row(row, at, made):
                return 0
        elif row.by_key:
            if self.same_mapping(row, it.data, made):
                return 0
        else:
            return self.set_weak(row, it, made)
        it.clear()
        self.graph.refill(self.nodes[i], it, made)
        return 0

    def set_attributes(self, row, node, it, made, shape):
        """Set those that are wrong; in the order of the node, so that the next look finds it."""
        k: cython.Py_ssize_t = row.first
        end: cython.Py_ssize_t = k + row.ndict
        at: cython.Py_ssize_t = 0
        key: cython.pointer(PyObject)
        value: cython.pointer(PyObject)
        state: dict
        wrong: list = []
        if row.has_dict:
            state = state_of(cython.cast(cython.pointer(PyObject), it))
            table: cython.pointer(PyObject) = cython.cast(cython.pointer(PyObject), state)
            while k < end and PyDict_Next(table, cython.address(at), cython.address(key), cython.address(value)):
                if key != self.name[k]:
                    break
                if value != self.meant(k, made):
                    wrong.append(k)
                k += 1
            if k != end or PyDict_Size(table) != row.ndict:
                state.clear()
                wrong = list(range(row.first, end))
            for k in wrong:
                self.set_one(it, k, made)
        for k in range(end, end + row.nslots):
            if at_offset_of(cython.cast(cython.pointer(PyObject), it), self.offset[k]) != self.meant(k, made):
                self.set_one(it, k, made)
        for k in range(end + row.nslots, row.first + row.count):
            self.set_one(it, k, made)
        return shape.unset_in(it)

    def set_one(self, it, k, made):
        PyObject_GenericSetAttr(it, cython.cast(object, self.name[k]), cython.cast(object, self.meant(k, made)))
        return 0

    def set_weak(self, row, it, made):
        """Of one with weak values, which come and go: no order is kept."""
        k: cython.Py_ssize_t
        table: dict = it.data
        for k in range(row.first, row.first + row.count, 2):
            key = cython.cast(object, self.meant(k, made))
            value = cython.cast(object, self.meant(k + 1, made))
            reference = table.get(key)
            if reference is None or reference() is not value:
                it[key] = value
        if 2 * len(table) != row.count:
            keys: set = {cython.cast(object, self.meant(k, made)) for k in range(row.first, row.first + row.count, 2)}
            for key in list(table):
                if key not in keys:
                    it.pop(key, None)
        return 0


@cython.cfunc
def _arguments(it: object) -> tuple:
    """What made something of `_CALLS`."""
    if type(it) is MethodType:
        return it.__func__, it.__self__
    return it.func, *it.args
