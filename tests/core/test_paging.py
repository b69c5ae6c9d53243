"""Page tables: the very bits of Intel's manual, pages of every size, typed errors, and no table frame left behind.

Entries are worked out by hand from Intel SDM volume 3A, 4.5 (tables 4-15 to 4-20):

      63   62..52   51..12   11..9    8  7   6  5  4    3    2    1    0
      XD   ignored  frame    ignored  G  PS  D  A  PCD  PWT  U/S  R/W  P
"""

from __future__ import annotations

import errno
import random
import struct
from collections.abc import Callable

import pytest

from axptr import (
    PAGE_SIZE,
    X86_64,
    AddrSpace,
    AlreadyMapped,
    LinuxError,
    MappedToHugePage,
    MappingFlags,
    NotAligned,
    NotMapped,
    PageTable,
    PagingError,
    PhysAddr,
    PhysMemory,
)

NONE, R, W, X = MappingFlags(0), MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
USER, DEVICE, UNCACHED = MappingFlags.USER, MappingFlags.DEVICE, MappingFlags.UNCACHED
MIB2, GIB = 2 << 20, 1 << 30
XD = 1 << 63

# One address for which each level has another index: 1, 2, 3, 4.
#   1 << 39 | 2 << 30 | 3 << 21 | 4 << 12
VA = 0x80_8060_4000
# The kernel's text on Linux: 511, 510, 1, 1.
KERNEL = 0xFFFF_FFFF_8020_1000


def entry(phys: PhysMemory, table: int, index: int) -> int:
    return struct.unpack("<Q", phys.read(table + 8 * index, 8))[0]  # type: ignore[no-any-return]


def walk(phys: PhysMemory, root: int, *indices: int) -> int:
    """The entry at the end of these indices, every one before it checked to be a plain table entry."""
    table = int(root)
    for index in indices[:-1]:
        e = entry(phys, table, index)
        assert e & 0xFFF == 0x007  # P, R/W, U/S: a table restricts nothing
        assert e >> 52 == 0
        table = e & 0x000F_FFFF_FFFF_F000
    return entry(phys, table, indices[-1])


# -- the bits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "bits"),
    [
        (R, XD | 0x21),
        (R | W, XD | 0x23),
        (W, XD | 0x23),
        (R | X, 0x21),
        (R | W | X, 0x23),
        (R | USER, XD | 0x25),
        (R | W | X | USER, 0x27),
        (R | W | UNCACHED, XD | 0x33),  # PCD: uncached minus
        (R | W | DEVICE, XD | 0x3B),  # PCD and PWT: uncacheable
    ],
    ids=str,
)
def test_small_page_entry_has_the_bits_of_the_manual(phys: PhysMemory, flags: MappingFlags, bits: int) -> None:
    table = PageTable(phys)
    table.map(VA, 0x12_3456_7000, flags)
    assert walk(phys, table.root, 1, 2, 3, 4) == bits | 0x12_3456_7000
    assert (phys.data_frames, phys.table_frames) == (0, 4)


def test_upper_half_address_is_walked_by_its_low_48_bits(phys: PhysMemory) -> None:
    table = PageTable(phys)
    table.map(KERNEL, 0x5000, R | X)
    assert walk(phys, table.root, 511, 510, 1, 1) == 0x5021
    assert table.query(KERNEL + 0x123) == (PhysAddr(0x5123), R | X, PAGE_SIZE)
    assert [leaf[0] for leaf in table.leaves()] == [KERNEL]


@pytest.mark.parametrize(
    ("size", "indices", "va", "pa"),
    [
        # 1 << 39 | 2 << 30 | 3 << 21, and one level less: bit 7 (PS) marks the page
        (MIB2, (1, 2, 3), 0x80_8060_0000, 0x4060_0000),
        (GIB, (1, 2), 0x80_8000_0000, 0x1_4000_0000),
    ],
    ids=["2M", "1G"],
)
def test_huge_page_entry_stands_in_its_level_with_ps_set(
    phys: PhysMemory, size: int, indices: tuple[int, ...], va: int, pa: int
) -> None:
    table = PageTable(phys)
    table.map(va, pa, R | W | USER, size)
    assert walk(phys, table.root, *indices) == XD | pa | 0xA7  # PS, A, U/S, R/W, P
    assert phys.table_frames == len(indices)
    inside = size - 0x1235
    assert table.query(va + inside) == (PhysAddr(pa + inside), R | W | USER, size)


@pytest.mark.parametrize(
    "flags", [R, R | W, R | X, R | W | X, R | USER, R | W | X | USER, R | UNCACHED, R | W | DEVICE], ids=str
)
@pytest.mark.parametrize("size", [PAGE_SIZE, MIB2, GIB])
def test_query_gives_back_what_was_mapped(phys: PhysMemory, flags: MappingFlags, size: int) -> None:
    table = PageTable(phys)
    table.map(GIB, 5 * GIB, flags, size)
    assert table.query(GIB) == (PhysAddr(5 * GIB), flags, size)
    assert table.query(GIB + size) is None
    assert table.query(GIB - 1) is None


def test_write_grants_read_on_this_format(phys: PhysMemory) -> None:
    table = PageTable(phys)
    table.map(VA, 0x1000, W)
    assert table.query(VA) == (PhysAddr(0x1000), R | W, PAGE_SIZE)


@pytest.mark.parametrize("size", [PAGE_SIZE, MIB2])
def test_page_without_rights_is_not_present_and_keeps_its_frame(phys: PhysMemory, size: int) -> None:
    table = PageTable(phys)
    table.map(0, 4 * MIB2, NONE, size)
    at = walk(phys, table.root, *((0, 0, 0, 0) if size == PAGE_SIZE else (0, 0, 0)))
    assert at & 1 == 0  # not present: the CPU and every other walker fault
    assert at & 0x000F_FFFF_FFFF_F000 == 4 * MIB2
    assert table.query(0) == (PhysAddr(4 * MIB2), NONE, size)
    assert PageTable.at(phys, table.root).query(0) is None
    with pytest.raises(AlreadyMapped):
        table.map(0, 0, R, size)
    assert table.protect(0, R | W) == size
    assert table.query(0) == (PhysAddr(4 * MIB2), R | W, size)
    assert table.protect(0, NONE) == size
    assert table.unmap(0) == (PhysAddr(4 * MIB2), NONE, size)
    assert phys.table_frames == 1


# -- change ----------------------------------------------------------------------------------------------------


def test_remap_shows_other_frames_with_other_flags(phys: PhysMemory) -> None:
    table = PageTable(phys)
    table.map(VA, 0x1000, R)
    assert table.remap(VA, 0x9000, R | W | X) == PAGE_SIZE
    assert table.query(VA) == (PhysAddr(0x9000), R | W | X, PAGE_SIZE)
    table.map(0, GIB, R, MIB2)
    assert table.remap(0, 2 * GIB, R | W) == MIB2
    assert table.query(5) == (PhysAddr(2 * GIB + 5), R | W, MIB2)


def test_protect_keeps_the_frame(phys: PhysMemory) -> None:
    table = PageTable(phys)
    table.map(0, GIB, R | W | USER, MIB2)
    assert table.protect(0, R) == MIB2
    assert table.query(0) == (PhysAddr(GIB), R, MIB2)


def test_unmap_tells_what_was_there_and_frees_the_tables_left_empty(phys: PhysMemory) -> None:
    table = PageTable(phys)
    table.map(VA, 0x1000, R | X)
    table.map(VA + PAGE_SIZE, 0x2000, R)
    table.map(VA + GIB, 0x3000, R)
    assert phys.table_frames == 6  # root, 1, 2 and 3 below it, 2 and 3 of the other GiB
    assert table.unmap(VA) == (PhysAddr(0x1000), R | X, PAGE_SIZE)
    assert phys.table_frames == 6
    assert table.unmap(VA + PAGE_SIZE) == (PhysAddr(0x2000), R, PAGE_SIZE)
    assert phys.table_frames == 4
    table.unmap(VA + GIB)
    assert phys.table_frames == 1
    assert list(table.leaves()) == []
    table._check()


def test_dropping_a_table_frees_every_table_and_no_mapped_frame(phys: PhysMemory) -> None:
    frame = phys.alloc()
    table = PageTable(phys)
    rng = random.Random(1)
    for _ in range(50):
        table.map(rng.randrange(1 << 47) & -PAGE_SIZE, frame, R)
    table.map(0, 0, R, GIB)
    assert phys.table_frames > 50
    del table
    assert (phys.table_frames, phys.refcount(frame)) == (0, 1)
    phys.free(frame)


# -- typed errors, and the table as before ---------------------------------------------------------------------


@pytest.fixture
def table(phys: PhysMemory, request: pytest.FixtureRequest) -> object:
    """2M page at 0, 4K page at 4 MiB, 1G page at 1 GiB, 4K page in the last page of the lower half."""
    made = PageTable(phys)
    made.map(0, MIB2, R | W, MIB2)
    made.map(2 * MIB2, 0x7000, R)
    made.map(GIB, 2 * GIB, R, GIB)
    made.map((1 << 47) - PAGE_SIZE, 0x8000, R | X)
    yield made
    made._check()
    request.node.funcargs.clear()


def refuses(table: PageTable, kind: type[LinuxError], code: int, call: Callable[[], object]) -> None:
    """The call raises exactly this kind, and neither leaves nor frames change."""
    before, frames = list(table.leaves()), table.phys.frames_in_use
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    assert caught.value.errno == code
    assert list(table.leaves()) == before
    assert table.phys.frames_in_use == frames


def test_mapping_over_a_page_is_refused(table: PageTable) -> None:
    refuses(table, AlreadyMapped, errno.EEXIST, lambda: table.map(2 * MIB2, 0x1000, R))
    refuses(table, AlreadyMapped, errno.EEXIST, lambda: table.map(0, 0, R, MIB2))
    # a huge page over smaller ones
    refuses(table, AlreadyMapped, errno.EEXIST, lambda: table.map(2 * MIB2, 0, R, MIB2))
    refuses(table, AlreadyMapped, errno.EEXIST, lambda: table.map(0, 0, R, GIB))


def test_mapping_inside_a_huge_page_is_refused(table: PageTable) -> None:
    refuses(table, MappedToHugePage, errno.EINVAL, lambda: table.map(0x3000, 0x1000, R))
    refuses(table, MappedToHugePage, errno.EINVAL, lambda: table.map(GIB, 0, R, MIB2))
    refuses(table, MappedToHugePage, errno.EINVAL, lambda: table.map(GIB + 0x5000, 0x1000, R))


def test_changing_a_part_of_a_huge_page_is_refused(table: PageTable) -> None:
    for call in (
        lambda: table.unmap(0x1000),
        lambda: table.protect(0x1000, R),
        lambda: table.remap(MIB2 - PAGE_SIZE, 0x1000, R),
        lambda: table.unmap(GIB + MIB2),
    ):
        refuses(table, MappedToHugePage, errno.EINVAL, call)


def test_changing_what_is_not_mapped_is_refused(table: PageTable) -> None:
    for at in (MIB2, 2 * MIB2 + PAGE_SIZE, 3 * GIB, 1 << 46, KERNEL):
        refuses(table, NotMapped, errno.EFAULT, lambda at=at: table.unmap(at))
        refuses(table, NotMapped, errno.EFAULT, lambda at=at: table.protect(at, R))
        refuses(table, NotMapped, errno.EFAULT, lambda at=at: table.remap(at, 0x1000, R))


def test_unaligned_arguments_are_refused(table: PageTable) -> None:
    for call in (
        lambda: table.map(0x1_0000_0001, 0x1000, R),
        lambda: table.map(0x1_0000_0000, 0x1001, R),
        lambda: table.map(3 * GIB + PAGE_SIZE, 0, R, MIB2),
        lambda: table.map(3 * GIB, PAGE_SIZE, R, MIB2),
        lambda: table.map(3 * GIB, 0, R, 0x3000),  # no page of this size
        lambda: table.map(3 * GIB, 0, R, 1 << 39),  # no page at the top level
        lambda: table.map(3 * GIB, 0, R, 0),
        lambda: table.unmap(2 * MIB2 + 1),
        lambda: table.protect(2 * MIB2 + 1, R),
        lambda: table.remap(2 * MIB2, 0x1001, R),
        lambda: table.remap(0, PAGE_SIZE, R),  # the page there has 2 MiB
        lambda: table.map_region(0x1_0000_0800, 0, PAGE_SIZE, R),
        lambda: table.map_region(0x1_0000_0000, 0x800, PAGE_SIZE, R),
        lambda: table.map_region(0x1_0000_0000, 0, 0x1800, R),
        lambda: table.unmap_region(2 * MIB2 + 0x800, 0x800),
        lambda: table.unmap_region(2 * MIB2, 0x800),
    ):
        refuses(table, NotAligned, errno.EINVAL, call)


@pytest.mark.parametrize("at", [1 << 47, 1 << 48, 0xFFFF_7FFF_FFFF_F000, 1 << 63])
def test_address_that_the_format_cannot_translate_is_never_mapped(table: PageTable, at: int) -> None:
    refuses(table, LinuxError, errno.ENOMEM, lambda: table.map(at, 0x1000, R))
    refuses(table, NotMapped, errno.EFAULT, lambda: table.unmap(at))
    assert table.query(at) is None


def test_frame_that_the_format_cannot_name_is_refused(table: PageTable) -> None:
    refuses(table, LinuxError, errno.ENOMEM, lambda: table.map(3 * GIB, 1 << 52, R))
    refuses(table, LinuxError, errno.ENOMEM, lambda: table.remap(2 * MIB2, 1 << 52, R))


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_table_without_frames_is_as_before(make_phys: Callable[..., PhysMemory], frames: int) -> None:
    phys = make_phys(limit=frames * PAGE_SIZE)
    table = PageTable(phys)
    refuses(table, LinuxError, errno.ENOMEM, lambda: table.map(VA, 0x1000, R))
    assert phys.table_frames == 1


def test_no_frame_for_the_root_is_enomem(make_phys: Callable[..., PhysMemory]) -> None:
    phys = make_phys(limit=0)
    with pytest.raises(LinuxError) as caught:
        PageTable(phys)
    assert caught.value.errno == errno.ENOMEM


# -- regions ---------------------------------------------------------------------------------------------------


def test_region_takes_the_largest_page_that_fits(phys: PhysMemory) -> None:
    # 4K | 2M 2M ... 2M | 1G | 2M | 4K : from one page below 1 GiB - 4 MiB to one above 2 GiB + 2 MiB
    table = PageTable(phys)
    start, end = GIB - 2 * MIB2 - PAGE_SIZE, 2 * GIB + MIB2 + PAGE_SIZE
    assert table.map_region(start, start + 4 * GIB, end - start, R | W) == end - start
    assert [(at, size) for at, _, _, size in table.leaves()] == [
        (start, PAGE_SIZE),
        (GIB - 2 * MIB2, MIB2),
        (GIB - MIB2, MIB2),
        (GIB, GIB),
        (2 * GIB, MIB2),
        (2 * GIB + MIB2, PAGE_SIZE),
    ]
    for probe in (start, GIB - 1, GIB + 12345, end - 1):
        assert table.query(probe)[0] == probe + 4 * GIB  # type: ignore[index]
    table.unmap_region(start, end - start)
    assert phys.table_frames == 1


def test_region_whose_frames_are_not_aligned_alike_takes_small_pages(phys: PhysMemory) -> None:
    table = PageTable(phys)
    table.map_region(0, PAGE_SIZE, MIB2, R)
    assert {size for _, _, _, size in table.leaves()} == {PAGE_SIZE}
    other = PageTable(phys)
    other.map_region(0, 0, MIB2, R, huge=False)
    assert sum(1 for _ in other.leaves()) == 512


def test_region_that_meets_a_page_is_taken_back_whole(table: PageTable) -> None:
    # [4M-8K, 4M) is free, at 4M there is a page
    refuses(table, AlreadyMapped, errno.EEXIST, lambda: table.map_region(2 * MIB2 - 0x2000, 0, 0x4000, R))


def test_region_of_nothing_or_past_the_top_is_refused(table: PageTable) -> None:
    refuses(table, LinuxError, errno.EINVAL, lambda: table.map_region(0x1_0000_0000, 0, 0, R))
    refuses(table, LinuxError, errno.EINVAL, lambda: table.map_region((1 << 64) - PAGE_SIZE, 0, 2 * PAGE_SIZE, R))


def test_region_up_to_the_top_of_the_address_space_can_be_mapped(phys: PhysMemory) -> None:
    table = PageTable(phys)
    top = 1 << 64
    table.map_region(top - MIB2, 0, MIB2, R)
    assert table.query(top - 1) == (PhysAddr(MIB2 - 1), R, MIB2)
    table.unmap_region(top - MIB2, MIB2)
    assert table.query(top - 1) is None


def test_region_with_a_hole_or_half_a_huge_page_is_not_unmapped(table: PageTable) -> None:
    refuses(table, NotMapped, errno.EFAULT, lambda: table.unmap_region(0, 2 * MIB2))
    refuses(table, MappedToHugePage, errno.EINVAL, lambda: table.unmap_region(0, PAGE_SIZE))
    refuses(table, MappedToHugePage, errno.EINVAL, lambda: table.unmap_region(PAGE_SIZE, MIB2 - PAGE_SIZE))
    refuses(table, LinuxError, errno.EINVAL, lambda: table.unmap_region((1 << 64) - PAGE_SIZE, 2 * PAGE_SIZE))
    refuses(table, LinuxError, errno.EINVAL, lambda: table.unmap_region(0, 0))


# -- tables that somebody else wrote ---------------------------------------------------------------------------


class Dump:
    """Physical memory as a crash dump has it: some frames, anything else unreadable."""

    def __init__(self, frames: dict[int, bytes]) -> None:
        self.frames = frames

    def read(self, paddr: int, size: int) -> bytes:
        assert type(paddr) is PhysAddr
        return self.frames[paddr & -PAGE_SIZE][paddr % PAGE_SIZE :][:size]


def frame_of(entries: dict[int, int]) -> bytes:
    return b"".join(struct.pack("<Q", entries.get(i, 0)) for i in range(512))


def test_foreign_table_is_walked_by_the_manual() -> None:
    # CR3 = 0x1000; written by hand, as another kernel might have: global, dirty and protection key bits set.
    dump = Dump(
        {
            0x1000: frame_of({1: 0x2067, 511: 0x5063}),
            0x2000: frame_of({2: 0x3063, 5: 0x1_8000_01E7}),
            0x3000: frame_of({3: 0x4063, 6: XD | 0x60_01E1}),
            0x4000: frame_of({4: 0x7800_0000_0765_4163, 5: 0x0765_5162}),  # the second is not present
            0x5000: frame_of({}),
        }
    )
    table = PageTable.at(dump, 0x1000)
    assert table.query(VA + 0xABC) == (PhysAddr(0x765_4ABC), R | W | X, PAGE_SIZE)
    assert table.query(VA + PAGE_SIZE) is None
    assert table.query(0x80_80C0_0000 + 0x1F_FFFF) == (PhysAddr(0x7F_FFFF), R, MIB2)
    assert table.query(0x81_4000_0000) == (PhysAddr(0x1_8000_0000), R | W | X | USER, GIB)
    assert table.query(0) is None
    assert table.query(KERNEL) is None
    assert table.query(1 << 47) is None
    assert list(table.leaves()) == [
        (VA, PhysAddr(0x765_4000), R | W | X, PAGE_SIZE),
        (0x80_80C0_0000, PhysAddr(0x60_0000), R, MIB2),
        (0x81_4000_0000, PhysAddr(0x1_8000_0000), R | W | X | USER, GIB),
    ]


def test_pat_bit_of_a_huge_page_is_no_address_bit() -> None:
    # In an entry of level 2 or 3 with PS, bit 12 is PAT.
    dump = Dump({0x1000: frame_of({0: 0x2063}), 0x2000: frame_of({0: 0x3063}), 0x3000: frame_of({1: 0x20_10E3})})
    assert PageTable.at(dump, 0x1000).query(MIB2 + 0x10) == (PhysAddr(0x20_0010), R | W | X, MIB2)


def test_foreign_swap_entries_are_not_mapped() -> None:
    # Not present, other bits set, ours among them (0x200 marks a kept frame): somebody's swap entry.
    dump = Dump(
        {
            0x1000: frame_of({0: 0x2067}),
            0x2000: frame_of({0: 0x3067}),
            0x3000: frame_of({0: 0x4067}),
            0x4000: frame_of({0: 0x1234_5200, 1: 0xFFFF_FFFF_FFFF_FFFE}),
        }
    )
    table = PageTable.at(dump, 0x1000)
    assert table.query(0) is None
    assert table.query(PAGE_SIZE) is None
    assert list(table.leaves()) == []


def test_table_that_leads_to_itself_ends() -> None:
    dump = Dump({0x1000: frame_of({511: 0x1063})})  # the recursive mapping of many a kernel
    assert [at for at, *_ in PageTable.at(dump, 0x1000).leaves()] == [(1 << 64) - PAGE_SIZE]


def test_frames_of_ours_dumped_and_walked_again_give_the_same_leaves(phys: PhysMemory) -> None:
    table = PageTable(phys)
    rng = random.Random(3)
    for _ in range(40):
        half = rng.choice([0, 0xFFFF_8000_0000_0000])
        size = rng.choice([PAGE_SIZE, PAGE_SIZE, MIB2, GIB])
        try:
            table.map(
                half + rng.randrange(1 << 47) // size * size,
                rng.randrange(1 << 40) // size * size,
                rng.choice([R, R | W, R | X, R | W | USER, R | W | DEVICE]),
                size,
            )
        except PagingError:
            continue
    frames = {n << 12: phys.read(n << 12, PAGE_SIZE) for n in range(1, 1000)}
    twin = PageTable.at(Dump(frames), table.root)
    assert list(twin.leaves()) == list(table.leaves())
    assert len(list(twin.leaves())) > 30
    for at, paddr, flags, size in table.leaves():
        assert twin.query(at + size - 1) == (paddr + size - 1, flags, size)


def test_foreign_table_can_be_read_not_changed(phys: PhysMemory) -> None:
    own = PageTable(phys)
    table = PageTable.at(phys, own.root)
    for call in (
        lambda: table.map(0, 0, R),
        lambda: table.unmap(0),
        lambda: table.remap(0, 0, R),
        lambda: table.protect(0, R),
        lambda: table.map_region(0, 0, PAGE_SIZE, R),
    ):
        with pytest.raises(TypeError, match="read, not changed"):
            call()
    own.map(VA, 0x1000, R)
    assert table.query(VA) == (PhysAddr(0x1000), R, PAGE_SIZE)
    assert table.root == own.root


def test_error_of_the_source_passes_on() -> None:
    with pytest.raises(KeyError):
        PageTable.at(Dump({}), 0x1000).query(0)


def test_table_of_a_space_can_be_looked_at_and_not_changed(space: AddrSpace) -> None:
    # Behind the space's back a change would leave its books and its TLB wrong.
    space.map_alloc(0x10000, PAGE_SIZE, R | W, populate=True)
    table = space.page_table
    assert table.query(0x10000) == space.query(0x10000)
    assert table.format is X86_64
    for call in (
        lambda: table.map(0x20000, 0x1000, R),
        lambda: table.unmap(0x10000),
        lambda: table.remap(0x10000, 0x1000, R),
        lambda: table.protect(0x10000, R),
        lambda: table.map_region(0x20000, 0, PAGE_SIZE, R),
        lambda: table.unmap_region(0x10000, PAGE_SIZE),
    ):
        with pytest.raises(TypeError, match="read, not changed"):
            call()


# -- against a naive model -------------------------------------------------------------------------------------


def test_random_maps_and_unmaps_agree_with_a_dictionary(phys: PhysMemory) -> None:
    table = PageTable(phys)
    model: dict[int, tuple[int, MappingFlags, int]] = {}
    rng = random.Random(20261122)
    # A few neighbourhoods, so that sizes meet: two GiB in each half, a corner of each.
    bases = [0, GIB, (1 << 47) - 2 * GIB, 0xFFFF_8000_0000_0000, (1 << 64) - GIB]

    def overlapping(at: int, size: int) -> bool:
        return any(at < start + n and start < at + size for start, (_, _, n) in model.items())

    for step in range(1500):
        size = rng.choice([PAGE_SIZE, PAGE_SIZE, PAGE_SIZE, MIB2, GIB])
        at = (
            rng.choice(bases)
            + rng.randrange(8) * MIB2 * (size != GIB)
            + rng.randrange(3) * PAGE_SIZE * (size == PAGE_SIZE)
        )
        if rng.random() < 0.5:
            flags = rng.choice([R, R | W, R | X, R | W | X | USER])
            pa = rng.randrange(1 << 30) // size * size
            if overlapping(at, size):
                with pytest.raises(PagingError):
                    table.map(at, pa, flags, size)
            else:
                table.map(at, pa, flags, size)
                model[at] = pa, flags, size
        elif rng.random() < 0.5 and model:
            at = rng.choice(list(model))
            assert table.unmap(at) == model.pop(at)
        else:
            found = table.query(at)
            owner = next((s for s, (_, _, n) in model.items() if s <= at < s + n), None)
            if owner is None:
                assert found is None
            else:
                pa, flags, size = model[owner]
                assert found == (pa + at - owner, flags, size)
        if step % 100 == 0:
            table._check()
            assert [(at, pa, flags, size) for at, pa, flags, size in table.leaves()] == sorted(
                (at, *rest) for at, rest in model.items()
            )
    for at in list(model):
        table.unmap(at)
    assert phys.table_frames == 1
