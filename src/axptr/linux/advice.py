"""Advice about memory, what of it is there, and promises to keep it: madvise(2), mincore(2), msync(2), mlock(2),
membarrier(2), pkeys(7); mm/madvise.c.

Nothing is ever swapped out, so most advice has nothing to do; what it promises holds.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ..addr import VirtAddrRange
from ..errors import LinuxError
from ..flags import MappingFlags
from ..kernel.abi import c_int, c_size_t, c_ulong
from .memory import PAGE, covered_end, discard, page_up, pieces, sys_mprotect
from .registry import syscall
from .uaccess import USER_END, Bytes, require_user

if TYPE_CHECKING:
    from .task import LinuxTask

_HARMLESS = {0, 1, 2, 3, 14, 15, 16, 17, 20, 21, 25}
MADV_DONTNEED, MADV_FREE, MADV_REMOVE, MADV_DONTFORK, MADV_DOFORK = 4, 8, 9, 10, 11
MADV_WIPEONFORK, MADV_KEEPONFORK, MADV_POPULATE_READ, MADV_POPULATE_WRITE = 18, 19, 22, 23


@syscall(28, "madvise")
def sys_madvise(task: LinuxTask, addr: c_ulong, length: c_size_t, advice: c_int) -> int:
    known = _HARMLESS | {4, 8, 9, 10, 11, 18, 19, 22, 23}
    if advice not in known or addr & (PAGE - 1):
        raise LinuxError(errno.EINVAL)
    size = page_up(length)
    if (length and not size) or addr + size >= 1 << 64:
        raise LinuxError(errno.EINVAL)
    if size == 0:
        return 0
    end = addr + size
    if advice in (MADV_POPULATE_READ, MADV_POPULATE_WRITE):
        return _populate(task, addr, end, advice == MADV_POPULATE_WRITE)
    for start, stop, area in pieces(task, addr, end):
        if advice == MADV_DONTNEED:
            if not area.grows_down:
                discard(task, start, stop, area)
            else:
                _zero(task, start, stop)
        elif advice == MADV_FREE:
            if area.backend.kind_name != "alloc":
                raise LinuxError(errno.EINVAL)
        elif advice in (MADV_WIPEONFORK, MADV_KEEPONFORK):
            if area.backend.kind_name != "alloc" and advice == MADV_WIPEONFORK:
                raise LinuxError(errno.EINVAL)
        elif advice == MADV_REMOVE:
            raise LinuxError(errno.EINVAL)
    if covered_end(task, addr, end) < end:
        raise LinuxError(errno.ENOMEM)
    return 0


def _zero(task: LinuxTask, start: int, end: int) -> None:
    """Pages of a stack: remapping would lose its way of growing."""
    for page in task.space.resident_pages(start, end - start):
        task.space.write(page, bytes(PAGE))


def _populate(task: LinuxTask, start: int, end: int, write: bool) -> int:
    access = MappingFlags.WRITE if write else MappingFlags.READ
    if covered_end(task, start, end) < end:
        raise LinuxError(errno.ENOMEM)
    if not task.space.check_region_access(VirtAddrRange(start, end), access):
        raise LinuxError(errno.EINVAL)
    task.space.populate_area(start, end - start, access)
    return 0


@syscall(27, "mincore")
def sys_mincore(task: LinuxTask, addr: c_ulong, length: c_size_t, vec: Bytes) -> int:
    if addr & (PAGE - 1):
        raise LinuxError(errno.EINVAL)
    if addr + length > USER_END:
        raise LinuxError(errno.ENOMEM)
    pages = -(-length // PAGE)
    require_user(task, vec.address, pages, MappingFlags.WRITE)
    end = addr + pages * PAGE
    done = 0
    while done < pages:  # a page of answers at a time
        start = addr + done * PAGE
        n = min(PAGE, pages - done)
        if covered_end(task, start, min(start + n * PAGE, end)) < start + n * PAGE:
            raise LinuxError(errno.ENOMEM)
        there = set(task.space.resident_pages(start, n * PAGE))
        (vec + done).write_slice(task, bytes(start + i * PAGE in there for i in range(n)))
        done += n
    return 0


@syscall(26, "msync")
def sys_msync(task: LinuxTask, addr: c_ulong, length: c_size_t, flags: c_int) -> int:
    if flags & ~7 or addr & (PAGE - 1) or flags & 5 == 5:
        raise LinuxError(errno.EINVAL)
    size = page_up(length)
    if addr + size >= 1 << 64:
        raise LinuxError(errno.ENOMEM)
    if size and covered_end(task, addr, addr + size) < addr + size:
        raise LinuxError(errno.ENOMEM)
    return 0


def _lock(task: LinuxTask, addr: int, length: int) -> int:
    start = addr & -PAGE
    end = page_up(addr + length)
    if end > 1 << 64:
        raise LinuxError(errno.EINVAL)
    if end > start and covered_end(task, start, end) < end:
        raise LinuxError(errno.ENOMEM)
    return 0


@syscall(149, "mlock")
def sys_mlock(task: LinuxTask, addr: c_ulong, length: c_size_t) -> int:
    """Nothing is ever swapped out; what is locked is brought in."""
    _lock(task, addr, length)
    for start, end, _ in pieces(task, addr & -PAGE, page_up(addr + length)):
        try:
            task.space.populate_area(start, end - start, MappingFlags.READ)
        except LinuxError:
            raise LinuxError(errno.ENOMEM) from None
    return 0


@syscall(325, "mlock2")
def sys_mlock2(task: LinuxTask, addr: c_ulong, length: c_size_t, flags: c_int) -> int:
    if flags & ~1:
        raise LinuxError(errno.EINVAL)
    return _lock(task, addr, length)


@syscall(150, "munlock")
def sys_munlock(task: LinuxTask, addr: c_ulong, length: c_size_t) -> int:
    return _lock(task, addr, length)


@syscall(151, "mlockall")
def sys_mlockall(task: LinuxTask, flags: c_int) -> int:
    if not flags or flags & ~7 or flags == 4:
        raise LinuxError(errno.EINVAL)
    return 0


@syscall(152, "munlockall")
def sys_munlockall(task: LinuxTask) -> int:
    return 0


@syscall(324, "membarrier")
def sys_membarrier(task: LinuxTask, cmd: c_int, flags: c_ulong, cpu: c_int) -> int:
    if flags or cmd != 0:
        raise LinuxError(errno.EINVAL)
    return 0


@syscall(330, "pkey_alloc")
def sys_pkey_alloc(task: LinuxTask, flags: c_ulong, rights: c_ulong) -> int:
    """The CPU has no protection keys: ENOSPC is what Linux gives then."""
    raise LinuxError(errno.EINVAL if flags or rights & ~3 else errno.ENOSPC)


@syscall(329, "pkey_mprotect")
def sys_pkey_mprotect(task: LinuxTask, addr: c_ulong, length: c_size_t, prot: c_ulong, pkey: c_int) -> int:
    if pkey != -1:
        raise LinuxError(errno.EINVAL)
    result = sys_mprotect(task, addr, length, prot)
    assert result is not None
    return result
