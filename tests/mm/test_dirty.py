"""`dirty_pages`: what was written since the last clearing, by whom ever; and that clearing never costs a restore.

Not here: guests (`engine/test_history`), each backend (`test_conformance`).
"""

from __future__ import annotations

import ctypes

import pytest

from axptr import PAGE_SIZE, AddrSpace, LinuxError, MappingFlags, PhysMemory, SharedObject, UserConstPtr, UserPtr
from inject import each_failure

EVERY_FORMAT = True
R, W, X = MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
BASE = 0x100000
char = ctypes.c_char


def page(n: int) -> int:
    return BASE + n * PAGE_SIZE


def put(space: AddrSpace, n: int, data: bytes = b"x") -> None:
    UserPtr[char](page(n)).write_slice(space, data)


@pytest.fixture
def clean(space: AddrSpace) -> AddrSpace:
    """Eight pages that are there and were not written since."""
    space.map_alloc(BASE, 8 * PAGE_SIZE, R | W, populate=True)
    space.dirty_pages(clear=True)
    assert space.dirty_pages() == []
    return space


def test_a_write_that_writes_the_same_bytes_counts(clean: AddrSpace) -> None:
    put(clean, 3, b"\0")
    assert clean.dirty_pages() == [page(3)]


def test_a_refused_write_does_not_count(clean: AddrSpace) -> None:
    clean.protect(page(2), PAGE_SIZE, R)
    with pytest.raises(LinuxError):
        UserPtr[char](page(2) - 4).write_slice(clean, b"x" * 8)
    assert clean.dirty_pages() == []


def test_clearing_is_for_one_space(clean: AddrSpace) -> None:
    put(clean, 1)
    clone = clean.try_clone()
    assert clean.dirty_pages(clear=True) == clone.dirty_pages() == [page(1)]
    put(clone, 2)
    assert (clean.dirty_pages(), clone.dirty_pages(clear=True)) == ([], [page(1), page(2)])
    put(clean, 2)
    assert (clean.dirty_pages(), clone.dirty_pages()) == ([page(2)], [])
    clone.clear()


def test_protect_and_copy_on_write_keep_what_is_known(clean: AddrSpace) -> None:
    put(clean, 1)
    for flags in (R, MappingFlags(0), X, R | W):
        clean.protect(page(1), 2 * PAGE_SIZE, flags)
        assert clean.dirty_pages() == [page(1)]
    snap = clean.snapshot()
    assert clean.dirty_pages() == [page(1)]
    assert UserPtr[char](page(2)).read(clean) == b"\0"
    assert clean.dirty_pages() == [page(1)]
    del snap


def test_moved_pages_are_dirty_where_they_are(clean: AddrSpace) -> None:
    put(clean, 1)
    clean.move(page(0), 3 * PAGE_SIZE, page(100))
    assert clean.dirty_pages(clear=True) == [page(101)]
    UserPtr[char](page(102)).write(clean, b"x")
    assert clean.dirty_pages() == [page(102)]


def test_pages_that_went_away_are_not_named(clean: AddrSpace) -> None:
    for n in range(4):
        put(clean, n)
    clean.discard(page(0), PAGE_SIZE)
    clean.unmap(page(1), PAGE_SIZE)
    clean.map_alloc(page(2), PAGE_SIZE, R | W, replace=True)
    for n in (0, 2):
        UserConstPtr[char](page(n)).read(clean)
    assert clean.dirty_pages() == [page(3)]


def test_views_count_while_they_may_write_and_once_more(clean: AddrSpace) -> None:
    shown = UserConstPtr[char](page(5)).get_as_slice(clean, 4)
    view = UserPtr[char](page(2) - 2).get_as_slice(clean, 4)
    assert clean.dirty_pages(clear=True) == [page(1), page(2)]
    assert clean.dirty_pages(clear=True) == [page(1), page(2)]
    clean.move(page(1), PAGE_SIZE, page(50))
    view[0] = 1
    assert clean.dirty_pages(clear=True) == [page(2), page(50)]
    view[3] = 1
    del view
    assert clean.dirty_pages(clear=True) == [page(2), page(50)]
    assert clean.dirty_pages(clear=True) == []
    assert bytes(shown) == bytes(4)


def test_a_view_of_shared_memory_counts_for_the_space_it_was_taken_in(space: AddrSpace) -> None:
    shared = SharedObject(space.phys, PAGE_SIZE)
    other = AddrSpace(space.base, space.size, space.phys)
    for each in (space, other):
        each.map_shared(BASE, PAGE_SIZE, R | W, shared)
        each.read(BASE, 1)
    view = UserPtr[char](BASE).get_as_slice(space, 4)
    view[0] = 1
    assert (space.dirty_pages(), other.dirty_pages()) == ([BASE], [])


def test_pages_put_back_count_as_dirty(clean: AddrSpace) -> None:
    put(clean, 1, b"then")
    snap = clean.snapshot()
    put(clean, 1, b"now!")
    put(clean, 2, b"now!")
    clean.dirty_pages(clear=True)
    clean.restore(snap)
    assert clean.dirty_pages(clear=True) == [page(1), page(2)]
    clean.restore(snap)
    assert clean.dirty_pages() == []


@pytest.mark.parametrize("clear", range(4))
def test_clearing_never_costs_a_restore(clean: AddrSpace, clear: int) -> None:
    put(clean, 0, b"then")
    view = UserPtr[char](page(6)).get_as_slice(clean, 4)
    steps = [
        lambda: put(clean, 0, b"now!"),
        lambda: view.__setitem__(0, 7),
        lambda: put(clean, 3, b"now!"),
        lambda: clean.write(page(4), b"now!"),
    ]
    then = clean.read(BASE, 8 * PAGE_SIZE)
    snap = clean.snapshot()
    for n, step in enumerate(steps):
        step()
        if n >= clear:
            clean.dirty_pages(clear=True)
    clean.restore(snap)
    assert clean.read(BASE, 8 * PAGE_SIZE) == then


def test_a_giant_with_few_pages_is_looked_through_at_once(phys: PhysMemory) -> None:
    space = AddrSpace(0x1000, (1 << 47) - 0x2000, phys)
    space.map_alloc(space.base, space.size, R | W)
    places = [0x1000, 1 << 30, 1 << 39, (1 << 46) + 0x5000, space.base + space.size - PAGE_SIZE]
    for at in places:
        space.write(at, b"x")
    assert space.dirty_pages(clear=True) == places
    assert space.dirty_pages() == []
    space.clear()


def test_at_the_very_top_of_all_addresses(phys: PhysMemory) -> None:
    base = (1 << 64) - 64 * PAGE_SIZE
    space = AddrSpace(base, 64 * PAGE_SIZE, phys)
    last = (1 << 64) - PAGE_SIZE
    space.map_alloc(base, 64 * PAGE_SIZE, R | W)
    space.write(last, b"then")
    snap = space.snapshot()
    clone = space.try_clone()
    space.write(last, b"now!")
    assert space.dirty_pages(clear=True) == [last]
    space.protect(last, PAGE_SIZE, R)
    space.unmap(base, PAGE_SIZE)
    space.move(last, PAGE_SIZE, base)
    assert space.read(base, 4) == b"now!"
    space.restore(snap)
    clone.restore(snap)
    for each in (space, clone):
        assert (each.read(last, 4), each.area_count) == (b"then", 1)
        each.discard(last, PAGE_SIZE)
        each._check()
        each.clear()


# -- calls that bring much in at once, without frames ---------------------------------------------------------------


def test_populating_calls_without_frames(space: AddrSpace) -> None:
    space.map_alloc(BASE, 4 * PAGE_SIZE, R | W)
    put(space, 0, b"mine")
    areas, frames = space.areas(), space.phys.frames_in_use

    def check() -> None:
        assert (space.areas(), space.phys.frames_in_use) == (areas, frames)
        space._check()

    count, _ = each_failure(space.phys, lambda: space.map_alloc(page(8), 4 * PAGE_SIZE, R | W, populate=True), check)
    assert count >= 4
    assert len(space.resident_pages(page(8), 4 * PAGE_SIZE)) == 4

    def check_pages() -> None:
        space._check()
        assert space.read(BASE, 4) == b"mine"

    clone = space.try_clone()
    count, _ = each_failure(space.phys, lambda: space.populate_area(BASE, 4 * PAGE_SIZE, W), check_pages)
    assert count >= 1
    clone.clear()
