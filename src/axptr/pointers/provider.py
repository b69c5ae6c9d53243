"""What leads to user memory: the two interfaces that a pointer asks for.

`AddrSpaceProvider` gives access to an address space for the time of one call; `UserMemory` is what it gives.
Neither can map or unmap: that is the owner's business.
"""

from __future__ import annotations

import threading
from typing import Protocol, runtime_checkable

from axptr._core.mm.provider import Provider
from axptr._core.words.budget import Budget, budget_of
from axptr.addr import VirtAddrRange
from axptr.flags import MappingFlags
from axptr.model import DataModel
from axptr.pointers.check import model_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    R = TypeVar("R")

__all__ = ["AddrSpaceProvider", "Locked", "Provider", "UserMemory"]


@runtime_checkable
class UserMemory(Protocol):
    """An address space as those see it who only use its memory."""

    def check_region_access(self, range: VirtAddrRange, flags: MappingFlags) -> bool:
        """Whether every byte of `range` is in an area with all of `flags`; populates nothing."""
        ...

    def populate_area(self, start: int, size: int, access: MappingFlags) -> None:
        """Make every page of `size` bytes at `start` present for `access`, or raise `LinuxError`."""
        ...

    def read_into(self, vaddr: int, buf: Any) -> int:
        """Fill the writable buffer from `vaddr` on; bytes copied before the first that cannot be read."""
        ...

    def write_from(self, vaddr: int, buf: Any) -> int:
        """Store the buffer from `vaddr` on; bytes copied before the first that cannot be written."""
        ...


@runtime_checkable
class AddrSpaceProvider(Protocol):
    """Something that leads to one address space."""

    def with_addr_space(self, f: Callable[[Any], R]) -> R:
        """Call `f` with the `UserMemory`, under whatever lock guards it; the result of `f`."""
        ...


class Locked:
    """A provider that holds a mutex around every use of a shared address space, re-entrant in one thread."""

    def __init__(self, memory: Any) -> None:
        if not hasattr(memory, "with_addr_space") and not isinstance(memory, UserMemory):
            raise TypeError(f"want an address space, not {type(memory).__name__}")
        self._memory = memory
        self._lock = threading.RLock()

    @property
    def model(self) -> DataModel:
        """The data model of the space it guards."""
        return model_of(self._memory)

    @property
    def budget(self) -> Budget | None:
        """The budget of the memory it guards."""
        return budget_of(self._memory)

    def with_addr_space(self, f: Callable[[Any], R]) -> R:
        with self._lock:
            if hasattr(self._memory, "with_addr_space"):
                return self._memory.with_addr_space(f)  # type: ignore[no-any-return]
            return f(self._memory)
