"""Giving up much at once: in pieces, between which others have the lock."""

from __future__ import annotations

import threading
import time

from axptr import PAGE_SIZE, AddrSpace, MappingFlags, PhysMemory

R, W = MappingFlags.READ, MappingFlags.WRITE
AT = 0x1_0000_0000


def test_clear_of_much_leaves_nothing() -> None:
    phys = PhysMemory(1 << 30)
    space = AddrSpace(0, 1 << 47, phys)
    space.map_alloc(AT, 20_000 * PAGE_SIZE, R | W, populate=True)
    space.map_alloc(AT + (1 << 40), 1 << 40, R | W)
    for n in range(10_000):
        space.map_alloc((1 << 36) + 2 * n * PAGE_SIZE, PAGE_SIZE, R | W, populate=n % 3 == 0)
    space.clear()
    assert (space.area_count, phys.data_frames) == (0, 0)
    space._check()
    phys._check()


def test_clear_lets_others_have_the_lock_in_between() -> None:
    phys = PhysMemory(4 << 30)
    space = AddrSpace(0, 1 << 47, phys)
    other = AddrSpace(0, 1 << 47, phys)
    other.map_alloc(AT, PAGE_SIZE, R | W, populate=True)
    space.map_alloc(AT, 100_000 * PAGE_SIZE, R | W)
    space.populate_area(AT, 100_000 * PAGE_SIZE, W)
    during = []
    begun = time.perf_counter()

    def clear() -> None:
        space.clear()
        during.append(time.perf_counter() - begun)

    thread = threading.Thread(target=clear)
    thread.start()
    reads = 0
    while not during:
        other.read(AT, 8)
        reads += 1
        time.sleep(0)
    thread.join()
    assert reads > 2  # one would do but for the lock, and how often it is this thread's turn the host decides
