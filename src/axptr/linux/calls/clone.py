"""fork, vfork, clone, clone3: their arguments. Source: clone(2), kernel/fork.c. What comes of them: `task.clone`."""

from __future__ import annotations

import errno
from struct import Struct, unpack

from ...errors import LinuxError
from ...kernel.abi import c_size_t, c_ulong
from ..abi.clone import (
    CLONE_CLEAR_SIGHAND,
    CLONE_DETACHED,
    CLONE_INTO_CGROUP,
    CLONE_NEWTIME,
    CLONE_PARENT,
    CLONE_PARENT_SETTID,
    CLONE_PIDFD,
    CLONE_SIGHAND,
    CLONE_THREAD,
    CLONE_VFORK,
    CLONE_VM,
    CSIGNAL,
)
from ..registry import call
from ..task.clone import CloneArgs, clone
from ..uaccess import Bytes, ConstBytes, access_ok, get_struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

_ARGS = Struct("<11Q")
"""struct clone_args: flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size,
cgroup."""
_VER0, _VER2, _PAGE = 64, 88, 4096
_MAX_PID_NS_LEVEL = 32
_KNOWN = 0xFFFF_FFFF | CLONE_CLEAR_SIGHAND | CLONE_INTO_CGROUP


@call("fork")
def sys_fork(task: LinuxTask) -> int | None:
    return clone(task, CloneArgs(0))


@call("vfork")
def sys_vfork(task: LinuxTask) -> int | None:
    return clone(task, CloneArgs(CLONE_VFORK | CLONE_VM))


@call("clone")
def sys_clone(
    task: LinuxTask, flags: c_ulong, stack: c_ulong, parent_tid: Bytes, child_tid: Bytes, tls: c_ulong
) -> int | None:
    """The signal of its end stands in the low byte of the flags; a pidfd goes where the number would."""
    flags &= 0xFFFF_FFFF
    place = parent_tid.address
    if flags & CLONE_PIDFD and flags & CLONE_PARENT_SETTID:  # both would go there
        raise LinuxError(errno.EINVAL)
    return clone(task, CloneArgs(flags & ~CSIGNAL, flags & CSIGNAL, stack, tls, place, child_tid.address, place))


@call("clone3")
def sys_clone3(task: LinuxTask, args: ConstBytes, size: c_size_t) -> int | None:
    if size > _PAGE:
        raise LinuxError(errno.E2BIG)
    if size < _VER0:
        raise LinuxError(errno.EINVAL)
    data = get_struct(task, args.address, size, _ARGS.size)
    flags, pidfd, child, parent, signal, stack, length, tls, numbers, count, cgroup = _ARGS.unpack(data)
    if count > _MAX_PID_NS_LEVEL or bool(numbers) != bool(count):
        raise LinuxError(errno.EINVAL)
    if signal & ~CSIGNAL or signal > 64:
        raise LinuxError(errno.EINVAL)
    if flags & CLONE_INTO_CGROUP and (cgroup >= 1 << 31 or size < _VER2):
        raise LinuxError(errno.EINVAL)
    chosen = unpack(f"<{count}i", get_struct(task, numbers, 4 * count, 4 * count)) if count else ()
    if flags & ~_KNOWN or flags & (CLONE_DETACHED | (CSIGNAL & ~CLONE_NEWTIME)):
        raise LinuxError(errno.EINVAL)
    if flags & CLONE_SIGHAND and flags & CLONE_CLEAR_SIGHAND:
        raise LinuxError(errno.EINVAL)
    if flags & (CLONE_THREAD | CLONE_PARENT) and signal:
        raise LinuxError(errno.EINVAL)
    if bool(stack) != bool(length) or not access_ok(stack, length):
        raise LinuxError(errno.EINVAL)
    if flags & CLONE_INTO_CGROUP:
        task.files.get(cgroup)
        raise LinuxError(errno.EBADF)
    return clone(task, CloneArgs(flags, signal, stack + length, tls, parent, child, pidfd, chosen))
