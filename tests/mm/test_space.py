"""AddrSpace as its owner sees it: map, unmap, protect, find room, look; each failed call leaves all as it was.

Layouts are drawn in pages from BASE: letters are areas, dots are holes.
"""

from __future__ import annotations

import copy
import ctypes
import errno
import gc
import pickle
import random
from collections.abc import Callable

import pytest

from axptr import (
    PAGE_SIZE,
    AddrSpace,
    FaultReason,
    KernelFault,
    LinuxError,
    MappingFlags,
    MemoryArea,
    PhysMemory,
    UserFault,
    UserPtr,
    VirtAddrRange,
)
from formats import needs_room

EVERY_FORMAT = True
NONE, R, W, X = MappingFlags(0), MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
USER = MappingFlags.USER
BASE = 0x100000
LAST_PAGE = (1 << 47) - 0x2000  # of the `space` fixture
TOP = 1 << 64


def at(page: int) -> int:
    return BASE + page * PAGE_SIZE


def drawn(space: AddrSpace, pages: int = 16) -> str:
    """The areas from BASE on, a letter a page: r, w (rw-), x (r-x), 0 (none); each area starts with a capital."""
    letters = {R: "r", R | W: "w", R | X: "x", NONE: "o"}
    text = ["."] * pages
    for area in space.areas():
        for n in range((area.start - BASE) // PAGE_SIZE, (area.end - BASE) // PAGE_SIZE):
            text[n] = letters[area.flags]
        text[(area.start - BASE) // PAGE_SIZE] = text[(area.start - BASE) // PAGE_SIZE].upper()
    return "".join(text).rstrip(".")


def state(space: AddrSpace) -> object:
    """All that a failed call may not change."""
    return (
        space.areas(),
        [(page, space.query(page)) for page in space.resident_pages()],
        space.phys.data_frames,
        space.phys.table_frames,
    )


def refuses(space: AddrSpace, code: int, call: Callable[[], object], kind: type[Exception] = LinuxError) -> None:
    before = state(space)
    with pytest.raises(kind) as caught:
        call()
    if code:
        assert caught.value.errno == code  # type: ignore[attr-defined]
    assert state(space) == before
    space._check()


# -- the space itself ------------------------------------------------------------------------------------------


def test_a_new_space_costs_one_frame_for_its_root(phys: PhysMemory) -> None:
    space = AddrSpace(0x1000, 1 << 40, phys)
    assert (phys.data_frames, phys.table_frames) == (0, 1)
    assert (space.base, space.size, space.phys) == (0x1000, 1 << 40, phys)
    assert space.areas() == []
    assert space.area_count == 0
    assert repr(space) == "<AddrSpace 0x1000-0x10000001000 x86-64, 0 areas>"
    del space
    assert phys.frames_in_use == 0


@pytest.mark.parametrize(
    ("base", "size"),
    [
        (0, 0),
        (0x800, 0x1000),
        (0x1000, 0x800),
        (0, (1 << 47) + PAGE_SIZE),  # across the hole of addresses that x86-64 cannot translate
        (1 << 47, PAGE_SIZE),
        ((1 << 47) - PAGE_SIZE, 2 * PAGE_SIZE),
        (0xFFFF_8000_0000_0000 - PAGE_SIZE, 2 * PAGE_SIZE),
        (TOP - PAGE_SIZE, 2 * PAGE_SIZE),
        (0, TOP),  # both halves
    ],
)
def test_a_space_must_be_pages_that_the_format_can_translate(phys: PhysMemory, base: int, size: int) -> None:
    with pytest.raises(ValueError, match=r"run of pages|cannot translate"):
        AddrSpace(base, size, phys)
    assert phys.frames_in_use == 0


@pytest.mark.parametrize(
    ("base", "size"), [(0, 1 << 47), (0xFFFF_8000_0000_0000, 1 << 47), (TOP - PAGE_SIZE, PAGE_SIZE), (0, PAGE_SIZE)]
)
def test_a_space_may_be_a_whole_half_or_one_page(phys: PhysMemory, base: int, size: int) -> None:
    space = AddrSpace(base, size, phys)
    space.map_alloc(base, size, R | W)
    for where in (base, base + size - 1):
        UserPtr[ctypes.c_ubyte](where).write(space, 7)
        assert space.read(where, 1) == b"\7"
    space._check()
    assert space.find_area(base + size - 1).end == base + size  # type: ignore[union-attr]


def test_a_space_gives_everything_back_when_it_dies(phys: PhysMemory) -> None:
    space = AddrSpace(0, 1 << 47, phys)
    space.map_alloc(0, 1 << 46, R | W)
    rng = random.Random(5)
    for _ in range(100):
        space.write(rng.randrange(1 << 46), b"x")
    assert phys.data_frames == 100
    del space
    assert phys.frames_in_use == 0


def test_a_space_in_a_cycle_is_collected(phys: PhysMemory) -> None:
    class Process(AddrSpace):
        pass

    space = Process(0, 1 << 30, phys)
    space.map_alloc(0, PAGE_SIZE, R, populate=True)
    space.me = space  # type: ignore[attr-defined]
    space.provider = [space]  # type: ignore[attr-defined]
    del space
    gc.collect()
    assert phys.frames_in_use == 0


def test_a_space_is_not_copied_or_pickled_by_accident(space: AddrSpace) -> None:
    for copier in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            copier(space)


# -- map -------------------------------------------------------------------------------------------------------


def test_mapping_populates_nothing(space: AddrSpace) -> None:
    needs_room(space)
    tables = space.phys.table_frames
    space.map_alloc(BASE, 1 << 40, R | W, name="big")
    assert (space.phys.data_frames, space.phys.table_frames) == (0, tables)
    (area,) = space.areas()
    assert (area.start, area.end, area.flags, area.name) == (BASE, BASE + (1 << 40), R | W, "big")
    assert area.backend.kind_name == "alloc"


def test_a_tebibyte_with_three_pages_touched_costs_three_frames_and_few_tables(space: AddrSpace) -> None:
    needs_room(space)
    space.map_alloc(1 << 40, 1 << 40, R | W)
    before = space.phys.table_frames
    for where in (1 << 40, (1 << 40) + (1 << 39) + 12345, (2 << 40) - 1):
        space.write(where, b"x")
    assert space.phys.data_frames == 3
    assert space.phys.table_frames - before <= 9


def test_fresh_memory_reads_as_zero_on_recycled_frames_too(space: AddrSpace) -> None:
    for _ in range(3):
        space.map_alloc(at(0), 8 * PAGE_SIZE, R | W)
        assert space.read(at(0), 8 * PAGE_SIZE) == bytes(8 * PAGE_SIZE)
        space.write(at(0), b"\xee" * 8 * PAGE_SIZE)
        space.unmap(at(0), 8 * PAGE_SIZE)


def test_areas_keep_the_flags_as_asked(space: AddrSpace) -> None:
    for n, flags in enumerate((W, X, NONE, R | USER | MappingFlags.UNCACHED)):
        space.map_alloc(at(2 * n), PAGE_SIZE, flags)
    assert [area.flags for area in space.areas()] == [W, X, NONE, R | USER | MappingFlags.UNCACHED]


def test_populate_brings_the_pages_in_ready_for_writing(space: AddrSpace) -> None:
    space.map_alloc(at(0), 3 * PAGE_SIZE, R | W, populate=True)
    space.map_alloc(at(4), PAGE_SIZE, X, populate=True)
    space.map_alloc(at(6), PAGE_SIZE, NONE, populate=True)
    assert space.resident_pages() == [at(0), at(1), at(2), at(4)]
    assert space.query(at(2))[1].has_all(R | W)  # type: ignore[index]


def test_populate_without_frames_maps_nothing(make_phys: Callable[..., PhysMemory]) -> None:
    phys = make_phys(limit=8 * PAGE_SIZE)
    space = AddrSpace(0x1000, 1 << 40, phys)
    space.map_alloc(at(0), PAGE_SIZE, R | W, populate=True)
    refuses(space, errno.ENOMEM, lambda: space.map_alloc(at(4), 4 * PAGE_SIZE, R | W, populate=True))
    # next to an area that it would have joined, too
    refuses(space, errno.ENOMEM, lambda: space.map_alloc(at(1), 4 * PAGE_SIZE, R | W, populate=True))


def test_populate_without_frames_keeps_what_it_should_have_replaced(make_phys: Callable[..., PhysMemory]) -> None:
    phys = make_phys(limit=8 * PAGE_SIZE)
    space = AddrSpace(0x1000, 1 << 40, phys)
    space.map_alloc(at(0), 2 * PAGE_SIZE, R | W, name="old")
    space.write(at(0), b"precious")
    refuses(space, errno.ENOMEM, lambda: space.map_alloc(at(0), 9 * PAGE_SIZE, R | W, populate=True, replace=True))
    assert space.read(at(0), 8) == b"precious"


def test_populate_in_place_of_pages_needs_no_more_frames_than_they_had(make_phys: Callable[..., PhysMemory]) -> None:
    phys = make_phys(limit=6 * PAGE_SIZE)  # four tables and two pages: full
    space = AddrSpace(0x1000, 1 << 40, phys)
    space.map_alloc(at(0), 2 * PAGE_SIZE, R | W, populate=True)
    space.write(at(0), b"old")
    space.map_alloc(at(0), 2 * PAGE_SIZE, R | W, populate=True, replace=True)
    assert space.resident_pages() == [at(0), at(1)]
    assert space.read(at(0), 3) == bytes(3)


def test_neighbours_that_could_be_one_are_one(space: AddrSpace) -> None:
    space.map_alloc(at(0), PAGE_SIZE, R)
    space.map_alloc(at(2), PAGE_SIZE, R)
    space.map_alloc(at(1), PAGE_SIZE, R)  # joins on both sides
    assert drawn(space) == "Rrr"
    space.map_alloc(at(3), PAGE_SIZE, R | W)
    space.map_alloc(at(4), PAGE_SIZE, R | W, name="other")
    space.map_alloc(at(6), PAGE_SIZE, R | W, name="other")
    assert drawn(space) == "RrrWW.W"


def test_areas_that_grow_are_not_joined_to_others(space: AddrSpace) -> None:
    space.map_alloc(at(4), PAGE_SIZE, R | W, grows_down=4 * PAGE_SIZE)
    space.map_alloc(at(5), PAGE_SIZE, R | W)
    assert drawn(space) == "....WW"


# ---------- over what is there ----------


def board(space: AddrSpace) -> AddrSpace:
    """WwwwR.XxO with a byte in each page that has one: its number."""
    space.map_alloc(at(0), 4 * PAGE_SIZE, R | W)
    space.map_alloc(at(4), PAGE_SIZE, R)
    space.map_alloc(at(6), 2 * PAGE_SIZE, R | X)
    space.map_alloc(at(8), PAGE_SIZE, NONE)
    for n in (0, 1, 2, 3, 4, 6, 7, 8):
        space.write(at(n), bytes([n + 1]))
    return space


def first_bytes(space: AddrSpace) -> list[int]:
    found = []
    for n in range(9):
        found.append(space.read(at(n), 1)[0] if space.find_area(at(n)) else -1)
    return found


@pytest.mark.parametrize(("start", "pages"), [(0, 1), (3, 1), (3, 2), (4, 4), (5, 2), (8, 4), (0, 9), (2, 1)], ids=str)
def test_mapping_over_an_area_is_refused_without_replace(space: AddrSpace, start: int, pages: int) -> None:
    board(space)
    refuses(space, errno.EEXIST, lambda: space.map_alloc(at(start), pages * PAGE_SIZE, R))
    assert first_bytes(space) == [1, 2, 3, 4, 5, -1, 7, 8, 9]


@pytest.mark.parametrize(
    ("start", "pages", "areas", "contents"),
    [
        #              WwwwR.XxO
        (1, 2, "WRrWR.XxO", [1, 0, 0, 4, 5, -1, 7, 8, 9]),  # the middle of one
        (3, 1, "WwwRr.XxO", [1, 2, 3, 0, 5, -1, 7, 8, 9]),  # joins its neighbour
        (3, 4, "WwwRrrrXO", [1, 2, 3, 0, 0, 0, 0, 8, 9]),  # parts of two, one whole, a hole
        (0, 9, "Rrrrrrrrr", [0] * 9),
        (5, 1, "WwwwRrXxO", [1, 2, 3, 4, 5, 0, 7, 8, 9]),  # only the hole
        (8, 1, "WwwwR.XxR", [1, 2, 3, 4, 5, -1, 7, 8, 0]),
    ],
    ids=str,
)
def test_replace_takes_the_place_of_what_was_there(
    space: AddrSpace, start: int, pages: int, areas: str, contents: list[int]
) -> None:
    board(space)
    space.map_alloc(at(start), pages * PAGE_SIZE, R, replace=True)
    assert drawn(space) == areas
    assert first_bytes(space) == contents
    space._check()


@pytest.mark.parametrize(
    ("start", "size", "code"),
    [
        (0x800, PAGE_SIZE, errno.EINVAL),
        (BASE, 0, errno.EINVAL),
        (BASE, 0x1800, errno.EINVAL),
        (0, PAGE_SIZE, errno.ENOMEM),  # below the space
        (0, 2 * PAGE_SIZE, errno.ENOMEM),
        (LAST_PAGE, 2 * PAGE_SIZE, errno.ENOMEM),  # past its end
        (1 << 47, PAGE_SIZE, errno.ENOMEM),
        (TOP - PAGE_SIZE, PAGE_SIZE, errno.ENOMEM),
        (TOP - PAGE_SIZE, 2 * PAGE_SIZE, errno.ENOMEM),  # would wrap
        (BASE, TOP, errno.ENOMEM),
        (BASE, TOP - PAGE_SIZE, errno.ENOMEM),
        (BASE, 1 << 80, errno.ENOMEM),
    ],
)
def test_mapping_calls_check_their_range(space: AddrSpace, start: int, size: int, code: int) -> None:
    board(space)
    for call in (
        lambda: space.map_alloc(start, size, R),
        lambda: space.map_alloc(start, size, R, replace=True),
        lambda: space.unmap(start, size),
        lambda: space.protect(start, size, R),
    ):
        refuses(space, code, call)


# -- unmap -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "pages", "areas", "contents"),
    [
        #              WwwwR.XxO
        (0, 1, ".WwwR.XxO", [-1, 2, 3, 4, 5, -1, 7, 8, 9]),
        (1, 1, "W.WwR.XxO", [1, -1, 3, 4, 5, -1, 7, 8, 9]),
        (3, 4, "Www....XO", [1, 2, 3, -1, -1, -1, -1, 8, 9]),
        (5, 1, "WwwwR.XxO", [1, 2, 3, 4, 5, -1, 7, 8, 9]),  # a hole is skipped
        (0, 16, "", [-1] * 9),
        (7, 9, "WwwwR.X", [1, 2, 3, 4, 5, -1, 7, -1, -1]),
    ],
    ids=str,
)
def test_unmap_splits_exactly_and_gives_frames_back(
    space: AddrSpace, start: int, pages: int, areas: str, contents: list[int]
) -> None:
    board(space)
    space.unmap(at(start), pages * PAGE_SIZE)
    assert drawn(space) == areas
    assert first_bytes(space) == contents
    assert space.phys.data_frames == sum(value > 0 for value in contents)
    space._check()


def test_unmapped_memory_faults_at_once_after_it_was_in_the_tlb(space: AddrSpace) -> None:
    space.map_alloc(at(0), 3 * PAGE_SIZE, R | W)
    pointers = [UserPtr[ctypes.c_uint32](at(n)) for n in range(3)]
    for p in pointers:
        p.write(space, 9)
    space.unmap(at(1), PAGE_SIZE)
    assert [p.read(space) for p in (pointers[0], pointers[2])] == [9, 9]
    for verb in (lambda: pointers[1].read(space), lambda: pointers[1].write(space, 1)):
        with pytest.raises(UserFault) as caught:
            verb()
        assert caught.value.reason is FaultReason.UNMAPPED


def test_memory_mapped_again_shows_nothing_of_the_old(space: AddrSpace) -> None:
    space.map_alloc(at(0), PAGE_SIZE, R | W)
    p = UserPtr[ctypes.c_uint32](at(0))
    p.write(space, 0x11223344)
    space.unmap(at(0), PAGE_SIZE)
    space.map_alloc(at(0), PAGE_SIZE, R | W)
    assert p.read(space) == 0


def test_clear_unmaps_everything_and_frees_every_table_but_the_root(space: AddrSpace) -> None:
    needs_room(space)
    board(space)
    space.map_alloc(1 << 45, 1 << 44, R | W)
    space.write(5 << 43, b"x")
    space.clear()
    assert space.areas() == []
    assert (space.phys.data_frames, space.phys.table_frames) == (0, 1)


# -- protect ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "pages", "flags", "areas"),
    [
        #                  WwwwR.XxO
        (1, 1, R, "WRWwR.XxO"),
        (3, 2, R, "WwwRr.XxO"),  # joins
        (3, 2, R | X, "WwwXx.XxO"),
        (0, 5, R, "Rrrrr.XxO"),
        (8, 1, R | X, "WwwwR.Xxx"),
        (6, 3, NONE, "WwwwR.Ooo"),
        (0, 4, R | W, "WwwwR.XxO"),  # nothing new
    ],
    ids=str,
)
def test_protect_splits_and_joins_exactly(
    space: AddrSpace, start: int, pages: int, flags: MappingFlags, areas: str
) -> None:
    board(space)
    space.protect(at(start), pages * PAGE_SIZE, flags)
    assert drawn(space) == areas
    assert first_bytes(space) == [1, 2, 3, 4, 5, -1, 7, 8, 9]  # contents stay, under no right too
    space._check()


@pytest.mark.parametrize(("start", "pages"), [(4, 2), (5, 1), (4, 3), (0, 9), (8, 2), (12, 1)])
def test_protect_over_a_hole_changes_nothing(space: AddrSpace, start: int, pages: int) -> None:
    board(space)
    refuses(space, errno.ENOMEM, lambda: space.protect(at(start), pages * PAGE_SIZE, R))


def test_protect_changes_area_table_and_tlb_together(space: AddrSpace) -> None:
    # protect that changes the page table and leaves the area's flags stale: seen elsewhere.
    space.map_alloc(at(0), 2 * PAGE_SIZE, R | W)
    p = UserPtr[ctypes.c_uint32](at(0))
    p.write(space, 5)
    space.protect(at(0), PAGE_SIZE, R)
    assert space.find_area(at(0)).flags == R  # type: ignore[union-attr]
    assert space.query(at(0))[1] == R  # type: ignore[index]
    with pytest.raises(UserFault, match="write not permitted"):
        p.write(space, 6)
    assert p.read(space) == 5
    space.protect(at(0), PAGE_SIZE, NONE)
    assert space.query(at(0))[1] == NONE  # type: ignore[index]
    with pytest.raises(UserFault, match="read not permitted"):
        p.read(space)
    space.protect(at(0), PAGE_SIZE, R | W)
    assert p.read(space) == 5
    p.write(space, 6)
    assert drawn(space) == "Ww"
    assert space.phys.data_frames == 1


def test_a_page_without_rights_keeps_its_bytes(space: AddrSpace) -> None:
    space.map_alloc(at(0), PAGE_SIZE, R | W)
    space.write(at(0), b"kept")
    space.protect(at(0), PAGE_SIZE, NONE)
    assert space.phys.data_frames == 1
    assert space.read(at(0), 4) == b"kept"  # a debugger's read
    space.write(at(0), b"more")
    space.protect(at(0), PAGE_SIZE, R)
    assert UserPtr[ctypes.c_char](at(0)).read_slice(space, 4) == b"more"


# -- what an area may grow to ----------------------------------------------------------------------------------


def stack(space: AddrSpace, grows: int = 64) -> None:
    """One page at page 999, to grow to `grows` pages in all."""
    space.map_alloc(at(999), PAGE_SIZE, R | W, grows_down=grows * PAGE_SIZE, name="[stack]")


def test_a_stack_grows_to_the_page_touched(space: AddrSpace) -> None:
    stack(space)
    UserPtr[ctypes.c_uint32](at(990) + 8).write(space, 1)
    (area,) = space.areas()
    assert (area.start, area.end, area.grows_down) == (at(990), at(1000), True)
    assert space.phys.data_frames == 1
    assert space.handle_page_fault(at(980), W)
    assert space.areas()[0].start == at(980)


def test_a_stack_grows_no_further_than_told(space: AddrSpace) -> None:
    stack(space)
    last = at(1000 - 64)
    UserPtr[ctypes.c_ubyte](last).write(space, 1)
    refuses(space, errno.EFAULT, lambda: UserPtr[ctypes.c_ubyte](last - 1).write(space, 1))
    assert not space.handle_page_fault(last - 1, W)


def test_a_copy_below_a_stack_grows_it_whole(space: AddrSpace) -> None:
    stack(space)
    data = bytes(range(256)) * 48  # three pages
    UserPtr[ctypes.c_char](at(997) - 5).write_slice(space, data)
    assert UserPtr[ctypes.c_char](at(997) - 5).read_slice(space, len(data)) == data
    assert space.areas()[0].start == at(996)


def test_a_stack_counts_as_far_as_it_can_grow(space: AddrSpace) -> None:
    stack(space)
    low = at(1000 - 64)
    assert space.check_region_access(VirtAddrRange(low, at(1000)), R | W)
    assert not space.check_region_access(VirtAddrRange(low - 1, at(1000)), R)
    assert not space.check_region_access(VirtAddrRange(low, at(1000)), X)
    assert space.areas()[0].start == at(999)  # nothing grew by asking


def test_a_stack_keeps_linux_guard_gap_to_an_area_below(space: AddrSpace) -> None:
    stack(space, 900)
    space.map_alloc(at(500), PAGE_SIZE, R | W, name="heap")
    gap = 256  # pages, stack_guard_gap of mm/mmap.c
    UserPtr[ctypes.c_ubyte](at(501 + gap)).write(space, 1)
    refuses(space, errno.EFAULT, lambda: UserPtr[ctypes.c_ubyte](at(500 + gap)).write(space, 1))


def test_a_stack_may_come_close_to_a_guard_area_without_rights(space: AddrSpace) -> None:
    stack(space, 900)
    space.map_alloc(at(500), PAGE_SIZE, NONE)
    UserPtr[ctypes.c_ubyte](at(501)).write(space, 1)
    assert [area.start for area in space.areas()] == [at(500), at(501)]


def test_growing_is_asked_for_rights_like_any_access(space: AddrSpace) -> None:
    space.map_alloc(at(999), PAGE_SIZE, R, grows_down=64 * PAGE_SIZE)
    with pytest.raises(UserFault) as caught:
        UserPtr[ctypes.c_ubyte](at(990)).write(space, 1)
    assert caught.value.reason is FaultReason.PROTECTION
    assert UserPtr[ctypes.c_ubyte](at(990)).read(space) == 0


def test_a_fault_grows_a_stack_even_where_it_is_refused_then(space: AddrSpace) -> None:
    space.map_alloc(at(999), PAGE_SIZE, R, grows_down=64 * PAGE_SIZE)
    assert not space.handle_page_fault(at(990), W)
    assert [(area.start, area.end) for area in space.areas()] == [(at(990), at(1000))]


def test_a_stack_grows_up_to_another_stack(space: AddrSpace) -> None:
    space.map_alloc(at(1), PAGE_SIZE, R | W, grows_down=2 * PAGE_SIZE)
    space.map_alloc(at(9), PAGE_SIZE, R | W, grows_down=64 * PAGE_SIZE)
    assert space.handle_page_fault(at(2), W)
    assert [area.start for area in space.areas()] == [at(1), at(2)]


def test_what_is_locked_is_seen_and_a_clone_does_not_inherit_it(space: AddrSpace) -> None:
    space.map_alloc(at(0), 4 * PAGE_SIZE, R | W)
    space.set_locked(at(1), 2 * PAGE_SIZE, True)
    space.set_locked(at(2), PAGE_SIZE, True, on_fault=True)
    assert [(a.locked, a.lock_on_fault) for a in space.areas()] == [
        (False, False),
        (True, False),
        (True, True),
        (False, False),
    ]
    twin = space.try_clone()
    twin._check()
    assert [(a.start, a.end, a.locked) for a in twin.areas()] == [(at(0), at(4), False)]
    twin.clear()
    space.set_locked(at(0), 4 * PAGE_SIZE, False)
    assert space.area_count == 1


def test_neighbours_are_the_area_at_or_below_and_the_one_above(space: AddrSpace) -> None:
    space.map_alloc(at(2), PAGE_SIZE, R)
    space.map_alloc(at(5), PAGE_SIZE, R)
    starts = [[a and a.start for a in space.neighbours(at(n))] for n in (1, 2, 3, 5, 6)]
    assert starts == [[None, at(2)], [at(2), at(5)], [at(2), at(5)], [at(5), None], [at(5), None]]


def test_growing_never_reaches_page_zero(phys: PhysMemory) -> None:
    space = AddrSpace(0, 1 << 30, phys)
    space.map_alloc(at(0), PAGE_SIZE, R | W, grows_down=1 << 40)
    UserPtr[ctypes.c_ubyte](PAGE_SIZE).write(space, 1)
    refuses(space, errno.EFAULT, lambda: UserPtr[ctypes.c_ubyte](PAGE_SIZE - 1).write(space, 1))


def test_a_stack_cut_short_still_grows(space: AddrSpace) -> None:
    # Linux keeps VM_GROWSDOWN on both parts when an area is split.
    stack(space)
    UserPtr[ctypes.c_ubyte](at(990)).write(space, 1)
    space.unmap(at(990), 5 * PAGE_SIZE)
    UserPtr[ctypes.c_ubyte](at(992)).write(space, 1)
    assert space.areas()[0].start == at(992)


def test_a_stack_protected_in_part_and_back_is_one_area_again(space: AddrSpace) -> None:
    stack(space)
    UserPtr[ctypes.c_ubyte](at(990)).write(space, 1)
    space.protect(at(995), PAGE_SIZE, R | W | X)
    assert space.area_count == 3
    space.protect(at(995), PAGE_SIZE, R | W)
    assert space.area_count == 1
    UserPtr[ctypes.c_ubyte](at(980)).write(space, 1)
    assert space.areas()[0].start == at(980)


def test_only_fresh_memory_grows(space: AddrSpace, tmp_path: object) -> None:
    from axptr import LinearBackend

    frame = space.phys.alloc()
    refuses(
        space,
        errno.EINVAL,
        lambda: space.map(at(9), PAGE_SIZE, R | W, LinearBackend(frame), grows_down=4 * PAGE_SIZE),
    )
    space.phys.free(frame)


# -- faults ----------------------------------------------------------------------------------------------------


def test_a_page_fault_that_an_area_allows_brings_the_page_in(space: AddrSpace) -> None:
    space.map_alloc(at(0), 4 * PAGE_SIZE, R | X)
    assert space.handle_page_fault(at(1) + 5, R)
    assert space.handle_page_fault(at(2), X)
    assert space.handle_page_fault(at(2), R | X)
    assert space.resident_pages() == [at(1), at(2)]
    assert not space.handle_page_fault(at(1), W)
    assert not space.handle_page_fault(at(4), R)
    assert not space.handle_page_fault(0, R)
    assert not space.handle_page_fault(TOP - 1, R)
    assert space.resident_pages() == [at(1), at(2)]


def test_a_page_fault_without_frames_is_enomem_and_changes_nothing(space: AddrSpace) -> None:
    space.map_alloc(at(0), PAGE_SIZE, R | W)
    for n in range(len(space.page_table.format.levels)):  # each table below the root, then the page itself
        space.phys._inject_failure(n)
        refuses(space, errno.ENOMEM, lambda: space.handle_page_fault(at(0), W))
        refuses(space, errno.ENOMEM, lambda: UserPtr[ctypes.c_uint32](at(0)).write(space, 1))
        space.phys._inject_failure(None)
        assert space.resident_pages() == []
    assert space.handle_page_fault(at(0), W)


def test_kernel_side_fault_without_the_mark_raises_even_where_nothing_is(space: AddrSpace) -> None:
    with pytest.raises(KernelFault):
        space.handle_page_fault(0x5000, R, user=False)


def test_populate_area_stops_at_the_first_bad_page_and_keeps_those_done(space: AddrSpace) -> None:
    space.map_alloc(at(0), 2 * PAGE_SIZE, R | W)
    space.map_alloc(at(2), PAGE_SIZE, R)
    with pytest.raises(UserFault) as caught:
        space.populate_area(at(0), 4 * PAGE_SIZE, W)
    assert (caught.value.address, caught.value.completed) == (at(2), 2 * PAGE_SIZE)
    assert caught.value.reason is FaultReason.PROTECTION
    assert space.resident_pages() == [at(0), at(1)]
    with pytest.raises(UserFault) as caught:
        space.populate_area(at(1) + 9, 4 * PAGE_SIZE, R)
    assert (caught.value.address, caught.value.reason) == (at(3), FaultReason.UNMAPPED)
    assert caught.value.completed == at(3) - at(1) - 9
    assert space.resident_pages() == [at(0), at(1), at(2)]


def test_populate_area_of_nothing_does_nothing(space: AddrSpace) -> None:
    space.populate_area(at(0), 0, W)
    space.populate_area(TOP - 1, 0, R)


def test_populate_area_past_the_top_is_a_fault(space: AddrSpace) -> None:
    space.map_alloc(at(0), PAGE_SIZE, R)
    for start, size in ((at(0), TOP), (at(0), TOP - at(0)), (TOP - 1, 2), (TOP - 1, 1), (at(0), 1 << 80)):
        with pytest.raises(UserFault):
            space.populate_area(start, size, R)


def test_stats_count_faults_by_kind(space: AddrSpace) -> None:
    space.map_alloc(at(0), 4 * PAGE_SIZE, R | W | X)
    space.handle_page_fault(at(0), R)
    space.handle_page_fault(at(1), W)
    space.handle_page_fault(at(2), X)
    found = space.stats()
    assert (found["populated"], found["faults_read"], found["faults_write"], found["faults_fetch"]) == (3, 1, 1, 1)


# -- a debugger's copies ---------------------------------------------------------------------------------------


def test_debugger_reads_and_writes_whatever_the_rights(space: AddrSpace) -> None:
    board(space)
    data = bytes(range(256)) * 16
    for n in (0, 4, 6, 8):
        space.write(at(n), data)
        assert space.read(at(n), PAGE_SIZE) == data
    assert drawn(space) == "WwwwR.XxO"
    with pytest.raises(UserFault):
        UserPtr[ctypes.c_char](at(8)).read(space)


def test_debugger_copies_cross_areas_and_take_any_buffer(space: AddrSpace) -> None:
    board(space)
    space.write(at(4) - 2, bytearray(b"abcd"))
    space.write(at(4) + 8, memoryview(b"xxyyxx")[2:4])
    space.write(at(4) + 12, (ctypes.c_uint16 * 2)(1, 2))
    assert space.read(at(4) - 2, 20) == b"abcd" + bytes(6) + b"yy" + bytes(2) + b"\1\0\2\0" + bytes(2)
    assert space.read(at(5), 0) == b""
    space.write(at(5), b"")


def test_debugger_meets_a_hole_and_has_done_nothing(space: AddrSpace) -> None:
    board(space)
    for call in (lambda: space.read(at(4), 2 * PAGE_SIZE), lambda: space.write(at(4), b"z" * 2 * PAGE_SIZE)):
        refuses(space, errno.EFAULT, call, UserFault)
    with pytest.raises(UserFault) as caught:
        space.write(at(5) - 3, b"zzzz")
    assert (caught.value.address, caught.value.completed) == (at(5), 3)
    assert space.read(at(5) - 3, 3) == bytes(3)
    for start, size in ((0, TOP), (at(0), TOP), (TOP - 1, 2), (TOP - 1, 1), (at(0), 1 << 70), (0, 1)):
        refuses(space, errno.EFAULT, lambda a=start, n=size: space.read(a, n), UserFault)


def test_debugger_write_without_frames_has_written_nothing(make_phys: Callable[..., PhysMemory]) -> None:
    phys = make_phys(limit=6 * PAGE_SIZE)
    space = AddrSpace(0x1000, 1 << 40, phys)
    space.map_alloc(at(0), 4 * PAGE_SIZE, R | W)
    with pytest.raises(LinuxError) as caught:
        space.write(at(0), b"x" * 4 * PAGE_SIZE)
    assert caught.value.errno == errno.ENOMEM
    assert space.read(at(0), 2 * PAGE_SIZE) == bytes(2 * PAGE_SIZE)


def test_debugger_write_into_the_room_a_stack_might_grow_to_is_refused_whole(space: AddrSpace) -> None:
    #   guard (no rights) | room to grow | stack
    stack(space, 900)
    space.map_alloc(at(990), PAGE_SIZE, NONE)
    with pytest.raises(UserFault, match="not mapped"):
        space.write(at(991) - 4, b"12345678")
    assert space.read(at(991) - 4, 4) == bytes(4)


def test_debugger_read_of_more_than_the_host_can_hold_is_enomem(space: AddrSpace) -> None:
    needs_room(space)
    space.map_alloc(1 << 40, 1 << 46, R | W)
    refuses(space, errno.ENOMEM, lambda: space.read(1 << 40, 1 << 46))


# -- looking ---------------------------------------------------------------------------------------------------


def test_check_region_access_wants_all_flags_of_every_byte(space: AddrSpace) -> None:
    space.map_alloc(at(0), PAGE_SIZE, R | USER)
    space.map_alloc(at(1), PAGE_SIZE, R | W)

    def ok(start: int, end: int, flags: MappingFlags) -> bool:
        allowed = space.check_region_access(VirtAddrRange(start, end), flags)
        if not flags & ~(R | W | X) and end - start < TOP:
            assert space._permits(start, end - start, flags) == allowed
        return allowed

    assert ok(at(0), at(2), R)
    assert ok(at(0), at(1), R | USER)
    assert not ok(at(0), at(2), R | USER)
    assert not ok(at(0), at(2), W)
    assert ok(at(1), at(2), R | W)
    assert not ok(at(1), at(2) + 1, NONE)
    assert ok(at(5), at(5), R | W | X)
    assert not ok(0, TOP, NONE)
    assert space.resident_pages() == []


def test_find_area_and_areas_describe_and_do_not_follow(space: AddrSpace) -> None:
    space.map_alloc(at(0), 2 * PAGE_SIZE, R | W, name="a")
    area = space.find_area(at(1) + 5)
    assert isinstance(area, MemoryArea)
    assert (area.size, area.range, area.offset) == (2 * PAGE_SIZE, VirtAddrRange(at(0), at(2)), 0)
    assert at(1) in area
    assert at(2) not in area
    assert space.find_area(at(2)) is None
    assert space.find_area(TOP - 1) is None
    space.unmap(at(0), 2 * PAGE_SIZE)
    assert area.size == 2 * PAGE_SIZE
    assert space.find_area(at(1)) is None


def test_query_tells_frame_rights_and_size_of_a_page_that_is_there(space: AddrSpace) -> None:
    space.map_alloc(at(0), 2 * PAGE_SIZE, R | W)
    assert space.query(at(0)) is None
    space.write(at(0), b"\x5a")
    paddr, flags, size = space.query(at(0) + 0x123)  # type: ignore[misc]
    assert size == PAGE_SIZE
    assert flags == R | W
    assert space.phys.read(paddr - 0x123, 1) == b"\x5a"
    assert space.query(at(1)) is None
    assert space.query(TOP - 1) is None


def test_query_does_not_claim_a_right_that_the_area_lacks(space: AddrSpace) -> None:
    # x86-64 cannot forbid reading what may be executed, nor AArch64 to the kernel; our bit in the entry can.
    space.map_alloc(at(0), PAGE_SIZE, X, populate=True)
    assert space.query(at(0))[1] == X  # type: ignore[index]
    with pytest.raises(UserFault):
        UserPtr[ctypes.c_char](at(0)).read(space)


def test_maps_read_like_proc_pid_maps(space: AddrSpace, tmp_path: object) -> None:
    needs_room(space)
    space.map_alloc(0x55_5555_4000, 2 * PAGE_SIZE, R | X, name="/bin/true")
    space.map_alloc(0x7F_FFFF_0000, PAGE_SIZE, W)
    assert space.format_maps() == (
        "5555554000-5555556000 r-xp 00000000 00:00 0".ljust(73) + "/bin/true\n"
        "7fffff0000-7fffff1000 -w-p 00000000 00:00 0\n"
    )
    assert str(space) == space.format_maps()


# -- room ------------------------------------------------------------------------------------------------------


def room(space: AddrSpace, hint: int, pages: int, low: int, high: int, **options: object) -> int | None:
    found = space.find_free_area(at(hint), pages * PAGE_SIZE, VirtAddrRange(at(low), at(high)), **options)  # type: ignore[arg-type]
    return None if found is None else (found - BASE) // PAGE_SIZE


def test_room_is_the_lowest_at_or_above_the_hint(space: AddrSpace) -> None:
    board(space)  # WwwwR.XxO.......
    assert room(space, 0, 1, 0, 16) == 5
    assert room(space, 0, 2, 0, 16) == 9
    assert room(space, 5, 1, 0, 16) == 5
    assert room(space, 6, 1, 0, 16) == 9
    assert room(space, 12, 3, 0, 16) == 12
    assert room(space, 14, 3, 0, 16) is None
    assert room(space, -8, 4, -8, 16) == -8  # a hint below everything


def test_room_never_passes_its_limit(space: AddrSpace) -> None:
    # a free-gap search that ignores its limit: seen elsewhere
    board(space)
    assert room(space, 0, 1, 0, 5) is None
    assert room(space, 0, 1, 0, 6) == 5
    assert room(space, 0, 2, 0, 10) is None
    assert room(space, 0, 2, 9, 11) == 9
    assert room(space, 0, 3, 9, 11) is None
    assert room(space, 20, 1, 0, 16) is None


def test_room_topdown_is_the_highest_below_the_limit(space: AddrSpace) -> None:
    board(space)
    assert room(space, 0, 1, 0, 16, topdown=True) == 15
    assert room(space, 0, 1, 0, 9, topdown=True) == 5
    assert room(space, 0, 2, 0, 9, topdown=True) is None
    assert room(space, 0, 2, -4, 9, topdown=True) == -2
    assert room(space, 0, 7, 0, 16, topdown=True) == 9
    assert room(space, 0, 8, 0, 16, topdown=True) is None


def test_room_is_aligned_as_asked(space: AddrSpace) -> None:
    space.map_alloc(at(1), PAGE_SIZE, R)
    limit = VirtAddrRange(at(0), at(0) + (64 << 20))
    for align in (PAGE_SIZE * 4, 1 << 21, 1 << 24):
        low = space.find_free_area(at(2), PAGE_SIZE, limit, align)
        high = space.find_free_area(at(2), PAGE_SIZE, limit, align, topdown=True)
        assert low is not None
        assert high is not None
        assert low % align == high % align == 0
        assert low >= at(2)
        assert low - align < at(2)
        assert high + align > limit.end - PAGE_SIZE


def test_room_is_rounded_up_to_pages(space: AddrSpace) -> None:
    board(space)
    assert space.find_free_area(at(0), 1, VirtAddrRange(at(0), at(16))) == at(5)
    assert space.find_free_area(at(0), PAGE_SIZE + 1, VirtAddrRange(at(0), at(16))) == at(9)
    assert space.find_free_area(at(0) + 1, PAGE_SIZE, VirtAddrRange(at(9) + 1, at(16))) == at(10)
    assert space.find_free_area(0, PAGE_SIZE, VirtAddrRange(at(9), at(16) - 1), topdown=True) == at(14)


def test_room_stays_inside_the_space(space: AddrSpace) -> None:
    whole = VirtAddrRange(0, TOP)
    assert space.find_free_area(0, PAGE_SIZE, whole) == 0x1000
    assert space.find_free_area(0, PAGE_SIZE, whole, topdown=True) == space.base + space.size - PAGE_SIZE
    assert space.find_free_area(TOP - 1, PAGE_SIZE, whole) is None
    for size in (1 << 47, TOP - 1, TOP, TOP + 1, 1 << 90):
        assert space.find_free_area(0, size, whole) is None
        assert space.find_free_area(0, size, whole, topdown=True) is None
    assert space.find_free_area(0, PAGE_SIZE, whole, 1 << 63) is None
    assert space.find_free_area(0, PAGE_SIZE, whole, 1 << 70) is None
    assert space.find_free_area(0, PAGE_SIZE, VirtAddrRange(0x1000, 0x1000)) is None


def test_room_found_can_be_mapped_until_there_is_none(phys: PhysMemory) -> None:
    space = AddrSpace(0x10000, 64 * PAGE_SIZE, phys)
    rng = random.Random(7)
    limit = VirtAddrRange(0, TOP)
    used = 0
    while True:
        size = rng.choice([1, 2, 3]) * PAGE_SIZE
        where = space.find_free_area(0, size, limit, topdown=rng.random() < 0.5)
        if where is None:
            break
        space.map_alloc(where, size, rng.choice([R, R | W, R | X]))
        used += size
    assert used > 56 * PAGE_SIZE
    space._check()


# -- many areas: past one chunk of the index -------------------------------------------------------------------


def test_thousands_of_areas_in_any_order_are_found_and_removed(space: AddrSpace) -> None:
    """The index keeps areas in chunks of 256; this fills, splits and empties several of them."""
    rng = random.Random(11)
    pages = list(range(0, 6000, 2))
    rng.shuffle(pages)
    for n in pages:
        space.map_alloc(at(n), PAGE_SIZE, R)
    space._check()
    assert [area.start for area in space.areas()] == [at(n) for n in range(0, 6000, 2)]
    assert room(space, 0, 2, 0, 5999) is None
    assert room(space, 0, 2, 0, 5999, topdown=True) is None
    rng.shuffle(pages)
    gone = set(pages[:1500])
    for n in gone:
        space.unmap(at(n), PAGE_SIZE)
    space._check()
    for n in range(0, 6000, 2):
        assert (space.find_area(at(n)) is None) == (n in gone)
    # first and last place for three pages: a hole of two neighbours that are gone both sides of a page
    places = [n for n in range(-1, 5999) if not any(m % 2 == 0 and m not in gone for m in range(max(n, 0), n + 3))]
    assert room(space, 0, 3, 0, 5999) == next(n for n in places if n >= 0)
    assert room(space, 0, 3, 0, 5999, topdown=True) == [n for n in places if n + 3 <= 5999][-1]
    for n in range(1, 6000, 2):
        space.map_alloc(at(n), PAGE_SIZE, R)
    space.unmap(at(0), 6000 * PAGE_SIZE)
    assert space.areas() == []


@pytest.fixture
def naive(space: AddrSpace) -> Callable[[int, int, int, bool], int | None]:
    """A search for room by trying every page."""

    def search(hint: int, pages: int, align: int, topdown: bool) -> int | None:
        taken = {page for area in space.areas() for page in range(area.start, area.end, PAGE_SIZE)}
        starts = [s for s in range(at(0), at(300) - (pages - 1) * PAGE_SIZE, PAGE_SIZE) if s % align == 0]
        for s in reversed(starts) if topdown else [s for s in starts if s >= hint]:
            if taken.isdisjoint(range(s, s + pages * PAGE_SIZE, PAGE_SIZE)):
                return s
        return None

    return search


@pytest.mark.parametrize("seed", range(4))
def test_room_agrees_with_a_search_page_by_page(
    space: AddrSpace, naive: Callable[[int, int, int, bool], int | None], seed: int
) -> None:
    rng = random.Random(seed)
    for n in range(300):
        if rng.random() < (0.5, 0.8, 0.9, 0.97)[seed]:
            space.map_alloc(at(n), PAGE_SIZE, rng.choice([R, R | W]))
    for _ in range(150):
        hint, pages = at(rng.randrange(300)), rng.randrange(1, 5)
        align, topdown = PAGE_SIZE << rng.randrange(4), rng.random() < 0.5
        found = space.find_free_area(hint, pages * PAGE_SIZE, VirtAddrRange(at(0), at(300)), align, topdown=topdown)
        assert found == naive(hint, pages, align, topdown)


def test_room_below_an_area_at_address_zero_is_none(phys: PhysMemory) -> None:
    space = AddrSpace(0, 16 * PAGE_SIZE, phys)
    space.map_alloc(0, 8 * PAGE_SIZE, R)
    low = VirtAddrRange(0, 8 * PAGE_SIZE)
    assert space.find_free_area(0, PAGE_SIZE, low) is None
    assert space.find_free_area(0, PAGE_SIZE, low, topdown=True) is None
    space.map_alloc(8 * PAGE_SIZE, 8 * PAGE_SIZE, R | W)
    assert space.find_free_area(0, PAGE_SIZE, VirtAddrRange(0, TOP), topdown=True) is None


def test_a_refused_strict_read_does_not_grow_a_stack(space: AddrSpace) -> None:
    """A program's own access does, as on Linux; a pointer's check comes before anything is brought in."""
    space.map_alloc(BASE + PAGE_SIZE, PAGE_SIZE, R | W, grows_down=2 * PAGE_SIZE)
    space.protect(BASE + PAGE_SIZE, PAGE_SIZE, MappingFlags(0))
    with pytest.raises(UserFault):
        UserPtr[ctypes.c_uint8](BASE).read(space)
    assert [area.start for area in space.areas()] == [BASE + PAGE_SIZE]


def test_presence_is_one_byte_a_page() -> None:
    space = AddrSpace(0, 1 << 30, PhysMemory(16 << 20))
    space.map_alloc(0x10000, 0x8000, R | W)
    space.populate_area(0x11000, 0x2000, W)
    space.populate_area(0x15000, 0x1000, MappingFlags.READ)
    space.protect(0x15000, 0x1000, MappingFlags(0))  # is there, and grants nothing
    assert space.presence(0xF000, 0xA000) == bytes([0, 0, 1, 1, 0, 0, 1, 0, 0, 0])
    with pytest.raises(LinuxError):
        space.presence(0x10001, 0x1000)


def test_pages_a_fault_may_bring_in_are_a_power_of_two() -> None:
    space = AddrSpace(0, 1 << 30, PhysMemory(16 << 20))
    assert space.fault_around == 1
    for bad in (0, 3, 128):
        with pytest.raises(ValueError, match="power of two"):
            space.fault_around = bad
    space.fault_around = 16
    assert space.try_clone().fault_around == 16
