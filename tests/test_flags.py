"""MappingFlags: one test for "has all of", and how they print."""

from __future__ import annotations

import pytest

from axptr import MappingFlags

R, W, X = MappingFlags.READ, MappingFlags.WRITE, MappingFlags.EXECUTE


def test_has_all_wants_every_flag() -> None:
    assert (R | W).has_all(R)
    assert (R | W).has_all(R | W)
    assert not R.has_all(R | W)
    assert not W.has_all(R)


def test_no_flags_are_a_valid_mapping_and_every_mapping_has_all_of_none() -> None:
    assert MappingFlags(0).has_all(MappingFlags(0))
    assert R.has_all(MappingFlags(0))
    assert not MappingFlags(0).has_all(R)


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (MappingFlags(0), "---"),
        (R, "r--"),
        (R | X, "r-x"),
        (W, "-w-"),
        (R | W | X | MappingFlags.USER | MappingFlags.DEVICE, "rwx"),
    ],
)
def test_rwx_reads_like_proc_maps(flags: MappingFlags, text: str) -> None:
    assert flags.rwx == text


def test_bits_are_distinct_and_fixed() -> None:
    assert [int(flag) for flag in MappingFlags] == [1, 2, 4, 8, 16, 32]


def test_a_bit_that_is_no_flag_is_refused() -> None:
    with pytest.raises(ValueError, match="invalid value 64"):
        MappingFlags(64)


@pytest.mark.parametrize("wrong", ["r", None, b"\1", 1.5])
def test_what_is_no_number_is_a_type_error(wrong: object) -> None:
    with pytest.raises(TypeError):
        MappingFlags(wrong)
