"""The calls about signals. Source: sigaction(2), sigprocmask(2), sigaltstack(2), sigsuspend(2), kill(2), alarm(2),
setitimer(2)."""

from __future__ import annotations

import errno
import os
from struct import pack, unpack, unpack_from

from ...errors import LinuxError
from ...kernel.abi import c_int, c_size_t, c_uint
from ..abi.signals import (
    SA_KNOWN,
    SI_KERNEL,
    SI_TKILL,
    SI_USER,
    SIGKILL,
    SIGSEGV,
    SIGSTOP,
    Info,
    bit,
)
from ..abi.timespec import KTIME_MAX, read_timespec
from ..arch import frames
from ..registry import call
from ..signals.actions import Action
from ..signals.sending import require_permission, send_all, send_from
from ..signals.state import NEVER, NO_HANDLER, on_altstack
from ..task.timers import (
    ITIMER_PROF,
    ITIMER_REAL,
    ITIMER_VIRTUAL,
    Timer,
)
from ..uaccess import (
    Bytes,
    ConstBytes,
    get_bytes,
    put_bytes,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.group import ThreadGroup
    from ..task.task import LinuxTask

_BILLION = 1_000_000_000


@call("rt_sigaction")
def sys_rt_sigaction(task: LinuxTask, signal: c_int, act: ConstBytes, oldact: Bytes, size: c_size_t) -> int:
    if size != 8:
        raise LinuxError(errno.EINVAL)
    layouts = task.layouts
    new = layouts.read_action(get_bytes(task, act.address, layouts.action.size)) if not act.is_null else None
    if not 1 <= signal <= 64 or (new is not None and signal in (SIGKILL, SIGSTOP)):
        raise LinuxError(errno.EINVAL)
    signals = task.signals
    old = signals.actions.get(signal)
    if new is not None:
        handler, flags, restorer, mask = new
        kept = mask & ~(bit(SIGKILL) | bit(SIGSTOP))
        signals.actions.set(signal, Action(handler, flags & SA_KNOWN, restorer, kept))
        if signals.actions.ignores(signal):
            signals.pending.discard(bit(signal))
        elif (timers := task.timers.made) is not None:
            timers.heed(signal)
        if task.host_signals is not None:
            task.host_signals.follow(signals)
    if not oldact.is_null:
        put_bytes(task, oldact.address, layouts.pack_action(old.handler, old.flags, old.restorer, old.mask))
    return 0


@call("rt_sigprocmask")
def sys_rt_sigprocmask(task: LinuxTask, how: c_int, new: ConstBytes, old: Bytes, size: c_size_t) -> int:
    if size != 8:
        raise LinuxError(errno.EINVAL)
    signals = task.signals
    before = signals.blocked
    if not new.is_null:
        (mask,) = unpack("<Q", get_bytes(task, new.address, 8))
        if how not in (0, 1, 2):
            raise LinuxError(errno.EINVAL)
        signals.set_blocked(task, before | mask if how == 0 else before & ~mask if how == 1 else mask)
    if not old.is_null:
        put_bytes(task, old.address, pack("<Q", before))
    return 0


@call("rt_sigreturn")
def sys_rt_sigreturn(task: LinuxTask) -> int | None:
    try:
        frames(task).pop_frame(task)
    except LinuxError as error:
        task.signals.force(task, Info(SIGSEGV, SI_KERNEL, fault=error))
        task.engine.stop()
    return None


@call("rt_sigpending")
def sys_rt_sigpending(task: LinuxTask, buf: Bytes, size: c_size_t) -> int:
    if size > 8:
        raise LinuxError(errno.EINVAL)
    mask = task.signals.pending.mask & task.signals.blocked
    put_bytes(task, buf.address, pack("<Q", mask)[:size])
    return 0


@call("sigaltstack")
def sys_sigaltstack(task: LinuxTask, new: ConstBytes, old: Bytes) -> int:
    signals = task.signals
    address, flags, size = before = signals.altstack
    on_stack = on_altstack(before, task.engine.regs.sp)
    if not new.is_null:
        address, flags, size = unpack("<QI4xQ", get_bytes(task, new.address, 24))
        if on_stack:
            raise LinuxError(errno.EPERM)
        mode = flags & ~(1 << 31)
        if mode not in (0, 1, 2):
            raise LinuxError(errno.EINVAL)
        if mode == 2:
            address = size = 0
        elif size < 2048 and (address, flags, size, *before) != (0, 0, 0, 0, 2, 0):  # which changes nothing
            raise LinuxError(errno.ENOMEM)
        signals.altstack = (address, flags & ~1 if size or mode else 2, size)
    if not old.is_null:
        put_bytes(task, old.address, pack("<QI4xQ", before[0], before[1] | on_stack, before[2]))
    return 0


@call("rt_sigsuspend")
def sys_rt_sigsuspend(task: LinuxTask, mask: ConstBytes, size: c_size_t) -> int | None:
    if size != 8:
        raise LinuxError(errno.EINVAL)
    (new,) = unpack("<Q", get_bytes(task, mask.address, 8))
    signals = task.signals
    signals.saved_mask = signals.blocked
    signals.set_blocked(task, new)
    return task.block(restart=NO_HANDLER)


@call("pause")
def sys_pause(task: LinuxTask) -> int | None:
    return task.block(restart=NO_HANDLER)


@call("rt_sigtimedwait")
def sys_rt_sigtimedwait(
    task: LinuxTask, mask: ConstBytes, info: Bytes, timeout: ConstBytes, size: c_size_t
) -> int | None:
    if size != 8:
        raise LinuxError(errno.EINVAL)
    (wanted,) = unpack("<Q", get_bytes(task, mask.address, 8))
    until = None
    if not timeout.is_null:
        until = task.machine.host.monotonic() + read_timespec(task, timeout.address)
    return _await(task, wanted & ~(bit(SIGKILL) | bit(SIGSTOP)), info.address, until)


def _await(task: LinuxTask, wanted: int, info: int, until: float | None) -> int | None:
    """Take a pending signal of the mask `wanted`, blocked or not, once there is one; EAGAIN when the time is over."""
    signals = task.signals
    signals.waited_for = 0
    found = signals.take(wanted)
    if found is None:
        if until is not None and task.machine.host.monotonic() >= until:
            raise LinuxError(errno.EAGAIN)
        resume = _await, (wanted, info, until)
        signals.waited_for = wanted
        return task.block(on=[(signals, wanted)], until=until, again=resume, restart=NEVER, interrupted=_give_up)
    if info:
        put_bytes(task, info, found.pack())
    return found.signal


def _give_up(task: LinuxTask, wanted: int, info: int, until: float | None) -> None:
    task.signals.waited_for = 0


# -- sending


def _thread(task: LinuxTask, tid: int) -> LinuxTask:
    """ESRCH if there is none."""
    goal = task.machine.thread(tid)
    if goal is None:
        raise LinuxError(errno.ESRCH)
    return goal


def process(task: LinuxTask, pid: int) -> tuple[ThreadGroup, LinuxTask | None]:
    """A process by its number, or that of one of its threads, which then gets the signal if it can. ESRCH."""
    pids = task.machine.pids
    goal = pids.groups.get(pid)
    if goal is not None:
        return goal, None
    thread = _thread(task, pid)
    return thread.group, thread


@call("kill")
def sys_kill(task: LinuxTask, pid: c_int, signal: c_int) -> int:
    """To processes of the machine; nobody outside is ever sent a signal."""
    pids, own = task.machine.pids, task.group
    info = Info(signal, SI_USER, pid=own.tgid, uid=task.creds.uid)
    if pid > 0:
        goal, first = process(task, pid)
        send_from(task, goal, info, first)
    elif pid == -1:
        _kill_all(task, info)
    elif pid == -(1 << 31):
        raise LinuxError(errno.ESRCH)
    else:
        send_all(task, pids.members(-pid if pid else own.pgid), info)
    return 0


def _kill_all(task: LinuxTask, info: Info) -> None:
    """All but init and oneself: of errors only those that are no lack of rights are told."""
    goals = [goal for goal in task.machine.pids.groups.values() if goal.tgid > 1 and goal is not task.group]
    if not goals:
        raise LinuxError(errno.EINVAL if not 0 <= info.signal <= 64 else errno.ESRCH)
    for goal in goals:
        try:
            send_from(task, goal, info)
        except LinuxError as error:
            if error.errno != errno.EPERM:
                raise


def _send_thread(task: LinuxTask, goal: LinuxTask, info: Info) -> int:
    require_permission(task, goal.group, info.signal)
    if info.signal and not goal.dead:
        goal.signals.send(goal, info, own=True)
    return 0


@call("tkill")
def sys_tkill(task: LinuxTask, tid: c_int, signal: c_int) -> int:
    if tid <= 0:
        raise LinuxError(errno.EINVAL)
    return _send_thread(task, _thread(task, tid), Info(signal, SI_TKILL, pid=task.pid, uid=task.creds.uid))


@call("tgkill")
def sys_tgkill(task: LinuxTask, tgid: c_int, tid: c_int, signal: c_int) -> int:
    if tgid <= 0 or tid <= 0:
        raise LinuxError(errno.EINVAL)
    goal = _thread(task, tid)
    if goal.pid != tgid:
        raise LinuxError(errno.ESRCH)
    return _send_thread(task, goal, Info(signal, SI_TKILL, pid=task.pid, uid=task.creds.uid))


_KERNEL_SIGINFO = 48
"""What the kernel takes of a siginfo_t of 128 bytes (struct kernel_siginfo)."""


def _siginfo(task: LinuxTask, info: ConstBytes) -> bytes:
    return get_bytes(task, info.address, _KERNEL_SIGINFO).ljust(128, b"\0")


def _posing(data: bytes) -> bool:
    """Whether a siginfo looks as only the kernel's own, or kill's, may."""
    code: int = unpack_from("<i", data, 8)[0]
    return code >= 0 or code == SI_TKILL


@call("rt_sigqueueinfo")
def sys_rt_sigqueueinfo(task: LinuxTask, pid: c_int, signal: c_int, info: ConstBytes) -> int:
    data = _siginfo(task, info)
    if _posing(data) and pid != task.pid:
        raise LinuxError(errno.EPERM)
    goal, first = process(task, pid)
    send_from(task, goal, Info.of(signal, data), first)
    return 0


@call("rt_tgsigqueueinfo")
def sys_rt_tgsigqueueinfo(task: LinuxTask, tgid: c_int, tid: c_int, signal: c_int, info: ConstBytes) -> int:
    data = _siginfo(task, info)
    if tgid <= 0 or tid <= 0:
        raise LinuxError(errno.EINVAL)
    if _posing(data) and tid != task.tid:
        raise LinuxError(errno.EPERM)
    goal = _thread(task, tid)
    if goal.pid != tgid:
        raise LinuxError(errno.ESRCH)
    return _send_thread(task, goal, Info.of(signal, data))


@call("pidfd_send_signal")
def sys_pidfd_send_signal(task: LinuxTask, fd: c_int, signal: c_int, info: ConstBytes, flags: c_uint) -> int:
    """To whom a pidfd refers, which stays who he is. By flags to the thread, the process, or its process group."""
    from ..files.pidfd import PidFile  # which few programs have

    if flags & ~_PIDFD_SIGNAL or flags & (flags - 1):
        raise LinuxError(errno.EINVAL)
    file, groups = task.files.get_io(fd), task.machine.pids.groups
    if isinstance(file, PidFile):
        group: ThreadGroup | None = file.group
    else:
        node = file.node()
        if node is None or node.process is None:
            raise LinuxError(errno.EBADF)
        group = groups.get(node.process)
    made = Info(signal, SI_USER, pid=task.pid, uid=task.creds.uid)
    if not info.is_null:
        data = _siginfo(task, info)
        if unpack_from("<i", data)[0] != signal:
            raise LinuxError(errno.EINVAL)
        if _posing(data) and group is not task.group:
            raise LinuxError(errno.EPERM)
        made = Info.of(signal, data)
    if group is None or groups.get(group.tgid) is not group:
        raise LinuxError(errno.ESRCH)
    if flags == _PIDFD_SIGNAL_PROCESS_GROUP:
        send_all(task, task.machine.pids.members(group.tgid), made)
    else:
        send_from(task, group, made)
    return 0


_PIDFD_SIGNAL, _PIDFD_SIGNAL_PROCESS_GROUP = 7, 4


# -- timers


_TICK = 4_000_000
"""What is added to a time of the CPU's clocks, which is not to end early (TICK_NSEC at CONFIG_HZ=250)."""


@call("alarm")
def sys_alarm(task: LinuxTask, seconds: c_uint) -> int:
    timer, now = task.group.timers.clock_of(ITIMER_REAL)
    whole, nanos = divmod(timer.left(now), _BILLION)
    timer.set(now, seconds * _BILLION, 0)
    task.timers.arm(task)
    return whole + (nanos >= _BILLION // 2 or (nanos > 0 and whole == 0))


def _pack_itimer(timer: Timer, now: int) -> bytes:
    """struct itimerval; a timer that is set is never told to have nothing left."""
    left = timer.left(now)
    micros = left // 1000 or (1 if left else 0)
    return pack("<qqqq", *divmod(timer.interval // 1000, 10**6), *divmod(micros, 10**6))


@call("getitimer")
def sys_getitimer(task: LinuxTask, which: c_int, value: Bytes) -> int:
    if which not in (ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF):
        raise LinuxError(errno.EINVAL)
    put_bytes(task, value.address, _pack_itimer(*task.group.timers.clock_of(which)))
    return 0


@call("setitimer")
def sys_setitimer(task: LinuxTask, which: c_int, new: ConstBytes, old: Bytes) -> int:
    words = unpack("<qqqq", get_bytes(task, new.address, 32)) if not new.is_null else (0, 0, 0, 0)
    if which not in (ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF):
        raise LinuxError(errno.EINVAL)
    if any(w < 0 for w in words) or words[1] >= 10**6 or words[3] >= 10**6:
        raise LinuxError(errno.EINVAL)
    timer, now = task.group.timers.clock_of(which)
    before = _pack_itimer(timer, now)
    interval, value = (words[i] * _BILLION + words[i + 1] * 1000 for i in (0, 2))
    if which != ITIMER_REAL and value:
        value += _TICK
    timer.set(now, value, interval)
    if which != ITIMER_REAL and not value:
        timer.interval = min(interval, KTIME_MAX)
    task.timers.arm(task)
    if not old.is_null:
        put_bytes(task, old.address, before)
    return 0


# -- signals by a descriptor


@call("signalfd4")
def sys_signalfd4(task: LinuxTask, fd: c_int, mask: ConstBytes, size: c_size_t, flags: c_int) -> int:
    from ..files.signalfd import SignalFile  # which few programs need

    if size != 8:
        raise LinuxError(errno.EINVAL)
    (wanted,) = unpack("<Q", get_bytes(task, mask.address, 8))
    if flags & ~(os.O_CLOEXEC | os.O_NONBLOCK):
        raise LinuxError(errno.EINVAL)
    wanted &= ~(bit(SIGKILL) | bit(SIGSTOP))
    if fd == -1:
        file = SignalFile(task, wanted, flags & os.O_NONBLOCK)
        return task.files.add(file, cloexec=bool(flags & os.O_CLOEXEC))
    found = task.files.get_io(fd)
    if not isinstance(found, SignalFile):
        raise LinuxError(errno.EINVAL)
    found.set_mask(wanted)
    return fd


@call("signalfd")
def sys_signalfd(task: LinuxTask, fd: c_int, mask: ConstBytes, size: c_size_t) -> int:
    return sys_signalfd4(task, fd, mask, size, 0)
