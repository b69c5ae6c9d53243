"""A short run of `tests.fuzz.saved`; see there for the long one."""

from __future__ import annotations

from .saved import Original, check, check_made


def test_what_makes_no_sense_in_a_file_is_told_as_that_wherever_it_is_met(tmp_path):
    original = Original(tmp_path)
    assert "".join(check(original, seed) for seed in range(120)) == ""


def test_what_compiled_code_works_with_and_is_not_there_is_told_of(tmp_path):
    """Where it has None for an object of a compiled class, it looks before it takes something of it."""
    original = Original(tmp_path)
    made = list(original.without_core())
    assert len(made) > 10
    assert "".join(check_made(original, told, data) for told, data in made) == ""
