"""Snapshots: one space restored to any of several, in any order; what lies under views and in shared memory; failures.

Not here: clones (`test_clone`), pages written (`test_dirty`), and random histories (`test_model`).
"""

from __future__ import annotations

import ctypes
import gc
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from axptr import PAGE_SIZE, AddrSpace, MappingFlags, PhysMemory, SharedObject, UserConstPtr, UserPtr
from axptr.mm.snapshots.snapshot import Epoch
from formats import needs_room
from inject import each_failure

EVERY_FORMAT = True
R, W, X = MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
BASE = 0x100000
STACK = 0x70000000
char = ctypes.c_char


def put(space: AddrSpace, vaddr: int, data: bytes) -> None:
    UserPtr[char](vaddr).write_slice(space, data)


def state(space: AddrSpace) -> object:
    """All that a restore promises to put back."""
    areas = space.areas()
    return areas, [space.read(area.start, area.size) for area in areas], dict(space.bounds)


def twin_of(space: AddrSpace) -> AddrSpace:
    return AddrSpace(space.base, space.size, space.phys, space.format)


# -- what comes back -------------------------------------------------------------------------------------------


def test_everything_comes_back(space: AddrSpace) -> None:
    space.map_alloc(BASE, 8 * PAGE_SIZE, R | W, name="heap")
    space.map_alloc(STACK, PAGE_SIZE, R | W, name="stack", grows_down=16 * PAGE_SIZE)
    put(space, BASE, b"then")
    space.set_clone_rule(BASE + PAGE_SIZE, PAGE_SIZE, "omit")
    space.protect(BASE + 2 * PAGE_SIZE, PAGE_SIZE, MappingFlags(0))
    space.bounds["brk"] = 7
    before = state(space)
    snap = space.snapshot()

    put(space, BASE, b"now!")
    put(space, STACK - 4 * PAGE_SIZE, b"the stack grows")
    space.protect(BASE, 8 * PAGE_SIZE, R)
    space.set_clone_rule(BASE + PAGE_SIZE, PAGE_SIZE, "wipe")
    space.unmap(BASE + 4 * PAGE_SIZE, PAGE_SIZE)
    space.move(BASE + 5 * PAGE_SIZE, PAGE_SIZE, BASE + 100 * PAGE_SIZE)
    space.discard(BASE + 6 * PAGE_SIZE, PAGE_SIZE)
    space.map_alloc(BASE + 200 * PAGE_SIZE, PAGE_SIZE, R | W, name="new", populate=True)
    space.map_alloc(BASE + 7 * PAGE_SIZE, PAGE_SIZE, R | X, name="other", replace=True)
    space.bounds["brk"] = 8
    space.bounds["more"] = 9
    space.restore(snap)
    assert state(space) == before
    space._check()
    put(space, BASE, b"again")
    assert snap.read(BASE, 4) == b"then"
    space.restore(snap)
    assert state(space) == before


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
def test_any_order(space: AddrSpace, order: tuple[int, ...]) -> None:
    states, snaps = [], []
    for n in range(4):
        space.map_alloc(BASE + 2 * n * PAGE_SIZE, 2 * PAGE_SIZE, R | W, name=str(n))
        put(space, BASE + n * PAGE_SIZE, b"%d" % n)
        space.protect(BASE + n * PAGE_SIZE, PAGE_SIZE, R)
        if n == 2:
            space.unmap(BASE, PAGE_SIZE)
        states.append(state(space))
        snaps.append(space.snapshot())
    for n in order:
        space.restore(snaps[n])
        assert state(space) == states[n]
        space._check()
        space.write(BASE + PAGE_SIZE, b"dirt")


def test_memory_comes_back_where_a_window_stands_alone_now(space: AddrSpace, phys: PhysMemory) -> None:
    """Shutting the window frees its table, which must not be the one that the page comes back to."""
    space.map_alloc(BASE, PAGE_SIZE, R | W)
    put(space, BASE, b"then")
    frame = phys.alloc(1)
    snap = space.snapshot()
    space.unmap(BASE, PAGE_SIZE)
    space.map_linear(BASE, frame, PAGE_SIZE, R | W)
    for touched in (False, True):
        if touched:
            space.unmap(BASE, PAGE_SIZE)
            space.map_linear(BASE, frame, PAGE_SIZE, R | W)
            put(space, BASE, b"window")
        space.restore(snap)
        assert space.read(BASE, 4) == b"then"
        space._check()
    phys.free(frame)


def test_a_tree_of_snapshots_with_dropped_ones_between(space: AddrSpace) -> None:
    space.map_alloc(BASE, 4 * PAGE_SIZE, R | W)
    root = space.snapshot()
    tips = []
    for n in range(4):
        space.restore(root)
        for depth in range(5):
            put(space, BASE + (n + depth) % 4 * PAGE_SIZE, b"%d.%d" % (n, depth))
            middle = space.snapshot()
        tips.append((middle, state(space)))
    for a, b in itertools.permutations(tips, 2):
        space.restore(a[0])
        assert state(space) == a[1]
        space.restore(b[0])
        assert state(space) == b[1]
    space.restore(root)
    assert space.read(BASE, 4 * PAGE_SIZE) == bytes(4 * PAGE_SIZE)


def test_restored_pages_are_copied_at_the_next_write(space: AddrSpace) -> None:
    space.map_alloc(BASE, 2 * PAGE_SIZE, R | W)
    put(space, BASE, b"then")
    snap = space.snapshot()
    for _ in range(3):
        put(space, BASE, b"now!")
        space.restore(snap)
        assert UserPtr[char](BASE).read_slice(space, 4) == snap.read(BASE, 4) == b"then"
    del snap
    put(space, BASE, b"mine")
    assert space.read(BASE, 4) == b"mine"
    assert space.phys.data_frames == 1


def test_pages_that_were_not_there_are_not_there_again(space: AddrSpace) -> None:
    space.map_alloc(BASE, 4 * PAGE_SIZE, R | W)
    put(space, BASE, b"x")
    snap = space.snapshot()
    space.populate_area(BASE, 4 * PAGE_SIZE, W)
    space.restore(snap)
    assert space.resident_pages() == [BASE]
    assert space.phys.data_frames == 1


def test_a_private_file_comes_back_to_the_files_bytes(space: AddrSpace, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"f" * 2 * PAGE_SIZE)
    space.map_file(BASE, 2 * PAGE_SIZE, R | W, path)
    put(space, BASE, b"then")
    snap = space.snapshot()
    put(space, BASE, b"now!")
    put(space, BASE + PAGE_SIZE, b"now!")
    space.restore(snap)
    assert (space.read(BASE, 5), space.read(BASE + PAGE_SIZE, 4)) == (b"thenf", b"ffff")


def test_a_shared_file_keeps_its_bytes(space: AddrSpace, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"f" * PAGE_SIZE)
    space.map_file(BASE, PAGE_SIZE, R | W, path, shared=True)
    snap = space.snapshot()
    put(space, BASE, b"now!")
    space.restore(snap)
    assert space.read(BASE, 4) == b"now!"
    put(space, BASE, b"then")
    space.unmap(BASE, PAGE_SIZE)
    assert path.read_bytes()[:4] == b"then"
    space.restore(snap)
    assert space.read(BASE, 4) == b"then"


def test_a_pager_is_not_asked_again_for_what_it_gave_before(space: AddrSpace) -> None:
    asked: list[int] = []

    def fetch(offset: int) -> bytes:
        asked.append(offset)
        return b"%d" % (offset // PAGE_SIZE)

    space.map_pager(BASE, 3 * PAGE_SIZE, R | W, fetch)
    assert space.read(BASE, 1) == b"0"
    snap = space.snapshot()
    put(space, BASE, b"x")
    put(space, BASE + PAGE_SIZE, b"x")
    space.restore(snap)
    assert asked == [0, PAGE_SIZE]
    assert space.read(BASE, 1) == b"0"
    assert space.read(BASE + PAGE_SIZE, 1) == b"1"
    assert asked == [0, PAGE_SIZE, PAGE_SIZE]


# -- into other spaces ------------------------------------------------------------------------------------------


def test_into_a_clone(space: AddrSpace) -> None:
    # A clone has no journal of its own before its first snapshot.
    space.map_alloc(BASE, 4 * PAGE_SIZE, R | W)
    put(space, BASE, b"then")
    snap = space.snapshot()
    before = state(space)
    clone = space.try_clone()
    put(clone, BASE, b"clone")
    clone.unmap(BASE + PAGE_SIZE, PAGE_SIZE)
    put(space, BASE, b"mine")
    clone.restore(snap)
    assert state(clone) == before
    assert space.read(BASE, 4) == b"mine"
    put(clone, BASE, b"more")
    clone.restore(snap)
    space.restore(snap)
    assert state(clone) == state(space) == before


def test_into_a_clone_of_a_clone_and_back(space: AddrSpace) -> None:
    space.map_alloc(BASE, 4 * PAGE_SIZE, R | W)
    first = space.snapshot()
    clone = space.try_clone()
    put(clone, BASE, b"clone")
    second = clone.snapshot()
    grandchild = clone.try_clone()
    put(grandchild, BASE + PAGE_SIZE, b"grandchild")
    third = grandchild.snapshot()
    wanted = {id(s): [s.read(BASE, 4 * PAGE_SIZE)] for s in (first, second, third)}
    for each in (space, clone, grandchild):
        for snap in (third, first, second, first, third, second):
            each.write(BASE + 2 * PAGE_SIZE, b"dirt")
            each.restore(snap)
            assert [each.read(BASE, 4 * PAGE_SIZE)] == wanted[id(snap)]
            each._check()


def test_into_an_empty_space(space: AddrSpace) -> None:
    space.map_alloc(BASE, 4 * PAGE_SIZE, R | W)
    put(space, BASE, b"then")
    snap = space.snapshot()
    fresh = twin_of(space)
    fresh.map_alloc(BASE - PAGE_SIZE, 2 * PAGE_SIZE, R)
    fresh.restore(snap)
    assert state(fresh) == state(space)


def test_a_snapshot_outlives_its_space(phys: PhysMemory) -> None:
    space = AddrSpace(0x1000, 1 << 40, phys)
    space.map_alloc(BASE, PAGE_SIZE, R | W)
    put(space, BASE, b"then")
    snap = space.snapshot()
    fresh = twin_of(space)
    del space
    assert snap.read(BASE, 4) == b"then"
    fresh.restore(snap)
    del snap
    assert fresh.read(BASE, 4) == b"then"


def test_of_another_memory_or_other_bounds_is_refused(space: AddrSpace, make_phys: Callable[..., PhysMemory]) -> None:
    snap = space.snapshot()
    with pytest.raises(ValueError, match="another PhysMemory"):
        AddrSpace(space.base, space.size, make_phys()).restore(snap)
    with pytest.raises(ValueError, match="is one of"):
        AddrSpace(space.base, space.size - PAGE_SIZE, space.phys).restore(snap)
    with pytest.raises(TypeError):
        space.restore(None)  # type: ignore[arg-type]


def test_a_page_that_a_read_only_view_shows_is_restored_too(space: AddrSpace) -> None:
    # Its frame is not shared with the snapshot, so no copy-on-write tells of the write.
    space.map_alloc(BASE, PAGE_SIZE, R | W)
    put(space, BASE, b"then")
    view = UserConstPtr[char](BASE).get_as_slice(space, 4)
    snap = space.snapshot()
    put(space, BASE, b"now!")
    assert bytes(view) == b"now!"
    space.restore(snap)
    assert bytes(view) == space.read(BASE, 4) == b"then"


# -- live views -------------------------------------------------------------------------------------------------


def test_a_page_under_a_view_is_restored_in_place(space: AddrSpace) -> None:
    space.map_alloc(BASE, 2 * PAGE_SIZE, R | W)
    put(space, BASE, b"then")
    view = UserPtr[char](BASE).get_as_slice(space, 2 * PAGE_SIZE)
    snap = space.snapshot()
    view[:4] = b"now!"
    assert snap.read(BASE, 4) == b"then"
    space.restore(snap)
    assert bytes(view[:4]) == space.read(BASE, 4) == b"then"
    view[:4] = b"more"
    assert space.read(BASE, 4) == b"more"
    assert snap.read(BASE, 4) == b"then"


def test_what_a_view_wrote_is_undone_though_the_view_is_gone(space: AddrSpace) -> None:
    space.map_alloc(BASE, 2 * PAGE_SIZE, R | W)
    view = UserPtr[char](BASE).get_as_slice(space, 4)
    snap = space.snapshot()
    view[0] = 65
    del view
    space.restore(snap)
    assert space.read(BASE, 1) == b"\0"


def test_a_view_that_moved_with_its_page_is_watched_there(space: AddrSpace) -> None:
    space.map_alloc(BASE, 2 * PAGE_SIZE, R | W)
    view = UserPtr[char](BASE).get_as_slice(space, 4)
    there = BASE + 8 * PAGE_SIZE
    space.move(BASE, PAGE_SIZE, there)
    snap = space.snapshot()
    view[0] = 65
    assert space.read(there, 1) == b"A"
    space.restore(snap)
    assert space.read(there, 1) == b"\0"


def test_a_view_taken_before_keeps_its_frame_when_its_page_is_gone(space: AddrSpace) -> None:
    space.map_alloc(BASE, PAGE_SIZE, R | W)
    snap = space.snapshot()
    view = UserPtr[char](BASE).get_as_slice(space, 4)
    view[:] = b"view"
    space.unmap(BASE, PAGE_SIZE)
    space.restore(snap)
    space.write(BASE, b"page")
    assert bytes(view) == b"view"
    assert space.read(BASE, 4) == b"page"


# -- shared memory ----------------------------------------------------------------------------------------------


def test_shared_memory_is_restored_for_all_who_map_it(space: AddrSpace) -> None:
    shared = SharedObject(space.phys, 4 * PAGE_SIZE, "shm")
    other = twin_of(space)
    space.map_shared(BASE, 4 * PAGE_SIZE, R | W, shared)
    other.map_shared(2 * BASE, 4 * PAGE_SIZE, R | W, shared)
    put(space, BASE, b"then")
    snap = space.snapshot()
    put(other, 2 * BASE, b"now!")
    put(other, 2 * BASE + PAGE_SIZE, b"new page")
    assert snap.read(BASE, 4) == b"then"
    assert snap.read(BASE + PAGE_SIZE, 4) == bytes(4)
    space.restore(snap)
    for each, start in ((space, BASE), (other, 2 * BASE)):
        assert each.read(start, 4 * PAGE_SIZE) == b"then".ljust(4 * PAGE_SIZE, b"\0")


def test_shared_memory_of_several_snapshots_in_any_order(space: AddrSpace) -> None:
    shared = SharedObject(space.phys, 3 * PAGE_SIZE)
    space.map_shared(BASE, 3 * PAGE_SIZE, R | W, shared)
    snaps = []
    for n in range(4):
        put(space, BASE + n % 3 * PAGE_SIZE, b"%d" % n)
        snaps.append((space.snapshot(), space.read(BASE, 3 * PAGE_SIZE)))
    for n in (3, 0, 2, 2, 1, 3, 1, 0):
        space.restore(snaps[n][0])
        assert space.read(BASE, 3 * PAGE_SIZE) == snaps[n][1]
        if n % 2:
            put(space, BASE + PAGE_SIZE, b"dirt")


def test_a_space_made_from_a_snapshot_changes_no_space_that_was_there(space: AddrSpace) -> None:
    """Also when it is restored, cloned, and the clone restored: its shared memory is its own."""
    shared = SharedObject(space.phys, 4 * PAGE_SIZE, "shm")
    other = twin_of(space)
    space.map_shared(BASE, 4 * PAGE_SIZE, R | W, shared)
    space.set_locked(BASE, PAGE_SIZE, True)
    space.set_clone_rule(BASE + PAGE_SIZE, PAGE_SIZE, "omit")
    other.map_shared(2 * BASE, 4 * PAGE_SIZE, R | W, shared)
    put(space, BASE, b"then")
    snap = space.snapshot()
    put(other, 2 * BASE, b"now!")
    put(other, 2 * BASE + PAGE_SIZE, b"new page")

    made = AddrSpace.from_snapshot(snap)
    assert made.read(BASE, 4) == snap.read(BASE, 4) == b"then"
    assert str(made) == str(space)
    assert [a[6:] for a in made.areas()] == [a[6:] for a in space.areas()]
    put(made, BASE, b"mine")
    clone = made.try_clone()
    put(clone, BASE + 8, b"ours")
    for one in (made, clone):
        assert one.read(BASE, 12) == b"mine\0\0\0\0ours"
    for one in (made, clone, made):
        one.restore(snap)
        assert one.read(BASE, 4) == b"then"
        one._check()
    assert other.read(2 * BASE, 4) == space.read(BASE, 4) == b"now!"
    assert other.read(2 * BASE + PAGE_SIZE, 8) == b"new page"
    again = AddrSpace.from_snapshot(snap)
    put(again, BASE, b"more")
    assert made.read(BASE, 4) == b"then"
    space.restore(snap)
    assert other.read(2 * BASE, 4) == b"then"
    assert again.read(BASE, 4) == b"more"


def test_shared_memory_that_a_view_wrote_is_restored_though_the_view_is_gone(space: AddrSpace) -> None:
    space.map_shared(BASE, PAGE_SIZE, R | W, SharedObject(space.phys, PAGE_SIZE))
    view = UserPtr[char](BASE).get_as_slice(space, 4)
    snap = space.snapshot()
    view[0] = 65
    del view
    space.restore(snap)
    assert space.read(BASE, 1) == b"\0"


def test_shared_memory_lives_on_in_a_snapshot(phys: PhysMemory) -> None:
    space = AddrSpace(0x1000, 1 << 40, phys)
    space.map_shared(BASE, PAGE_SIZE, R | W, SharedObject(phys, PAGE_SIZE))
    put(space, BASE, b"then")
    snap = space.snapshot()
    put(space, BASE, b"now!")
    space.clear()
    space.restore(snap)
    assert space.read(BASE, 4) == b"then"
    del snap, space
    assert phys.frames_in_use == 0


# -- failures ---------------------------------------------------------------------------------------------------


def test_a_failed_restore_changes_nothing_and_can_be_repeated(space: AddrSpace) -> None:
    needs_room(space)
    far = 1 << 40
    space.map_alloc(BASE, 2 * PAGE_SIZE, R | W)
    space.map_alloc(far, 2 * PAGE_SIZE, R | W, populate=True)
    put(space, BASE, b"then")
    then = state(space)
    first = space.snapshot()
    put(space, BASE, b"between")
    second = space.snapshot()
    space.unmap(far, 2 * PAGE_SIZE)  # its page tables go too
    put(space, BASE + PAGE_SIZE, b"now")
    now = space.areas(), space.resident_pages(), space.read(BASE, 2 * PAGE_SIZE), space.phys.frames_in_use

    def check() -> None:
        found = space.areas(), space.resident_pages(), space.read(BASE, 2 * PAGE_SIZE), space.phys.frames_in_use
        assert found == now
        space._check()

    fail, _ = each_failure(space.phys, lambda: space.restore(first), check)
    assert fail > 1
    assert state(space) == then
    space.restore(second)
    assert space.read(BASE, 7) == b"between"
    space.restore(first)
    assert state(space) == then


def test_a_snapshot_that_fails_loses_no_history(space: AddrSpace) -> None:
    space.map_shared(BASE, 2 * PAGE_SIZE, R | W, SharedObject(space.phys, 2 * PAGE_SIZE))
    space.map_alloc(2 * BASE, 3 * PAGE_SIZE, R | W)
    put(space, BASE, b"then")
    put(space, 2 * BASE, b"then")
    view = UserConstPtr[char](2 * BASE).get_as_slice(space, 4)
    then = state(space)
    first = space.snapshot()
    put(space, BASE, b"now!")
    put(space, 2 * BASE, b"now!")
    now, frames = state(space), space.phys.frames_in_use

    def check() -> None:
        assert (state(space), space.phys.frames_in_use) == (now, frames)
        space._check()

    fail, second = each_failure(space.phys, space.snapshot, check)
    assert fail > 4
    space.restore(first)
    assert state(space) == then
    space.restore(second)
    assert state(space) == now
    assert bytes(view) == b"now!"


# -- cost ---------------------------------------------------------------------------------------------------------


def epochs() -> int:
    return sum(isinstance(thing, Epoch) for thing in gc.get_objects())


def test_rolling_snapshots_leave_no_chain_behind(space: AddrSpace) -> None:
    gc.collect()
    before = epochs()
    space.map_alloc(BASE, PAGE_SIZE, R | W)
    root = space.snapshot()
    window = []
    for n in range(200):
        put(space, BASE, b"%03d" % n)
        window = [*window[-3:], space.snapshot()]
    assert epochs() - before < 10
    space.restore(window[0])
    assert space.read(BASE, 3) == b"196"
    space.restore(root)
    assert space.read(BASE, 3) == bytes(3)
    space.restore(window[-1])
    assert space.read(BASE, 3) == b"199"
    assert space.phys.frames_in_use < 100


def test_a_long_chain_of_snapshots_ends_without_recursion(space: AddrSpace) -> None:
    space.map_alloc(BASE, PAGE_SIZE, R | W)
    chain = []
    for n in range(3000):
        space.write(BASE, b"%d" % n)
        chain.append(space.snapshot())
    space.restore(chain[0])
    assert space.read(BASE, 2) == b"0\0"
    space.restore(chain[-1])
    assert space.read(BASE, 4) == b"2999"
    chain.clear()
    space.clear()


def test_an_empty_giant_costs_nothing(space: AddrSpace) -> None:
    needs_room(space)
    # 128 TiB in one area: nothing may look at each of its pages.
    space.map_alloc(space.base, space.size, R | W)
    put(space, BASE, b"then")
    put(space, 1 << 46, b"then")
    snap = space.snapshot()
    clone = space.try_clone()
    put(space, 1 << 45, b"now!")
    space.protect(space.base, space.size, R)
    space.discard(space.base, space.size)
    space.restore(snap)
    assert (space.read(BASE, 4), space.read(1 << 46, 4)) == (b"then", b"then")
    clone.restore(snap)
    assert clone.dirty_pages(clear=True) == [BASE, 1 << 46]
    assert clone.dirty_pages() == []
    assert space.phys.frames_in_use < 40


def test_loops_of_discard_and_touch_keep_the_journal_short(space: AddrSpace) -> None:
    space.map_alloc(BASE, 64 * PAGE_SIZE, R | W)
    snap = space.snapshot()
    for n in range(30000):
        space.discard(BASE + n % 64 * PAGE_SIZE, PAGE_SIZE)
        UserPtr[char](BASE + n % 64 * PAGE_SIZE).write(space, b"x")
    assert len(b"".join(space._take() or ())) < 64 * 16
    space._add_notes(None)
    space.restore(snap)
    assert space.resident_pages() == []
