"""Types of dissect.cstruct: C declarations pasted as text.

    T = cstruct().load("struct point { uint16 x; uint32 y; };", align=True).point
    UserPtr.of(T)(address).read(space).y

dissect's own rules hold: byte order and pointer width are those of the `cstruct` object, and without `align=True` a
structure is packed (alignment 1). `read` gives dissect's value, `read_slice` a list of them.

A pointer in such a value is a number: dissect would follow it inside the copy, where it means nothing, so that is
refused. Enums give pseudo-members for values nobody knows.

Refused: types without a fixed size. dissect.cstruct is imported by those who use it, never at our own start.
"""

from __future__ import annotations

import errno
import io
import struct
from typing import Any

from dissect.cstruct.exceptions import Error
from dissect.cstruct.types import Char, CharArray, Enum, Flag, Structure, Union, Wchar, WcharArray
from dissect.cstruct.types.base import BaseArray

from axptr.errors import LinuxError

from .base import Form, as_integer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .base import Number

_made: dict[Any, CType] = {}


class CType(Form):
    """A type of dissect.cstruct; made by `of`, once for each."""

    @classmethod
    def of(cls, T: Any) -> CType:
        found = _made.get(T)
        if found is None:
            found = _made[T] = cls(T)
        return found

    def __init__(self, T: Any) -> None:
        tail = issubclass(T, BaseArray) and not T.dynamic and bool(T.type.size)  # of no elements, it has a place alone
        if T.dynamic or not (T.size or tail):
            raise TypeError(f"{T.__name__} has no fixed size: {_what_to_do(T)}")
        self.T = T
        self.size: int = T.size
        self.align = _alignment(T)
        if self.size % self.align:
            self.align = 1  # int24 and its kind: elements of an array stand unaligned
        self.address = issubclass(T, int)

    @property
    def number(self) -> Number | None:
        # Asked, not looked up: each kind of dissect's integers knows its order and its sign in a way of its own.
        return ("little" if self.dump(1)[0] else "big", self.load(b"\xff" * self.size) < 0) if self.address else None

    def __str__(self) -> str:
        return str(self.T.__name__)

    def load(self, blob: bytes) -> Any:
        copy = _Copy(blob)
        try:
            value = self.T(copy)
        except UnicodeDecodeError as failure:
            raise LinuxError(errno.EILSEQ, f"{self} holds what is no text: {failure.reason}") from None
        copy.spent = True
        return value

    def load_many(self, blob: bytes, n: int) -> Any:
        return list(super().load_many(blob, n))

    def dump(self, value: Any) -> bytes:
        if issubclass(self.T, Structure) and not isinstance(value, self.T):
            raise TypeError(f"want an instance of {self}, not {type(value).__name__}")
        if issubclass(self.T, int):
            number = as_integer(self, value)
            value = self.T(number) if issubclass(self.T, (Enum, Flag)) else number
        try:
            _spelt_out(self.T, value)
            blob: bytes = self.T.dumps(value)
        except (struct.error, OverflowError) as failure:
            error = TypeError if "required argument" in str(failure) else OverflowError
            raise error(f"{value!r} does not fit in {self}: {failure}") from None
        except (Error, AttributeError, TypeError, ValueError) as failure:
            raise TypeError(f"{self}: {failure}") from None
        if len(blob) != self.size:
            raise OverflowError(f"{len(blob)} bytes do not fit in {self}")
        return blob

    def parts(self) -> list[tuple[str, int, Any]]:
        if not issubclass(self.T, Structure):
            return []
        return [(one.name, one.offset or 0, one.type) for one in self.T.__fields__ if one.name]

    def field(self, name: str) -> tuple[int, Any]:
        if not issubclass(self.T, Structure):
            raise TypeError(f"{self} has no fields")
        found = self.T.fields.get(name)
        if found is None:
            raise AttributeError(f"{self} has no field {name!r}")
        if found.bits:
            raise TypeError(f"{self}.{name} is a bit field: it has no address")
        for outer in self.T.__fields__:
            if outer is found:
                return found.offset or 0, found.type
            if outer.name is None and name in outer.type.fields:
                offset, T = CType.of(outer.type).field(name)
                return (outer.offset or 0) + offset, T
        raise AttributeError(f"{self} has no field {name!r}")

    def item(self) -> tuple[Any, int]:
        if not issubclass(self.T, BaseArray):
            raise TypeError(f"{self} is no array")
        return self.T.type, self.T.num_entries


def _what_to_do(T: Any) -> str:
    if issubclass(T, Structure):
        for field in T.__fields__:
            if field.type.dynamic:
                name = field._name
                return f"its {name} is as long as memory says; declare {name}[0] and reach it by field('{name}[0]')"
    return "a pointer needs to know how much to read"


class _Copy(io.BytesIO):
    """The bytes of one value; nobody goes back into them once the value is made."""

    spent = False

    def seek(self, *args: Any) -> int:
        if self.spent:
            raise TypeError("a guest's pointer is not followed in a copy: make a UserPtr of it and read that")
        return super().seek(*args)


def _spelt_out(T: Any, value: Any) -> None:
    """Refuse text that has not the length of its array: dissect would store it, and what follows elsewhere."""
    if issubclass(T, (Char, CharArray, Wchar, WcharArray)):
        n = T.num_entries if issubclass(T, BaseArray) else 1
        if len(value) != n:
            raise (OverflowError if len(value) > n else TypeError)(
                f"{T.__name__} needs {n} characters, not {len(value)}"
            )
    elif issubclass(T, BaseArray):
        for one in value:
            _spelt_out(T.type, one)
    elif issubclass(T, Structure) and not issubclass(T, Union):
        for field in T.__fields__:
            _spelt_out(field.type, getattr(value, field._name))


def _alignment(T: Any) -> int:
    if issubclass(T, BaseArray):
        return _alignment(T.type)
    if issubclass(T, Structure) and not T.__align__:
        return 1
    return int(T.alignment)
