"""Where a member stands in a T: paths such as `"a.b[2]"`, from C's `offsetof`.

A path is names joined by dots, each followed by any number of element numbers in brackets; it may begin with one if T
is an array. It stays inside one T: to go on behind a pointer, read the pointer first (`UserPtr.follow` does).

Not here: addresses, memory (`_core.pointer`), lists (`walking`).
"""

from __future__ import annotations

import ctypes
import re
from typing import Any

from axptr._core.codec import name_of
from axptr.forms.base import form_of
from axptr.layout import Layout

_STEP = re.compile(r"(?:\.?([^\W\d]\w*)|\[(\d+)\])")


def place(T: Any, path: str) -> tuple[int, Any]:
    """The offset in bytes and the type of the member of T that `path` names.

    Raises `AttributeError` if there is no such member, `IndexError` if an array is shorter, `TypeError` if what is
    asked for a member or an element has none or is a bit field, `ValueError` if the path is none.
    """
    if not isinstance(path, str):
        raise TypeError(f"a member is named by a str, not {type(path).__name__}")
    offset = 0
    at = 0
    while at < len(path) or not at:
        step = _STEP.match(path, at)
        if step is None or path.startswith(".") or (at and step[1] and path[at] != "."):
            raise ValueError(f"{path!r} is no path to a member: want something like 'a.b[2]'")
        at = step.end()
        more, T = _member(T, step[1]) if step[1] else _element(T, int(step[2]), path)
        offset += more
    return offset, T


def _member(T: Any, name: str) -> tuple[int, Any]:
    form = form_of(T)
    if form is not None and form.ctype is None:
        return form.field(name)
    T = T if form is None else form.ctype
    found = _field_type(T, name)
    return int(getattr(T, name).offset), found


def _element(T: Any, i: int, path: str) -> tuple[int, Any]:
    item: Any
    form = form_of(T)
    if form is not None and form.ctype is not None:
        T, form = form.ctype, None
    if form is not None:
        item, length = form.item()
    elif isinstance(T, type) and issubclass(T, ctypes.Array):
        array: Any = T
        item, length = array._type_, array._length_
    else:
        raise TypeError(f"{name_of(T)} is no array: it has no element [{i}]")
    if i >= length:
        raise IndexError(f"{path!r}: {name_of(T)} has {length} elements, there is no [{i}]")
    return i * Layout.of(item).size, item


def _field_type(T: Any, name: str) -> Any:
    if not (isinstance(T, type) and issubclass(T, (ctypes.Structure, ctypes.Union))):
        raise TypeError(f"{name_of(T)} has no fields")
    for base in T.__mro__:
        for entry in base.__dict__.get("_fields_", ()):
            if entry[0] == name:
                if len(entry) > 2:
                    raise TypeError(f"{name_of(T)}.{name} is a bit field: it has no address")
                return entry[1]
            if entry[0] in base.__dict__.get("_anonymous_", ()):
                try:
                    return _field_type(entry[1], name)
                except AttributeError:
                    continue
    raise AttributeError(f"{name_of(T)} has no field {name!r}")
