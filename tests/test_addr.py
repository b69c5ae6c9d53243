"""Addresses and ranges: no arithmetic wraps, the top of the 64 bits included."""

from __future__ import annotations

import pytest

from axptr import PAGE_SIZE, PhysAddr, VirtAddrRange, align_down, align_up, is_aligned
from axptr.addr import ADDRESS_END, checked_address, checked_size

TOP = ADDRESS_END


@pytest.mark.parametrize(
    ("value", "down", "up"),
    [
        (0, 0, 0),
        (1, 0, 0x1000),
        (0xFFF, 0, 0x1000),
        (0x1000, 0x1000, 0x1000),
        (0x1001, 0x1000, 0x2000),
        (TOP - 1, TOP - 0x1000, TOP),  # may reach 2**64, never wraps to 0
    ],
)
def test_align_rounds_to_the_page(value: int, down: int, up: int) -> None:
    assert align_down(value) == down
    assert align_up(value) == up
    assert is_aligned(value) == (value == down)


def test_align_takes_any_power_of_two() -> None:
    assert align_up(0x1234, 1) == 0x1234
    assert align_down(0x3FFFFF, 1 << 21) == 0x200000
    assert is_aligned(0x40, 64)
    assert not is_aligned(0x41, 64)


@pytest.mark.parametrize("align", [0, 3, -4096, 4097])
def test_align_by_no_power_of_two_is_refused(align: int) -> None:
    for function in (align_down, align_up, is_aligned):
        with pytest.raises(ValueError, match="not a power of two"):
            function(0x1000, align)


def test_range_holds_its_start_and_not_its_end() -> None:
    r = VirtAddrRange(0x1000, 0x3000)
    assert r.size == 0x2000
    assert 0x1000 in r
    assert 0x2FFF in r
    assert 0x3000 not in r
    assert 0xFFF not in r
    assert "0x1000" not in r
    assert not r.is_empty


def test_range_may_end_at_two_to_the_64_and_not_past_it() -> None:
    assert VirtAddrRange(TOP - 1, TOP).size == 1
    assert VirtAddrRange.from_start_size(0, TOP).end == TOP
    with pytest.raises(ValueError, match=r"past 2\*\*64"):
        VirtAddrRange(TOP - 1, TOP + 1)
    with pytest.raises(ValueError, match=r"past 2\*\*64"):
        VirtAddrRange.from_start_size(TOP - 1, 2)
    with pytest.raises(ValueError, match="unsigned 64-bit"):
        VirtAddrRange(TOP, TOP)


def test_range_that_runs_backwards_or_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="backwards"):
        VirtAddrRange(0x2000, 0x1000)
    with pytest.raises(ValueError, match="unsigned 64-bit"):
        VirtAddrRange(-1, 0x1000)
    with pytest.raises(ValueError, match="negative"):
        VirtAddrRange.from_start_size(0x1000, -1)


@pytest.mark.parametrize(
    ("first", "second", "overlaps", "contains"),
    [
        # 0x10     0x20     0x30     0x40
        #  |--first--|
        ((0x10, 0x20), (0x20, 0x30), False, False),  # meet, share no byte
        ((0x10, 0x20), (0x1F, 0x30), True, False),
        ((0x10, 0x40), (0x20, 0x30), True, True),
        ((0x20, 0x30), (0x10, 0x40), True, False),
        ((0x10, 0x20), (0x10, 0x20), True, True),
        ((0x10, 0x20), (0x18, 0x18), False, True),  # an empty range shares no byte
    ],
)
def test_overlap_and_containment(
    first: tuple[int, int], second: tuple[int, int], overlaps: bool, contains: bool
) -> None:
    a, b = VirtAddrRange(*first), VirtAddrRange(*second)
    assert a.overlaps(b) is overlaps
    assert b.overlaps(a) is overlaps
    assert a.contains_range(b) is contains


def test_pages_of_a_range_are_those_that_hold_a_byte_of_it() -> None:
    assert list(VirtAddrRange(0x1FFF, 0x3001).pages()) == [0x1000, 0x2000, 0x3000]
    assert list(VirtAddrRange(0x1000, 0x2000).pages()) == [0x1000]
    assert list(VirtAddrRange(0x1800, 0x1800).pages()) == []
    assert list(VirtAddrRange(TOP - 1, TOP).pages()) == [TOP - PAGE_SIZE]


def test_ranges_compare_by_value_and_print_in_hex() -> None:
    assert VirtAddrRange(1, 2) == VirtAddrRange.from_start_size(1, 1)
    assert VirtAddrRange(1, 2) < VirtAddrRange(1, 3) < VirtAddrRange(2, 2)
    assert len({VirtAddrRange(1, 2), VirtAddrRange(1, 2)}) == 1
    assert repr(VirtAddrRange(0x1000, 0x2000)) == "VirtAddrRange(0x1000, 0x2000)"
    with pytest.raises(AttributeError):
        VirtAddrRange(1, 2).start = 5  # type: ignore[misc]


def test_phys_addr_stays_one_under_arithmetic() -> None:
    p = PhysAddr(0x1000)
    assert type(p + 0x1000) is PhysAddr
    assert type(p - 0x1000) is PhysAddr
    assert (p + 0x234, p - 0x1000) == (0x1234, 0)
    assert repr(p) == "PhysAddr(0x1000)"
    with pytest.raises(ValueError, match="unsigned 64-bit"):
        p - 0x1001
    with pytest.raises(ValueError, match="unsigned 64-bit"):
        PhysAddr(TOP)


def test_checked_numbers_tell_wrong_type_from_wrong_value() -> None:
    class Index:
        def __index__(self) -> int:
            return 7

    assert checked_address(Index()) == 7
    assert checked_size(TOP * 5) == TOP * 5
    for wrong in (1.5, "1", None, b"1"):
        with pytest.raises(TypeError, match="must be an integer"):
            checked_address(wrong)
        with pytest.raises(TypeError, match="must be an integer"):
            checked_size(wrong)
    for bad in (-1, TOP):
        with pytest.raises(ValueError, match="unsigned 64-bit"):
            checked_address(bad)
