"""Size and alignment of the types that a pointer can point at.

A type is a ctypes type (scalar, `Structure`, `Union`, array; packed and big-endian ones too), a user pointer type, or
another spelling that has a `Form` (`forms`). Types that ctypes would follow on the host (`POINTER(T)`, `c_char_p`,
`py_object`, functions) are refused, inside structures too: an address in a guest must never be followed on the host.
"""

from __future__ import annotations

from .addr import checked_size
from .forms.find import form_of
from .model import LP64, DataModel, checked_model
from .named import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HOST_POINTERS = frozenset("zZXO")


class _SizeAlign(NamedTuple):
    size: int
    align: int


class Layout(_SizeAlign):
    """size: bytes, 0 or more. align: bytes, a power of two; `ValueError` otherwise."""

    __slots__ = ()

    def __new__(cls, size: int, align: int = 1) -> Layout:
        nbytes = checked_size(size)
        step = checked_size(align, "align")
        if step == 0 or step & (step - 1):
            raise ValueError(f"alignment {step} is not a power of two")
        return super().__new__(cls, nbytes, step)

    @classmethod
    def of(cls, T: Any, model: DataModel = LP64) -> Layout:
        """The layout of one T as a data model has it.

        Raises `TypeError` if T is no type a pointer can point at, or has no size, or no form in the model.
        """
        return cls(*_measure(_seen(T, model)))

    @classmethod
    def array(cls, T: Any, n: int, model: DataModel = LP64) -> Layout:
        """The layout of n T side by side, in elements; 0 is allowed."""
        size, align = _measure(_seen(T, model))
        return cls(size * checked_size(n, "n"), align)


def _seen(T: Any, model: DataModel) -> Any:
    if model is LP64:
        return T
    checked_model(model)
    _measure(T)  # refuses what is no type
    from .forms.foreign import under

    return under(T, model)


def _measure(T: Any) -> tuple[int, int]:
    form = form_of(T)  # before the cache: dtypes of different alignment may be equal
    if form is None:
        return _measured(T)
    if form.size == 0:
        raise TypeError(f"{form} has no fixed size: point at its elements; at the end of a structure: field('name[0]')")
    return form.size, form.align


_MOST_KNOWN = 1024
_known: dict[Any, tuple[int, int]] = {}


def _measured(T: Any) -> tuple[int, int]:
    found = _known.get(T)
    if found is None:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        found = _known[T] = _measured_anew(T)
    return found


def _measured_anew(T: Any) -> tuple[int, int]:
    own = getattr(T, "__axptr_layout__", None)
    if own is not None:
        return own  # type: ignore[no-any-return]
    refuse_host_pointers(T)
    import ctypes  # not at every start

    size = ctypes.sizeof(T)
    if size == 0:
        raise TypeError(f"{T.__name__} has no size: {_what_to_do(T)}")
    return size, ctypes.alignment(T)


def _what_to_do(T: Any) -> str:
    import ctypes

    if issubclass(T, ctypes.Array) and ctypes.sizeof(T._type_):
        item = T._type_.__name__
        return f"point at its elements, UserPtr[{item}]; at the end of a structure: field('name[0]')"
    return "a pointer needs something to point at"


def refuse_host_pointers(T: Any) -> None:
    """Raise `TypeError` unless T is a ctypes type that holds no pointer of the host's."""
    if not isinstance(T, type):
        raise TypeError(f"want a ctypes type, a user pointer type or a struct code, not {T!r}")
    import _ctypes as ctypes  # not at every start

    if issubclass(T, (ctypes._Pointer, ctypes.CFuncPtr)):
        raise TypeError(f"{T.__name__} points into the host: use UserPtr[...] or c_void_p for a guest's pointer")
    if issubclass(T, ctypes._SimpleCData):
        if getattr(T, "_type_", "O") in _HOST_POINTERS:
            raise TypeError(f"{T.__name__} points into the host: use UserPtr[...] or c_void_p for a guest's pointer")
    elif issubclass(T, ctypes.Array) and hasattr(T, "_type_"):
        refuse_host_pointers(T._type_)
    elif issubclass(T, (ctypes.Structure, ctypes.Union)):
        for base in T.__mro__:
            for entry in base.__dict__.get("_fields_", ()):
                if not hasattr(entry[1], "__axptr_layout__"):  # a user pointer
                    refuse_host_pointers(entry[1])
    else:
        raise TypeError(f"want a ctypes type, a user pointer type or a struct code, not {T!r}")
