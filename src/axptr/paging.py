"""Page-table formats: how an architecture lays out its entries, as data.

A `PagingFormat` is a table of levels, top first, and tables that say which bits stand for what. The walker
(`PageTable`) knows no architecture; a new format is a new table here and nothing else.

    X86_64    4 levels, 48 bits, both halves    pages of 4 KiB, 2 MiB, 1 GiB
    AARCH64   4 levels, 48 bits, lower half     pages of 4 KiB, 2 MiB, 1 GiB
    SV39      3 levels, 39 bits, both halves    pages of 4 KiB, 2 MiB, 1 GiB
    SV48      4 levels, 48 bits, both halves    pages of 4 KiB, 2 MiB, 1 GiB, 512 GiB

Not here: walking and changing tables (`_core.paging`), and which pages a program may have (`mm`). Left out of the
formats: five levels and protection keys of x86-64, other granules, 52-bit addresses and descriptors of 128 bits of
AArch64, Sv57 and Svnapot of RISC-V.
"""

from __future__ import annotations

from axptr._core.words import codes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar, dataclass_transform

    D = TypeVar("D", bound="_Data")
else:

    def dataclass_transform(**_: bool):
        return lambda cls: cls


@dataclass_transform(frozen_default=True)
class _Data:
    """A frozen dataclass, without the time that making one takes at every import."""

    def __init__(self, *values: Any, **named: Any) -> None:
        fields = type(self).__annotations__
        given = {**dict(zip(fields, values, strict=False)), **named}
        if len(values) + len(named) != len(given) or not given.keys() <= fields.keys():
            raise TypeError(f"{type(self).__name__} has the fields {', '.join(fields)}")
        for field in fields:
            if field not in given and not hasattr(type(self), field):
                raise TypeError(f"{type(self).__name__} lacks {field}")
            vars(self)[field] = given[field] if field in given else getattr(self, field)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a {type(self).__name__} does not change: replace() makes another")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a {type(self).__name__} does not change: replace() makes another")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash(tuple(vars(self).values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"

    def replace(self: D, **changes: Any) -> D:
        """The same with some fields changed."""
        return type(self)(**{**vars(self), **changes})


class Level(_Data):
    """One level of a walk.

    shift: log2 of the bytes that one entry covers. bits: log2 of the entries of a table. leaf_bits: what every
    page mapped at this level has set. An entry that leads to no table maps a page if
    `entry & leaf_mask == leaf_bits & leaf_mask` and no `reserved` bit is set; `leaf_mask` 0: no pages here.
    """

    shift: int
    bits: int
    leaf_mask: int = 0
    leaf_bits: int = 0
    reserved: int = 0


class Limit(_Data):
    """What a table takes away from all pages below it.

    Where a table's entry has `entry & mask == value`, every page below counts as if its entry had the bits of
    `set` set and those of `clear` clear.
    """

    mask: int
    value: int
    set: int
    clear: int


class PagingFormat(_Data):
    """A page-table format. Entries are 64 bits, little endian; the last level maps pages of 4 KiB.

    va_bits: bits of a virtual address that are translated; the rest copy the highest of them (`sign_extended`) or
    are those of `va_base`. The physical address is `(entry & paddr_mask) << paddr_shift`.

    An entry is present when it has `valid`. It leads to another table (not in the last level) when
    `entry & table_mask == table_value` and no bit of `table_reserved` is set; `table_bits` are those of a table
    of ours. Any other is a page, if its level allows.

    `permissions` and `memory` are tables of `(bits, flags)`: an entry with `entry & permission_mask == bits` grants
    those of READ, WRITE, EXECUTE and USER, one with `entry & memory_mask == bits` is DEVICE, UNCACHED or neither.
    What stands in no row is reserved: such an entry maps nothing. For writing, the first row that has just the flags
    is taken, or the first that has READ besides. DEVICE includes UNCACHED.

    accessed, dirty: the bits of those names; a `dirty` that the CPU knows nothing of is a bit left to software.
    write_bits: what a page that `PageTable.map` makes writable needs besides, where some CPUs refuse to write without.
    clean_bits: what a writable page of an address space has as long as it is not dirty, where the CPU would not notice
    the first write otherwise.
    kept: marks an entry that is not present and yet keeps its frame. noread: marks a page that may not be read where
    the hardware cannot say so. Both are bits that the architecture leaves to software.
    limits: what table entries take away from the pages below them.
    """

    name: str
    levels: tuple[Level, ...]
    va_bits: int
    sign_extended: bool
    paddr_mask: int
    paddr_shift: int
    valid: int
    table_mask: int
    table_value: int
    table_bits: int
    table_reserved: int
    permission_mask: int
    permissions: tuple[tuple[int, int], ...]
    memory_mask: int
    memory: tuple[tuple[int, int], ...]
    accessed: int
    dirty: int
    write_bits: int
    clean_bits: int
    kept: int
    noread: int
    write_grants_read: bool
    limits: tuple[Limit, ...] = ()
    va_base: int = 0

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"<PagingFormat {self.name}>"

    def __str__(self) -> str:
        return self.name


# As plain numbers: combining the flags themselves costs time at every import.
_R, _W, _X, _U = codes.READ, codes.WRITE, codes.EXECUTE, codes.USER
_DEVICE, _UNCACHED = codes.DEVICE, codes.UNCACHED


def _field(high: int, low: int) -> int:
    """The bits high..low, as manuals write them."""
    return (1 << (high + 1)) - (1 << low)


# -- x86-64 ----------------------------------------------------------------------------------------------------
#
# Intel SDM volume 3A, 4-level paging: figure "Formats of CR3 and Paging-Structure Entries with 4-Level Paging",
# tables 4-15 to 4-20 (chapter 4; chapter 5 in editions from 2024 on):
#
#   63   62..59  58..52   51..12            11..9     8  7   6  5  4    3    2    1    0
#   XD   key     ignored  frame, or table   ignored   G  PS  D  A  PCD  PWT  U/S  R/W  P
#
# PS in an entry of level 3 or 2 makes it a page of 1 GiB or 2 MiB, whose bits between PAT (12) and the frame are
# reserved; in the top level PS is reserved, in the last level it is PAT. R/W, U/S and XD of every entry on the way
# count ("Determination of Access Rights"). Addresses are taken to have 52 physical bits.

_P, _RW, _US, _PWT, _PCD, _A, _D, _PS, _XD = 1, 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 5, 1 << 6, 1 << 7, 1 << 63

X86_64 = PagingFormat(
    name="x86-64",
    levels=(
        Level(39, 9),
        Level(30, 9, _P | _PS, _P | _PS | _A, _field(29, 13)),
        Level(21, 9, _P | _PS, _P | _PS | _A, _field(20, 13)),
        Level(12, 9, _P, _P | _A),
    ),
    va_bits=48,
    sign_extended=True,
    paddr_mask=_field(51, 12),
    paddr_shift=0,
    valid=_P,
    table_mask=_P | _PS,
    table_value=_P,
    table_bits=_P | _RW | _US,
    table_reserved=0,
    permission_mask=_RW | _US | _XD,
    permissions=(
        (_XD, _R),
        (_XD | _RW, _R | _W),
        (0, _R | _X),
        (_RW, _R | _W | _X),
        (_XD | _US, _R | _U),
        (_XD | _US | _RW, _R | _W | _U),
        (_US, _R | _X | _U),
        (_US | _RW, _R | _W | _X | _U),
    ),
    # The PAT as it is after reset: write back, write through, uncached unless an MTRR says more (UC-), uncached.
    memory_mask=_PCD | _PWT,
    memory=((0, 0), (_PWT, 0), (_PCD, _UNCACHED), (_PCD | _PWT, _DEVICE)),
    accessed=_A,
    dirty=_D,
    write_bits=0,
    clean_bits=0,
    kept=1 << 9,
    noread=1 << 10,
    write_grants_read=True,
    limits=(Limit(_RW, 0, 0, _RW), Limit(_US, 0, 0, _US), Limit(_XD, _XD, _XD, 0)),
)

# -- AArch64 ---------------------------------------------------------------------------------------------------
#
# Arm ARM (DDI 0487) D8.3, "VMSAv8-64 translation table format descriptors", stage 1, granule of 4 KiB, 48 bits:
#
#           63   62..61   60        59        58..51   50..12                                   11..2     1  0
#   table   NS   APTable  UXNTable  PXNTable  ignored  table (47..12)                           ignored   1  1
#
#           58..55    54   53   52    51   50  47..12  11  10  9..8  7..6     5   4..2      1  0
#   block   software  UXN  PXN  cont  DBM  GP  frame   nG  AF  SH    AP[2:1]  NS  AttrIndx  0  1     levels 1, 2
#   page    software  UXN  PXN  cont  DBM  GP  frame   nG  AF  SH    AP[2:1]  NS  AttrIndx  1  1     level 3
#
# AP[2] set: read only. AP[1] set: EL0 has access. A page with AP[1] clear, UXN clear and PXN set is what EL0 may
# execute and not read (D8.4, "Stage 1 instruction execution permissions"). Bits that are RES0 are not looked at,
# as in the hardware. APTable[1] makes all below read only, APTable[0] keeps EL0 out, UXNTable and PXNTable forbid.
#
# AttrIndx is an index into MAIR_EL1. Ours is in Linux' order: 0 normal write back, 2 normal non-cacheable, 3
# Device-nGnRnE, 4 Device-nGnRE; MAIR_EL1 = 0x04_0044_FFFF. For a table written for another MAIR_EL1, use
# `AARCH64.replace(memory=...)`.
#
# Addresses are those of TTBR0_EL1. `AARCH64.replace(va_base=0xFFFF << 48)` is the other half, of TTBR1_EL1.
#
# The dirty bit is Linux' (55, software), and a clean page is read only: DBM is not used. AF is set from the start:
# we take no access flag faults. SH says inner shareable, nG that no page is global. A page that EL0 may write and
# not read cannot be expressed: the entry grants both, `noread` marks it, and areas decide.

_AP1, _AP2, _AF, _NG, _PXN, _UXN = 1 << 6, 1 << 7, 1 << 10, 1 << 11, 1 << 53, 1 << 54
_ARM_LEAF = 1 | _field(9, 8) | _AF | _NG

AARCH64 = PagingFormat(
    name="aarch64",
    levels=(
        Level(39, 9),
        Level(30, 9, 3, _ARM_LEAF),
        Level(21, 9, 3, _ARM_LEAF),
        Level(12, 9, 3, _ARM_LEAF | 2),
    ),
    va_bits=48,
    sign_extended=False,
    paddr_mask=_field(47, 12),
    paddr_shift=0,
    valid=1,
    table_mask=3,
    table_value=3,
    table_bits=3,
    table_reserved=0,
    permission_mask=_AP1 | _AP2 | _PXN | _UXN,
    permissions=(
        (_AP2 | _PXN | _UXN, _R),
        (_PXN | _UXN, _R | _W),
        (_AP2 | _UXN, _R | _X),
        (_UXN, _R | _W | _X),
        (_AP2 | _AP1 | _PXN | _UXN, _R | _U),
        (_AP1 | _PXN | _UXN, _R | _W | _U),
        (_AP2 | _AP1 | _PXN, _R | _X | _U),
        (_AP1 | _PXN, _R | _W | _X | _U),
        (_AP2 | _PXN, _X | _U),
        # As others write them: what EL0 may do where it has access, what EL1 may do elsewhere.
        (_PXN, _X | _U),
        (_AP2 | _AP1 | _UXN, _R | _U),
        (_AP1 | _UXN, _R | _W | _U),
        (_AP2 | _AP1, _R | _X | _U),
        (_AP1, _R | _W | _X | _U),
        (_AP2, _R | _X),
        (0, _R | _W | _X),
    ),
    memory_mask=_field(4, 2),
    memory=(
        (0 << 2, 0),
        (2 << 2, _UNCACHED),
        (4 << 2, _DEVICE),
        (3 << 2, _DEVICE),
        (1 << 2, 0),
        (5 << 2, 0),
        (6 << 2, 0),
        (7 << 2, 0),
    ),
    accessed=_AF,
    dirty=1 << 55,
    write_bits=0,
    clean_bits=_AP2,
    kept=1 << 57,
    noread=1 << 56,
    write_grants_read=False,
    limits=(
        Limit(1 << 62, 1 << 62, _AP2, 0),
        Limit(1 << 61, 1 << 61, 0, _AP1),
        Limit(1 << 60, 1 << 60, _UXN, 0),
        Limit(1 << 59, 1 << 59, _PXN, 0),
    ),
)

# -- RISC-V ----------------------------------------------------------------------------------------------------
#
# RISC-V privileged architecture, "Sv39: Page-Based 39-bit Virtual-Memory System" and the one of Sv48 (sections 12.4
# and 12.5; 4.4 and 4.5 in older editions), with Svpbmt:
#
#   63  62..61  60..54    53..10         9..8  7  6  5  4  3  2  1  0
#   N   PBMT    reserved  PPN            RSW   D  A  G  U  X  W  R  V
#
# R, W and X clear: the entry points to a table, which the last level may not. W without R is reserved. A page above
# the last level must be aligned: the low fields of its PPN are zero, or it faults. PBMT: 1 is NC, 2 is IO, 3
# reserved. In a pointer D, A, U and all above PPN are reserved. N (Svnapot) is taken as reserved.
#
# Some implementations set A and D themselves (Svadu), some raise a page fault where they are clear (Svade). So A is
# set from the start, and D with WRITE, except in a page of ours that waits for its first write.

_RV, _RR, _RW_, _RX, _RU, _RA, _RD = 1, 1 << 1, 1 << 2, 1 << 3, 1 << 4, 1 << 6, 1 << 7
_RV_LEAF = _RV | _RA
_RV_HIGH = _field(60, 54) | 1 << 63

SV39 = PagingFormat(
    name="sv39",
    levels=(
        Level(30, 9, _RV, _RV_LEAF, _RV_HIGH | _field(27, 10)),
        Level(21, 9, _RV, _RV_LEAF, _RV_HIGH | _field(18, 10)),
        Level(12, 9, _RV, _RV_LEAF, _RV_HIGH),
    ),
    va_bits=39,
    sign_extended=True,
    paddr_mask=_field(53, 10),
    paddr_shift=2,
    valid=_RV,
    table_mask=_RV | _RR | _RW_ | _RX,
    table_value=_RV,
    table_bits=_RV,
    table_reserved=_RD | _RA | _RU | _field(63, 54),
    permission_mask=_RR | _RW_ | _RX | _RU,
    permissions=(
        (_RR, _R),
        (_RR | _RW_, _R | _W),
        (_RX, _X),
        (_RR | _RX, _R | _X),
        (_RR | _RW_ | _RX, _R | _W | _X),
        (_RU | _RR, _R | _U),
        (_RU | _RR | _RW_, _R | _W | _U),
        (_RU | _RX, _X | _U),
        (_RU | _RR | _RX, _R | _X | _U),
        (_RU | _RR | _RW_ | _RX, _R | _W | _X | _U),
    ),
    memory_mask=_field(62, 61),
    memory=((0, 0), (1 << 61, _UNCACHED), (2 << 61, _DEVICE)),
    accessed=_RA,
    dirty=_RD,
    write_bits=_RD,
    clean_bits=0,
    kept=1 << 8,
    noread=1 << 9,
    write_grants_read=True,
)

SV48 = SV39.replace(
    name="sv48",
    levels=(Level(39, 9, _RV, _RV_LEAF, _RV_HIGH | _field(36, 10)), *SV39.levels),
    va_bits=48,
)
