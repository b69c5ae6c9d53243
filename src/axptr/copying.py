"""Copies that are more than one pointer's: between two spaces, zeros, structures that grow from version to version.

Every byte goes through `check.load`, `check.store` or `check.partial`, the checked copies of pointers; over any
provider. What a guest's count says is never allocated: all goes in pieces of `CHUNK` bytes. An `address` is an integer
or a pointer (`p.address`), of any alignment, as copy_from_user takes it.

Failure: the counting verbs raise nothing for bad memory: a short count is a `Copied` with the fault. `copy_struct` is
all or an exception. Source: copy_struct_from_user(9), include/linux/uaccess.h; clear_user(9).
"""

from __future__ import annotations

import errno
from typing import Any, SupportsIndex, TypeVar

from .addr import ADDRESS_END, PAGE_SIZE, checked_address, checked_size
from .check import load, partial, store
from .errors import FaultReason, LinuxError, UserFault
from .flags import MappingFlags
from .layout import Layout
from .provider import AddrSpaceProvider

CHUNK = 1 << 18
"""Bytes that are copied at a time, and so all that a count from a guest makes the host hold."""

READ, WRITE = MappingFlags.READ, MappingFlags.WRITE
_ZEROS = bytes(CHUNK)
V = TypeVar("V")


def copy_between(
    source: AddrSpaceProvider,
    source_address: SupportsIndex,
    goal: AddrSpaceProvider,
    goal_address: SupportsIndex,
    count: int,
) -> int:
    """Copy `count` bytes from one space to another, or within one, until a byte cannot be read or written; bytes done.

    Needs READ there and WRITE here. A short count is a `Copied` whose `.fault` says which side stopped it, and where. A
    byte counts once it has arrived. No lock is held from the reading of a piece to its writing; pieces go upwards,
    so where the ranges overlap in one space, with the goal above, bytes copied before are read again.
    """
    start, end = checked_address(source_address, "source_address"), checked_address(goal_address, "goal_address")
    left = checked_size(count, "count")
    if left == 0:
        partial(source, start, bytearray(), READ)
        partial(goal, end, b"", WRITE)
        return 0
    middle = memoryview(bytearray(min(left, CHUNK)))
    done = 0
    while done < left:
        size = min(CHUNK, left - done)
        if start + done >= ADDRESS_END or end + done >= ADDRESS_END:
            past = start if start + done >= ADDRESS_END else end
            return _short(done, _past(past, left, done, READ if past is start else WRITE))
        got, refused = partial(source, start + done, middle[:size], READ)
        put, fault = partial(goal, end + done, middle[:got], WRITE) if got else (0, None)
        done += put
        fault = fault if fault is not None else refused
        if fault is not None:
            fault.completed, fault.size = done, left
            return _short(done, fault)
    return done


def clear(provider: AddrSpaceProvider, address: SupportsIndex, size: int) -> int:
    """Store `size` zero bytes at `address` until a byte cannot be written; bytes done. Needs WRITE alone.

    A short count is a `Copied`, whose `.fault` says what stopped it. (clear_user gives the bytes left instead.)
    """
    start, left = checked_address(address), checked_size(size)
    done = 0
    while True:
        if start + done >= ADDRESS_END and done < left:
            return _short(done, _past(start, left, done, WRITE))
        piece = memoryview(_ZEROS)[: min(CHUNK, left - done)]
        put, fault = partial(provider, start + done, piece, WRITE)
        done += put
        if fault is not None:
            fault.completed, fault.size = done, left
            return _short(done, fault)
        if done == left:
            return done


def copy_struct(
    provider: AddrSpaceProvider,
    address: SupportsIndex,
    T: type[V],
    size: int,
    *,
    min_size: int = 0,
    max_size: int = PAGE_SIZE,
) -> V:
    """A T that the guest says is `size` bytes large, whatever version of T it was built with. Needs READ alone.

    As copy_struct_from_user: of a shorter one the rest is zero, of a longer one the rest must be zero in memory. T: a
    ctypes `Structure`, `Union`, array or scalar; an instance of it is given, scalars too.
    Raises `LinuxError(EINVAL)` below `min_size` (the first version's size), `LinuxError(E2BIG)` above `max_size` (both
    as clone3 and openat2 do) or for a rest that is not zero, `UserFault` for memory that cannot be read. The rest
    is looked at first, as there.
    """
    start, given = checked_address(address), checked_size(size)
    least, most = checked_size(min_size, "min_size"), checked_size(max_size, "max_size")
    known = Layout.of(T).size
    if not hasattr(T, "from_buffer_copy"):
        raise TypeError(f"want a ctypes type, not {T!r}")
    if given < least:
        raise LinuxError(errno.EINVAL, f"{T.__name__} of {given} bytes: it has had {least} from the first")
    if given > most:
        raise LinuxError(errno.E2BIG, f"{T.__name__} of {given} bytes: {most} are allowed")
    at = known
    while at < given:
        if start + at >= ADDRESS_END:
            raise _past(start, given, at, READ)
        piece = load(provider, start + at, min(CHUNK, given - at), 1)
        if any(piece):
            raise LinuxError(
                errno.E2BIG,
                f"{T.__name__} of {given} bytes: of {known} are known, and byte "
                f"{at + len(piece) - len(piece.lstrip(bytes(1)))} is not zero",
            )
        at += len(piece)
    data = load(provider, start, min(given, known), 1)
    try:
        return T.from_buffer_copy(data.ljust(known, b"\0"))  # type: ignore[attr-defined,no-any-return]
    except MemoryError:
        raise LinuxError(errno.ENOMEM, f"the host has no room for {known} bytes") from None


def _short(done: int, fault: UserFault) -> int:
    from ._core.pointer import Copied  # at the end only: that module imports `check`, and costs more than this one

    return Copied(done, fault)


def _past(start: int, size: int, completed: int, access: MappingFlags) -> UserFault:
    return UserFault(
        f"access of {size} bytes at {start:#x}: it would wrap past 2**64",
        address=start,
        access=access,
        size=size,
        completed=completed,
        reason=FaultReason.OUT_OF_RANGE,
    )


def check_zeroed(provider: AddrSpaceProvider, address: SupportsIndex, size: int) -> bool:
    """Whether all of `size` bytes at `address` are zero, up to the first that is not. Needs READ alone.

    As check_zeroed_user. Raises `UserFault` for a byte that cannot be read with only zeros before its piece.
    """
    start, given = checked_address(address), checked_size(size)
    at = 0
    while at < given:
        if start + at >= ADDRESS_END:
            raise _past(start, given, at, READ)
        piece = load(provider, start + at, min(PAGE_SIZE - (start + at) % PAGE_SIZE, given - at), 1)
        if any(piece):
            return False
        at += len(piece)
    if given == 0:
        load(provider, start, 0, 1)
    return True


def copy_struct_out(provider: AddrSpaceProvider, address: SupportsIndex, value: Any, size: int) -> bool:
    """Store a structure for a guest that says its own is `size` bytes large. Needs WRITE alone. Whether all was told.

    As copy_struct_to_user: a larger one of the guest's gets zeros at its end, first; of a smaller one what is past its
    end is left out, and False says that this was not all zeros. value: a ctypes instance, or its bytes.
    Raises `UserFault` for memory that cannot be written; the zeros may be there then.
    """
    start, given = checked_address(address), checked_size(size)
    data = bytes(memoryview(value).cast("B"))
    if given > len(data):
        if start + len(data) >= ADDRESS_END:
            raise _past(start, given, len(data), WRITE)
        done = clear(provider, start + len(data), given - len(data))
        if done < given - len(data):
            fault: UserFault = done.fault  # type: ignore[attr-defined]
            raise fault
    store(provider, start, data[:given], 1)
    return not any(data[given:])


__all__ = ["CHUNK", "check_zeroed", "clear", "copy_between", "copy_struct", "copy_struct_out"]
