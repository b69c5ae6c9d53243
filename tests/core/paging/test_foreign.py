"""Tables that somebody else wrote: walked by the manual, and by nobody's good will.

The tables are written by hand, as another kernel might have, or as an attacker might: what the CPU would not
translate is not mapped, what cannot be read is a typed error, and every walk ends.
"""

from __future__ import annotations

import errno
import itertools
import random
import struct
import time
from collections.abc import Callable

import pytest

from axptr import (
    AARCH64,
    PAGE_SIZE,
    SV39,
    SV48,
    X86_64,
    MappingFlags,
    PageTable,
    PagingError,
    PagingFormat,
    PhysAddr,
    PhysMemory,
)
from formats import FACTS, FORMATS, Facts

R, W, X = MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
U, DEVICE, UNCACHED = MappingFlags.USER, MappingFlags.DEVICE, MappingFlags.UNCACHED
MIB2, GIB, GIB512 = 2 << 20, 1 << 30, 1 << 39
XD = 1 << 63


class Dump:
    """Physical memory as a crash dump has it: some frames, anything else unreadable."""

    def __init__(self, frames: dict[int, bytes]) -> None:
        self.frames = frames

    def read(self, paddr: int, size: int) -> bytes:
        assert type(paddr) is PhysAddr
        return self.frames[paddr & -PAGE_SIZE][paddr % PAGE_SIZE :][:size]


def tables(*written: tuple[int, dict[int, int]]) -> Dump:
    """A dump of tables at these addresses, each with these entries."""
    return Dump({at: b"".join(struct.pack("<Q", entries.get(i, 0)) for i in range(512)) for at, entries in written})


def both_ways(table: PageTable, at: int) -> tuple[PhysAddr, MappingFlags, int] | None:
    """What `query` says, checked against the leaves."""
    found = table.query(at)
    leaf = next((leaf for leaf in table.leaves() if leaf[0] <= at < leaf[0] + leaf[3]), None)
    assert found == (leaf and (leaf[1] + at - leaf[0], leaf[2], leaf[3]))
    return found


# -- x86-64: Intel SDM 3A, "4-level paging" ---------------------------------------------------------------------


def test_x86_64_table_is_walked_by_the_manual() -> None:
    # CR3 = 0x1000; global, dirty and protection key bits set, U/S only where the whole way has it.
    dump = tables(
        (0x1000, {1: 0x2067, 511: 0x5063}),
        (0x2000, {2: 0x3063, 5: 0x1_8000_01E7}),
        (0x3000, {3: 0x4063, 6: XD | 0x60_01E1}),
        (0x4000, {4: 0x7800_0000_0765_4163, 5: 0x0765_5162}),  # the second is not present
        (0x5000, {}),
    )
    table = PageTable.at(dump, 0x1000)
    at = 0x80_8060_4000
    assert table.query(at + 0xABC) == (PhysAddr(0x765_4ABC), R | W | X, PAGE_SIZE)
    assert table.query(at + PAGE_SIZE) is None
    assert table.query(0x80_80C0_0000 + 0x1F_FFFF) == (PhysAddr(0x7F_FFFF), R, MIB2)
    assert table.query(0x81_4000_0000) == (PhysAddr(0x1_8000_0000), R | W | X | U, GIB)
    assert table.query(0) is None
    assert table.query(0xFFFF_FFFF_8020_1000) is None
    assert table.query(1 << 47) is None
    assert list(table.leaves()) == [
        (at, PhysAddr(0x765_4000), R | W | X, PAGE_SIZE),
        (0x80_80C0_0000, PhysAddr(0x60_0000), R, MIB2),
        (0x81_4000_0000, PhysAddr(0x1_8000_0000), R | W | X | U, GIB),
    ]


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize(
    ("bits", "lost"), [(0x5, W), (0x3, U), (XD | 0x7, X), (XD | 0x1, W | X | U)], ids=["R/W", "U/S", "XD", "all"]
)
def test_x86_64_right_must_be_granted_by_every_level(level: int, bits: int, lost: MappingFlags) -> None:
    # SDM 3A, "Determination of access rights": R/W, U/S and XD of all paging-structure entries of the way.
    on = [bits if i == level else 0x7 for i in range(3)]
    dump = tables(
        (0x1000, {0: 0x2000 | on[0]}),
        (0x2000, {0: 0x3000 | on[1]}),
        (0x3000, {0: 0x4000 | on[2]}),
        (0x4000, {0: 0x9027}),
    )
    assert both_ways(PageTable.at(dump, 0x1000), 0) == (PhysAddr(0x9000), (R | W | X | U) & ~lost, PAGE_SIZE)


def test_x86_64_pat_bit_of_a_huge_page_is_no_address_bit() -> None:
    # In an entry of level 2 or 3 with PS, bit 12 is PAT.
    dump = tables((0x1000, {0: 0x2063}), (0x2000, {0: 0x3063}), (0x3000, {1: 0x20_10E3}))
    assert both_ways(PageTable.at(dump, 0x1000), MIB2 + 0x10) == (PhysAddr(0x20_0010), R | W | X, MIB2)


def test_x86_64_reserved_bits_map_nothing() -> None:
    # PS in the top level; bits 20..13 of a page of 2 MiB and 29..13 of one of 1 GiB.
    dump = tables(
        (0x1000, {0: 0x2063, 1: 0x8000_00E3}),
        (0x2000, {0: 0x3063, 1: 0x4020_00E3, 2: 0x4000_20E3, 3: 0x4000_10E3}),
        (0x3000, {0: 0x40_20E3, 1: 0x50_00E3, 2: 0x40_10E3}),
    )
    table = PageTable.at(dump, 0x1000)
    assert [leaf[0] for leaf in table.leaves()] == [2 * MIB2, 3 * GIB]
    for at in (0, MIB2, GIB, 2 * GIB, GIB512):
        assert table.query(at) is None


# -- AArch64: Arm ARM DDI 0487, D8.3 and D8.4 -------------------------------------------------------------------


def test_aarch64_table_is_walked_by_the_manual() -> None:
    # TTBR0_EL1 = 0x1000. As Linux writes them: user text, user data clean (DBM and AP[2]), kernel block, an ioremap.
    #   0x0020_0000_0000_0FC3  PXN nG AF SH AP=11 page          0x00E8_..._0F43 has UXN, PXN, DBM, software 55 too
    dump = tables(
        (0x1000, {1: 0x2003}),
        (0x2000, {2: 0x3003, 5: 0x0040_0001_8000_0701}),
        (0x3000, {3: 0x4003, 6: 0x0060_0000_0060_0701, 7: 0x0068_0000_0A00_0711}),
        (0x4000, {4: 0x0020_0000_0765_4FC3, 5: 0x00E8_0000_0765_5F43, 6: 0x0068_0000_0765_6FC3, 7: 0x0765_7FC2}),
    )
    table = PageTable.at(dump, 0x1000, AARCH64)
    at = 0x80_8060_4000
    assert list(table.leaves()) == [
        (at, PhysAddr(0x765_4000), R | X | U, PAGE_SIZE),
        (at + 0x1000, PhysAddr(0x765_5000), R | W | U, PAGE_SIZE),
        (at + 0x2000, PhysAddr(0x765_6000), R | U, PAGE_SIZE),
        (0x80_80C0_0000, PhysAddr(0x60_0000), R | W, MIB2),
        (0x80_80E0_0000, PhysAddr(0xA00_0000), R | W | DEVICE, MIB2),
        (0x81_4000_0000, PhysAddr(0x1_8000_0000), R | W | X, GIB),
    ]
    for leaf in table.leaves():
        assert table.query(leaf[0] + leaf[3] - 1) == (PhysAddr(leaf[1] + leaf[3] - 1), *leaf[2:])
    assert table.query(at + 0x3000) is None  # bit 0 is clear
    assert table.query(0xFFFF_0080_8060_4000) is None  # TTBR1's


def test_aarch64_descriptors_that_the_manual_reserves_map_nothing() -> None:
    # Bits 1..0: 01 is a block at levels 1 and 2, reserved at levels 0 and 3. 11 at level 3 is a page.
    dump = tables(
        (0x1000, {0: 0x2003, 1: 0x0000_0701}),
        (0x2000, {0: 0x3003}),
        (0x3000, {0: 0x4003}),
        (0x4000, {0: 0x9701, 1: 0x9703, 2: 0x9702, 3: 0x9700}),
    )
    table = PageTable.at(dump, 0x1000, AARCH64)
    assert [leaf[0] for leaf in table.leaves()] == [0x1000]
    for at in (0, 0x2000, 0x3000, GIB512):
        assert table.query(at) is None


def test_aarch64_res0_bits_of_a_block_are_not_looked_at() -> None:
    # A level 2 block with bits 20..12 set, software and contiguous bits, and the ignored bits 63..59.
    dump = tables((0x1000, {0: 0x2003}), (0x2000, {0: 0x3003}), (0x3000, {1: 0xFF90_0000_003F_F701}))
    assert both_ways(PageTable.at(dump, 0x1000, AARCH64), MIB2) == (PhysAddr(0x20_0000), R | W | X, MIB2)


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize(
    ("bit", "leaf", "flags"),
    [
        (62, 0x743, R | X | U),  # APTable[1]: read only
        (61, 0x743, R | W | X),  # APTable[0]: no access from EL0
        (60, 0x743, R | W | U),  # UXNTable
        (59, 0x743, R | W | X | U),  # PXNTable: EL0 is not concerned
        (59, 0x703, X | U),  # ... a page of EL1's is executable for EL0 alone
        (61, 0x0020_0000_0000_0743, X | U),
        (63, 0x743, R | W | X | U),  # NSTable means nothing here
    ],
)
def test_aarch64_hierarchical_bits_restrict_what_lies_below(
    level: int, bit: int, leaf: int, flags: MappingFlags
) -> None:
    on = [3 | 1 << bit if i == level else 3 for i in range(3)]
    dump = tables(
        (0x1000, {0: 0x2000 | on[0]}),
        (0x2000, {0: 0x3000 | on[1]}),
        (0x3000, {0: 0x4000 | on[2]}),
        (0x4000, {0: 0x9000 | leaf}),
    )
    assert both_ways(PageTable.at(dump, 0x1000, AARCH64), 0) == (PhysAddr(0x9000), flags, PAGE_SIZE)


# -- RISC-V: privileged architecture 12.3.2 "Virtual Address Translation Process", 12.4, 12.5 ------------------


def test_sv39_table_is_walked_by_the_manual() -> None:
    # satp.PPN = 1. A pointer to 0x2000 is 0x2000 >> 12 << 10 | V = 0x801. Leaves: V=1 R=2 W=4 X=8 U=10 G=20 A=40 D=80.
    dump = tables(
        (0x1000, {1: 0x801, 5: 0x2000_00CF, 256: 0x821}),
        (0x2000, {2: 0xC01, 3: 0x10_00D7}),
        (0x3000, {3: 0x1D9_5053, 4: 0x1D9_54D7, 5: 0x1D9_5859, 6: 0x1D9_5C52}),
    )
    table = PageTable.at(dump, 0x1000, SV39)
    high = 0xFFFF_FFC0_0000_0000
    assert list(table.leaves()) == [
        (0x4040_3000, PhysAddr(0x765_4000), R | U, PAGE_SIZE),
        (0x4040_4000, PhysAddr(0x765_5000), R | W | U, PAGE_SIZE),
        (0x4040_5000, PhysAddr(0x765_6000), X | U, PAGE_SIZE),
        (0x4060_0000, PhysAddr(0x40_0000), R | W | U, MIB2),
        (0x1_4000_0000, PhysAddr(0x8000_0000), R | W | X, GIB),
        (high + 0x40_3000, PhysAddr(0x765_4000), R | U, PAGE_SIZE),
        (high + 0x40_4000, PhysAddr(0x765_5000), R | W | U, PAGE_SIZE),
        (high + 0x40_5000, PhysAddr(0x765_6000), X | U, PAGE_SIZE),
        (high + 0x60_0000, PhysAddr(0x40_0000), R | W | U, MIB2),
    ]
    for leaf in table.leaves():
        assert table.query(leaf[0] + leaf[3] - 1) == (PhysAddr(leaf[1] + leaf[3] - 1), *leaf[2:])
    assert table.query(1 << 38) is None
    assert table.query(high - 1) is None


def test_sv48_has_pages_of_512_gib() -> None:
    # 12.5: "In addition to 4 KiB pages, Sv48 supports 2 MiB megapages, 1 GiB gigapages, and 512 GiB terapages."
    table = PageTable.at(tables((0x1000, {2: 0x60_0000_00CF})), 0x1000, SV48)
    assert both_ways(table, 0x100_0000_0000 + 0x1234) == (PhysAddr(0x180_0000_1234), R | W | X, GIB512)


RESERVED = {
    "W without R": 0x05,
    "W and X without R": 0x0D,
    "PBMT 3": 3 << 61 | 0xC7,
    "N": 1 << 63 | 0xC7,
    "bit 54": 1 << 54 | 0xC7,
    "bit 60": 1 << 60 | 0xC7,
    "a pointer in the last level": 0x01,
    "not valid": 0xC6,
}


@pytest.mark.parametrize("bits", RESERVED.values(), ids=RESERVED)
def test_risc_v_reserved_encodings_map_nothing(bits: int) -> None:
    # Step 3: V = 0, or R = 0 and W = 1, or "any bits or encodings that are reserved for future standard use".
    dump = tables((0x1000, {0: 0x801}), (0x2000, {0: 0xC01}), (0x3000, {0: 9 << 10 | bits, 1: 9 << 10 | 0xC7}))
    table = PageTable.at(dump, 0x1000, SV39)
    assert both_ways(table, 0) is None
    assert both_ways(table, 0x1000) == (PhysAddr(0x9000), R | W, PAGE_SIZE)


@pytest.mark.parametrize("bit", [4, 6, 7, 54, 60, 61, 62, 63])
def test_risc_v_reserved_bits_of_a_pointer_map_nothing(bit: int) -> None:
    # "For non-leaf PTEs, the D, A, and U bits are reserved", and all above the PPN.
    for fmt, root in ((SV39, 0x1000), (SV48, 0x8000)):
        dump = tables(
            (0x8000, {0: 0x401}), (0x1000, {0: 0x801 | 1 << bit, 1: 0x801}), (0x2000, {0: 0xC01}), (0x3000, {0: 0x24C7})
        )
        table = PageTable.at(dump, root, fmt)
        assert [leaf[0] for leaf in table.leaves()] == [GIB]
        assert table.query(0) is None


@pytest.mark.parametrize(("level", "bits"), [(1, range(10, 19)), (2, range(10, 28)), (3, range(10, 37))])
def test_risc_v_misaligned_superpage_maps_nothing(level: int, bits: range) -> None:
    # Step 6: "if i > 0 and pte.ppn[i-1:0] != 0, this is a misaligned superpage".
    for bit in bits:
        rows: list[dict[int, int]] = [{}, {0: 0x401}, {0: 0x801}]
        rows[level - 1] = {0: 1 << 40 | 0xC7 | 1 << bit, 1: 1 << 40 | 0xC7}
        dump = tables((0x1000, rows[0]), (0x2000, rows[1]), (0x3000, rows[2]))
        table = PageTable.at(dump, 0x3000, SV48)
        size = 1 << (12 + 9 * level)
        assert both_ways(table, 0) is None
        assert both_ways(table, size) == (PhysAddr(1 << 42), R | W, size)


# -- hostile, in every format -----------------------------------------------------------------------------------


def pointer(facts: Facts, table: int) -> int:
    """An entry that leads to a table, by the manuals."""
    return {"x86-64": table | 0x67, "aarch64": table | 3}.get(facts.fmt.name, table >> 2 | 1)


@pytest.fixture(params=FACTS, ids=lambda facts: facts.fmt.name)
def facts(request: pytest.FixtureRequest) -> Facts:
    return request.param  # type: ignore[no-any-return]


def test_table_mapped_into_itself_once_shows_its_own_frames(facts: Facts) -> None:
    # The recursive mapping of many a kernel. RISC-V cannot do it with one entry: a pointer is no page.
    table = PageTable.at(tables((0x1000, {511: pointer(facts, 0x1000)})), 0x1000, facts.fmt)
    riscv = facts.fmt in (SV39, SV48)
    top = (1 << 64 if facts.upper else facts.lower) - PAGE_SIZE
    assert [leaf[:2] for leaf in table.leaves()] == ([] if riscv else [(top, 0x1000)])
    assert (table.query(top) is None) == riscv


def test_table_made_of_loops_is_a_typed_error_and_not_for_ever(facts: Facts) -> None:
    dump = tables((0x1000, dict.fromkeys(range(512), pointer(facts, 0x1000))))
    table = PageTable.at(dump, 0x1000, facts.fmt)
    began = time.monotonic()
    with pytest.raises(PagingError) as caught:
        for _ in table.leaves():
            pass
    assert caught.value.errno == errno.ELOOP
    assert time.monotonic() - began < 60
    assert (table.query(0) is None) == (facts.fmt in (SV39, SV48))
    if facts.fmt in (X86_64, AARCH64):  # until then they are real pages
        assert [leaf[:2] for leaf in itertools.islice(table.leaves(), 3)] == [(i << 12, 0x1000) for i in range(3)]


def test_tables_that_meet_again_and_again_in_an_empty_one_are_a_typed_error(facts: Facts) -> None:
    # No loop: 512 ways at each level to the same next table, and nothing at the end of them.
    last = 0x1000 * facts.levels
    chain = [(at, dict.fromkeys(range(512), pointer(facts, at + 0x1000))) for at in range(0x1000, last, 0x1000)]
    table = PageTable.at(tables(*chain, (last, {})), 0x1000, facts.fmt)
    with pytest.raises(PagingError) as caught:
        next(table.leaves())
    assert caught.value.errno == errno.ELOOP


def test_a_few_shared_tables_are_all_walked(facts: Facts) -> None:
    # As a kernel shares its half, or one table of zero pages.
    leaf = {"x86-64": 0x9065, "aarch64": 0x9FC3}.get(facts.fmt.name, 0x2453)
    chain = [(at, {0: pointer(facts, at + 0x1000)}) for at in range(0x1000, 0x1000 * facts.levels - 0x1000, 0x1000)]
    last = 0x1000 * facts.levels
    shared = (last - 0x1000, dict.fromkeys(range(512), pointer(facts, last)))
    table = PageTable.at(tables(*chain, shared, (last, {7: leaf})), 0x1000, facts.fmt)
    assert [leaf[0] for leaf in table.leaves()] == [i * MIB2 + 0x7000 for i in range(512)]


def test_table_beyond_the_source_gives_the_error_of_the_source(facts: Facts, phys: PhysMemory) -> None:
    for root in (0x1000, 0x5000):
        table = PageTable.at(tables((0x1000, {0: pointer(facts, 0x7_7777_7000)})), root, facts.fmt)
        with pytest.raises(KeyError):
            table.query(0)
        with pytest.raises(KeyError):
            list(table.leaves())
    with pytest.raises(ValueError, match="0xfffffffffffff000"):
        PageTable.at(phys, (1 << 64) - PAGE_SIZE, facts.fmt).query(0)


class Short:
    """A source that ends in the middle of things."""

    def __init__(self, size: int) -> None:
        self.size = size

    def read(self, paddr: int, size: int) -> bytearray:
        return bytearray(b"\x03" * max(0, min(size, self.size - paddr)))


def test_source_that_gives_too_little_is_a_typed_error(facts: Facts) -> None:
    for size in (0x1000, 0x1004):
        with pytest.raises(PagingError, match="of 8 bytes of the table at 0x1000") as caught:
            PageTable.at(Short(size), 0x1000, facts.fmt).query(0)
        assert caught.value.errno == errno.EIO
        with pytest.raises(PagingError, match="of 4096 bytes"):
            list(PageTable.at(Short(size), 0x1000, facts.fmt).leaves())


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_random_entries_never_do_more_than_map(fmt: PagingFormat) -> None:
    rng = random.Random(41)

    class Noise:
        """Few bits, so that entries are valid more often, and tables among them lead on."""

        def __init__(self) -> None:
            self.pages: dict[int, bytes] = {}

        def read(self, paddr: int, size: int) -> bytes:
            base = paddr & -PAGE_SIZE
            if base not in self.pages:
                words = [rng.getrandbits(64) & rng.getrandbits(64) & rng.getrandbits(64) | 1 for _ in range(512)]
                self.pages[base] = struct.pack("<512Q", *words)
            return self.pages[base][paddr - base :][:size]

    table = PageTable.at(Noise(), 0, fmt)
    for at, paddr, flags, size in itertools.islice(table.leaves(), 300):
        assert table.query(at) == (paddr, flags, size)
        assert at % size == paddr % size == 0
        assert flags & (R | W | X)
    for _ in range(2000):
        at = rng.getrandbits(64)
        found = table.query(at)
        if found is not None:
            assert (found[0] - at) % found[2] == 0


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_swap_entries_of_others_are_not_mapped(fmt: PagingFormat) -> None:
    # Not present, other bits set, our mark for a kept frame among them.
    chain = {X86_64: 0x67, AARCH64: 3}.get(fmt)
    rows = [0x2000 | chain, 0x3000 | chain, 0x4000 | chain] if chain else [0x801, 0xC01, 0x1001]
    last = {0: fmt.kept | 0x1234_5000, 1: 0xFFFF_FFFF_FFFF_FFFE}
    at = 0x2000 if fmt is SV39 else 0x1000
    dump = tables((0x1000, {0: rows[0]}), (0x2000, {0: rows[1]}), (0x3000, {0: rows[2]}), (0x4000, last))
    table = PageTable.at(dump, at, fmt)
    assert table.query(0) is None
    assert table.query(PAGE_SIZE) is None
    assert list(table.leaves()) == []


# -- ours, dumped and read again --------------------------------------------------------------------------------


def test_frames_of_ours_dumped_and_walked_again_give_the_same_leaves(phys: PhysMemory, facts: Facts) -> None:
    table = PageTable(phys, facts.fmt)
    rng = random.Random(3)
    for _ in range(60):
        half = rng.choice([0, facts.upper or 0])
        size = rng.choice([PAGE_SIZE, *facts.pages])
        flags = rng.choice([R, R | W, R | X, R | W | U, R | W | DEVICE, X | U])
        at, to = rng.randrange(facts.lower) // size * size, rng.randrange(1 << 45) // size * size
        try:
            table.map(half + at, to, flags, size)
        except PagingError:
            continue
    frames = {n << 12: phys.read(n << 12, PAGE_SIZE) for n in range(1, 1000)}
    twin = PageTable.at(Dump(frames), table.root, facts.fmt)
    assert list(twin.leaves()) == list(table.leaves())
    assert len(list(twin.leaves())) > 30
    for at, paddr, flags, size in table.leaves():
        assert twin.query(at + size - 1) == (paddr + size - 1, flags, size)


def test_what_a_source_may_be(phys: PhysMemory) -> None:
    own = PageTable(phys, SV39)
    own.map(GIB, MIB2, R | W, MIB2)
    image = phys.read(0, 1 << 20)

    class Image:
        def __init__(self, wrap: Callable[[bytes], bytes | bytearray | memoryview]) -> None:
            self.wrap = wrap

        def read(self, paddr: int, size: int) -> bytes | bytearray | memoryview:
            return self.wrap(image[paddr : paddr + size])

    for wrap in (bytes, bytearray, memoryview):
        assert PageTable.at(Image(wrap), own.root, SV39).query(GIB) == (PhysAddr(MIB2), R | W, MIB2)
    with pytest.raises(TypeError):
        PageTable.at(Image(lambda data: "text"), own.root, SV39).query(GIB)  # type: ignore[arg-type, return-value]
