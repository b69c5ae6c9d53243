"""Where a member stands in a T: paths such as `"a.b[2]"`, from C's `offsetof`, and back from an offset to the path.

A path is names joined by dots, each followed by any number of element numbers in brackets; it may begin with one if T
is an array. It stays inside one T: to go on behind a pointer, read the pointer first (`UserPtr.follow` does).

Not here: addresses, memory (`_core.pointer`), lists (`walking`).
"""

from __future__ import annotations

from axptr._core.pointers.codec import name_of
from axptr.errors import FaultReason, UserFault
from axptr.forms.find import form_of
from axptr.layout import Layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_STEP = r"(?:\.?([^\W\d]\w*)|\[(\d+)\])"


def place(T: Any, path: str) -> tuple[int, Any]:
    """The offset in bytes and the type of the member of T that `path` names.

    Raises `AttributeError` if there is no such member, `IndexError` if an array is shorter, `TypeError` if what is
    asked for a member or an element has none or is a bit field, `ValueError` if the path is none.
    """
    if not isinstance(path, str):
        raise TypeError(f"a member is named by a str, not {type(path).__name__}")
    import re  # not at every start

    step_at = re.compile(_STEP).match
    offset = 0
    at = 0
    while at < len(path) or not at:
        step = step_at(path, at)
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
    import ctypes  # not at every start

    item: Any
    form = form_of(T)
    if form is not None and form.ctype is not None:
        T, form = form.ctype, None
    if form is not None:
        item, length = form.item()
    elif isinstance(T, type) and issubclass(T, ctypes.Array):
        array: Any = T
        item, length = _item_of(array), array._length_
    else:
        raise TypeError(f"{name_of(T)} is no array: it has no element [{i}]")
    if i >= length > 0:  # one of no elements is a tail: C's `name[]`, as long as whoever asks knows
        raise IndexError(f"{path!r}: {name_of(T)} has {length} elements, there is no [{i}]")
    return i * Layout.of(item).size, item


def _item_of(array: Any) -> Any:
    """The type of the elements of a ctypes array: what it says, or the user pointers that they are."""
    pointers = getattr(array, "__axptr_item__", None)
    return array._type_ if pointers is None else pointers.as_member


def _field_type(T: Any, name: str) -> Any:
    import ctypes

    if not (isinstance(T, type) and issubclass(T, (ctypes.Structure, ctypes.Union))):
        raise TypeError(f"{name_of(T)} has no fields")
    for base in T.__mro__:
        for entry in base.__dict__.get("_fields_", ()):
            if entry[0] == name:
                if len(entry) > 2:
                    raise TypeError(f"{name_of(T)}.{name} is a bit field: it has no address")
                return getattr(entry[1], "as_member", entry[1])
            if entry[0] in base.__dict__.get("_anonymous_", ()):
                try:
                    return _field_type(entry[1], name)
                except AttributeError:
                    continue
    raise AttributeError(f"{name_of(T)} has no field {name!r}")


def member_at(T: Any, offset: int) -> tuple[str, Any]:
    """The path to the innermost member of T that has the byte at `offset`, and its type: the inverse of `place`.

    `("", T)` where no member has it, for padding, or where several do, in a union.
    """
    path = ""
    while True:
        found = _inside(T, offset)
        if found is None:
            return path.removeprefix("."), T
        step, start, T = found
        path += step
        offset -= start


def _inside(T: Any, offset: int) -> tuple[str, int, Any] | None:
    """One step towards the byte: its part of a path, where the member starts, its type."""
    form = form_of(T)
    if form is not None:
        try:
            item, length = form.item()
        except TypeError:
            return _holding(offset, [(f".{name}", start, field) for name, start, field in form.parts()])
        return _element_at(item, length, offset)
    if not isinstance(T, type):
        return None
    import ctypes

    if issubclass(T, ctypes.Array):
        array: Any = T
        return _element_at(_item_of(array), array._length_, offset)
    if not issubclass(T, ctypes.Structure):
        return None
    found: list[tuple[str, int, Any]] = []
    for base in T.__mro__:
        hidden = base.__dict__.get("_anonymous_", ())
        for name, field, *_ in base.__dict__.get("_fields_", ()):
            found.append(("" if name in hidden else f".{name}", getattr(T, name).offset, field))
    return _holding(offset, found)


def _element_at(item: Any, length: int, offset: int) -> tuple[str, int, Any] | None:
    size = Layout.of(item).size
    i = offset // size
    return (f"[{i}]", i * size, item) if i < length else None


def _holding(offset: int, members: list[tuple[str, int, Any]]) -> tuple[str, int, Any] | None:
    holding = [one for one in members if one[1] <= offset < one[1] + Layout.of(one[2]).size]
    return holding[0] if len(holding) == 1 else None


def name_fault(fault: UserFault, start: int, T: Any, seen: Any = None, count: int = 1) -> None:
    """Have the fault say which of `count` T at `start` was in hand, and which member of it: `Point[3].y (c_int)`.

    seen: T as the memory's data model has it. Runs of single bytes are nothing to name.
    """
    seen = T if seen is None else seen
    size = Layout.of(seen).size
    if fault.object is not None or (size == 1 and form_of(T) is None):
        return
    i, offset = divmod(fault.address - start, size)
    if fault.reason is FaultReason.MISALIGNED or not 0 <= i < count:
        fault.object = name_of(T) + (f"[{count}]" if count != 1 else "")
        return
    path, member = member_at(seen, offset)
    element = f"[{i}]" if count != 1 else ""
    joint = "." if path and not path.startswith("[") else ""
    fault.object = f"{name_of(T)}{element}{joint}{path}" + (f" ({name_of(member)})" if path else "")
