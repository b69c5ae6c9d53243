"""The comparison of strings of SSE4.2: pcmpestri, pcmpestrm, pcmpistri, pcmpistrm.

Bits of `control`: 0 elements of two bytes, 1 signed, 2-3 how to compare (any of the first, ranges in the first, each
with each, the first as a substring), 4-5 negate (none, all, none, those before the end of the second), 6 the last
index instead of the first, or a mask of elements instead of bits.

Source: Intel's manual, volume 2, "String and text processing instructions". No state, no failure.
"""

import cython
from cython.cimports.axptr._core.cpu.x86.strings import StringPair
from cython.cimports.libc.stdint import int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from cython.cimports.libc.string import memcpy, memset


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _element(text: cython.pointer(uint8_t), i: cython.int, control: cython.int) -> int32_t:
    word: uint16_t
    value: int32_t = text[i]
    if control & 1:
        memcpy(cython.address(word), text + 2 * i, 2)
        value = word
        if control & 2:
            value = cython.cast(int16_t, word)
    elif control & 2:
        value = cython.cast(int8_t, text[i])
    return value


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _length(text: cython.pointer(uint8_t), counted: cython.bint, length: int64_t, control: cython.int) -> cython.int:
    """Elements of a string: their number, whatever its sign, at most all."""
    most: cython.int = 8 if control & 1 else 16
    i: cython.int
    if counted:
        return most if length < -most or length > most else cython.cast(cython.int, length if length >= 0 else -length)
    for i in range(most):
        if _element(text, i, control) == 0:
            return i
    return most


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _matches(pair: cython.pointer(StringPair), j: cython.int, a: cython.int, b: cython.int) -> cython.bint:
    """Whether there is a match at element `j` of the second string; a, b: elements of the two."""
    i: cython.int
    most: cython.int = 8 if pair.control & 1 else 16
    how: cython.int = pair.control >> 2 & 3
    here: int32_t = _element(pair.second, j, pair.control)
    if how == 0:
        for i in range(a):
            if j < b and _element(pair.first, i, pair.control) == here:
                return True
        return False
    if how == 1:
        for i in range(0, a - 1, 2):
            if j < b and _element(pair.first, i, pair.control) <= here <= _element(pair.first, i + 1, pair.control):
                return True
        return False
    if how == 2:
        if j >= a or j >= b:
            return j >= a and j >= b
        return _element(pair.first, j, pair.control) == here
    for i in range(min(a, most - j)):
        if j + i >= b or _element(pair.first, i, pair.control) != _element(pair.second, j + i, pair.control):
            return False
    return True


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def compare_strings(pair: cython.pointer(StringPair)) -> cython.void:
    """Fill in `index`, `mask` and `flags` (CF, ZF, SF, OF; the others are 0)."""
    j: cython.int
    most: cython.int = 8 if pair.control & 1 else 16
    wide: cython.int = 2 if pair.control & 1 else 1
    a: cython.int = _length(pair.first, pair.counted, pair.lengths[0], pair.control)
    b: cython.int = _length(pair.second, pair.counted, pair.lengths[1], pair.control)
    result: uint32_t = 0
    for j in range(most):
        if _matches(pair, j, a, b):
            result |= cython.cast(uint32_t, 1) << j
    if pair.control & 0x10:
        result ^= (
            ((cython.cast(uint32_t, 1) << b) - 1) if pair.control & 0x20 else (cython.cast(uint32_t, 1) << most) - 1
        )
    pair.index = most
    memset(pair.mask, 0, 16)
    for j in range(most):
        if result >> j & 1:
            if pair.control & 0x40:
                pair.index = j
                memset(pair.mask + j * wide, 0xFF, wide)
            elif pair.index == cython.cast(uint64_t, most):
                pair.index = j
    if not pair.control & 0x40:
        memcpy(pair.mask, cython.address(result), 4)
    pair.flags = (1 if result else 0) | (0x40 if b < most else 0) | (0x80 if a < most else 0)
    pair.flags |= 0x800 if result & 1 else 0
