"""What an x86-64 CPU reports, as the signals that Linux makes of it. Source: arch/x86/kernel/traps.c, mm/fault.c there.

Not here: what becomes of the signal (`signals`), which signal a page that cannot be had is.
"""

from __future__ import annotations

from ....flags import EXECUTE, READ, WRITE
from ...abi.signals import SI_KERNEL, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP, Info
from ...uaccess import USER_END

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ....engine import Exit
    from ....flags import MappingFlags
    from ...task.task import LinuxTask

GENERAL = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15")
_TRAP_FLAG = 0x100
_ANY = READ | WRITE | EXECUTE
_PAGE_FAULT, _PROTECTION, _OLD_CALL = 14, 13, 0x80
_PF_PROT, _PF_WRITE, _PF_USER, _PF_INSTR = 1, 2, 4, 16


def _float_code(raised: int) -> int:
    """si_code for exceptions of x87 or SSE: FPE_FLTINV, FLTDIV, FLTOVF, FLTUND (denormal operands too), FLTRES."""
    for bits, code in ((1, 7), (4, 3), (8, 4), (0x12, 5), (0x20, 6)):
        if raised & bits:
            return code
    return 0


def exception(task: LinuxTask, exit: Exit) -> Info:
    """The signal that an exception is, by its vector."""
    regs, rip, vector, error = task.engine.regs, exit.pc, exit.vector, exit.error
    if vector == _OLD_CALL:  # as on a kernel without 32-bit programs: the gate is not for everybody
        rip -= 2
        regs.rip, vector, error = rip, _PROTECTION, _OLD_CALL << 3 | 2
    signal, code, address = {
        0: (SIGFPE, 1, rip),  # FPE_INTDIV
        1: (SIGTRAP, 2 if regs.rflags & _TRAP_FLAG else 1, rip),  # TRAP_TRACE, TRAP_BRKPT
        3: (SIGTRAP, SI_KERNEL, None),
        6: (SIGILL, 2, rip),  # ILL_ILLOPN
        12: (SIGBUS, SI_KERNEL, 0),
        17: (SIGBUS, 1, 0),  # BUS_ADRALN
        16: (SIGFPE, _float_code(regs.fpsw & ~regs.fpcw), rip),
        19: (SIGFPE, _float_code(regs.mxcsr & ~(regs.mxcsr >> 7)), rip),
    }.get(vector, (SIGSEGV, SI_KERNEL, 0))
    fault = exit.fault if exit.kind == "fault" else None
    return Info(signal, code, address=address, fault=fault, cpu=(vector, error, 0))


def page_fault(task: LinuxTask, address: int, wanted: MappingFlags) -> tuple[int, int, int]:
    """Trap number, error code and cr2."""
    error = _PF_USER | (_PF_WRITE if wanted & WRITE else 0) | (_PF_INSTR if wanted & EXECUTE else 0)
    there = None if address >= USER_END else task.space.query(address)
    if address >= USER_END or (there is not None and there[1] & _ANY):
        error |= _PF_PROT  # the page is present; of kernel addresses Linux always says so, of PROT_NONE never
    return _PAGE_FAULT, error, address


def registers(task: LinuxTask) -> dict[str, int]:
    regs = task.engine.regs
    return {name: getattr(regs, name) for name in (*GENERAL, "rip", "rflags", "fs_base", "gs_base")}
