"""Advice about memory, what of it is there, and writing it back: madvise(2), mincore(2), msync(2), membarrier(2),
pkeys(7). Source: mm/madvise.c, mm/mincore.c, mm/msync.c of Linux 6.18. Not here: mlock and its kin (`mlock`).

Nothing is ever swapped out or merged, so most advice has nothing to do; what it promises holds, and what it refuses
is refused. Memory that MADV_FREE gave keeps its bytes, which Linux allows.
"""

from __future__ import annotations

import errno
import os

from ..._core.kernel.memcalls import BYTES_AT_ONCE
from ...errors import LinuxError
from ...flags import MappingFlags
from ...kernel.abi import c_int, c_size_t, c_uint, c_ulong
from ...mm.filecache import FileCache
from ..fs.host.calls import host
from ..mem.limits import require_splits, require_unsealed
from ..mem.vma import PAGE, ZERO_NAME, bring_in, in_parts, in_turns, page_up
from ..registry import call
from ..task import waiting
from ..uaccess import (
    CHUNK,
    USER_END,
    Bytes,
    put_bytes,
    require_user,
)
from .memory import sys_mprotect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..._core.mm.frames import FrameStore
    from ...mm.area import MemoryArea
    from ..task.task import LinuxTask

# NORMAL, RANDOM, SEQUENTIAL, WILLNEED; MERGEABLE, UNMERGEABLE; HUGEPAGE, NOHUGEPAGE; DONTDUMP, DODUMP
_HARMLESS = {0, 1, 2, 3, 12, 13, 14, 15, 16, 17}
MADV_DONTNEED, MADV_FREE, MADV_REMOVE, MADV_DONTFORK, MADV_DOFORK = 4, 8, 9, 10, 11
MADV_WIPEONFORK, MADV_KEEPONFORK, MADV_POPULATE_READ, MADV_POPULATE_WRITE = 18, 19, 22, 23
MADV_COLD, MADV_PAGEOUT, MADV_DONTNEED_LOCKED, MADV_COLLAPSE = 20, 21, 24, 25
# on and off: the bits of an area's clone rule, which are two on Linux too
_TRAITS = {MADV_DONTFORK: (1, 0), MADV_DOFORK: (0, 1), MADV_WIPEONFORK: (2, 0), MADV_KEEPONFORK: (0, 2)}
_DISCARDING = (MADV_FREE, MADV_DONTNEED, MADV_DONTNEED_LOCKED, MADV_REMOVE, MADV_DONTFORK, MADV_WIPEONFORK)
"""What throws memory away, now or in a child: nothing that is sealed and cannot be written loses its bytes."""
_KNOWN = {*_HARMLESS, *_TRAITS, 4, 8, 9, 20, 21, 22, 23, 24, 25}

MS_ASYNC, MS_INVALIDATE, MS_SYNC = 1, 2, 4


@call("madvise")
def sys_madvise(task: LinuxTask, addr: c_ulong, length: c_size_t, advice: c_int) -> int:
    """Holes are passed over and reported at the end; the first area that refuses ends it, those before it changed."""
    if advice not in _KNOWN or addr & (PAGE - 1):
        raise LinuxError(errno.EINVAL)
    size = page_up(length)
    if size >= 1 << 64 or addr + size >= 1 << 64:
        raise LinuxError(errno.EINVAL)
    end = addr + size
    if advice in (MADV_POPULATE_READ, MADV_POPULATE_WRITE):
        return _populate(task, addr, end, MappingFlags.WRITE if advice == MADV_POPULATE_WRITE else MappingFlags.READ)
    at = addr
    hole = False
    for start, stop, area in in_turns(task, addr, end):
        hole = hole or start > at
        _advise(task, start, stop, area, advice)
        at = stop
    if hole or at < end:
        raise LinuxError(errno.ENOMEM)
    return 0


def _advise(task: LinuxTask, start: int, end: int, area: MemoryArea, advice: int) -> None:
    space, backend = task.space, area.backend
    if advice in _DISCARDING and not area.backend.shared and not area.flags & MappingFlags.WRITE:
        require_unsealed(task, start, end)
    if area.locked and advice in (MADV_DONTNEED, MADV_FREE, MADV_REMOVE, MADV_COLD, MADV_PAGEOUT):
        raise LinuxError(errno.EINVAL)
    if advice in (MADV_DONTNEED, MADV_DONTNEED_LOCKED):
        for part, size in in_parts(task, start, end):
            space.discard(part, size)
    elif advice == MADV_COLLAPSE:  # there are no huge pages
        raise LinuxError(errno.EINVAL)
    elif advice == MADV_FREE:
        if backend.kind_name != "alloc":
            raise LinuxError(errno.EINVAL)
    elif advice == MADV_REMOVE:
        if backend.store is None:
            raise LinuxError(errno.EINVAL)
        if not backend.shared or backend.sealed:
            raise LinuxError(errno.EACCES)
        _punch(task, backend.store, area.offset + (start - area.start), end - start)
    elif advice in _TRAITS:
        if advice == MADV_WIPEONFORK and (backend.kind_name != "alloc" or area.name == ZERO_NAME):
            raise LinuxError(errno.EINVAL)
        try:
            require_splits(task, start, end)
        except LinuxError:
            raise LinuxError(errno.EAGAIN) from None
        space._set_traits(start, end - start, *_TRAITS[advice])


def _punch(task: LinuxTask, store: FrameStore, offset: int, size: int) -> None:
    """Zeros instead of what a shared object or a file holds there (FALLOC_FL_PUNCH_HOLE)."""
    first, last = offset // PAGE, (offset + size) // PAGE - 1
    if isinstance(store, FileCache):
        _, fd = store.descriptors
        count = min(offset + size, host(os.fstat, fd).st_size) - offset
        while count > 0:
            count -= host(store.write, fd, offset, bytes(min(count, CHUNK)))
            offset += CHUNK
            waiting.breathe(task)
        return
    for area in task.space.areas():
        if area.backend.store is store:
            low = max(offset, area.offset)
            high = min(offset + size, area.offset + area.size)
            if low < high:
                task.space.discard(area.start + (low - area.offset), high - low)
    store.forget(first, last)


def _populate(task: LinuxTask, start: int, end: int, access: MappingFlags) -> int:
    """In order: what comes before the page that cannot be had is there."""
    at = start
    for begin, stop, area in in_turns(task, start, end):
        if begin > at:
            raise LinuxError(errno.ENOMEM)
        if not area.asked & access:  # a page that can be written or executed only can be read, but not so
            raise LinuxError(errno.EINVAL)
        if not bring_in(task, begin, stop, access):
            waiting.breathe(task)  # which says why
        at = stop
    if at < end:
        raise LinuxError(errno.ENOMEM)
    return 0


@call("mincore")
def sys_mincore(task: LinuxTask, addr: c_ulong, length: c_size_t, vec: Bytes) -> int:
    """Of a file, the pages that are in the cache here; what the host has of it is not asked."""
    if addr & (PAGE - 1):
        raise LinuxError(errno.EINVAL)
    if addr + length > USER_END:
        raise LinuxError(errno.ENOMEM)
    pages = -(-length // PAGE)
    require_user(task, vec.address, pages, MappingFlags.WRITE)
    at, end = addr, addr + pages * PAGE
    while at < end:  # at most a page of answers at a time
        area = task.space.find_area(at) if at < USER_END else None
        if area is None:
            raise LinuxError(errno.ENOMEM)
        stop = min(end, area.end, at + PAGE * PAGE)
        there = task.space.presence(at, stop - at)
        if area.backend.store is not None:
            shift = (area.start - area.offset - at) // PAGE
            for page in area.backend.store.pages():
                if 0 <= page + shift < len(there):
                    there[page + shift] = 1
        put_bytes(task, vec.address + (at - addr) // PAGE, bytes(there))
        at = stop
        waiting.breathe(task)
    return 0


@call("msync")
def sys_msync(task: LinuxTask, addr: c_ulong, length: c_size_t, flags: c_int) -> int:
    if flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC) or addr & (PAGE - 1) or (flags & MS_ASYNC and flags & MS_SYNC):
        raise LinuxError(errno.EINVAL)
    size = page_up(length) & ((1 << 64) - 1)
    end = addr + size
    if end >= 1 << 64:
        raise LinuxError(errno.ENOMEM)
    at, hole = addr, False
    for start, stop, area in in_turns(task, addr, end):
        if start > at:
            if flags == MS_ASYNC:
                raise LinuxError(errno.ENOMEM)
            hole = True
        if flags & MS_INVALIDATE and area.locked:
            raise LinuxError(errno.EBUSY)
        if flags & MS_SYNC:
            for part in range(start, stop, BYTES_AT_ONCE):
                task.space.sync(part, min(BYTES_AT_ONCE, stop - part))
                waiting.breathe(task)
        at = stop
    if hole or at < end:
        raise LinuxError(errno.ENOMEM)
    return 0


(_QUERY, _GLOBAL, _GLOBAL_EXPEDITED, _REGISTER_GLOBAL, _PRIVATE, _REGISTER_PRIVATE, _SYNC, _REGISTER_SYNC, _RSEQ,
 _REGISTER_RSEQ, _REGISTRATIONS) = 0, *(1 << n for n in range(10))  # fmt: skip
_REGISTRATION = {_PRIVATE: _REGISTER_PRIVATE, _SYNC: _REGISTER_SYNC, _RSEQ: _REGISTER_RSEQ}


@call("membarrier")
def sys_membarrier(task: LinuxTask, cmd: c_int, flags: c_uint, cpu: c_int) -> int:
    """A task that does not run has passed a barrier. What is registered belongs to the memory."""
    if flags and (cmd != _RSEQ or flags != 1):  # MEMBARRIER_CMD_FLAG_CPU
        raise LinuxError(errno.EINVAL)
    if cmd == _QUERY:
        return 2 * _REGISTRATIONS - 1
    if cmd < 0 or cmd > _REGISTRATIONS or cmd & (cmd - 1):
        raise LinuxError(errno.EINVAL)
    if cmd == _REGISTRATIONS:
        return task.mm.membarrier
    needed = _REGISTRATION.get(cmd)
    if needed is not None and not task.mm.membarrier & needed:
        raise LinuxError(errno.EPERM)
    if cmd in (_REGISTER_GLOBAL, *_REGISTRATION.values()):
        task.mm.membarrier |= cmd
    elif cmd in (_GLOBAL, _GLOBAL_EXPEDITED):
        task.machine.loop.fence(lambda other: True)
    elif flags:  # only of those on one CPU
        task.machine.loop.fence(lambda other: other.mm is task.mm and other.cpu_number == cpu, disturb=True)  # type: ignore[attr-defined]
    else:
        task.machine.loop.fence(lambda other: other.mm is task.mm, disturb=cmd == _RSEQ)  # type: ignore[attr-defined]
    return 0


@call("pkey_alloc")
def sys_pkey_alloc(task: LinuxTask, flags: c_ulong, rights: c_ulong) -> int:
    """The CPU has no protection keys."""
    raise LinuxError(errno.EINVAL)


@call("pkey_free")
def sys_pkey_free(task: LinuxTask, pkey: c_int) -> int:
    raise LinuxError(errno.EINVAL)


@call("pkey_mprotect")
def sys_pkey_mprotect(task: LinuxTask, addr: c_ulong, length: c_size_t, prot: c_ulong, pkey: c_int) -> int:
    if pkey != -1 and (addr & (PAGE - 1) or length):  # of nothing at all any may be said
        raise LinuxError(errno.EINVAL)
    result = sys_mprotect(task, addr, length, prot)
    assert result is not None
    return result
