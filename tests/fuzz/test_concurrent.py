"""A few of the random concurrent programs, and that the model tells a wrong outcome from a right one."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import concurrent


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return concurrent.build(tmp_path_factory.mktemp("concurrent"))


def test_the_model_knows_lost_updates_waits_and_merged_signals() -> None:
    assert concurrent.outcomes((("R01",), ("R01",))) == {"1 0 0 0/0 0/0 ", "2 0 0 0/0 0/0 "}
    assert concurrent.outcomes((("A01",), ("A01",))) == {"2 0 0 0/0 0/0 "}
    assert concurrent.outcomes((("S01",), ("F00", "L00"))) == {"1 0 0 0/0 1/0 "}
    assert concurrent.outcomes((("W01", "W02"), ("G00",), ("G00",))) == {"0 0 0 0/0 1/0 2/0 ", "0 0 0 0/0 2/0 1/0 "}
    assert concurrent.outcomes((("K10", "K10"), ())) == {"0 0 0 0/0 0/1 ", "0 0 0 0/0 0/2 "}
    assert concurrent.outcomes((("P00",), ("L00",))) is None  # which waits for ever


@pytest.mark.parametrize("first", range(0, 40, 10))
def test_outcomes_of_concurrent_programs_are_allowed(guest: Path, first: int, engine_name: str) -> None:
    engine = "unicorn" if engine_name == "unicorn" else "auto"
    for seed in range(first, first + 10):
        assert not concurrent.check(guest, seed, engine=engine)[2]


@pytest.mark.parametrize("first", [0, 20, 25])
def test_so_they_are_of_runs_that_are_stopped_put_back_and_branched(guest: Path, first: int, engine_name: str) -> None:
    engine = "unicorn" if engine_name == "unicorn" else "auto"
    for seed in range(first, first + 5):
        assert not concurrent.disturbed(guest, seed, engine=engine)[2]
