"""Codes of the `struct` module as types: `UserPtr.of("<I")`, `UserConstPtr.of(">Hxx I")`.

One code gives its value, several a tuple, `s` and `p` bytes.

The layout: with an explicit byte order (`<`, `>`, `!`, `=`) sizes are the standard ones and nothing is padded or
aligned, for such codes describe bytes of a file or of a wire: the alignment is 1. Without one, or with `@`, the code
is a C structure of the data model at hand: members aligned, the alignment that of its widest member, and the size a
multiple of it (as if the code ended in `0` and that member, which `struct` leaves to its user), so that elements
of a slice stand as they do in C.

Not here: other names of types (`"u4"`): those are numpy's, hand in a dtype.
"""

from __future__ import annotations

import ctypes
import re
import struct
from functools import lru_cache

from axptr.model import DataModel

from .base import Form, as_integer, wanted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ITEM = re.compile(r"\s*(\d*)([a-zA-Z?])")
_STANDARD = {"l": "i", "L": "I"}  # standard sizes: long has 4 bytes
_WIDE = {"l": "iq", "L": "IQ", "n": "iq", "N": "IQ", "P": "IQ"}  # where pointers have 4 bytes, and 8
_CTYPES: dict[str, Any] = {
    "c": ctypes.c_char,
    "?": ctypes.c_bool,
    "b": ctypes.c_int8,
    "B": ctypes.c_uint8,
    "h": ctypes.c_int16,
    "H": ctypes.c_uint16,
    "i": ctypes.c_int32,
    "I": ctypes.c_uint32,
    "l": ctypes.c_long,
    "L": ctypes.c_ulong,
    "q": ctypes.c_int64,
    "Q": ctypes.c_uint64,
    "n": ctypes.c_ssize_t,
    "N": ctypes.c_size_t,
    "P": ctypes.c_uint64,
    "f": ctypes.c_float,
    "d": ctypes.c_double,
}


class StructCode(Form):
    """A struct code, as the host has it or as a data model does. `TypeError` if it is none, or has no size."""

    @staticmethod
    @lru_cache(maxsize=1024)
    def under(code: str, model: DataModel) -> StructCode:
        """The code as `model` has it; always the same one."""
        return StructCode(code, model)

    def __init__(self, code: str, model: DataModel | None = None) -> None:
        self.T = code
        order = code[:1] if code[:1] in tuple("@=<>!") else "@"
        body = code.removeprefix(order)
        try:
            items = [(int(count or 1), kind) for count, kind in _ITEM.findall(body)]
            alignments = {kind: struct.calcsize(f"@b{kind}") - struct.calcsize(f"@{kind}") for _, kind in items}
            self.align = max(alignments.values(), default=1) if order == "@" else 1
            widest = [kind for kind in alignments if alignments[kind] == self.align]
            body += f"0{widest[0]}" if self.align > 1 else ""
            self._struct = struct.Struct(order + body)
            if model is not None and order in "@=":
                if order == "@":
                    items, body, self.align = _laid_out(items, model)
                order = "<" if model.order == "little" else ">"
                self._struct = struct.Struct(order + body)
        except (struct.error, OverflowError, UnicodeEncodeError) as failure:
            raise TypeError(f"{code!r} is no struct code: {failure}") from None
        self.size = self._struct.size
        if (0, "p") in items:
            raise TypeError(f"{code!r}: a Pascal string of no bytes has no room for its length")
        if self.size == 0:
            raise TypeError(f"{code!r} has no size: a pointer needs something to point at")
        # One kind for each value: `3I` are three, `4s` is one, `4x` none.
        self._kinds: list[tuple[int, str]] = []
        for count, kind in items:
            self._kinds += [(count, kind)] if kind in "sp" else [] if kind == "x" else [(1, kind)] * count
        self._alone = len(self._kinds) == 1
        if items in ([(1, kind)] for kind in _CTYPES):
            self.ctype = _scalar(order, items[0][1])

    def load(self, blob: bytes) -> Any:
        values = self._struct.unpack(blob)
        return values[0] if self._alone else values

    def load_many(self, blob: bytes, n: int) -> Any:
        if self._alone:
            return tuple([values[0] for values in self._struct.iter_unpack(blob)])
        return tuple(self._struct.iter_unpack(blob))

    def dump(self, value: Any) -> bytes:
        if not self._alone and not isinstance(value, (tuple, list)):
            raise TypeError(f"{self} needs a tuple of values, not {type(value).__name__}")
        values = [value] if self._alone else list(value)
        wanted(self, values, len(self._kinds))
        values = [_checked(self, *kind, one) for kind, one in zip(self._kinds, values, strict=True)]
        try:
            return self._struct.pack(*values)
        except (struct.error, OverflowError):
            raise OverflowError(f"{value!r} does not fit in {self}") from None


def _laid_out(items: list[tuple[int, str]], model: DataModel) -> tuple[list[tuple[int, str]], str, int]:
    """The items, the code without an order and the alignment: widths and padding as the model has them, spelt out."""
    found: list[tuple[int, str]] = []
    made, at, widest = "", 0, 1
    for count, kind in items:
        kind = _WIDE[kind][model.pointer == 8] if kind in _WIDE else kind
        size = struct.calcsize(f"<{kind}")
        align = 1 if kind in "xsp" else min(size, model.wide_align)
        widest = max(widest, align)
        if -at % align:
            made += f"{-at % align}x"
        at += -at % align + size * count
        made += f"{count}{kind}"
        found.append((count, kind))
    return found, made + (f"{-at % widest}x" if -at % widest else ""), widest


def _scalar(order: str, kind: str) -> Any:
    """The ctypes type of one code."""
    if order != "@":
        kind = _STANDARD.get(kind, kind)
    T = _CTYPES[kind]
    if order in "@=" or ctypes.sizeof(T) == 1:
        return T
    return T.__ctype_le__ if order == "<" else T.__ctype_be__


def _checked(T: Form, count: int, kind: str, value: Any) -> Any:
    """The value as `struct` takes it; it would cut bytes short and take any object for a bool."""
    if kind in "sp":
        if not isinstance(value, (bytes, bytearray)):
            raise TypeError(f"{T} needs bytes, not {type(value).__name__}")
        if len(value) > (count if kind == "s" else min(max(count - 1, 0), 255)):
            raise OverflowError(f"{len(value)} bytes do not fit in {T}")
    elif kind == "c":
        if not isinstance(value, (bytes, bytearray)) or len(value) != 1:
            raise TypeError(f"{T} needs bytes of length 1")
        return bytes(value)
    elif kind == "?":
        if not isinstance(value, int):
            raise TypeError(f"{T} needs a bool, not {type(value).__name__}")
        return bool(value)
    elif kind in "efd":
        if not isinstance(value, (int, float)) and not hasattr(type(value), "__float__"):
            raise TypeError(f"{T} needs a number, not {type(value).__name__}")
        return float(value)
    else:
        return as_integer(T, value)
    return value
