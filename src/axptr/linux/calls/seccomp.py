"""seccomp(2), and what prctl(2) says of it. Source: kernel/seccomp.c of Linux 6.18.

Not here: what becomes of calls (`task.seccomp`), who listens to them (`files.usernotif`).
"""

from __future__ import annotations

import errno
from struct import iter_unpack, pack, unpack

from ...errors import LinuxError
from ...kernel.abi import c_uint
from ..registry import call
from ..task import seccomp
from ..task.creds import CAP_SYS_ADMIN
from ..task.seccomp import Filter, Seccomp
from ..uaccess import Bytes, get_bytes, put_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

_SET_STRICT, _SET_FILTER, _ACTION_AVAILABLE, _SIZES = range(4)
_TSYNC, _LOG, _SPEC_ALLOW, _LISTENER, _TSYNC_ESRCH, _WAIT_KILLABLE = (1 << bit for bit in range(6))
_KNOWN = _TSYNC | _LOG | _SPEC_ALLOW | _LISTENER | _TSYNC_ESRCH | _WAIT_KILLABLE
_INSTRUCTION = 8


@call("seccomp")
def sys_seccomp(task: LinuxTask, operation: c_uint, flags: c_uint, args: Bytes) -> int:
    if operation == _SET_STRICT:
        if flags or not args.is_null:
            raise LinuxError(errno.EINVAL)
        return set_strict(task)
    if operation == _SET_FILTER:
        return set_filter(task, flags, args.address)
    if operation == _ACTION_AVAILABLE:
        if flags:
            raise LinuxError(errno.EINVAL)
        (action,) = unpack("<I", get_bytes(task, args.address, 4))
        if action not in seccomp.ACTIONS:
            raise LinuxError(errno.EOPNOTSUPP)
        return 0
    if operation == _SIZES:
        if flags:
            raise LinuxError(errno.EINVAL)
        put_bytes(task, args.address, pack("<3H", 80, 24, 64))
        return 0
    raise LinuxError(errno.EINVAL)


def set_strict(task: LinuxTask) -> int:
    """EINVAL where there are filters."""
    if task.seccomp is not None and task.seccomp.mode != seccomp.STRICT:
        raise LinuxError(errno.EINVAL)
    _restrict(task, Seccomp(seccomp.STRICT))
    return 0


def set_filter(task: LinuxTask, flags: int, address: int) -> int:
    """0; with SECCOMP_FILTER_FLAG_TSYNC the number of a thread that has filters of its own; with
    SECCOMP_FILTER_FLAG_NEW_LISTENER a descriptor."""
    if flags & ~_KNOWN or (flags & _WAIT_KILLABLE and not flags & _LISTENER):
        raise LinuxError(errno.EINVAL)
    if flags & _TSYNC and flags & _LISTENER and not flags & _TSYNC_ESRCH:
        raise LinuxError(errno.EINVAL)
    made = _filter(task, address)
    if flags & _LISTENER:
        task.files.require_room()
    before = task.seccomp
    if before is not None and before.mode != seccomp.FILTER:
        raise LinuxError(errno.EINVAL)
    filters = before.filters if before is not None else ()
    if flags & _LISTENER and any(one.listener is not None for one in filters):
        raise LinuxError(errno.EBUSY)
    others = [thread for thread in task.group.threads.values() if thread is not task and not thread.dead]
    if flags & _TSYNC:
        for thread in others:
            if not _follows(thread, filters):
                if flags & _TSYNC_ESRCH:
                    raise LinuxError(errno.ESRCH)
                return thread.tid
    cost = seccomp._COST_OF_EACH
    if sum(len(one.code) + cost for one in filters) + len(made.code) > seccomp.MOST_OF_A_PATH:
        raise LinuxError(errno.ENOMEM)
    limits = Seccomp(seccomp.FILTER, (*filters, made))
    for thread in (task, *others) if flags & _TSYNC else (task,):
        if task.kept.no_new_privs:
            thread.kept.no_new_privs = 1
        _restrict(thread, limits)
    if not flags & _LISTENER:
        return 0
    from ..files.usernotif import ListenerFile  # which few programs have

    first = int.from_bytes(task.machine.host.random(8), "little")
    made.listener = ListenerFile(made, first, killable=bool(flags & _WAIT_KILLABLE))
    return task.files.add(made.listener, cloexec=True)


def _follows(thread: LinuxTask, filters: tuple[Filter, ...]) -> bool:
    """Whether all that a thread has are among these, in their order (is_ancestor)."""
    theirs = thread.seccomp
    if theirs is None:
        return True
    return theirs.mode == seccomp.FILTER and theirs.filters == filters[: len(theirs.filters)]


def _filter(task: LinuxTask, address: int) -> Filter:
    """struct sock_fprog. EFAULT, EINVAL; EACCES for who could yet gain rights by exec."""
    size, at = unpack("<H6xQ", get_bytes(task, address, 16))
    if not 0 < size <= seccomp.MOST_INSTRUCTIONS:
        raise LinuxError(errno.EINVAL)
    if not task.kept.no_new_privs and not task.creds.has_here(CAP_SYS_ADMIN):
        raise LinuxError(errno.EACCES)
    code = tuple(iter_unpack("<HBBI", get_bytes(task, at, size * _INSTRUCTION)))
    seccomp.check(code)
    return Filter(code)


def _restrict(task: LinuxTask, limits: Seccomp) -> None:
    seccomp.keep(limits)  # first: nobody is told that there is none any more of those that stay
    seccomp.let_go(task)
    task.seccomp = limits
    task.space.is_kin = False
    if task.loop is not None:
        task.loop.reinstall(task)
