"""Where a jump to an address that no CPU can form came from.

A CPU refuses such a jump at the jump: exception 13, nothing done. The library goes there and then asks for the page,
from inside of the code that it made of the block with the jump: an address in that code is on the stack of the asking
thread. In front of the code lies what the library knows of the block, with the guest's address and the block's size;
the jump is the block's last instruction. What is found is checked against the registers; where anything does not fit,
nothing is known.

    block: pc (8 bytes), 8 zeros, flags (4), size in the guest (2), instructions (2), 8 bytes,
           where its code is (8), bytes of that (8)

Source: `struct TranslationBlock` of QEMU 5.0; by trial with version 2.1.4 of the library.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Sequence
from struct import Struct
from typing import NamedTuple

from .instructions import decode
from .operands import GENERAL, word_at

_BLOCK = Struct("<QQIHH8xQQ")
_ALIGN = 64
_FARTHEST = 1 << 16  # bytes of code of one block
_NEAREST = 512  # from a block's description to its code
_AREA = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rwxp 0+ 00:00 0\s*")
_WORD = (1 << 64) - 1


class Branch(NamedTuple):
    """rip, rsp: before it was made."""

    rip: int
    rsp: int


def find_branch(
    trail: Sequence[int], target: int, register: Callable[[str], int], read: Callable[[int, int], bytes]
) -> Branch | None:
    """The jump that led to `target`, from the words on the stack of the thread that was there; None if not found.

    register, read: the guest's, after the jump.
    """
    areas = _code_areas()
    for word in trail:
        area = next((area for area in areas if area[0] <= word < area[1]), None)
        if area is not None:
            block = _block_of(word, area[0])
            if block is not None:
                return _last_branch(*block, target, register, read)
    return None


def branch_before(
    start: int, target: int, register: Callable[[str], int], read: Callable[[int, int], bytes]
) -> Branch | None:
    """The same where the jump began at `start`."""
    for size in range(1, 16):
        found = _last_branch(start, size, target, register, read)
        if found is not None and found.rip == start:
            return found
    return None


def _code_areas() -> list[tuple[int, int]]:
    """Where this process may write and execute: what the library makes lies there."""
    with open("/proc/self/maps") as maps:
        return [(int(m[1], 16), int(m[2], 16)) for m in map(_AREA.fullmatch, maps) if m]


def _block_of(word: int, first: int) -> tuple[int, int] | None:
    """The guest's address and the size of the block in whose code `word` points."""
    for at in range(word & -_ALIGN, max(first, word - _FARTHEST), -_ALIGN):
        pc, base, _, size, count, code, length = _BLOCK.unpack(ctypes.string_at(at, _BLOCK.size))
        if at < code <= at + _NEAREST and code <= word <= code + length and base == 0 and count and size:
            return pc, size
    return None


def _last_branch(
    pc: int, size: int, target: int, register: Callable[[str], int], read: Callable[[int, int], bytes]
) -> Branch | None:
    """The branch at the end of these bytes of the guest, if it leads to `target`."""
    end, rsp = pc + size, register("rsp")
    code = read(pc, size)
    for length in range(1, min(size, 15) + 1):
        piece = code[-length:]
        i = decode(piece)
        if i.opcode in (0xC3, 0xC2):
            more = int.from_bytes(piece[-2:], "little") if i.opcode == 0xC2 else 0
            before = (rsp - 8 - more) & _WORD
            if length == _prefixes(piece) + (3 if i.opcode == 0xC2 else 1) and word_at(read, before) == target:
                if code[-length - 1 : -length] in (b"\xf2", b"\xf3"):  # `rep ret`, most probably
                    length += 1
                return Branch(end - length, before)
        elif i.opcode == 0xFF and i.digit in (2, 4):
            before = (rsp + 8) & _WORD if i.digit == 2 else rsp
            if i.digit == 2 and word_at(read, rsp) != end:
                continue
            if _operand(piece, end, before, register, read) == target:
                return Branch(end - length, before)
    return None


def _prefixes(piece: bytes) -> int:
    return next((at for at, byte in enumerate(piece) if byte in (0xC2, 0xC3, 0xFF)), 0)


def _operand(
    piece: bytes, end: int, rsp: int, register: Callable[[str], int], read: Callable[[int, int], bytes]
) -> int | None:
    """The value of the operand of `jmp` or `call`, if the instruction is just as long as `piece`."""
    at = _prefixes(piece) + 1
    i = decode(piece)

    def general(number: int) -> int:
        return rsp if number == 4 else register(GENERAL[number])

    mode, low = i.modrm >> 6, i.modrm & 7
    extra = 8 if i.rex & 1 else 0
    at += 1
    if mode == 3:
        return general(low | extra) if at == len(piece) else None
    address = 0
    if low == 4:
        at += 1
        index = (i.sib >> 3 & 7) | (8 if i.rex & 2 else 0)
        if index != 4:
            address += general(index) << (i.sib >> 6)
        low = i.sib & 7
        if mode or low != 5:
            address += general(low | extra)
        else:
            mode = 2
    elif mode == 0 and low == 5:
        address, mode = end, 2
    else:
        address += general(low | extra)
    wide = (0, 1, 4)[mode]
    if at + wide != len(piece):
        return None
    address += int.from_bytes(piece[at:], "little", signed=True)
    for prefix, name in ((0x64, "fs_base"), (0x65, "gs_base")):
        if prefix in i.prefixes:
            address += register(name)
    return word_at(read, address & _WORD)
