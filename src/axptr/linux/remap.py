"""mremap: mappings that shrink, grow and move. Source: mremap(2), mm/mremap.c.

A move copies the pages that are there into a fresh mapping like the old one; the others stay untouched.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from ..errors import LinuxError
from ..kernel.abi import c_ulong
from .memory import MAP_FIXED, PAGE, discard, is_free, map_like, page_up, place
from .registry import syscall
from .uaccess import USER_END

if TYPE_CHECKING:
    from ..mm.area import MemoryArea
    from .task import LinuxTask

MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP = 1, 2, 4


@syscall(25, "mremap")
def sys_mremap(
    task: LinuxTask, addr: c_ulong, old_len: c_ulong, new_len: c_ulong, flags: c_ulong, new_addr: c_ulong
) -> int:
    if flags & ~7 or (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) and not flags & MREMAP_MAYMOVE):
        raise LinuxError(errno.EINVAL)
    if addr & (PAGE - 1):
        raise LinuxError(errno.EINVAL)
    old, new = page_up(old_len), page_up(new_len)
    if new == 0 or (flags & MREMAP_DONTUNMAP and old != new):
        raise LinuxError(errno.EINVAL)
    if flags & MREMAP_FIXED:
        _check_target(addr, old, new, new_addr)
    area = task.space.find_area(addr) if addr < USER_END else None
    if area is None:
        raise LinuxError(errno.EFAULT)
    if old == 0:  # a second mapping of shared pages; private ones cannot have one
        raise LinuxError(errno.EINVAL)
    if not flags & (MREMAP_FIXED | MREMAP_DONTUNMAP):
        if new <= old:
            if new < old:
                _require_one_area(area, addr, new)
                task.space.unmap(addr + new, old - new)
            return addr
        _require_one_area(area, addr, old)
        end = addr + old
        if end == area.end and addr + new <= USER_END and is_free(task, end, new - old):
            map_like(task, area, end, new - old, area.offset + (end - area.start))
            return addr
        if not flags & MREMAP_MAYMOVE:
            raise LinuxError(errno.ENOMEM)
    _require_one_area(area, addr, min(old, new))
    place_flags = MAP_FIXED if flags & MREMAP_FIXED else 0
    target = place(task, new_addr if flags & MREMAP_FIXED or flags & MREMAP_DONTUNMAP else 0, new, place_flags)
    return _move(task, area, addr, old, new, target, keep=bool(flags & MREMAP_DONTUNMAP))


def _check_target(addr: int, old: int, new: int, target: int) -> None:
    if target & (PAGE - 1) or new > USER_END or target > USER_END - new:
        raise LinuxError(errno.EINVAL)
    if addr + old > target and target + new > addr:
        raise LinuxError(errno.EINVAL)


def _require_one_area(area: MemoryArea, addr: int, size: int) -> None:
    if addr + size > area.end:
        raise LinuxError(errno.EFAULT)


def _move(task: LinuxTask, area: MemoryArea, addr: int, old: int, new: int, target: int, *, keep: bool) -> int:
    space = task.space
    map_like(task, area, target, new, area.offset + (addr - area.start), replace=True)
    try:
        for page in space.resident_pages(addr, min(old, new)):
            space.write(target + (page - addr), space.read(page, PAGE))
    except LinuxError:
        space.unmap(target, new)
        raise LinuxError(errno.ENOMEM) from None
    if keep:
        discard(task, addr, addr + old, area)
    else:
        space.unmap(addr, old)
    return target
