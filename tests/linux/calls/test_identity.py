"""Becoming somebody else: ids, groups and capabilities as the host gives them, from root on."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from ..conftest import run_guest, run_host


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_who_is_left_after_each_call_is_who_the_host_leaves(compile_guest, tmp_path) -> None:
    program = compile_guest("identity", "-w")
    host, ours = run_host(program, cwd=tmp_path), run_guest(program)
    assert ours.lines == host.lines
    assert ours.status == host.status
    assert len(host.lines) > 700
    assert any("EPERM" in line for line in host.lines)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_who_may_look_into_whom_is_as_on_the_host(compile_guest) -> None:
    """A copy of the program where everybody may run it: the test's directory is root's alone."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        program = Path(shutil.copy(compile_guest("looking"), place))
        program.chmod(0o755)
        host, ours = run_host(program, program, cwd=place), run_guest(program, program)
    assert ours.lines == host.lines
    assert ours.status == host.status == 0
    assert len(host.lines) > 300
