"""Which pages are stored, and by which numbers: whole rows of frames give what one frame after the other would."""

from __future__ import annotations

import random

from axptr import PhysMemory
from axptr.addr import PAGE_SIZE
from axptr.mm.snapshots.encode import Known, Parts


class Naive:
    """The numbers by a dict, a frame at a time."""

    def __init__(self, known: dict[int, int], count: int) -> None:
        self.numbers = dict(known)
        self.count = count
        self.order: list[int] = []

    def frame(self, frame: int) -> int:
        if frame not in self.numbers:
            self.numbers[frame] = self.count
            self.order.append(frame)
            self.count += 1
        return self.numbers[frame]


def test_rows_of_frames_are_numbered_as_one_after_the_other():
    phys = PhysMemory(size=16 << 20)
    base = int(phys.alloc(256))
    for seed in range(200):
        chance = random.Random(seed)
        known: dict[int, int] = {}
        rows = []
        number = 0
        for start in range(0, 256, 32):  # rows that an earlier file has
            if chance.random() < 0.5:
                first, count = start + chance.randrange(8), chance.randrange(1, 24)
                rows.append((base + first * PAGE_SIZE, number, count))
                known.update({first + i: number + i for i in range(count)})
                number += count
        parts, naive = Parts(phys, Known(rows, number)), Naive(known, number)
        for _ in range(30):
            first, count = chance.randrange(200), chance.randrange(1, 56)
            found = parts.frames(base + first * PAGE_SIZE, count)
            flat = [number + i for number, some in found for i in range(some)]
            assert flat == [naive.frame(first + i) for i in range(count)]
        assert parts.count == naive.count
        stored = b"".join(memoryview(part) for part in parts.all())
        assert len(stored) == len(naive.order) * PAGE_SIZE
        assert all(naive.numbers[(paddr - base) // PAGE_SIZE] == number for paddr, number, _ in parts.rows)


def test_what_is_known_of_some_frames_is_known_once():
    rows = [(0x10_000, 0, 8), (0x40_000, 8, 4)]
    held = [(0x12_000, 3), (0x11_000, 4), (0x3F_000, 2), (0x80_000, 1)]
    assert Known(rows, 12).only(held).rows == [(0x11_000, 1, 4), (0x40_000, 8, 1)]
