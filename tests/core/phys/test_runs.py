"""Runs of frames: pages side by side have frames that are, in whatever order they come; nothing is lost by it."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable

import pytest

from axptr import PAGE_SIZE, AddrSpace, LinuxError, MappingFlags, PhysAddr, PhysMemory

R, W = MappingFlags.READ, MappingFlags.WRITE
AT = 0x4000_0000
PIECE = 512


def space_of(phys: PhysMemory, pages: int, at: int = AT) -> AddrSpace:
    space = AddrSpace(PAGE_SIZE, (1 << 47) - 2 * PAGE_SIZE, phys)
    space.map_alloc(at, pages * PAGE_SIZE, R | W)
    return space


def frames(space: AddrSpace, pages: int, at: int = AT) -> list[int]:
    places = [space.query(at + page * PAGE_SIZE) for page in range(pages)]
    return [int(place[0]) // PAGE_SIZE for place in places if place is not None]


def touch(space: AddrSpace, page: int, value: int = 1, at: int = AT) -> None:
    space.write_from(at + page * PAGE_SIZE, bytes([value]))


def all_there_is(phys: PhysMemory, count: int) -> list[PhysAddr]:
    taken = []
    with contextlib.suppress(LinuxError):
        while True:
            taken.append(phys.alloc(count, align=count))
    return taken


ORDERS: dict[str, Callable[[int], list[int]]] = {
    "upwards": lambda n: list(range(n)),
    "downwards": lambda n: list(range(n))[::-1],
    "anyhow": lambda n: random.Random(1).sample(range(n), n),
}


@pytest.mark.parametrize("order", ORDERS)
def test_pages_of_a_large_area_have_frames_side_by_side_in_any_order(order: str) -> None:
    phys = PhysMemory(1 << 30)
    space = space_of(phys, PIECE)
    for page in ORDERS[order](PIECE):
        touch(space, page)
    found = frames(space, PIECE)
    assert found == list(range(found[0], found[0] + PIECE))
    assert found[0] % PIECE == 0
    phys._check()


def test_two_spaces_that_write_in_turn_keep_a_row_each() -> None:
    phys = PhysMemory(1 << 30)
    spaces = [space_of(phys, PIECE) for _ in range(2)]
    for page in range(PIECE):
        for space in spaces:
            touch(space, page)
    for space in spaces:
        found = frames(space, PIECE)
        assert found == list(range(found[0], found[0] + PIECE))
    phys._check()


def test_pages_written_after_a_fork_are_side_by_side_in_both() -> None:
    phys = PhysMemory(1 << 30)
    space = space_of(phys, PIECE)
    space.populate_area(AT, PIECE * PAGE_SIZE, W)
    twin = space.try_clone()
    for page in random.Random(2).sample(range(PIECE), PIECE):
        touch(space, page, 2)
        touch(twin, page, 3)
    for one in (space, twin):
        found = frames(one, PIECE)
        assert found == list(range(found[0], found[0] + PIECE))
    phys._check()
    assert phys.data_frames == 2 * PIECE


def test_a_place_that_was_left_is_taken_again_and_zero() -> None:
    phys = PhysMemory(1 << 30)
    space = space_of(phys, PIECE)
    space.populate_area(AT, PIECE * PAGE_SIZE, W)
    before = frames(space, PIECE)
    space.write(AT, b"\xff" * PIECE * PAGE_SIZE)
    space.discard(AT + 100 * PAGE_SIZE, 50 * PAGE_SIZE)
    assert space.read(AT + 100 * PAGE_SIZE, 50 * PAGE_SIZE) == bytes(50 * PAGE_SIZE)
    assert frames(space, PIECE) == before
    space.clear()
    other = space_of(phys, PIECE)
    assert other.read(AT, PIECE * PAGE_SIZE) == bytes(PIECE * PAGE_SIZE)
    phys._check()


def test_small_areas_take_no_piece() -> None:
    phys = PhysMemory(1 << 30)
    space = AddrSpace(PAGE_SIZE, (1 << 47) - 2 * PAGE_SIZE, phys)
    for n in range(20):
        space.map_alloc(AT + n * PIECE * PAGE_SIZE, 4 * PAGE_SIZE, R | W, populate=True)
    found = [frames(space, 4, AT + n * PIECE * PAGE_SIZE)[0] for n in range(20)]
    assert max(found) - min(found) < 200


def test_runs_are_broken_up_before_memory_is_short() -> None:
    """Every frame can be had, though each of many rows has one page only."""
    phys = PhysMemory(64 << 20)
    total = phys.free_frames
    space = AddrSpace(PAGE_SIZE, (1 << 47) - 2 * PAGE_SIZE, phys)
    space.map_alloc(AT, 64 * PIECE * PAGE_SIZE, R | W)
    for n in range(64):
        touch(space, n * PIECE, n + 1)
    phys._check()
    used = phys.frames_in_use
    taken = all_there_is(phys, 1)
    assert len(taken) == total - used
    assert len({int(frame) for frame in taken}) == len(taken)
    phys._check()
    for n in range(64):
        assert space.read(AT + n * PIECE * PAGE_SIZE, 1) == bytes([n + 1])
    for frame in taken:
        assert phys.read(frame, PAGE_SIZE) == bytes(PAGE_SIZE)
        phys.free(frame)
    phys._check()


def test_a_run_of_frames_is_had_of_broken_pieces_too() -> None:
    phys = PhysMemory(64 << 20)
    space = space_of(phys, 8 * PIECE)
    space.populate_area(AT, 8 * PIECE * PAGE_SIZE, W)
    space.clear()
    assert len(all_there_is(phys, PIECE)) > 24
    phys._check()


def test_the_host_gets_back_what_partly_used_runs_leave() -> None:
    phys = PhysMemory(1 << 30)
    pages = 40 * PIECE  # more than is kept
    space = space_of(phys, pages)
    space.populate_area(AT, pages * PAGE_SIZE, W)
    for n in range(40):  # one page of each row stays
        space.discard(AT + (n * PIECE + 1) * PAGE_SIZE, (PIECE - 1) * PAGE_SIZE)
    assert os.fstat(phys.fd).st_blocks * 512 < (16384 + 1000) * PAGE_SIZE
    phys._check()


@pytest.mark.parametrize("seed", range(6))
def test_random_use_keeps_the_books(seed: int) -> None:
    chance = random.Random(seed)
    phys = PhysMemory(chance.choice([8 << 20, 64 << 20, 1 << 30, (64 << 20) + 7 * PAGE_SIZE]))
    spaces = [space_of(phys, 4 * PIECE)]
    singles = []
    for step in range(400):
        what = chance.randrange(8)
        space = chance.choice(spaces)
        at = AT + chance.randrange(4 * PIECE) * PAGE_SIZE
        size = min(chance.choice([1, 3, 200]) * PAGE_SIZE, AT + 4 * PIECE * PAGE_SIZE - at)
        try:
            if what < 3:
                space.populate_area(at, size, W)
            elif what == 3:
                space.discard(at, size)
            elif what == 4 and len(spaces) < 5:
                spaces.append(space.try_clone())
            elif what == 5 and len(spaces) > 1:
                spaces.remove(space)
                space.clear()
            elif what == 6:
                singles.append((phys.alloc(4), 4))
            elif singles:
                phys.free(*singles.pop(chance.randrange(len(singles))))
        except LinuxError:
            pass
        if step % 20 == 0:
            phys._check()
            for one in spaces:
                one._check()
    for frame, count in singles:
        phys.free(frame, count)
    for one in spaces:
        one.clear()
    phys._check()
    assert phys.data_frames == 0
