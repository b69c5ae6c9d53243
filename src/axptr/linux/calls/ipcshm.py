"""The calls of System V shared memory. Source: shmget(2), shmop(2), shmctl(2), ipc/shm.c: its order of checks."""

from __future__ import annotations

import errno
import os
from struct import pack

from ...errors import LinuxError
from ...kernel.abi import c_int, c_size_t, c_ulong
from ...mm.backend import StoreBackend
from ..abi.mman import PROT_EXEC, PROT_FLAGS, PROT_READ, PROT_WRITE
from ..ipc.ids import IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, seconds
from ..ipc.shm import PAGE, SHM_LOCKED, SHMMAX, SHMMNI, Segment, Segments, detach
from ..mem.limits import require_mapping, require_space, require_splits
from ..mem.vma import is_free, page_up, place
from ..registry import call
from ..uaccess import USER_END, Bytes, get_bytes, put_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

SHM_LOCK, SHM_UNLOCK, SHM_STAT, SHM_INFO, SHM_STAT_ANY = 11, 12, 13, 14, 15
SHM_RDONLY, SHM_RND, SHM_REMAP, SHM_EXEC, SHM_HUGETLB = 0o10000, 0o20000, 0o40000, 0o100000, 0o4000
_MAP_FIXED = 0x10
_SET_SIZE = 112


def _segments(task: LinuxTask) -> Segments:
    segments = task.ipc.segments
    segments.sweep()
    return segments


@call("shmget")
def sys_shmget(task: LinuxTask, key: c_int, size: c_size_t, flag: c_int) -> int:
    segments = _segments(task)

    def make() -> Segment:
        if not 1 <= size <= SHMMAX:
            raise LinuxError(errno.EINVAL)
        if flag & SHM_HUGETLB or page_up(size) > 1 << 46:
            raise LinuxError(errno.ENOMEM)
        return Segment(task, key, flag, size)

    return segments.open(task, key, flag, lambda found: found.size >= size, make)


@call("shmat")
def sys_shmat(task: LinuxTask, number: c_int, address: c_ulong, flag: c_int) -> int:
    segments = _segments(task)
    if number < 0:
        raise LinuxError(errno.EINVAL)
    if address:
        if address % PAGE:
            if not flag & SHM_RND:
                raise LinuxError(errno.EINVAL)
            address -= address % PAGE
            if not address and flag & SHM_REMAP:
                raise LinuxError(errno.EINVAL)
    elif flag & SHM_REMAP:
        raise LinuxError(errno.EINVAL)
    prot, wanted = (PROT_READ, 0o444) if flag & SHM_RDONLY else (PROT_READ | PROT_WRITE, 0o666)
    if flag & SHM_EXEC:
        prot, wanted = prot | PROT_EXEC, wanted | 0o111
    segment = segments.get(number)
    segment.require(task, wanted)
    size = page_up(segment.size)
    if address and not flag & SHM_REMAP:
        if address + size >= 1 << 64:
            raise LinuxError(errno.EINVAL)
        if address + size <= USER_END and not is_free(task.mm, address, size):
            raise LinuxError(errno.EINVAL)
    require_mapping(task)
    start = place(task.mm, address, size, _MAP_FIXED if address else 0)
    require_space(task, size, data=False, replaced=(start, start + size) if address else (0, 0))
    if address:
        require_splits(task, start, start + size, removed=True)
    backend = StoreBackend(segment.store, 0, shared=True, writable=not flag & SHM_RDONLY)
    backend.named = segment.node.where
    task.space.map(start, size, PROT_FLAGS[prot], backend, replace=True, name=os.fsdecode(segment.node.where()))
    segment.atime, segment.lpid = seconds(task), task.pid
    return start


@call("shmdt")
def sys_shmdt(task: LinuxTask, address: c_ulong) -> int:
    if address % PAGE:
        raise LinuxError(errno.EINVAL)
    detach(task, _segments(task), address)
    return 0


@call("shmctl")
def sys_shmctl(task: LinuxTask, number: c_int, command: c_int, buffer: Bytes) -> int:
    segments = _segments(task)
    if command < 0 or number < 0:
        raise LinuxError(errno.EINVAL)
    if command == IPC_INFO:
        put_bytes(task, buffer.address, pack("<QQQQQ32x", SHMMAX, 1, SHMMNI, SHMMNI, SHMMAX))
        return segments.highest
    if command == SHM_INFO:
        total, resident = segments.pages()
        put_bytes(task, buffer.address, pack("<i4xQQQQQ", len(segments), total, resident, 0, 0, 0))
        return segments.highest
    if command in (IPC_STAT, SHM_STAT, SHM_STAT_ANY):
        segment, result = segments.shown(task, number, by_index=command != IPC_STAT, to_all=command == SHM_STAT_ANY)
        put_bytes(task, buffer.address, segment.describe(task))
        return result
    if command == IPC_SET:
        raw = get_bytes(task, buffer.address, _SET_SIZE)
        segments.owned(task, number).set_perm(task, raw)
        return 0
    if command == IPC_RMID:
        segments.destroy(segments.owned(task, number))
        return 0
    if command in (SHM_LOCK, SHM_UNLOCK):
        segment = segments.owned(task, number)
        segment.mode = segment.mode & ~SHM_LOCKED | (SHM_LOCKED if command == SHM_LOCK else 0)
        return 0
    raise LinuxError(errno.EINVAL)
