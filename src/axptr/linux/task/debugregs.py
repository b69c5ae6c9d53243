"""A thread's debug registers, as a tracer sets them (PTRACE_POKEUSER of u_debugreg): hardware break- and watchpoints.

Four addresses, a control register that says which of them count and for what, and a status that says which it was. Each
that counts is a point of the thread's space (`engine.points`), which stops the thread alone and nobody else that shares
the memory. Source: arch/x86/kernel/ptrace.c, hw_breakpoint.c and traps.c (exc_debug_user) of Linux 6.18; Intel SDM
vol. 3, 18.2.

Not here: the call (`calls.ptrace`), how a CPU stops there.
"""

from __future__ import annotations

import errno

from ...engine.points import Breakpoint, Watchpoint, add, remove
from ...errors import LinuxError
from ...flags import READ, WRITE, MappingFlags
from ..abi.signals import SIGTRAP, Info
from ..uaccess import USER_END

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...engine import Exit
    from .task import LinuxTask

COUNT = 4
_STATUS, _CONTROL = 6, 7
_STATUS_FIXED = 0xFFFF_0FF0
"""DR6_RESERVED: what a CPU shows as ones. The status is kept without."""
_STEP = 0x4000
_CONTROL_RESERVED = 0xFFFF_FFFF_0000_FC00
_ON_EXECUTE, _ON_WRITE, _ON_PORT, _ON_ACCESS = range(4)
_SIZES = (1, 2, 8, 4)
_ACCESS = {_ON_WRITE: WRITE, _ON_ACCESS: MappingFlags(READ | WRITE)}
_TRACE, _HARDWARE = 2, 4
"""TRAP_TRACE, TRAP_HWBKPT."""
_DEBUG = 1


class DebugRegisters:
    """The machine's thread alone uses it. Exec and fork: none; a snapshot: `addresses`, `control`, `status`.

    addresses: None where none was ever set. control: as it was written. points: what stands for those that count.
    """

    __slots__ = ("addresses", "control", "points", "status", "used")

    def __init__(self) -> None:
        self.addresses: list[int | None] = [None] * COUNT
        self.control = self.used = 0
        self.status = 0
        self.points: dict[int, Breakpoint | Watchpoint] = {}


def _of(task: LinuxTask) -> DebugRegisters:
    if task.debug is None:
        task.debug = DebugRegisters()
    return task.debug


def read(task: LinuxTask, number: int) -> int:
    debug = task.debug or DebugRegisters()
    if number < COUNT:
        return debug.addresses[number] or 0
    return {_STATUS: debug.status ^ _STATUS_FIXED, _CONTROL: debug.control}.get(number, 0)


def write(task: LinuxTask, number: int, value: int) -> None:
    """EIO for a register that there is not; EINVAL for what no CPU watches, and for the kernel's
    addresses."""
    debug = _of(task)
    if number < COUNT:
        kind = _kind(debug.used, number) if debug.addresses[number] is not None else (1, _ON_WRITE)
        _require(value, *kind)
        debug.addresses[number] = value
        _renew(task, number)
    elif number == _STATUS:
        debug.status = value ^ _STATUS_FIXED
    elif number == _CONTROL:
        _set_control(task, debug, value)
    else:
        raise LinuxError(errno.EIO)


def _set_control(task: LinuxTask, debug: DebugRegisters, value: int) -> None:
    """All or none (ptrace_write_dr7)."""
    used = value & ~_CONTROL_RESERVED
    for number in range(COUNT):
        if debug.addresses[number] is not None or _counts(used, number):
            _require(debug.addresses[number] or 0, *_kind(used, number))
    debug.control, debug.used = value, used
    for number in range(COUNT):
        if _counts(used, number) and debug.addresses[number] is None:
            debug.addresses[number] = 0
        _renew(task, number)


def _counts(control: int, number: int) -> bool:
    return bool(control >> 2 * number & 3)


def _kind(control: int, number: int) -> tuple[int, int]:
    """Bytes and access that the control register has for one."""
    bits = control >> 16 + 4 * number
    return _SIZES[bits >> 2 & 3], bits & 3


def _require(address: int, size: int, access: int) -> None:
    """arch_bp_generic_fields, hw_breakpoint_arch_parse."""
    if access == _ON_PORT or (access == _ON_EXECUTE and size != 1):
        raise LinuxError(errno.EINVAL)
    if address & (size - 1):
        raise LinuxError(errno.EINVAL)
    if address + size - 1 >= USER_END:
        raise LinuxError(errno.EINVAL)


def _renew(task: LinuxTask, number: int) -> None:
    """Have one be what the registers say by now."""
    debug = _of(task)
    before = debug.points.pop(number, None)
    if before is not None:
        remove(before)
    address = debug.addresses[number]
    if not _counts(debug.used, number) or address is None:
        return
    size, access = _kind(debug.used, number)
    point: Breakpoint | Watchpoint
    if access == _ON_EXECUTE:
        point = Breakpoint(task.space, address, task)
    else:
        point = Watchpoint(task.space, address, size, _ACCESS[access], task)
    debug.points[number] = point
    add(point)


def forget(task: LinuxTask) -> None:
    """The thread has ended, or runs another program (flush_ptrace_hw_breakpoint)."""
    debug, task.debug = task.debug, None
    if debug is not None:
        for point in debug.points.values():
            remove(point)


def stepped(task: LinuxTask) -> None:
    """The trap flag has stopped it: the status says so."""
    _of(task).status = _STEP


def hit(task: LinuxTask, exit: Exit) -> bool:
    """The CPU came out at points: whether a register of the thread's own stops it, or its trap flag besides."""
    debug = task.debug
    found = [] if debug is None else [number for number, point in debug.points.items() if point in exit.points]
    trapped = exit.vector == _DEBUG
    if not found and not trapped:
        return False
    if found or task.trace is not None:
        _of(task).status = sum(1 << number for number in found) | (_STEP if trapped else 0)
    code = _TRACE if trapped else _HARDWARE
    task.signals.force(task, Info(SIGTRAP, code, address=task.engine.regs.pc, cpu=(_DEBUG, 0, 0)))
    return True
