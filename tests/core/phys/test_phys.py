"""PhysMemory: who holds a frame, when it is free, what its next owner sees, and the limit."""

from __future__ import annotations

import ctypes
import errno
import gc
import os
import pickle
import random
from collections.abc import Callable

import pytest

from axptr import (
    PAGE_SIZE,
    AddrSpace,
    LinuxError,
    MappingFlags,
    PageTable,
    PhysAddr,
    PhysMemory,
    UserPtr,
    default_memory,
)

R, W = MappingFlags.READ, MappingFlags.WRITE
MakePhys = Callable[..., PhysMemory]


def no_memory(call: Callable[[], object]) -> None:
    with pytest.raises(LinuxError) as caught:
        call()
    assert caught.value.errno == errno.ENOMEM


# -- frames ----------------------------------------------------------------------------------------------------


def test_a_new_memory_holds_nothing_and_costs_nothing(make_phys: MakePhys) -> None:
    phys = make_phys(64 << 30)
    assert (phys.data_frames, phys.table_frames, phys.frames_in_use, phys.peak_frames) == (0, 0, 0, 0)
    assert phys.size == 64 << 30
    assert os.fstat(phys.fd).st_blocks == 0


def test_a_frame_is_zeroed_aligned_and_never_frame_zero(phys: PhysMemory) -> None:
    frame = phys.alloc()
    assert type(frame) is PhysAddr
    assert frame != 0
    assert frame % PAGE_SIZE == 0
    assert phys.read(frame, PAGE_SIZE) == bytes(PAGE_SIZE)
    assert (phys.data_frames, phys.table_frames, phys.refcount(frame)) == (1, 0, 1)
    phys.free(frame)
    assert phys.frames_in_use == 0


def test_a_recycled_frame_is_zeroed_again(phys: PhysMemory) -> None:
    first = phys.alloc()
    phys.write(first, b"secret" * 600)
    phys.free(first)
    second = phys.alloc()
    assert second == first
    assert phys.read(second, PAGE_SIZE) == bytes(PAGE_SIZE)
    phys.free(second)


def test_freed_frames_are_poisoned_when_asked(phys: PhysMemory, make_phys: MakePhys) -> None:
    for memory, seen in ((phys, b"\xdb"), (PhysMemory(1 << 20, poison=False), b"\x11")):
        frame = memory.alloc()
        memory.write(frame, b"\x11" * PAGE_SIZE)
        memory.free(frame)
        assert memory.read(frame, PAGE_SIZE) == seen * PAGE_SIZE


def test_a_run_lies_side_by_side_and_is_freed_whole_or_in_parts(phys: PhysMemory) -> None:
    run = phys.alloc(8)
    phys.write(run, b"x" * 8 * PAGE_SIZE)
    assert phys.data_frames == 8
    phys.free(run + 2 * PAGE_SIZE, 3)
    assert phys.data_frames == 5
    assert [phys.refcount(run + n * PAGE_SIZE) for n in range(8)] == [1, 1, 0, 0, 0, 1, 1, 1]
    phys.free(run, 2)
    phys.free(run + 5 * PAGE_SIZE, 3)
    assert phys.data_frames == 0


def test_a_run_can_be_aligned_for_a_huge_page(phys: PhysMemory) -> None:
    single = phys.alloc()
    huge = phys.alloc(512, align=512)
    assert huge % (2 << 20) == 0
    assert phys.read(huge, 512 * PAGE_SIZE) == bytes(512 * PAGE_SIZE)
    # The frames skipped for the alignment are not lost.
    others = [phys.alloc() for _ in range(64)]
    assert len({*others, single}) == 65
    phys._check()
    for frame in (*others, single):
        phys.free(frame)
    phys.free(huge, 512)


def test_a_run_is_found_among_freed_frames_when_no_fresh_ones_are_left(make_phys: MakePhys) -> None:
    phys = make_phys(64 * PAGE_SIZE)
    frames = [phys.alloc() for _ in range(63)]
    no_memory(phys.alloc)
    for frame in frames[20:30]:
        phys.write(frame, b"old")
        phys.free(frame)
    run = phys.alloc(8)
    assert run in frames[20:23]
    assert phys.read(run, 8 * PAGE_SIZE) == bytes(8 * PAGE_SIZE)
    phys._check()
    no_memory(lambda: phys.alloc(3))
    phys.free(run, 8)
    for frame in frames[:20] + frames[30:]:
        phys.free(frame)


def test_memory_of_one_frame_has_none_to_give(make_phys: MakePhys) -> None:
    no_memory(make_phys(PAGE_SIZE).alloc)


def test_frames_beyond_the_cache_go_back_to_the_host_and_read_as_zero(make_phys: MakePhys) -> None:
    # The cache holds 16,384 frames; past it half of them go back in batches.
    phys = PhysMemory(1 << 30, poison=False)
    count = 20_000
    run = phys.alloc(count)
    phys.write(run, b"\xaa" * (count * PAGE_SIZE))
    phys.free(run, count)
    assert os.fstat(phys.fd).st_blocks * 512 < 16_384 * PAGE_SIZE
    phys._check()
    again = [phys.alloc() for _ in range(count)]
    assert len(set(again)) == count
    assert all(phys.read(frame, 64) == bytes(64) for frame in again)
    for frame in again:
        phys.free(frame)
    phys._check()


# -- freeing what is not there ---------------------------------------------------------------------------------


def test_freeing_a_frame_twice_is_refused(phys: PhysMemory) -> None:
    frame = phys.alloc()
    phys.free(frame)
    with pytest.raises(ValueError, match="not allocated"):
        phys.free(frame)
    phys._check()


def test_freeing_a_run_of_which_one_frame_is_free_changes_nothing(phys: PhysMemory) -> None:
    run = phys.alloc(3)
    phys.free(run + PAGE_SIZE)
    with pytest.raises(ValueError, match="not allocated"):
        phys.free(run, 3)
    assert phys.data_frames == 2
    phys.free(run)
    phys.free(run + 2 * PAGE_SIZE)


def test_page_table_frames_are_not_the_callers_to_free_or_write(phys: PhysMemory) -> None:
    # A table with foreign bytes in it would lead the walker anywhere in the host's memory.
    table = PageTable(phys)
    with pytest.raises(ValueError, match="not allocated"):
        phys.free(table.root)
    frame = phys.alloc()
    for start in (table.root, table.root + PAGE_SIZE - 1, table.root - 4):
        with pytest.raises(ValueError, match="page table"):
            phys.write(start, b"\xff" * 8)
    table._check()
    assert table.query(0) is None
    phys.free(frame)


def test_frame_zero_is_never_the_callers(phys: PhysMemory) -> None:
    with pytest.raises(ValueError, match="not allocated"):
        phys.free(PhysAddr(0))


# -- the limit -------------------------------------------------------------------------------------------------


def test_limit_counts_data_and_table_frames_together(make_phys: MakePhys) -> None:
    phys = make_phys(limit=6 * PAGE_SIZE)
    assert phys.limit == 6 * PAGE_SIZE
    space = AddrSpace(0, 1 << 40, phys)
    space.map_alloc(0, 16 * PAGE_SIZE, R | W)
    space.populate_area(0, PAGE_SIZE, W)
    assert (phys.data_frames, phys.table_frames) == (1, 4)
    frame = phys.alloc()
    no_memory(phys.alloc)
    no_memory(lambda: phys.alloc(2))
    no_memory(lambda: space.populate_area(PAGE_SIZE, PAGE_SIZE, W))
    no_memory(lambda: PageTable(phys))
    no_memory(lambda: AddrSpace(0, PAGE_SIZE, phys))
    assert (phys.data_frames, phys.table_frames) == (2, 4)
    phys.free(frame)
    space.populate_area(PAGE_SIZE, PAGE_SIZE, W)
    assert phys.peak_frames == 6


def test_limit_beyond_the_size_is_the_size(make_phys: MakePhys) -> None:
    assert make_phys(1 << 20, limit=1 << 40).limit == 1 << 20
    assert make_phys(1 << 20, limit=0).limit == 0


def test_a_refused_run_takes_nothing(make_phys: MakePhys) -> None:
    phys = make_phys(limit=4 * PAGE_SIZE)
    no_memory(lambda: phys.alloc(5))
    no_memory(lambda: phys.alloc(1 << 40))
    no_memory(lambda: phys.alloc(1, align=1 << 40))
    assert phys.frames_in_use == phys.peak_frames == 0


# -- bytes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"abcd",
        bytearray(b"abcd"),
        memoryview(b"..abcd..")[2:6],
        (ctypes.c_char * 4)(*b"abcd"),
        (ctypes.c_uint32 * 1)(int.from_bytes(b"abcd", "little")),
        memoryview(b"a.b.c.d.")[::2],
    ],
    ids=["bytes", "bytearray", "memoryview", "c_char", "c_uint32", "strided"],
)
def test_bytes_of_any_kind_are_written_across_frames(phys: PhysMemory, data: object) -> None:
    run = phys.alloc(2)
    phys.write(run + PAGE_SIZE - 2, data)
    assert phys.read(run + PAGE_SIZE - 3, 6) == b"\0abcd\0"
    phys.free(run, 2)


def test_bytes_outside_the_memory_are_refused(make_phys: MakePhys) -> None:
    phys = make_phys(1 << 20)
    end = 1 << 20
    assert phys.read(end - 1, 1) == b"\0"
    assert phys.read(end, 0) == b""
    for start, size in ((end - 1, 2), (end, 1), (1 << 63, 1), (0, end + 1), (0, 1 << 64), ((1 << 64) - 1, 2)):
        with pytest.raises(ValueError, match="do not lie in this memory"):
            phys.read(start, size)
    for start in (end - 1, end, (1 << 64) - 1):
        with pytest.raises(ValueError, match="do not lie in this memory"):
            phys.write(start, b"ab")


# -- pins ------------------------------------------------------------------------------------------------------


def test_a_frame_under_a_live_view_is_not_reused(phys: PhysMemory) -> None:
    space = AddrSpace(0, 1 << 30, phys)
    space.map_alloc(0x1000, PAGE_SIZE, R | W)
    space.write(0x1000, b"mine")
    frame = space.query(0x1000)[0]  # type: ignore[index]
    view = UserPtr[ctypes.c_char](0x1000).get_as_slice(space, 4)
    assert (phys.pincount(frame), phys.pinned_frames) == (1, 1)
    space.unmap(0x1000, PAGE_SIZE)
    assert (phys.refcount(frame), phys.data_frames) == (0, 1)
    phys._check()
    others = [phys.alloc() for _ in range(50)]
    assert frame not in others
    assert bytes(view) == b"mine"
    with pytest.raises(ValueError, match="not allocated"):
        phys.free(frame)
    del view
    assert (phys.pincount(frame), phys.pinned_frames, phys.data_frames) == (0, 0, 50)
    for other in others:
        phys.free(other)


def test_a_frame_is_pinned_as_often_as_it_is_viewed(phys: PhysMemory) -> None:
    space = AddrSpace(0, 1 << 30, phys)
    space.map_alloc(0x1000, PAGE_SIZE, R | W)
    views = [UserPtr[ctypes.c_uint32](0x1000).get(space) for _ in range(3)]
    frame = space.query(0x1000)[0]  # type: ignore[index]
    assert (phys.pincount(frame), phys.pinned_frames) == (3, 1)
    space.clear()
    views.pop()
    gc.collect()
    assert (phys.pincount(frame), phys.data_frames) == (2, 1)
    views.clear()
    gc.collect()
    assert phys.data_frames == 0


# -- the rest --------------------------------------------------------------------------------------------------


def test_process_wide_memory_is_one(phys: PhysMemory) -> None:
    assert default_memory() is default_memory()
    assert AddrSpace(0, PAGE_SIZE).phys is default_memory()
    assert AddrSpace(0, PAGE_SIZE, phys).phys is phys


def test_injected_failure_is_the_allocation_after_the_next_n(phys: PhysMemory) -> None:
    phys._inject_failure(1)
    frame = phys.alloc()
    no_memory(phys.alloc)
    no_memory(lambda: phys.alloc(4))
    phys._inject_failure(None)
    phys.free(phys.alloc())
    phys.free(frame)


def test_a_memory_cannot_be_pickled_and_says_what_to_do(phys: PhysMemory) -> None:
    with pytest.raises(TypeError, match="snapshot"):
        pickle.dumps(phys)


def test_the_memory_file_shows_the_frames(phys: PhysMemory) -> None:
    frame = phys.alloc()
    phys.write(frame, b"through the file")
    assert os.pread(phys.fd, 16, frame) == b"through the file"
    os.pwrite(phys.fd, b"and back", frame)
    assert phys.read(frame, 8) == b"and back"
    phys.free(frame)


def test_random_allocations_and_frees_keep_the_books_right(make_phys: MakePhys) -> None:
    """A seeded stress test against a set of intervals: no frame has two owners, none is lost."""
    phys = make_phys(400 * PAGE_SIZE)
    rng = random.Random(20261122)
    held: dict[int, bytes] = {}
    for step in range(3000):
        if rng.random() < 0.55:
            count, align = rng.choice([(1, 1)] * 8 + [(2, 1), (5, 1), (8, 8), (16, 16)])
            try:
                start = int(phys.alloc(count, align=align))
            except LinuxError:
                assert len(held) > 100  # refused only when it is full or in pieces
            else:
                assert start // PAGE_SIZE % align == 0
                for frame in range(start, start + count * PAGE_SIZE, PAGE_SIZE):
                    assert frame not in held
                    assert phys.read(frame, PAGE_SIZE) == bytes(PAGE_SIZE)
                    held[frame] = step.to_bytes(4, "little")
                    phys.write(frame, held[frame])
        elif held:
            frame = rng.choice(list(held))
            assert phys.read(frame, 4) == held.pop(frame)
            phys.free(frame)
        assert phys.data_frames == len(held)
        if step % 50 == 0:
            phys._check()
    for frame in held:
        phys.free(frame)
