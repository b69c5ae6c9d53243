"""The one error tree.

`LinuxError` carries an errno and is all that input from a guest may raise; `UserFault` is `EFAULT` and says
why. `KernelFault` is a bug in the code that plays the kernel, never the guest's doing. An error becomes an
errno at the system-call boundary and nowhere else.
"""

from __future__ import annotations

import enum
import errno as _errno
import os
from typing import TYPE_CHECKING, Any

from .flags import MappingFlags

if TYPE_CHECKING:
    from .mm.area import MemoryArea


class LinuxError(OSError):
    """A failure with a Linux error number: `LinuxError(errno.ENOMEM, "no frames left")`."""

    errno: int

    def __init__(self, errno: int, message: str | None = None) -> None:
        super().__init__(errno, message if message is not None else os.strerror(errno))

    @property
    def name(self) -> str:
        """The symbol, such as `"ENOMEM"`."""
        return _errno.errorcode.get(self.errno, str(self.errno))


class FaultReason(enum.Enum):
    """Why user memory could not be touched."""

    MISALIGNED = "misaligned"
    UNMAPPED = "unmapped"
    PROTECTION = "protection"
    OUT_OF_RANGE = "out of range"
    BACKING_FAILED = "backing failed"
    NOT_MEMORY = "not memory"


class UserFault(LinuxError):
    """`EFAULT`, with its cause.

    address: the first byte that could not be touched.
    access: what was wanted there.
    size: bytes asked for in all; 0 where only the CPU knew.
    completed: bytes done before that one.
    reason: a `FaultReason`.
    area: the area concerned, or the nearest one; None in an empty space.
    """

    def __init__(
        self,
        message: str,
        *,
        address: int,
        access: MappingFlags,
        size: int = 0,
        completed: int = 0,
        reason: FaultReason,
        area: MemoryArea | None = None,
    ) -> None:
        super().__init__(_errno.EFAULT, message)
        self.address = address
        self.access = access
        self.size = size
        self.completed = completed
        self.reason = reason
        self.area = area

    def __reduce__(self) -> tuple[Any, ...]:
        state = {
            "address": self.address,
            "access": self.access,
            "size": self.size,
            "completed": self.completed,
            "reason": self.reason,
            "area": None,
        }
        return _rebuild_fault, (self.strerror, state)


def _rebuild_fault(message: str, state: dict[str, Any]) -> UserFault:
    return UserFault(message, **state)


class KernelFault(RuntimeError):
    """The kernel side touched a missing page without saying that it accesses user memory: its own bug."""


class SnapshotError(ValueError):
    """A snapshot that cannot be saved, or bytes that are none: damaged, cut short, or of another version."""


class PagingError(LinuxError):
    """A page table could not do what was asked; the table is as before."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_paging_error, (type(self), self.errno, self.strerror, vars(self))


def _rebuild_paging_error(kind: type[PagingError], errno: int, message: str, state: dict[str, Any]) -> PagingError:
    error = kind.__new__(kind, errno, message)
    LinuxError.__init__(error, errno, message)
    vars(error).update(state)
    return error


class AlreadyMapped(PagingError):
    def __init__(self, vaddr: int) -> None:
        super().__init__(_errno.EEXIST, f"{vaddr:#x} is mapped already")
        self.vaddr = vaddr


class NotMapped(PagingError):
    def __init__(self, vaddr: int) -> None:
        super().__init__(_errno.EFAULT, f"{vaddr:#x} is not mapped")
        self.vaddr = vaddr


class NotAligned(PagingError):
    def __init__(self, what: str, value: int, align: int) -> None:
        super().__init__(_errno.EINVAL, f"{what} {value:#x} is not a multiple of {align:#x}")
        self.value = value


class MappedToHugePage(PagingError):
    def __init__(self, vaddr: int, size: int) -> None:
        super().__init__(_errno.EINVAL, f"{vaddr:#x} lies in a page of {size:#x} bytes")
        self.vaddr = vaddr
        self.page_size = size
