"""The report on a guest that died of a signal, or that the time ran out for.

What it touched and why that failed, where it was (disassembled if capstone is installed), its registers, and
the areas around both addresses. Made when the guest has ended and its memory still stands.
"""

from __future__ import annotations

import errno

from ..addr import PAGE_SIZE
from ..errors import LinuxError
from ..flags import MappingFlags
from ..linux.strace import constants

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..linux.api import Death, Process
    from ..mm.area import MemoryArea
    from ..mm.space import AddrSpace

REGISTERS = (
    ("rax", "rbx", "rcx", "rdx"),
    ("rsi", "rdi", "rbp", "rsp"),
    ("r8", "r9", "r10", "r11"),
    ("r12", "r13", "r14", "r15"),
)
CODE_BYTES = 32
"""Bytes disassembled at the program counter: at least two instructions."""
INSTRUCTIONS = 4
CALLERS = 16
"""Frames of the stack that are shown."""
NO_PYELFTOOLS = "function names need pyelftools: pip install 'axptr[run]'"
NO_CAPSTONE = "disassembly needs capstone: pip install 'axptr[disasm]'"
MEANING = {
    "SIGFPE": "a division by zero, or one whose result does not fit",
    "SIGILL": "an instruction that does not exist",
    "SIGTRAP": "a breakpoint",
    "SIGPIPE": "a write to a pipe that nobody reads",
    "SIGABRT": "the program gave up by itself",
}


def report_death(process: Process, death: Death) -> str:
    """Several lines, the first of which says it all."""
    space = process.space
    name = constants.signal_name(death.signal)
    lines = [f"axptr: the program died of signal {death.signal} ({name}): {_cause(death, name)}"]
    lines += _memory_limit(process, death)
    lines += _place(space, death.rip)
    lines += _callers(space, death.regs)
    lines += _registers(death.regs)
    addresses = [death.rip] if death.address is None else [death.address, death.rip]
    lines += _areas_near(process, addresses)
    return "\n".join(lines)


def report_timeout(process: Process, seconds: float) -> str:
    """The time was up: where the program was, so that an endless loop can be told from a long one."""
    regs = process.engine.regs
    rip = int(regs.rip)
    lines = [f"axptr: the time was up after {seconds:.3g} s"]
    lines += _place(process.space, rip)
    return "\n".join(lines)


def _cause(death: Death, name: str) -> str:
    if death.fault is not None:
        return str(death.fault.strerror)
    code = constants.signal_code(death.signal, death.code)
    text = MEANING.get(name, code)
    return text if text == code else f"{text} ({code})"


def _memory_limit(process: Process, death: Death) -> list[str]:
    """A line if the program died for want of memory, or had all that it may have."""
    limit = process.task.machine.memory_limit
    wanted = death.fault is not None and death.fault.errno == errno.ENOMEM
    if limit is None:
        return ["  the host has no memory left for it"] if wanted else []
    if not wanted and process.machine.account.peak < limit & -PAGE_SIZE:
        return []
    return [f"  it may hold {limit / (1 << 20):,.4g} MiB, page tables included: --memory-limit"]


def _place(space: AddrSpace, rip: int) -> list[str]:
    """The program counter, the file it is in, and the instructions there."""
    area = space.find_area(rip)
    where = ""
    if area is not None and area.name:
        where = f" in {area.name}+{rip - area.start + area.offset:#x}"
        try:
            from ..debug.symbols import Symbols

            found = Symbols(space).at(rip)
        except ModuleNotFoundError:
            where += f" ({NO_PYELFTOOLS})"
        else:
            where += f" ({found.function})" if found.symbol else ""
    lines = [f"  at {rip:#x}{where}"]
    code = _code(space, rip)
    if not code:
        reason = "nothing is mapped there" if area is None else f"mapped {area.flags.rwx}"
        return [*lines, f"    no instructions: {reason}"]
    try:
        import capstone  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        return [*lines, f"    {code[:16].hex(' ')}", f"  {NO_CAPSTONE}"]
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    shown = 0
    for instruction in decoder.disasm(code, rip, count=INSTRUCTIONS):
        mark = "    " if shown else " => "
        text = f"{instruction.mnemonic} {instruction.op_str}".rstrip()
        lines.append(f"  {mark}{instruction.address:#x}: {instruction.bytes.hex(' '):<24} {text}")
        shown += 1
    if not shown:
        lines.append(f"   => {rip:#x}: {code[:16].hex(' ')} (no valid instruction)")
    return lines


def _callers(space: AddrSpace, regs: dict[str, int]) -> list[str]:
    """Where the functions stand that were called to get there."""
    try:
        from ..debug.unwind import unwind

        frames = unwind(space, regs, CALLERS + 1)
    except ModuleNotFoundError:  # said above
        return []
    if len(frames) < 2:
        return []
    more = ["    ..."] if len(frames) > CALLERS else []
    return ["  called from", *(f"    {frame}" for frame in frames[1 : CALLERS + 1]), *more]


def _code(space: AddrSpace, rip: int) -> bytes:
    """The bytes at `rip` if it is mapped executable, as far as that goes; asks for no READ permission."""
    for size in range(CODE_BYTES, 0, -1):
        area = space.find_area(rip)
        if area is None or not area.flags.has_all(MappingFlags.EXECUTE):
            return b""
        try:
            return space.read(rip, size)
        except LinuxError:
            continue
    return b""


def _registers(regs: dict[str, int]) -> list[str]:
    lines = ["  registers"]
    for row in REGISTERS:
        lines.append("    " + "  ".join(f"{name:>3} {regs[name]:016x}" for name in row if name in regs))
    return lines


def _areas_near(process: Process, addresses: list[int]) -> list[str]:
    """For each address the area it is in, or the two around it; the areas in order, each once."""
    areas = process.space.areas()
    chosen: dict[int, MemoryArea] = {}
    notes: dict[int, list[str]] = {}
    for address in addresses:
        below = [area for area in areas if area.start <= address][-1:]
        above = [area for area in areas if area.start > address][:1]
        inside = bool(below) and address < below[0].end
        for area in below if inside else below + above:
            chosen[area.start] = area
            distance = "here" if inside else _distance(area, address)
            notes.setdefault(area.start, []).append(f"{address:#x} is {distance}")
    if not chosen:
        return ["  no areas are mapped"]
    lines = ["  areas near"]
    for start in sorted(chosen):
        area = chosen[start]
        line = f"    {area.start:012x}-{area.end:012x} {area.flags.rwx} {process.area_name(area) or '[anonymous]'}"
        lines.append(f"{line}  ({'; '.join(dict.fromkeys(notes[start]))})")
    return lines


def _distance(area: MemoryArea, address: int) -> str:
    if address >= area.end:
        return f"{address - area.end:#x} past its end"
    return f"{area.start - address:#x} before its start"
