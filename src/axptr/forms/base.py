"""What a T that is no ctypes type tells a pointer: its size, its alignment, its way into Python and back.

Not here: which form a T has (`find`); memory, addresses, checks. A form sees bytes copied, or about to be.

Failure: `load` and `load_many` get what a guest wrote and raise `LinuxError` alone; `dump` raises `TypeError` or
`OverflowError` for a value that is no T.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, ClassVar, Literal

    Number = tuple[Literal["little", "big"], bool]


class Form:
    """One T. size, align: of one T, in bytes. T: what `ptr.T` shows, one object for one form.

    ctype: the ctypes type that lies in memory just so (only the alignment may differ) and is the same in Python, if
    there is one; then none of the methods is called.
    """

    T: Any
    size: int
    align: int
    ctype: Any = None
    address: bool = False  # whether `load` gives a number that may be an address
    mutable: ClassVar[bool] = False  # whether `load_many` wants bytes of its own, a bytearray

    @property
    def __axptr_layout__(self) -> tuple[int, int]:
        return self.size, self.align

    @property
    def number(self) -> Number | None:
        """The byte order of what lies as an integer, and whether it is signed; None for anything else."""
        return None

    def load(self, blob: bytes) -> Any:
        """The Python value of the `size` bytes (or a bytearray, which nobody else has)."""
        raise NotImplementedError

    def dump(self, value: Any) -> bytes:
        """The `size` bytes of a Python value."""
        raise NotImplementedError

    def load_many(self, blob: bytes, n: int) -> Any:
        """What `read_slice` gives for n elements."""
        return tuple(self.load(blob[at : at + self.size]) for at in range(0, n * self.size, self.size))

    def dump_many(self, values: Any) -> bytes:
        """The bytes of what `write_slice` takes."""
        return b"".join([self.dump(value) for value in values])

    def live(self, view: memoryview) -> Any:
        """A live T over the bytes of user memory. `TypeError` if Python has none."""
        raise TypeError(f"{self} has no live form: use read and write")

    def live_many(self, view: memoryview, n: int) -> Any:
        """The same of n elements: the view itself, bytes of shape (n, size), if Python has no more."""
        return view

    def field(self, name: str) -> tuple[int, Any]:
        """The offset and the type of a member. `AttributeError` if there is none, `TypeError` if T has none."""
        raise TypeError(f"{self} has no fields")

    def parts(self) -> list[tuple[str, int, Any]]:
        """Name, offset and type of each member, if T has any."""
        return []

    def item(self) -> tuple[Any, int]:
        """The type and the number of the elements, if T is an array; `TypeError` otherwise."""
        raise TypeError(f"{self} is no array")

    def __str__(self) -> str:
        return repr(self.T)


def as_integer(T: object, value: Any) -> int:
    """The integer that `value` is; `TypeError` if it is none."""
    index = getattr(type(value), "__index__", None)
    if index is None:
        raise TypeError(f"{T} needs an integer, not {type(value).__name__}")
    return int(index(value))


def fitted(T: object, value: int, size: int, signed: bool) -> bytes:
    """The integer in `size` bytes of the host's order; `OverflowError` if it does not fit."""
    try:
        return value.to_bytes(size, sys.byteorder, signed=signed)
    except OverflowError:
        raise OverflowError(f"{value} does not fit in {T}") from None


def wanted(T: object, values: Sequence[Any], n: int) -> None:
    """`TypeError` unless there are n values."""
    if len(values) != n:
        raise TypeError(f"{T} needs {n} values, not {len(values)}")
