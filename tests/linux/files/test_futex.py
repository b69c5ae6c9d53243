"""Words that tasks wait at: who is woken by which bits, who is moved, and that a word nobody waits at is gone."""

from __future__ import annotations

import gc
from types import SimpleNamespace
from typing import Any

from axptr import AddrSpace, MappingFlags, PhysMemory, SharedObject
from axptr.kernel.wait import Blocked
from axptr.linux.files.futex import FutexTable, key_of

ONE, OTHER = ("memory", 0x1000), ("memory", 0x2000)


class Waiter:
    def __init__(self, table: FutexTable, key: tuple[object, int], bits: int = 0xFFFF_FFFF) -> None:
        word = table.word(key)
        self.events = 0
        self.blocked: Blocked | None = Blocked(((word, bits),), None, None)
        word.queue.add(self, bits)

    def wake(self, events: int = 0) -> None:
        self.events |= events


def test_a_bitset_wakes_those_that_share_a_bit_first_come_first():
    table = FutexTable()
    waiters = [Waiter(table, ONE, bits) for bits in (1, 2, 3, 1)]
    assert table.wake(ONE, 1, 4) == 0
    assert table.wake(OTHER, 9, 1) == 0
    assert table.wake(ONE, 2, 1) == 2
    assert [w.events for w in waiters] == [1, 0, 1, 0]


def test_those_moved_to_another_word_are_woken_there_and_no_more_here():
    table = FutexTable()
    waiters = [Waiter(table, ONE) for _ in range(3)]
    assert table.wake(ONE, 1, 1) == 1
    assert table.requeue(ONE, OTHER, 1) == 1
    assert table.wake(ONE, 9, 2) == 1
    assert table.wake(OTHER, 9, 4) == 1
    assert [w.events for w in waiters] == [1, 4, 2]
    assert waiters[1].blocked.on[0][0].key == OTHER


def test_moving_to_the_same_word_leaves_everybody_where_he_is():
    table = FutexTable()
    waiters = [Waiter(table, ONE) for _ in range(3)]
    assert table.requeue(ONE, ONE, 2) == 2
    assert table.wake(ONE, 1, 1) == 1
    assert [w.events for w in waiters] == [1, 0, 0]


def test_a_word_lives_as_long_as_somebody_waits():
    table = FutexTable()
    waiter = Waiter(table, ONE)
    assert table.wake(ONE, 1, 1) == 1
    waiter.blocked = None
    del waiter
    gc.collect()
    assert not table._words


def test_a_word_in_shared_memory_is_the_same_wherever_its_mapping_is_cut() -> None:
    phys = PhysMemory(1 << 20)
    shared = SharedObject(phys, 0x4000)
    tasks: list[Any] = []
    for start in (0x10000, 0x50000):
        space = AddrSpace(0, 1 << 30, phys)
        space.map_shared(start, 0x4000, MappingFlags.READ | MappingFlags.WRITE, shared)
        tasks.append(SimpleNamespace(space=space, mm=object()))
    word = key_of(tasks[0], 0x12040, False)
    assert word == key_of(tasks[1], 0x52040, False)
    tasks[1].space.protect(0x51000, 0x1000, MappingFlags.READ)
    assert word == key_of(tasks[1], 0x52040, False) != key_of(tasks[1], 0x52040, True)
