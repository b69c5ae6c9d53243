"""The registers of a tracee that stands, as ptrace shows and sets them: user_regs_struct, FXSAVE and XSAVE images, the
offsets of struct user. Source: arch/x86/kernel/ptrace.c, arch/x86/kernel/fpu/regset.c, sys/user.h.

A call that a signal has ended shows how it is to be made again; a tracer that changes that settles it. Left out:
selectors other than those that programs have (EIO).
"""

from __future__ import annotations

import errno
from struct import pack, pack_into, unpack_from

from ...engine.context import Context
from ...errors import GuestLost, LinuxError
from ..uaccess import USER_END
from .coredump import _xstate as shown_xstate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .task import LinuxTask

SIZE = 27 * 8
"""Of user_regs_struct."""
FXSAVE = 512
_DEBUG, _USER_SIZE = 848, 912
_CHANGEABLE = 0x0005_4DD5 | 0x0020_0000
"""Of rflags: what a tracer may change (FLAG_MASK), and ID."""
_FLAG_MASK = 0x54DD5
_MASK = (1 << 64) - 1
_ORIG_RAX, _RAX, _RFLAGS, _RIP = 15, 10, 18, 16
_TRAP_FLAG = 0x100


def context_of(task: LinuxTask) -> Context:
    """As the task has them; a snapshot of the CPU where it has not given them up. `ESRCH` for one that is lost."""
    assert task.loop is not None
    try:
        context: Context = task.loop.registers(task)
    except GuestLost:
        task.signals.ended_outside(task)
        raise LinuxError(errno.ESRCH) from None
    return context


def general(task: LinuxTask) -> bytes:
    """user_regs_struct."""
    trace = task.trace
    assert trace is not None
    words = bytearray(context_of(task).general)
    pack_into("<Q", words, 8 * _ORIG_RAX, trace.call & _MASK)
    restart = task.signals.shown_restart
    if restart:
        pack_into("<q", words, 8 * _RAX, -restart)
    return bytes(words[:SIZE])


def set_general(task: LinuxTask, tracer: LinuxTask, data: bytes) -> None:
    """All of user_regs_struct. EIO for what no program can be in."""
    trace = task.trace
    assert trace is not None
    before, shown = context_of(task), general(task)
    words = list(unpack_from("<27Q", data))
    if words[21] >= USER_END or words[22] >= USER_END:
        raise LinuxError(errno.EIO)
    old_flags = before.read("rflags")
    words[_RFLAGS] = old_flags & ~_FLAG_MASK | words[_RFLAGS] & _FLAG_MASK
    told = unpack_from("<27Q", shown)
    if any(words[i] != told[i] for i in (_ORIG_RAX, _RAX, _RIP)):
        task.signals.settle_restart()
    elif task.signals.shown_restart:
        words[_RAX] = before.read("rax")
    call = words[_ORIG_RAX]
    words[_ORIG_RAX] = _MASK
    _put(task, tracer, Context(before.arch, pack("<27Q", *words), before.extended))
    trace.call = call - (1 << 64) if call >> 63 else call


def _put(task: LinuxTask, tracer: LinuxTask, context: Context) -> None:
    """Have the task go on with these; EIO unless the CPU takes them, which is tried."""
    engine, own = tracer.engine, tracer.engine.save()
    try:
        engine.restore(context)
    except ValueError:
        raise LinuxError(errno.EIO) from None
    finally:
        engine.restore(own)
    task.context = context


def peek(task: LinuxTask, offset: int) -> int:
    """A word of struct user. EIO."""
    if offset % 8 or not 0 <= offset < _USER_SIZE:
        raise LinuxError(errno.EIO)
    if offset < SIZE:
        (word,) = unpack_from("<Q", general(task), offset)
        return int(word)
    if offset >= _DEBUG:
        from . import debugregs  # which few tracers look at

        return debugregs.read(task, (offset - _DEBUG) // 8)
    return 0


def poke(task: LinuxTask, tracer: LinuxTask, offset: int, value: int) -> None:
    if offset % 8 or not 0 <= offset < _USER_SIZE:
        raise LinuxError(errno.EIO)
    if offset < SIZE:
        words = bytearray(general(task))
        pack_into("<Q", words, offset, value)
        set_general(task, tracer, bytes(words))
        return
    if offset < _DEBUG:
        raise LinuxError(errno.EIO)
    from . import debugregs

    debugregs.write(task, (offset - _DEBUG) // 8, value)


def fxsave(task: LinuxTask) -> bytes:
    return shown_xstate(context_of(task).extended)[:FXSAVE]


def xsave(task: LinuxTask) -> bytes:
    """ENODEV where the CPU has none."""
    extended = context_of(task).extended
    if len(extended) <= FXSAVE:
        raise LinuxError(errno.ENODEV)
    return shown_xstate(extended)


def set_fxsave(task: LinuxTask, tracer: LinuxTask, data: bytes) -> None:
    """EINVAL for bits of mxcsr that no CPU has."""
    context = context_of(task)
    extended = bytearray(context.extended)
    extended[:416] = data[:416]
    if len(extended) > FXSAVE:
        used = int.from_bytes(extended[512:520], "little") | 3
        extended[512:520] = used.to_bytes(8, "little")
    _put_extended(task, tracer, context, bytes(extended))


def set_xsave(task: LinuxTask, tracer: LinuxTask, data: bytes) -> None:
    context = context_of(task)
    if len(context.extended) <= FXSAVE:
        raise LinuxError(errno.ENODEV)
    if len(data) != len(shown_xstate(context.extended)):
        raise LinuxError(errno.EFAULT)
    extended = data[:464] + context.extended[464:512] + data[512:] + context.extended[len(data) :]
    _put_extended(task, tracer, context, extended)


def _put_extended(task: LinuxTask, tracer: LinuxTask, context: Context, extended: bytes) -> None:
    try:
        _put(task, tracer, Context(context.arch, context.general, extended))
    except LinuxError:
        raise LinuxError(errno.EINVAL) from None
