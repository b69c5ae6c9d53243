"""Objects are put back in place: those that stand where they stood stay, and become what they were."""

from __future__ import annotations

import random
from collections import deque
from functools import partial
from typing import NamedTuple

import pytest

from axptr._core.words.graph import ARRAY, ATOM, CALL, DICT, INSTANCE, LIST, SET, TUPLE, Capture, Place, Rule
from axptr._core.words.inplace import InPlace


class Plain:
    def __init__(self, **state: object) -> None:
        self.__dict__.update(state)


class Slotted:
    __slots__ = ("first", "second")


SLOTS = {Plain: (), Slotted: ("first", "second")}
RULES = {
    **dict.fromkeys((int, str, type(None)), Rule(ATOM)),
    list: Rule(LIST), deque: Rule(LIST), dict: Rule(DICT), set: Rule(SET), tuple: Rule(TUPLE),
    Plain: Rule(INSTANCE), Slotted: Rule(INSTANCE, None, SLOTS[Slotted]),
}  # fmt: skip


def refuse(it: object) -> Rule:
    raise TypeError(it)


def back(graph, root):
    """The root, put back from what it is now; what was found of it."""
    there = InPlace(graph, SLOTS.__getitem__)
    made, found = there.match([root])
    fresh = there.complete(made, refuse)
    return there.put_back(made, fresh)[0], found


@pytest.fixture
def root():
    one = Slotted()
    one.first = Plain(number=1)
    return Plain(
        row=[Plain(number=2), 3, (Plain(number=4), 5)], line=deque([Plain(number=6), 7]), slotted=one, names={"a": {8}}
    )


def look(root) -> list[object]:
    row, line, slotted = root.row, root.line, root.slotted
    of_row = [row[0].number, row[1], row[2][0].number, row[2][1]]
    return [*of_row, line[0].number, line[1], slotted.first.number, not hasattr(slotted, "second"), root.names["a"]]


WAS = [2, 3, 4, 5, 6, 7, 1, True, {8}]


def test_what_changed_is_as_it_was_and_the_objects_are_the_same(root):
    graph = Capture(RULES, refuse, None).finish(root)
    row, plain, line, slotted = root.row, root.row[0], root.line[0], root.slotted
    plain.number = 20
    row[1] = 30
    row[2][0].number = 40
    row.append(9)
    root.line.rotate()
    root.line.rotate()
    line.number = 60
    slotted.first.number, slotted.second = 10, "new"
    root.names["a"].add(80)
    root.more = 1
    again, found = back(graph, root)
    assert again is root
    assert look(root) == WAS
    assert not hasattr(root, "more")
    assert (root.row, root.row[0], root.line[0], root.slotted) == (row, plain, line, slotted)
    assert all(id(it) in found for it in (row, plain, line, slotted))


def test_what_is_gone_is_made_anew(root):
    graph = Capture(RULES, refuse, None).finish(root)
    del root.row[1:], root.slotted.first, root.names["a"]
    root.line.clear()
    root.row[0] = 5
    root.slotted.second = 1
    back(graph, root)
    assert look(root) == WAS


def test_one_that_has_not_changed_stays_as_it_is(root):
    graph = Capture(RULES, refuse, None).finish(root)
    for _ in range(2):
        inner = root.row[2][0]
        back(graph, root)
        assert look(root) == WAS
        assert root.row[2][0] is inner


class Pair(NamedTuple):
    """A tuple of a class of its own."""

    one: Plain
    number: int


def test_what_stands_in_a_tuple_with_names_is_found(root):
    root.row[2] = Pair(root.row[0], 5)
    graph = Capture({**RULES, Pair: Rule(TUPLE)}, refuse, None).finish(root)
    one = root.row[2].one
    root.row[0] = None
    one.number = 9
    assert back(graph, root)[0] is root
    assert root.row[2].one is one
    assert one.number == 2


def test_a_tuple_and_a_call_stay_while_they_name_the_same(root):
    rules = {**RULES, partial: Rule(CALL, lambda it, capture: (partial, (it.func, *it.args)))}
    rules[type(print)] = Rule(ATOM)
    root.call = partial(print, root.row[0], 1)
    graph = Capture(rules, refuse, None).finish(root)
    pair, call = root.row[2], root.call
    back(graph, root)
    assert root.row[2] is pair
    assert root.call is call
    root.call = partial(print, root.row[2][0], 1)
    root.row[2] = (Plain(number=4), 6)
    back(graph, root)
    assert root.call.args[0] is root.row[0]
    assert look(root) == WAS


class Computed:
    """An attribute that is in no `__dict__`, and one that its class computes."""

    __slots__ = ("__dict__", "inner")

    @property
    def outer(self) -> object:
        return self.inner

    @outer.setter
    def outer(self, value: object) -> None:
        self.inner = value


def test_what_a_class_computes_is_set_again():
    rules = {**RULES, Computed: Rule(INSTANCE, lambda it, capture: {"outer": it.inner, "plain": it.plain})}
    it = Computed()
    it.inner, it.plain = [1], 2
    graph = Capture(rules, refuse, None).finish(it)
    it.inner = [3]
    InPlaceOf = InPlace(graph, {Computed: ()}.__getitem__)
    made, _ = InPlaceOf.match([it])
    InPlaceOf.put_back(made, InPlaceOf.complete(made, refuse))
    assert (it.inner, it.plain) == ([1], 2)


def plain_of(graph) -> list[object]:
    """All of a graph, to be compared with another of the same walk."""
    return [
        (
            node.kind,
            node.cls,
            node.names,
            [value.index if type(value) is Place else repr(value) for value in node.values],
        )
        for node in graph.nodes
    ]


ALL = {**RULES, bytearray: Rule(ARRAY)}


def make_one(dice: random.Random, known: list[object], depth: int = 0) -> object:
    """Something at random, of what is known or new."""
    kind = dice.randrange(10)
    if kind == 0 and known:
        return dice.choice(known)
    if kind < 3 or depth > 3:
        return dice.choice([None, dice.randrange(1000), str(dice.random())])
    inside = [make_one(dice, known, depth + 1) for _ in range(dice.randrange(5))]
    it: object
    if kind == 3:
        it = inside
    elif kind == 4:
        it = tuple(inside)
    elif kind == 5:
        it = {str(number): one for number, one in enumerate(inside)}
    elif kind == 6:
        it = deque(inside)
    elif kind == 7:
        it = Plain(**{f"a{number}": one for number, one in enumerate(inside)})
    elif kind == 8:
        it = Slotted()
        for name, one in zip(("second", "first"), inside, strict=False):
            setattr(it, name, one)
    else:
        it = dice.choice([bytearray(b"bytes"), {Plain(number=9)}, {Plain(): inside}])
    known.append(it)
    return it


def spoil(dice: random.Random, known: list[object]) -> None:
    """Change one of them in one way or another."""
    it = dice.choice(known)
    new = make_one(dice, known, 2)
    match it:
        case list() | deque():
            dice.choice(
                [it.clear, lambda: it.append(new), lambda: it and it.pop(), lambda: it.__setitem__(0, new) if it else 0]
            )()
        case dict():
            dice.choice(
                [
                    it.clear,
                    lambda: it.update(a=new),
                    lambda: it and it.popitem(),
                    lambda: it and it.update({next(iter(it)): new}),
                ]
            )()
        case set():
            dice.choice([it.clear, lambda: it.add(Plain(number=1))])()
        case bytearray():
            it.extend(b"more")
        case Plain():
            state = it.__dict__
            names = list(state) or ["a0"]
            dice.choice(
                [
                    lambda: setattr(it, dice.choice(names), new),
                    lambda: setattr(it, "more", new),
                    lambda: state.pop(dice.choice(names), None),
                    lambda: state.update({n: state.pop(n) for n in names[::-1] if n in state}),
                ]
            )()
        case Slotted():
            name = dice.choice(["first", "second"])
            if hasattr(it, name) and dice.random() < 0.5:
                delattr(it, name)
            else:
                setattr(it, name, new)


@pytest.mark.parametrize("seed", range(60))
def test_after_random_changes_all_is_as_it_was(seed):
    """Of snapshots taken one after the other, put back in any order: the walk finds the graph that it found then."""
    dice = random.Random(seed)
    known: list[object] = []
    root = Plain(one=make_one(dice, known), two=[make_one(dice, known) for _ in range(8)])
    known += [root, root.two]
    graphs = []
    for _ in range(30):
        if len(graphs) < 3 or dice.random() < 0.1:
            graphs.append(Capture(ALL, refuse, None).finish(root))
        for _ in range(dice.randrange(6)):
            spoil(dice, known)
        graph = dice.choice(graphs)
        assert back(graph, root)[0] is root
        assert plain_of(Capture(ALL, refuse, None).finish(root)) == plain_of(graph)
