"""The one error tree.

`LinuxError` carries an errno and is all that input from a guest may raise; `UserFault` is `EFAULT` and says
why. `KernelFault` is a bug in the code that plays the kernel, never the guest's doing. An error becomes an
errno at the system-call boundary and nowhere else.
"""

from __future__ import annotations

import errno as _errno
import os

from ._core.words.codes import ACCESS, EXECUTE, READ, WRITE
from .addr import ADDRESS_END
from .flags import MappingFlags
from .members import Enum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .mm.area import MemoryArea


_TEXTS = {number: os.strerror(number) for number in _errno.errorcode}


class LinuxError(OSError):
    """A failure with a Linux error number: `LinuxError(errno.ENOMEM, "no frames left")`."""

    errno: int

    def __init__(self, errno: int, message: str | None = None) -> None:
        OSError.__init__(self, errno, message if message is not None else _TEXTS.get(errno) or os.strerror(errno))

    @property
    def name(self) -> str:
        """The symbol, such as `"ENOMEM"`."""
        return _errno.errorcode.get(self.errno, str(self.errno))


class FaultReason(Enum):
    """Why user memory could not be touched."""

    MISALIGNED = "misaligned"
    UNMAPPED = "unmapped"
    PROTECTION = "protection"
    OUT_OF_RANGE = "out of range"
    BACKING_FAILED = "backing failed"
    NOT_MEMORY = "not memory"
    ABSENT = "not present"


_VERBS = {READ: "read", WRITE: "write", READ | WRITE: "read and write", EXECUTE: "execution"}


def verb_of(access: int) -> str:
    """What an access is called: "read" for READ."""
    return _VERBS.get(int(access) & ACCESS, "access")


class UserFault(LinuxError):
    """`EFAULT`, with its cause. The message is put together from what stands here, and follows it when it is changed.

    address: the first byte that could not be touched.
    access: what was wanted there.
    size: bytes asked for in all; of text (`is_text`) those looked at, the bad one too; 0 where only the CPU knew.
    completed: bytes done before that one.
    reason: a `FaultReason`.
    cause: the reason in words: which page, what it is mapped as, what lies near.
    area: the area concerned, or the nearest one; None in an empty space.
    below, above: where nothing is mapped, the areas next to it, None if there is none.
    is_text: whether a terminator was looked for.
    object: what was in hand (`argv[3]`, `iov[2].iov_base`, `timespec.tv_nsec (c_long)`); None where that is not known.
    """

    def __init__(
        self,
        cause: str,
        *,
        address: int,
        access: MappingFlags,
        size: int = 0,
        completed: int = 0,
        reason: FaultReason,
        area: MemoryArea | None = None,
        below: MemoryArea | None = None,
        above: MemoryArea | None = None,
        is_text: bool = False,
        object: str | None = None,
    ) -> None:
        super().__init__(_errno.EFAULT, cause)
        self.cause = cause
        self.address = address
        self.access = access
        self.size = size
        self.completed = completed
        self.reason = reason
        self.area = area
        self.below = below
        self.above = above
        self.is_text = is_text
        self.object = object

    @property
    def start(self) -> int:
        """Where the access began."""
        return (self.address - self.completed) % ADDRESS_END

    @property
    def attempt(self) -> str:
        """What was tried: `write of 16 bytes at 0x7ffe0ff8`."""
        verb = verb_of(self.access)
        if self.is_text:
            return f"{verb} of a string at {self.start:#x}"
        return verb + (f" of {_bytes(self.size)}" if self.size else "") + f" at {self.start:#x}"

    @property
    def strerror(self) -> str:  # type: ignore[override]
        """The message: the object, what was tried, why not, and how much of it was good."""
        named = f"{self.object}: " if self.object else ""
        good = ""
        if self.completed and self.reason is not FaultReason.MISALIGNED:
            good = f"; {_bytes(self.completed)} {'of it' if self.is_text else 'before it'} are good"
        return f"{named}{self.attempt}: {self.cause}{good}"

    def __str__(self) -> str:
        return f"[Errno {self.errno}] {self.strerror}"

    def explain(self, color: bool | None = None) -> str:
        """The long form, a line for each thing that is known: the object, the bytes, the page, the areas, the cause.

        color: whether with the colours of a terminal; None for yes if standard output is one (and NO_COLOR is not set).
        """
        from .explain import explained

        return explained(self, color)

    def __reduce__(self) -> tuple[Any, ...]:
        state = {name: value for name, value in vars(self).items() if name not in ("cause", "area", "below", "above")}
        return _rebuild_fault, (self.cause, state)


def _bytes(count: int) -> str:
    return f"{count} byte{'' if count == 1 else 's'}"


def _rebuild_fault(cause: str, state: dict[str, Any]) -> UserFault:
    fault = UserFault(cause, address=0, access=MappingFlags(0), reason=FaultReason.UNMAPPED)
    vars(fault).update(state)
    return fault


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


class EngineError(OSError):
    """The host does not let a CPU be had, or go on: `strerror` says in a line what is missing. Nothing of a guest's."""


class GuestLost(RuntimeError):
    """The registers of a guest are gone: the process that ran it was ended from outside."""


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
