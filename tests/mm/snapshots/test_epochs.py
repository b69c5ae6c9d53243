"""The tree of moments behind snapshots: its shape under seeded snapshots, restores and their ends."""

from __future__ import annotations

import gc
import random
from ctypes import c_char

import pytest

from axptr import PAGE_SIZE, AddrSpace, MappingFlags, PhysMemory, UserPtr
from axptr.mm.snapshots.snapshot import Epoch, Snapshot

R, W = MappingFlags.READ, MappingFlags.WRITE
BASE, PAGES = 0x10_0000, 8


def moments(space: AddrSpace, kept: list[Snapshot]) -> list[Epoch]:
    """Every moment that somebody can still lead to."""
    found: dict[int, Epoch] = {}
    for start in (space._epoch, *(snap._epoch for snap in kept)):
        at = start
        while at is not None and id(at) not in found:
            found[id(at)] = at
            at = at.parent
    return list(found.values())


@pytest.mark.parametrize("seed", range(5))
def test_snapshots_in_any_order_go_back_to_what_was_and_leave_no_stops(phys: PhysMemory, seed: int) -> None:
    rng = random.Random(seed)
    space = AddrSpace(BASE, PAGES * PAGE_SIZE, phys)
    space.map_alloc(BASE, PAGES * PAGE_SIZE, R | W)
    kept: list[tuple[Snapshot, bytes]] = []
    for _ in range(400):
        what = rng.randrange(8)
        if what < 4:
            UserPtr[c_char](BASE + rng.randrange(PAGES * PAGE_SIZE)).write(space, rng.randbytes(1))
        elif what == 4 and len(kept) < 8:
            kept.append((space.snapshot(), space.read(BASE, PAGES * PAGE_SIZE)))
        elif what in (5, 6) and kept:
            snap, then = rng.choice(kept)
            space.restore(snap)
            assert space.read(BASE, PAGES * PAGE_SIZE) == then
            del snap
        elif kept:
            del kept[rng.randrange(len(kept))]
        every = moments(space, [snap for snap, _ in kept])
        for epoch in every:
            epoch._check()
        # A moment that is past and has one heir is gone: so there are at most twice as many as anybody can go back to.
        leads = {id(snap._epoch) for snap, _ in kept} | {id(space._epoch)}
        assert not [e for e in every if id(e) not in leads and e.is_past() and len(e.heirs) == 1]
        assert len(every) <= 2 * len(leads)
    for snap, then in kept:
        assert snap.read(BASE, PAGES * PAGE_SIZE) == then
    del kept, every
    gc.collect()
    space._check()


def test_a_moment_that_is_nobodys_heir_is_found(phys: PhysMemory) -> None:
    space = AddrSpace(BASE, PAGES * PAGE_SIZE, phys)
    one = space.snapshot()
    two = space.snapshot()
    two._epoch._check()
    assert two._epoch.parent is one._epoch
    one._epoch.heirs.discard(two._epoch)
    with pytest.raises(AssertionError, match="no heir"):
        two._epoch._check()
    one._epoch.heirs.add(two._epoch)
    one._epoch.parent = two._epoch
    two._epoch.heirs.add(one._epoch)
    with pytest.raises(AssertionError, match="before itself"):
        two._epoch._check()
    one._epoch.parent = None
    two._epoch.heirs.discard(one._epoch)
