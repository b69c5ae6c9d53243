"""`UserSlice`: a run of user memory that is gone through once, by a reader or a writer that cannot look back.

As Rust-for-Linux' `UserSlice`: a program may change its memory while the kernel looks at it, so what was read is never
read again, and each side knows how much is left. A slice is an address and a length and checks nothing until it is
used.

Not here: scattered memory (`IoVec`), seeking (`UserFile`).

Failure: the strict verbs raise `UserFault`, also past the end of the slice, and then have not moved; the partial verb
gives a count and has moved by it. A length from a guest is never allocated: what is read whole grows in pieces.
"""

from __future__ import annotations

import errno

from .._core.pointers.blocks import Copied, partial
from .._core.words.budget import budget_of, charge
from .._core.words.buffers import flat
from ..addr import (
    ADDRESS_END,
    PAGE_SIZE,
    checked_address,
    checked_size,
)
from ..errors import FaultReason, LinuxError, UserFault
from ..flags import MappingFlags
from .check import load, store
from .copying import clear
from .values import type_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, SupportsIndex

    from .provider import AddrSpaceProvider

READ, WRITE = MappingFlags.READ, MappingFlags.WRITE


class UserSlice:
    """`length` bytes of user memory at `address` (an integer or a pointer). Immutable."""

    __slots__ = ("_address", "_length")

    def __init__(self, address: SupportsIndex, length: int) -> None:
        self._address = checked_address(address)
        self._length = checked_size(length, "length")

    @property
    def address(self) -> int:
        return self._address

    @property
    def length(self) -> int:
        """Bytes. (A number that a guest gave may be more than `len` can say.)"""
        return self._length

    def reader(self, provider: AddrSpaceProvider) -> UserSliceReader:
        """A reader at the start of the slice, in the space that `provider` leads to."""
        return UserSliceReader(provider, self._address, self._length)

    def writer(self, provider: AddrSpaceProvider) -> UserSliceWriter:
        """A writer at the start of the slice, in the space that `provider` leads to."""
        return UserSliceWriter(provider, self._address, self._length)

    def reader_writer(self, provider: AddrSpaceProvider) -> tuple[UserSliceReader, UserSliceWriter]:
        """Both, for a buffer that is read and answered in place."""
        return self.reader(provider), self.writer(provider)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, UserSlice):
            return NotImplemented
        return (self._address, self._length) == (other._address, other._length)

    def __hash__(self) -> int:
        return hash((self._address, self._length))

    def __repr__(self) -> str:
        return f"UserSlice({self._address:#x}, {self._length})"


class _Cursor:
    """What is left of a slice. address: of the next byte. remaining: bytes. Not for several threads at a time."""

    __slots__ = ("_address", "_left", "_provider")
    _access = READ

    def __init__(self, provider: AddrSpaceProvider, address: int, length: int) -> None:
        if not hasattr(provider, "with_addr_space"):
            raise TypeError(f"want an AddrSpaceProvider, not {type(provider).__name__}")
        self._provider = provider
        self._address = address
        self._left = length

    @property
    def address(self) -> int:
        """Of the next byte; 2**64 after the last byte there is."""
        return self._address

    @property
    def remaining(self) -> int:
        """Bytes left in the slice."""
        return self._left

    def skip(self, count: int) -> None:
        """Move on by `count` bytes without touching them. `UserFault` if fewer are left."""
        self._move(self._within(checked_size(count, "count")))

    def _within(self, size: int) -> int:
        """`size`, or the fault of an access that leaves the slice, or all addresses."""
        if size > self._left or (size and self._address + size > ADDRESS_END):
            cause = f"{self._left} are left of the slice" if size > self._left else "it would wrap past 2**64"
            raise UserFault(
                cause,
                address=min(self._address + self._left, ADDRESS_END),
                access=self._access,
                size=size,
                completed=min(self._left, ADDRESS_END - self._address),
                reason=FaultReason.OUT_OF_RANGE,
            )
        return size

    def _move(self, count: int) -> None:
        self._address += count
        self._left -= count

    def _partial(self, buf: Any) -> int:
        """Copy until the buffer or the slice ends or a byte fails."""
        view = flat(buf)
        size = min(len(view), self._left, ADDRESS_END - self._address)
        if size == 0:
            return 0
        done, fault = partial(self._provider, self._address, view[:size], self._access)
        self._move(done)
        return done if fault is None else Copied(done, fault)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._left} bytes from {self._address:#x}>"


class UserSliceReader(_Cursor):
    """Reads a slice from the start on, each byte once. Needs READ alone."""

    __slots__ = ()

    def read(self, size: int) -> bytes:
        """The next `size` bytes, all of them. `UserFault` if fewer are left or one cannot be read; not moved then."""
        total = self._within(checked_size(size))
        charge(self._provider, total)
        data = load(self._provider, self._address, total, 1) if total else b""
        self._move(total)
        return data

    def read_value(self, T: Any) -> Any:
        """The next T, from any address: as `UserConstPtr[T].read_unaligned`. Raises as `read`."""
        kind = type_at(self._provider, self._address, T)
        total = self._within(kind.size)
        value = kind(self._address).read_unaligned(self._provider)
        self._move(total)
        return value

    def read_all(self) -> bytes:
        """All that is left. Raises as `read`, and `LinuxError(ENOMEM)`."""
        return self.read(self._left)

    def read_cstr(self) -> bytes:
        """The bytes before a NUL, moved past it; all that is left if there is none, and moved to the end.

        As strncpy_from_user does of a limit: what comes is as long as what was left only if there was no NUL. Pages
        past the NUL's are not touched. Raises as `read_all`.
        """
        data = bytearray()
        budget = budget_of(self._provider)
        try:
            while len(data) < self._left:
                if budget is not None and len(data) > budget.room:
                    budget.charge(len(data))  # says that it is too much
                at = self._address + len(data)
                try:
                    if at >= ADDRESS_END:
                        self._within(len(data) + 1)
                    piece = load(self._provider, at, min(PAGE_SIZE - at % PAGE_SIZE, self._left - len(data)), 1)
                except UserFault as fault:
                    fault.completed = fault.address - self._address
                    fault.is_text, fault.size = True, fault.completed + 1
                    raise
                end = piece.find(0)
                data += piece if end < 0 else piece[:end]
                if end >= 0:
                    break
            else:
                end = -1
            charge(self._provider, len(data))
            self._move(len(data) + (end >= 0))
            return bytes(data)
        except MemoryError:
            raise LinuxError(errno.ENOMEM, f"the host has no room for {self._left} bytes") from None

    def clone(self) -> UserSliceReader:
        """Another reader of what is left, which this one does not notice: for bytes that are wanted twice."""
        return UserSliceReader(self._provider, self._address, self._left)

    def copy_in(self, buf: Any) -> int:
        """Fill the writable buffer until it is full, the slice ends or a byte fails; bytes done, moved by as many.

        A count that a bad byte cut short is a `Copied`, whose `.fault` says what stopped it.
        """
        return self._partial(buf)


class UserSliceWriter(_Cursor):
    """Writes a slice from the start on. Needs WRITE alone."""

    __slots__ = ()
    _access = WRITE

    def write(self, data: Any) -> None:
        """Store all of the buffer. `UserFault` if there is less room or a byte fails; nothing is stored then."""
        view = flat(data)
        if total := self._within(len(view)):
            store(self._provider, self._address, view, 1)
            self._move(total)

    def write_value(self, T: Any, value: Any) -> None:
        """Store one T, at any address: as `UserPtr[T].write_unaligned`. Raises as `write`."""
        kind = type_at(self._provider, self._address, T)
        total = self._within(kind.size)
        kind(self._address).write_unaligned(self._provider, value)
        self._move(total)

    def clear(self, size: int) -> int:
        """Store `size` zeros until the slice ends or a byte cannot be written; bytes done, moved by as many."""
        size = min(checked_size(size), self._left, ADDRESS_END - self._address)
        done = clear(self._provider, self._address, size) if size else 0
        self._move(int(done))
        return done

    def copy_out(self, data: Any) -> int:
        """Store the buffer until it is empty, the slice ends or a byte cannot be written; bytes done, moved by as many.

        A count that a bad byte cut short is a `Copied`, whose `.fault` says what stopped it.
        """
        return self._partial(data)


__all__ = ["UserSlice", "UserSliceReader", "UserSliceWriter"]
