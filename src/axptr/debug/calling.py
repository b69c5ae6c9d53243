"""A function's arguments and result by the calling convention, as typed values: `arguments`, `returned`.

System V ABI for x86-64, section 3.2.3: integers and pointers in six registers, `double` and `float` in eight of their
own, the rest on the stack. Asked for at the function's first instruction, and behind its return.

Not here: structures handed over by value.
"""

from __future__ import annotations

import ctypes
import struct
from typing import TYPE_CHECKING, Any

from .._core.pointers.pointer import UserPtr
from .unwind import registers_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..engine.context import Context

_INTEGERS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
_XMM0 = 160
"""Where the first vector register stands in an FXSAVE image, and in an XSAVE area."""
_XMMS = 8


def arguments(task: Any, *types: Any) -> tuple[Any, ...]:
    """The arguments of the function that a task is about to run the first instruction of, one for each type.

    types: integer types of ctypes, `c_double` and `c_float`, `UserPtr[T]` and `UserConstPtr[T]`, which need not lead
    anywhere until they are read. Raises `TypeError` for other types, `UserFault` if the stack is not there.
    """
    task = getattr(task, "task", task)
    context = registers_of(task)
    integers, floats = iter(_INTEGERS), iter(range(_XMMS))
    stack = _words(task, context.sp + 8)
    found = []
    for kind in types:
        if _is_float(kind):
            number = next(floats, None)
            found.append(_float(kind, next(stack) if number is None else _xmm(context, number)))
        else:
            name = next(integers, None)
            found.append(_integer(kind, next(stack) if name is None else context.read(name)))
    return tuple(found)


def returned(task: Any, kind: Any) -> Any:
    """The result of the function that a task has just come back from, as that type."""
    context = registers_of(getattr(task, "task", task))
    return _float(kind, _xmm(context, 0)) if _is_float(kind) else _integer(kind, context.read("rax"))


def _words(task: Any, address: int) -> Iterator[int]:
    while True:
        yield int(UserPtr[ctypes.c_uint64](address).read(task))
        address += 8


def _xmm(context: Context, number: int) -> int:
    return int.from_bytes(context.extended[(at := _XMM0 + 16 * number) : at + 8], "little")


def _is_float(kind: Any) -> bool:
    return kind in (ctypes.c_double, ctypes.c_float)


def _float(kind: Any, bits: int) -> float:
    data = bits.to_bytes(8, "little")
    value: float = struct.unpack_from("<d" if kind is ctypes.c_double else "<f", data)[0]
    return value


def _integer(kind: Any, bits: int) -> Any:
    if isinstance(kind, type) and issubclass(kind, ctypes._SimpleCData):
        return kind(bits).value
    if callable(getattr(kind, "under", None)):  # a pointer's type
        return kind(bits)
    raise TypeError(f"want an integer type of ctypes, c_double, c_float or a UserPtr[T], not {kind!r}")
