"""Page-table formats: how an architecture lays out its entries, as data.

A `PagingFormat` is a table of levels, top first, and rules that say which bits stand for what. The walker
(`PageTable`) knows no architecture; a new format is a new table here and nothing else.

Not here: walking and changing tables (`_core.paging`), and which pages a program may have (`mm`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .flags import MappingFlags


class Level(NamedTuple):
    """One level of a walk.

    shift: log2 of the bytes that one entry covers. bits: log2 of the entries of a table.
    leaf: whether an entry may map a page here. leaf_bits: what every leaf of this level has set.
    """

    shift: int
    bits: int
    leaf: bool
    leaf_bits: int


class Rule(NamedTuple):
    """A flag's place in an entry: it is set when `entry & mask == value`.

    `on` and `off` are the bits that encode the flag, and its absence.
    """

    mask: int
    value: int
    on: int
    off: int = 0


class PagingFormat(NamedTuple):
    """A page-table format. Entries are 64 bits, little endian; the last level maps pages of 4 KiB.

    va_bits: bits of a virtual address that are translated; the rest copy the highest (`sign_extended`) or are
    zero. The physical address is `(entry & paddr_mask) << paddr_shift`. An entry is present when
    `entry & valid_mask == valid_value`, and leads to another table when also
    `entry & table_mask == table_value`. `accessed` and `dirty` are the bits of those names. `kept` marks
    an entry that is not present and yet keeps its frame, `noread` a page that may not be read where the hardware
    cannot say so; both are bits that the architecture leaves to software.
    """

    name: str
    levels: tuple[Level, ...]
    va_bits: int
    sign_extended: bool
    paddr_mask: int
    paddr_shift: int
    valid_mask: int
    valid_value: int
    table_mask: int
    table_value: int
    table_bits: int
    accessed: int
    dirty: int
    kept: int
    noread: int
    write_grants_read: bool
    rules: Mapping[MappingFlags, Rule]

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"<PagingFormat {self.name}>"

    def __str__(self) -> str:
        return self.name


_NX = 1 << 63

X86_64 = PagingFormat(
    # Intel SDM volume 3A, 4.5 "4-level paging", tables 4-15 to 4-20:
    #
    #   63   62..59  58..52   51..12            11..9     8  7   6  5  4    3    2    1    0
    #   XD   key     ignored  frame, or table   ignored   G  PS  D  A  PCD  PWT  U/S  R/W  P
    #
    # PS in an entry of level 3 or 2 makes it a page of 1 GiB or 2 MiB; in the last level the bit is PAT.
    name="x86-64",
    levels=(
        Level(39, 9, False, 0),
        Level(30, 9, True, 0xA1),
        Level(21, 9, True, 0xA1),
        Level(12, 9, True, 0x21),
    ),
    va_bits=48,
    sign_extended=True,
    paddr_mask=0x000F_FFFF_FFFF_F000,
    paddr_shift=0,
    valid_mask=1,
    valid_value=1,
    table_mask=0x80,
    table_value=0,
    table_bits=0x07,
    accessed=0x20,
    dirty=0x40,
    kept=0x200,
    noread=0x400,
    write_grants_read=True,
    rules={
        MappingFlags.READ: Rule(1, 1, 1),
        MappingFlags.WRITE: Rule(2, 2, 2),
        MappingFlags.EXECUTE: Rule(_NX, 0, 0, _NX),
        MappingFlags.USER: Rule(4, 4, 4),
        MappingFlags.DEVICE: Rule(0x18, 0x18, 0x18),
        MappingFlags.UNCACHED: Rule(0x18, 0x10, 0x10),
    },
)
