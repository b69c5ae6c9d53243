"""Arrays of user pointers, `UserPtr[T] * 4`: for ctypes arrays of words; items are read and written as pointers."""

from __future__ import annotations

import ctypes
from functools import lru_cache

from axptr.model import LP64

from .address import AddressForm

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


def stored_as(T: Any) -> AddressForm | None:
    """How a member of type T lies in memory if T is a user pointer type, else None."""
    if isinstance(T, AddressForm):
        return T
    if isinstance(T, type) or not hasattr(T, "ACCESS_FLAGS"):
        return None
    return AddressForm(T, T, T.model or LP64)


def _item(array: Any, i: Any) -> Any:
    found = ctypes.Array.__getitem__(array, i)
    make = array.__axptr_item__.target
    return [make(one) for one in found] if isinstance(i, slice) else make(found)


def _set_item(array: Any, i: Any, value: Any) -> None:
    number = array.__axptr_item__.number_for
    ctypes.Array.__setitem__(array, i, [number(one) for one in value] if isinstance(i, slice) else number(value))


def _items(array: Any) -> Iterator[Any]:
    return (array[i] for i in range(len(array)))


@lru_cache(maxsize=1024)
def pointer_array(T: Any, n: int) -> Any:
    """The ctypes array of n user pointers."""
    form = stored_as(T)
    assert form is not None
    if isinstance(n, bool) or not isinstance(n, int):
        raise TypeError(f"an array has a number of elements, not {type(n).__name__}")
    if n < 0:
        raise ValueError(f"an array has no {n} elements")
    members = {"_type_": form.word, "_length_": n, "__axptr_item__": form, "__module__": __name__}
    members |= {"__getitem__": _item, "__setitem__": _set_item, "__iter__": _items}
    metaclass: Any = type(ctypes.Array)
    return metaclass(f"{form} * {n}", (ctypes.Array,), members)
