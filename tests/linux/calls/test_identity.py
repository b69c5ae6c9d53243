"""Becoming somebody else: ids, groups and capabilities as the host gives them, from root on."""

from __future__ import annotations

import os

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
