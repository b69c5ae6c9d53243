"""Offsets, times and timers at the ends of their range: what the host gives, and never a traceback."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ..conftest import run_guest, run_host


@pytest.fixture
def old_file(tmp_path) -> Path:
    path = tmp_path / "old"
    path.write_bytes(b"")
    os.utime(path, ns=(-315_619_200_000_000_001, -1_500_000_000))
    return path


def test_numbers_at_the_ends_of_their_range_give_the_hosts_results(compile_guest, old_file):
    program = compile_guest("numbers")
    host, ours = run_host(program, old_file), run_guest(program, old_file)
    assert ours.lines == host.lines
    assert ours.status == host.status == 0
    assert len(host.lines) > 400


def test_a_file_older_than_1970_is_listed(old_file):
    command = ("/bin/ls", "-l", "--full-time", old_file)
    host, ours = run_host(*command), run_guest(*command)
    assert (ours.lines, ours.status) == (host.lines, host.status)
    assert b"1969-12-31" in host.stdout
