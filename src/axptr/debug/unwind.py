"""Who called: the frames of a task's stack, from the innermost outwards.

By the unwinding rules that compilers write for exceptions (`.eh_frame`; DWARF 5, section 6.4; System V ABI for
x86-64, section 3.7), which hold without frame pointers and through signal handlers; where a file has none for an
address, by the frame pointer. A stack that leads nowhere ends the list: nothing is raised for what a program has
in its memory.

Not here: where the rules are found (`elffile`), lines of source.
"""

from __future__ import annotations

from ..errors import LinuxError
from .symbols import Location, Symbols

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Literal

    from ..engine.context import Context
    from ..mm.space import AddrSpace

    Way = Literal["registers", "rules", "frame pointer", "return address"]

LIMIT = 256
_NAMES = ("rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", *(f"r{number}" for number in range(8, 16)), "rip")
"""The registers by their numbers in DWARF (System V ABI for x86-64, figure 3.36); 16 is the return address."""
_SP, _PC = 7, 16
_MASK = (1 << 64) - 1
_DEEPEST = 64
"""Values on the stack of an expression."""


class Frame:
    """One call in progress. pc: where it goes on; sp: the stack pointer there. location: what that is, by name.

    way: how it was found: "registers" (the innermost), "rules" of `.eh_frame`, "frame pointer", or "return address" on
    top of the stack. signal: it was not called, but interrupted by the signal whose handler is the frame before.
    """

    __slots__ = ("location", "pc", "registers", "signal", "sp", "way")

    def __init__(self, registers: dict[str, int], location: Location, way: Way, signal: bool) -> None:
        self.registers = registers
        self.pc = registers["rip"]
        self.sp = registers["rsp"]
        self.location = location
        self.way = way
        self.signal = signal

    def __str__(self) -> str:
        return f"{self.pc:#018x} {self.location}" + (" (interrupted by a signal)" if self.signal else "")

    def __repr__(self) -> str:
        return f"<Frame {self}>"


def backtrace(task: Any, limit: int = LIMIT) -> list[Frame]:
    """The frames of a task that does not run at the moment, at most `limit`, the innermost first.

    task: of a kernel, or a process of `axptr.linux`: of one that a signal ended, as it was then. Raises
    `ModuleNotFoundError` without pyelftools, `ValueError` for a task of another architecture than x86-64, and for one
    that has ended by itself.
    """
    task = getattr(task, "task", task)
    death = getattr(getattr(task, "group", None), "death", None)
    return unwind(task.space, registers_of(task) if death is None else death.regs, limit)


def registers_of(task: Any) -> Context:
    """All registers of a task, whether it is the one that has the CPU or waits for its turn."""
    context: Context | None = task.loop.registers(task) if task.loop is not None else task.engine.save()
    if context is None:
        raise ValueError("this task has ended: it has no registers any more")
    return context


def unwind(space: AddrSpace, registers: Context | dict[str, int], limit: int = LIMIT) -> list[Frame]:
    """The same, of registers and the memory they belong to."""
    if not isinstance(registers, dict):
        if registers.arch.name != "x86_64":
            raise ValueError(f"there are no rules for the stack of {registers.arch.name} here")
        registers = {name: registers.read(name) for name in _NAMES}
    symbols = Symbols(space)
    found = [Frame(registers, symbols.at(registers["rip"]), "registers", False)]
    for caller, way, signal in _callers(space, symbols, registers):
        if len(found) >= limit:
            break
        found.append(Frame(caller, _place(symbols, caller["rip"], signal), way, signal))
    return found


def _place(symbols: Symbols, pc: int, signal: bool) -> Location:
    """What a frame goes on at. A call may be the last instruction of its function: the byte before tells."""
    here, call = symbols.at(pc), symbols.at(pc - 1)
    if signal or not call.symbol:
        return here
    return Location(pc, call.file, call.offset + 1, call.symbol, call.distance + 1)


def _callers(
    space: AddrSpace, symbols: Symbols, registers: dict[str, int]
) -> Iterator[tuple[dict[str, int], Way, bool]]:
    exact = True  # the program counter is that of an instruction, not the one behind a call
    while True:
        step = _by_rules(space, symbols, registers, exact)
        way: Way = "rules"
        if step is None:
            step, way = _by_hand(space, registers, exact)
        if step is None:
            return
        caller, signal = step
        if not caller["rip"] or (caller["rsp"] <= registers["rsp"] and not signal):
            return  # the outermost, or a stack that leads back
        yield caller, way, signal
        registers, exact = caller, signal


def _by_rules(
    space: AddrSpace, symbols: Symbols, registers: dict[str, int], exact: bool
) -> tuple[dict[str, int], bool] | None:
    """The caller's registers by the rules for this place, and whether this is the way back from a signal's handler."""
    pc = registers["rip"] - (0 if exact else 1)
    found = symbols.file_at(pc) or (None if exact else symbols.file_at(registers["rip"]))
    if found is None:
        return None
    elf, bias = found
    entry = elf.unwinding((pc - bias) & _MASK)
    signal = False
    if entry is None and not exact:  # a signal's handler returns to the first byte of what it returns to
        pc = registers["rip"]
        entry = elf.unwinding((pc - bias) & _MASK)
    if entry is None:
        return None
    signal = b"S" in bytes(entry.cie["augmentation"])
    try:
        rules = _rules_at(entry, (pc - bias) & _MASK)
        return None if rules is None else (_apply(space, entry, rules, registers), signal)
    except LinuxError:
        return dict(registers, rip=0), signal  # the stack is not there: the list ends
    except Exception as error:  # rules of a hostile file break their reader in more ways than it documents
        if isinstance(error, (ModuleNotFoundError, MemoryError)):
            raise
        return None


def _rules_at(entry: Any, address: int) -> dict[Any, Any] | None:
    rules = None
    for line in entry.get_decoded().table:
        if line["pc"] > address:
            break
        rules = line
    return rules


def _apply(space: AddrSpace, entry: Any, rules: dict[Any, Any], registers: dict[str, int]) -> dict[str, int]:
    cfa_rule = rules["cfa"]
    if cfa_rule.expr is not None:
        cfa = _evaluate(space, entry, cfa_rule.expr, registers, [])
    else:
        cfa = registers[_NAMES[cfa_rule.reg]] + cfa_rule.offset & _MASK
    caller = dict(registers, rsp=cfa, rip=0)
    for number, rule in rules.items():
        if not isinstance(number, int) or number >= len(_NAMES):
            continue
        name, kind = _NAMES[number], rule.type
        if kind == "OFFSET":
            caller[name] = _word(space, cfa + rule.arg)
        elif kind == "VAL_OFFSET":
            caller[name] = cfa + rule.arg & _MASK
        elif kind == "REGISTER":
            caller[name] = registers[_NAMES[rule.arg]]
        elif kind == "EXPRESSION":
            caller[name] = _word(space, _evaluate(space, entry, rule.arg, registers, [cfa]))
        elif kind == "VAL_EXPRESSION":
            caller[name] = _evaluate(space, entry, rule.arg, registers, [cfa])
        elif kind == "UNDEFINED" and number == _PC:
            caller[name] = 0  # the outermost frame says so of itself
    return caller


def _by_hand(
    space: AddrSpace, registers: dict[str, int], exact: bool
) -> tuple[tuple[dict[str, int], bool] | None, Way]:
    """Without rules: by the frame pointer; of a call that led to where no code is, by what lies on top of the stack."""
    sp, bp = registers["rsp"], registers["rbp"]
    try:
        area = space.find_area(registers["rip"])
        if exact and (area is None or "x" not in area.flags.rwx):
            return (dict(registers, rip=_word(space, sp), rsp=sp + 8), False), "return address"
        if bp < sp:
            return None, "frame pointer"
        return (dict(registers, rip=_word(space, bp + 8), rsp=bp + 16, rbp=_word(space, bp)), False), "frame pointer"
    except LinuxError:
        return None, "frame pointer"


def _word(space: AddrSpace, address: int) -> int:
    return int.from_bytes(space.read(address & _MASK, 8), "little")


def _evaluate(space: AddrSpace, entry: Any, code: list[int], registers: dict[str, int], stack: list[int]) -> int:
    """A DWARF expression (DWARF 5, section 2.5), as far as unwinding rules have any. `KeyError` for others."""
    from elftools.dwarf.dwarf_expr import DWARFExprParser

    for operation in DWARFExprParser(entry.structs).parse_expr(code):
        name, arguments = operation.op_name, operation.args
        if name.startswith("DW_OP_breg"):
            stack.append(registers[_NAMES[int(name[10:])]] + arguments[0])
        elif name.startswith("DW_OP_lit"):
            stack.append(int(name[9:]))
        elif name.startswith("DW_OP_const"):
            stack.append(arguments[0])
        elif name == "DW_OP_plus_uconst":
            stack.append(stack.pop() + arguments[0])
        elif name == "DW_OP_deref":
            stack.append(_word(space, stack.pop()))
        elif name == "DW_OP_dup":
            stack.append(stack[-1])
        else:
            right, left = stack.pop(), stack.pop()
            stack.append(_BINARY[name](left, right))
        stack[-1] &= _MASK
        if len(stack) > _DEEPEST:
            raise ValueError("an expression without end")
    return stack[-1]


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


_BINARY: dict[str, Callable[[int, int], int]] = {
    "DW_OP_plus": lambda left, right: left + right,
    "DW_OP_minus": lambda left, right: left - right,
    "DW_OP_mul": lambda left, right: left * right,
    "DW_OP_and": lambda left, right: left & right,
    "DW_OP_or": lambda left, right: left | right,
    "DW_OP_xor": lambda left, right: left ^ right,
    "DW_OP_shl": lambda left, right: left << right if right < 64 else 0,
    "DW_OP_shr": lambda left, right: left >> right,
    "DW_OP_eq": lambda left, right: int(left == right),
    "DW_OP_ne": lambda left, right: int(left != right),
    "DW_OP_ge": lambda left, right: int(_signed(left) >= _signed(right)),
    "DW_OP_gt": lambda left, right: int(_signed(left) > _signed(right)),
    "DW_OP_le": lambda left, right: int(_signed(left) <= _signed(right)),
    "DW_OP_lt": lambda left, right: int(_signed(left) < _signed(right)),
}
