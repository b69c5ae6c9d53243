"""mmap, munmap, mprotect and brk, as Linux has them, over the address space. Source: their man pages, mm/mmap.c,
mm/mprotect.c. Not here: moving mappings (`remap`), advice and residence (`advice`).

Shared mappings of files are read-only for now: a writable one is refused with ENODEV. Shared anonymous memory is
private memory, since there is one process.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from .._core.frames import Backend
from .._core.phys import PhysMemory
from ..addr import VirtAddrRange
from ..errors import LinuxError
from ..flags import MappingFlags
from ..kernel.abi import c_int, c_size_t, c_ulong
from ..mm.backend import FileBackend
from .hostfile import HostFile
from .registry import syscall
from .uaccess import USER_END

if TYPE_CHECKING:
    from ..mm.area import MemoryArea
    from .openfile import OpenFile
    from .task import LinuxTask

PAGE = 4096
MMAP_MIN_ADDR = 65536
STACK_GAP = 256 * PAGE
"""Room that stays free below a stack (stack_guard_gap)."""

PROT_READ, PROT_WRITE, PROT_EXEC, PROT_SEM = 1, 2, 4, 8
PROT_GROWSDOWN, PROT_GROWSUP = 0x0100_0000, 0x0200_0000

MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE, MAP_TYPE = 1, 2, 3, 15
MAP_FIXED, MAP_ANONYMOUS, MAP_32BIT, MAP_GROWSDOWN = 0x10, 0x20, 0x40, 0x100
MAP_LOCKED, MAP_POPULATE, MAP_HUGETLB, MAP_FIXED_NOREPLACE = 0x2000, 0x8000, 0x40000, 0x100000

_U = MappingFlags.USER
PROT_FLAGS = [_U | MappingFlags(prot) for prot in range(8)]  # PROT_* and MappingFlags share their low three bits


def page_up(size: int) -> int:
    return (size + PAGE - 1) & -PAGE


# -- mmap


@syscall(9, "mmap")
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
    if offset + size > 1 << 64:
        raise LinuxError(errno.EOVERFLOW)
    if flags & MAP_FIXED_NOREPLACE:
        flags |= MAP_FIXED
    start = place(task, addr, size, flags)
    kind = flags & MAP_TYPE
    if kind not in (MAP_SHARED, MAP_PRIVATE) and not (kind == MAP_SHARED_VALIDATE and file is not None):
        raise LinuxError(errno.EINVAL)
    if file is None:
        grows = 0
        if flags & MAP_GROWSDOWN:
            if kind != MAP_PRIVATE:
                raise LinuxError(errno.EINVAL)
            grows = max(size, 8 << 20)
        task.space.map_alloc(start, size, PROT_FLAGS[prot & 7], replace=True, grows_down=grows)
    else:
        _map_open_file(task, file, start, size, prot, kind, offset, flags)
    if flags & (MAP_POPULATE | MAP_LOCKED) and prot & 7:
        try:
            task.space.populate_area(start, size, MappingFlags.WRITE if prot & PROT_WRITE else MappingFlags.READ)
        except LinuxError:
            pass  # mmap never fails for pages that could not be brought in
    return start


def place(task: LinuxTask, addr: int, size: int, flags: int) -> int:
    """Where a mapping goes: get_unmapped_area."""
    if size > USER_END:
        raise LinuxError(errno.ENOMEM)
    space = task.space
    if flags & MAP_FIXED:
        if addr & (PAGE - 1):
            raise LinuxError(errno.EINVAL)
        if addr > USER_END - size:
            raise LinuxError(errno.ENOMEM)
        if addr < MMAP_MIN_ADDR and os.geteuid() != 0:
            raise LinuxError(errno.EPERM)
        if flags & MAP_FIXED_NOREPLACE and not is_free(task, addr, size):
            raise LinuxError(errno.EEXIST)
        return addr
    hint = addr & -PAGE
    if 0 < hint < MMAP_MIN_ADDR:
        hint = MMAP_MIN_ADDR
    if hint and hint <= USER_END - size and is_free(task, hint, size):
        return hint
    if flags & MAP_32BIT:
        limit = VirtAddrRange(0x4000_0000, 0x8000_0000)
        found = space.find_free_area(limit.start, size, limit)
    else:
        found = space.find_free_area(0, size, VirtAddrRange(MMAP_MIN_ADDR, task.mmap_base), topdown=True)
        if found is None:  # as arch_get_unmapped_area: from TASK_UNMAPPED_BASE upwards
            found = space.find_free_area(0, size, VirtAddrRange(USER_END // 3 & -PAGE, USER_END))
    if found is None:
        raise LinuxError(errno.ENOMEM)
    return found


def is_free(task: LinuxTask, start: int, size: int) -> bool:
    return task.space.find_free_area(start, size, VirtAddrRange(start, start + size)) == start


def _map_open_file(
    task: LinuxTask, file: OpenFile, start: int, size: int, prot: int, kind: int, offset: int, flags: int
) -> None:
    if not file.readable:
        raise LinuxError(errno.EACCES)
    shared = kind != MAP_PRIVATE
    if shared and prot & PROT_WRITE and not file.writable:
        raise LinuxError(errno.EACCES)
    if file.map_anonymous():
        task.space.map_alloc(start, size, PROT_FLAGS[prot & 7], replace=True)
        return
    if shared and file.writable:
        raise LinuxError(errno.ENODEV)
    assert isinstance(file, HostFile)
    backend = (_SharedFile if shared else FileBackend)(task.space.phys, file.host_fd, offset)
    name = os.fsdecode(file.path) if file.path is not None else backend.store.label
    task.space.map(start, size, PROT_FLAGS[prot & 7], backend, replace=True, name=name)


@syscall(11, "munmap")
def sys_munmap(task: LinuxTask, addr: c_ulong, length: c_size_t) -> int:
    size = page_up(length)
    if addr & (PAGE - 1) or addr > USER_END or length > USER_END - addr or size == 0:
        raise LinuxError(errno.EINVAL)
    task.space.unmap(addr, size)
    return 0


@syscall(10, "mprotect")
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
    if grows == PROT_GROWSDOWN:
        area = task.space.find_area(addr)
        if area is None:
            raise LinuxError(errno.ENOMEM)
        if not area.grows_down:
            raise LinuxError(errno.EINVAL)
        addr = area.start
    elif grows:
        raise LinuxError(errno.EINVAL)
    covered, code = covered_end(task, addr, end), errno.ENOMEM
    if prot & PROT_WRITE:
        for start, _, area in pieces(task, addr, covered):
            if area.backend.kind_name == "file" and area.backend.shared:
                covered, code = start, errno.EACCES
                break
    if covered > addr:
        task.space.protect(addr, covered - addr, PROT_FLAGS[prot & 7])
    if covered < end:
        raise LinuxError(code)
    return 0


def covered_end(task: LinuxTask, start: int, end: int) -> int:
    """The first byte from `start` on that is in no area, at most `end`."""
    at = start
    while at < end:
        area = task.space.find_area(at) if at < USER_END else None
        if area is None:
            return at
        at = area.end
    return end


def pieces(task: LinuxTask, start: int, end: int) -> list[tuple[int, int, MemoryArea]]:
    """The parts of areas in a range, by address: (start, end, area)."""
    found = []
    at = start
    space = task.space
    while at < end:
        area = space.find_area(at) if at < USER_END else None
        if area is None:
            free = _next_area(task, at, end)
            if free is None:
                break
            at = free
            continue
        found.append((at, min(end, area.end), area))
        at = area.end
    return found


def _next_area(task: LinuxTask, at: int, end: int) -> int | None:
    for area in task.space.areas():
        if area.start >= end:
            return None
        if area.start >= at:
            return area.start
    return None


# -- brk


@syscall(12, "brk")
def sys_brk(task: LinuxTask, addr: c_ulong) -> int:
    """The new end of the heap, or the old one if it cannot be moved there; never an error."""
    if addr < task.brk_start or addr > USER_END:
        return task.brk
    old, new = page_up(task.brk), page_up(addr)
    space = task.space
    if new < old:
        space.unmap(new, old - new)
    elif new > old:
        # a stack above keeps its gap
        free = space.find_free_area(old, new - old, VirtAddrRange(old, min(new, USER_END)))
        above = space.find_area(min(new + STACK_GAP, USER_END - 1))
        if free != old or (above is not None and above.grows_down and above.start < new + STACK_GAP):
            return task.brk
        try:
            space.map_alloc(old, new - old, PROT_FLAGS[3], name="[heap]")
        except LinuxError:
            return task.brk
    task.brk = addr
    return addr


# -- mapping more of what an area shows


class _SharedFile(FileBackend):
    """A shared mapping of a file opened for reading: it can never be made writable."""

    def __init__(self, phys: PhysMemory, fd: int, offset: int) -> None:
        super().__init__(phys, fd, offset)
        self._set(self.kind, shared=True, offset=offset, store=self.store)


class _Part(Backend):
    """The same backing from another offset on."""

    def __init__(self, whole: Backend, offset: int) -> None:
        self.kind_name = whole.kind_name
        self._set(whole.kind, shared=whole.shared, offset=offset, store=whole.store)


def map_like(task: LinuxTask, area: MemoryArea, start: int, size: int, offset: int, *, replace: bool = False) -> None:
    """Map with the flags and the backing of `area`, nothing of its pages taken over."""
    backend = area.backend
    if backend.kind_name == "alloc":
        task.space.map_alloc(start, size, area.flags, replace=replace, name=area.name)
    else:
        task.space.map(start, size, area.flags, _Part(backend, offset), replace=replace, name=area.name)


def discard(task: LinuxTask, start: int, end: int, area: MemoryArea) -> None:
    """Forget the pages of [start, end), which lies in `area`: they are as if never touched."""
    map_like(task, area, start, end - start, area.offset + (start - area.start), replace=True)
