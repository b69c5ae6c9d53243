"""Copies that are more than one pointer's: between two spaces, zeros, structures that grow from version to version.

Every byte goes through `check.load`, `check.store` or `check.partial`, the checked copies of pointers; over any
provider. What a guest's count says is never allocated: all goes in pieces of `CHUNK` bytes. An `address` is an integer
or a pointer (`p.address`), of any alignment, as copy_from_user takes it.

Failure: the counting verbs raise nothing for bad memory: a short count is a `Copied` with the fault. `copy_struct` is
all or an exception. Source: copy_struct_from_user(9), include/linux/uaccess.h; clear_user(9).
"""

from __future__ import annotations

import ctypes
import errno
from typing import Any, SupportsIndex, TypeVar, overload

from .._core.pointers.blocks import Copied, partial
from .._core.pointers.codec import name_of
from .._core.words.buffers import flat
from ..addr import (
    ADDRESS_END,
    PAGE_SIZE,
    checked_address,
    checked_size,
)
from ..errors import FaultReason, LinuxError, UserFault
from ..flags import MappingFlags
from ..forms.find import form_of
from .check import load, partial_at_once, store
from .fields import name_fault
from .values import dumped, loaded, type_at

TYPE_CHECKING = False
if TYPE_CHECKING:
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
            return Copied(done, _past(past, left, done, READ if past is start else WRITE))
        got, refused = partial(source, start + done, middle[:size], READ)
        put, fault = partial(goal, end + done, middle[:got], WRITE) if got else (0, None)
        done += put
        fault = fault if fault is not None else refused
        if fault is not None:
            fault.completed, fault.size = done, left
            fault.object = "source" if fault is refused else "goal"
            return Copied(done, fault)
    return done


def copy_in_nofault(provider: AddrSpaceProvider, address: SupportsIndex, buf: Any) -> int:
    """Fill the writable buffer from `address` on, as far as the pages are there for it; bytes done. Needs READ alone.

    As copy_from_user_nofault: brings no page in, grows no stack, calls no pager and no device. A short count is a
    `Copied`, whose `.fault` says why: `FaultReason.ABSENT` for a page that `copy_in` would bring in. Only an
    `AddrSpace` knows what is there: other memories are a `TypeError`.
    """
    done, fault = partial_at_once(provider, checked_address(address), buf, READ)
    return done if fault is None else Copied(done, fault)


def copy_out_nofault(provider: AddrSpaceProvider, address: SupportsIndex, data: Any) -> int:
    """Store the buffer at `address`, as far as the pages are there to be written; bytes done. Needs WRITE alone.

    As copy_to_user_nofault: a page that is shared copy-on-write, or was not written since it was last found clean, is
    not there for it. The rest is as of `copy_in_nofault`.
    """
    done, fault = partial_at_once(provider, checked_address(address), data, WRITE)
    return done if fault is None else Copied(done, fault)


def clear(provider: AddrSpaceProvider, address: SupportsIndex, size: int) -> int:
    """Store `size` zero bytes at `address` until a byte cannot be written; bytes done. Needs WRITE alone.

    A short count is a `Copied`, whose `.fault` says what stopped it. (clear_user gives the bytes left instead.)
    """
    start, left = checked_address(address), checked_size(size)
    done = 0
    while True:
        if start + done >= ADDRESS_END and done < left:
            return Copied(done, _past(start, left, done, WRITE))
        piece = memoryview(_ZEROS)[: min(CHUNK, left - done)]
        put, fault = partial(provider, start + done, piece, WRITE)
        done += put
        if fault is not None:
            fault.completed, fault.size = done, left
            return Copied(done, fault)
        if done == left:
            return done


@overload
def copy_struct(
    provider: AddrSpaceProvider,
    address: SupportsIndex,
    T: type[V],
    size: int,
    *,
    min_size: int = 0,
    max_size: int = PAGE_SIZE,
) -> V: ...
@overload
def copy_struct(
    provider: AddrSpaceProvider,
    address: SupportsIndex,
    T: Any,
    size: int,
    *,
    min_size: int = 0,
    max_size: int = PAGE_SIZE,
) -> Any: ...
def copy_struct(
    provider: AddrSpaceProvider,
    address: SupportsIndex,
    T: Any,
    size: int,
    *,
    min_size: int = 0,
    max_size: int = PAGE_SIZE,
) -> Any:
    """A T that the guest says is `size` bytes large, whatever version of T it was built with. Needs READ alone.

    As copy_struct_from_user: of a shorter one the rest is zero, of a longer one the rest must be zero in memory. T:
    what a pointer can point at, as the data model has it, but no pointer itself. Of a ctypes type an instance is given,
    such as `UserPtr[T].read` gives under that model, of scalars too; else the value that `read` gives.
    Raises `LinuxError(EINVAL)` below `min_size` (the first version's size), `LinuxError(E2BIG)` above `max_size` (both
    as clone3 and openat2 do) or for a rest that is not zero, `UserFault` for memory that cannot be read. The rest
    is looked at first, as there.
    """
    start, given = checked_address(address), checked_size(size)
    least, most = checked_size(min_size, "min_size"), checked_size(max_size, "max_size")
    ptype = type_at(provider, address, T)
    if hasattr(T, "ACCESS_FLAGS"):
        raise TypeError(f"want a type that can grow, not {name_of(T)}")
    known = ptype.size
    if given < least:
        raise LinuxError(errno.EINVAL, f"{name_of(T)} of {given} bytes: it has had {least} from the first")
    if given > most:
        raise LinuxError(errno.E2BIG, f"{name_of(T)} of {given} bytes: {most} are allowed")
    rest = _first_set(provider, start, known, given) if known < given else given
    if rest < given:
        raise LinuxError(
            errno.E2BIG, f"{name_of(T)} of {given} bytes: of {known} are known, and byte {rest} is not zero"
        )
    try:
        data = load(provider, start, min(given, known), 1)
    except UserFault as fault:
        name_fault(fault, start, T, ptype.seen)
        raise
    form = form_of(ptype.seen)
    whole: Any = ptype.seen if form is None else form.ctype
    try:
        data = data.ljust(known, b"\0")
        if form_of(T) is None and whole is not None:
            return whole.from_buffer_copy(data)
        return loaded(ptype, data)
    except MemoryError:
        raise LinuxError(errno.ENOMEM, f"the host has no room for {known} bytes") from None


def check_zeroed(provider: AddrSpaceProvider, address: SupportsIndex, size: int) -> bool:
    """Whether all of `size` bytes at `address` are zero, up to the first that is not. Needs READ alone.

    As check_zeroed_user. Raises `UserFault` for a byte that cannot be read with only zeros before its page.
    """
    start, given = checked_address(address), checked_size(size)
    if given == 0:
        load(provider, start, 0, 1)
    return _first_set(provider, start, 0, given) == given


def copy_struct_out(provider: AddrSpaceProvider, address: SupportsIndex, value: Any, size: int) -> bool:
    """Store a structure for a guest that says its own is `size` bytes large. Needs WRITE alone. Whether all was told.

    As copy_struct_to_user: a larger one of the guest's gets zeros at its end, first; of a smaller one what is past its
    end is left out, and False says that this was not all zeros. value: a ctypes instance, which lies there as the data
    model has it, or bytes, which lie as they are.
    Raises `UserFault` for memory that cannot be written; the zeros may be there then.
    """
    start, given = checked_address(address), checked_size(size)
    if isinstance(value, (ctypes.Structure, ctypes.Union, ctypes.Array)):
        data = dumped(type_at(provider, address, type(value)), value)
    else:
        data = bytes(flat(value))
    if given > len(data):
        if start + len(data) >= ADDRESS_END:
            raise _past(start, given, len(data), WRITE)
        done = clear(provider, start + len(data), given - len(data))
        if isinstance(done, Copied):
            raise done.fault
    store(provider, start, data[:given], 1)
    return not any(data[given:])


def _first_set(provider: AddrSpaceProvider, start: int, at: int, end: int) -> int:
    """The first of the bytes [at, end) from `start` that is not zero, else `end`; no page past its own is read."""
    while at < end:
        if start + at >= ADDRESS_END:
            raise _past(start, end, at, READ)
        try:
            piece = load(provider, start + at, min(PAGE_SIZE - (start + at) % PAGE_SIZE, end - at), 1)
        except UserFault as fault:
            fault.completed, fault.size = at + fault.completed, end
            raise
        if any(piece):
            return at + len(piece) - len(piece.lstrip(bytes(1)))
        at += len(piece)
    return end


def _past(start: int, size: int, completed: int, access: MappingFlags) -> UserFault:
    completed = min(completed, ADDRESS_END - start)
    return UserFault(
        "it would wrap past 2**64",
        address=start + completed,
        access=access,
        size=size,
        completed=completed,
        reason=FaultReason.OUT_OF_RANGE,
    )


__all__ = [
    "CHUNK",
    "check_zeroed",
    "clear",
    "copy_between",
    "copy_in_nofault",
    "copy_out_nofault",
    "copy_struct",
    "copy_struct_out",
]
