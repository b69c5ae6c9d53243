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
from operator import itemgetter
from struct import pack, unpack, unpack_from

from ....engine import Context
from ....engine.arch import X86_64
from ....errors import LinuxError
from ....flags import WRITE
from ...abi.signals import SA_ONSTACK, SA_RESTORER, SI_KERNEL, SIGSEGV, Info
from ...signals.state import on_altstack
from ...uaccess import (
    USER_END,
    get_bytes,
    put_bytes,
    require_user,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...signals.actions import Action
    from ...task.task import LinuxTask

_ORDER = (
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rdi", "rsi", "rbp", "rbx", "rdx", "rax", "rcx", "rsp", "rip",
)  # fmt: skip
_OF_LDT = 4  # of a selector
_PROTECTION = 13  # the vector of #GP
_PLACES = [X86_64.registers.index(name) for name in _ORDER]
_in_order = itemgetter(*_PLACES)
_CODE, _CODE_OF_32_BITS, _DATA = 0x33, 0x23, 0x2B  # the selectors that programs have (asm/segment.h)
_RFLAGS, _CS, _SS = map(X86_64.registers.index, ("rflags", "cs", "ss"))
_ENTERED = [X86_64.registers.index(name) for name in ("rdi", "rsi", "rdx", "rax", "rsp", "rip")]
"""What a handler is entered with: its signal, siginfo, ucontext, no vectors' count, the frame, itself."""
_FRAME = 8 + 304 + 128
_FXSAVE = 512
_UC_STRICT_RESTORE_SS = 4
_UC_FLAGS = 2 | _UC_STRICT_RESTORE_SS  # 2: UC_SIGCONTEXT_SS
_USER_RFLAGS = 0x50DD5  # what sigreturn sets: CF PF AF ZF SF TF DF OF RF AC (FIX_EFLAGS)
_CLEARED = 0x10500  # what a handler begins without: DF TF RF
_MXCSR_MASK = 0xFFFF
_FRESH = pack("<HHB19xI", 0x37F, 0, 0, 0x1F80).ljust(_FXSAVE, b"\0")  # x87 and SSE as a handler finds them
_MAGIC1, _MAGIC2 = pack("<I", 0x46505853), pack("<I", 0x46505845)
_XSAVE = 576  # the least that an XSAVE area has: the FXSAVE image and the header
_HEADER = slice(512, 520)  # which parts are in use
_PARTS = (1 << 19) - 1  # of those that the manual names
_MXCSR_PARTS = 2 | 4  # SSE, AVX: with either mxcsr is loaded
_SS_ONSTACK, _SS_DISABLE, _SS_AUTODISARM = 1, 2, 1 << 31


def push_frame(task: LinuxTask, info: Info, action: Action, mask: int) -> None:
    """Make the CPU enter the handler when it goes on. `mask`: what the way back restores.

    EFAULT if the frame cannot be written; registers are unchanged then.
    """
    if not action.flags & SA_RESTORER:
        raise LinuxError(errno.EFAULT, "a signal handler without a restorer")
    engine, signals = task.engine, task.signals
    context = engine.save()
    old_sp, altstack = context.sp, signals.altstack
    sp = (old_sp - 128) & ((1 << 64) - 1)  # the red zone is the interrupted function's
    if action.flags & SA_ONSTACK and not altstack[1] & _SS_DISABLE and not on_altstack(altstack, old_sp):
        sp = altstack[0] + altstack[2]
    if sp < 4096 or sp > USER_END:
        raise task.space.fault(sp if sp < 1 << 64 else 0, WRITE, size=_FRAME)
    vectors = _shown(context.extended)
    fpstate = (sp - len(vectors)) & ~63
    frame = ((fpstate - _FRAME) & ~15) - 8
    if on_altstack(altstack, old_sp) and not on_altstack(altstack, frame):
        raise LinuxError(errno.EFAULT, "the alternate signal stack is full")
    require_user(task, frame, sp - frame, WRITE)

    trap, error, cr2 = info.cpu
    words = list(unpack("<27Q", context.general))
    registers = (
        pack("<17Q", *_in_order(words))
        + pack("<QHHHH", words[_RFLAGS], words[_CS], 0, 0, words[_SS])
        + pack("<QQQQQ64x", error, trap, mask, cr2, fpstate)
    )
    ucontext = (
        pack("<QQQi4xQ", _UC_FLAGS | (len(vectors) > _FXSAVE), 0, altstack[0], _signed(altstack[1]), altstack[2])
        + registers
        + pack("<Q", mask)
    )
    put_bytes(task, fpstate, vectors)
    put_bytes(task, frame, pack("<Q", action.restorer) + ucontext + info.pack())

    if altstack[1] & _SS_AUTODISARM:
        signals.altstack = (0, _SS_DISABLE, 0)
    words[_RFLAGS] &= ~_CLEARED
    words[_CS], words[_SS] = _CODE, _DATA
    for place, word in zip(_ENTERED, (info.signal, frame + 312, frame + 8, 0, frame, action.handler), strict=True):
        words[place] = word
    engine.restore(Context(engine.arch, pack("<27Q", *words), _FRESH))


def pop_frame(task: LinuxTask) -> None:
    """rt_sigreturn: registers, mask and alternate stack as the frame says. EFAULT if it cannot be read; if that is so
    of the vector state alone, mask and general registers are the frame's all the same, and the vectors new."""
    engine, signals = task.engine, task.signals
    context = engine.save()
    frame = context.sp - 8
    ucontext = get_bytes(task, frame + 8, 304)
    words = unpack_from("<17Q", ucontext, 40)
    (rflags,) = unpack_from("<Q", ucontext, 40 + 136)
    (fpstate,) = unpack_from("<Q", ucontext, 40 + 184)
    back = list(unpack("<27Q", context.general))
    back[_CS], refused = _selectors(ucontext)
    for place, word in zip(_PLACES, words, strict=True):
        back[place] = word
    back[_RFLAGS] = back[_RFLAGS] & ~_USER_RFLAGS | rflags & _USER_RFLAGS
    signals.set_blocked(task, unpack_from("<Q", ucontext, 296)[0])
    if task.trace is not None:
        task.trace.call = -1
    try:
        image = _saved(task, fpstate, len(context.extended)) if fpstate else _FRESH
        if unpack_from("<I", image, 24)[0] > _MXCSR_MASK:
            raise LinuxError(errno.EFAULT, "mxcsr has bits that no CPU has")
        _enter(task, back, image)
    except LinuxError:
        _enter(task, back, _FRESH)
        raise
    address, flags, size = unpack("<Qi4xQ", ucontext[16:40])
    signals.altstack = (address, flags & 0xFFFF_FFFF & ~_SS_ONSTACK, size)
    if refused >= 0:
        signals.force(task, Info(SIGSEGV, SI_KERNEL, address=0, cpu=(_PROTECTION, refused, 0)))
        engine.stop()


def _enter(task: LinuxTask, words: list[int], image: bytes) -> None:
    try:
        task.engine.restore(Context(task.engine.arch, pack("<27Q", *words), image))
    except ValueError:
        raise LinuxError(errno.EFAULT, "the CPU cannot be in the state that the frame has") from None


def _selectors(ucontext: bytes) -> tuple[int, int]:
    """cs as the frame has it, or 0x33, and the selector of it that no CPU takes from a program, or -1: that is its #GP
    (13), where it was to go on.

    Source: restore_sigcontext and force_valid_ss of arch/x86/kernel/signal_64.c. Left out: the frame of that #GP shows
    0x33 and 0x2b.
    """
    (flags,) = unpack_from("<Q", ucontext)
    code, data = (selector | 3 for selector in unpack_from("<H4xH", ucontext, 40 + 144))
    if code == _CODE and not flags & _UC_STRICT_RESTORE_SS:
        data = _DATA
    refused = -1
    if code not in (_CODE, _CODE_OF_32_BITS):
        code, refused = _CODE, code & ~3
    elif data != _DATA:
        refused = data & ~3
    if data & _OF_LDT:  # the way back by another stack (espfix), of whose fault no selector is told
        refused = 0
    return code, refused


def _shown(extended: bytes) -> bytes:
    """The vector state as it stands in a frame: an XSAVE area has its mark behind it."""
    if len(extended) > _FXSAVE and extended[464:468] == _MAGIC1:
        return extended + _MAGIC2
    return extended[:_FXSAVE]


def _saved(task: LinuxTask, at: int, whole: int) -> bytes:
    """What a frame holds, `whole` bytes being all that the CPU has: the XSAVE area where its notes and its mark are
    right, else the FXSAVE image. EFAULT for what is not there, or lies where no CPU takes it from.

    Source: check_xstate_in_sigframe and restore_fpregs_from_user of arch/x86/kernel/fpu/signal.c.
    """
    image = get_bytes(task, at, _FXSAVE)
    if whole > _FXSAVE and image[464:468] == _MAGIC1:
        extended, features, size = unpack_from("<IQI", image, 468)
        if _XSAVE <= size <= min(whole, extended) and get_bytes(task, at + whole, 4) == _MAGIC2:
            _require_aligned(at, 64)
            return _wanted(get_bytes(task, at, whole), features)
    _require_aligned(at, 16)
    return image


def _require_aligned(at: int, alignment: int) -> None:
    if at % alignment:
        raise LinuxError(errno.EFAULT, "a vector state that no CPU loads from there")


def _wanted(area: bytes, features: int) -> bytes:
    """An XSAVE area of which only the parts in `features` are taken: the others are as a CPU starts with them."""
    used = int.from_bytes(area[_HEADER], "little")
    kept = used & (features | ~_PARTS)  # bits of parts that no CPU has stay, to be refused
    if not features & _MXCSR_PARTS:
        area = area[:24] + _FRESH[24:28] + area[28:]
    return area[: _HEADER.start] + kept.to_bytes(8, "little") + area[_HEADER.stop :]


def _signed(flags: int) -> int:
    return flags - (1 << 32) if flags & 1 << 31 else flags
