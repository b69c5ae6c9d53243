"""`NamedTuple`, as that of `typing`, without what importing `typing` costs a start: as much as a CPU.

Not here: anything that `typing.NamedTuple` does not do, and its spelling as a call.
"""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple
else:

    class _Maker(type):
        """Makes a named tuple of the fields that a class statement with the base `NamedTuple` annotates."""

        def __new__(meta, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> type:
            if not bases:
                return super().__new__(meta, name, bases, body)
            fields = body.pop("__annotations__", {})
            defaults = [body.pop(field) for field in fields if field in body]
            made = namedtuple(name, fields, defaults=defaults, module=body.pop("__module__"))
            made.__annotations__ = made.__new__.__annotations__ = fields
            for key, value in body.items():
                setattr(made, key, value)
            return made

    class NamedTuple(metaclass=_Maker):
        """The base to write; what comes of it is a plain subclass of `tuple`."""


__all__ = ["NamedTuple"]
