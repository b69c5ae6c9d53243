"""A graph of Python objects as plain data, and copies made of it: what stands behind snapshots of whole machines.

A `Capture` walks the graph from what it is given, by rules that say for each class what of it is kept, and gives a
`Graph`: a list of nodes whose values are atoms (numbers, strings, bytes, None) or places of other nodes. `Graph.build`
makes new objects of it, as often as one likes: an object that several name is one in each copy. A class without a rule
is nobody's: the walk refuses it.

What belongs to somebody else (a descriptor of the host, a memory) is a leaf: plain data too, which whoever builds is
asked to make something of.

Objects that can change are made empty first and filled afterwards, so that circles need nothing special; what cannot (a
tuple, a call) stands behind all that it names. The walk goes by a list of what is to be done, so that no chain of
objects is too long for it.

Objects may also be put back in place: `match` finds those that stand where the graph has them, `complete` makes the
others, and `put_back` changes what is not as it was, and nothing else.

Not here: which classes there are (`axptr.linux.snapshots.owners`), how a graph is written to a file.

Locking: none; who captures sees to it that nothing changes meanwhile.

Failure: what a rule, a leaf or a constructor raises comes out; a half-built copy is dropped.
"""

from weakref import WeakKeyDictionary

import cython
from cython.cimports.axptr._core.words.graph import (
    PyList_GET_ITEM,
    PyTuple_GET_ITEM,
    has_dict,
    state_of,
)
from cython.cimports.axptr._core.words.seen import Seen
from cython.cimports.axptr._core.words.shape import Shape
from cython.cimports.axptr._core.words.slots import at_offset
from cython.cimports.cpython.dict import PyDict_GetItem, PyDict_Next
from cython.cimports.cpython.object import PyObject_GenericSetAttr
from cython.cimports.cpython.ref import PyObject

ATOM, INSTANCE, LIST, DICT, SET, ARRAY, MAPPING, TUPLE, FROZENSET, CALL, LEAF, STANDIN = range(12)
cython.declare(_ATOM=cython.int, _INSTANCE=cython.int, _LIST=cython.int, _DICT=cython.int, _SET=cython.int)
cython.declare(_ARRAY=cython.int, _MAPPING=cython.int, _TUPLE=cython.int, _FROZENSET=cython.int, _CALL=cython.int)
cython.declare(_LEAF=cython.int, _STANDIN=cython.int)
_ATOM, _INSTANCE, _LIST, _DICT, _SET, _ARRAY, _MAPPING, _TUPLE, _FROZENSET, _CALL, _LEAF, _STANDIN = range(12)


@cython.final
@cython.cclass
class Place:
    """Where a node stands in its graph."""

    def __cinit__(self, index: cython.Py_ssize_t):
        self.index = index

    def __repr__(self):
        return f"#{self.index}"

    def __reduce__(self):
        raise TypeError("a place is of one graph alone")


@cython.final
@cython.cclass
class Rule:
    """What a capture does with the objects of one class. kind: one of the numbers above.

    take: of INSTANCE, None for all attributes but those of `omit`, else `take(object, capture)` gives a dict of them;
    of CALL it gives `(function, arguments)`, of LEAF a tuple, of MAPPING the items, of STANDIN another object that is
    captured in its place."""

    def __cinit__(self, kind: cython.int, take: object = None, slots: tuple = (), omit: frozenset = frozenset()):
        self.kind = kind
        self.take = take
        self.slots = slots
        self.omit = omit


@cython.final
@cython.cclass
class Node:
    """One object. names: of the attributes of an INSTANCE. values: atoms and places; of DICT and MAPPING keys and
    values in turn, of a CALL the function first."""

    def __cinit__(self, kind: cython.int, cls, names, values):
        self.kind = kind
        self.cls = cls
        self.names = names
        self.values = values

    def __repr__(self):
        return f"Node({self.kind}, {self.cls}, {self.names}, {self.values})"


@cython.final
@cython.cclass
class Capture:
    """One walk. rules: class -> `Rule`; `missing(object)` gives the rule of a class that is not there, or raises.

    owner: whose walk it is, for the functions of the rules.
    """

    def __cinit__(self, rules: dict, missing: object, owner: object):
        self.owner = owner
        self.rules = rules
        self.missing = missing
        self.memo = {}
        self.kept = []
        self.nodes = []
        self.todo = []
        self.shapes = {}

    def place(self, it):
        """The place of an object, or itself if it is an atom."""
        rule: Rule = self.rules.get(type(it))
        if rule is None:
            rule = self.missing(it)
        if rule.kind == _ATOM:
            return it
        known: object = self.memo.get(id(it))
        if known is not None:
            return known
        return self.enter(it, rule)

    @cython.cfunc
    def enter(self, it: object, rule: Rule):
        found: object
        values: tuple
        plain: cython.bint
        if rule.kind == _STANDIN:
            found = self.place(rule.take(it, self))
            self.memo[id(it)] = found
            self.kept.append(it)
            return found
        if rule.kind == _TUPLE or rule.kind == _FROZENSET:
            values = tuple([self.place(one) for one in it])
            plain = True
            for one in values:
                if type(one) is Place:
                    plain = False
                    break
            if plain:
                found = it  # nothing in it can change
                self.memo[id(it)] = found
                self.kept.append(it)
                return found
            return self.note(it, Node(rule.kind, type(it), None, values))
        if rule.kind == _CALL:
            function, arguments = rule.take(it, self)
            values = (function, *[self.place(one) for one in arguments])
            return self.note(it, Node(_CALL, None, None, values))
        if rule.kind == _LEAF:
            values = tuple([self.place(one) for one in rule.take(it, self)])
            return self.note(it, Node(_LEAF, None, None, values))
        node: Node = Node(rule.kind, type(it), None, None)
        found = self.note(it, node)
        self.todo.append((it, rule, node))
        return found

    @cython.cfunc
    def note(self, it: object, node: Node):
        found: Place = Place(len(self.nodes))
        self.nodes.append(node)
        self.memo[id(it)] = found
        self.kept.append(it)  # its number is not another's while the walk lasts
        return found

    def finish(self, *roots):
        """The graph of all that was asked for, and these objects as what a copy is asked for."""
        places: tuple = tuple([self.place(one) for one in roots])
        while self.todo:
            it, rule, node = self.todo.pop()
            self.fill(it, rule, node)
        return Graph(tuple(self.nodes), places)

    @cython.cfunc
    def fill(self, it: object, rule: Rule, node: Node):
        values: list = []
        names: list
        state: dict
        if rule.kind == _INSTANCE:
            names = []
            if rule.take is not None:
                state = rule.take(it, self)
                self.kept.append(state)
            else:
                state = getattr(it, "__dict__", None) or {}
            for name, value in state.items():
                if name not in rule.omit:
                    names.append(name)
                    values.append(self.place(value))
            for name in rule.slots:
                try:
                    value = getattr(it, name)
                except AttributeError:
                    continue
                names.append(name)
                values.append(self.place(value))
            shape: tuple = tuple(names)
            node.names = self.shapes.setdefault(shape, shape)
        elif rule.kind == _DICT or rule.kind == _MAPPING:
            items = it.items() if rule.take is None else rule.take(it, self)
            for name, value in list(items):
                self.kept.append(name)
                values.append(self.place(name))
                values.append(self.place(value))
        elif rule.kind == _ARRAY:
            values.append(bytes(it))
        else:
            for value in list(it):
                values.append(self.place(value))
        node.values = tuple(values)


@cython.final
@cython.cclass
class Graph:
    """nodes: all of them; roots: what a copy is asked for."""

    def __cinit__(self, nodes: tuple, roots: tuple):
        self.nodes = nodes
        self.roots = roots

    def build(self, leaf):
        """A copy: the roots of new objects. `leaf(*values)` makes something of a leaf."""
        made: list = [None] * len(self.nodes)
        return self.put_back(made, None, self.complete(made, leaf))

    def match(self, live: list, slots: object):
        """For each node an object that may become what it says, where one stands in its place; None for others.

        live: what the roots are now, as far as anything is. An object stands for one node at most. What cannot change,
        and leaves, stand for none. slots: as `put_back` has it. The second result: those that
        were found, tuples too, by their numbers (`id`)."""
        i: cython.Py_ssize_t
        done: cython.Py_ssize_t = 0
        node: Node
        made: list = [None] * len(self.nodes)
        used: Seen = Seen(len(self.nodes))
        self.slots = slots
        for i in range(min(len(live), len(self.roots))):
            self.meet(self.roots[i], PyList_GET_ITEM(live, i), made, used)
        while done < used.waiting:  # each node once
            i = used.line[done]
            done += 1
            node = cython.cast(Node, PyTuple_GET_ITEM(self.nodes, i))
            if node.kind == _INSTANCE:
                self.meet_state(node, made[i], made, used)
            elif node.kind == _DICT:
                self.meet_items(node, made[i], made, used)
            elif node.kind == _MAPPING:
                self.meet_weak(node, made[i].data, node.cls is WeakKeyDictionary, made, used)
            elif node.kind == _LIST:
                self.meet_row(node.values, made[i], made, used)
        return made, used

    def meet_row(self, values, row, made, used):
        """The objects in a list, a tuple or the like that stand where values do."""
        k: cython.Py_ssize_t
        if type(row) is list:
            for k in range(min(len(values), len(cython.cast(list, row)))):
                self.meet(values[k], PyList_GET_ITEM(row, k), made, used)
        elif isinstance(row, tuple):
            fields: tuple = cython.cast(tuple, row)  # of a class of its own, perhaps
            for k in range(min(len(values), len(fields))):
                self.meet(values[k], PyTuple_GET_ITEM(fields, k), made, used)
        else:
            for value, it in zip(values, row, strict=False):
                self.meet(value, cython.cast(cython.pointer(PyObject), it), made, used)
        return 0

    def meet(self, value, it, made, used):
        """An object that stands where a value does; NULL for none."""
        i: cython.Py_ssize_t
        node: Node
        if type(value) is not Place or it == cython.NULL:
            return 0
        i = cython.cast(Place, value).index
        node = cython.cast(Node, PyTuple_GET_ITEM(self.nodes, i))
        if node.kind > _FROZENSET or PyList_GET_ITEM(made, i) != cython.cast(cython.pointer(PyObject), None):
            return 0
        if type(cython.cast(object, it)) is not node.cls or not used.enter(it):
            return 0
        if node.kind < _TUPLE:
            made[i] = cython.cast(object, it)
            used.line[used.waiting] = i
            used.waiting += 1
        elif node.kind == _TUPLE:
            self.meet_row(node.values, cython.cast(object, it), made, used)
        return 0

    def shape_of(self, node):
        if node.shape is None:
            node.shape = Shape(node.cls, node.names, self.slots(node.cls))
        return node.shape

    def meet_state(self, node, it, made, used):
        k: cython.Py_ssize_t = 0
        at: cython.Py_ssize_t = 0
        key: cython.pointer(PyObject)
        value: cython.pointer(PyObject)
        names: tuple = node.names
        values: tuple = node.values
        if has_dict(it):
            state: dict = state_of(it)
            while k < len(names) and PyDict_Next(state, cython.address(at), cython.address(key), cython.address(value)):
                if key != cython.cast(cython.pointer(PyObject), names[k]):
                    break
                if type(values[k]) is Place:
                    self.meet(values[k], value, made, used)
                k += 1
        shape: Shape = self.shape_of(node)
        seen: cython.Py_ssize_t = k
        for k in range(seen, len(names)):
            if type(values[k]) is not Place:
                continue
            if shape.offsets[k]:
                value = at_offset(it, shape.offsets[k])
                if value != cython.NULL:
                    self.meet(values[k], value, made, used)
            else:
                found: object = getattr(it, names[k], None)
                self.meet(values[k], cython.cast(cython.pointer(PyObject), found), made, used)
        return 0

    def meet_items(self, node, table, made, used):
        k: cython.Py_ssize_t
        values: tuple = node.values
        items: list = None
        for k in range(0, len(values), 2):
            if type(values[k]) is Place:
                if items is None:
                    items = list(table.items())
                if k >> 1 < len(items):
                    name, found = items[k >> 1]
                    self.meet(values[k], cython.cast(cython.pointer(PyObject), name), made, used)
                    self.meet(values[k + 1], cython.cast(cython.pointer(PyObject), found), made, used)
            elif type(values[k + 1]) is Place:
                self.meet(values[k + 1], PyDict_GetItem(table, values[k]), made, used)
        return 0

    def meet_weak(self, node, table, by_key, made, used):
        """The same of a weak one: `table` has references in the place of its keys or of its values."""
        k: cython.Py_ssize_t = 0
        if by_key:
            for reference, value in list(table.items()):
                if k + 1 < len(node.values):
                    it = reference()
                    self.meet(node.values[k], cython.cast(cython.pointer(PyObject), it), made, used)
                    self.meet(node.values[k + 1], cython.cast(cython.pointer(PyObject), value), made, used)
                k += 2
            return 0
        for k in range(0, len(node.values), 2):
            if type(node.values[k]) is not Place:
                reference = table.get(node.values[k])
                if reference is not None:
                    it = reference()
                    self.meet(node.values[k + 1], cython.cast(cython.pointer(PyObject), it), made, used)
        return 0

    def complete(self, made: list, leaf: object):
        """Make what `match` has not found: the places of these. No object that was there is changed. A leaf that has its
        object in `made` is not asked for."""
        i: cython.Py_ssize_t
        node: Node
        fresh: set = set()
        for i in range(len(self.nodes)):
            if made[i] is None:
                node = self.nodes[i]
                made[i] = self.create(node, made, leaf)
                if node.kind < _TUPLE:
                    fresh.add(i)
        return fresh

    def create(self, node, made, leaf):
        """A new object: empty where it can change, and whole where not."""
        values: list
        cls: object = node.cls
        if node.kind == _INSTANCE or node.kind == _SET or node.kind == _LIST:
            return cls.__new__(cls)
        if node.kind == _MAPPING:
            return cls()
        if node.kind == _DICT:
            return {}
        if node.kind == _ARRAY:
            return bytearray()
        values = self.values_of(node, made)
        if node.kind == _TUPLE:
            return tuple(values) if cls is tuple else tuple.__new__(cls, values)
        if node.kind == _FROZENSET:
            return frozenset(values)
        if node.kind == _CALL:
            return values[0](*values[1:])
        return leaf(*values)

    def put_back(self, made: list, slots: object, fresh: set):
        """Let all objects be what the graph says, those of `fresh` being empty: the roots. `slots(class)` gives the names
        of the attributes that are in no `__dict__`, if any object was there.

        What is right already is not touched."""
        i: cython.Py_ssize_t
        node: Node
        anew: bytearray = bytearray(len(self.nodes))
        for place in fresh:
            anew[place] = 1
        self.slots = slots
        for i in range(len(self.nodes)):
            node = cython.cast(Node, PyTuple_GET_ITEM(self.nodes, i))
            if node.kind >= _TUPLE:
                continue
            if anew[i]:
                self.refill(node, made[i], made)
            else:
                self.set_right(node, made[i], made)
        return [self.one(value, made) for value in self.roots]

    def meant(self, node, k, made):
        """What a value stands for, which somebody holds."""
        value: cython.pointer(PyObject) = PyTuple_GET_ITEM(node.values, k)
        if type(cython.cast(object, value)) is Place:
            return PyList_GET_ITEM(made, cython.cast(Place, value).index)
        return value

    def set_right(self, node, it, made):
        """An object that was there becomes what its node says."""
        if node.kind == _INSTANCE:
            return self.set_attributes(node, it, made)
        if node.kind == _DICT:
            if self.same_items(node, it, made):
                return 0
        elif node.kind == _ARRAY:
            if it == node.values[0]:
                return 0
        elif node.kind == _SET:
            members: set = it
            if len(members) == len(node.values):
                for value in node.values:
                    if self.one(value, made) not in members:
                        break
                else:
                    return 0
        elif node.kind == _LIST:
            if self.same_row(node, it, made):
                return 0
        elif node.cls is WeakKeyDictionary:
            if self.same_mapping(node, it.data, made):
                return 0
        else:
            return self.set_weak(node, it, made)
        it.clear()
        self.refill(node, it, made)
        return 0

    def set_attributes(self, node, it, made):
        shape: Shape = self.shape_of(node)
        if not has_dict(it):
            return self.set_slots(node, it, made, shape)
        k: cython.Py_ssize_t = 0
        at: cython.Py_ssize_t = 0
        there: cython.Py_ssize_t = 0
        key: cython.pointer(PyObject)
        found: cython.pointer(PyObject)
        names: tuple = node.names
        state: dict = state_of(it)
        wrong: list = None
        # As long as all stands in the order in which it was seen.
        while k < len(names) and PyDict_Next(state, cython.address(at), cython.address(key), cython.address(found)):
            if key != cython.cast(cython.pointer(PyObject), names[k]):
                break
            if found != self.meant(node, k, made):
                if wrong is None:
                    wrong = []
                wrong.append(k)
            k += 1
        there = k
        if wrong is not None:
            for k in wrong:
                PyObject_GenericSetAttr(it, names[k], cython.cast(object, self.meant(node, k, made)))
        if there == len(names) == len(state):
            return 0
        if there < len(state) and there < len(names) and names[there] in state:
            state.clear()  # in another order: the next time it is in this one
            there = 0
        for k in range(there, len(names)):
            if shape.offsets[k]:
                if at_offset(it, shape.offsets[k]) != self.meant(node, k, made):
                    PyObject_GenericSetAttr(it, names[k], cython.cast(object, self.meant(node, k, made)))
                continue
            value: object = node.values[k]
            if type(value) is Place:
                value = made[cython.cast(Place, value).index]
            found = PyDict_GetItem(state, names[k])
            if found != cython.NULL:
                there += 1
            if found != cython.cast(cython.pointer(PyObject), value):
                PyObject_GenericSetAttr(it, names[k], value)
                if found == cython.NULL and names[k] in state:
                    there += 1
        if there != len(state):
            for name in list(state):
                if name not in names:
                    del state[name]
        return shape.unset_in(it)

    def set_slots(self, node, it, made, shape):
        """Of an object that has nothing but slots."""
        k: cython.Py_ssize_t
        for k in range(len(node.names)):
            if not shape.offsets[k] or at_offset(it, shape.offsets[k]) != self.meant(node, k, made):
                PyObject_GenericSetAttr(it, node.names[k], cython.cast(object, self.meant(node, k, made)))
        return shape.unset_in(it)

    def same_items(self, node, table, made):
        """Whether a table has the very keys and values that its node says, in this order."""
        k: cython.Py_ssize_t = 0
        if 2 * len(table) != len(node.values):
            return False
        for key, value in table.items():
            if self.one(node.values[k], made) is not key or self.one(node.values[k + 1], made) is not value:
                return False
            k += 2
        return True

    def same_mapping(self, node, table, made):
        """The same of one with weak keys, whose table has references in their place."""
        k: cython.Py_ssize_t = 0
        if 2 * len(table) != len(node.values):
            return False
        for key, value in table.items():
            if self.one(node.values[k], made) is not key() or self.one(node.values[k + 1], made) is not value:
                return False
            k += 2
        return True

    def set_weak(self, node, it, made):
        """Of one with weak values, which come and go: no order is kept."""
        k: cython.Py_ssize_t
        table: dict = it.data
        for k in range(0, len(node.values), 2):
            key = self.one(node.values[k], made)
            value = self.one(node.values[k + 1], made)
            reference = table.get(key)
            if reference is None or reference() is not value:
                it[key] = value
        if 2 * len(table) != len(node.values):
            keys: set = {self.one(value, made) for value in node.values[::2]}
            for key in list(table):
                if key not in keys:
                    it.pop(key, None)
        return 0

    def same_row(self, node, row, made):
        k: cython.Py_ssize_t
        if len(row) != len(node.values):
            return False
        if type(row) is list:
            for k in range(len(node.values)):
                if self.meant(node, k, made) != PyList_GET_ITEM(row, k):
                    return False
            return True
        for value, it in zip(node.values, row, strict=False):
            if self.one(value, made) is not it:
                return False
        return True

    @cython.cfunc
    def one(self, value: object, made: list):
        return made[cython.cast(Place, value).index] if type(value) is Place else value

    @cython.cfunc
    def values_of(self, node: Node, made: list) -> list:
        return [self.one(value, made) for value in node.values]

    @cython.cfunc
    def refill(self, node: Node, it: object, made: list):
        k: cython.Py_ssize_t
        values: tuple = node.values
        if node.kind == _INSTANCE:
            for k in range(len(node.names)):
                PyObject_GenericSetAttr(it, node.names[k], self.one(values[k], made))
        elif node.kind == _DICT or node.kind == _MAPPING:
            for k in range(0, len(values), 2):
                it[self.one(values[k], made)] = self.one(values[k + 1], made)
        elif node.kind == _SET:
            for value in values:
                it.add(self.one(value, made))
        elif node.kind == _ARRAY:
            it.extend(values[0])
        else:
            it.extend(self.values_of(node, made))
