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

Not here: how objects that are there become what a graph says (`inplace`), which classes there are
(`axptr.linux.snapshots.owners`), how a graph is written to a file (`axptr.linux.snapshots.code`) and read (`records`).

Locking: none; who captures sees to it that nothing changes meanwhile.

Failure: what a rule, a leaf or a constructor raises comes out; a half-built copy is dropped.
"""

import cython
from cython.cimports.axptr._core.words.graph import (
    _ARRAY,
    _ATOM,
    _CALL,
    _DICT,
    _FROZENSET,
    _INSTANCE,
    _LEAF,
    _LIST,
    _MAPPING,
    _SET,
    _STANDIN,
    _TUPLE,
)
from cython.cimports.cpython.object import PyObject_GenericSetAttr

ATOM, INSTANCE, LIST, DICT, SET, ARRAY = _ATOM, _INSTANCE, _LIST, _DICT, _SET, _ARRAY
MAPPING, TUPLE, FROZENSET, CALL, LEAF, STANDIN = _MAPPING, _TUPLE, _FROZENSET, _CALL, _LEAF, _STANDIN


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
        node: Node
        i: cython.Py_ssize_t
        made: list = []
        for node in self.nodes:
            made.append(self.create(node, made, leaf))
        for i in range(len(self.nodes)):
            node = self.nodes[i]
            if node.kind < _TUPLE:
                self.refill(node, made[i], made)
        return [self.one(value, made) for value in self.roots]

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
