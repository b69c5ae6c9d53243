"""Whose turn it is: who was woken does not wait behind those who only compute, and takes no more than its part of the
time from them.

What is counted are turns and CPU time; with a seed, where time passes with the work, also how late somebody is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import engines
from axptr.linux import PIPE, Linux, MachineSnapshot

from ..conftest import run_guest

needs_native = pytest.mark.skipif(engines.missing("native") is not None, reason="the native engine cannot run here")
JOBS = [1, pytest.param(2, marks=needs_native)]
SLICE = 4_000_000


def told(program: Path, kind: str, tasks: int, milliseconds: int = 1, **options: object) -> list[int]:
    return [int(word) for word in run_guest(program, kind, str(tasks), str(milliseconds), **options).stdout.split()]


@pytest.fixture
def turns(compile_guest: Callable[..., Path]) -> Path:
    return compile_guest("turns", "-O1", "-static", "-pthread")


@pytest.mark.parametrize("kind", ["futex", "pipe"])
@pytest.mark.parametrize("jobs", JOBS)
def test_who_hands_on_a_word_or_a_byte_does_not_wait_for_a_slice_of_each_that_computes(
    turns: Path, kind: str, jobs: int
) -> None:
    hops, lost = told(turns, kind, 3, **({"engine": "native", "engine_jobs": jobs} if jobs > 1 else {}))
    assert lost < hops  # one behind another it is three times as many


@pytest.mark.parametrize("seed", [1, 2])
def test_who_computes_loses_few_turns_of_a_whole_slice_to_those_who_hand_on(turns: Path, seed: int) -> None:
    hops, lost = told(turns, "futex", 3, seed=seed)
    assert 0 < lost < hops / 20


@needs_native
def test_who_computes_has_its_part_beside_many_who_hand_on(turns: Path) -> None:
    part, *hops = told(turns, "pairs", 1, 100, engine="native")
    assert part > 1000 / 9 / 2  # one of nine that can run at a time
    assert min(hops) > max(hops) / 20


@pytest.mark.parametrize("tasks", [1, 3])
def test_who_sleeps_at_the_right_moments_has_no_more_than_half_and_who_computes_no_more_than_their_part(
    turns: Path, tasks: int
) -> None:
    (part,) = told(turns, "doze", tasks, 20, seed=1)
    assert 450 < part < tasks * 1000 / (tasks + 1) * 1.1


def test_who_sleeps_is_there_in_time_whoever_computes(turns: Path) -> None:
    (worst,) = told(turns, "late", 3, seed=1)
    assert worst < SLICE / 100


def test_who_is_woken_by_one_that_computes_waits_for_a_part_of_its_slice(turns: Path) -> None:
    (worst,) = told(turns, "woken", 3, seed=1)
    assert SLICE / 16 < worst < SLICE / 4


def test_who_gives_its_turn_up_goes_behind_those_who_compute(turns: Path) -> None:
    (part,) = told(turns, "yield", 2, 20, seed=1)
    assert part > 900


@pytest.mark.parametrize(
    ("kind", "least", "most"), [("nice", 850, 990), ("nicei", 850, 990), ("niceb", 400, 600), ("niceo", 400, 600)]
)
def test_who_is_nice_or_idle_has_little_beside_one_that_is_not_and_batches_have_their_part(
    turns: Path, kind: str, least: int, most: int
) -> None:
    (part,) = told(turns, kind, 2, 40, seed=1)
    assert least < part < most


def rest_of(machine: Linux) -> bytes:
    process = machine.process()
    assert process.wait(500).status == 0
    assert process.stdout is not None
    return process.stdout.take()


@pytest.mark.parametrize("steps", [60, 131, 156])
def test_with_a_seed_every_copy_has_the_same_turns_from_here(turns: Path, tmp_path: Path, steps: int) -> None:
    argv = [str(turns), "mixed", "2", "20"]
    with Linux(seed=3, engine="unicorn") as machine:
        machine.spawn(argv, stdout=PIPE)
        whole = rest_of(machine)
    with Linux(seed=3, engine="unicorn") as machine:
        machine.spawn(argv, stdout=PIPE)
        for _ in range(steps):
            assert machine.step()
        queue = machine.machine.loop.queue
        assert len(queue.all) > 1
        queue._check()
        snap = machine.snapshot()
        snap.save(tmp_path / "machine")
        wanted = rest_of(machine)
        assert wanted == whole  # the ends of the runs have changed nothing
        machine.restore(snap)
        assert rest_of(machine) == wanted
        for made in (snap, MachineSnapshot.load(tmp_path / "machine")):
            with Linux.from_snapshot(made) as copy:
                assert rest_of(copy) == wanted
