"""mmap, munmap, mprotect and brk, as Linux has them, over the address space. Source: their man pages; mm/mmap.c,
mm/mprotect.c of Linux 6.18, whose order of checks this keeps: which errno a call with two faults gives is seen.

Not here: moving mappings (`remap`), advice and residence (`advice`), promises to keep memory (`mlock`).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from ...addr import VirtAddrRange
from ...errors import LinuxError
from ...flags import MappingFlags
from ...kernel.abi import c_int, c_size_t, c_ulong
from ...mm.backend import FileBackend, SharedBackend, SharedObject
from ..fs.host.file import HostFile
from ..mem.limits import (
    charge,
    require_data,
    require_mapping,
    require_space,
    require_splits,
)
from ..registry import call
from ..task import waiting
from ..task.timers import RLIM_INFINITY
from ..uaccess import USER_END
from .limits import RLIMIT_DATA, RLIMIT_STACK, get_limit

if TYPE_CHECKING:
    from ...mm.area import MemoryArea
    from ..fs.openfile import OpenFile
    from ..mem.mm import Mm
    from ..task.task import LinuxTask

PAGE = 4096
MMAP_MIN_ADDR = 65536
AREAS_AT_ONCE = 512
BYTES_AT_ONCE = 16 << 20
"""What is done between two looks at the clock and at signals."""
STACK_GAP = 256 * PAGE
"""Room that stays free below a stack (stack_guard_gap)."""

PROT_READ, PROT_WRITE, PROT_EXEC, PROT_SEM = 1, 2, 4, 8
PROT_GROWSDOWN, PROT_GROWSUP = 0x0100_0000, 0x0200_0000

MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE, MAP_TYPE = 1, 2, 3, 15
MAP_FIXED, MAP_ANONYMOUS, MAP_32BIT, MAP_GROWSDOWN = 0x10, 0x20, 0x40, 0x100
MAP_LOCKED, MAP_POPULATE, MAP_NONBLOCK = 0x2000, 0x8000, 0x10000
MAP_HUGETLB, MAP_FIXED_NOREPLACE = 0x40000, 0x100000
# What MAP_SHARED_VALIDATE lets pass (LEGACY_MAP_MASK): with another flag it is EOPNOTSUPP.
_LEGACY_FLAGS = 0x0003 | 0x0070 | 0x0100 | 0x0800 | 0x1000 | 0x2000 | 0x4000 | 0x8000 | 0x10000 | 0x20000 | 0x400_0000
_LEGACY_FLAGS |= 0x40000 | 21 << 26 | 30 << 26
_SURE_SIZE = 1 << 40
"""What a file of any file system may reach; beyond it the host is asked."""

SHARED_NAME = "/dev/zero (deleted)"  # as maps show shared anonymous memory
SHARED_DEVICE = 1  # 00:01, the kernel's own tmpfs
ZERO_NAME = "/dev/zero"

_U = MappingFlags.USER
PROT_FLAGS = [_U | MappingFlags(prot) for prot in range(8)]  # PROT_* and MappingFlags share their low three bits
PROT_FLAGS[PROT_EXEC] |= MappingFlags.READ  # a CPU without protection keys cannot keep a program from reading its code


def page_up(size: int) -> int:
    return (size + PAGE - 1) & -PAGE


# -- mmap


@call("mmap")
def sys_mmap(
    task: LinuxTask, addr: c_ulong, length: c_ulong, prot: c_ulong, flags: c_ulong, fd: c_int, offset: c_ulong
) -> int:
    if offset & (PAGE - 1):
        raise LinuxError(errno.EINVAL)
    file: OpenFile | None = None
    if not flags & MAP_ANONYMOUS:
        file = task.files.get_io(fd)
        if flags & MAP_HUGETLB:
            raise LinuxError(errno.EINVAL)
    if length == 0:
        raise LinuxError(errno.EINVAL)
    size = page_up(length)
    if flags & MAP_HUGETLB or size >= 1 << 64:
        raise LinuxError(errno.ENOMEM)
    require_mapping(task)
    start = place(task.mm, addr, size, flags)
    kind = flags & MAP_TYPE
    data = kind == MAP_PRIVATE and bool(prot & PROT_WRITE) and not flags & MAP_GROWSDOWN
    require_space(task, size, data=data, replaced=(start, start + size) if flags & MAP_FIXED else (0, 0))
    if flags & MAP_FIXED:
        require_splits(task, start, start + size, removed=True)
    if file is None:
        _map_anonymous(task, start, size, prot, kind, flags)
    else:
        _map_open_file(task, file, start, size, prot, kind, offset, flags)
    if flags & MAP_LOCKED or task.mm.lock_future:
        lock_area(task, start, start + size)
    elif flags & (MAP_POPULATE | MAP_NONBLOCK) == MAP_POPULATE:
        populate(task, start, start + size)
    return start


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
    space = mm.space
    found = space.find_free_area(low, size, VirtAddrRange(low, high), topdown=topdown)
    while found is not None and (above := near_stack(mm, found + size)) is not None:
        # Below what grows down a gap stays free: look on the other side of it.
        if topdown:
            high = above - STACK_GAP
        else:
            low = above
        found = space.find_free_area(low, size, VirtAddrRange(low, high), topdown=topdown) if low < high else None
    if found is None and topdown:  # as arch_get_unmapped_area: from TASK_UNMAPPED_BASE upwards
        found = space.find_free_area(0, size, VirtAddrRange(USER_END // 3 & -PAGE, USER_END))
    if found is None:
        raise LinuxError(errno.ENOMEM)
    return found


def is_free(mm: Mm, start: int, size: int) -> bool:
    return mm.space.find_free_area(start, size, VirtAddrRange(start, start + size)) == start


def near_stack(mm: Mm, end: int) -> int | None:
    """The start of the first area from `end` on, if it grows down and `end` is inside the gap below it."""
    area = next_area(mm, end, min(end + STACK_GAP, USER_END))
    return area.start if area is not None and area.grows_down else None


def _map_anonymous(task: LinuxTask, start: int, size: int, prot: int, kind: int, flags: int) -> None:
    space, grows = task.space, 0
    if kind not in (MAP_SHARED, MAP_PRIVATE):  # MAP_DROPPABLE is as on kernels before 6.11
        raise LinuxError(errno.EINVAL)
    if flags & MAP_GROWSDOWN:
        if kind != MAP_PRIVATE:
            raise LinuxError(errno.EINVAL)
        grows = max(size, min(get_limit(task, RLIMIT_STACK)[0], USER_END))
    if kind == MAP_SHARED:
        _map_shared_memory(task, start, size, prot, writable=True)
    else:
        space.map_alloc(start, size, PROT_FLAGS[prot & 7], replace=True, grows_down=grows)


def _map_shared_memory(task: LinuxTask, start: int, size: int, prot: int, *, writable: bool) -> None:
    shared = SharedObject(task.space.phys, size, SHARED_NAME)
    shared.store.device, shared.store.inode = SHARED_DEVICE, task.next_inode()
    backend = SharedBackend(shared, writable=writable)
    task.space.map(start, size, PROT_FLAGS[prot & 7], backend, replace=True, name=SHARED_NAME)


def _map_open_file(
    task: LinuxTask, file: OpenFile, start: int, size: int, prot: int, kind: int, offset: int, flags: int
) -> None:
    regular = isinstance(file, HostFile) and file.regular
    require_file_range(file.host_fd if regular else None, offset + size)
    if kind == MAP_SHARED_VALIDATE:
        if flags & ~_LEGACY_FLAGS:
            raise LinuxError(errno.EOPNOTSUPP)
    elif kind not in (MAP_SHARED, MAP_PRIVATE):
        raise LinuxError(errno.EINVAL)
    shared = kind != MAP_PRIVATE
    if shared and prot & PROT_WRITE and not file.writable:
        raise LinuxError(errno.EACCES)
    if not file.readable:
        raise LinuxError(errno.EACCES)
    if prot & PROT_EXEC and isinstance(file, HostFile) and file.no_exec():
        raise LinuxError(errno.EPERM)
    anonymous = file.map_anonymous()
    if flags & MAP_GROWSDOWN:
        raise LinuxError(errno.EINVAL)
    if anonymous:  # /dev/zero
        if shared:
            _map_shared_memory(task, start, size, prot, writable=file.writable)
        else:
            task.space.map_alloc(start, size, PROT_FLAGS[prot & 7], replace=True, name=ZERO_NAME)
        return
    assert isinstance(file, HostFile)
    backend = FileBackend(task.space.phys, file.host_fd, offset, shared=shared, writable=file.writable)
    backend.no_exec = file.no_exec()
    name = os.fsdecode(file.name())
    task.space.map(start, size, PROT_FLAGS[prot & 7], backend, replace=True, name=name)


def require_file_range(fd: int | None, end: int) -> None:
    """EOVERFLOW for a mapping that ends further than a file can reach, which its file system knows (file_mmap_ok).

    fd: of a regular file of the host; None for others.
    """
    if end >= 1 << (64 if fd is None else 63):
        raise LinuxError(errno.EOVERFLOW)
    if fd is not None and end > _SURE_SIZE:
        from ..fs.host.calls import map_probe

        if map_probe(fd, end - PAGE) == errno.EOVERFLOW:
            raise LinuxError(errno.EOVERFLOW)


# -- munmap, mprotect


@call("munmap")
def sys_munmap(task: LinuxTask, addr: c_ulong, length: c_size_t) -> int:
    size = page_up(length)
    if addr & (PAGE - 1) or addr > USER_END or length > USER_END - addr or size == 0:
        raise LinuxError(errno.EINVAL)
    require_splits(task, addr, addr + size, removed=True)
    task.space.unmap(addr, size)
    charge(task)
    return 0


@call("mprotect")
def sys_mprotect(task: LinuxTask, addr: c_ulong, length: c_size_t, prot: c_ulong) -> int:
    """Pages before the first hole keep what they got: Linux changes area by area."""
    grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP)
    prot &= ~(PROT_GROWSDOWN | PROT_GROWSUP)
    if grows == PROT_GROWSDOWN | PROT_GROWSUP or addr & (PAGE - 1):
        raise LinuxError(errno.EINVAL)
    if length == 0:
        return 0
    size = page_up(length)
    if addr + size >= 1 << 64:
        raise LinuxError(errno.ENOMEM)
    if prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM):
        raise LinuxError(errno.EINVAL)
    end = addr + size
    area = next_area(task, addr, end)
    if area is None or (not grows and area.start > addr):
        raise LinuxError(errno.ENOMEM)
    if grows == PROT_GROWSDOWN:
        if not area.grows_down:
            raise LinuxError(errno.EINVAL)
        addr = extent(task, area)[0]
    elif grows:
        raise LinuxError(errno.ENOMEM if area.start > addr else errno.EINVAL)
    while addr < end:
        addr, code = _protect_some(task, addr, end, prot)
        if code:
            raise LinuxError(code)
        waiting.breathe(task)
    return 0


def _protect_some(task: LinuxTask, start: int, end: int, prot: int) -> tuple[int, int]:
    """Protect the first areas of a range: how far that went, and the errno of what is in the way there, or 0."""
    at, code, locked = start, 0, []
    for begin, stop, area in islice(pieces(task, start, end), AREAS_AT_ONCE):
        if begin > at:
            code = errno.ENOMEM
        elif _never(area, prot):
            code = errno.EACCES
        else:
            code = _may_protect(task, begin, stop, area, prot)
        if code:
            break
        if _copies(area, prot):
            locked.append((begin, stop))
        at = stop
    if at > start:
        task.space.protect(start, at - start, PROT_FLAGS[prot & 7])
        for begin, stop in locked:
            populate(task, begin, stop)
    elif not code:
        code = errno.ENOMEM
    return at, code


def _may_protect(task: LinuxTask, start: int, end: int, area: MemoryArea, prot: int) -> int:
    """ENOMEM if limits forbid that a part of an area gets other rights, else 0 (mprotect_fixup)."""
    if PROT_FLAGS[prot & 7] == area.flags:
        return 0
    try:
        if prot & PROT_WRITE and not area.flags & MappingFlags.WRITE and not (area.backend.shared or area.grows_down):
            require_data(task, end - start)
        require_splits(task, max(start, area.start), min(end, area.end))
    except LinuxError as error:
        return error.errno
    return 0


def _never(area: MemoryArea, prot: int) -> bool:
    """Whether the area may not have these rights, however its file was closed since (VM_MAYWRITE, VM_MAYEXEC)."""
    backend = area.backend
    return bool((prot & PROT_WRITE and backend.sealed) or (prot & PROT_EXEC and getattr(backend, "no_exec", False)))


def _copies(area: MemoryArea, prot: int) -> bool:
    """Whether private pages that are locked become writable: Linux makes the copies then, to take no fault later."""
    written = area.flags & MappingFlags.WRITE
    return bool(prot & PROT_WRITE) and area.locked and not written and not area.backend.shared


def in_turns(task: LinuxTask, start: int, end: int) -> Iterator[tuple[int, int, MemoryArea]]:
    """`pieces` for a call that may be made again: between some, the clock and signals are looked at (`waiting`)."""
    for number, piece in enumerate(pieces(task, start, end)):
        if number % AREAS_AT_ONCE == AREAS_AT_ONCE - 1:
            waiting.breathe(task)
        yield piece


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
    end = min(end, USER_END)
    if at >= end:
        return None
    below, above = owner.space.neighbours(at)
    if below is not None and below.end > at:
        return below
    return above if above is not None and above.start < end else None


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


# -- brk


@call("brk")
def sys_brk(task: LinuxTask, addr: c_ulong) -> int:
    """The new end of the heap, or the old one if it cannot be moved there; never an error."""
    mm, space = task.mm, task.space
    if addr < mm.start_brk or addr > USER_END:
        return mm.brk
    start_data, end_data = mm.data
    limit = get_limit(task, RLIMIT_DATA)[0]
    if limit != RLIM_INFINITY and addr - mm.start_brk + end_data - start_data > limit:  # check_data_rlimit
        return mm.brk
    old, new = page_up(mm.brk), page_up(addr)
    if new < old:
        if next_area(task, new, old) is None:
            return mm.brk
        space.unmap(new, old - new)
        charge(task)
    elif new > old:
        # A page below what comes next stays free, and the gap below a stack.
        above = next_area(task, old, min(new + PAGE + STACK_GAP, USER_END))
        if above is not None and new + PAGE > above.start - (STACK_GAP if above.grows_down else 0):
            return mm.brk
        try:
            require_mapping(task)
            require_space(task, new - old, data=True)
            space.map_alloc(old, new - old, PROT_FLAGS[3])
        except LinuxError:
            return mm.brk
        if mm.lock_future:
            lock_area(task, old, new)
    mm.brk = addr
    return addr


# -- bringing pages in


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


def lock_area(task: LinuxTask, start: int, end: int) -> None:
    """Note that a mapping is locked, and bring its pages in; those that cannot be are not missed."""
    task.space.set_locked(start, end - start, True)
    populate(task, start, end)
