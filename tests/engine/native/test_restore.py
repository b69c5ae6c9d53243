"""A loop of restores: what the guest writes each time is put back in place, without faults; the rest goes back."""

from __future__ import annotations

import random

from .conftest import DATA, PAGE, NativeMachine, R, W
from .test_pages import ADD_EACH, AREA, WRITE_EACH, each

PAGES = 100


def prepared(native: NativeMachine) -> None:
    native.space.map_alloc(AREA, 1024 * PAGE, R | W, populate=True)
    for page in range(0, 1024, 8):
        native.space.write(AREA + page * PAGE, page.to_bytes(8, "little"))


def test_pages_written_in_each_round_need_no_fault_and_are_put_back(native: NativeMachine) -> None:
    prepared(native)
    snapshot = native.space.snapshot()
    sums = []
    fills = []
    for _ in range(6):
        sums.append(each(native, ADD_EACH, AREA, 128, 8 * PAGE))
        before = native.engine.fills
        each(native, WRITE_EACH, AREA, 128, 8 * PAGE)
        fills.append(native.engine.fills - before)
        native.space.restore(snapshot)
    assert sums == [sum(range(0, 1024, 8))] * 6
    assert fills[0] >= 128
    assert max(fills[3:]) < 5


def test_pages_that_are_written_no_more_give_their_frames_back(native: NativeMachine) -> None:
    prepared(native)
    snapshot = native.space.snapshot()
    native.space.restore(snapshot)
    used = native.phys.data_frames
    for _ in range(4):
        each(native, WRITE_EACH, AREA, 128, 8 * PAGE)
        native.space.restore(snapshot)
    assert native.phys.data_frames > used
    for _ in range(10):
        native.space.restore(snapshot)
    native.run("b83c000000 0f05")
    native.space.restore(snapshot)
    assert native.phys.data_frames <= used + 3  # of the guest's own stack and code


def test_clones_and_snapshots_between_restores_see_what_was_there(native: NativeMachine) -> None:
    prepared(native)
    first = native.space.snapshot()
    for _ in range(4):
        each(native, WRITE_EACH, AREA, 128, 8 * PAGE)
        native.space.restore(first)
    each(native, WRITE_EACH, AREA, 64, 8 * PAGE)
    twin = native.space.try_clone()
    second = native.space.snapshot()
    half = each(native, ADD_EACH, AREA, 128, 8 * PAGE)
    each(native, WRITE_EACH, AREA, 128, 8 * PAGE)
    native.space.restore(first)
    assert each(native, ADD_EACH, AREA, 128, 8 * PAGE) == sum(range(0, 1024, 8))
    native.space.restore(second)
    assert each(native, ADD_EACH, AREA, 128, 8 * PAGE) == half == sum(range(1, 65)) + sum(range(512, 1024, 8))
    assert sum(int.from_bytes(twin.read(AREA + page * PAGE, 8), "little") for page in range(0, 1024, 8)) == half
    twin.clear()


def test_random_rounds_end_where_they_began(native: NativeMachine) -> None:
    chance = random.Random(5)
    prepared(native)
    moments = [(native.space.snapshot(), native.space.read(AREA, 1024 * PAGE))]
    for _ in range(60):
        for _ in range(chance.randrange(3)):
            at, step = chance.randrange(500), chance.choice([1, 3, 5])
            each(native, WRITE_EACH, AREA + at * PAGE, chance.randrange(1, 100), step * PAGE)
        what = chance.randrange(8)
        page = chance.randrange(1000)
        if what == 0:
            native.space.discard(AREA + page * PAGE, 20 * PAGE)
        elif what == 1:
            native.space.protect(AREA + page * PAGE, 20 * PAGE, R)
            native.space.protect(AREA + page * PAGE, 20 * PAGE, R | W)
        elif what == 2 and len(moments) < 6:
            moments.append((native.space.snapshot(), native.space.read(AREA, 1024 * PAGE)))
        elif what == 3:
            native.space.write(AREA + page * PAGE, b"debugger")
        elif what == 4:
            native.space.dirty_pages(clear=True)
        elif what == 5:
            native.space.try_clone().clear()
        snapshot, expected = chance.choice(moments)
        native.space.restore(snapshot)
        assert native.space.read(AREA, 1024 * PAGE) == expected
        native.space._check()
    native.phys._check()
    assert native.space.query(DATA) is None
