"""A short run of `tests.fuzz.saved`; see there for the long one."""

from __future__ import annotations

from .saved import Original, check


def test_what_makes_no_sense_in_a_file_is_told_as_that_wherever_it_is_met(tmp_path):
    original = Original(tmp_path)
    assert "".join(check(original, seed) for seed in range(120)) == ""
