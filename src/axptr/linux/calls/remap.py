"""mremap: mappings that shrink, grow, move and are had twice. Source: mremap(2); mm/mremap.c of Linux 6.18.

Moves carry the pages along. Neighbours that Linux would have as one mapping count as one here too.
"""

from __future__ import annotations

import errno

from ..._core.kernel.memcalls import MAX_MAP_COUNT
from ...errors import LinuxError
from ...flags import MappingFlags
from ...kernel.abi import c_ulong
from ...mm.backend import part
from ..abi.mman import MAP_FIXED
from ..mem.limits import (
    require_lock,
    require_mapping,
    require_space,
    require_splits,
    require_unsealed,
)
from ..mem.vma import (
    PAGE,
    extent,
    in_parts,
    is_free,
    lock_area,
    page_up,
    pieces,
    place,
    populate,
)
from ..registry import call
from ..task.limits import RLIMIT_STACK, get_limit
from ..uaccess import USER_END

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...mm.area import MemoryArea
    from ..task.task import LinuxTask

MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP = 1, 2, 4
_WORD = (1 << 64) - 1


@call("mremap")
def sys_mremap(
    task: LinuxTask, addr: c_ulong, old_len: c_ulong, new_len: c_ulong, flags: c_ulong, new_addr: c_ulong
) -> int:
    old, new = page_up(old_len) & _WORD, page_up(new_len) & _WORD
    if flags & ~7 or addr & (PAGE - 1) or new == 0 or new > USER_END:
        raise LinuxError(errno.EINVAL)
    if flags & (MREMAP_FIXED | MREMAP_DONTUNMAP):
        if new_addr > USER_END - new or new_addr & (PAGE - 1) or not flags & MREMAP_MAYMOVE:
            raise LinuxError(errno.EINVAL)
        if flags & MREMAP_DONTUNMAP and old != new:
            raise LinuxError(errno.EINVAL)
        if (addr + old) & _WORD > new_addr and new_addr + new > addr:
            raise LinuxError(errno.EINVAL)
    if flags & MREMAP_FIXED:
        require_unsealed(task, new_addr, new_addr + new)
    require_unsealed(task, addr, addr + max(old, 1))
    if flags & MREMAP_FIXED and old == new:
        return _move_all(task, addr, old, flags, new_addr)
    area = task.space.find_area(addr) if addr < USER_END else None
    if area is None:
        raise LinuxError(errno.EFAULT)
    _check_area(task, area, addr, old, new, flags)
    if flags & (MREMAP_FIXED | MREMAP_DONTUNMAP):
        return _move_to(task, addr, old, new, flags, new_addr)
    if new <= old:
        if new < old:
            _unmap(task, addr + new, old - new)
        return addr
    return _grow(task, area, addr, old, new, flags)


def _check_area(task: LinuxTask, area: MemoryArea, addr: int, old: int, new: int, flags: int) -> None:
    """check_prep_vma: whether the range can grow or move, all of it in one mapping. Nothing has changed where not."""
    if new <= old and not flags & (MREMAP_FIXED | MREMAP_DONTUNMAP):
        return
    if old == 0 and not area.backend.shared:  # only shared pages can be had twice
        raise LinuxError(errno.EINVAL)
    if min(old, new) > extent(task, area)[1] - addr:
        raise LinuxError(errno.EFAULT)
    if new > old:
        require_mapping(task)
        if area.locked:
            require_lock(task, new - old, errno.EAGAIN)
        _require_more(task, area, new - old)


def _require_more(task: LinuxTask, area: MemoryArea, size: int) -> None:
    """ENOMEM unless so much more may be mapped that is like an area."""
    data = bool(area.flags & MappingFlags.WRITE) and not (area.backend.shared or area.grows_down)
    require_space(task, size, data=data)


def _move_all(task: LinuxTask, addr: int, size: int, flags: int, target: int) -> int:
    """A move that changes no length takes all mappings of the range along, holes between them staying holes."""
    moved = list(pieces(task, addr, min(addr + size, USER_END)))
    if not moved or moved[0][0] != addr:
        raise LinuxError(errno.EFAULT)
    for start, end, _ in moved:
        _move_to(task, start, end - start, end - start, flags, target + (start - addr))
    return target


def _move_to(task: LinuxTask, addr: int, old: int, new: int, flags: int, target: int) -> int:
    """mremap_to: to a given place, or wherever there is room near it."""
    space = task.space
    if flags & MREMAP_FIXED:
        space.unmap(target, new)
    if new < old:
        _unmap(task, addr + new, old - new)
        old = new
    area = space.find_area(addr)
    if flags & MREMAP_DONTUNMAP and area is not None:
        _require_more(task, area, old)
    return _move(task, addr, old, new, place(task.mm, target, new, MAP_FIXED if flags & MREMAP_FIXED else 0), flags)


def _unmap(task: LinuxTask, start: int, size: int) -> None:
    if start > USER_END or size > USER_END - start:
        raise LinuxError(errno.EINVAL)
    require_splits(task, start, start + size, removed=True)
    for at, some in in_parts(task, start, start + size):
        task.space.unmap(at, some)


def _grow(task: LinuxTask, area: MemoryArea, addr: int, old: int, new: int, flags: int) -> int:
    end = addr + old
    if end == extent(task, area)[1] and addr + new <= USER_END and is_free(task.mm, end, new - old):
        _map_more(task, task.space.find_area(end - 1), end, new - old)
        return addr
    if not flags & MREMAP_MAYMOVE:
        raise LinuxError(errno.ENOMEM)
    return _move(task, addr, old, new, place(task.mm, 0, new, 0), flags)


def _move(task: LinuxTask, addr: int, old: int, new: int, target: int, flags: int) -> int:
    """Move `old` bytes to the free place `target`, where they are followed by more of the same up to `new`."""
    space = task.space
    area = space.find_area(addr)
    if area is None:
        raise LinuxError(errno.EFAULT)
    if space.area_count >= MAX_MAP_COUNT - 3:
        raise LinuxError(errno.ENOMEM)
    if old:
        low, high = extent(task, area)
        space.move(addr, old, target, keep=bool(flags & MREMAP_DONTUNMAP))
        if flags & MREMAP_DONTUNMAP and area.locked:  # the whole of it is unlocked (dontunmap_complete)
            space.set_locked(low, high - low, False)
        if new > old:
            _map_more(task, space.find_area(target + old - 1), target + old, new - old)
    else:
        _map_more(task, area, target, new, area.offset + (addr - area.start))
    return target


def _map_more(task: LinuxTask, area: MemoryArea | None, start: int, size: int, offset: int | None = None) -> None:
    """Map what follows `area`, or is `offset` bytes into what backs it, like `area` in all that it is. There is
    room for it, as `_check_area` has found."""
    assert area is not None
    space = task.space
    where = area.offset + (start - area.start) if offset is None else offset
    grows = max(area.size + size, min(get_limit(task, RLIMIT_STACK)[0], USER_END)) if area.grows_down else 0
    space.map(start, size, area.flags, part(area.backend, where), name=area.name, grows_down=grows)
    if area.read_unasked:
        space.set_read_unasked(start, size, True)
    if area.clone_rule != "copy":
        space.set_clone_rule(start, size, area.clone_rule)
    if area.locked:
        space.set_locked(start, size, True, on_fault=area.lock_on_fault)
        populate(task, start, start + size)


@call("remap_file_pages")
def sys_remap_file_pages(
    task: LinuxTask, start: c_ulong, size: c_ulong, prot: c_ulong, page: c_ulong, flags: c_ulong
) -> int:
    """Put other pages of the same file where some of it is mapped shared; a mapping of its own, as since Linux 4.0."""
    start, size = start & -PAGE, size & -PAGE
    end = start + size
    if prot or not start < end <= USER_END or page + size // PAGE >= 1 << 64:
        raise LinuxError(errno.EINVAL)
    parts = list(pieces(task, start, end))
    if not parts or parts[0][0] != start or sum(stop - begin for begin, stop, _ in parts) != size:
        raise LinuxError(errno.EINVAL)
    first = parts[0][2]
    if not first.backend.shared or any(
        area.backend.store is not first.backend.store or area.flags != first.flags for _, _, area in parts
    ):
        raise LinuxError(errno.EINVAL)
    offset = page * PAGE
    if offset + size >= 1 << 63:
        raise LinuxError(errno.EOVERFLOW)
    require_splits(task, start, end, removed=True)
    task.space.map(start, size, first.flags, part(first.backend, offset), replace=True, name=first.name)
    if first.locked:
        lock_area(task, start, end)
    return 0
