"""The journal of a space: its notes cover what changed, in order, each once. Seeded, against a look at everything."""

from __future__ import annotations

import random
from array import array
from ctypes import c_char
from itertools import pairwise

import pytest

from axptr import PAGE_SIZE, AddrSpace, LinuxError, MappingFlags, PhysMemory, UserPtr

R, W = MappingFlags.READ, MappingFlags.WRITE
BASE, PAGES = 0x40_0000 - 30 * PAGE_SIZE, 600


def picture(space: AddrSpace) -> dict[int, tuple[MappingFlags, bytes]]:
    """Every page of an area: its flags and bytes."""
    found = {}
    for area in space.areas():
        for page in range(area.start, area.end, PAGE_SIZE):
            found[page] = (area.flags, space.read(page, PAGE_SIZE))
    return found


def numbers(notes: tuple[bytes, bytes]) -> tuple[list[int], list[tuple[int, int]]]:
    pages, ends = array("Q", notes[0]), array("Q", notes[1])
    return list(pages), list(zip(ends[::2], ends[1::2], strict=True))


def change(space: AddrSpace, rng: random.Random) -> None:
    start, count = BASE + rng.randrange(PAGES) * PAGE_SIZE, rng.randrange(1, 5)
    size = min(count * PAGE_SIZE, space.base + space.size - start)
    what = rng.randrange(12)
    try:
        if what < 3:
            space.map_alloc(start, size, R | W, replace=True)
        elif what == 3:
            space.unmap(start, size)
        elif what == 4:
            space.protect(start, size, rng.choice([R, R | W]))
        elif what == 5:
            space.discard(start, size)
        elif what == 6:
            space.move(start, size, BASE + rng.randrange(PAGES - 5) * PAGE_SIZE)
        else:
            UserPtr[c_char](start + rng.randrange(PAGE_SIZE)).write_slice(space, rng.randbytes(rng.randrange(1, 99)))
    except LinuxError:
        pass


def new_space(phys: PhysMemory) -> AddrSpace:
    return AddrSpace(BASE, PAGES * PAGE_SIZE, phys)


@pytest.mark.parametrize("seed", range(6))
def test_notes_cover_what_changed_and_are_in_order(phys: PhysMemory, seed: int) -> None:
    space = new_space(phys)
    rng = random.Random(seed)
    for _ in range(20):
        change(space, rng)
    kept = [space.snapshot()]  # from here on it is on
    before = picture(space)
    for _ in range(12):
        for _ in range(rng.choice([1, 5, 60])):
            change(space, rng)
            space._check()
        after = picture(space)
        kept.append(space.snapshot())
        assert space._epoch is not None
        notes = space._epoch.notes
        assert notes is not None
        pages, ranges = numbers(notes)
        assert all(low < high for low, high in pairwise(pages))
        assert all(first <= last for first, last in ranges)
        assert all(one[1] + 1 < other[0] for one, other in pairwise(ranges))  # neither overlap nor meet
        for page in before.keys() | after.keys():
            if before.get(page) != after.get(page):
                noted = page in pages or any(first <= page <= last for first, last in ranges)
                assert noted, f"{page:#x} changed and nothing says so"
        before = after
        space._check()


def test_notes_that_come_again_and_again_do_not_grow(phys: PhysMemory) -> None:
    space = new_space(phys)
    space.map_alloc(BASE, 4 * PAGE_SIZE, R | W)
    snap = space.snapshot()
    for _ in range(500):
        for page in range(4):
            space.discard(BASE + page * PAGE_SIZE, PAGE_SIZE)
            UserPtr[c_char](BASE + page * PAGE_SIZE).write(space, b"x")
        space._check()
    notes = space._take()
    del snap
    assert notes is not None
    assert numbers(notes) == ([BASE + page * PAGE_SIZE for page in range(4)], [(BASE, BASE + 4 * PAGE_SIZE - 1)])


def test_a_space_without_snapshots_notes_nothing(phys: PhysMemory) -> None:
    space = new_space(phys)
    space.map_alloc(BASE, PAGE_SIZE, R | W)
    UserPtr[c_char](BASE).write(space, b"x")
    space._check()
    assert space._take() == (b"", b"")


def test_notes_of_a_page_outside_the_space_are_found(phys: PhysMemory) -> None:
    space = new_space(phys)
    space._take()
    space._add_notes((array("Q", [BASE - PAGE_SIZE]).tobytes(), b""))
    with pytest.raises(AssertionError, match="no page of the space"):
        space._check()
