"""A T as another data model has it: what `model` promises, worked out once for each type and model.

The answer is a ctypes type or a `Form` again. Numbers become their twins of the other byte order, arrays arrays of
those, structures classes of the same name and fields; a T that a model does not change is given back as it is.

Not here: which model a pointer is used with (`_core.pointer`).
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from axptr.addr import checked_address
from axptr.model import DataModel

from .base import Form, form_of

_Simple: type = ctypes.c_int.__mro__[1]


class AddressForm(Form):
    """A user pointer type as the model has it: `target` makes the pointers that are read."""

    address = True

    def __init__(self, T: Any, target: Callable[[int], Any], model: DataModel) -> None:
        self.T = T
        self.size = self.align = model.pointer
        self._target = target
        self._order = model.order

    def load(self, blob: bytes) -> Any:
        return self._target(int.from_bytes(blob, self._order))

    def dump(self, value: Any) -> bytes:
        number = 0 if value is None else checked_address(value)
        try:
            return number.to_bytes(self.size, self._order)
        except OverflowError:
            raise OverflowError(f"{number:#x} does not fit in a pointer of {self.size} bytes") from None


def under(T: Any, model: DataModel) -> Any:
    """T, which is no user pointer type, as `model` has it. `TypeError` if ctypes has no twin for a part of it."""
    form = form_of(T)
    return _ctypes(T, model) if form is None else _form(form, model)


def _form(form: Form, model: DataModel) -> Any:
    from .codes import StructCode
    from .enums import EnumType, enum_type

    if isinstance(form, EnumType):
        return enum_type(form.members, under(form.underlying, model))
    if isinstance(form, StructCode):
        return form_of(_code(form, model))
    return form


def _code(form: Any, model: DataModel) -> str:
    """The struct code with its order, widths and padding spelt out."""
    code: str = form.T
    if code[:1] in ("<", ">", "!"):
        return code
    mark = "<" if model.order == "little" else ">"
    if code[:1] == "=":
        return mark + code[1:]
    wide = {"l": "iq", "L": "IQ", "n": "iq", "N": "IQ", "P": "IQ"}
    made, at, widest = "", 0, 1
    for count, kind in form.items:
        kind = wide[kind][model.pointer == 8] if kind in wide else kind
        size = struct.calcsize(f"<{kind}")
        align = 1 if kind in "xsp" else size
        widest = max(widest, align)
        if -at % align:
            made += f"{-at % align}x"
        at += -at % align + size * count
        made += f"{count}{kind}"
    return f"{mark}{made}" + (f"{-at % widest}x" if -at % widest else "")


@lru_cache(maxsize=4096)
def _ctypes(T: Any, model: DataModel) -> Any:
    if issubclass(T, _Simple):
        if T._type_ == "P":
            T = ctypes.c_uint32 if model.pointer == 4 else ctypes.c_uint64
        if model.order == "little" or ctypes.sizeof(T) == 1:
            return T
        if not hasattr(T, "__ctype_be__"):
            raise TypeError(f"{T.__name__} has no form in the byte order of {model}")
        return T.__ctype_be__
    if issubclass(T, ctypes.Array):
        array: Any = T
        item = _ctypes(array._type_, model)
        return T if item is array._type_ else item * array._length_
    return _structure(T, model)


def _structure(T: Any, model: DataModel) -> Any:
    """A structure or a union whose fields are the twins of T's; T itself if they are the same."""
    kind: Any = ctypes.Union if issubclass(T, ctypes.Union) else ctypes.Structure
    fields: list[Any] = []
    anonymous: list[str] = []
    changed = False
    for base in reversed(T.__mro__):
        for name, field, *bits in base.__dict__.get("_fields_", ()):
            twin = _ctypes(field, model)
            changed = changed or twin is not field
            fields.append((name, twin, *bits))
        anonymous += base.__dict__.get("_anonymous_", ())
    if not changed:
        return T
    members: dict[str, Any] = {"__module__": T.__module__, "__doc__": T.__doc__, "_anonymous_": anonymous}
    if hasattr(T, "_pack_"):
        members["_pack_"] = T._pack_
    if model.order == "big":
        members["_swappedbytes_"] = None  # bit fields begin at the other end
    members["_fields_"] = fields
    return type(kind)(T.__name__, (kind,), members)
