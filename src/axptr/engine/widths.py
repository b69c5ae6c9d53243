"""How many bytes of memory an x86-64 instruction touches at its modrm operand, told from its bytes.

For what is watched, where it matters which bytes were touched. Sources: Intel SDM vol. 2, opcode maps of appendix A.

Left out: gather and scatter, element by element; parts of vectors that a mask leaves out count as touched.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .instructions import Instruction

_X87 = {
    0xD8: (4,) * 8,
    0xD9: (4, 0, 4, 4, 28, 2, 28, 2),
    0xDA: (4,) * 8,
    0xDB: (4, 4, 4, 4, 0, 10, 0, 10),
    0xDC: (8,) * 8,
    0xDD: (8, 8, 8, 8, 108, 0, 108, 2),
    0xDE: (2,) * 8,
    0xDF: (2, 2, 2, 2, 10, 8, 10, 8),
}
_BYTES = frozenset((
    *range(0x00, 0x40, 8), *range(0x02, 0x40, 8), 0x80, 0x82, 0x84, 0x86, 0x88, 0x8A, 0xA0, 0xA2, 0xA4, 0xA6, 0xAA,
    0xAC, 0xAE, 0xC0, 0xC6, 0xD0, 0xD2, 0xD7, 0xF6, 0xFE, *range(0x0F90, 0x0FA0), 0x0FB0, 0x0FB6, 0x0FBE, 0x0FC0,
))  # fmt: skip
_WORDS = frozenset((0x8C, 0x8E, 0x0FB7, 0x0FBF, 0x0FC4, 0x0F00))
_GENERAL = frozenset((
    *range(0x0F40, 0x0F50), 0x0FA3, 0x0FA4, 0x0FA5, 0x0FAB, 0x0FAC, 0x0FAD, 0x0FAF, 0x0FB1, 0x0FB3, 0x0FB8, 0x0FBA,
    0x0FBB, 0x0FBC, 0x0FBD, 0x0FC1,
))  # fmt: skip
# Behind 0x0F, by the prefix that counts: none, 0x66, 0xF3, 0xF2; 0: a whole vector.
_BY_PREFIX = {
    0x0F12: (8, 8, 0, 8), 0x0F13: (8, 8, 8, 8), 0x0F16: (8, 8, 0, 8), 0x0F17: (8, 8, 8, 8),
    0x0F2C: (8, 16, 4, 8), 0x0F2D: (8, 16, 4, 8), 0x0F2E: (4, 8, 4, 4), 0x0F2F: (4, 8, 4, 4),
    0x0F5A: (-2, 0, 4, 8), 0x0FE6: (-2, 0, -2, 0), 0x0F10: (0, 0, 4, 8), 0x0F11: (0, 0, 4, 8), 0x0FC2: (0, 0, 4, 8),
    **{op: (0, 0, 4, 8) for op in range(0x0F51, 0x0F60) if op not in (0x0F5A, 0x0F5B)},
}  # fmt: skip
# Behind 0x0F38: bytes, or a part of the vector (negative: divided by).
_BY_THIRD = {
    0x20: -2, 0x21: -4, 0x22: -8, 0x23: -2, 0x24: -4, 0x25: -2, 0x30: -2, 0x31: -4, 0x32: -8, 0x33: -2, 0x34: -4,
    0x35: -2, 0x13: -2, 0x18: 4, 0x19: 8, 0x1A: 16, 0x58: 4, 0x59: 8, 0x5A: 16, 0x78: 1, 0x79: 2,
}  # fmt: skip
_THIRD_3A = {
    0x14: 1,
    0x15: 2,
    0x17: 4,
    0x20: 1,
    0x21: 4,
    0x0A: 4,
    0x0B: 8,
    0x18: 16,
    0x19: 16,
    0x38: 16,
    0x39: 16,
    0x1D: -2,
}
_XSAVED = 4096
"""More than an XSAVE area of the standard format has in its fixed part: what it touches is not told from its bytes."""


def width_of(i: Instruction) -> int:
    """Bytes at the operand in memory; 0 if none are touched, or it is not known that there is one."""
    general = 8 if i.rex & 8 else 2 if 0x66 in i.prefixes else 4
    if i.opcode < 0x0F00:
        return _width_of_one(i, general)
    if i.opcode in (0x0F38, 0x0F3A):
        return _width_of_three(i, general)
    if i.vector and i.opcode in range(0x0F90, 0x0F94):  # kmov
        return {(0, 0): 2, (0, 8): 8, (1, 0): 1, (1, 8): 4}[0x66 in i.prefixes, i.rex & 8]
    if i.opcode in _BYTES:
        return 1
    if i.opcode in _WORDS:
        return 2
    if i.opcode in _GENERAL:
        return general
    return _width_of_two(i, general)


def _width_of_one(i: Instruction, general: int) -> int:
    if i.opcode in _X87:
        return _X87[i.opcode][i.digit]
    if i.opcode in _BYTES:
        return 1
    if i.opcode in _WORDS:
        return 2
    if i.opcode == 0x63:
        return min(general, 4)
    if i.opcode == 0x8F or (i.opcode == 0xFF and i.digit == 6):
        return 2 if 0x66 in i.prefixes else 8
    if i.opcode == 0xFF and i.digit in (2, 4):
        return 8
    if i.opcode == 0xFF and i.digit in (3, 5):
        return 2 + general
    return general


def _prefix(i: Instruction) -> int:
    """Which of the four meanings of an opcode behind 0x0F: F2 wins over F3, both over 66."""
    return 3 if 0xF2 in i.prefixes else 2 if 0xF3 in i.prefixes else 1 if 0x66 in i.prefixes else 0


def _width_of_two(i: Instruction, general: int) -> int:
    whole = i.vector or 16
    if i.opcode == 0x0F12 and i.vector > 16 and _prefix(i) == 3:  # vmovddup
        return whole
    if i.opcode in _BY_PREFIX:
        size = _BY_PREFIX[i.opcode][_prefix(i)]
        return size if size > 0 else whole // -size if size else whole
    if i.opcode in (0x0F6E, 0x0F7E):
        return 8 if i.rex & 8 or (i.opcode == 0x0F7E and _prefix(i) == 2) else 4
    if i.opcode in (0x0F2A, 0x0FC3):
        return 8 if i.rex & 8 or (i.opcode == 0x0F2A and _prefix(i) < 2) else 4
    if i.opcode == 0x0FAE:
        return (512, 512, 4, 4, _XSAVED, _XSAVED, _XSAVED if not i.prefixes & {0x66, 0xF3} else 0, 0)[i.digit]
    if i.opcode == 0x0FC7:
        return (16 if i.rex & 8 else 8) if i.digit == 1 else _XSAVED if i.digit in (3, 4, 5) else 0
    if i.opcode == 0x0FD6:
        return 8
    if i.opcode == 0x0F01:
        return 10 if i.digit < 4 else 2 if i.digit in (4, 6) else 0
    mmx = not i.vector and _prefix(i) == 0 and (i.opcode in range(0x0F60, 0x0F78) or i.opcode >= 0x0FD0)
    if mmx or (not i.vector and _prefix(i) == 0 and i.opcode == 0x0F7F):
        return 4 if i.opcode in (0x0F60, 0x0F61, 0x0F62) else 8
    return whole if i.opcode >= 0x0F10 else 0


def _width_of_three(i: Instruction, general: int) -> int:
    whole = i.vector or 16
    if i.opcode == 0x0F3A:
        if i.third == 0x0F and not i.vector and 0x66 not in i.prefixes:
            return 8
        if i.third in (0x16, 0x22):
            return 8 if i.rex & 8 else 4
        if i.third == 0xF0:
            return general
        size = _THIRD_3A.get(i.third, whole)
        return size if size > 0 else whole // -size
    if i.third in (0xF0, 0xF1) and not i.vector:
        return 1 if i.third == 0xF0 and 0xF2 in i.prefixes else general
    if i.third in (0xF2, 0xF3, 0xF5, 0xF6, 0xF7, 0xF9):
        return 8 if i.rex & 8 else 4
    if i.vector and i.third in range(0x96, 0xC0) and i.third & 15 in (9, 11, 13, 15):  # FMA of one element
        return 8 if i.rex & 8 else 4
    if not i.vector and i.third < 0x20 and i.third not in range(0x10, 0x18) and 0x66 not in i.prefixes:
        return 8
    size = _BY_THIRD.get(i.third, whole)
    return size if size > 0 else whole // -size
