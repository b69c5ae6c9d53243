"""What an x86-64 instruction does, as far as the report of an exception depends on it: told from its bytes.

Not here: what the library must not run (`_core.codescan`). Bytes that are cut short or no instruction do nothing.
"""

from __future__ import annotations

from ..named import NamedTuple

_LEGACY = frozenset(b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3")
# Opcodes that use the stack: push, pop, pushf, popf, ret, enter, leave, retf, iret, call.
_STACK = frozenset((*range(0x50, 0x60), 0x68, 0x6A, 0x8F, *b"\x9c\x9d\xc2\xc3\xc8\xc9\xca\xcb\xcf\xe8"))
_STACK_TWO = frozenset(b"\xa0\xa1\xa8\xa9")  # behind 0x0F: push and pop of fs, gs


class Instruction(NamedTuple):
    """prefixes: without REX; those that VEX and EVEX stand for too. rex: the byte, or its bits. opcode: 0x0F00 and more
    for those behind 0x0F. modrm, sib: what would stand there; at: where modrm would. third: the opcode behind 0x0F38
    and 0x0F3A. vector: bytes of the operands of one with VEX or EVEX, 0 without.
    """

    prefixes: frozenset[int]
    rex: int
    opcode: int
    modrm: int
    sib: int
    at: int = 0
    third: int = 0
    vector: int = 0

    @property
    def digit(self) -> int:
        return self.modrm >> 3 & 7

    @property
    def in_memory(self) -> bool:
        """Whether a modrm byte here names memory."""
        return self.modrm < 0xC0


def decode(code: bytes) -> Instruction:
    at = rex = 0
    prefixes = set()
    while at < len(code) and (code[at] in _LEGACY or code[at] & 0xF0 == 0x40):
        rex = code[at] if code[at] & 0xF0 == 0x40 else 0
        if not rex:
            prefixes.add(code[at])
        at += 1
    rest = code[at:].ljust(8, b"\0")
    if rest[0] in (0xC4, 0xC5, 0x62):
        return _decode_vector(rest, at, prefixes)
    if rest[0] != 0x0F:
        return Instruction(frozenset(prefixes), rex, rest[0], rest[1], rest[2], at + 1)
    if rest[1] in (0x38, 0x3A):
        return Instruction(frozenset(prefixes), rex, 0x0F00 | rest[1], rest[3], rest[4], at + 3, rest[2])
    return Instruction(frozenset(prefixes), rex, 0x0F00 | rest[1], rest[2], rest[3], at + 2)


_MEANT = (None, 0x66, 0xF3, 0xF2)  # by VEX.pp
_MAPS = {1: 0x0F00, 2: 0x0F38, 3: 0x0F3A}


def _decode_vector(rest: bytes, at: int, prefixes: set[int]) -> Instruction:
    """One with VEX or EVEX (Intel SDM vol. 2, 2.3 and 2.7)."""
    if rest[0] == 0xC5:
        kind, low, size, after = 1, rest[1], 16 << (rest[1] >> 2 & 1), 2
        rex = (~rest[1] >> 7 & 1) << 2
    elif rest[0] == 0xC4:
        kind, low, size, after = rest[1] & 31, rest[2], 16 << (rest[2] >> 2 & 1), 3
        rex = (~rest[1] >> 5 & 7) | rest[2] >> 7 << 3
    else:
        kind, low, size, after = rest[1] & 7, rest[2], 16 << min(rest[3] >> 5 & 3, 2), 4
        rex = (~rest[1] >> 5 & 7) | rest[2] >> 7 << 3
    meant = _MEANT[low & 3]
    if meant is not None:
        prefixes.add(meant)
    base, op = _MAPS.get(kind, 0x0F39), rest[after]
    if base == 0x0F00:
        return Instruction(
            frozenset(prefixes), rex, base | op, rest[after + 1], rest[after + 2], at + after + 1, 0, size
        )
    return Instruction(frozenset(prefixes), rex, base, rest[after + 1], rest[after + 2], at + after + 1, op, size)


def updates_memory(code: bytes) -> bool:
    """Whether the instruction reads its operand in memory and writes it back: a CPU wants both rights at once."""
    i = decode(code)
    if not i.in_memory or i.vector:
        return False
    if i.opcode < 0x38:
        return i.opcode & 7 < 2
    if i.opcode in (0x80, 0x81, 0x83):
        return i.digit != 7
    if i.opcode in (0xF6, 0xF7):
        return i.digit in (2, 3)
    if i.opcode in (0xFE, 0xFF):
        return i.digit < 2
    if i.opcode == 0x0FBA:
        return i.digit > 4
    if i.opcode == 0x0FC7:
        return i.digit == 1
    return i.opcode in (
        0x86, 0x87, 0xC0, 0xC1, 0xD0, 0xD1, 0xD2, 0xD3,
        0x0FA4, 0x0FA5, 0x0FAB, 0x0FAC, 0x0FAD, 0x0FB0, 0x0FB1, 0x0FB3, 0x0FBB, 0x0FC0, 0x0FC1,
    )  # fmt: skip


def uses_stack_segment(code: bytes, writes: bool) -> bool:
    """Whether the access that was refused, a write or a read, went through SS: there is another exception for it.

    Pushes and pops do, and operands whose base is rsp or rbp. Prefixes for fs and gs win.
    """
    i = decode(code)
    if i.opcode == 0x8F or (i.opcode == 0xFF and i.digit in (2, 3, 6)):
        # The stack is read by pop and written by the others; their operand is the other way round.
        if writes == (i.opcode == 0xFF):
            return True
    elif i.opcode in _STACK or (i.opcode >> 8 and i.opcode & 0xFF in _STACK_TWO):
        return True
    if not i.in_memory or i.prefixes & {0x64, 0x65}:
        return False
    base = i.sib & 7 if i.modrm & 7 == 4 else i.modrm & 7
    return not i.rex & 1 and (base == 4 or (base == 5 and i.modrm >= 0x40))


def divides(code: bytes) -> bool:
    """Whether this is `div` or `idiv`."""
    i = decode(code)
    return i.opcode in (0xF6, 0xF7) and i.digit in (6, 7)
