"""Which fault an access gives: reason, first bad byte, bytes done; and what its message says."""

from __future__ import annotations

import ctypes

import pytest

from axptr import PAGE_SIZE, AddrSpace, FaultReason, MappingFlags, PhysMemory, UserConstPtr, UserFault, UserPtr

NONE, R, W, X = MappingFlags(0), MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE
BASE = 0x100000
TOP = 1 << 64


@pytest.fixture
def board(space: AddrSpace) -> AddrSpace:
    """| rw- data | r-- text | --- guard | hole | rw- |"""
    space.map_alloc(BASE, PAGE_SIZE, R | W, name="data")
    space.map_alloc(BASE + PAGE_SIZE, PAGE_SIZE, R, name="/lib/text.so")
    space.map_alloc(BASE + 2 * PAGE_SIZE, PAGE_SIZE, NONE)
    space.map_alloc(BASE + 4 * PAGE_SIZE, PAGE_SIZE, R | W)
    return space


@pytest.mark.parametrize(
    ("start", "size", "write", "reason", "page", "cause"),
    [
        (-4, 8, False, FaultReason.UNMAPPED, None, "is not mapped; nearest is 0x100000-0x101000 rw-p data"),
        (0xFFC, 8, True, FaultReason.PROTECTION, 1, "is mapped r--p (text.so), write not permitted"),
        (0x1FFC, 8, False, FaultReason.PROTECTION, 2, "is mapped ---p, read not permitted"),
        (0x3000, 8, True, FaultReason.UNMAPPED, 3, "is not mapped"),
        (0x4FFC, 8, True, FaultReason.UNMAPPED, 5, "ending 0x1 below"),
    ],
)
def test_fault_of_a_range_is_that_of_its_first_bad_byte(
    board: AddrSpace, start: int, size: int, write: bool, reason: FaultReason, page: int | None, cause: str
) -> None:
    address = BASE + start
    first_bad = address if page is None else BASE + page * PAGE_SIZE
    first_bad = max(first_bad, address)
    p = UserPtr[ctypes.c_char](address)
    with pytest.raises(UserFault) as caught:
        p.write_slice(board, b"x" * size) if write else p.read_slice(board, size)
    fault = caught.value
    assert (fault.reason, fault.address, fault.completed, fault.size) == (
        reason,
        first_bad,
        first_bad - address,
        size,
    )
    assert fault.access == (W if write else R)
    verb = "write" if write else "read"
    assert str(fault).startswith(
        f"[Errno 14] {verb} of {size} bytes at {address:#x}: page {first_bad & -PAGE_SIZE:#x} "
    )
    assert cause in str(fault)
    if fault.completed:
        assert str(fault).endswith(f"{fault.completed} bytes before it are good")


def test_misaligned_says_so_and_nothing_of_pages(board: AddrSpace) -> None:
    with pytest.raises(UserFault) as caught:
        UserPtr[ctypes.c_uint32](BASE + 1).read(board)
    assert str(caught.value) == "[Errno 14] c_uint: read of 4 bytes at 0x100001: the address is misaligned"


def test_outside_of_the_space_says_so(board: AddrSpace) -> None:
    with pytest.raises(UserFault) as caught:
        UserPtr[ctypes.c_ubyte](1 << 62).write(board, 1)
    assert str(caught.value) == (
        "[Errno 14] write of 1 byte at 0x4000000000000000: 0x4000000000000000 is outside the address space"
    )


def test_out_of_the_end_of_the_space_is_told_at_its_first_byte_outside(phys: PhysMemory) -> None:
    space = AddrSpace(0x10000, 4 * PAGE_SIZE, phys)
    space.map_alloc(0x10000, 4 * PAGE_SIZE, R | W)
    with pytest.raises(UserFault) as caught:
        UserPtr[ctypes.c_char](0x14000 - 3).read_slice(space, 8)
    assert (caught.value.reason, caught.value.address, caught.value.completed) == (
        FaultReason.OUT_OF_RANGE,
        0x14000,
        3,
    )
    done = UserPtr[ctypes.c_char](0x14000 - 3).copy_out(space, b"12345678")
    assert (done, done.fault.reason, done.fault.address) == (3, FaultReason.OUT_OF_RANGE, 0x14000)


def test_partial_copy_up_to_the_very_top_stops_there(phys: PhysMemory) -> None:
    space = AddrSpace(TOP - 0x10000, 0x10000, phys)
    space.map_alloc(TOP - PAGE_SIZE, PAGE_SIZE, R | W)
    space.write(TOP - 8, b"the end!")
    buffer = bytearray(16)
    done = UserPtr[ctypes.c_char](TOP - 8).copy_in(space, buffer)
    assert (done, buffer[:8]) == (8, b"the end!")
    assert done.fault.reason is FaultReason.OUT_OF_RANGE
    assert done.fault.completed == 8
    assert UserPtr[ctypes.c_char](TOP - 8).copy_out(space, b"x" * 16) == 8
    assert "2**64" in str(done.fault)
    # A strict one that would wrap has done nothing.
    with pytest.raises(UserFault) as caught:
        UserPtr[ctypes.c_char](TOP - 8).write_slice(space, b"y" * 16)
    assert caught.value.reason is FaultReason.OUT_OF_RANGE
    assert space.read(TOP - 8, 8) == b"x" * 8


def test_text_up_to_the_very_top_is_a_fault_that_counts_its_bytes(phys: PhysMemory) -> None:
    space = AddrSpace(TOP - 0x10000, 0x10000, phys)
    space.map_alloc(TOP - 0x10000, 0x10000, R | W)
    for length in (1, 8, PAGE_SIZE + 5):
        space.write(TOP - length, b"z" * length)
        with pytest.raises(UserFault) as caught:
            UserConstPtr[ctypes.c_char](TOP - length).get_as_str(space)
        assert caught.value.reason is FaultReason.OUT_OF_RANGE
        assert caught.value.completed == length


def test_fault_built_on_demand_finds_the_cause_by_looking(board: AddrSpace) -> None:
    assert board.fault(BASE, W).reason is FaultReason.BACKING_FAILED  # the access would have been fine
    assert board.fault(BASE + PAGE_SIZE, W).reason is FaultReason.PROTECTION
    assert board.fault(BASE + 3 * PAGE_SIZE, R).reason is FaultReason.UNMAPPED
    assert board.fault(0, X).reason is FaultReason.OUT_OF_RANGE
    assert board.fault(TOP - 1, X, size=8, completed=3).completed == 3


def test_fault_names_what_an_execution_wanted(board: AddrSpace) -> None:
    assert "execution not permitted" in str(board.fault(BASE, X))


def test_nearest_area_is_the_nearer_one(board: AddrSpace) -> None:
    # hole at pages 3 and 5: page 3 lies between guard and rw-
    low, high = board.fault(BASE + 3 * PAGE_SIZE, R), board.fault(BASE + 4 * PAGE_SIZE - 1, R)
    assert low.area is not None
    assert high.area is not None
    assert low.area.start == BASE + 2 * PAGE_SIZE
    assert high.area.start == BASE + 4 * PAGE_SIZE
