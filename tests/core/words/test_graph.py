"""Objects are put back in place: those that stand where they stood stay, and become what they were."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import pytest

from axptr._core.words.graph import ATOM, DICT, INSTANCE, LIST, SET, TUPLE, Capture, Rule


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
    made, found = graph.match([root], SLOTS.__getitem__)
    fresh = graph.complete(made, refuse)
    return graph.put_back(made, SLOTS.__getitem__, fresh)[0], found


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
