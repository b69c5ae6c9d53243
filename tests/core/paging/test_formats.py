"""The bits of each format, against vectors worked out by hand from the manual of its architecture.

Each entry is put together here from the numbers of the manual's figures, never from the formats. Addresses have
another index at each level (1, 2, 3, 4), frames have a digit in each nibble.
"""

from __future__ import annotations

import copy
import pickle
import struct
from typing import Any

import pytest

from axptr import (
    AARCH64,
    PAGE_SIZE,
    SV39,
    SV48,
    X86_64,
    MappingFlags,
    PageTable,
    PagingFormat,
    PhysAddr,
    PhysMemory,
)
from formats import FACTS, FORMATS, Facts

NONE, R, W, X = MappingFlags(0), MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
U, DEVICE, UNCACHED = MappingFlags.USER, MappingFlags.DEVICE, MappingFlags.UNCACHED
MIB2, GIB, GIB512 = 2 << 20, 1 << 30, 1 << 39


def entry(phys: PhysMemory, table: int, index: int) -> int:
    return struct.unpack("<Q", phys.read(table + 8 * index, 8))[0]  # type: ignore[no-any-return]


def walk(phys: PhysMemory, table: PageTable, *indices: int) -> int:
    """The entry at the end of these indices, every one before it checked to be a plain table entry."""
    at = int(table.root)
    for index in indices[:-1]:
        e = entry(phys, at, index)
        if table.format is X86_64:
            assert e & ~0x000F_FFFF_FFFF_F000 == 0x007  # P, R/W, U/S: a table restricts nothing
            at = e & 0x000F_FFFF_FFFF_F000
        elif table.format is AARCH64:
            assert e & ~0x0000_FFFF_FFFF_F000 == 0x003  # a table, no APTable, UXNTable, PXNTable
            at = e & 0x0000_FFFF_FFFF_F000
        else:
            assert e & ~0x003F_FFFF_FFFF_FC00 == 0x001  # V alone: a pointer
            at = (e & 0x003F_FFFF_FFFF_FC00) << 2
    return entry(phys, at, indices[-1])


# -- x86-64 ----------------------------------------------------------------------------------------------------
#
# Intel SDM volume 3A, "4-level paging", tables 4-15 to 4-20:
#
#     63   62..52   51..12   11..9    8  7   6  5  4    3    2    1    0
#     XD   ignored  frame    ignored  G  PS  D  A  PCD  PWT  U/S  R/W  P

XD = 1 << 63


@pytest.mark.parametrize(
    ("flags", "bits"),
    [
        (R, XD | 0x21),
        (R | W, XD | 0x23),
        (W, XD | 0x23),
        (X, 0x21),
        (R | X, 0x21),
        (R | W | X, 0x23),
        (R | U, XD | 0x25),
        (R | W | X | U, 0x27),
        (R | W | UNCACHED, XD | 0x33),  # PCD: uncached minus
        (R | W | DEVICE, XD | 0x3B),  # PCD and PWT: uncacheable
        (R | W | DEVICE | UNCACHED, XD | 0x3B),
    ],
    ids=str,
)
def test_x86_64_page_has_the_bits_of_the_manual(phys: PhysMemory, flags: MappingFlags, bits: int) -> None:
    table = PageTable(phys)
    table.map(0x80_8060_4000, 0x12_3456_7000, flags)
    assert walk(phys, table, 1, 2, 3, 4) == bits | 0x12_3456_7000
    assert (phys.data_frames, phys.table_frames) == (0, 4)


@pytest.mark.parametrize(
    ("size", "indices", "va", "pa"),
    [
        # 1 << 39 | 2 << 30 | 3 << 21, and one level less: bit 7 (PS) marks the page
        (MIB2, (1, 2, 3), 0x80_8060_0000, 0x4060_0000),
        (GIB, (1, 2), 0x80_8000_0000, 0x1_4000_0000),
    ],
    ids=["2M", "1G"],
)
def test_x86_64_huge_page_stands_in_its_level_with_ps_set(
    phys: PhysMemory, size: int, indices: tuple[int, ...], va: int, pa: int
) -> None:
    table = PageTable(phys)
    table.map(va, pa, R | W | U, size)
    assert walk(phys, table, *indices) == XD | pa | 0xA7  # PS, A, U/S, R/W, P
    assert phys.table_frames == len(indices)
    inside = size - 0x1235
    assert table.query(va + inside) == (PhysAddr(pa + inside), R | W | U, size)


def test_x86_64_kept_page_is_not_present_and_marked_in_an_ignored_bit(phys: PhysMemory) -> None:
    table = PageTable(phys)
    table.map(0x80_8060_4000, 0x12_3456_7000, NONE)
    assert walk(phys, table, 1, 2, 3, 4) == 0x12_3456_7000 | 0x200


# -- AArch64 ---------------------------------------------------------------------------------------------------
#
# Arm ARM DDI 0487, D8.3 "Translation table descriptor formats" and D8.4 "Memory access control", stage 1, 4 KiB:
#
#     54   53   47..12  11  10  9..8  7      6      4..2      1     0
#     UXN  PXN  frame   nG  AF  SH    AP[2]  AP[1]  AttrIndx  page  valid
#
#     0xF00 is nG, AF and SH = 0b11 (inner shareable); 0x80 is AP[2], read only; 0x40 is AP[1], EL0.
#     0x10 is AttrIndx = 4 (Device-nGnRE), 0x08 is AttrIndx = 2 (normal, non-cacheable).

UXN, PXN = 1 << 54, 1 << 53


@pytest.mark.parametrize(
    ("flags", "bits"),
    [
        (R, UXN | PXN | 0xF83),
        (R | W, UXN | PXN | 0xF03),
        (W, UXN | PXN | 0xF03),
        (R | X, UXN | 0xF83),  # EL1 may execute it, EL0 not
        (X, UXN | 0xF83),
        (R | W | X, UXN | 0xF03),
        (R | U, UXN | PXN | 0xFC3),
        (R | W | U, UXN | PXN | 0xF43),
        (R | X | U, PXN | 0xFC3),  # and the other way round
        (R | W | X | U, PXN | 0xF43),
        (X | U, PXN | 0xF83),  # EL0 may execute it and has no access else
        (R | W | UNCACHED, UXN | PXN | 0xF0B),
        (R | W | DEVICE, UXN | PXN | 0xF13),
        (R | W | DEVICE | UNCACHED, UXN | PXN | 0xF13),
    ],
    ids=str,
)
def test_aarch64_page_has_the_bits_of_the_manual(phys: PhysMemory, flags: MappingFlags, bits: int) -> None:
    table = PageTable(phys, AARCH64)
    table.map(0x80_8060_4000, 0x1234_5678_9000, flags)
    assert walk(phys, table, 1, 2, 3, 4) == bits | 0x1234_5678_9000


@pytest.mark.parametrize(
    ("size", "indices", "va", "pa"),
    [(MIB2, (1, 2, 3), 0x80_8060_0000, 0x4060_0000), (GIB, (1, 2), 0x80_8000_0000, 0x1_4000_0000)],
    ids=["2M", "1G"],
)
def test_aarch64_block_stands_in_its_level_with_bit_1_clear(
    phys: PhysMemory, size: int, indices: tuple[int, ...], va: int, pa: int
) -> None:
    table = PageTable(phys, AARCH64)
    table.map(va, pa, R | W | U, size)
    assert walk(phys, table, *indices) == UXN | PXN | pa | 0xF41
    inside = size - 0x1235
    assert table.query(va + inside) == (PhysAddr(pa + inside), R | W | U, size)


def test_aarch64_kept_page_is_invalid_and_marked_in_a_software_bit(phys: PhysMemory) -> None:
    table = PageTable(phys, AARCH64)
    table.map(0x80_8060_4000, 0x1234_5678_9000, NONE)
    assert walk(phys, table, 1, 2, 3, 4) == 0x1234_5678_9000 | 1 << 57  # bits 58..55 are software's


@pytest.mark.parametrize(
    ("ap", "uxn", "pxn", "flags"),
    # D8.4, tables of stage 1 data accesses and instruction execution: what EL0 may do where it has access, what
    # EL1 may do elsewhere. AP[2:1] = 00 and 10 give EL0 no data access.
    [
        (0b00, 1, 1, R | W),
        (0b00, 1, 0, R | W | X),
        (0b00, 0, 1, X | U),
        (0b00, 0, 0, R | W | X),
        (0b01, 1, 1, R | W | U),
        (0b01, 1, 0, R | W | U),
        (0b01, 0, 1, R | W | X | U),
        (0b01, 0, 0, R | W | X | U),
        (0b10, 1, 1, R),
        (0b10, 1, 0, R | X),
        (0b10, 0, 1, X | U),
        (0b10, 0, 0, R | X),
        (0b11, 1, 1, R | U),
        (0b11, 1, 0, R | U),
        (0b11, 0, 1, R | X | U),
        (0b11, 0, 0, R | X | U),
    ],
)
def test_aarch64_every_combination_of_permission_bits_is_read(ap: int, uxn: int, pxn: int, flags: MappingFlags) -> None:
    leaf = 0x0123_4000 | uxn << 54 | pxn << 53 | ap << 6 | 0x703
    source = Words({0x1000: 0x2003, 0x2000: 0x3003, 0x3000: 0x4003, 0x4000: leaf})
    assert PageTable.at(source, 0x1000, AARCH64).query(0x567) == (PhysAddr(0x0123_4567), flags, PAGE_SIZE)


# -- RISC-V ----------------------------------------------------------------------------------------------------
#
# RISC-V privileged architecture 12.4 "Sv39" and 12.5 "Sv48", figures of the page table entry; Svpbmt:
#
#     63  62..61  60..54  53..10  9..8  7  6  5  4  3  2  1  0
#     N   PBMT    0       PPN     RSW   D  A  G  U  X  W  R  V
#
#     The frame 0x12_3456_7000 is PPN 0x123_4567, in the entry 0x123_4567 << 10 = 0x4_8D15_9C00.

PPN = 0x4_8D15_9C00


@pytest.mark.parametrize(
    ("flags", "bits"),
    [
        (R, 0x43),  # A, R, V
        (R | W, 0xC7),  # D, A, W, R, V
        (W, 0xC7),  # W without R is reserved
        (X, 0x49),
        (R | X, 0x4B),
        (R | W | X, 0xCF),
        (W | X, 0xCF),
        (R | U, 0x53),
        (R | W | X | U, 0xDF),
        (X | U, 0x59),
        (R | W | UNCACHED, 1 << 61 | 0xC7),  # NC
        (R | W | DEVICE, 2 << 61 | 0xC7),  # IO
        (R | W | DEVICE | UNCACHED, 2 << 61 | 0xC7),  # never 3, which is reserved
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("fmt", "va", "indices"),
    [(SV39, 0x4040_3000, (1, 2, 3)), (SV48, 0x80_8060_4000, (1, 2, 3, 4))],
    ids=["sv39", "sv48"],
)
def test_risc_v_page_has_the_bits_of_the_manual(
    phys: PhysMemory, fmt: PagingFormat, va: int, indices: tuple[int, ...], flags: MappingFlags, bits: int
) -> None:
    table = PageTable(phys, fmt)
    table.map(va, 0x12_3456_7000, flags)
    assert walk(phys, table, *indices) == bits | PPN
    assert phys.table_frames == len(indices)


@pytest.mark.parametrize(
    ("fmt", "size", "indices", "va", "pa", "ppn"),
    [
        (SV39, MIB2, (1, 2), 0x4040_0000, 0x4060_0000, 0x1018_0000),
        (SV39, GIB, (1,), 0x4000_0000, 0x1_4000_0000, 0x5000_0000),
        (SV48, MIB2, (1, 2, 3), 0x80_8060_0000, 0x4060_0000, 0x1018_0000),
        (SV48, GIB, (1, 2), 0x80_8000_0000, 0x1_4000_0000, 0x5000_0000),
        (SV48, GIB512, (1,), 0x80_0000_0000, 0x180_0000_0000, 0x60_0000_0000),
    ],
    ids=["sv39 2M", "sv39 1G", "sv48 2M", "sv48 1G", "sv48 512G"],
)
def test_risc_v_superpage_is_a_leaf_in_its_level(
    phys: PhysMemory, fmt: PagingFormat, size: int, indices: tuple[int, ...], va: int, pa: int, ppn: int
) -> None:
    table = PageTable(phys, fmt)
    table.map(va, pa, R | W | U, size)
    assert walk(phys, table, *indices) == ppn | 0xD7
    inside = size - 0x1235
    assert table.query(va + inside) == (PhysAddr(pa + inside), R | W | U, size)


def test_risc_v_kept_page_is_invalid_and_marked_in_rsw(phys: PhysMemory) -> None:
    table = PageTable(phys, SV39)
    table.map(0x4040_3000, 0x12_3456_7000, NONE)
    assert walk(phys, table, 1, 2, 3) == PPN | 0x100


def test_risc_v_upper_half_is_walked_by_the_low_bits(phys: PhysMemory) -> None:
    # The kernel's linear map of Linux under Sv39 starts at 0xFFFF_FFD6_0000_0000: root index 0x158 = 344.
    table = PageTable(phys, SV39)
    table.map(0xFFFF_FFD6_0000_0000, 0x8000_0000, R | W, GIB)
    assert walk(phys, table, 344) == 0x2000_0000 | 0xC7


# -- any format ------------------------------------------------------------------------------------------------


class Words:
    """Physical memory that holds these 64-bit words, and zeros elsewhere."""

    def __init__(self, words: dict[int, int]) -> None:
        self.words = words

    def read(self, paddr: int, size: int) -> bytes:
        return b"".join(struct.pack("<Q", self.words.get(at, 0)) for at in range(paddr, paddr + size, 8))


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_every_combination_of_flags_has_an_entry_that_grants_it(phys: PhysMemory, fmt: PagingFormat) -> None:
    table = PageTable(phys, fmt)
    for bits in range(64):
        flags = MappingFlags(bits)
        table.map(0, PAGE_SIZE, flags)
        paddr, found, size = table.query(0)  # type: ignore[misc]
        table.unmap(0)
        assert (paddr, size) == (PAGE_SIZE, PAGE_SIZE)
        if not flags & (R | W | X):
            assert found == NONE
            continue
        wanted = flags & ~UNCACHED if flags & DEVICE else flags
        # All that was asked for, and nothing besides but READ where the hardware knows no better.
        assert found in (wanted, wanted | R)
        assert PageTable.at(phys, table.root, fmt).format is fmt


@pytest.mark.parametrize("facts", FACTS, ids=lambda facts: facts.fmt.name)
def test_no_mark_of_ours_is_looked_at_by_the_hardware(facts: Facts) -> None:
    software = {
        "x86-64": 0b111 << 9,  # "ignored" in the entry of a page; present, so 62..59 are a protection key
        "aarch64": 0b1111 << 55,  # "reserved for software use"
        "sv39": 0b11 << 8,  # RSW
        "sv48": 0b11 << 8,
    }[facts.fmt.name]
    assert facts.fmt.kept & software == facts.fmt.kept != 0
    assert facts.fmt.noread & software == facts.fmt.noread != 0
    assert facts.fmt.kept != facts.fmt.noread


def test_a_format_does_not_change_and_can_be_copied() -> None:
    for fmt in FORMATS:
        assert copy.copy(fmt) == fmt
        assert pickle.loads(pickle.dumps(fmt)) == fmt
        assert hash(copy.copy(fmt)) == hash(fmt)
        with pytest.raises(AttributeError, match="does not change"):
            fmt.kept = 0  # type: ignore[misc]
        with pytest.raises(AttributeError, match="does not change"):
            del fmt.levels
        assert fmt.replace(name="mine").name == "mine"
        assert fmt.replace(kept=fmt.kept << 1) != fmt
    assert repr(AARCH64) == "<PagingFormat aarch64>"
    assert repr(SV39.limits) == "()"
    assert "shift=12" in repr(SV39.levels[2])
    with pytest.raises(TypeError, match="has the fields"):
        SV39.replace(nonsense=1)
    with pytest.raises(TypeError, match="lacks"):
        PagingFormat("empty")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "changes",
    [
        {"levels": X86_64.levels[3:]},
        {"levels": X86_64.levels[:3]},  # the last would map 2 MiB
        {"levels": (X86_64.levels[0], *X86_64.levels[2:])},
        {"levels": tuple(level.replace(bits=10) for level in X86_64.levels)},
        {"levels": (*X86_64.levels[:3], X86_64.levels[3].replace(leaf_mask=0))},
        {"va_bits": 57},
        {"va_base": 0x1000},
        {"kept": 1},
        {"noread": 1 << 20},
        {"dirty": 1 << 63},
        {"limits": X86_64.limits * 2},
        {"permission_mask": 0b10101},
        {"permission_mask": 0b111111},
        {"permissions": X86_64.permissions * 2},
        {"permissions": X86_64.permissions[1:]},
        {"permissions": (*X86_64.permissions[1:], (XD, 16))},
        {"permissions": (*X86_64.permissions[1:], (XD | 1, 1))},
        {"memory_mask": 0},
        {"memory_mask": 0xF << 3},
        {"memory": X86_64.memory[:2]},
        {"memory": (*X86_64.memory, (0x18, 16))},
    ],
    ids=str,
)
def test_a_format_that_no_table_can_have_is_refused(phys: PhysMemory, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="wrong"):
        PageTable(phys, X86_64.replace(name="wrong", **changes))


def test_a_format_of_ones_own_is_walked_too(phys: PhysMemory) -> None:
    # The upper half of AArch64, TTBR1_EL1, and Device-nGnRnE at another index of MAIR_EL1.
    high = AARCH64.replace(name="aarch64 high", va_base=0xFFFF << 48, memory=((0, 0), (1 << 2, 16), (2 << 2, 32)))
    table = PageTable(phys, high)
    table.map(0xFFFF_0080_8060_4000, 0x9000, R | DEVICE)
    assert walk_as(phys, table, AARCH64, 1, 2, 3, 4) == UXN | PXN | 0x9F87
    assert [leaf[:3] for leaf in table.leaves()] == [(0xFFFF_0080_8060_4000, 0x9000, R | DEVICE)]
    assert table.query(0x80_8060_4000) is None
    table.map((1 << 64) - PAGE_SIZE, 0xA000, R)
    assert table.query((1 << 64) - 1) == (PhysAddr(0xAFFF), R, PAGE_SIZE)


def walk_as(phys: PhysMemory, table: PageTable, fmt: PagingFormat, *indices: int) -> int:
    return walk(phys, PageTable.at(phys, table.root, fmt), *indices)
