"""What of areas is Linux' affair: where a mapping goes, which areas a range has, bringing their pages in. Source:
mm/mmap.c, mm/gup.c (`populate_vma_page_range`) of Linux 6.18.

Not here: the areas themselves (`AddrSpace`), how many there may be (`limits`), the calls.
"""

from __future__ import annotations

import errno

from ..._core.kernel.memcalls import BYTES_AT_ONCE, MMAP_MIN_ADDR
from ..._core.mm.pages import count_pages
from ..._core.words.codes import GUARD_GAP
from ...addr import PAGE_SIZE
from ...errors import LinuxError
from ...flags import MappingFlags
from ...mm.area import MemoryArea
from ..abi.mman import MAP_32BIT, MAP_FIXED, MAP_FIXED_NOREPLACE
from ..task import waiting
from ..uaccess import USER_END

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...mm.area import AreaFields
    from ...mm.space import AddrSpace
    from ..task.task import LinuxTask
    from .mm import Mm

PAGE = PAGE_SIZE
AREAS_AT_ONCE = 512
"""What is done between two looks at the clock and at signals (and `BYTES_AT_ONCE`)."""
STACK_GAP = GUARD_GAP
"""Room that stays free below a stack (stack_guard_gap)."""


SHARED_NAME = "/dev/zero (deleted)"  # as maps show shared anonymous memory
SHARED_DEVICE = 1  # 00:01, the kernel's own tmpfs
ZERO_NAME = "/dev/zero"


def page_up(size: int) -> int:
    return (size + PAGE - 1) & -PAGE


def place(mm: Mm, addr: int, size: int, flags: int) -> int:
    """Where a mapping goes: get_unmapped_area, and what MAP_FIXED_NOREPLACE asks for."""
    if size > USER_END:
        raise LinuxError(errno.ENOMEM)
    if flags & (MAP_FIXED | MAP_FIXED_NOREPLACE):
        if addr > USER_END - size:
            raise LinuxError(errno.ENOMEM)
        if addr & (PAGE - 1):
            raise LinuxError(errno.EINVAL)
        if addr < MMAP_MIN_ADDR and mm.host.euid != 0:
            raise LinuxError(errno.EPERM)
        if flags & MAP_FIXED_NOREPLACE and not is_free(mm, addr, size):
            raise LinuxError(errno.EEXIST)
        return addr
    hint = addr & -PAGE
    if 0 < hint < MMAP_MIN_ADDR:
        hint = MMAP_MIN_ADDR
    topdown = not flags & MAP_32BIT
    low, high = (MMAP_MIN_ADDR, mm.mmap_base) if topdown else (0x4000_0000, 0x8000_0000)
    top = USER_END if topdown else high
    if hint and hint <= top - size and is_free(mm, hint, size) and not near_stack(mm, hint + size):
        return hint
    found = _gap(mm, low, high, size, topdown=topdown)
    while found is not None and (above := near_stack(mm, found + size)) is not None:
        # Below what grows down a gap stays free: look on the other side of it.
        if topdown:
            high = above - STACK_GAP
        else:
            low = above
        found = _gap(mm, low, high, size, topdown=topdown)
    if found is None and topdown:  # as arch_get_unmapped_area: from TASK_UNMAPPED_BASE upwards
        found = _gap(mm, USER_END // 3 & -PAGE, USER_END, size)
    if found is None:
        raise LinuxError(errno.ENOMEM)
    return found


def is_free(mm: Mm, start: int, size: int) -> bool:
    return _gap(mm, start, start + size, size) == start


def _gap(mm: Mm, low: int, high: int, size: int, *, topdown: bool = False) -> int | None:
    """A free place for `size` bytes in [low, high), the first or the last: `find_free_area`, of checked numbers."""
    if low >= high or size > min(high - low, mm.space.size):
        return None
    return mm.space._gap(low, high - 1, page_up(size), PAGE, topdown)


def near_stack(mm: Mm, end: int) -> int | None:
    """The start of the first area from `end` on, if it grows down and `end` is inside the gap below it."""
    fields = _next(mm, end, min(end + STACK_GAP, USER_END))
    return fields[0] if fields is not None and fields[6] else None


def in_turns(task: LinuxTask, start: int, end: int) -> Iterator[tuple[int, int, MemoryArea]]:
    """`pieces` for a call that may be made again: between some, the clock and signals are looked at (`waiting`)."""
    for number, piece in enumerate(pieces(task, start, end)):
        if number % AREAS_AT_ONCE == AREAS_AT_ONCE - 1:
            waiting.breathe(task)
        yield piece


def _pages_in(space: AddrSpace, start: int, end: int) -> int:
    start, end = max(start, space.base), min(end, USER_END)
    return sum(count_pages(space, start, end - start)[:3]) if start < end else 0


def in_parts(task: LinuxTask, start: int, end: int) -> Iterator[tuple[int, int]]:
    """(start, size) of parts of a range that hold a bounded number of pages, however little of the range is there.

    For a call that may be made again: between parts, the clock and signals are looked at (`waiting`).
    """
    size = end - start
    while start < end:
        size = min(size, end - start)
        while size > BYTES_AT_ONCE and _pages_in(task.space, start, start + size) > BYTES_AT_ONCE // PAGE:
            size = (size // 2 + PAGE - 1) & -PAGE
        yield start, size
        start, size = start + size, 2 * size
        if start < end:
            waiting.breathe(task)


def pieces(task: LinuxTask, start: int, end: int) -> Iterator[tuple[int, int, MemoryArea]]:
    """The parts of areas in a range, by address: (start, end, area). Areas may be changed behind the walk."""
    at = start
    while True:
        area = next_area(task, at, end)
        if area is None:
            return
        at = max(at, area.start)
        yield at, min(end, area.end), area
        at = area.end


def next_area(owner: LinuxTask | Mm, at: int, end: int) -> MemoryArea | None:
    """The first area that has a byte in [at, end). O(log n)."""
    fields = _next(owner, at, min(end, USER_END))
    return None if fields is None else MemoryArea.of(fields)


def _next(owner: LinuxTask | Mm, at: int, end: int) -> AreaFields | None:
    """The same as the space has it: an object of each is made for nothing where one number is asked for."""
    if at >= end:
        return None
    below, above = owner.space._neighbours(at)
    if below is not None and below[1] > at:
        return below
    return above if above is not None and above[0] < end else None


def extent(task: LinuxTask, area: MemoryArea) -> tuple[int, int]:
    """Start and end of the mapping that Linux would have here: areas that differ in our bookkeeping only are one."""
    low = high = area
    while (above := task.space.find_area(high.end) if high.end < USER_END else None) and _alike(high, above):
        high = above
    while (below := task.space.find_area(low.start - 1) if low.start else None) and _alike(below, low):
        low = below
    return low.start, high.end


def _alike(low: MemoryArea, high: MemoryArea) -> bool:
    one, other = low.backend, high.backend
    if low[2:3] + low[6:] != high[2:3] + high[6:] or (one.kind, one.shared) != (other.kind, other.shared):
        return False
    if one.store is None:
        return (low.name == ZERO_NAME) == (high.name == ZERO_NAME)
    return one.store is other.store and low.offset + low.size == high.offset


def bring_in(task: LinuxTask, start: int, end: int, access: MappingFlags) -> bool:
    """Populate a part of an area, in pieces: False if it was left off for a signal that kills or the run's deadline."""
    while start < end:
        stop = min(end, start + BYTES_AT_ONCE)
        task.space.populate_area(start, stop - start, access)
        start = stop
        if start < end and waiting.must_stop(task):
            return False
    return True


def populate(task: LinuxTask, start: int, end: int, *, stop_at_failure: bool = False) -> int:
    """Bring pages in as mm_populate does: private writable ones as if written. 0, or the first errno that came up.

    An area whose pages cannot be had is left at the first that cannot; the next one is gone on with, or not. It is left
    off for a signal that kills and at the deadline: what is not there then comes when it is touched.
    """
    failed = 0
    for at, stop, area in pieces(task, start, end):
        if area.lock_on_fault:
            continue
        written = area.flags & MappingFlags.WRITE and not area.backend.shared
        access = MappingFlags.WRITE if written else MappingFlags.READ
        try:
            if not bring_in(task, at, stop, access):
                break
        except LinuxError as error:
            failed = failed or error.errno
            if stop_at_failure:
                break
    return failed


def lock_area(task: LinuxTask, start: int, end: int, *, on_fault: bool = False) -> None:
    """Note that a mapping is locked, and bring its pages in now or, on_fault, as they are touched; those that cannot be
    are not missed."""
    task.space.set_locked(start, end - start, True, on_fault=on_fault)
    if not on_fault:
        populate(task, start, end)
