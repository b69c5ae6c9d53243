"""The seed's checks: their order, what they populate, where a string may end; over a space and over the fake."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Callable
from typing import Any

import pytest

from axptr import (
    PAGE_SIZE,
    AddrSpace,
    FaultReason,
    Layout,
    LinuxError,
    MappingFlags,
    PhysMemory,
    UserFault,
    check_null_terminated,
    check_region,
    check_region_with,
)
from fakes import FakeMemory, PlainProvider

NONE, R, W, X = MappingFlags(0), MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
USER = MappingFlags.USER
BASE = 0x40000
u8, u16, u32, u64 = ctypes.c_uint8, ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64


class Triple(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("a", ctypes.c_uint16), ("b", ctypes.c_uint8)]


def present(space: AddrSpace) -> list[int]:
    return [(at - BASE) // PAGE_SIZE for at in space.resident_pages()]


def raises_fault(reason: FaultReason, address: int, completed: int, call: Callable[[], object]) -> None:
    with pytest.raises(UserFault) as caught:
        call()
    assert (caught.value.reason, caught.value.address, caught.value.completed) == (reason, address, completed)


# -- check_region ----------------------------------------------------------------------------------------------


def test_region_that_passes_is_populated_page_by_page(space: AddrSpace) -> None:
    # |  0  |  1  |  2  |  3  |      two bytes of page 0 up to one byte of page 2
    #     ----------------
    space.map_alloc(BASE, 4 * PAGE_SIZE, R | W)
    check_region(space, BASE + PAGE_SIZE - 2, Layout(PAGE_SIZE + 3), R)
    assert present(space) == [0, 1, 2]


def test_region_that_ends_on_a_page_leaves_the_next_one_alone(space: AddrSpace) -> None:
    space.map_alloc(BASE, 4 * PAGE_SIZE, R | W)
    check_region(space, BASE, Layout(PAGE_SIZE), R)
    assert present(space) == [0]


def test_region_of_nothing_populates_nothing(space: AddrSpace) -> None:
    space.map_alloc(BASE, PAGE_SIZE, R | W)
    check_region(space, BASE, Layout(0), R | W)
    check_region(space, 0, Layout(0, 8), R | W)
    assert present(space) == []


def test_region_with_a_hole_populates_nothing(space: AddrSpace) -> None:
    space.map_alloc(BASE, PAGE_SIZE, R)
    space.map_alloc(BASE + 2 * PAGE_SIZE, PAGE_SIZE, R)
    raises_fault(
        FaultReason.UNMAPPED,
        BASE + PAGE_SIZE,
        PAGE_SIZE,
        lambda: check_region(space, BASE, Layout(3 * PAGE_SIZE), R),
    )
    assert present(space) == []


def test_region_asked_for_writing_is_ready_for_it(space: AddrSpace, phys: PhysMemory) -> None:
    space.map_alloc(BASE, 2 * PAGE_SIZE, R | W)
    check_region(space, BASE, Layout(2 * PAGE_SIZE), W)
    found = space.query(BASE)
    assert found is not None
    assert found[1].has_all(R | W)


def test_region_without_frames_passes_on_enomem_and_keeps_the_pages_done(make_phys: Callable[..., PhysMemory]) -> None:
    phys = make_phys(limit=6 * PAGE_SIZE)  # four tables and two pages
    space = AddrSpace(0x1000, 1 << 40, phys)
    space.map_alloc(BASE, 4 * PAGE_SIZE, R | W)
    with pytest.raises(LinuxError) as caught:
        check_region(space, BASE, Layout(4 * PAGE_SIZE), W)
    assert caught.value.errno == errno.ENOMEM
    assert not isinstance(caught.value, UserFault)
    assert present(space) == [0, 1]
    space._check()


@pytest.mark.parametrize(
    ("area", "asked"),
    [
        (R, R),
        (R | W, R | W),
        (W, W),
        (W, R),  # on x86-64 WRITE grants READ
        (R | X, R | X),
        (X, X),
        (NONE, NONE),
        (R, NONE),
        (R | USER, R | USER),
        (R | W | USER, W),
    ],
    ids=str,
)
def test_region_in_an_area_with_all_of_the_flags_passes(
    space: AddrSpace, area: MappingFlags, asked: MappingFlags
) -> None:
    space.map_alloc(BASE, PAGE_SIZE, area)
    check_region(space, BASE, Layout(8, 8), asked)


@pytest.mark.parametrize(
    ("area", "asked"),
    [(R, W), (R, R | W), (X, R), (X, W), (R, X), (NONE, R), (R, R | USER), (R | USER, W | USER)],
    ids=str,
)
def test_region_in_an_area_without_one_of_the_flags_is_refused(
    space: AddrSpace, area: MappingFlags, asked: MappingFlags
) -> None:
    space.map_alloc(BASE, PAGE_SIZE, area)
    raises_fault(FaultReason.PROTECTION, BASE, 0, lambda: check_region(space, BASE, Layout(8, 8), asked))
    assert present(space) == []


def test_region_is_checked_before_it_is_populated_over_any_memory() -> None:
    memory = FakeMemory()
    memory.map(BASE, 2, R)
    raises_fault(
        FaultReason.UNMAPPED,
        BASE + 2 * PAGE_SIZE,
        2 * PAGE_SIZE,
        lambda: check_region(memory, BASE, Layout(2 * PAGE_SIZE + 1), R),
    )
    raises_fault(
        FaultReason.PROTECTION,
        BASE + 8,
        0,
        lambda: check_region(memory, BASE + 8, Layout(8, 8), R | W),
    )
    assert memory.touched == []
    check_region(memory, BASE + PAGE_SIZE - 1, Layout(2), R)
    assert memory.touched == [BASE, BASE + PAGE_SIZE]


def test_region_populate_error_passes_on_over_any_memory() -> None:
    class Full(FakeMemory):
        def populate_area(self, start: int, size: int, access: MappingFlags) -> None:
            raise LinuxError(errno.ENOMEM, "full")

    memory = Full()
    memory.map(BASE, 1, R)
    with pytest.raises(LinuxError, match="full") as caught:
        check_region_with(PlainProvider(memory), BASE, Layout(1), R)
    assert caught.value.errno == errno.ENOMEM


# -- check_null_terminated: the same over a space and over the fake ---------------------------------------------


class Board:
    """Bytes at pages, over either kind of memory, and which pages were touched."""

    def __init__(self, memory: Any) -> None:
        self.memory = memory

    def lay(self, npages: int, flags: MappingFlags = R, at: int = BASE) -> None:
        if isinstance(self.memory, FakeMemory):
            self.memory.map(at, npages, flags)
        else:
            self.memory.map_alloc(at, npages * PAGE_SIZE, flags)

    def poke(self, vaddr: int, data: bytes) -> None:
        (self.memory.poke if isinstance(self.memory, FakeMemory) else self.memory.write)(vaddr, data)

    def forget(self) -> None:
        if isinstance(self.memory, FakeMemory):
            self.memory.touched.clear()

    def find(self, start: int, T: Any, max_len: int | None = None, access: MappingFlags = R) -> int:
        at, length = check_null_terminated(self.memory, start, T, access, max_len)
        assert at == start
        return length


@pytest.fixture(params=["space", "fake"])
def board(request: pytest.FixtureRequest, phys: PhysMemory) -> Any:
    made = Board(FakeMemory() if request.param == "fake" else AddrSpace(0x1000, 1 << 40, phys))
    yield made
    if request.param == "space":
        made.memory._check()
    request.node.funcargs.clear()


@pytest.mark.parametrize("T", [u8, u16, u32, u64, ctypes.c_char, ctypes.c_double, Triple, u16 * 3])
@pytest.mark.parametrize("length", [0, 1, 2, 900])
def test_length_counts_elements_before_the_first_that_is_all_zero(board: Board, T: Any, length: int) -> None:
    board.lay(4)
    size = ctypes.sizeof(T)
    # An element is not the terminator while one of its bytes is set, the last one here.
    board.poke(BASE, (bytes(size - 1) + b"\1") * length + bytes(size) + b"\7" * 64)
    assert board.find(BASE, T) == length


@pytest.mark.parametrize("size", [1, 2, 4, 8, 3])
def test_terminator_may_be_the_last_element_before_a_hole(board: Board, size: int) -> None:
    T = {1: u8, 2: u16, 4: u32, 8: u64, 3: Triple}[size]
    board.lay(1)
    count = 5
    start = BASE + PAGE_SIZE - count * size
    board.poke(start, b"\1" * (count - 1) * size + bytes(size))
    assert board.find(start, T) == count - 1


@pytest.mark.parametrize("T", [u8, u32])
def test_run_into_a_hole_is_a_fault_at_its_first_byte(board: Board, T: Any) -> None:
    board.lay(2)
    start = BASE + 2 * PAGE_SIZE - 24
    board.poke(start, b"\1" * 24)
    raises_fault(FaultReason.UNMAPPED, BASE + 2 * PAGE_SIZE, 24, lambda: board.find(start, T))


def test_run_into_a_page_without_the_right_is_a_protection_fault(board: Board) -> None:
    board.lay(1, R)
    board.lay(1, NONE, BASE + PAGE_SIZE)
    board.poke(BASE + PAGE_SIZE - 3, b"abc")
    raises_fault(FaultReason.PROTECTION, BASE + PAGE_SIZE, 3, lambda: board.find(BASE + PAGE_SIZE - 3, u8))


def test_element_across_pages_is_one_element(board: Board) -> None:
    # | ... a a' | b' ... |   a Triple starts one byte before the page ends
    board.lay(2)
    start = BASE + PAGE_SIZE - 4
    board.poke(start, b"\1\1\1" + b"\0\0\1" + b"\0\0\0")
    assert board.find(start, Triple) == 2


def test_element_across_a_hole_is_a_fault_where_the_hole_starts(board: Board) -> None:
    board.lay(1)
    start = BASE + PAGE_SIZE - 4
    board.poke(start, b"\1\1\1\0")  # one whole element, then one byte of the next: zero so far
    raises_fault(FaultReason.UNMAPPED, BASE + PAGE_SIZE, 4, lambda: board.find(start, Triple))


def test_hole_is_met_before_the_limit_and_the_limit_before_the_hole(board: Board) -> None:
    board.lay(1)
    start = BASE + PAGE_SIZE - 4
    board.poke(start, b"abcd")
    with pytest.raises(LinuxError) as caught:
        board.find(start, u8, 3)  # four elements are read, all of them there
    assert caught.value.errno == errno.ENAMETOOLONG
    raises_fault(FaultReason.UNMAPPED, BASE + PAGE_SIZE, 4, lambda: board.find(start, u8, 4))
    raises_fault(FaultReason.UNMAPPED, BASE + PAGE_SIZE, 4, lambda: board.find(start, u8, 1 << 70))


@pytest.mark.parametrize("T", [u8, u16, Triple])
@pytest.mark.parametrize("limit", [0, 1, 4, 5000])
def test_limit_of_exactly_the_length_is_enough(board: Board, T: Any, limit: int) -> None:
    board.lay(6)
    size = ctypes.sizeof(T)
    board.poke(BASE, b"\1" * limit * size + bytes(size))
    assert board.find(BASE, T, limit) == limit
    if limit:
        with pytest.raises(LinuxError) as caught:
            board.find(BASE, T, limit - 1)
        assert caught.value.errno == errno.ENAMETOOLONG


def test_misaligned_start_is_refused_before_anything_is_looked_at(board: Board) -> None:
    raises_fault(FaultReason.MISALIGNED, BASE + 2, 0, lambda: board.find(BASE + 2, u32))


def test_no_page_past_the_terminator_is_touched(board: Board) -> None:
    board.lay(3)
    board.poke(BASE + PAGE_SIZE - 1, b"\0")
    board.forget()
    if isinstance(board.memory, AddrSpace):
        assert board.find(BASE + PAGE_SIZE - 1, u8) == 0
        assert present(board.memory) == [0]
    else:
        assert board.find(BASE + PAGE_SIZE - 1, u8) == 0
        assert set(board.memory.touched) == {BASE}


def test_no_page_past_the_limit_is_touched(board: Board) -> None:
    board.lay(3)
    board.poke(BASE, b"x" * PAGE_SIZE)
    board.forget()
    with pytest.raises(LinuxError):
        board.find(BASE, u8, PAGE_SIZE - 1)
    touched = (
        present(board.memory)
        if isinstance(board.memory, AddrSpace)
        else [(at - BASE) // PAGE_SIZE for at in sorted(set(board.memory.touched))]
    )
    assert touched == [0]


def test_scan_asks_each_page_for_the_access(board: Board) -> None:
    board.lay(1, R | W)
    board.lay(1, R, BASE + PAGE_SIZE)
    board.poke(BASE + PAGE_SIZE - 2, b"ab")
    assert board.find(BASE + PAGE_SIZE - 2, u8) == 2
    raises_fault(
        FaultReason.PROTECTION,
        BASE + PAGE_SIZE,
        2,
        lambda: board.find(BASE + PAGE_SIZE - 2, u8, access=R | W),
    )


def test_scan_up_to_the_top_of_the_address_space_ends_in_a_fault(phys: PhysMemory) -> None:
    top = 1 << 64
    space = AddrSpace(top - 0x10000, 0x10000, phys)
    space.map_alloc(top - PAGE_SIZE, PAGE_SIZE, R)
    space.write(top - 6, b"x" * 6)
    for T in (u8, u16, Triple):
        with pytest.raises(UserFault) as caught:
            check_null_terminated(space, top - 6, T, R)
        assert caught.value.reason is FaultReason.OUT_OF_RANGE
    fake = FakeMemory()
    fake.map(top - PAGE_SIZE, 1, R)
    fake.poke(top - 6, b"x" * 6)
    with pytest.raises(UserFault) as caught:
        check_null_terminated(fake, top - 6, u8, R)
    assert caught.value.reason is FaultReason.OUT_OF_RANGE
