"""The form of a T, whatever its spelling; and of a T how it lies as an integer, and by what name pickle finds it.

The forms themselves are loaded at first use, and numpy and dissect.cstruct by their users: who hands in a type of
theirs has imported them. Failure: `form_of` raises `TypeError` for what looks like a T and is none.
"""

from __future__ import annotations

import sys

from ..members import Enum, IntFlag
from .base import Form

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .base import Number

HOST_ORDER, OTHER_ORDER = ("__ctype_le__", "__ctype_be__")[:: 1 if sys.byteorder == "little" else -1]

_known: dict[Any, Form] = {}


def form_of(T: Any) -> Form | None:
    """The form of T, always the same one; None if T is none of the spellings here."""
    if isinstance(T, Form):
        return T
    if isinstance(T, str):
        found = _known.get(T)
        if found is None:
            from .codes import StructCode

            found = _known[T] = StructCode(T)
        return found
    numpy = sys.modules.get("numpy")
    dtype: Any = getattr(numpy, "dtype", None)  # None while another thread imports it
    generic: Any = getattr(numpy, "generic", None)
    if dtype and generic and (isinstance(T, dtype) or (isinstance(T, type) and issubclass(T, generic))):
        from .arrays import DtypeForm

        return DtypeForm.of(T)
    if isinstance(T, type) and getattr(T, "cs", None) is not None and "dissect.cstruct" in sys.modules:
        from dissect.cstruct import BaseType

        from .cdecl import CType

        if issubclass(T, BaseType):
            return CType.of(T)
    if isinstance(T, type) and is_enum(T):
        raise TypeError(f"{T.__name__} says no size: use enum_type({T.__name__}, c_int), with the type C gives it")
    return None


def is_enum(T: type) -> bool:
    """Whether it is a class of named values."""
    enum = sys.modules.get("enum")  # who has one of its own has loaded it
    return issubclass(T, (Enum, IntFlag)) or (enum is not None and issubclass(T, enum.Enum))


def number_of(T: Any) -> Number | None:
    """The byte order of a T that lies in memory as an integer, and whether it is signed; None for any other T."""
    form = form_of(T)
    if form is not None and form.ctype is None:
        return form.number
    T = T if form is None else form.ctype
    if hasattr(T, "ACCESS_FLAGS"):  # a user pointer as the host has it
        return sys.byteorder, False
    code = getattr(T, "_type_", None)
    if not isinstance(code, str) or code not in tuple("bBhHiIlLqQP"):
        return None
    import ctypes  # not at every start

    swapped = ctypes.sizeof(T) > 1 and getattr(T, OTHER_ORDER, None) is T
    return ("big" if (sys.byteorder == "little") == swapped else "little"), code.islower()


def by_name(T: Any) -> tuple[Any, str]:
    """A type that pickle finds by its name, and the attribute of it that is T, "" if it is T itself: see `named`.

    ctypes calls a number in the byte order that is not the host's as it calls the host's own.
    """
    native = getattr(T, HOST_ORDER, T)
    return (T, "") if native is T else (native, OTHER_ORDER)


def named(T: Any, attribute: str) -> Any:
    """What `by_name` took apart."""
    return getattr(T, attribute) if attribute else T
