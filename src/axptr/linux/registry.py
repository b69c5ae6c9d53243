"""The personality's handlers by name, entered by the decorators in the files of the families.

Importing a family's file enters its handlers here; that happens when the first of its calls is made, or looked at: a
program uses a few dozen of the calls, and start-up time counts. `calls.FAMILIES` says which file it is. A number is an
architecture's affair: `table` puts the numbers of `abi.numbers` to the names, and every `LinuxKernel` copies what it
gives. Signatures are worked out at the first call of each.

Handlers are written with the names of `axptr.kernel.abi`; a `void *` is `Bytes` or `ConstBytes` of `uaccess`.
"""

from __future__ import annotations

from ..kernel.kernel import Syscall
from .abi.numbers import ARCHITECTURES, NUMBERS
from .calls import FAMILIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FunctionType
    from typing import Any, TypeVar

    from ..kernel.convert import Wrapper

    F = TypeVar("F", bound=Callable[..., "int | None"])

HANDLERS: dict[str, FunctionType] = {}
"""Those of the files that have been loaded, by name; `name@architecture` where that has a handler of its own."""
QUICK: dict[str, tuple[Callable[..., Wrapper], tuple[object, ...]]] = {}
"""Of those what serves them in compiled code, as far as it does; `name@architecture` where it can for that alone."""
HOMES = {name: f"{__package__}.{family}" for family, names in FAMILIES.items() for name in names.split()}
"""Name, or `name@architecture` -> the module that enters it."""


def call(name: str, arch: str | None = None) -> Callable[[F], F]:
    """Enter the handler of a system call by its name; a name can be entered once, in the file that `FAMILIES` says.

    arch: the architecture whose programs this handler serves, where it must be another than that of the rest: the order
    of the arguments differs. `ValueError` for a name that no architecture has a number for, or not this one.
    """
    if all(name not in NUMBERS[known] for known in (ARCHITECTURES if arch is None else (arch,))):
        raise ValueError(f"no architecture has a system call {name!r}" if arch is None else f"{arch} has no {name!r}")
    key = name if arch is None else f"{name}@{arch}"

    def register(handler: F) -> F:
        if key in HANDLERS:
            raise ValueError(f"system call {key} is entered twice")
        if HOMES.get(key) != handler.__module__:
            raise ValueError(f"FAMILIES of {__package__}.calls does not have system call {key} in {handler.__module__}")
        HANDLERS[key] = handler  # type: ignore[assignment]
        return handler

    return register


def at_once(name: str, make: Callable[..., Wrapper], *what: object, arch: str | None = None) -> None:
    """Have `make(wrapper, *what)` serve a call that was entered: what it does not do itself it leaves to the wrapper.

    arch: the architecture whose programs it can serve, None for all.
    """
    QUICK[name if arch is None else f"{name}@{arch}"] = make, what


class _Entered(Syscall):
    """A call whose handler is loaded when it is first asked for. key: what it is entered by."""

    __slots__ = ("_arch", "_key")

    def __init__(self, nr: int, name: str, key: str, arch: str) -> None:
        super().__init__(nr, name, None)
        self._key = key
        self._arch = arch

    def quick(self, plain: Wrapper) -> Wrapper:
        found = QUICK.get(f"{self._key}@{self._arch}") or QUICK.get(self._key)
        if found is None:
            return plain
        make, what = found
        return make(plain, *what)

    @property
    def handler(self) -> Any:
        if self._handler is None:
            __import__(HOMES[self._key])
            self._handler = HANDLERS[self._key]
        return self._handler


_tables: dict[str, dict[int, Syscall]] = {}


def table(arch: str) -> dict[int, Syscall]:
    """Number -> call, for those of an architecture that have a handler; not to be changed.

    A call that an architecture lacks is not in it.
    """
    if (known := _tables.get(arch)) is not None:
        return known
    entered: dict[int, Syscall] = {}
    for name, number in NUMBERS[arch].items():
        key = f"{name}@{arch}"
        if key not in HOMES:
            key = name
        if key in HOMES:
            entered[number] = _Entered(number, name, key, arch)
    _tables[arch] = entered
    return entered
