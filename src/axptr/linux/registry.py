"""The personality's handlers by name, entered by the decorators in the files of this package.

Importing a family's file enters its handlers here. A number is an architecture's affair: `table` puts the numbers of
`abi.numbers` to the names, and every `LinuxKernel` copies what it gives. Signatures are worked out at the first call
of each: a program uses a few dozen of the calls, and start-up time counts.

Handlers are written with the names of `axptr.kernel.abi`; a `void *` is `Bytes` or `ConstBytes` of `uaccess`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import TypeVar

from ..kernel.kernel import Syscall
from .abi.numbers import NUMBERS

F = TypeVar("F", bound=Callable[..., "int | None"])

HANDLERS: dict[str, FunctionType] = {}


def call(name: str) -> Callable[[F], F]:
    """Enter the handler of a system call by its name; a name can be entered once.

    `ValueError` for a name that no architecture has a number for.
    """
    if all(name not in numbers for numbers in NUMBERS.values()):
        raise ValueError(f"no architecture has a system call {name!r}")

    def register(handler: F) -> F:
        if name in HANDLERS:
            raise ValueError(f"system call {name} is entered twice")
        HANDLERS[name] = handler  # type: ignore[assignment]
        return handler

    return register


@cache
def table(arch: str) -> dict[int, Syscall]:
    """Number -> call, for those of an architecture that have a handler; not to be changed.

    A call that an architecture lacks is not in it.
    """
    numbers = NUMBERS[arch]
    return {numbers[name]: Syscall(numbers[name], name, h) for name, h in HANDLERS.items() if name in numbers}
