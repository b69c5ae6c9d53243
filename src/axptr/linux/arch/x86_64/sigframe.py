"""The frame of a signal handler on the guest's stack, and the way back: sigreturn(2), arch/x86/kernel/signal_64.c.

    frame + 0     return address: the restorer, which calls rt_sigreturn
    frame + 8     ucontext: flags, link, stack (24), sigcontext (256), mask (8); 304 bytes
    frame + 312   siginfo, 128 bytes
    above         the FXSAVE image, 512 bytes, 64-aligned; sigcontext points at it

sigcontext: r8..r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags (8 bytes each), cs, gs, fs, ss (2 each),
err, trapno, oldmask, cr2, fpstate, 8 reserved words.
"""

from __future__ import annotations

import errno
from struct import pack, unpack, unpack_from

from ....errors import LinuxError
from ....flags import WRITE
from ...uaccess import (
    USER_END,
    get_bytes,
    put_bytes,
    require_user,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...abi.signals import Info
    from ...signals.actions import Action
    from ...task.task import LinuxTask

_ORDER = (
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rdi", "rsi", "rbp", "rbx", "rdx", "rax", "rcx", "rsp", "rip",
)  # fmt: skip
_FRAME = 8 + 304 + 128
_FXSAVE = 512
_USER_CS, _USER_DS = 0x33, 0x2B
_UC_FLAGS = 2 | 4  # UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS
_USER_RFLAGS = 0x240DD5  # what sigreturn may set: CF PF AF ZF SF TF DF OF RF NT AC ID
_FRESH = pack("<HHB19xI", 0x37F, 0, 0, 0x1F80).ljust(_FXSAVE, b"\0")  # x87 and SSE as a handler finds them
_SS_ONSTACK, _SS_DISABLE, _SS_AUTODISARM = 1, 2, 1 << 31
_SA_RESTORER, _SA_ONSTACK = 0x0400_0000, 0x0800_0000


def on_altstack(altstack: tuple[int, int, int], rsp: int) -> bool:
    address, flags, size = altstack
    return not flags & (_SS_DISABLE | _SS_AUTODISARM) and address < rsp <= address + size


def push_frame(task: LinuxTask, info: Info, action: Action, mask: int) -> None:
    """Make the CPU enter the handler when it goes on. `mask`: what the way back restores.

    EFAULT if the frame cannot be written; registers are unchanged then.
    """
    if not action.flags & _SA_RESTORER:
        raise LinuxError(errno.EFAULT, "a signal handler without a restorer")
    regs, signals = task.engine.regs, task.signals
    old_sp, altstack = regs.rsp, signals.altstack
    sp = (old_sp - 128) & ((1 << 64) - 1)  # the red zone is the interrupted function's
    if action.flags & _SA_ONSTACK and not altstack[1] & _SS_DISABLE and not on_altstack(altstack, old_sp):
        sp = altstack[0] + altstack[2]
    if sp < 4096 or sp > USER_END:
        raise task.space.fault(sp if sp < 1 << 64 else 0, WRITE, size=_FRAME)
    fpstate = (sp - _FXSAVE) & ~63
    frame = ((fpstate - _FRAME) & ~15) - 8
    if on_altstack(altstack, old_sp) and not on_altstack(altstack, frame):
        raise LinuxError(errno.EFAULT, "the alternate signal stack is full")
    require_user(task, frame, sp - frame, WRITE)

    words = [getattr(regs, name) for name in _ORDER]
    context = (
        pack("<17Q", *words)
        + pack("<QHHHH", regs.rflags, _USER_CS, 0, 0, _USER_DS)
        + pack("<QQQQQ64x", info.error, info.trap, mask, info.cr2, fpstate)
    )
    stack_flags = altstack[1] | (_SS_ONSTACK if on_altstack(altstack, old_sp) else 0)
    ucontext = (
        pack("<QQQi4xQ", _UC_FLAGS, 0, altstack[0], _signed(stack_flags), altstack[2]) + context + pack("<Q", mask)
    )
    put_bytes(task, fpstate, _fxsave(task))
    put_bytes(task, frame, pack("<Q", action.restorer) + ucontext + info.pack())

    if altstack[1] & _SS_AUTODISARM:
        signals.altstack = (0, _SS_DISABLE, 0)
    regs.rdi, regs.rsi, regs.rdx, regs.rax = info.signal, frame + 312, frame + 8, 0
    regs.rsp, regs.rip = frame, action.handler
    regs.rflags = regs.rflags & ~0x10500  # DF, TF, RF
    _fxrstor(task, _FRESH)


def pop_frame(task: LinuxTask) -> None:
    """rt_sigreturn: registers, mask and alternate stack as the frame says. EFAULT if it cannot be read."""
    regs, signals = task.engine.regs, task.signals
    frame = regs.rsp - 8
    ucontext = get_bytes(task, frame + 8, 304)
    words = unpack_from("<17Q", ucontext, 40)
    rflags, _, _, _, _ = unpack_from("<QHHHH", ucontext, 40 + 136)
    (fpstate,) = unpack_from("<Q", ucontext, 40 + 184)
    image = get_bytes(task, fpstate, _FXSAVE) if fpstate else None

    for name, value in zip(_ORDER, words, strict=True):
        setattr(regs, name, value)
    regs.rflags = regs.rflags & ~_USER_RFLAGS | rflags & _USER_RFLAGS
    if image is not None:
        _fxrstor(task, image)
    address, flags, size = unpack("<Qi4xQ", ucontext[16:40])
    signals.altstack = (address, flags & 0xFFFF_FFFF & ~_SS_ONSTACK, size)
    signals.set_blocked(task, unpack_from("<Q", ucontext, 296)[0])


def _fxsave(task: LinuxTask) -> bytes:
    """The FXSAVE image: control words, st0-st7 and xmm0-xmm15 in 16 bytes each. An abridged tag says "not empty"."""
    regs = task.engine.regs
    tags, top = regs.fptag, regs.fpsw >> 11 & 7
    abridged = sum(1 << i for i in range(8) if tags >> 2 * i & 3 != 3)
    head = pack("<HHBxHQQII", regs.fpcw, regs.fpsw, abridged, 0, 0, 0, regs.mxcsr, 0xFFFF)
    used = [abridged >> ((top + i) & 7) & 1 for i in range(8)]
    x87 = b"".join((getattr(regs, f"st{i}") if used[i] else 0).to_bytes(16, "little") for i in range(8))
    sse = b"".join(getattr(regs, f"xmm{i}").to_bytes(16, "little") for i in range(16))
    return (head + x87 + sse).ljust(_FXSAVE, b"\0")


def _fxrstor(task: LinuxTask, image: bytes) -> None:
    regs = task.engine.regs
    regs.fpcw, regs.fpsw, abridged = unpack_from("<HHB", image, 0)
    if abridged:
        for i in range(8):
            setattr(regs, f"st{i}", int.from_bytes(image[32 + 16 * i : 42 + 16 * i], "little"))
    regs.fptag = sum(3 << 2 * i for i in range(8) if not abridged >> i & 1)
    regs.mxcsr = unpack_from("<I", image, 24)[0] & 0xFFFF
    for i in range(16):
        setattr(regs, f"xmm{i}", int.from_bytes(image[160 + 16 * i : 176 + 16 * i], "little"))


def _signed(flags: int) -> int:
    return flags - (1 << 32) if flags & 1 << 31 else flags
