"""How a 64-bit register becomes the argument that a handler's annotation asks for.

| annotation | the handler gets |
| --- | --- |
| a name of `abi`, or a ctypes integer (`c_int`, `c_size_t`, ...) | `int`: the low bits, sign-extended if it is signed |
| `int`, `c_void_p` | `int`: the register, unsigned |
| `c_bool` | `bool`: the low byte is not zero |
| `UserPtr[T]`, `UserConstPtr[T]` | a pointer; nothing is checked yet |
| an `IntEnum`, an `IntFlag` | the member for the low 32 bits (signed, unsigned); no such member is EINVAL |

Everything about a signature is worked out once; the conversion itself is compiled (`_core/words/conversion.py`).
Conversion never touches memory.
"""

from __future__ import annotations

import errno
import sys

from .._core.words.conversion import bound
from ..errors import LinuxError
from ..members import IntFlag
from .abi import CInteger

TYPE_CHECKING = False
if TYPE_CHECKING:
    import enum
    from collections.abc import Callable
    from types import FunctionType
    from typing import Any

    Handler = Callable[..., "int | None"]
    Wrapper = Callable[[Any, int, int, int, int, int, int], "int | None"]

MAX_ARGS = 6
"""Registers that carry arguments."""


_SIGNED = frozenset("bhilqn")
_UNSIGNED = frozenset("BHILQNP")


class Param:
    """One argument of a system call.

    name: as the handler spells it. type: the annotation. kind: "int", "bool", "enum" or "pointer".
    signed and bits: of the integer (64 and unsigned for a pointer).
    """

    __slots__ = ("bits", "kind", "name", "signed", "type")

    def __init__(self, name: str, type_: Any, kind: str, bits: int, signed: bool) -> None:
        self.name = name
        self.type = type_
        self.kind = kind
        self.bits = bits
        self.signed = signed

    def __repr__(self) -> str:
        return f"{self.name}: {getattr(self.type, '__name__', self.type)}"


def params_of(handler: FunctionType) -> tuple[Param, ...]:
    """The parameters of a handler after its first one, the task.

    Raises `TypeError` naming the handler and the parameter if one has no annotation, or one that no register can
    become, or if there are more than six.
    """
    code = handler.__code__
    names = code.co_varnames[1 : code.co_argcount]
    where = f"system call handler {handler.__qualname__}"
    if code.co_argcount < 1:
        raise TypeError(f"{where} must take the task as its first parameter")
    if code.co_kwonlyargcount or code.co_flags & 0x0C:
        raise TypeError(f"{where} may only have plain parameters: no *args, no keyword-only ones")
    if len(names) > MAX_ARGS:
        raise TypeError(f"{where} has {len(names)} parameters; registers carry {MAX_ARGS}")
    annotations = handler.__annotations__
    params = []
    for name in names:
        if name not in annotations:
            raise TypeError(f"{where}: parameter {name!r} needs an annotation")
        params.append(_param(name, _found(annotations[name], handler, name, where), where))
    return tuple(params)


def _found(annotation: Any, handler: FunctionType, name: str, where: str) -> Any:
    """What an annotation stands for that was written, or kept, as text; `TypeError` if that cannot be found."""
    if not isinstance(annotation, str):
        return annotation
    found = handler.__globals__.get(annotation)  # a plain name needs no compiler
    if found is not None:
        return found
    try:
        return eval(annotation, handler.__globals__)
    except Exception as error:
        raise TypeError(
            f"{where}: the annotation {annotation!r} of parameter {name!r} cannot be found ({error}): it is looked up "
            f"when the handler is registered, among the globals of {handler.__module__}, where names of a function and "
            "those imported under TYPE_CHECKING are not"
        ) from error


def _param(name: str, annotation: Any, where: str) -> Param:
    if annotation is int:
        return Param(name, int, "int", 64, False)
    if isinstance(annotation, CInteger):
        return Param(name, annotation, "int", annotation.bits, annotation.signed)
    if isinstance(annotation, type):
        import ctypes  # not at every start

        code = getattr(annotation, "_type_", None)
        if hasattr(annotation, "ACCESS_FLAGS"):
            raise TypeError(f"{where}: parameter {name!r} needs {annotation.__name__}[T], what it points at")
        if issubclass(annotation, ctypes._SimpleCData) and isinstance(code, str):
            if code in _SIGNED:
                return Param(name, annotation, "int", 8 * ctypes.sizeof(annotation), True)
            if code in _UNSIGNED:
                return Param(name, annotation, "int", 8 * ctypes.sizeof(annotation), False)
            if code == "?":
                return Param(name, annotation, "bool", 8, False)
        enum = sys.modules.get("enum")  # who has an enum has loaded it
        if enum and issubclass(annotation, enum.IntEnum):
            return Param(name, annotation, "enum", 32, True)
        if issubclass(annotation, IntFlag) or (enum and issubclass(annotation, enum.IntFlag)):
            return Param(name, annotation, "enum", 32, False)
    elif hasattr(annotation, "ACCESS_FLAGS"):
        return Param(name, annotation, "pointer", 64, False)
    raise TypeError(
        f"{where}: no register can become {annotation!r} (parameter {name!r}); use a ctypes integer, int, UserPtr[T], "
        "UserConstPtr[T], an IntEnum or an IntFlag"
    )


def build(handler: Handler, params: tuple[Param, ...]) -> Wrapper:
    """`call(task, a0, .., a5)`: converts the registers and calls the handler."""
    return bound(handler, [(p.bits, p.signed, _maker(p)) for p in params])


def _maker(p: Param) -> Callable[[int], Any] | None:
    """What is called with the number in the register; None where the number is the argument."""
    if p.kind == "enum":
        return _enum_converter(p.type)
    if p.kind == "pointer":
        return p.type  # type: ignore[no-any-return]
    return bool if p.kind == "bool" else None


def collect(task: Any, *args: Any) -> Any:
    """A handler that gives back its arguments: `build(collect, params)` only converts."""
    return args


def _enum_converter(cls: type[enum.IntEnum] | type[enum.IntFlag]) -> Callable[[int], int]:
    def convert(value: int) -> int:
        try:
            return cls(value)
        except ValueError:
            raise LinuxError(errno.EINVAL, f"{value} is no {cls.__name__}") from None

    return convert
