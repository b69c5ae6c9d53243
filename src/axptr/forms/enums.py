"""Enums and flags as types: `UserPtr.of(enum_type(Color, c_uint8))`.

Python's enums say no size, C's have one: the underlying type. What a guest stored need not be a member: an unknown
value is read as the plain `int` (a flag whose class keeps unknown bits, as `IntFlag` does, keeps them), so a reader
tells by `isinstance(value, Color)`.

Not here: enums that are no integers.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any, Generic, TypeVar

from .base import Form, as_integer, fitted
from .find import by_name, form_of, is_enum, named, number_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .base import Number

E = TypeVar("E", bound=int)


class EnumType(Form, Generic[E]):
    """An enum and the integer type that holds it; made by `enum_type`, once for each pair.

    members: the enum. underlying: what was given for it.
    """

    def __init__(self, members: type[E], underlying: Any, ctype: Any, align: int) -> None:
        self.T = self
        self.members: type[E] = members
        self.underlying: Any = underlying
        self.size, self.align = ctypes.sizeof(ctype), align
        self._number: Number = number_of(ctype) or (sys.byteorder, False)
        for member in members:  # type: ignore[attr-defined]
            self.dump(member)

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.members, *by_name(self.underlying))

    @property
    def number(self) -> Number:
        return self._number

    def load(self, blob: bytes) -> Any:
        value = int.from_bytes(blob, self._number[0], signed=self._number[1])
        try:
            member = self.members(value)
        except ValueError:
            return value
        return member if member == value else value

    def dump(self, value: Any) -> bytes:
        blob = fitted(self, as_integer(self, value), self.size, self._number[1])
        return blob if self._number[0] == sys.byteorder else blob[::-1]

    def __repr__(self) -> str:
        return f"enum_type({self.members.__name__}, {getattr(self.underlying, '__name__', self.underlying)!s})"

    __str__ = __repr__


def _again(members: Any, T: Any, attribute: str) -> Any:
    return enum_type(members, named(T, attribute))


_made: dict[tuple[Any, Any], EnumType[Any]] = {}


def enum_type(members: type[E], underlying: Any) -> EnumType[E]:
    """The type of an enum that lies in memory as `underlying`, a ctypes integer or the struct code of one.

    `TypeError` if either is something else, `OverflowError` if a member does not fit.
    """
    if not (isinstance(members, type) and is_enum(members) and issubclass(members, int)):
        raise TypeError(f"want an IntEnum or an IntFlag, not {members!r}")
    code = form_of(underlying)
    ctype = underlying if code is None else code.ctype
    if not isinstance(ctype, type) or getattr(ctype, "_type_", None) == "P" or number_of(ctype) is None:
        raise TypeError(f"an enum lies in an integer type, not in {underlying!r}")
    found = _made.get((members, underlying))
    if found is None:
        align = ctypes.alignment(ctype) if code is None else code.align
        found = _made[members, underlying] = EnumType(members, underlying, ctype, align)
    return found
