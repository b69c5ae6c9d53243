"""`Later`: a user pointer type known by what it will be: `UserPtr["Node"]`, `UserPtr[Node]` before Node has fields.

It stands where such types stand, as a member of a structure above all, and is as large as a pointer is. What it points
at is asked for at the first use: a structure may so point at itself, or at one that is defined after it.

A name is that of the structure whose member it is, of a global of that one's module, or of another structure with such
members that was made beside it (in the same function or class).

Failure: `TypeError` at the first use if nothing has the name, or what has it has no fields yet.
"""

from __future__ import annotations

import ctypes
import sys
from weakref import WeakValueDictionary

from axptr.flags import MappingFlags
from axptr.model import LP64, LP64_BIG, DataModel

from .address import AddressForm
from .pointerarrays import pointer_array

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Make = Callable[[Any, bool], Any]
    """`make(T, const)`: the pointer type."""

_owners: WeakValueDictionary[tuple[str, str], Any] = WeakValueDictionary()
"""Structures with such members, by module and qualified name."""


class Later(AddressForm):
    """what: a class, or its name. const: whether it is a `UserConstPtr`. owner: the structure that it is a member of.

    code: the type if nothing has the name, for a name that is a struct code as well (`UserPtr["B"]`).
    """

    def __init__(
        self, what: Any, const: bool, make: Make, model: DataModel = LP64, owner: Any = None, code: Any = None
    ) -> None:
        super().__init__(self, self, model)
        self.what = what
        self.const = const
        self.owner = owner
        self.code = code
        self._make = make
        self._model = model
        self._found: Any = None

    model = None
    """Fixed to none, as a pointer type is that `under` did not make."""

    @property
    def ACCESS_FLAGS(self) -> MappingFlags:
        return MappingFlags.READ if self.const else MappingFlags.READ | MappingFlags.WRITE

    @property
    def type(self) -> Any:
        """The pointer type itself. `TypeError` if what it points at cannot be told yet."""
        if self._found is None:
            what = self._named() if isinstance(self.what, str) else self.what
            self._found = self.code if what is None else self._make(what, self.const)
        return self._found

    def __call__(self, address: int) -> Any:
        return self.type(address)

    def __instancecheck__(self, instance: object) -> bool:
        return isinstance(instance, self.type)

    def under(self, model: DataModel) -> Any:
        return self.type.under(model)

    def stored(self, model: DataModel) -> Later:
        """The same, as a model stores it; the pointers that are read stay fixed to none."""
        return Later(self.what, self.const, self._make, model, self.owner, self.code)

    def of(self, owner: Any) -> Later:
        """The same as a member of that structure."""
        return Later(self.what, self.const, self._make, self._model, owner, self.code)

    @property
    def as_member(self) -> Any:
        """The type of the member, for whoever asks for a pointer to it."""
        return AddressForm(self.type, self.type, self._model).as_member

    @property
    def __ctype_be__(self) -> Later:  # asked for by ctypes' structures of that order
        return self.stored(LP64_BIG)

    @property
    def __ctype_le__(self) -> Later:
        return self if self._model == LP64 else self.stored(LP64)

    def __mul__(self, n: int) -> Any:
        return pointer_array(self, n)

    def __repr__(self) -> str:
        name = self.what if isinstance(self.what, str) else getattr(self.what, "__name__", None)
        return f"{'UserConstPtr' if self.const else 'UserPtr'}[{name}]" if name else repr(self.what)

    def __reduce__(self) -> Any:
        return self.type.__reduce__()

    def _named(self) -> Any:
        owner = self.owner
        if owner is None:
            raise TypeError(f"{self!r} is no struct code, and a name is looked up for a member of a structure only")
        if owner.__name__ == self.what:
            return owner
        beside = owner.__qualname__.rpartition(".")[0]
        name = f"{beside}.{self.what}" if beside else self.what
        found = _owners.get((owner.__module__, name))
        if found is None:
            found = getattr(sys.modules.get(owner.__module__), self.what, None)
        if self.code is not None:
            return found if isinstance(found, type) and issubclass(found, (ctypes.Structure, ctypes.Union)) else None
        if found is None:
            raise TypeError(
                f"{owner.__name__} points at {self.what!r}, which {owner.__module__} has not, nor is it beside it"
            )
        return found


def enter(owner: Any) -> None:
    """Note a structure with such members, for others that name it."""
    _owners[owner.__module__, owner.__qualname__] = owner
