"""Names that cost a start nothing: `NamedTuple`, as that of `typing` without the import of `typing`, which takes as
long as to make a CPU; and `later`, for the names of a package whose modules are loaded when one is asked for.

Not here: anything that `typing.NamedTuple` does not do, and its spelling as a call.
"""

from __future__ import annotations

import sys
from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
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


def later(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """The `__getattr__` and `__dir__` of a package. modules: name -> the module in it that has it, as `fs.overlay`."""
    names = sys.modules[package].__dict__

    def load(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = __import__(f"{package}.{modules[name]}", fromlist=[name])  # `importlib` would cost a start, too
        found = names[name] = getattr(home, name)
        return found

    return load, lambda: sorted({*names, *names["__all__"]})


__all__ = ["NamedTuple", "later"]
