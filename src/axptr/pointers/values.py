"""Values of a T in bytes, as the program has them whose memory it is: what verbs use that are no pointer's own.

The model is that of the address in hand, if it is a pointer fixed to one (`under`), else the provider's; the bytes are
those that a pointer of that type stores, for it is one that stores them, in memory that is only as large.

Not here: user memory.

Failure: as of `UserPtr.write` for a value that is no T; what bytes cannot mean is a `LinuxError`.
"""

from __future__ import annotations

from .._core.pointers.pointer import Pointer, UserPtr
from ..addr import VirtAddrRange
from ..flags import MappingFlags
from ..model import LP64, DataModel
from .check import model_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def model_at(provider: Any, address: Any) -> DataModel:
    """The model of a pointer that is fixed to one, else the provider's."""
    fixed = address.type.model if isinstance(address, Pointer) else None
    return model_of(provider) if fixed is None else fixed


def type_at(provider: Any, address: Any, T: Any) -> Any:
    """`UserPtr[T]` under that model: its `size` and `align` are those that T has there."""
    found: Any = UserPtr.of(T)
    if found.model is not None:
        return found
    if isinstance(address, Pointer) and address.type.model is not None:
        return found.under(address.type.model)
    model = model_of(provider)
    return found if model == LP64 else found.under(model)


def dumped(ptype: Any, value: Any) -> bytes:
    """The bytes of one T of a pointer type. Raises as `UserPtr.write`."""
    slate = _Slate(bytearray(ptype.size))
    ptype(0).write(slate, value)
    return bytes(slate.data)


def loaded(ptype: Any, data: bytes) -> Any:
    """The value in the `ptype.size` bytes, as `UserPtr.read` gives it."""
    return ptype(0).read(_Slate(bytearray(data)))


class _Slate:
    """Memory of one value, at 0."""

    def __init__(self, data: bytearray) -> None:
        self.data = data

    def with_addr_space(self, f: Callable[[Any], Any]) -> Any:
        return f(self)

    def check_region_access(self, range: VirtAddrRange, flags: MappingFlags) -> bool:
        return range.end <= len(self.data)

    def populate_area(self, start: int, size: int, access: MappingFlags) -> None:
        pass

    def read_into(self, vaddr: int, buf: Any) -> int:
        buf[:] = self.data[vaddr : vaddr + len(buf)]
        return len(buf)

    def write_from(self, vaddr: int, buf: Any) -> int:
        self.data[vaddr : vaddr + len(buf)] = buf
        return len(buf)
