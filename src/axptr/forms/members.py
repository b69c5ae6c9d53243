"""User pointer types as members of ctypes structures and unions: `_fields_ = [("next", UserPtr["Node"])]`.

ctypes knows its own types only. To it such a member is a word, as wide and in the order in which the pointer is stored;
on the class a `PointerMember` stands over ctypes' own descriptor, that gives the word as a pointer and takes a pointer,
an integer or None (NULL). `_fields_` itself keeps what was written there. An array of pointers (`UserPtr[T] * 4`) is an
array of words whose items are read so.

ctypes offers no way in, so the one function of its metaclasses that sets attributes is preceded by ours
(`_core.fieldhook`). It looks at values of `_fields_` alone, and those without a user pointer go on as they came.

Failure: as ctypes for members that are wrong; `TypeError`, `OverflowError` for a value that is no address there.
"""

from __future__ import annotations

from axptr._core.words.fieldhook import set_plain, set_quietly
from axptr.model import LP64, LP64_BIG

from .address import AddressForm
from .later import Later, enter
from .pointerarrays import stored_as

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class PointerMember:
    """A member that holds a user pointer: ctypes' descriptor, read and written as what it is."""

    __slots__ = ("field", "form")

    def __init__(self, field: Any, form: AddressForm) -> None:
        self.field = field
        self.form = form

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        return self.form.target(self.field.__get__(instance, owner))

    def __set__(self, instance: Any, value: Any) -> None:
        self.field.__set__(instance, self.form.number_for(value))

    @property
    def offset(self) -> int:
        return int(self.field.offset)

    @property
    def size(self) -> int:
        return int(self.field.size)

    def __repr__(self) -> str:
        return f"<Field type={self.form}, ofs={self.offset}, size={self.size}>"


def set_fields(cls: Any, fields: Any) -> bool:
    """Set `_fields_` of a structure or union if a user pointer is among them; whether that was so."""
    entries = list(fields)
    if not all(isinstance(entry, tuple) and len(entry) in (2, 3) for entry in entries):
        return False
    hidden = _hidden(cls, entries)
    forms = [stored_as(entry[1]) for entry in entries]
    if not any(forms) and not hidden:
        return False
    written, words = [], []
    for entry, form in zip(entries, forms, strict=True):
        if form is None:
            written.append(entry)
            words.append(entry)
            continue
        name, T, *bits = entry
        if bits:
            raise TypeError(f"{cls.__name__}.{name}: a pointer is no bit field")
        T = _perhaps_named(T)
        written.append((name, T.of(cls) if isinstance(T, Later) else T))
        words.append((name, form.word))
    with _Bare(hidden):
        set_plain(cls, words)
    for name, T, *_ in written:
        form = stored_as(T)
        if form is not None:
            set_quietly(cls, name, PointerMember(cls.__dict__[name], form))
    for inner in hidden:
        for name, member in _pointer_members(inner).items():
            set_quietly(cls, name, PointerMember(cls.__dict__[name], member.form))
    set_quietly(cls, "_fields_", written)
    enter(cls)
    return True


def _perhaps_named(T: Any) -> Any:
    """`UserPtr["B"]` is a struct code, unless a structure that the member can name is called so."""
    ptype = T.T if type(T) is AddressForm else T
    code = ptype.T
    if not isinstance(code, str) or not code.isidentifier() or ptype.model is not None:
        return T
    return Later(code, ptype.const, lambda found, const: ptype.to(found), LP64 if T is ptype else LP64_BIG, code=ptype)


def _hidden(cls: Any, entries: list[Any]) -> list[Any]:
    """The types of anonymous members that have pointers: their members become the outer class's."""
    names = cls.__dict__.get("_anonymous_", ())
    return [entry[1] for entry in entries if entry[0] in names and _pointer_members(entry[1])]


def _pointer_members(T: Any) -> dict[str, PointerMember]:
    found: dict[str, PointerMember] = {}
    for base in reversed(getattr(T, "__mro__", ())):
        found |= {name: value for name, value in base.__dict__.items() if isinstance(value, PointerMember)}
    return found


class _Bare:
    """ctypes' own descriptors back on these classes, for ctypes takes no other for an anonymous member's."""

    def __init__(self, classes: list[Any]) -> None:
        self.held = [
            (base, name, value)
            for T in classes
            for base in T.__mro__
            for name, value in base.__dict__.items()
            if isinstance(value, PointerMember)
        ]

    def __enter__(self) -> None:
        for base, name, value in self.held:
            set_quietly(base, name, value.field)

    def __exit__(self, *exc: object) -> None:
        for base, name, value in self.held:
            set_quietly(base, name, value)
