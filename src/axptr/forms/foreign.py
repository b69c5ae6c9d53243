"""A T as another data model has it: what `model` promises, worked out once for each type and model.

The answer is a ctypes type or a `Form` again. Numbers become their twins of the other byte order, arrays arrays of
those, structures classes of the same name and fields; a T that a model does not change is given back as it is.

Where numbers of 8 bytes align to 4 (i386), structures that hold some are packed to 4, which moves nothing else, for
nothing else asks for more; numbers alone and arrays keep their type, and a `Realigned` says how they are aligned.

Not here: which model a pointer is used with (`_core.pointer`).
"""

from __future__ import annotations

import ctypes
import errno
from functools import lru_cache
from typing import Any, Literal

from axptr.errors import LinuxError
from axptr.model import LP64, DataModel

from .address import AddressForm
from .base import Form
from .find import form_of
from .later import Later

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass

_Simple: type = ctypes.c_int.__mro__[1]


class CharacterForm(Form):
    """`c_wchar` in the byte order that is not the host's, in which ctypes has none."""

    def __init__(self, model: DataModel) -> None:
        self.T = ctypes.c_wchar
        self.size = self.align = ctypes.sizeof(ctypes.c_wchar)
        self._order: Literal["little", "big"] = model.order

    def load(self, blob: bytes) -> Any:
        number = int.from_bytes(blob, self._order)
        try:
            return chr(number)
        except (ValueError, OverflowError):
            raise LinuxError(errno.EILSEQ, f"{number:#x} is no character") from None

    def dump(self, value: Any) -> bytes:
        if not isinstance(value, str) or len(value) != 1:
            raise TypeError("c_wchar needs a str of length 1")
        return ord(value).to_bytes(self.size, self._order)


class Realigned(Form):
    """A ctypes type that is aligned otherwise than ctypes says."""

    def __init__(self, ctype: Any, align: int) -> None:
        self.T = self.ctype = ctype
        self.size, self.align = ctypes.sizeof(ctype), align


def under(T: Any, model: DataModel) -> Any:
    """T as `model` has it. `TypeError` if ctypes has no twin for a part of it."""
    if hasattr(T, "ACCESS_FLAGS"):  # a user pointer type; one that is fixed to a model stays so
        return AddressForm(T, T.under(model), model) if T.model is None else T
    form = form_of(T)
    return _alone(T, model) if form is None else _form(form, model)


def _form(form: Form, model: DataModel) -> Any:
    from .codes import StructCode
    from .enums import EnumType, enum_type

    if isinstance(form, Realigned):
        return _alone(form.ctype, model)
    if isinstance(form, EnumType):
        return enum_type(form.members, under(form.underlying, model))
    if isinstance(form, StructCode):
        return StructCode.under(form.T, model)
    return form


@lru_cache(maxsize=4096)
def _alone(T: Any, model: DataModel) -> Any:
    if T is ctypes.c_wchar and model.order == "big":
        return CharacterForm(model)
    twin = _ctypes(T, model)
    return Realigned(twin, model.wide_align) if ctypes.alignment(twin) > model.wide_align else twin


def _pointer(T: Any, model: DataModel) -> Any:
    """A member that is a user pointer. One that says its own model or order keeps it."""
    if model == LP64 or T.model is not None or (isinstance(T, AddressForm) and T.word is not ctypes.c_uint64):
        return T
    # Later: a structure that points at itself has itself among its twins.
    return Later(T, T.const, lambda T, const: T.under(model), model)


@lru_cache(maxsize=4096)
def _ctypes(T: Any, model: DataModel) -> Any:
    if hasattr(T, "__axptr_layout__"):
        return _pointer(T, model)
    if issubclass(T, _Simple):
        if T._type_ == "P" and (model.pointer, model.order) != (8, "little"):
            T = ctypes.c_uint32 if model.pointer == 4 else ctypes.c_uint64
        if T._type_ == "g" and model.pointer == 4:
            raise TypeError(f"{T.__name__} has no form in {model}: processors differ in its bytes")
        if model.order == "little" or ctypes.sizeof(T) == 1:
            return T
        if not hasattr(T, "__ctype_be__"):
            raise TypeError(f"{T.__name__} has no form in the byte order of {model}")
        return T.__ctype_be__
    if issubclass(T, ctypes.Array):
        array: Any = T
        pointers = getattr(T, "__axptr_item__", None)
        held = array._type_ if pointers is None else pointers.T
        item = _ctypes(held, model)
        return T if item is held else item * array._length_
    return _structure(T, model)


def _structure(T: Any, model: DataModel) -> Any:
    """A structure or a union whose fields are the twins of T's; T itself if they are the same."""
    kind: Any = ctypes.Union if issubclass(T, ctypes.Union) else ctypes.Structure
    fields: list[Any] = []
    anonymous: list[str] = []
    pack = getattr(T, "_pack_", 0)
    changed = False
    for base in reversed(T.__mro__):
        for name, field, *bits in base.__dict__.get("_fields_", ()):
            twin = _ctypes(field, model)
            changed = changed or twin is not field
            fields.append((name, twin, *bits))
            if hasattr(twin, "__axptr_layout__"):
                continue
            if bits and ctypes.sizeof(twin) > model.wide_align:
                raise TypeError(f"{T.__name__}.{name}, a bit field of 8 bytes, has no form in {model}")
            if ctypes.alignment(twin) > model.wide_align and not 0 < pack <= model.wide_align:
                pack, changed = model.wide_align, True
        anonymous += base.__dict__.get("_anonymous_", ())
    if not changed:
        return T
    members: dict[str, Any] = {"__module__": T.__module__, "__doc__": T.__doc__, "_anonymous_": anonymous}
    if pack:
        members["_pack_"] = pack
    if model.order == "big":
        members["_swappedbytes_"] = None  # bit fields begin at the other end
    members["_fields_"] = fields
    return type(kind)(T.__name__, (kind,), members)


def converted(value: Any, T: Any) -> Any:
    """An instance of T, the twin of `value`'s type, with the same members.

    `OverflowError` for an address that does not fit, `TypeError` for a union whose members lie otherwise there: only
    its maker knows which one counts.
    """
    if isinstance(value, T):
        return value
    if issubclass(T, ctypes.Union):
        raise TypeError(f"which member of {T.__name__} counts cannot be told: make one as this data model has it")
    made = T()
    if issubclass(T, ctypes.Array):
        for i, one in enumerate(value):
            made[i] = _member(one, T._type_)
        return made
    for name, twin, *bits in T._fields_:
        if bits:
            setattr(made, name, getattr(value, name))
            continue
        was, goes = getattr(type(value), name), getattr(T, name)
        if _field_type(type(value), name) is twin:  # byte by byte: of a text, ctypes gives no more than up to its NUL
            blob = bytes(memoryview(value).cast("B"))[was.offset : was.offset + was.size]
            memoryview(made).cast("B")[goes.offset : goes.offset + goes.size] = blob
        else:
            setattr(made, name, _member(getattr(value, name), twin))
    return made


def _member(value: Any, T: Any) -> Any:
    if hasattr(T, "__axptr_layout__"):
        return value
    if not issubclass(T, _Simple):
        return converted(value, T)
    value = 0 if value is None else value  # a `c_void_p` that is NULL
    if isinstance(value, int) and T(value).value != value:
        raise OverflowError(f"{value:#x} does not fit in {ctypes.sizeof(T)} bytes")
    return value


def _field_type(T: Any, name: str) -> Any:
    return next(entry[1] for base in T.__mro__ for entry in base.__dict__.get("_fields_", ()) if entry[0] == name)
