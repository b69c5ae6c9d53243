"""Copy-on-write twins: clones of clones in any order of writes and deaths, what is copied at once, what stays shared.

Not here: snapshots (`test_snapshot`), random histories (`test_histories`).
"""

from __future__ import annotations

import ctypes
import itertools
import random
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from axptr import PAGE_SIZE, AddrSpace, MappingFlags, PhysMemory, SharedObject, UserConstPtr, UserPtr
from formats import needs_room
from inject import each_failure

EVERY_FORMAT = True
R, W, X = MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
BASE = 0x100000
char, u64 = ctypes.c_char, ctypes.c_uint64


def put(space: AddrSpace, vaddr: int, data: bytes) -> None:
    UserPtr[char](vaddr).write_slice(space, data)


def get(space: AddrSpace, vaddr: int, size: int = 4) -> bytes:
    return UserConstPtr[char](vaddr).read_slice(space, size)


@pytest.mark.parametrize("deaths", list(itertools.permutations(range(3))), ids=str)
@pytest.mark.parametrize("writer", range(3))
def test_three_generations_in_any_order_of_writes_and_deaths(
    phys: PhysMemory, deaths: tuple[int, ...], writer: int
) -> None:
    first = AddrSpace(0x1000, 1 << 40, phys)
    first.map_alloc(BASE, 3 * PAGE_SIZE, R | W, populate=True)
    family: dict[int, AddrSpace] = {0: first}
    del first
    for n in (0, 1):
        put(family[n], BASE + n * PAGE_SIZE, b"gen%d" % n)
        family[n + 1] = family[n].try_clone()
    wanted = {n: family[n].read(BASE, 3 * PAGE_SIZE) for n in family}
    assert phys.data_frames == 4  # the page that the second generation wrote is there twice
    put(family[writer], BASE + 2 * PAGE_SIZE, b"late")
    wanted[writer] = wanted[writer][: 2 * PAGE_SIZE] + b"late".ljust(PAGE_SIZE, b"\0")
    for dead in deaths:
        for n, space in family.items():
            assert space.read(BASE, 3 * PAGE_SIZE) == wanted[n]
            put(space, BASE + PAGE_SIZE + 8, b"each")
            wanted[n] = wanted[n][: PAGE_SIZE + 8] + b"each" + wanted[n][PAGE_SIZE + 12 :]
            space._check()
        del family[dead], space
    assert phys.frames_in_use == 0


def test_random_families(phys: PhysMemory) -> None:
    chance = random.Random(7)
    root = AddrSpace(0x1000, 1 << 40, phys)
    root.map_alloc(BASE, 6 * PAGE_SIZE, R | W)
    family = [(root, [0] * 6)]
    del root
    for step in range(1, 1500):
        space, words = chance.choice(family)
        n = chance.randrange(6)
        what = chance.random()
        if what < 0.6:
            UserPtr[u64](BASE + n * PAGE_SIZE).write(space, step)
            words[n] = step
        elif what < 0.7 and len(family) < 12:
            family.append((space.try_clone(), list(words)))
        elif what < 0.78 and len(family) > 1:
            family.remove((space, words))
        elif what < 0.85:
            space.discard(BASE + n * PAGE_SIZE, PAGE_SIZE)
            words[n] = 0
        else:
            assert [UserPtr[u64](BASE + k * PAGE_SIZE).read(space) for k in range(6)] == words
        if step % 100 == 0:
            for each, values in family:
                each._check()
                assert [UserPtr[u64](BASE + k * PAGE_SIZE).read(each) for k in range(6)] == values
            phys._check()
    family.clear()
    del space, each
    assert phys.frames_in_use == 0


def test_the_last_holder_of_a_frame_writes_it_in_place(space: AddrSpace) -> None:
    space.map_alloc(BASE, PAGE_SIZE, R | W)
    put(space, BASE, b"then")
    frame = space.query(BASE)[0]  # type: ignore[index]
    clone = space.try_clone()
    del clone
    put(space, BASE, b"now!")
    assert space.query(BASE)[0] == frame  # type: ignore[index]
    assert space.stats()["copy_on_write"] == 0


def test_a_write_through_a_translation_held_before_is_copied(space: AddrSpace) -> None:
    # The pointer has just written: what lets it write without a fault must be gone.
    space.map_alloc(BASE, PAGE_SIZE, R | W)
    pointer = UserPtr[u64](BASE)
    for n in range(1, 20):
        pointer.write(space, n)
        clone = space.try_clone()
        pointer.write(space, n + 100)
        assert pointer.read(clone) == n
        pointer.write(clone, 0)
        assert pointer.read(space) == n + 100


def test_bounds_names_rules_and_growing_stacks_come_along(space: AddrSpace) -> None:
    space.bounds["brk"] = 1
    space.map_alloc(BASE, 3 * PAGE_SIZE, R | W, name="heap")
    space.map_alloc(0x7000_0000, PAGE_SIZE, R | W, name="stack", grows_down=64 * PAGE_SIZE)
    put(space, BASE, b"one")
    space.set_clone_rule(BASE + PAGE_SIZE, PAGE_SIZE, "omit")
    space.set_clone_rule(BASE + 2 * PAGE_SIZE, PAGE_SIZE, "wipe")
    put(space, BASE + PAGE_SIZE, b"two")
    put(space, BASE + 2 * PAGE_SIZE, b"three")
    clone = space.try_clone()
    assert [(a.start, a.name, a.clone_rule) for a in clone.areas()] == [
        (BASE, "heap", "copy"),
        (BASE + 2 * PAGE_SIZE, "heap", "wipe"),
        (0x7000_0000, "stack", "copy"),
    ]
    assert (clone.read(BASE, 3), clone.read(BASE + 2 * PAGE_SIZE, 5)) == (b"one", bytes(5))
    put(clone, 0x7000_0000 - 9 * PAGE_SIZE, b"grown")
    assert space.find_area(0x7000_0000 - 9 * PAGE_SIZE) is None
    clone.bounds["brk"] = 2
    assert space.bounds == {"brk": 1}
    clone.clear()


def test_pinned_pages_are_copied_at_once_and_views_stay_with_their_space(space: AddrSpace) -> None:
    space.map_alloc(BASE, 4 * PAGE_SIZE, R | W, populate=True)
    view = UserPtr[char](BASE).get_as_slice(space, 2 * PAGE_SIZE)
    view[:4] = b"view"
    before = space.phys.data_frames
    clone = space.try_clone()
    assert space.phys.data_frames == before + 2
    view[:4] = b"more"
    assert (get(space, BASE), get(clone, BASE)) == (b"more", b"view")
    put(clone, BASE, b"twin")
    assert bytes(view[:4]) == b"more"
    grandchild = clone.try_clone()
    clone.clear()
    assert get(grandchild, BASE) == b"twin"
    space.clear()
    assert bytes(view[:4]) == b"more"
    view[0] = 0
    assert get(grandchild, BASE) == b"twin"


def test_a_view_of_a_page_that_is_shared_with_a_clone_breaks_it_first(space: AddrSpace) -> None:
    space.map_alloc(BASE, PAGE_SIZE, R | W)
    put(space, BASE, b"both")
    clone = space.try_clone()
    view = UserConstPtr[char](BASE).get_as_slice(space, 4)
    put(clone, BASE, b"twin")
    put(space, BASE, b"mine")
    assert (bytes(view), get(clone, BASE)) == (b"mine", b"twin")


def test_what_is_shared_stays_shared_over_generations(space: AddrSpace, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(PAGE_SIZE))
    space.map_shared(BASE, PAGE_SIZE, R | W, SharedObject(space.phys, PAGE_SIZE))
    space.map_file(2 * BASE, PAGE_SIZE, R | W, path, shared=True)
    child = space.try_clone()
    grandchild = child.try_clone()
    for n, each in enumerate((grandchild, space, child)):
        for start in (BASE, 2 * BASE):
            put(each, start, b"by %d" % n)
            assert {get(other, start) for other in (space, child, grandchild)} == {b"by %d" % n}
    child.clear()
    grandchild.clear()
    assert path.read_bytes()[:4] == b"by 2"


def test_a_clone_that_fails_leaves_everything_and_works_again(space: AddrSpace) -> None:
    needs_room(space)
    space.map_alloc(BASE, 4 * PAGE_SIZE, R | W)
    space.map_alloc(1 << 39, 2 * PAGE_SIZE, R | W, populate=True)
    put(space, BASE, b"mine")
    view = UserPtr[char](BASE).get_as_slice(space, 4)
    frames = space.phys.frames_in_use

    def check() -> None:
        assert space.phys.frames_in_use == frames
        assert get(space, BASE) == b"mine"
        space._check()

    count, clone = each_failure(space.phys, space.try_clone, check)
    assert count > 5
    put(clone, BASE, b"twin")
    assert bytes(view) == b"mine"
    clone.clear()


def test_a_write_without_a_frame_for_the_copy_changes_nothing(space: AddrSpace) -> None:
    space.map_alloc(BASE, 3 * PAGE_SIZE, R | W, populate=True)
    put(space, BASE, b"both")
    clone = space.try_clone()
    whole = space.read(BASE, 3 * PAGE_SIZE)

    def check() -> None:
        assert space.read(BASE, 3 * PAGE_SIZE) == clone.read(BASE, 3 * PAGE_SIZE) == whole
        space._check()
        clone._check()

    # The pages done before the one that fails stay copied, so each try gets one further.
    count, _ = each_failure(space.phys, lambda: put(space, BASE + PAGE_SIZE - 4, b"x" * (PAGE_SIZE + 8)), check)
    assert count >= 1
    assert clone.read(BASE, 3 * PAGE_SIZE) == whole


LIMIT = """
    from axptr import *
    R, W = MappingFlags.READ, MappingFlags.WRITE
    BASE = 0x100000
    phys = PhysMemory(8 << 30)
    space = AddrSpace(0x1000, 1 << 46, phys)
    space.map_alloc(BASE, 1000 * PAGE_SIZE, R | W, populate=True)
    clones = [space.try_clone() for _ in range({count})]
    for n in range(0, {count}, 97):
        clones[n].write(BASE + n % 1000 * PAGE_SIZE, b"%05d" % n)
    for n in range(0, {count}, 97):
        assert clones[n].read(BASE + n % 1000 * PAGE_SIZE, 5) == b"%05d" % n
    assert space.read(BASE, 1000 * PAGE_SIZE) == bytes(1000 * PAGE_SIZE)
    # Not ru_maxrss, in which exec keeps what the parent had.
    rss = int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
    shuffled = clones[::2] + clones[1::2]
    clones.clear()
    del space
    while shuffled:
        shuffled.pop()
    assert phys.frames_in_use == 0, phys
    print(rss)
"""


def test_ten_thousand_clones_of_a_thousand_pages_fit_in_a_gib() -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LIMIT.format(count=10000))], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1 << 20  # KiB


def test_a_window_on_the_frames_of_another_space_does_not_part_them(space: AddrSpace) -> None:
    """A kernel's direct map: it looks at a program's frames, and the program's pages stay the program's alone."""
    kernel = AddrSpace(space.base, space.size, space.phys, space.format)
    space.map_alloc(BASE, PAGE_SIZE, R | W)
    put(space, BASE, b"mine")
    found = space.query(BASE)
    assert found is not None
    kernel.map_linear(BASE, found[0], PAGE_SIZE, R | W)
    assert kernel.read(BASE, 4) == b"mine"
    space._check()
    space.protect(BASE, PAGE_SIZE, R)
    space.protect(BASE, PAGE_SIZE, R | W)
    put(space, BASE, b"then")
    assert kernel.read(BASE, 4) == b"then"
    UserPtr[char](BASE).write_slice(kernel, b"from")
    assert get(space, BASE) == b"from"

    snap = space.snapshot()
    twin = space.try_clone()
    put(space, BASE, b"last")
    assert (kernel.read(BASE, 4), get(twin, BASE)) == (b"last", b"from")  # the window stays with the page it is on
    space.restore(snap)
    assert (get(space, BASE), kernel.read(BASE, 4)) == (b"from", b"from")
    other = kernel.try_clone()
    assert other.read(BASE, 4) == b"from"
    for each in (space, twin, kernel, other):
        each._check()
    frames = space.phys.data_frames
    space.unmap(BASE, PAGE_SIZE)
    assert kernel.read(BASE, 4) == b"from"  # not another owner's, as long as the window is there
    assert space.phys.data_frames == frames
    del other
    kernel.clear()
    space.phys._check()
