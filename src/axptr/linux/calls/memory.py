"""mmap, munmap, mprotect and brk, as Linux has them, over the address space. Source: their man pages; mm/mmap.c,
mm/mprotect.c of Linux 6.18, whose order of checks this keeps: which errno a call with two faults gives is seen.

Not here: where a mapping goes and walks over areas (`mem.vma`), moving mappings (`remap`), advice and residence
(`advice`), promises to keep memory (`mlock`).
"""

from __future__ import annotations

import errno
import os
from _weakref import ref
from itertools import islice

from ..._core.kernel.memcalls import BreakCall, MapCall, ProtectCall, UnmapCall
from ...errors import LinuxError
from ...flags import MappingFlags
from ...kernel.abi import c_int, c_size_t, c_ulong
from ...mm.backend import ALLOC, SharedBackend, SharedObject
from ...mm.filecache import sync_all
from ..abi.mman import (
    LEGACY_MAP_MASK,
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_GROWSDOWN,
    MAP_HUGETLB,
    MAP_LOCKED,
    MAP_NONBLOCK,
    MAP_POPULATE,
    MAP_PRIVATE,
    MAP_SHARED,
    MAP_SHARED_VALIDATE,
    MAP_TYPE,
    PROT_EXEC,
    PROT_FLAGS,
    PROT_GROWSDOWN,
    PROT_GROWSUP,
    PROT_READ,
    PROT_SEM,
    PROT_WRITE,
)
from ..fs.host.file import HostFile
from ..mem.limits import (
    charge,
    is_sealed,
    require_data,
    require_lock,
    require_lock_right,
    require_mapping,
    require_space,
    require_splits,
    require_unsealed,
)
from ..mem.mm import LOCK_ON_FAULT
from ..mem.vma import (
    AREAS_AT_ONCE,
    PAGE,
    SHARED_DEVICE,
    SHARED_NAME,
    STACK_GAP,
    ZERO_NAME,
    extent,
    in_parts,
    lock_area,
    next_area,
    page_up,
    pieces,
    place,
    populate,
)
from ..registry import at_once, call
from ..task import waiting
from ..task.limits import RLIM_INFINITY, RLIMIT_DATA, RLIMIT_STACK, get_limit
from ..uaccess import USER_END

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..._core.mm.frames import Backend
    from ..._core.phys.phys import PhysMemory
    from ...mm.area import MemoryArea
    from ..fs.openfile import OpenFile
    from ..task.task import LinuxTask


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
    if task.mm.deny_gain and task.mm.denies(prot):
        raise LinuxError(errno.EACCES)
    require_mapping(task)
    start = place(task.mm, addr, size, flags)
    if flags & MAP_LOCKED:
        require_lock_right(task)
    if flags & MAP_LOCKED or task.mm.lock_future:
        require_lock(task, size, errno.EAGAIN)
    kind = flags & MAP_TYPE
    data = kind == MAP_PRIVATE and bool(prot & PROT_WRITE) and not flags & MAP_GROWSDOWN
    require_space(task, size, data=data, replaced=(start, start + size) if flags & MAP_FIXED else (0, 0))
    if flags & MAP_FIXED:
        require_unsealed(task, start, start + size)
        require_splits(task, start, start + size, removed=True)
    if file is None:
        _map_anonymous(task, start, size, prot, kind, flags)
    else:
        _map_open_file(task, file, start, size, prot, kind, offset, flags)
    if prot & 7 == PROT_EXEC:
        task.space.set_read_unasked(start, size, True)
    if flags & MAP_LOCKED or task.mm.lock_future:
        lock_area(task, start, start + size, on_fault=not flags & MAP_LOCKED and task.mm.lock_future == LOCK_ON_FAULT)
    elif flags & (MAP_POPULATE | MAP_NONBLOCK) == MAP_POPULATE:
        populate(task, start, start + size)
    return start


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
    shared.store.device, shared.store.inode = SHARED_DEVICE, task.machine.next_inode()
    backend = SharedBackend(shared, writable=writable)
    task.space.map(start, size, PROT_FLAGS[prot & 7], backend, replace=True, name=SHARED_NAME)


def _map_open_file(
    task: LinuxTask, file: OpenFile, start: int, size: int, prot: int, kind: int, offset: int, flags: int
) -> None:
    file.require_range(offset + size)
    if kind == MAP_SHARED_VALIDATE:
        if flags & ~LEGACY_MAP_MASK:
            raise LinuxError(errno.EOPNOTSUPP)
    elif kind not in (MAP_SHARED, MAP_PRIVATE):
        raise LinuxError(errno.EINVAL)
    shared = kind != MAP_PRIVATE
    if shared and prot & PROT_WRITE and not file.writable:
        raise LinuxError(errno.EACCES)
    if not file.readable:
        raise LinuxError(errno.EACCES)
    if prot & PROT_EXEC and file.no_exec():
        raise LinuxError(errno.EPERM)
    if shared and prot & PROT_WRITE:
        file.require_shared_writes()
    backend = file.mapping(task.space.phys, offset, shared=shared)
    if flags & MAP_GROWSDOWN:
        raise LinuxError(errno.EINVAL)
    if backend is None:  # /dev/zero
        if shared:
            _map_shared_memory(task, start, size, prot, writable=file.writable)
        else:
            task.space.map_alloc(start, size, PROT_FLAGS[prot & 7], replace=True, name=ZERO_NAME)
        return
    name = os.fsdecode(file.name())
    task.space.map(start, size, PROT_FLAGS[prot & 7], backend, replace=True, name=name)


def _mapped_first(phys: PhysMemory, file: OpenFile, below: HostFile) -> tuple[Backend, str]:
    """What backs private mappings of a file from its begin on, and their name, which the file of the host's beneath it
    knows as long as one is there."""
    backend = file.mapping(phys, 0, shared=False)
    assert backend is not None
    name = os.fsdecode(file.name())
    below.shown = ref(backend), name
    return backend, name


at_once("mmap", MapCall, PROT_FLAGS, sync_all, ALLOC, HostFile, _mapped_first)


# -- munmap, mprotect


@call("munmap")
def sys_munmap(task: LinuxTask, addr: c_ulong, length: c_size_t) -> int:
    size = page_up(length)
    if addr & (PAGE - 1) or addr > USER_END or length > USER_END - addr or size == 0:
        raise LinuxError(errno.EINVAL)
    require_unsealed(task, addr, addr + size)
    require_splits(task, addr, addr + size, removed=True)
    try:
        for part, some in in_parts(task, addr, addr + size):
            task.space.unmap(part, some)
    finally:
        charge(task)
    return 0


at_once("munmap", UnmapCall, PROT_FLAGS, sync_all)


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


at_once("mprotect", ProtectCall, PROT_FLAGS, sync_all)


def _protect_some(task: LinuxTask, start: int, end: int, prot: int) -> tuple[int, int]:
    """Protect the first areas of a range: how far that went, and the errno of what is in the way there, or 0."""
    at, code, locked = start, 0, []
    for begin, stop, area in islice(pieces(task, start, end), AREAS_AT_ONCE):
        if begin > at:
            code = errno.ENOMEM
        elif _never(area, prot) or (task.mm.deny_gain and task.mm.denies(prot, int(area.asked))):
            code = errno.EACCES
        elif task.mm.sealed and is_sealed(task, begin, stop):
            code = errno.EPERM
        else:
            code = _may_protect(task, begin, stop, area, prot)
        if code:
            break
        if _copies(area, prot):
            locked.append((begin, stop))
        at = stop
    if at > start:
        task.space.protect(start, at - start, PROT_FLAGS[prot & 7])
        task.space.set_read_unasked(start, at - start, prot & 7 == PROT_EXEC)
        for begin, stop in locked:
            populate(task, begin, stop)
    elif not code:
        code = errno.ENOMEM
    return at, code


def _may_protect(task: LinuxTask, start: int, end: int, area: MemoryArea, prot: int) -> int:
    """ENOMEM if limits forbid that a part of an area gets other rights, else 0 (mprotect_fixup)."""
    if PROT_FLAGS[prot & 7] == area.flags and area.read_unasked == (prot & 7 == PROT_EXEC):
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
        if next_area(task, new, old) is None or is_sealed(task, new, old):
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
            if mm.lock_future:
                require_lock(task, new - old, errno.EAGAIN)
            require_space(task, new - old, data=True)
            space.map_alloc(old, new - old, PROT_FLAGS[3])
        except LinuxError:
            return mm.brk
        if mm.lock_future:
            lock_area(task, old, new, on_fault=mm.lock_future == LOCK_ON_FAULT)
    mm.brk = addr
    return addr


at_once("brk", BreakCall, PROT_FLAGS, sync_all, ALLOC)


# -- bringing pages in
