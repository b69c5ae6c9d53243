"""Pseudo-terminals and their line discipline do with every byte what the host's do, line by line."""

from __future__ import annotations

from ..conftest import run_guest
from ..signals.test_kill import host_lines


def test_both_ends_of_a_pty_show_what_the_host_shows(compile_guest):
    program = compile_guest("pty", "-static")
    ours = run_guest(program)
    for pace in ("1", "1", "5", "20"):  # the host moves bytes when it finds time (flush_to_ldisc)
        host = host_lines(program, pace)
        if ours.lines == host:
            break
    assert len(host) > 200
    assert ours.lines == host
    assert ours.unknown == {}


def test_sessions_and_jobs_have_a_terminal_as_on_the_host(compile_guest):
    program = compile_guest("jobs", "-static")
    host, ours = host_lines(program), run_guest(program)
    assert len(host) > 60
    assert ours.lines == host
    assert ours.unknown == {}
