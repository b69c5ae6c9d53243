"""Page tables, whatever their format: pages of every size, typed errors, and no table frame left behind.

Which bits stand where is tested in `test_formats`, tables that somebody else wrote in `test_foreign`, and that CPUs
see the same in `test_cpu_walks`.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Callable

import pytest

from axptr import (
    PAGE_SIZE,
    AddrSpace,
    AlreadyMapped,
    LinuxError,
    MappedToHugePage,
    MappingFlags,
    NotAligned,
    NotMapped,
    PageTable,
    PagingError,
    PagingFormat,
    PhysAddr,
    PhysMemory,
)
from formats import FACTS, TOP, Facts

NONE, R, W, X = MappingFlags(0), MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
USER, DEVICE, UNCACHED = MappingFlags.USER, MappingFlags.DEVICE, MappingFlags.UNCACHED
MIB2, GIB = 2 << 20, 1 << 30


@pytest.fixture(params=FACTS, ids=lambda facts: facts.fmt.name)
def facts(request: pytest.FixtureRequest) -> Facts:
    """Every test that asks for it runs once a format."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def fmt(facts: Facts) -> PagingFormat:
    return facts.fmt


# -- look -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flags", [R, R | W, R | X, R | W | X, R | USER, R | W | X | USER, R | UNCACHED, R | W | DEVICE], ids=str
)
def test_query_gives_back_what_was_mapped(phys: PhysMemory, flags: MappingFlags, facts: Facts) -> None:
    for size in facts.pages:
        table = PageTable(phys, facts.fmt)
        at, to = max(size, GIB), 5 * max(size, GIB)
        table.map(at, to, flags, size)
        assert table.query(at) == (PhysAddr(to), flags, size)
        assert table.query(at + size - 1) == (PhysAddr(to + size - 1), flags, size)
        assert table.query(at + size) is None
        assert table.query(at - 1) is None
        assert list(table.leaves()) == [(at, PhysAddr(to), flags, size)]


def test_page_that_can_only_be_written_can_be_read_too(phys: PhysMemory, facts: Facts) -> None:
    # No hardware of these can tell. A space of AArch64 knows better: its areas decide, see tests/mm.
    table = PageTable(phys, facts.fmt)
    table.map(facts.at, 0x1000, W | USER)
    assert table.query(facts.at) == (PhysAddr(0x1000), R | W | USER, PAGE_SIZE)


def test_device_memory_is_uncached_by_itself(phys: PhysMemory, fmt: PagingFormat) -> None:
    table = PageTable(phys, fmt)
    table.map(0, 0x1000, R | W | DEVICE | UNCACHED)
    assert table.query(0) == (PhysAddr(0x1000), R | W | DEVICE, PAGE_SIZE)


def test_each_half_is_walked_by_the_low_bits(phys: PhysMemory, facts: Facts) -> None:
    table = PageTable(phys, facts.fmt)
    ends = [0, facts.lower - PAGE_SIZE] + ([] if facts.upper is None else [facts.upper, TOP - PAGE_SIZE])
    for n, at in enumerate(ends, 1):
        table.map(at, n * PAGE_SIZE, R | X)
    for n, at in enumerate(ends, 1):
        assert table.query(at + 0x123) == (PhysAddr(n * PAGE_SIZE + 0x123), R | X, PAGE_SIZE)
    assert [leaf[0] for leaf in table.leaves()] == ends
    for at in ends:
        table.unmap(at)
    assert phys.table_frames == 1


@pytest.mark.parametrize("size", [PAGE_SIZE, MIB2])
def test_page_without_rights_is_not_present_and_keeps_its_frame(phys: PhysMemory, size: int, fmt: PagingFormat) -> None:
    table = PageTable(phys, fmt)
    table.map(0, 4 * MIB2, NONE, size)
    assert table.query(0) == (PhysAddr(4 * MIB2), NONE, size)
    # Not present: the CPU and every other walker fault.
    assert PageTable.at(phys, table.root, fmt).query(0) is None
    assert list(PageTable.at(phys, table.root, fmt).leaves()) == []
    with pytest.raises(AlreadyMapped):
        table.map(0, 0, R, size)
    assert table.protect(0, R | W) == size
    assert table.query(0) == (PhysAddr(4 * MIB2), R | W, size)
    assert table.protect(0, NONE) == size
    assert table.unmap(0) == (PhysAddr(4 * MIB2), NONE, size)
    assert phys.table_frames == 1


# -- change ----------------------------------------------------------------------------------------------------


def test_remap_shows_other_frames_with_other_flags(phys: PhysMemory, facts: Facts) -> None:
    table = PageTable(phys, facts.fmt)
    table.map(facts.at, 0x1000, R)
    assert table.remap(facts.at, 0x9000, R | W | X) == PAGE_SIZE
    assert table.query(facts.at) == (PhysAddr(0x9000), R | W | X, PAGE_SIZE)
    table.map(0, GIB, R, MIB2)
    assert table.remap(0, 2 * GIB, R | W) == MIB2
    assert table.query(5) == (PhysAddr(2 * GIB + 5), R | W, MIB2)


def test_protect_keeps_the_frame(phys: PhysMemory, fmt: PagingFormat) -> None:
    table = PageTable(phys, fmt)
    table.map(0, GIB, R | W | USER, MIB2)
    assert table.protect(0, R) == MIB2
    assert table.query(0) == (PhysAddr(GIB), R, MIB2)


def test_unmap_tells_what_was_there_and_frees_the_tables_left_empty(phys: PhysMemory, facts: Facts) -> None:
    table = PageTable(phys, facts.fmt)
    table.map(facts.at, 0x1000, R | X)
    table.map(facts.at + PAGE_SIZE, 0x2000, R)
    table.map(facts.at + GIB, 0x3000, R)
    assert phys.table_frames == facts.levels + 2  # one of each level, and the last two again for the other GiB
    assert table.unmap(facts.at) == (PhysAddr(0x1000), R | X, PAGE_SIZE)
    assert phys.table_frames == facts.levels + 2
    assert table.unmap(facts.at + PAGE_SIZE) == (PhysAddr(0x2000), R, PAGE_SIZE)
    assert phys.table_frames == facts.levels
    table.unmap(facts.at + GIB)
    assert phys.table_frames == 1
    assert list(table.leaves()) == []
    table._check()


def test_dropping_a_table_frees_every_table_and_no_mapped_frame(phys: PhysMemory, facts: Facts) -> None:
    frame = phys.alloc()
    table = PageTable(phys, facts.fmt)
    rng = random.Random(1)
    for _ in range(50):
        table.map(rng.randrange(GIB, facts.lower) & -PAGE_SIZE, frame, R)
    table.map(0, 0, R, GIB)
    assert phys.table_frames > 50
    del table
    assert (phys.table_frames, phys.refcount(frame)) == (0, 1)
    phys.free(frame)


# -- typed errors, and the table as before ---------------------------------------------------------------------


@pytest.fixture
def table(phys: PhysMemory, request: pytest.FixtureRequest, facts: Facts) -> object:
    """2M page at 0, 4K page at 4 MiB, 1G page at 1 GiB, 4K page in the last page of the lower half."""
    made = PageTable(phys, facts.fmt)
    made.map(0, MIB2, R | W, MIB2)
    made.map(2 * MIB2, 0x7000, R)
    made.map(GIB, 2 * GIB, R, GIB)
    made.map(facts.lower - PAGE_SIZE, 0x8000, R | X)
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


def test_changing_what_is_not_mapped_is_refused(table: PageTable, facts: Facts) -> None:
    for at in (MIB2, 2 * MIB2 + PAGE_SIZE, 3 * GIB, facts.lower // 2, TOP - PAGE_SIZE):
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
        lambda: table.map(3 * GIB, 0, R, 1 << 40),  # nor of this
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


def test_address_that_the_format_cannot_translate_is_never_mapped(table: PageTable, facts: Facts) -> None:
    for at in (facts.lower, 2 * facts.lower, (facts.upper or TOP) - PAGE_SIZE, 1 << 63):
        refuses(table, LinuxError, errno.ENOMEM, lambda at=at: table.map(at, 0x1000, R))
        refuses(table, NotMapped, errno.EFAULT, lambda at=at: table.unmap(at))
        assert table.query(at) is None


def test_frame_that_the_format_cannot_name_is_refused(table: PageTable, facts: Facts) -> None:
    beyond = 1 << facts.physical
    refuses(table, LinuxError, errno.ENOMEM, lambda: table.map(3 * GIB, beyond, R))
    refuses(table, LinuxError, errno.ENOMEM, lambda: table.remap(2 * MIB2, beyond, R))
    table.map(3 * GIB, beyond - PAGE_SIZE, R)
    assert table.query(3 * GIB) == (PhysAddr(beyond - PAGE_SIZE), R, PAGE_SIZE)


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_table_without_frames_is_as_before(make_phys: Callable[..., PhysMemory], missing: int, facts: Facts) -> None:
    frames = max(facts.levels - missing, 1)
    phys = make_phys(limit=frames * PAGE_SIZE)
    table = PageTable(phys, facts.fmt)
    refuses(table, LinuxError, errno.ENOMEM, lambda: table.map(facts.at, 0x1000, R))
    assert phys.table_frames == 1


def test_no_frame_for_the_root_is_enomem(make_phys: Callable[..., PhysMemory], fmt: PagingFormat) -> None:
    phys = make_phys(limit=0)
    with pytest.raises(LinuxError) as caught:
        PageTable(phys, fmt)
    assert caught.value.errno == errno.ENOMEM


# -- regions ---------------------------------------------------------------------------------------------------


def test_region_takes_the_largest_page_that_fits(phys: PhysMemory, fmt: PagingFormat) -> None:
    # 4K | 2M 2M ... 2M | 1G | 2M | 4K : from one page below 1 GiB - 4 MiB to one above 2 GiB + 2 MiB
    table = PageTable(phys, fmt)
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


def test_region_whose_frames_are_not_aligned_alike_takes_small_pages(phys: PhysMemory, fmt: PagingFormat) -> None:
    table = PageTable(phys, fmt)
    table.map_region(0, PAGE_SIZE, MIB2, R)
    assert {size for _, _, _, size in table.leaves()} == {PAGE_SIZE}
    other = PageTable(phys, fmt)
    other.map_region(0, 0, MIB2, R, huge=False)
    assert sum(1 for _ in other.leaves()) == 512


def test_region_that_meets_a_page_is_taken_back_whole(table: PageTable) -> None:
    # [4M-8K, 4M) is free, at 4M there is a page
    refuses(table, AlreadyMapped, errno.EEXIST, lambda: table.map_region(2 * MIB2 - 0x2000, 0, 0x4000, R))


def test_region_of_nothing_or_past_the_top_is_refused(table: PageTable) -> None:
    refuses(table, LinuxError, errno.EINVAL, lambda: table.map_region(0x1_0000_0000, 0, 0, R))
    refuses(table, LinuxError, errno.EINVAL, lambda: table.map_region((1 << 64) - PAGE_SIZE, 0, 2 * PAGE_SIZE, R))


def test_region_up_to_the_top_of_the_address_space_can_be_mapped(phys: PhysMemory, facts: Facts) -> None:
    table = PageTable(phys, facts.fmt)
    top = facts.lower if facts.upper is None else TOP
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


# -- tables that may not be changed -----------------------------------------------------------------------------


def test_foreign_table_can_be_read_not_changed(phys: PhysMemory, facts: Facts) -> None:
    own = PageTable(phys, facts.fmt)
    table = PageTable.at(phys, own.root, facts.fmt)
    for call in (
        lambda: table.map(0, 0, R),
        lambda: table.unmap(0),
        lambda: table.remap(0, 0, R),
        lambda: table.protect(0, R),
        lambda: table.map_region(0, 0, PAGE_SIZE, R),
    ):
        with pytest.raises(TypeError, match="read, not changed"):
            call()
    own.map(facts.at, 0x1000, R)
    assert table.query(facts.at) == (PhysAddr(0x1000), R, PAGE_SIZE)
    assert table.root == own.root


def test_table_of_a_space_can_be_looked_at_and_not_changed(phys: PhysMemory, fmt: PagingFormat) -> None:
    # Behind the space's back a change would leave its books and its TLB wrong.
    space = AddrSpace(0x1000, GIB, phys, fmt)
    space.map_alloc(0x10000, PAGE_SIZE, R | W, populate=True)
    table = space.page_table
    assert table.query(0x10000) == space.query(0x10000)
    assert table.format is fmt
    for call in (
        lambda: table.map(0x20000, 0x1000, R),
        lambda: table.unmap(0x10000),
        lambda: table.remap(0x10000, 0x1000, R),
        lambda: table.protect(0x10000, R),
        lambda: table.map_region(0x20000, 0, PAGE_SIZE, R),
        lambda: table.unmap_region(0x10000, PAGE_SIZE),
    ):
        with pytest.raises(TypeError, match="page table of an AddrSpace, which owns it"):
            call()


# -- against a naive model -------------------------------------------------------------------------------------


def test_random_maps_and_unmaps_agree_with_a_dictionary(phys: PhysMemory, facts: Facts) -> None:
    table = PageTable(phys, facts.fmt)
    model: dict[int, tuple[int, MappingFlags, int]] = {}
    rng = random.Random(20261122)
    # A few neighbourhoods, so that sizes meet: two GiB in each half, a corner of each.
    bases = [0, GIB, facts.lower - 2 * GIB] + ([] if facts.upper is None else [facts.upper, TOP - GIB])

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
