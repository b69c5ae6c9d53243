"""Named tuples that cost a start nothing are as those of the library."""

from __future__ import annotations

import inspect
import pickle
from typing import NamedTuple as Library

from axptr.named import NamedTuple


class Pair(NamedTuple):
    """Two."""

    first: int
    second: str = "b"

    def both(self) -> str:
        return f"{self.first}{self.second}"


class Theirs(Library):
    first: int
    second: str = "b"


def test_a_named_tuple_is_as_that_of_the_library() -> None:
    pair = Pair(1)
    assert (pair, pair.both(), Pair.__doc__) == ((1, "b"), "1b", "Two.")
    assert pickle.loads(pickle.dumps(pair)) == pair
    assert str(inspect.signature(Pair)) == "(first: 'int', second: 'str' = 'b')"
    for name in ("_fields", "__match_args__"):
        assert getattr(Pair, name) == getattr(Theirs, name)
    assert Pair._field_defaults == {"second": "b"}
    assert (repr(pair), pair._asdict()) == ("Pair(first=1, second='b')", {"first": 1, "second": "b"})
    assert (pair._replace(first=3), Pair._make("xy")) == ((3, "b"), ("x", "y"))
    assert type(pair._replace(first=3)) is Pair
    for wrong in (lambda: Pair(), lambda: Pair(1, "", 3), lambda: Pair._make("x"), lambda: Pair(1, third=3)):  # type: ignore[call-arg,arg-type,call-overload]
        try:
            wrong()
        except TypeError:
            continue
        raise AssertionError("no TypeError")
    assert not hasattr(pair, "__dict__")
