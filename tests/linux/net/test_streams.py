"""Random calls over streams, pipes, epolls and polls: the same lines by the short way, by the general one and on the
host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from axptr._core.kernel.fields import take_shortcuts

from ..conftest import Outcome, run_guest, run_host

STEPS = "800"


@pytest.fixture
def program(compile_guest: Callable[..., Path]) -> Iterator[Path]:
    yield compile_guest("streams", "-static", "-pthread")
    take_shortcuts(True)


def ways(program: Path, *words: str) -> tuple[Outcome, Outcome]:
    """What it comes to by the short way, and by the general one."""
    found = []
    for on in (True, False):
        take_shortcuts(on)
        found.append(run_guest(program, *words))
    return found[0], found[1]


@pytest.mark.parametrize("seed", ["3", "4", "9", "121"])
def test_random_calls_come_to_what_they_come_to_on_the_host(program: Path, seed: str) -> None:
    """As far as no buffer of the host's is full, whose size is the host's affair."""
    (short, general), host = ways(program, seed, STEPS), run_host(program, seed, STEPS)
    assert short.lines == host.lines
    assert general.lines == host.lines
    assert sum(": 0" not in line for line in host.lines if " read " in line) > 20


@pytest.mark.parametrize("seed", ["1", "2"])
def test_with_full_buffers_both_ways_come_to_the_same(program: Path, seed: str) -> None:
    short, general = ways(program, seed, STEPS, "full")
    assert short.lines == general.lines


@pytest.mark.parametrize("seed", ["1", "2", "3", "4"])
def test_clients_that_wait_are_served_by_one_that_waits(program: Path, seed: str) -> None:
    """Whoever runs when: what each gets is what it sent."""
    short, general = ways(program, seed, "40", "echo")
    host = run_host(program, seed, "40", "echo")
    assert short.lines == host.lines
    assert general.lines == host.lines
    assert host.lines[-1] == "server: 0"
