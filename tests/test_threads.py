"""Several host threads on one space: nothing torn, nothing lost, nobody waits for ever, no freed space is touched.

Short and bounded by counts, not by time. A switch interval of a microsecond makes the threads meet.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from axptr import (
    PAGE_SIZE,
    AddrSpace,
    FaultReason,
    LinuxError,
    Locked,
    MappingFlags,
    PhysMemory,
    Provider,
    SharedObject,
    Snapshot,
    UserConstPtr,
    UserFault,
    UserPtr,
    VirtAddrRange,
)
from threads import together

R, W = MappingFlags.READ, MappingFlags.WRITE
BASE = 0x100000
u32, u64, char = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_char


@pytest.fixture(autouse=True)
def threads_meet() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_fault_in_the_same_pages_once(space: AddrSpace) -> None:
    pages = 300
    space.map_alloc(BASE, pages * PAGE_SIZE, R | W)

    def touch() -> None:
        for n in range(pages):
            UserPtr[u32](BASE + n * PAGE_SIZE).read(space)

    together(touch, touch, touch, lambda: space.populate_area(BASE, pages * PAGE_SIZE, W))
    assert space.phys.data_frames == pages
    space._check()


def test_values_are_never_torn(space: AddrSpace) -> None:
    space.map_alloc(BASE, 2 * PAGE_SIZE, R | W)
    word, line = UserPtr[u64](BASE), UserPtr[char](BASE + PAGE_SIZE - 300)
    patterns = [b"\x11", b"\xee"]
    word.write(space, 0x1111111111111111)
    line.write_slice(space, patterns[0] * 600)

    def write(pattern: bytes) -> None:
        for _ in range(1500):
            word.write(space, int.from_bytes(pattern * 8, "little"))
            line.write_slice(space, pattern * 600)

    def read() -> None:
        for _ in range(1500):
            assert word.read(space) in (0x1111111111111111, 0xEEEEEEEEEEEEEEEE)
            assert line.read_slice(space, 600) in (patterns[0] * 600, patterns[1] * 600)

    together(lambda: write(patterns[0]), lambda: write(patterns[1]), read, read)


def test_memory_that_comes_and_goes_is_there_or_a_fault(space: AddrSpace) -> None:
    # What is read is zero (fresh), the value written, or a fault: never the bytes of another page.
    other = BASE + 64 * PAGE_SIZE

    def owner() -> None:
        for n in range(600):
            space.map_alloc(BASE, 4 * PAGE_SIZE, R | W, replace=n % 3 == 0)
            space.protect(BASE + PAGE_SIZE, PAGE_SIZE, R if n % 2 else MappingFlags(0))
            space.unmap(BASE, 4 * PAGE_SIZE)

    def neighbour() -> None:
        for _ in range(600):
            space.map_alloc(other, 4 * PAGE_SIZE, R | W)
            space.write(other, b"\xbb" * 4 * PAGE_SIZE)
            space.unmap(other, 4 * PAGE_SIZE)

    reasons: set[FaultReason] = set()

    def user() -> None:
        p = UserPtr[u32](BASE + PAGE_SIZE)
        for _ in range(4000):
            try:
                assert p.read(space) in (0, 0xAAAAAAAA)
                p.write(space, 0xAAAAAAAA)
            except UserFault as fault:
                reasons.add(fault.reason)

    together(owner, neighbour, user, user)
    assert reasons <= {FaultReason.UNMAPPED, FaultReason.PROTECTION}
    space._check()
    assert space.phys.data_frames == 0


def test_views_taken_while_memory_goes_show_no_other_owners_bytes(space: AddrSpace) -> None:
    def owner() -> None:
        for _ in range(400):
            space.map_alloc(BASE, 3 * PAGE_SIZE, R | W, replace=True)
            space.unmap(BASE, 3 * PAGE_SIZE)
            space.map_alloc(BASE + 64 * PAGE_SIZE, 3 * PAGE_SIZE, R | W, replace=True)
            space.write(BASE + 64 * PAGE_SIZE, b"\xbb" * 3 * PAGE_SIZE)

    def user() -> None:
        for _ in range(800):
            try:
                view = UserPtr[char](BASE + 5).get_as_slice(space, 2 * PAGE_SIZE)
            except UserFault:
                continue
            assert set(view.tobytes()) <= {0, 0xAA}
            view[:] = b"\xaa" * 2 * PAGE_SIZE
            assert set(view.tobytes()) == {0xAA}

    together(owner, user, user)
    space.clear()
    assert space.phys.data_frames == 0


def test_threads_map_what_they_found_free_without_overlap(space: AddrSpace) -> None:
    limit = VirtAddrRange.from_start_size(BASE, 400 * PAGE_SIZE)
    mine: list[int] = []

    def settle() -> None:
        for _ in range(60):
            while True:
                where = space.find_free_area(BASE, PAGE_SIZE, limit)
                assert where is not None
                try:
                    space.map_alloc(where, PAGE_SIZE, R | W)
                except LinuxError:
                    continue  # somebody was faster
                mine.append(where)
                break

    together(settle, settle, settle)
    assert len(mine) == len(set(mine)) == 180
    space._check()


def test_spaces_over_one_memory_do_not_disturb_each_other(phys: PhysMemory) -> None:
    def live(seed: int) -> None:
        space = AddrSpace(0x1000, 1 << 40, phys)
        for n in range(150):
            space.map_alloc(BASE, 8 * PAGE_SIZE, R | W, replace=True)
            UserPtr[char](BASE + 100).write_slice(space, bytes([seed]) * 20000)
            assert UserPtr[char](BASE + 100).read_slice(space, 20000) == bytes([seed]) * 20000
            if n % 10 == 0:
                space = AddrSpace(0x1000, 1 << 40, phys)
        space._check()

    together(*(lambda seed=seed: live(seed) for seed in (1, 2, 3)))
    phys._check()


def test_a_space_given_up_while_others_wait_for_its_memory_is_not_touched_again(phys: PhysMemory) -> None:
    # One thread holds the lock of the memory without the GIL; others stand at the door with a pointer to a space which
    # its task exchanges for a new one meanwhile, as execve does.
    class Task(Provider):
        pass

    def fresh() -> AddrSpace:
        space = AddrSpace(0x1000, 1 << 40, phys)
        space.map_alloc(BASE, PAGE_SIZE, R | W)
        space.write(BASE, (7).to_bytes(4, "little"))
        return space

    task = Task()
    task._set_space(fresh())
    long = AddrSpace(0x1000, 1 << 40, phys)
    over = threading.Event()

    def hold() -> None:
        for _ in range(60):
            long.map_alloc(BASE, 2000 * PAGE_SIZE, R | W, replace=True)
            long.populate_area(BASE, 2000 * PAGE_SIZE, W)
        over.set()

    def exchange() -> None:
        while not over.is_set():
            task._set_space(fresh())

    def use() -> None:
        while not over.is_set():
            assert UserConstPtr[u32](BASE).read(task) == 7
            UserPtr[u32](BASE).write(task, 7)
            assert UserPtr[u32](BASE).read_slice(task, 1) == (7,)
            assert UserConstPtr[char](BASE).read_cstr(task) == b"\7"

    together(hold, exchange, use, use)
    task._set_space(fresh())
    long._check()


def test_locked_makes_a_sequence_of_calls_one(space: AddrSpace) -> None:
    space.map_alloc(BASE, PAGE_SIZE, R | W)
    shared = Locked(space)
    counter = UserPtr[u32](BASE)

    def count() -> None:
        for _ in range(1000):
            shared.with_addr_space(lambda memory: counter.write(memory, counter.read(memory) + 1))

    together(count, count, count)
    assert counter.read(space) == 3000


# -- clones, snapshots, and what is shared -----------------------------------------------------------------------


def test_everything_at_once_yields_whole_data_or_a_fault(space: AddrSpace) -> None:
    # Every page holds one repeated byte in all states there are, so a mix would show.
    pages = 6
    shared = SharedObject(space.phys, pages * PAGE_SIZE)
    over = threading.Event()
    snaps: list[Snapshot] = []

    def fresh(offset: int) -> bytes:
        return b"\5" * PAGE_SIZE

    def owner() -> None:
        try:
            for n in range(150):
                space.map_alloc(BASE, pages * PAGE_SIZE, R | W, replace=True)
                space.map_shared(2 * BASE, pages * PAGE_SIZE, R | W, shared, replace=True)
                space.map_pager(3 * BASE, pages * PAGE_SIZE, R | W, fresh, replace=True)
                with contextlib.suppress(LinuxError):  # a restore may have come between
                    space.protect(BASE, PAGE_SIZE, R if n % 2 else R | W)
                    space.discard(BASE + PAGE_SIZE, 2 * PAGE_SIZE)
                    space.move(BASE + 4 * PAGE_SIZE, PAGE_SIZE, 4 * BASE)
                space.unmap(4 * BASE, PAGE_SIZE)
                if n % 5 == 0:
                    space.unmap(3 * BASE, pages * PAGE_SIZE)
        finally:
            over.set()

    def historian() -> None:
        while not over.is_set():
            snaps.append(space.snapshot())
            clone = space.try_clone()
            clone.dirty_pages(clear=True)
            space.dirty_pages(clear=True)
            if len(snaps) > 3:
                space.restore(snaps[len(snaps) // 2])
                clone.restore(snaps.pop(0))
            clone._check()

    def user(value: int) -> Callable[[], None]:
        def work() -> None:
            page = bytes([value]) * PAGE_SIZE
            n = 0
            while not over.is_set():
                n += 1
                at = (1 + n % 3) * BASE + n % pages * PAGE_SIZE
                try:
                    if n % 2:
                        UserPtr[char](at).write_slice(space, page)
                    else:
                        seen = UserPtr[char](at).read_slice(space, PAGE_SIZE)
                        assert len(set(seen)) == 1, set(seen)
                        assert seen[0] in (0, 1, 2, 5)
                except UserFault:
                    pass

        return work

    together(owner, historian, user(1), user(2))
    snaps.clear()
    space._check()
    space.clear()


def test_shared_memory_between_two_spaces_is_never_torn(phys: PhysMemory) -> None:
    shared = SharedObject(phys, 4 * PAGE_SIZE)
    first, second = AddrSpace(0x1000, 1 << 40, phys), AddrSpace(0x1000, 1 << 40, phys)
    first.map_shared(BASE, 4 * PAGE_SIZE, R | W, shared)
    second.map_shared(2 * BASE, 4 * PAGE_SIZE, R | W, shared)

    def write(space: AddrSpace, at: int, value: int) -> Callable[[], None]:
        def work() -> None:
            for n in range(600):
                UserPtr[char](at + n % 4 * PAGE_SIZE).write_slice(space, bytes([value]) * PAGE_SIZE)
                seen = UserPtr[char](at + (n + 1) % 4 * PAGE_SIZE).read_slice(space, PAGE_SIZE)
                assert len(set(seen)) == 1

        return work

    def restore() -> None:
        for _ in range(60):
            snap = first.snapshot()
            second.try_clone()
            first.restore(snap)

    together(write(first, BASE, 1), write(second, 2 * BASE, 2), restore)
    first._check()
    second._check()


def test_snapshots_of_one_space_from_several_threads(space: AddrSpace) -> None:
    space.map_alloc(BASE, 4 * PAGE_SIZE, R | W)

    def work() -> None:
        for n in range(80):
            space.write(BASE + n % 4 * PAGE_SIZE, b"%d" % n)
            snap = space.snapshot()
            wanted = snap.read(BASE, 4 * PAGE_SIZE)
            space.restore(snap)
            assert snap.read(BASE, 4 * PAGE_SIZE) == wanted
            clone = space.try_clone()
            clone.restore(snap)
            assert clone.read(BASE, 4 * PAGE_SIZE) == wanted

    together(work, work, work)


def test_families_of_clones_on_several_threads(phys: PhysMemory) -> None:
    family = [AddrSpace(0x1000, 1 << 40, phys)]
    family[0].map_alloc(BASE, 8 * PAGE_SIZE, R | W, populate=True)

    def live(seed: int) -> Callable[[], None]:
        def work() -> None:
            mine = family[0].try_clone()
            for n in range(200):
                at = BASE + n % 8 * PAGE_SIZE
                mine.write(at, bytes([seed]) * PAGE_SIZE)
                mine = mine.try_clone()
                assert mine.read(at, PAGE_SIZE) == bytes([seed]) * PAGE_SIZE

        return work

    together(live(1), live(2), live(3))
    assert family[0].read(BASE, 8 * PAGE_SIZE) == bytes(8 * PAGE_SIZE)
    family.clear()
    assert phys.frames_in_use == 0
