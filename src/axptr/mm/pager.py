"""Areas behind which a user's functions stand: pagers, which supply a page at first touch, and devices (MMIO), which
answer each access.

The functions run with no lock held. While one supplies a page, others who want that page wait; the same thread coming
back for it, or threads that wait for each other in a ring, get EDEADLK. What a function raises becomes the cause of the
fault.

Not here: who calls `page_in` and the device (`_core.usermem`, engines).
"""

from __future__ import annotations

import errno
from _thread import LockType, allocate_lock, get_ident

from axptr._core.mm.backing import Flight
from axptr._core.mm.frames import Backend
from axptr._core.words.buffers import flat
from axptr._core.words.codes import KIND_MMIO, KIND_PAGER
from axptr.addr import PAGE_SIZE, align_down, checked_address
from axptr.errors import FaultReason, LinuxError
from axptr.flags import MappingFlags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from axptr.mm.space import AddrSpace

    Fetch = Callable[[int], bytes]
    """`fetch(offset)`: the page at that byte of the source; fewer bytes than a page are filled up with zeros."""
    DeviceRead = Callable[[int, int], int]
    """`read(offset, size)`: the value of `size` bytes (1, 2, 4 or 8), little endian."""
    DeviceWrite = Callable[[int, int, int], None]
    """`write(offset, size, value)`."""


class PagerBackend(Backend):
    """Private pages that `fetch` supplies, one at a time, from byte `offset` (page aligned) of its source on."""

    kind_name = "pager"

    def __init__(self, fetch: Fetch, offset: int = 0) -> None:
        if not callable(fetch):
            raise TypeError(f"fetch must be callable, not {type(fetch).__name__}")
        if checked_address(offset, "offset") % PAGE_SIZE:
            raise LinuxError(errno.EINVAL, f"offset {offset:#x} is not page aligned")
        self.fetch = fetch
        self._set(KIND_PAGER, offset=offset)


class MmioBackend(Backend):
    """A device: `read(offset, size) -> int` and `write(offset, size, value)` answer each access. No frames."""

    kind_name = "mmio"

    def __init__(self, read: DeviceRead, write: DeviceWrite, offset: int = 0) -> None:
        for function in (read, write):
            if not callable(function):
                raise TypeError(f"a device's functions must be callable, not {type(function).__name__}")
        if checked_address(offset, "offset") % PAGE_SIZE:
            raise LinuxError(errno.EINVAL, f"offset {offset:#x} is not page aligned")
        self.read = read
        self.write = write
        self._set(KIND_MMIO, shared=True, offset=offset)


# -- pagers

_in_flight: dict[tuple[int, int], tuple[int, LockType]] = {}
"""Pages being supplied: (id of the space, page) -> (thread, held until it is done)."""
_waiting: dict[int, tuple[int, int]] = {}
"""Which page a thread waits for."""


def page_in(space: AddrSpace, vaddr: int, access: int, size: int, completed: int) -> None:
    """Have the pager supply the page of `vaddr`, if it wants that still.

    Raises `UserFault` (backing failed) from what `fetch` raised, of an access of `size` bytes of which `completed` are
    done; `LinuxError`: ENOMEM, EDEADLK.
    """
    page = align_down(vaddr)
    key = id(space), page
    me = get_ident()
    while True:
        wanted = space._wanted(page)
        if wanted is None:
            return
        backend, offset = wanted
        lock = allocate_lock()
        lock.acquire()
        mine = (me, lock)
        with Flight(_in_flight, key, mine) as theirs:
            if theirs is mine:
                try:
                    data = _page_of(backend, offset)
                except Exception as cause:
                    raise space._describe(FaultReason.BACKING_FAILED, vaddr, access, size, completed) from cause
                space._install(page, backend, offset, data)
                return
        _waiting[me] = key  # before the look round: of two threads that close a ring at once, one must see it
        try:
            if _leads_to(key, me):
                raise LinuxError(errno.EDEADLK, f"the pager of page {page:#x} waits for that very page")
            with theirs[1]:
                pass
        finally:
            del _waiting[me]


def _page_of(backend: Backend, offset: int) -> memoryview:
    if not isinstance(backend, PagerBackend) or "fetch" not in backend.__dict__:
        raise TypeError(f"{type(backend).__name__} is no pager")
    data = flat(backend.fetch(offset))
    if len(data) > PAGE_SIZE:
        raise ValueError(f"a pager gave {len(data)} bytes for a page of {PAGE_SIZE}")
    return data


def _leads_to(key: tuple[int, int] | None, me: int) -> bool:
    """Whether who supplies that page waits, at the end of all waits, for a page that this thread supplies."""
    for _ in range(len(_in_flight) + 1):
        owner = _in_flight.get(key) if key is not None else None
        if owner is None:
            return False
        if owner[0] == me:
            return True
        key = _waiting.get(owner[0])
    return False


# -- devices


def device_move(space: AddrSpace, vaddr: int, buffer: bytearray, access: int) -> None:
    """All of a copy in which a device has a part: memory's pages are brought in first, then all in order of address."""
    view = memoryview(buffer)
    size = len(view)
    for at, count, device in _pieces(space, vaddr, size):
        if not device:
            space.populate_area(at, count, MappingFlags(access))
    done = 0
    while done < size:
        step = _step(space, vaddr + done, view[done:], access, size, done)
        if step == 0:
            raise space.fault(vaddr + done, MappingFlags(access), size, done)
        done += step


def _pieces(space: AddrSpace, vaddr: int, size: int) -> list[tuple[int, int, bool]]:
    found = []
    at = vaddr
    while at < vaddr + size:
        here = space._device_at(at)
        room = PAGE_SIZE - at % PAGE_SIZE if here is None else here[2]
        count = min(room, vaddr + size - at)
        found.append((at, count, here is not None))
        at += count
    return found


def _step(space: AddrSpace, at: int, view: memoryview, access: int, size: int, completed: int) -> int:
    if space._device_at(at) is not None:
        return device_piece(space, at, view, access, size, completed)
    view = view[: PAGE_SIZE - at % PAGE_SIZE]
    return space.read_into(at, view) if access == MappingFlags.READ else space.write_from(at, view)


def device_piece(
    space: AddrSpace,
    vaddr: int,
    view: memoryview | bytearray,
    access: int,
    total: int | None = None,
    completed: int = 0,
) -> int:
    """The part of a copy that the device at `vaddr` answers; the bytes done, 0 if there is none.

    1, 2, 4 or 8 bytes are one call; others are calls of the largest of these sizes that is aligned and fits.
    total, completed: of the whole access, for the fault that a function's exception becomes.
    """
    whole = len(view) if total is None else total
    here = space._device_at(vaddr)
    if here is None:
        return 0
    backend, offset, room = here
    if not isinstance(backend, MmioBackend) or "read" not in backend.__dict__:
        raise space._describe(FaultReason.NOT_MEMORY, vaddr, access, whole, completed)
    count = min(len(view), room)
    done = 0
    while done < count:
        size = count if done == 0 and count in (1, 2, 4, 8) else _call_size(offset + done, count - done)
        try:
            if access == MappingFlags.READ:
                value = backend.read(offset + done, size)
                view[done : done + size] = value.to_bytes(size, "little")
            else:
                backend.write(offset + done, size, int.from_bytes(view[done : done + size], "little"))
        except Exception as cause:
            raise space._describe(FaultReason.BACKING_FAILED, vaddr + done, access, whole, completed + done) from cause
        done += size
    return done


def _call_size(offset: int, left: int) -> int:
    for size in (8, 4, 2):
        if left >= size and offset % size == 0:
            return size
    return 1
