"""A `PagingFormat` made ready for code without the GIL: `CFormat`, and what single entries say.

A format is compiled once and kept; every table of it points to the same `CFormat`. The functions on entries stand in
the .pxd, inline.

Not here: the formats themselves (`axptr.paging`), walks over tables (`walk`, `paging`).

Failure: `ValueError` for a format that no table can have; a walker may trust what it is given.
"""

from itertools import pairwise

import cython
from cython.cimports.axptr._core.paging.format import (
    MOST_LEVELS,
    MOST_LIMITS,
    RESERVED,
    CFormat,
    CLevel,
    CLimit,
    entry_memory,
    entry_permissions,
)
from cython.cimports.axptr._core.words.codes import ACCESS, DEVICE, MEMORY_TYPE, PAGE_SHIFT, READ, UNCACHED, USER, WRITE
from cython.cimports.libc.stdint import uint32_t, uint64_t
from cython.cimports.libc.string import memset

from axptr.paging import PagingFormat

_TOP = 1 << 64

_codes = {}
_MOST_CODES = 64  # of formats that callers made up: a bound, not a number anybody reaches


def _runs(mask):
    """The runs of bits of a mask, as (shift, width), lowest first."""
    found = []
    shift = 0
    while mask >> shift:
        width = 0
        while (mask >> shift + width) & 1:
            width += 1
        if width:
            found.append((shift, width))
        shift += width or 1
    return found


def _row(rows, flags, name):
    """The bits for these flags: the first row that has just them, or has READ besides."""
    for wanted in (flags, flags | READ):
        for bits, granted in rows:
            if granted == wanted:
                return bits
    raise ValueError(f"{name} has no entry for a page with flags {flags:#x}")


@cython.cclass
class FormatCode:
    def __cinit__(self, fmt):
        i: uint32_t
        flags: uint32_t
        c: cython.pointer(CFormat) = cython.address(self.c)
        self.format = fmt
        levels = fmt.levels
        if not 2 <= len(levels) <= MOST_LEVELS or len(fmt.limits) > MOST_LIMITS:
            raise ValueError(f"{fmt.name}: want 2 to {MOST_LEVELS} levels and at most {MOST_LIMITS} limits")
        last = levels[len(levels) - 1]
        if last.shift != PAGE_SHIFT or not last.leaf_mask or any(not 1 <= level.bits <= 9 for level in levels):
            raise ValueError(f"{fmt.name}: a table has at most 512 entries, the last maps pages of 4 KiB")
        if any(high.shift != low.shift + low.bits for high, low in pairwise(levels)):
            raise ValueError(f"{fmt.name}: one table must cover what one entry above it does")
        if fmt.va_bits != levels[0].shift + levels[0].bits or fmt.va_base & ((1 << fmt.va_bits) - 1):
            raise ValueError(f"{fmt.name}: the levels do not translate {fmt.va_bits} bits from {fmt.va_base:#x} on")
        if (fmt.kept | fmt.dirty | fmt.noread) & (fmt.paddr_mask | fmt.valid | fmt.permission_mask):
            raise ValueError(f"{fmt.name}: a mark lies among the bits of addresses or permissions")
        c.nlevels = len(levels)
        for i in range(c.nlevels):
            level = levels[i]
            mask, bits = level.leaf_mask, level.leaf_bits
            c.levels[i] = CLevel(level.shift, (1 << level.bits) - 1, mask, bits & mask, bits, level.reserved)
        c.nlimits = len(fmt.limits)
        for i in range(c.nlimits):
            c.limits[i] = CLimit(fmt.limits[i].mask, fmt.limits[i].value, fmt.limits[i].set, fmt.limits[i].clear)
        c.paddr_mask = fmt.paddr_mask
        c.paddr_shift = fmt.paddr_shift
        c.write_grants_read = fmt.write_grants_read
        c.valid = fmt.valid
        c.table_mask = fmt.table_mask
        c.table_value = fmt.table_value
        c.table_bits = fmt.table_bits
        c.table_reserved = fmt.table_reserved
        c.accessed = fmt.accessed
        c.dirty = fmt.dirty
        c.write_bits = fmt.write_bits
        c.clean_bits = fmt.clean_bits
        c.kept = fmt.kept
        c.noread = fmt.noread
        reach = 1 << fmt.va_bits
        c.low_first = fmt.va_base
        c.low_last = fmt.va_base + (reach // 2 if fmt.sign_extended else reach) - 1
        c.high_first = _TOP - reach // 2 if fmt.sign_extended else fmt.va_base
        self._permissions()
        self._memory()
        # What is asked for with WRITE, READ or EXECUTE; an entry for none of them is not present.
        for flags in range(64):
            if flags & ACCESS:
                asked = flags & (ACCESS | USER)
                if fmt.write_grants_read and asked & WRITE:
                    asked |= READ
                kind = DEVICE if flags & DEVICE else flags & UNCACHED
                c.attributes[flags] = (
                    _row(fmt.permissions, asked, fmt.name) | _row(fmt.memory, kind, fmt.name)
                ) & ~fmt.dirty

    def _permissions(self):
        bits: uint64_t
        c: cython.pointer(CFormat) = cython.address(self.c)
        runs = _runs(self.format.permission_mask)
        if not 1 <= len(runs) <= 2 or sum(width for _, width in runs) > 5:
            raise ValueError(f"{self.format.name}: permissions are one or two runs of at most five bits")
        c.low_shift, width = runs[0]
        c.low_mask = (1 << width) - 1
        c.high_shift = 0
        c.high_mask = 0
        if len(runs) == 2:
            c.high_shift = runs[1][0] - width
            c.high_mask = ((1 << runs[1][1]) - 1) << width
        memset(cython.address(c.permissions[0]), RESERVED, 32)
        for bits, flags in self.format.permissions:
            if (
                entry_permissions(c, bits) != RESERVED
                or bits & ~self.format.permission_mask
                or flags & ~(ACCESS | USER)
            ):
                raise ValueError(f"{self.format.name}: {bits:#x} stands twice among the permissions, or in no place")
            c.permissions[((bits >> c.low_shift) & c.low_mask) | ((bits >> c.high_shift) & c.high_mask)] = flags

    def _memory(self):
        bits: uint64_t
        c: cython.pointer(CFormat) = cython.address(self.c)
        runs = _runs(self.format.memory_mask)
        if len(runs) != 1 or runs[0][1] > 3:
            raise ValueError(f"{self.format.name}: the memory type is one run of at most three bits")
        c.memory_shift = runs[0][0]
        c.memory_mask = (1 << runs[0][1]) - 1
        memset(cython.address(c.memory[0]), RESERVED, 8)
        for bits, flags in self.format.memory:
            if entry_memory(c, bits) != RESERVED or bits & ~self.format.memory_mask or flags & ~MEMORY_TYPE:
                raise ValueError(f"{self.format.name}: {bits:#x} stands twice among the memory types, or in no place")
            c.memory[(bits >> c.memory_shift) & c.memory_mask] = flags


def format_code(fmt):
    """What a format is for C, made at its first use. Raises `TypeError` for anything else than a `PagingFormat`."""
    if not isinstance(fmt, PagingFormat):
        raise TypeError(f"want a PagingFormat, not {type(fmt).__name__}")
    found = _codes.get(fmt)
    if found is None:
        found = FormatCode(fmt)
        if len(_codes) >= _MOST_CODES:
            _codes.clear()
        _codes[fmt] = found
    return found
