"""Which addresses an x86-64 instruction touches, told from its bytes and the registers before it.

For reports alone: where a CPU says only that an address was none that it can form, the address is found here. Left out:
operands of gather and scatter, far pointers, bound tables. Bytes that are cut short or no instruction have no operand.
"""

from __future__ import annotations

from collections.abc import Callable

from ..named import NamedTuple
from .instructions import decode, updates_memory

Register = Callable[[str], int]
Read = Callable[[int, int], bytes]

_WORD = (1 << 64) - 1
GENERAL = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{i}" for i in range(8, 16)))
_PREFIXES = frozenset(b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3")
_NO_MODRM = frozenset(
    (*range(0x50, 0x60), *range(0x70, 0x80), *range(0x90, 0xC0), 0xC2, 0xC3, 0xC8, 0xC9, 0xCC, 0xCD, 0xE8, 0xE9, 0xEB)
)
# Opcodes that store to their memory operand without reading it; those behind 0x0F have 0x0F00 added.
_STORES = frozenset(
    (0x88, 0x89, 0x8C, 0x8F, 0xC6, 0xC7, 0xA2, 0xA3, 0x0F11, 0x0F13, 0x0F17, 0x0F29, 0x0F2B, 0x0F7E, 0x0F7F, 0x0FC3,
     0x0FD6, 0x0FE7, *range(0x0F90, 0x0FA0))
)  # fmt: skip


class Access(NamedTuple):
    """address: of its first byte. writes: whether it is stored to."""

    address: int
    writes: bool


def accesses(code: bytes, rip: int, register: Register) -> list[Access]:
    """What the instruction at `rip` reads and writes in memory, in the order in which a CPU does it."""
    i = decode(code)
    stack = register("rsp")
    found = []
    if i.opcode in range(0x50, 0x58) or i.opcode in (0x68, 0x6A, 0x9C, 0xE8, 0xC8):
        return [Access((stack - 8) & _WORD, True)]
    if i.opcode in range(0x58, 0x60) or i.opcode in (0x9D, 0xC3, 0xC2):
        return [Access(stack, False)]
    if i.opcode == 0xC9:
        return [Access(register("rbp"), False)]
    if i.opcode in (0xA4, 0xA5, 0xA6, 0xA7, 0xAC, 0xAD):
        found.append(Access(register("rsi"), False))
    if i.opcode in (0xA4, 0xA5, 0xA6, 0xA7, 0xAA, 0xAB, 0xAE, 0xAF):
        found.append(Access(register("rdi"), i.opcode in (0xA4, 0xA5, 0xAA, 0xAB)))
    if i.opcode == 0xD7:
        found.append(Access((register("rbx") + (register("rax") & 0xFF)) & _WORD, False))
    if found:
        return found
    at = _opcode_at(code)
    if i.opcode in (0xA0, 0xA1, 0xA2, 0xA3):
        return [Access(int.from_bytes(code[at + 1 : at + 9], "little"), i.opcode > 0xA1)]
    address = address_of(code, rip, register)
    if address is None:
        return []
    if i.opcode == 0xFF and i.digit in (2, 3, 6):
        return [Access(address, False), Access((stack - 8) & _WORD, True)]
    writes = updates_memory(code) or i.opcode in _STORES
    found = [Access(address, writes)]
    return [Access(stack, False), *found] if i.opcode == 0x8F else found


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
    at = _opcode_at(code)
    if i.opcode >> 8:
        at += 1
        if i.opcode in (0x0F38, 0x0F3A):
            at += 1
    elif i.opcode in _NO_MODRM:
        return None
    if at + 1 >= len(code) or code[at + 1] >= 0xC0:
        return None
    modrm, rex = code[at + 1], i.rex
    end = at + 2
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
        address += rip + end + _immediate(i.opcode, i.digit, i.prefixes, code[at + 1 :])
    if 0x67 in i.prefixes:
        address &= 0xFFFF_FFFF
    for prefix, name in ((0x64, "fs_base"), (0x65, "gs_base")):
        if prefix in i.prefixes:
            address += register(name)
    return address & _WORD


def _opcode_at(code: bytes) -> int:
    """Where the opcode stands, of one behind 0x0F that byte's place."""
    at = 0
    while at < len(code) and (code[at] in _PREFIXES or code[at] & 0xF0 == 0x40):
        at += 1
    return at


def _immediate(opcode: int, digit: int, prefixes: frozenset[int], rest: bytes) -> int:
    """Bytes of the immediate operand behind the address."""
    wide = 2 if 0x66 in prefixes else 4
    if opcode in (0x80, 0x83, 0xC0, 0xC1, 0xC6, 0x6B) or (opcode == 0xF6 and digit < 2):
        return 1
    if opcode in (0x81, 0xC7, 0x69) or (opcode == 0xF7 and digit < 2):
        return wide
    if opcode in (0x0F70, 0x0FA4, 0x0FAC, 0x0FBA, 0x0FC2, 0x0FC4, 0x0FC5, 0x0FC6, 0x0F3A):
        return 1
    return 0


def word_at(read: Read, at: int) -> int | None:
    """The 8 bytes at an address as a number, None if they are not all there."""
    got = read(at, 8)
    return int.from_bytes(got, "little") if len(got) == 8 else None
