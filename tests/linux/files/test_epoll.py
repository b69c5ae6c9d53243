"""epoll and eventfd, against the host's: one program's answers, line by line."""

from __future__ import annotations

import pytest

from ..conftest import run_guest, run_host


def test_a_program_that_asks_epoll_and_eventfd_everything_gets_the_hosts_answers(compile_guest):
    program = compile_guest("epoll")
    ours, host = run_guest(program), run_host(program)
    assert ours.lines == host.lines
    assert (ours.status, host.status) == (0, 0)
    assert len(host.lines) > 150


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_random_calls_over_sets_give_the_hosts_answers_in_its_order(compile_guest, seed, nested):
    """Eventfds, pipes, epolls in epolls; by level, by edge, once, exclusively; duplicated and closed."""
    program = compile_guest("epoll")
    words = [str(seed), "1500", *["nested"] * nested]
    ours, host = (run(program, *words) for run in (run_guest, run_host))
    assert ours.lines == host.lines
    assert sum(" (0)" not in line for line in host.lines if line.startswith("wait")) > 20
