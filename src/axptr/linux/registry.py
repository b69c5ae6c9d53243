"""The personality's table of system calls, filled by the decorators in the files of this package.

Importing a family's file enters its handlers here; every `LinuxKernel` copies the table. Signatures are worked out at
the first call of each: a program uses a few dozen of the calls, and start-up time counts.

Handlers are written with the names of `axptr.kernel.abi`; a `void *` is `Bytes` or `ConstBytes` of `uaccess`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..kernel.kernel import Syscall

F = TypeVar("F", bound=Callable[..., "int | None"])

TABLE: dict[int, Syscall] = {}


def syscall(nr: int, name: str) -> Callable[[F], F]:
    """Enter a handler for x86-64 call number `nr`; a number can be entered once."""

    def register(handler: F) -> F:
        if nr in TABLE:
            raise ValueError(f"system call {nr} is entered twice: {TABLE[nr].name}, {name}")
        TABLE[nr] = Syscall(nr, name, handler)  # type: ignore[arg-type]
        return handler

    return register
