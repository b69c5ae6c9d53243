"""What suites that others wrote found (`docs/programs.md` names them): one program for all of it, the host is right."""

from __future__ import annotations

import pytest

from .conftest import run_guest, run_host


def test_what_suites_of_others_found_is_as_on_the_host(compile_guest, tmp_path):
    program = compile_guest("foreign")
    host = run_host(program, cwd=tmp_path)
    ours = run_guest(program, cwd=tmp_path, allow_write=[tmp_path])
    wanted, found = host.lines, ours.lines
    if "number 5: -1 Operation not permitted, ended 0" in wanted:  # root of a container may not choose numbers
        wanted, found = ([line for line in lines if "number" not in line] for lines in (wanted, found))
    assert found == wanted
    assert (ours.status, host.status) == (0, 0)
    assert len(host.lines) > 150


def test_calls_that_a_filter_has_stop_for_the_tracer_are_as_on_the_host(compile_guest, tmp_path):
    program = compile_guest("filterevents")
    host = run_host(program, cwd=tmp_path)
    ours = run_guest(program, cwd=tmp_path, allow_write=[tmp_path])
    assert ours.lines == host.lines
    assert (ours.status, host.status) == (0, 0)
    assert sum("event 7" in line for line in host.lines) > 100


@pytest.mark.parametrize("name", ["locked", "badvectors", "placeheld"])
def test_programs_made_of_what_suites_found_are_as_on_the_host(compile_guest, tmp_path, name):
    program = compile_guest(name)
    host = run_host(program, cwd=tmp_path)
    ours = run_guest(program, cwd=tmp_path, allow_write=[tmp_path])
    assert ours.lines == host.lines
    assert (ours.status, host.status) == (0, 0)
    assert len(host.lines) > 15
