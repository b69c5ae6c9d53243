"""prctl(2): what a process sets about itself is kept for it to read back. Source: prctl(2), kernel/sys.c of Linux 6.18.

Not here: options that would change what the CPU or memory do and cannot be had (EINVAL, as on a kernel without them).
"""

from __future__ import annotations

import errno
from struct import pack

from ...errors import LinuxError
from ...flags import READ
from ...kernel.abi import c_int, c_ulong
from ..mem.mm import MDWE_NO_INHERIT, MDWE_REFUSE_EXEC_GAIN
from ..registry import call
from ..task.creds import CAP_SETPCAP, SECBIT_KEEP_CAPS, SECBIT_NO_CAP_AMBIENT_RAISE
from ..task.kept import MCE_DEFAULT, PR_TSC_ENABLE
from ..uaccess import USER_END, ConstBytes, put_bytes, put_user

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..task.task import LinuxTask

PR_SET_PDEATHSIG, PR_GET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_DUMPABLE = 1, 2, 3, 4
PR_GET_KEEPCAPS, PR_SET_KEEPCAPS, PR_GET_TIMING, PR_SET_TIMING, PR_SET_NAME, PR_GET_NAME = 7, 8, 13, 14, 15, 16
PR_GET_SECCOMP, PR_SET_SECCOMP, PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_GET_TSC, PR_SET_TSC = 21, 22, 23, 24, 25, 26
PR_GET_SECUREBITS, PR_SET_SECUREBITS, PR_SET_TIMERSLACK, PR_GET_TIMERSLACK = 27, 28, 29, 30
PR_TASK_PERF_EVENTS_DISABLE, PR_TASK_PERF_EVENTS_ENABLE, PR_MCE_KILL, PR_MCE_KILL_GET = 31, 32, 33, 34
PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS = 36, 37, 38, 39
PR_GET_TID_ADDRESS, PR_SET_THP_DISABLE, PR_GET_THP_DISABLE, PR_CAP_AMBIENT = 40, 41, 42, 47
PR_SET_MM, PR_GET_SPECULATION_CTRL, PR_SET_SPECULATION_CTRL, PR_SET_IO_FLUSHER, PR_GET_IO_FLUSHER = 35, 52, 53, 57, 58
PR_SET_SYSCALL_USER_DISPATCH, PR_SET_MDWE, PR_GET_MDWE, PR_SET_MEMORY_MERGE, PR_GET_MEMORY_MERGE = 59, 65, 66, 67, 68
PR_TIMER_CREATE_RESTORE_IDS, PR_GET_AUXV = 77, 0x4155_5856

_CAP_LAST_CAP = 40
_SECURE_ALL, _SECURE_LOCKS, _SECURE_OF_ANYBODY = 0xFFF, 0xAAA, 0xF00
_KEEP_CAPS_LOCKED = SECBIT_KEEP_CAPS << 1
_MM_AUXV, _MM_MAP, _MM_MAP_SIZE, _SIZE_OF_MM_MAP = 12, 14, 15, 104
_STORE_BYPASS, _INDIRECT_BRANCH, _L1D_FLUSH = 0, 1, 2
_SPEC_PRCTL, _SPEC_ENABLE, _SPEC_DISABLE, _SPEC_FORCE_DISABLE, _SPEC_DISABLE_NOEXEC = 1, 2, 4, 8, 16
_DISPATCH_OFF, _DISPATCH_OUTSIDE, _DISPATCH_INSIDE = 0, 1, 2
_RESTORE_OFF, _RESTORE_ON, _RESTORE_GET = 0, 1, 2
_SAVED_AUXV = 8 * 56
"""sizeof(mm->saved_auxv) on x86-64."""
_PR_TSC_SIGSEGV = 2
_MCE_LATE, _MCE_EARLY = 0, 1
_THP_EXCEPT_ADVISED = 2
_AMBIENT_IS_SET, _AMBIENT_RAISE, _AMBIENT_LOWER, _AMBIENT_CLEAR_ALL = 1, 2, 3, 4


def _refuse(*arguments: int) -> None:
    """EINVAL unless the arguments that an option does not have are 0."""
    if any(arguments):
        raise LinuxError(errno.EINVAL)


@call("prctl")
def sys_prctl(task: LinuxTask, option: c_int, arg2: c_ulong, arg3: c_ulong, arg4: c_ulong, arg5: c_ulong) -> int:
    handler = _OPTIONS.get(option)
    if handler is None:
        raise LinuxError(errno.EINVAL)
    return handler(task, arg2, arg3, arg4, arg5)


def _set_name(task: LinuxTask, arg2: int, *unused: int) -> int:
    """16 bytes at most, and the terminator need not be among them."""
    name = bytearray(16)
    got = int(ConstBytes(arg2).copy_in(task, name))
    if got < 16 and b"\0" not in name[:got]:
        raise task.space.fault(arg2 + got, READ)
    task.comm = bytes(name).split(b"\0")[0][:15]
    return 0


def _get_name(task: LinuxTask, arg2: int, *unused: int) -> int:
    put_bytes(task, arg2, task.comm.ljust(16, b"\0"))
    return 0


def _set_pdeath_signal(task: LinuxTask, arg2: int, *unused: int) -> int:
    _refuse(arg2 > 64)
    task.kept.pdeath_signal = arg2
    return 0


def _get_pdeath_signal(task: LinuxTask, arg2: int, *unused: int) -> int:
    put_user(task, arg2, pack("<i", task.kept.pdeath_signal))
    return 0


def _set_dumpable(task: LinuxTask, arg2: int, *unused: int) -> int:
    _refuse(arg2 > 1)
    task.mm.dumpable = bool(arg2)
    task.space.is_kin = task.space.is_kin and task.mm.dumpable
    return 0


def _set_keep_caps(task: LinuxTask, arg2: int, *unused: int) -> int:
    _refuse(arg2 > 1)
    bits = task.creds.securebits
    if bits & _KEEP_CAPS_LOCKED:
        raise LinuxError(errno.EPERM)
    task.adopt(task.creds.but(securebits=bits | SECBIT_KEEP_CAPS if arg2 else bits & ~SECBIT_KEEP_CAPS))
    return 0


def _set_secure_bits(task: LinuxTask, arg2: int, *unused: int) -> int:
    """EPERM for what is locked, or is no such bit; what concerns capabilities takes CAP_SETPCAP (cap_task_prctl)."""
    old = task.creds.securebits
    changed = old ^ arg2
    locked = old & _SECURE_LOCKS
    if locked >> 1 & changed or locked & ~arg2 or arg2 & ~_SECURE_ALL:
        raise LinuxError(errno.EPERM)
    if changed & ~_SECURE_OF_ANYBODY and not task.creds.has_here(CAP_SETPCAP):
        raise LinuxError(errno.EPERM)
    task.adopt(task.creds.but(securebits=arg2))
    return 0


def _set_timing(task: LinuxTask, arg2: int, *unused: int) -> int:
    _refuse(arg2)  # the other way of counting time was never there
    return 0


def _set_seccomp(task: LinuxTask, arg2: int, arg3: int, *unused: int) -> int:
    from .seccomp import set_filter, set_strict

    _refuse(arg2 not in (1, 2))
    return set_strict(task) if arg2 == 1 else set_filter(task, 0, arg3)


def _capbset_read(task: LinuxTask, arg2: int, *unused: int) -> int:
    _refuse(arg2 > _CAP_LAST_CAP)
    return task.creds.bounding >> arg2 & 1


def _capbset_drop(task: LinuxTask, arg2: int, *unused: int) -> int:
    if not task.creds.has_here(CAP_SETPCAP):
        raise LinuxError(errno.EPERM)
    _refuse(arg2 > _CAP_LAST_CAP)
    task.adopt(task.creds.but(bounding=task.creds.bounding & ~(1 << arg2)))
    return 0


def _set_tsc(task: LinuxTask, arg2: int, *unused: int) -> int:
    """Kept; `rdtsc` works all the same."""
    _refuse(arg2 not in (PR_TSC_ENABLE, _PR_TSC_SIGSEGV))
    task.kept.tsc = arg2
    return 0


def _get_tsc(task: LinuxTask, arg2: int, *unused: int) -> int:
    put_user(task, arg2, pack("<i", task.kept.tsc))
    return 0


def _set_timer_slack(task: LinuxTask, arg2: int, *unused: int) -> int:
    kept = task.kept
    kept.timer_slack = arg2 or kept.default_slack
    return 0


def _get_timer_slack(task: LinuxTask, *unused: int) -> int:
    slack = task.kept.timer_slack
    return slack if slack is not None else task.machine.host.prctl(PR_GET_TIMERSLACK)


def _mce_kill(task: LinuxTask, arg2: int, arg3: int, arg4: int, arg5: int) -> int:
    _refuse(arg4, arg5, arg2 not in (0, 1), arg3 if arg2 == 0 else 0)
    if arg2 and arg3 not in (_MCE_LATE, _MCE_EARLY, MCE_DEFAULT):
        if task.kept.mce == MCE_DEFAULT:  # that the process has a will of its own is noted before it is looked at
            task.kept.mce = _MCE_LATE
        raise LinuxError(errno.EINVAL)
    task.kept.mce = arg3 if arg2 else MCE_DEFAULT
    return 0


def _mce_kill_get(task: LinuxTask, *args: int) -> int:
    _refuse(*args)
    return task.kept.mce


def _set_subreaper(task: LinuxTask, arg2: int, *unused: int) -> int:
    task.group.subreaper = bool(arg2)
    return 0


def _get_subreaper(task: LinuxTask, arg2: int, *unused: int) -> int:
    put_user(task, arg2, pack("<i", task.group.subreaper))
    return 0


def _set_no_new_privs(task: LinuxTask, arg2: int, *rest: int) -> int:
    _refuse(arg2 != 1, *rest)
    task.kept.no_new_privs = 1
    return 0


def _get_no_new_privs(task: LinuxTask, *args: int) -> int:
    """What the host's process has is not its own: it may be there to confine that one."""
    _refuse(*args)
    return task.kept.no_new_privs or 0


def _get_tid_address(task: LinuxTask, arg2: int, *unused: int) -> int:
    put_user(task, arg2, pack("<Q", task.clear_child_tid))
    return 0


def _set_thp_disable(task: LinuxTask, arg2: int, arg3: int, arg4: int, arg5: int) -> int:
    _refuse(arg4, arg5, arg3 & ~_THP_EXCEPT_ADVISED if arg2 else arg3)
    task.kept.thp_disabled = (1 | arg3) if arg2 else 0
    return 0


def _get_thp_disable(task: LinuxTask, *args: int) -> int:
    _refuse(*args)
    kept = task.kept.thp_disabled
    return kept if kept is not None else task.machine.host.prctl(PR_GET_THP_DISABLE)


def _cap_ambient(task: LinuxTask, arg2: int, arg3: int, arg4: int, arg5: int) -> int:
    if arg2 == _AMBIENT_CLEAR_ALL:
        _refuse(arg3, arg4, arg5)
        task.adopt(task.creds.but(ambient=0))
        return 0
    _refuse(arg3 > _CAP_LAST_CAP, arg4, arg5, arg2 not in (_AMBIENT_IS_SET, _AMBIENT_RAISE, _AMBIENT_LOWER))
    creds, bit = task.creds, 1 << arg3
    if arg2 == _AMBIENT_IS_SET:
        return creds.ambient >> arg3 & 1
    if arg2 == _AMBIENT_RAISE and (
        not creds.permitted & creds.inheritable & bit or creds.securebits & SECBIT_NO_CAP_AMBIENT_RAISE
    ):
        raise LinuxError(errno.EPERM)
    task.adopt(creds.but(ambient=creds.ambient | bit if arg2 == _AMBIENT_RAISE else creds.ambient & ~bit))
    return 0


def _get_speculation(task: LinuxTask, arg2: int, arg3: int, arg4: int, arg5: int) -> int:
    _refuse(arg3, arg4, arg5)
    return task.machine.host.prctl(PR_GET_SPECULATION_CTRL, arg2 & 0x7FFF_FFFF)


def _set_speculation(task: LinuxTask, arg2: int, arg3: int, arg4: int, arg5: int) -> int:
    """As the host's CPU has it, whose ways are not the program's to change: what could be is said to be (bugs.c)."""
    _refuse(arg4, arg5)
    now = task.machine.host.prctl(PR_GET_SPECULATION_CTRL, arg2 & 0x7FFF_FFFF)  # ENODEV
    ways: tuple[int, ...] = (_SPEC_ENABLE, _SPEC_DISABLE, _SPEC_FORCE_DISABLE)
    if arg2 == _STORE_BYPASS:
        if not now & _SPEC_PRCTL:
            raise LinuxError(errno.ENXIO)
        ways = (*ways, _SPEC_DISABLE_NOEXEC)
    elif arg2 == _L1D_FLUSH:
        if not now & _SPEC_PRCTL:
            raise LinuxError(errno.EPERM)
        ways = (_SPEC_ENABLE, _SPEC_DISABLE)
    if arg3 not in ways:
        raise LinuxError(errno.ERANGE)
    if arg2 == _INDIRECT_BRANCH and arg3 != _SPEC_ENABLE and not now & _SPEC_PRCTL:
        raise LinuxError(errno.EPERM)
    return 0


def _set_mm(task: LinuxTask, arg2: int, arg3: int, arg4: int, arg5: int) -> int:
    """Where things are in its memory: takes CAP_SYS_RESOURCE (prctl_set_mm)."""
    _refuse(arg5, arg4 if arg2 not in (_MM_AUXV, _MM_MAP, _MM_MAP_SIZE) else 0)
    if arg2 == _MM_MAP_SIZE:
        put_user(task, arg3, pack("<I", _SIZE_OF_MM_MAP))
        return 0
    _refuse(arg2 == _MM_MAP and arg4 != _SIZE_OF_MM_MAP)
    raise LinuxError(errno.EPERM)


def _set_mdwe(task: LinuxTask, arg2: int, *rest: int) -> int:
    _refuse(*rest, arg2 & ~(MDWE_REFUSE_EXEC_GAIN | MDWE_NO_INHERIT))
    _refuse(arg2 & MDWE_NO_INHERIT and not arg2 & MDWE_REFUSE_EXEC_GAIN)
    if task.mm.deny_gain not in (0, arg2):
        raise LinuxError(errno.EPERM)
    task.mm.deny_gain = arg2
    return 0


def _get_mdwe(task: LinuxTask, *args: int) -> int:
    _refuse(*args)
    return task.mm.deny_gain


def _set_memory_merge(task: LinuxTask, arg2: int, *rest: int) -> int:
    _refuse(*rest)
    task.mm.merges = bool(arg2)
    return 0


def _get_memory_merge(task: LinuxTask, *args: int) -> int:
    _refuse(*args)
    return int(task.mm.merges)


def _user_dispatch(task: LinuxTask, mode: int, start: int, size: int, selector: int) -> int:
    """Have calls come back as signals, but for those made in some place or, inclusively, outside of one
    (task_set_syscall_user_dispatch)."""
    if mode == _DISPATCH_OFF:
        _refuse(start, size, selector)
        task.diverted = None
        return 0
    end = start + size & (1 << 64) - 1
    _refuse(mode not in (_DISPATCH_OUTSIDE, _DISPATCH_INSIDE))
    _refuse(end <= start and bool(start if mode == _DISPATCH_OUTSIDE else True))
    if selector >= USER_END:
        raise LinuxError(errno.EFAULT)
    from ..task.userdispatch import Diverted  # which few programs have

    inside = mode == _DISPATCH_INSIDE
    task.diverted = Diverted(end, (1 << 64) - size, selector) if inside else Diverted(start, size, selector)
    if task.loop is not None:
        task.loop.reinstall(task)
    return 0


def _restore_ids(task: LinuxTask, arg2: int, *rest: int) -> int:
    """Whether timer_create takes the number that it finds (posixtimer_create_prctl)."""
    _refuse(*rest, arg2 not in (_RESTORE_OFF, _RESTORE_ON, _RESTORE_GET))
    if arg2 == _RESTORE_GET:
        return int(task.group.timers.restores)
    task.group.timers.restores = arg2 == _RESTORE_ON
    return 0


def _get_auxv(task: LinuxTask, arg2: int, arg3: int, arg4: int, arg5: int) -> int:
    """The auxiliary vector as it began, as far as there is room; the size that it has (prctl_get_auxv)."""
    _refuse(arg4, arg5)
    put_user(task, arg2, task.mm.auxv.ljust(_SAVED_AUXV, b"\0")[:arg3])
    return _SAVED_AUXV


def _not_permitted(task: LinuxTask, *unused: int) -> int:
    raise LinuxError(errno.EPERM)


def _nothing(task: LinuxTask, *unused: int) -> int:
    return 0


_OPTIONS: dict[int, Callable[..., int]] = {
    PR_SET_PDEATHSIG: _set_pdeath_signal,
    PR_GET_PDEATHSIG: _get_pdeath_signal,
    PR_GET_DUMPABLE: lambda task, *unused: int(task.mm.dumpable),
    PR_SET_DUMPABLE: _set_dumpable,
    PR_GET_KEEPCAPS: lambda task, *unused: int(bool(task.creds.securebits & SECBIT_KEEP_CAPS)),
    PR_SET_KEEPCAPS: _set_keep_caps,
    PR_GET_TIMING: _nothing,
    PR_SET_TIMING: _set_timing,
    PR_SET_NAME: _set_name,
    PR_GET_NAME: _get_name,
    PR_GET_SECCOMP: lambda task, *unused: task.seccomp.mode if task.seccomp is not None else 0,
    PR_SET_SECCOMP: _set_seccomp,
    PR_CAPBSET_READ: _capbset_read,
    PR_CAPBSET_DROP: _capbset_drop,
    PR_GET_TSC: _get_tsc,
    PR_SET_TSC: _set_tsc,
    PR_GET_SECUREBITS: lambda task, *unused: task.creds.securebits,
    PR_SET_SECUREBITS: _set_secure_bits,
    PR_SET_TIMERSLACK: _set_timer_slack,
    PR_GET_TIMERSLACK: _get_timer_slack,
    PR_TASK_PERF_EVENTS_DISABLE: _nothing,
    PR_TASK_PERF_EVENTS_ENABLE: _nothing,
    PR_MCE_KILL: _mce_kill,
    PR_MCE_KILL_GET: _mce_kill_get,
    PR_SET_CHILD_SUBREAPER: _set_subreaper,
    PR_GET_CHILD_SUBREAPER: _get_subreaper,
    PR_SET_NO_NEW_PRIVS: _set_no_new_privs,
    PR_GET_NO_NEW_PRIVS: _get_no_new_privs,
    PR_GET_TID_ADDRESS: _get_tid_address,
    PR_SET_THP_DISABLE: _set_thp_disable,
    PR_GET_THP_DISABLE: _get_thp_disable,
    PR_CAP_AMBIENT: _cap_ambient,
    PR_GET_SPECULATION_CTRL: _get_speculation,
    PR_SET_MM: _set_mm,
    PR_SET_SPECULATION_CTRL: _set_speculation,
    PR_SET_SYSCALL_USER_DISPATCH: _user_dispatch,
    PR_SET_MDWE: _set_mdwe,
    PR_GET_MDWE: _get_mdwe,
    PR_SET_MEMORY_MERGE: _set_memory_merge,
    PR_GET_MEMORY_MERGE: _get_memory_merge,
    PR_TIMER_CREATE_RESTORE_IDS: _restore_ids,
    PR_GET_AUXV: _get_auxv,
    PR_SET_IO_FLUSHER: _not_permitted,
    PR_GET_IO_FLUSHER: _not_permitted,
}
