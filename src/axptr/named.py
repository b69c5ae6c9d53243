"""Names that cost a start nothing: `NamedTuple`, as that of `typing` without the import of `typing`, which takes as
long as to make a CPU; and `later`, for the names of a package whose modules are loaded when one is asked for.

Not here: anything that `typing.NamedTuple` does not do, and its spelling as a call.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, NamedTuple
else:
    from _collections import _tuplegetter

    # `__new__` of so many fields; the names are put in.
    _NEW = (
        lambda _cls, a: _new(_cls, (a,)),
        lambda _cls, a, b: _new(_cls, (a, b)),
        lambda _cls, a, b, c: _new(_cls, (a, b, c)),
        lambda _cls, a, b, c, d: _new(_cls, (a, b, c, d)),
        lambda _cls, a, b, c, d, e: _new(_cls, (a, b, c, d, e)),
        lambda _cls, a, b, c, d, e, f: _new(_cls, (a, b, c, d, e, f)),
        lambda _cls, a, b, c, d, e, f, g: _new(_cls, (a, b, c, d, e, f, g)),
        lambda _cls, a, b, c, d, e, f, g, h: _new(_cls, (a, b, c, d, e, f, g, h)),
        lambda _cls, a, b, c, d, e, f, g, h, i: _new(_cls, (a, b, c, d, e, f, g, h, i)),
        lambda _cls, a, b, c, d, e, f, g, h, i, j: _new(_cls, (a, b, c, d, e, f, g, h, i, j)),
        lambda _cls, a, b, c, d, e, f, g, h, i, j, k: _new(_cls, (a, b, c, d, e, f, g, h, i, j, k)),
    )
    _new = tuple.__new__
    _Function = type(_NEW[0])

    def _repr(self):
        inside = ", ".join([f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True)])
        return f"{type(self).__name__}({inside})"

    def _asdict(self):
        """A new dict of field names and their values."""
        return dict(zip(self._fields, self, strict=True))

    def _replace(self, /, **kwds):
        """A new one with other values of some fields."""
        made = self._make(map(kwds.pop, self._fields, self))
        if kwds:
            raise ValueError(f"Got unexpected field names: {list(kwds)!r}")
        return made

    def _getnewargs(self):
        return tuple(self)

    def _make(cls, iterable):
        """A new one of a sequence or an iterable."""
        made = _new(cls, iterable)
        if len(made) != len(cls._fields):
            raise TypeError(f"Expected {len(cls._fields)} arguments, got {len(made)}")
        return made

    _METHODS = {
        "__slots__": (),
        "__repr__": _repr,
        "_asdict": _asdict,
        "_replace": _replace,
        "__replace__": _replace,
        "__getnewargs__": _getnewargs,
        "_make": classmethod(_make),
    }

    class _Maker(type):
        """Makes a named tuple of the fields that a class statement with the base `NamedTuple` annotates."""

        def __new__(meta, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> type:
            if not bases:
                return super().__new__(meta, name, bases, body)
            annotated = body.pop("__annotations__", {})
            fields = tuple(annotated)
            defaults = tuple([body.pop(field) for field in fields if field in body])
            code = _NEW[len(fields) - 1].__code__.replace(
                co_varnames=("_cls", *fields), co_name="__new__", co_qualname=f"{name}.__new__"
            )
            new = _Function(code, {"_new": _new, "__name__": f"namedtuple_{name}"}, "__new__", defaults)
            new.__annotations__ = annotated
            made = type(name, (tuple,), {
                **_METHODS,
                "__new__": new,
                "_fields": fields,
                "_field_defaults": dict(zip(fields[len(fields) - len(defaults) :], defaults, strict=True)),
                "__match_args__": fields,
                **{field: _tuplegetter(i, "") for i, field in enumerate(fields)},
                **body,
            })  # fmt: skip
            made.__annotations__ = annotated
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
