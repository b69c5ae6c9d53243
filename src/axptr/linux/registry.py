"""The personality's handlers by name, entered by the decorators in the files of the families.

Importing a family's file enters its handlers here; that happens when the first of its calls is made, or looked at: a
program uses a few dozen of the calls, and start-up time counts. `calls.FAMILIES` says which file it is. A number is an
architecture's affair: `table` puts the numbers of `abi.numbers` to the names, and every `LinuxKernel` copies what it
gives. Signatures are worked out at the first call of each.

Handlers are written with the names of `axptr.kernel.abi`; a `void *` is `Bytes` or `ConstBytes` of `uaccess`.
"""

from __future__ import annotations

from functools import cache
from types import FunctionType

from ..kernel.kernel import Syscall
from .abi.numbers import NUMBERS
from .calls import FAMILIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    F = TypeVar("F", bound=Callable[..., "int | None"])

HANDLERS: dict[str, FunctionType] = {}
"""Those of the files that have been loaded."""
HOMES = {name: f"{__package__}.{family}" for family, names in FAMILIES.items() for name in names.split()}
"""Name -> the module that enters it."""


def call(name: str) -> Callable[[F], F]:
    """Enter the handler of a system call by its name; a name can be entered once, in the file that `FAMILIES` says.

    `ValueError` for a name that no architecture has a number for.
    """
    if all(name not in numbers for numbers in NUMBERS.values()):
        raise ValueError(f"no architecture has a system call {name!r}")

    def register(handler: F) -> F:
        if name in HANDLERS:
            raise ValueError(f"system call {name} is entered twice")
        if HOMES.get(name) != handler.__module__:
            raise ValueError(
                f"FAMILIES of {__package__}.calls does not have system call {name} in {handler.__module__}"
            )
        HANDLERS[name] = handler  # type: ignore[assignment]
        return handler

    return register


class _Entered(Syscall):
    """A call whose handler is loaded when it is first asked for."""

    __slots__ = ()

    def __init__(self, nr: int, name: str) -> None:
        super().__init__(nr, name, None)

    @property
    def handler(self) -> Any:
        if self._handler is None:
            __import__(HOMES[self.name])
            self._handler = HANDLERS[self.name]
        return self._handler


@cache
def table(arch: str) -> dict[int, Syscall]:
    """Number -> call, for those of an architecture that have a handler; not to be changed.

    A call that an architecture lacks is not in it.
    """
    numbers = NUMBERS[arch]
    return {numbers[name]: _Entered(numbers[name], name) for name in HOMES if name in numbers}
