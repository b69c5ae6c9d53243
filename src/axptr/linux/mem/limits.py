"""What of memory a process may have: RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK, the number of mappings, and the run's own
limit. Source: getrlimit(2), mm/mmap.c (`may_expand_vm`), mm/vma.c, mm/mlock.c; Documentation/admin-guide/sysctl/vm.rst
(max_map_count).

All is checked before a call changes anything. What the run may hold (`--memory-limit`) is frames; the books that are
kept of areas, and the buffers of pipes, are taken off it.
"""

from __future__ import annotations

import errno

from ..._core.kernel.memcalls import MAX_MAP_COUNT, book, more_areas
from ...errors import LinuxError
from ..task.creds import CAP_IPC_LOCK
from ..task.limits import RLIM_INFINITY, RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK, get_limit
from .vma import pieces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask


def require_space(task: LinuxTask, size: int, *, data: bool, replaced: tuple[int, int] = (0, 0)) -> None:
    """ENOMEM unless `size` bytes more may be mapped, what is in `replaced` going. data: private and writable."""
    limit = get_limit(task, RLIMIT_AS)[0]
    data_limit = get_limit(task, RLIMIT_DATA)[0] if data else RLIM_INFINITY
    if limit == RLIM_INFINITY and data_limit == RLIM_INFINITY:
        return
    total, of_data = task.space._mapped_bytes()
    more = size
    if replaced[0] < replaced[1]:
        more -= sum(stop - start for start, stop, _ in pieces(task, *replaced))
    if total + more > limit & -4096 or (data and of_data + more > data_limit & -4096):
        raise LinuxError(errno.ENOMEM)


def require_data(task: LinuxTask, size: int) -> None:
    """ENOMEM unless `size` bytes that are mapped may become private and writable (mprotect_fixup)."""
    limit = get_limit(task, RLIMIT_DATA)[0]
    if limit == RLIM_INFINITY:
        return
    total, of_data = task.space._mapped_bytes()
    if of_data + size > limit & -4096 and total + size <= get_limit(task, RLIMIT_AS)[0] & -4096:
        raise LinuxError(errno.ENOMEM)


def require_lock_right(task: LinuxTask) -> None:
    """EPERM unless anything may be locked at all (can_do_mlock)."""
    if not get_limit(task, RLIMIT_MEMLOCK)[0] and not task.creds.has(CAP_IPC_LOCK):
        raise LinuxError(errno.EPERM)


def require_lock(task: LinuxTask, size: int, code: int, again: tuple[int, int] = (0, 0)) -> None:
    """`code` unless `size` bytes more may be locked (mlock_future_ok). again: a range of which what is locked already
    is among them."""
    limit = get_limit(task, RLIMIT_MEMLOCK)[0]
    if limit == RLIM_INFINITY or task.creds.has(CAP_IPC_LOCK):
        return
    locked = size + sum(area.size for area in task.space.areas() if area.locked)
    if locked > limit & -4096 and again[0] < again[1]:
        locked -= sum(stop - start for start, stop, area in pieces(task, *again) if area.locked)
    if locked > limit & -4096:
        raise LinuxError(code)


def require_mapping(task: LinuxTask) -> None:
    """ENOMEM for one mapping more than Linux allows a process, or than the run has room to keep books of."""
    if task.space.area_count > MAX_MAP_COUNT:
        raise LinuxError(errno.ENOMEM)
    charge(task, 1)


def require_unsealed(task: LinuxTask, start: int, end: int) -> None:
    """EPERM if a part of a range is sealed."""
    if is_sealed(task, start, end):
        raise LinuxError(errno.EPERM)


def is_sealed(task: LinuxTask, start: int, end: int) -> bool:
    """Whether a part of a range is (mseal)."""
    return any(first < end and start < last for first, last in task.mm.sealed)


def require_splits(task: LinuxTask, start: int, end: int, *, removed: bool = False) -> None:
    """ENOMEM if a change of [start, end) would cut mappings in two, and there may be no more of them. removed: as
    `more_areas` has it."""
    if task.space.area_count < MAX_MAP_COUNT - 2 and task.machine.memory_limit is None:
        return
    more = more_areas(task.space, start, end, removed)
    if more and task.space.area_count + more > MAX_MAP_COUNT:
        raise LinuxError(errno.ENOMEM)
    charge(task, more)


def charge(task: LinuxTask, areas: int = 0, pipes: int = 0) -> None:
    """Take what the run's books and pipes cost, with so many areas and bytes of pipes more, off the frames that it may
    hold. ENOMEM if there is no room for them, or next to none is left for pages; nothing has changed then.
    """
    if not book(task.machine, task.space.area_count + areas, pipes, bool(areas or pipes)):
        raise LinuxError(errno.ENOMEM)


def memory_size(task: LinuxTask) -> tuple[int, int]:
    """Bytes of memory that the machine shows, and how many are free."""
    machine = task.machine
    total = machine.memory_limit
    if total is None:
        total = min(machine.phys.size, machine.host.memory_size)
    return total, max(0, total - machine.account.used)
