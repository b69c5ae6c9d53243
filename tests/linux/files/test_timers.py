"""timerfd, signalfd and the timers of timer_create give a program what the host's kernel gives it, line by line."""

from __future__ import annotations

from ..conftest import run_guest, run_host


def test_timers_and_signals_by_a_descriptor_are_those_of_the_host(compile_guest):
    program = compile_guest("timers", "-static")
    host, ours = run_host(program), run_guest(program)
    assert len(host.lines) > 100
    assert ours.lines == host.lines
    assert ours.unknown == {}
