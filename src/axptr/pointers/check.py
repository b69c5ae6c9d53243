"""The seed's checks, for any `UserMemory`.

`check_region` is the order that everything here keeps: alignment, then permission, then presence. For an
`AddrSpace` the compiled core does it in one hold of the lock; for any other memory these functions do it with the
protocol's methods. Pointers over such a memory come through `load` and `store`: there is no second way.
"""

from __future__ import annotations

import errno

from axptr._core.mm.space import SpaceCore
from axptr._core.words.budget import budget_of, require_room
from axptr._core.words.buffers import flat
from axptr._core.words.codes import GROWN_AT_ONCE
from axptr._core.words.visit import visited
from axptr.addr import (
    ADDRESS_END,
    PAGE_SIZE,
    VirtAddrRange,
    align_up,
    checked_address,
    checked_size,
)
from axptr.errors import (
    FaultReason,
    LinuxError,
    UserFault,
    verb_of,
)
from axptr.flags import MappingFlags
from axptr.layout import Layout
from axptr.model import LP64, DataModel, checked_model
from axptr.pointers.access import access_user_memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

READ, WRITE = MappingFlags.READ, MappingFlags.WRITE


def check_region(aspace: Any, start: int, layout: Layout, access: MappingFlags) -> None:
    """Prove that `layout.size` bytes at `start` may be accessed, and bring their pages in.

    Raises `UserFault` if `start` is misaligned, or a byte is unmapped or lacks a flag of `access`, before
    anything is populated; what populating raises passes on. A size of 0 needs alignment only.
    """
    checked_address(start, "start")
    if not isinstance(layout, Layout):
        raise TypeError(f"want a Layout, not {type(layout).__name__}")
    flags = MappingFlags(access)
    with access_user_memory():
        if isinstance(aspace, SpaceCore):
            aspace._demand(start, layout.size, layout.align, flags)
            return
        _user_memory(aspace)
        if start & (layout.align - 1):
            raise _fault("the address is misaligned", start, flags, layout.size, FaultReason.MISALIGNED)
        if layout.size == 0:
            return
        if start + layout.size > ADDRESS_END:
            raise _fault("it would wrap past 2**64", start, flags, layout.size, FaultReason.OUT_OF_RANGE)
        if not aspace.check_region_access(VirtAddrRange(start, start + layout.size), flags):
            raise _refusal(aspace, start, _first_refused(aspace, start, layout.size, flags), flags, layout.size)
        first = start & -PAGE_SIZE
        aspace.populate_area(first, align_up(start + layout.size) - first, flags)


def check_region_with(provider: Any, start: int, layout: Layout, access: MappingFlags) -> None:
    """`check_region` on the space that `provider` leads to."""
    visit(provider, lambda aspace: check_region(aspace, start, layout, access))


def check_null_terminated(
    aspace: Any, start: int, T: Any, access: MappingFlags, max_len: int | None = None
) -> tuple[int, int]:
    """Find the end of a run of T that an all-zero T terminates: `(start, length)`, in elements without it.

    Each page is checked for READ and `access` before it is read, and none past the terminator is touched; elements
    may cross pages. Raises `UserFault` (misaligned start, or a page that may not be accessed comes first),
    `LinuxError(ENAMETOOLONG)` if there are more than `max_len` elements before the terminator.
    T is as the data model of `aspace` has it.
    """
    checked_address(start, "start")
    layout = Layout.of(T, model_of(aspace))
    limit = None if max_len is None else checked_size(max_len, "max_len")
    flags = MappingFlags(access) | READ
    with access_user_memory():
        if isinstance(aspace, SpaceCore):
            return start, aspace._scan(start, layout.size, layout.align, flags, limit)
        _user_memory(aspace)
        if start & (layout.align - 1):
            raise _fault("the address is misaligned", start, flags, layout.size, FaultReason.MISALIGNED)
        return start, len(_scan_slowly(aspace, start, layout.size, flags, limit)) // layout.size


def _scan_slowly(aspace: Any, start: int, size: int, flags: MappingFlags, limit: int | None) -> bytes:
    """The bytes before the terminator, by way of the protocol: a page at a time, checked before it is read."""
    try:
        return _scanned(aspace, start, size, flags, limit)
    except UserFault as fault:
        fault.is_text = True
        raise


def _scanned(aspace: Any, start: int, size: int, flags: MappingFlags, limit: int | None) -> bytes:
    data = bytearray()
    at = start
    done = 0
    while True:
        page_end = min((at & -PAGE_SIZE) + PAGE_SIZE, ADDRESS_END)
        if at >= ADDRESS_END:
            raise _fault("it would wrap past 2**64", at - 1, flags, len(data), FaultReason.OUT_OF_RANGE)
        length = page_end - at
        if limit is not None:
            length = min(length, (limit + 1) * size - len(data))
        if not aspace.check_region_access(VirtAddrRange(at, at + length), flags):
            bad = _first_refused(aspace, at, length, flags)
            if bad == at:
                raise _refusal(aspace, start, bad, flags, bad - start + 1)
            length = bad - at
        aspace.populate_area(at & -PAGE_SIZE, PAGE_SIZE, flags)
        chunk = bytearray(length)
        got = counted(aspace, aspace.read_into(at, chunk), length)
        data += chunk[:got]
        while done + size <= len(data):
            if not any(data[done : done + size]):
                return bytes(data[:done])
            done += size
        if limit is not None and done > limit * size:
            raise LinuxError(errno.ENAMETOOLONG, f"no terminator in the first {limit + 1} elements at {start:#x}")
        if got < length:
            raise _refusal(aspace, start, at + got, flags, at + got - start + 1)
        at += length


def _first_refused(aspace: Any, start: int, size: int, flags: MappingFlags) -> int:
    """The first byte of a refused range that is refused itself, by halving."""
    low, high = start, start + size
    while low < high:
        middle = (low + high) // 2
        if aspace.check_region_access(VirtAddrRange(start, middle + 1), flags):
            low = middle + 1
        else:
            high = middle
    return low


def _refusal(aspace: Any, start: int, bad: int, flags: MappingFlags, size: int) -> UserFault:
    """The fault for an access of `size` bytes at `start` that a memory refused at `bad`; the cause, found by asking."""
    if bad >= ADDRESS_END:
        cause, reason = "it would wrap past 2**64", FaultReason.OUT_OF_RANGE
    elif not aspace.check_region_access(VirtAddrRange(bad, bad + 1), MappingFlags(0)):
        cause, reason = f"{bad:#x} is not mapped", FaultReason.UNMAPPED
    elif not aspace.check_region_access(VirtAddrRange(bad, bad + 1), flags):
        cause, reason = f"{bad:#x} may not be accessed so", FaultReason.PROTECTION
    else:
        cause, reason = f"the page of {bad:#x} could not be had", FaultReason.BACKING_FAILED
    return _fault(cause, bad, flags, size, reason, bad - start)


def _fault(
    cause: str, address: int, access: MappingFlags, size: int, reason: FaultReason, completed: int = 0
) -> UserFault:
    return UserFault(cause, address=address, access=access, size=size, completed=completed, reason=reason)


# -- what pointers use over memory that is no AddrSpace, by way of any provider -----------------------------


def load(provider: Any, start: int, size: int, align: int) -> bytes:
    """`size` bytes at `start`, all or a `UserFault`. Needs READ."""

    def work(memory: Any) -> bytes:
        if isinstance(memory, SpaceCore):
            return memory._load(start, size, align)
        check_region(memory, start, Layout(size, align), READ)
        data = bytearray()
        try:
            if size > GROWN_AT_ONCE:
                require_room(size)
            while len(data) < size:
                piece = bytearray(min(GROWN_AT_ONCE, size - len(data)))
                with access_user_memory():
                    want = len(piece)
                    got = counted(memory, memory.read_into(start + len(data), piece), want)
                if len(piece) != want:
                    raise RuntimeError(f"{type(memory).__name__} changed the size of a buffer that it was to fill")
                if got < want:
                    raise _refusal(memory, start, start + len(data) + got, READ, size)
                data += piece
            return bytes(data)
        except MemoryError:
            raise LinuxError(errno.ENOMEM, f"the host has no room for {size} bytes") from None

    return visit(provider, work)  # type: ignore[no-any-return]


def store(provider: Any, start: int, data: Any, align: int) -> None:
    """Store all of `data` at `start`, or a `UserFault` and nothing. Needs WRITE alone."""

    def work(memory: Any) -> None:
        if isinstance(memory, SpaceCore):
            memory._store(start, data, align)
            return
        check_region(memory, start, Layout(len(data), align), WRITE)
        with access_user_memory():
            done = counted(memory, memory.write_from(start, data), len(data))
        if done < len(data):
            raise _refusal(memory, start, start + done, WRITE, len(data))

    visit(provider, work)


def scan(provider: Any, start: int, size: int, align: int, access: int, limit: int | None) -> bytes:
    """The bytes before a terminator; raises as `check_null_terminated`, and ENOMEM over the budget. Needs READ too."""
    budget = budget_of(provider)
    most = limit
    if budget is not None and (limit is None or budget.room // size < limit):
        most = budget.room // size

    def work(memory: Any) -> bytes:
        flags = MappingFlags(access) | READ
        if isinstance(memory, SpaceCore):
            length = memory._scan(start, size, align, flags, most)
            return memory._load(start, length * size, 1)
        if start & (align - 1):
            raise _fault("the address is misaligned", start, flags, size, FaultReason.MISALIGNED)
        with access_user_memory():
            return _scan_slowly(memory, start, size, flags, most)

    try:
        data: bytes = visit(provider, work)
    except LinuxError as error:
        if budget is not None and most != limit and error.errno == errno.ENAMETOOLONG:
            budget.charge(((most or 0) + 1) * size)
        raise
    if budget is not None:
        budget.charge(len(data))
    return data


def partial(provider: Any, start: int, buf: Any, access: MappingFlags) -> tuple[int, UserFault | None]:
    """Copy until a byte fails: bytes done, and the fault if it is fewer than the buffer has."""

    view = flat(buf)
    total = len(view)

    def work(memory: Any) -> tuple[int, UserFault | None]:
        _user_memory(memory)
        with access_user_memory():
            got = memory.read_into(start, buf) if access == READ else memory.write_from(start, buf)
        done = counted(memory, got, total)
        if done == total:
            return done, None
        return done, fault_at(memory, start + done, access, total, done)

    return visit(provider, work)  # type: ignore[no-any-return]


def partial_at_once(provider: Any, start: int, buf: Any, access: MappingFlags) -> tuple[int, UserFault | None]:
    """`partial` as far as no page need be brought in. `TypeError` over a memory that does not say what is there."""

    def work(memory: Any) -> tuple[int, UserFault | None]:
        if not isinstance(memory, SpaceCore):
            raise TypeError(f"{type(memory).__name__} does not say which of its pages are there: use copy_in, copy_out")
        done = memory._transfer_at_once(start, buf, access)
        total = memoryview(buf).nbytes
        if done == total:
            return done, None
        fault = memory._fault_at(start + done, access, total, done)
        if fault.reason is FaultReason.BACKING_FAILED:  # that is what is left when an area allows it
            fault.reason = FaultReason.ABSENT
            fault.cause = f"page {(start + done) & -PAGE_SIZE:#x} is not there for {verb_of(access)} yet"
        return done, fault

    return visit(provider, work)  # type: ignore[no-any-return]


def fault_at(memory: Any, bad: int, access: MappingFlags, size: int, completed: int) -> UserFault:
    """Why the byte at `bad` was refused, after `completed` bytes of `size`: built, not raised."""
    if isinstance(memory, SpaceCore):
        return memory._fault_at(bad, access, size, completed)
    return _refusal(memory, bad - completed, bad, access, size)


def view(provider: Any, work: Any) -> Any:
    """Run `work` on the space behind `provider`; a live view needs an `AddrSpace`: `BufferError` otherwise."""

    def on_space(memory: Any) -> Any:
        if not isinstance(memory, SpaceCore):
            raise BufferError(f"{type(memory).__name__} cannot pin its pages: use the copying verbs")
        return work(memory)

    return visit(provider, on_space)


def model_of(provider: Any) -> DataModel:
    """The data model that a provider says, or else the memory it leads to; LP64 if neither does."""
    found = getattr(provider, "model", None)
    if found is None and hasattr(provider, "with_addr_space"):
        found = visited(provider, lambda memory: getattr(memory, "model", None))
    return LP64 if found is None else checked_model(found)


def _user_memory(aspace: Any) -> None:
    if not hasattr(aspace, "check_region_access"):
        raise TypeError(f"want a UserMemory, not {type(aspace).__name__}")


def counted(memory: Any, count: Any, most: int) -> int:
    """The count of bytes that a memory says it copied, of `most`. `RuntimeError` if that cannot be."""
    if not isinstance(count, int) or not 0 <= count <= most:
        raise RuntimeError(
            f"{type(memory).__name__} says it copied {count!r} of {most} bytes: no count, or more than it was asked to"
        )
    return count


def visit(provider: Any, work: Any) -> Any:
    """Call `work` with the memory that `provider` leads to, under the mark; see `_core.visit` for what raises."""
    with access_user_memory():
        return visited(provider, work)
