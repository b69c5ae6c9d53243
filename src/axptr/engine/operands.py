"""Which addresses an x86-64 instruction touches, told from its bytes and the registers before it.

For reports, and for what is watched: where a CPU says only that an address was none that it can form, or in which page
it was, the bytes are found here. Left out: operands of gather and scatter, those of EVEX, whose displacements are
scaled, far pointers, bound tables. Bytes that are cut short or no instruction have no operand.
"""

from __future__ import annotations

from collections.abc import Callable

from ..named import NamedTuple
from .instructions import Instruction, decode, updates_memory
from .widths import width_of

Register = Callable[[str], int]
Read = Callable[[int, int], bytes]

_WORD = (1 << 64) - 1
GENERAL = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{i}" for i in range(8, 16)))
_NO_MODRM = frozenset(
    (*range(0x50, 0x60), *range(0x70, 0x80), *range(0x90, 0xC0), 0xC2, 0xC3, 0xC8, 0xC9, 0xCC, 0xCD, 0xE8, 0xE9, 0xEB)
)
# Opcodes that store to their memory operand without reading it; those behind 0x0F have 0x0F00 added.
_STORES = frozenset(
    (0x88, 0x89, 0x8C, 0x8F, 0xC6, 0xC7, 0xA2, 0xA3, 0x0F11, 0x0F13, 0x0F17, 0x0F29, 0x0F2B, 0x0F7E, 0x0F7F, 0x0FC3,
     0x0FD6, 0x0FE7, *range(0x0F90, 0x0FA0))
)  # fmt: skip


_STORES_38, _STORES_3A = frozenset((0x2E, 0x2F, 0x8E, 0xF1)), frozenset((0x14, 0x15, 0x16, 0x17, 0x19, 0x1D, 0x39))
_X87_STORES = {0xD9: (2, 3, 6, 7), 0xDB: (1, 2, 3, 7), 0xDD: (1, 2, 3, 6, 7), 0xDF: (1, 2, 3, 6, 7)}
# Opcodes with a modrm byte whose memory is not touched: lea, prefetches, nop.
_TOUCH_NOT = frozenset((0x8D, 0x0F0D, *range(0x0F18, 0x0F20)))


class Access(NamedTuple):
    """address: of its first byte. writes: whether it is stored to. size: bytes. reads: whether it is read, too."""

    address: int
    writes: bool
    size: int
    reads: bool


def _read(address: int, size: int) -> Access:
    return Access(address & _WORD, False, size, True)


def _written(address: int, size: int) -> Access:
    return Access(address & _WORD, True, size, False)


def accesses(code: bytes, rip: int, register: Register) -> list[Access]:
    """What the instruction at `rip` reads and writes in memory, in the order in which a CPU does it."""
    i = decode(code)
    stack = register("rsp")
    word = 2 if 0x66 in i.prefixes else 8
    found = []
    if i.opcode in range(0x50, 0x58) or i.opcode in (0x68, 0x6A, 0x9C, 0xE8, 0xC8, 0x0FA0, 0x0FA8):
        size = 8 if i.opcode in (0xE8, 0xC8) else word
        return [_written(stack - size, size)]
    if i.opcode in range(0x58, 0x60) or i.opcode in (0x9D, 0xC3, 0xC2, 0xCB, 0xCA, 0xCF, 0x0FA1, 0x0FA9):
        size = {0xC3: 8, 0xC2: 8, 0xCB: 8, 0xCA: 8, 0xCF: 40 if i.rex & 8 else 20}.get(i.opcode, word)
        return [_read(stack, size)]
    if i.opcode == 0xC9:
        return [_read(register("rbp"), 8)]
    size = width_of(i)
    if i.opcode in (0xA4, 0xA5, 0xA6, 0xA7, 0xAC, 0xAD):
        found.append(_read(register("rsi"), size))
    if i.opcode in (0xA4, 0xA5, 0xA6, 0xA7, 0xAA, 0xAB, 0xAE, 0xAF):
        writes = i.opcode in (0xA4, 0xA5, 0xAA, 0xAB)
        found.append(Access(register("rdi"), writes, size, not writes))
    if i.opcode == 0xD7:
        found.append(_read(register("rbx") + (register("rax") & 0xFF), 1))
    if found:
        repeated = i.prefixes & {0xF2, 0xF3} and i.opcode != 0xD7
        return [] if repeated and register("rcx") == 0 else found
    if i.opcode in (0xA0, 0xA1, 0xA2, 0xA3):
        writes = i.opcode > 0xA1
        return [Access(int.from_bytes(code[i.at : i.at + 8], "little"), writes, size, not writes)]
    address = address_of(code, rip, register)
    if address is None or i.opcode in _TOUCH_NOT or not size:
        return []
    if i.opcode in (0x0FA3, 0x0FAB, 0x0FB3, 0x0FBB):  # a bit of a string of bits, by the number in a register
        bits = 8 * size
        number = register(GENERAL[i.digit | (8 if i.rex & 4 else 0)]) & ((1 << bits) - 1)
        number -= number >> (bits - 1) << bits
        address = (address + number // bits * size) & _WORD
    if i.opcode == 0xFF and i.digit in (2, 3, 6):
        pushed = 16 if i.digit == 3 else word if i.digit == 6 else 8
        return [_read(address, size), _written(stack - pushed, pushed)]
    updates = updates_memory(code)
    writes = updates or _stores(i)
    found = [Access(address, writes, size, updates or not writes)]
    return [_read(stack, word), *found] if i.opcode == 0x8F else found


def _stores(i: Instruction) -> bool:
    """Whether it stores to its operand without reading it."""
    if i.opcode in _X87_STORES:
        return i.digit in _X87_STORES[i.opcode]
    if i.opcode == 0x0FAE:
        return i.digit in (0, 3, 4, 6)
    if i.opcode == 0x0F38:
        return i.third in _STORES_38 and not (i.third == 0xF1 and 0xF2 in i.prefixes)
    if i.opcode == 0x0F3A:
        return i.third in _STORES_3A
    if i.opcode == 0x0FC7:
        return i.digit in (4, 5)
    if i.opcode == 0x0F7E:
        return 0xF3 not in i.prefixes
    if i.vector and i.opcode in range(0x0F90, 0x0FA0):
        return i.opcode == 0x0F91
    return i.opcode in _STORES


def branch_target(code: bytes, rip: int, register: Register, read: Read) -> int | None:
    """Where `ret`, or `jmp` or `call` through a register or memory, leads; None for other instructions."""
    i = decode(code)
    if i.opcode in (0xC3, 0xC2):
        return word_at(read, register("rsp"))
    if i.opcode != 0xFF or i.digit not in (2, 4):
        return None
    if not i.in_memory:
        return register(GENERAL[(i.modrm & 7) | (8 if i.rex & 1 else 0)])
    address = address_of(code, rip, register)
    return None if address is None else word_at(read, address)


def address_of(code: bytes, rip: int, register: Register) -> int | None:
    """The address that the instruction's modrm byte names; None if it names a register, or there is none."""
    i = decode(code)
    if i.opcode in _NO_MODRM or i.at >= len(code) or code[i.at] >= 0xC0:
        return None
    modrm, rex = code[i.at], i.rex
    end = i.at + 1
    mode, low = modrm >> 6, modrm & 7
    extra = 8 if rex & 1 else 0
    address = 0
    relative = False
    if low == 4:
        sib = code[end] if end < len(code) else 0
        end += 1
        index = (sib >> 3 & 7) | (8 if rex & 2 else 0)
        if index != 4:
            address += register(GENERAL[index]) << (sib >> 6)
        low = sib & 7
        if mode or low != 5:
            address += register(GENERAL[low | extra])
        else:
            mode = 2
    elif mode == 0 and low == 5:
        relative, mode = True, 2
    else:
        address += register(GENERAL[low | extra])
    size = (0, 1, 4)[mode]
    address += int.from_bytes(code[end : end + size], "little", signed=True)
    end += size
    if relative:
        address += rip + end + _immediate(i)
    if 0x67 in i.prefixes:
        address &= 0xFFFF_FFFF
    for prefix, name in ((0x64, "fs_base"), (0x65, "gs_base")):
        if prefix in i.prefixes:
            address += register(name)
    return address & _WORD


def _immediate(i: Instruction) -> int:
    """Bytes of the immediate operand behind the address."""
    wide = 2 if 0x66 in i.prefixes else 4
    if i.opcode in (0x80, 0x83, 0xC0, 0xC1, 0xC6, 0x6B) or (i.opcode == 0xF6 and i.digit < 2):
        return 1
    if i.opcode in (0x81, 0xC7, 0x69) or (i.opcode == 0xF7 and i.digit < 2):
        return wide
    if i.opcode in (0x0F70, 0x0FA4, 0x0FAC, 0x0FBA, 0x0FC2, 0x0FC4, 0x0FC5, 0x0FC6, 0x0F3A):
        return 1
    return 0


def word_at(read: Read, at: int) -> int | None:
    """The 8 bytes at an address as a number, None if they are not all there."""
    got = read(at, 8)
    return int.from_bytes(got, "little") if len(got) == 8 else None
