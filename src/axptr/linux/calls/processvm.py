"""Memory of another process of the machine: process_vm_readv, process_vm_writev. Source: process_vm_readv(2),
mm/process_vm_access.c of Linux 6.18.

Nothing of the host's processes has a number here, so none is ever reached.
"""

from __future__ import annotations

import errno
from struct import iter_unpack

from ...errors import LinuxError
from ...flags import READ, WRITE
from ...kernel.abi import c_int, c_ulong
from ..registry import call
from ..task import waiting
from ..task.looking import require_look
from ..uaccess import CHUNK, IOV_MAX, USER_END, ConstBytes, UserIter, get_bytes, import_iovec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

PAGE = 4096


def _remote(task: LinuxTask, address: int, count: int) -> list[tuple[int, int]]:
    """The other's iovec, whose addresses nobody has judged yet (iovec_from_user)."""
    if count > IOV_MAX:
        raise LinuxError(errno.EINVAL)
    found = list(iter_unpack("<QQ", get_bytes(task, address, 16 * count))) if count else []
    if any(size >> 63 for _, size in found):
        raise LinuxError(errno.EINVAL)
    return found


def _transfer(
    task: LinuxTask, pid: int, local: tuple[ConstBytes, int], remote: tuple[int, int], flags: int, write: bool
) -> int:
    if flags:
        raise LinuxError(errno.EINVAL)
    here = UserIter(task, import_iovec(task, *local, READ if write else WRITE))
    if not here.count:
        return 0
    there = _remote(task, *remote)
    if not any(size for _, size in there):
        return 0
    other = task.machine.thread(pid)
    if other is None or other.dead:
        raise LinuxError(errno.ESRCH)
    require_look(task, other)
    done = 0
    try:
        for address, size in there:
            moved = _segment(task, other, here, address, size, write)
            done += moved
            if moved < size or waiting.must_stop(task):  # there is no more here, or a page is not to be had
                break
    except LinuxError:
        if not done:
            raise
    return done


def _segment(task: LinuxTask, other: LinuxTask, here: UserIter, address: int, size: int, write: bool) -> int:
    """One of the other's pieces of memory, page by page; bytes done of it. EFAULT for none; what was done stands."""
    at, end, done = address, address + size, 0
    while at < end and here.count:
        want = min(end - at, here.count, PAGE - at % PAGE if (end - at) < CHUNK else CHUNK - at % PAGE)
        if at + want > USER_END:
            want = min(want, PAGE)
        view = task.machine.bounce[:want]
        far = UserIter.single(other, at, want)
        if at + want > USER_END:
            moved = 0
        elif write:
            moved = far.copy_out(view[: here.copy_in(view)])
        else:
            moved = here.copy_out(view[: far.copy_in(view)])
        done += moved
        at += moved
        if moved < want:
            if done:
                return done
            raise LinuxError(errno.EFAULT)
    return done


@call("process_vm_readv")
def sys_process_vm_readv(
    task: LinuxTask, pid: c_int, lvec: ConstBytes, lcount: c_ulong, rvec: ConstBytes, rcount: c_ulong, flags: c_ulong
) -> int:
    return _transfer(task, pid, (lvec, lcount), (rvec.address, rcount), flags, write=False)


@call("process_vm_writev")
def sys_process_vm_writev(
    task: LinuxTask, pid: c_int, lvec: ConstBytes, lcount: c_ulong, rvec: ConstBytes, rcount: c_ulong, flags: c_ulong
) -> int:
    return _transfer(task, pid, (lvec, lcount), (rvec.address, rcount), flags, write=True)
