"""The command's members do what those of `enum` do, for what they have: the same class body is made both ways and
compared. Who imports axptr has those of `enum`."""

from __future__ import annotations

import copy
import enum
import operator
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from axptr import FaultReason, MappingFlags, UserPtr, members
from axptr.forms.enums import enum_type


def reason(base: Any) -> Any:
    class Reason(base):  # type: ignore[misc]
        NONE = ""
        LOW = "low"
        HIGH = "high"

    return Reason


def flags(base: Any, **options: Any) -> Any:
    class Flags(base, **options):  # type: ignore[misc]
        R = 1
        W = 2
        FAR = 16

    return Flags


PAIRS = {
    "values": (reason(members.LightEnum), reason(enum.Enum)),
    "flags": (flags(members.LightIntFlag), flags(enum.IntFlag, boundary=enum.STRICT)),
}
ASKED: dict[str, tuple[Callable[..., Any], ...]] = {
    "values": (
        lambda it: [str(one) for one in it],
        lambda it: [repr(one) for one in it],
        lambda it: [(one.name, one.value) for one in it],
        lambda it: it("low") is it.LOW,
        lambda it: it["HIGH"] is it.HIGH,
        lambda it: it("no"),
        lambda it: it([]),
        lambda it: it["no"],
        lambda it: len(it),
        lambda it: it.LOW in it,
        lambda it: [*it.__members__],
        lambda it: it.LOW == "low",
        lambda it: {it.LOW: 1}[it.LOW],
        lambda it: copy.copy(it.LOW) is it.LOW and copy.deepcopy([it.LOW])[0] is it.LOW,
        lambda it: setattr(it, "LOW", 3),
    ),
    "flags": (
        *(
            lambda it, value=value: (
                int(it(value)), repr(it(value)), str(it(value)), f"{it(value):#x}", it(value).name, it(value).value,
                [int(one) for one in it(value)], len(it(value)), bool(it(value)), int(~it(value)), hash(it(value)),
                it.R in it(value), it(value) is it(value), type(it(value)) is it,
            )
            for value in (0, 1, 2, 3, 16, 17, 18, 19, -1, True)
        ),
        *(
            lambda it, sign=sign, value=value: [
                (int(found), type(found) is it)
                for found in (sign(it.R, value), sign(value, it.R), sign(it.R, it(value)))
            ]
            for sign in (operator.or_, operator.and_, operator.xor)
            for value in (0, 1, 2, 16, 19)
        ),
        lambda it: it(4),
        lambda it: it(64),
        lambda it: it.R | 4,
        lambda it: it.R | "x",
        lambda it: it.R & 1.5,
        lambda it: it["FAR"] is it.FAR,
        lambda it: it["NONE"],
        lambda it: [*it.__members__],
        lambda it: [int(one) for one in it],
        lambda it: 3 in it.R,
        lambda it: it.R + it.W,
        lambda it: it.R < it.W,
        lambda it: copy.deepcopy(it(3)) is it(3),
    ),
}  # fmt: skip


def outcome(asked: Callable[..., Any], it: Any) -> Any:
    try:
        return asked(it)
    except Exception as error:
        return type(error)


@pytest.mark.parametrize(("kind", "number"), [(kind, i) for kind, asked in ASKED.items() for i in range(len(asked))])
def test_members_are_as_those_of_the_library(kind: str, number: int) -> None:
    ours, theirs = PAIRS[kind]
    asked = ASKED[kind][number]
    assert outcome(asked, ours) == outcome(asked, theirs)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("it", [*FaultReason, *MappingFlags, MappingFlags(0), MappingFlags(63)])
def test_pickle_gives_the_same_object_back(it: Any, protocol: int) -> None:
    assert pickle.loads(pickle.dumps(it, protocol)) is it


def test_flags_lie_in_memory_as_those_of_the_library_do() -> None:
    made = enum_type(MappingFlags, "B")
    assert made.load(b"\3") is MappingFlags(3)
    assert made.load(b"\xff") == 255
    with pytest.raises(TypeError, match="MappingFlags says no size"):
        UserPtr[MappingFlags]


def test_who_imports_axptr_has_enums_of_the_library() -> None:
    assert issubclass(MappingFlags, enum.IntFlag)
    assert issubclass(FaultReason, enum.Enum)
    with pytest.raises(TypeError, match="flags are MappingFlags"):
        MappingFlags("x")
    with pytest.raises(ValueError, match="invalid value"):
        MappingFlags(1 << 20)
