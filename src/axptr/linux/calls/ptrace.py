"""ptrace: what a tracer asks of its tracees. Source: ptrace(2), kernel/ptrace.c,
arch/x86/kernel/ptrace.c of Linux 6.18.

Only tasks of the machine have numbers here, so nothing of the host's can be traced. Left out (EIO, as on a CPU or a
kernel without): block steps, reading seccomp's filters.

Not here: stops (`task.trace`), waits (`task.children`), registers (`task.traceregs`).
"""

from __future__ import annotations

import errno
from struct import Struct, pack, unpack, unpack_from

from ...errors import LinuxError, UserFault
from ...flags import WRITE
from ...kernel.abi import c_long, c_ulong
from ..abi.signals import SI_KERNEL, SIGKILL, SIGSTOP, SIGTRAP, Info
from ..arch.x86_64.prctl import ARCH_GET_FS, ARCH_GET_GS, ARCH_SET_FS, ARCH_SET_GS
from ..proc.nodes import present_bytes
from ..registry import call
from ..task import traceregs as registers
from ..task.creds import CAP_SYS_ADMIN
from ..task.ending import tell_end
from ..task.looking import bares, may_look
from ..task.seccomp import suspended
from ..task.trace import (
    EXITKILL,
    SECCOMP,
    SUSPEND_SECCOMP,
    SYSCALL_ENTRY,
    SYSCALL_EXIT,
    Trace,
    attach,
    let_go,
    resume,
    stop_if_halted,
)
from ..uaccess import USER_END, get_bytes, put_bytes, put_user

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..task.task import LinuxTask

    Request = Callable[[LinuxTask, LinuxTask, Trace, int, int], "int | None"]

_TRACEME, _ATTACH, _SEIZE, _INTERRUPT, _KILL = 0, 16, 0x4206, 0x4207, 8
_CONT, _SINGLESTEP, _SYSCALL, _SYSEMU, _SYSEMU_SINGLESTEP = 7, 9, 24, 31, 32
_OPTIONS = 0xFF | EXITKILL | SUSPEND_SECCOMP
_SYSCALL_SECCOMP = 3
_NT_PRSTATUS, _NT_FPREGSET, _NT_X86_XSTATE = 1, 2, 0x202
_SIGINFO = 128
_BASES = {ARCH_GET_FS: 168, ARCH_SET_FS: 168, ARCH_GET_GS: 176, ARCH_SET_GS: 176}
"""Where each is in struct user."""
_RSEQ = Struct("<QIIII")
_WORD = 8
_MASK = (1 << 64) - 1


@call("ptrace")
def sys_ptrace(task: LinuxTask, request: c_long, pid: c_long, address: c_ulong, data: c_ulong) -> int | None:
    if request == _TRACEME:
        return _trace_me(task)
    pid &= 0xFFFF_FFFF
    tracee = task.machine.thread(pid)
    if tracee is None:
        raise LinuxError(errno.ESRCH)
    if request in (_ATTACH, _SEIZE):
        return _attach(task, tracee, request == _SEIZE, address, data)
    trace = tracee.trace
    if trace is None or trace.tracer is not task or tracee.dead:
        raise LinuxError(errno.ESRCH)
    if request == _KILL:
        tracee.signals.send(tracee, Info(SIGKILL, SI_KERNEL), own=True)
        return 0
    if request == _INTERRUPT:
        return _interrupt(tracee, trace)
    if not trace.stopped or trace.listening:
        raise LinuxError(errno.ESRCH)
    function = _REQUESTS.get(request)
    if function is None:
        raise LinuxError(errno.EIO)
    return function(task, tracee, trace, address, data)


# -- beginning


def _trace_me(task: LinuxTask) -> int:
    """The parent traces the caller; nobody does the machine's first process, whose parent is outside."""
    parent = task.group.born_of
    if (task.trace is not None and task.trace.tracer is not None) or parent is None or parent.dead:
        raise LinuxError(errno.EPERM)
    attach(task, parent, seized=False)
    return 0


def _attach(task: LinuxTask, tracee: LinuxTask, seize: bool, address: int, data: int) -> int:
    if seize:
        if address or data & ~_OPTIONS:
            raise LinuxError(errno.EIO)
        _require_options(task, data)
    if tracee.group in (task.group, task.machine.init) or not may_look(task, tracee, by_files=False):
        raise LinuxError(errno.EPERM)
    if tracee.dead or tracee.over or (tracee.trace is not None and tracee.trace.tracer is not None):
        raise LinuxError(errno.EPERM)
    attach(tracee, task, seized=seize, options=data if seize else 0)
    if not seize:
        tracee.signals.send(tracee, Info(SIGSTOP, SI_KERNEL), own=True)
    stop_if_halted(tracee)
    return 0


def _interrupt(tracee: LinuxTask, trace: Trace) -> int:
    """EIO for one that was not seized; it stops at the next chance."""
    if not trace.seized:
        raise LinuxError(errno.EIO)
    trace.trap = True
    if trace.listening:
        assert trace.tracer is not None
        resume(tracee, 0, trace.tracer)
    elif not trace.stopped:
        tracee.signals.alert = True
        tracee.interrupt()
    return 0


def _require_options(task: LinuxTask, options: int) -> None:
    if options & ~_OPTIONS:
        raise LinuxError(errno.EINVAL)
    if options & SUSPEND_SECCOMP and (not task.creds.has(CAP_SYS_ADMIN) or task.seccomp is not None or suspended(task)):
        raise LinuxError(errno.EPERM)


def _set_options(task: LinuxTask, tracee: LinuxTask, trace: Trace, address: int, data: int) -> int:
    _require_options(task, data)
    trace.options = data
    return 0


# -- going on


def _go_on(by_call: bool = False, by_step: bool = False, emulated: bool = False) -> Request:
    def request(task: LinuxTask, tracee: LinuxTask, trace: Trace, address: int, data: int) -> int:
        if data > 64:
            raise LinuxError(errno.EIO)
        trace.by_call, trace.by_step, trace.emulated = by_call, by_step, emulated
        resume(tracee, data, task)
        return 0

    return request


def _detach(task: LinuxTask, tracee: LinuxTask, trace: Trace, address: int, data: int) -> int:
    if data > 64:
        raise LinuxError(errno.EIO)
    if let_go(tracee, data):
        tell_end(tracee.group)
    return 0


def _listen(task: LinuxTask, tracee: LinuxTask, trace: Trace, address: int, data: int) -> int:
    """It stands for its process: what becomes of that is told."""
    if not trace.seized or not trace.at_group_stop:
        raise LinuxError(errno.EIO)
    if trace.trap:
        resume(tracee, 0, task)
    else:
        trace.listening = True
    return 0


# -- memory and registers


def _require_bare(task: LinuxTask, tracee: LinuxTask) -> None:
    """EIO for the memory of a program that the tracer could not read (ptrace_access_vm)."""
    if not bares(tracee.mm, task.creds):
        raise LinuxError(errno.EIO)


def _peek(task: LinuxTask, tracee: LinuxTask, trace: Trace, address: int, data: int) -> int:
    _require_bare(task, tracee)
    word = present_bytes(tracee, address, _WORD) if address <= USER_END - _WORD else b""
    if len(word) < _WORD:
        raise LinuxError(errno.EIO)
    put_bytes(task, data, word)
    return 0


def _poke(task: LinuxTask, tracee: LinuxTask, trace: Trace, address: int, data: int) -> int:
    """Whatever the permissions: a private page becomes the tracee's own. EIO where it is not there, or shared and not
    writable."""
    _require_bare(task, tracee)
    space, end = tracee.space, address + _WORD
    at = address
    while at < end:
        area = space.find_area(at) if end <= USER_END else None
        if area is None or (area.backend.shared and not area.flags & WRITE):
            raise LinuxError(errno.EIO)
        at = area.end
    try:
        space.write(address, pack("<Q", data))
    except UserFault:
        raise LinuxError(errno.EIO) from None
    return 0


def _peek_user(task: LinuxTask, tracee: LinuxTask, trace: Trace, address: int, data: int) -> int:
    put_bytes(task, data, pack("<Q", registers.peek(tracee, address)))
    return 0


def _poke_user(task: LinuxTask, tracee: LinuxTask, trace: Trace, address: int, data: int) -> int:
    registers.poke(tracee, task, address, data)
    return 0


def _get_regs(task: LinuxTask, tracee: LinuxTask, trace: Trace, address: int, data: int) -> int:
    put_bytes(task, data, registers.general(tracee))
    return 0


def _set_regs(task: LinuxTask, tracee: LinuxTask, trace: Trace, address: int, data: int) -> int:
    registers.set_general(tracee, task, get_bytes(task, data, registers.SIZE))
    return 0


def _get_fpregs(task: LinuxTask, tracee: LinuxTask, trace: Trace, address: int, data: int) -> int:
    put_bytes(task, data, registers.fxsave(tracee))
    return 0


def _set_fpregs(task: LinuxTask, tracee: LinuxTask, trace: Trace, address: int, data: int) -> int:
    registers.set_fxsave(tracee, task, get_bytes(task, data, registers.FXSAVE))
    return 0


_SETS = {
    _NT_PRSTATUS: (registers.general, registers.set_general),
    _NT_FPREGSET: (registers.fxsave, registers.set_fxsave),
    _NT_X86_XSTATE: (registers.xsave, registers.set_xsave),
}


def _regset(task: LinuxTask, tracee: LinuxTask, kind: int, data: int, write: bool) -> int:
    """A set of registers, as much as the tracer's iovec has room for (ptrace_regset)."""
    base, size = unpack("<QQ", get_bytes(task, data, 16))
    if kind not in _SETS or size % _WORD:
        raise LinuxError(errno.EINVAL)
    get, put = _SETS[kind]
    whole = get(tracee)
    size = min(size, len(whole))
    if write:
        put(tracee, task, get_bytes(task, base, size) + whole[size:])
    else:
        put_bytes(task, base, whole[:size])
    put_bytes(task, data + 8, pack("<Q", size))
    return 0


def _get_regset(task: LinuxTask, tracee: LinuxTask, trace: Trace, address: int, data: int) -> int:
    return _regset(task, tracee, address, data, write=False)


def _set_regset(task: LinuxTask, tracee: LinuxTask, trace: Trace, address: int, data: int) -> int:
    return _regset(task, tracee, address, data, write=True)


def _arch_prctl(task: LinuxTask, tracee: LinuxTask, trace: Trace, address: int, data: int) -> int:
    """What arch_prctl would do in the tracee; what it tells goes to the tracer. EINVAL for all but the bases."""
    place = _BASES.get(data & 0xFFFF_FFFF)
    if place is None:
        raise LinuxError(errno.EINVAL)
    if data in (ARCH_GET_FS, ARCH_GET_GS):
        put_user(task, address, pack("<Q", registers.peek(tracee, place)))
    elif address >= USER_END:
        raise LinuxError(errno.EPERM)
    else:
        registers.poke(tracee, task, place, address)
    return 0


def _get_rseq(task: LinuxTask, tracee: LinuxTask, trace: Trace, address: int, data: int) -> int:
    """struct ptrace_rseq_configuration, of that size alone."""
    if address != _RSEQ.size:
        raise LinuxError(errno.EINVAL)
    area = tracee.rseq
    put_bytes(task, data, _RSEQ.pack(*((area.address, area.size, area.signature) if area else (0, 0, 0)), 0, 0))
    return _RSEQ.size


# -- the stop, and signals


def _get_event(task: LinuxTask, tracee: LinuxTask, trace: Trace, address: int, data: int) -> int:
    put_bytes(task, data, pack("<Q", trace.message))
    return 0


def _get_siginfo(task: LinuxTask, tracee: LinuxTask, trace: Trace, address: int, data: int) -> int:
    if trace.info is None:
        raise LinuxError(errno.EINVAL)
    put_bytes(task, data, trace.info.pack())
    return 0


def _set_siginfo(task: LinuxTask, tracee: LinuxTask, trace: Trace, address: int, data: int) -> int:
    raw = get_bytes(task, data, _SIGINFO)
    if trace.info is None:
        raise LinuxError(errno.EINVAL)
    info = Info.of(unpack_from("<i", raw)[0], raw)
    info.cpu = trace.info.cpu
    trace.info = info
    return 0


def _get_sigmask(task: LinuxTask, tracee: LinuxTask, trace: Trace, address: int, data: int) -> int:
    if address != 8:
        raise LinuxError(errno.EINVAL)
    signals = tracee.signals
    put_bytes(task, data, pack("<Q", signals.blocked if signals.saved_mask is None else signals.saved_mask))
    return 0


def _set_sigmask(task: LinuxTask, tracee: LinuxTask, trace: Trace, address: int, data: int) -> int:
    if address != 8:
        raise LinuxError(errno.EINVAL)
    (mask,) = unpack("<Q", get_bytes(task, data, 8))
    tracee.signals.saved_mask = None
    tracee.signals.set_blocked(tracee, mask)
    return 0


def _peek_siginfo(task: LinuxTask, tracee: LinuxTask, trace: Trace, address: int, data: int) -> int:
    """Pending signals, from the `off`th on: how many were told."""
    off, flags, count = unpack("<QIi", get_bytes(task, address, 16))
    if flags & ~1 or count < 0:
        raise LinuxError(errno.EINVAL)
    pending = tracee.signals.pending
    infos = (pending.shared if flags else pending.own).infos()
    done = 0
    for info in infos[off : off + count]:
        try:
            put_bytes(task, data + _SIGINFO * done, info.pack())
        except LinuxError:
            if not done:
                raise
            break
        done += 1
    return done


def _get_syscall_info(task: LinuxTask, tracee: LinuxTask, trace: Trace, address: int, data: int) -> int:
    """struct ptrace_syscall_info, as much as there is room for (`address`); how long it is."""
    words = unpack_from("<27Q", registers.general(tracee))
    named = dict(zip(tracee.engine.arch.registers, words, strict=True))
    op, body = 0, b""
    code = trace.info.code if trace.info is not None else 0
    call = named["orig_rax"], *(named[name] for name in tracee.engine.arch.arguments)
    if code == SIGTRAP | 0x80 and trace.message == SYSCALL_ENTRY:
        op, body = SYSCALL_ENTRY, pack("<7Q", *call)
    elif code == SIGTRAP | 0x80 and trace.message == SYSCALL_EXIT:
        result = named["rax"]
        op, body = SYSCALL_EXIT, pack("<QB", result, result > _MASK - 4095)
    elif code == SIGTRAP | SECCOMP << 8:
        op, body = _SYSCALL_SECCOMP, pack("<7QI", *call, trace.message & 0xFFFF_FFFF)
    head = pack("<BBHIQQ", op, 0, 0, tracee.layouts.audit, named["rip"], named["rsp"])
    made = head + body
    put_bytes(task, data, made[:address])
    return len(made)


_REQUESTS: dict[int, Request] = {
    1: _peek,
    2: _peek,
    3: _peek_user,
    4: _poke,
    5: _poke,
    6: _poke_user,
    _CONT: _go_on(),
    _SINGLESTEP: _go_on(by_step=True),
    _SYSCALL: _go_on(by_call=True),
    _SYSEMU: _go_on(emulated=True),
    _SYSEMU_SINGLESTEP: _go_on(by_step=True, emulated=True),
    12: _get_regs,
    13: _set_regs,
    14: _get_fpregs,
    15: _set_fpregs,
    17: _detach,
    30: _arch_prctl,
    0x4200: _set_options,
    0x4201: _get_event,
    0x4202: _get_siginfo,
    0x4203: _set_siginfo,
    0x4204: _get_regset,
    0x4205: _set_regset,
    0x4208: _listen,
    0x4209: _peek_siginfo,
    0x420A: _get_sigmask,
    0x420B: _set_sigmask,
    0x420E: _get_syscall_info,
    0x420F: _get_rseq,
}
