"""Memory policies: what is set and told, and what is refused, as on the host, which may have more nodes than one."""

from __future__ import annotations

import os

import pytest

from ..conftest import run_guest, run_host


@pytest.mark.skipif(os.path.exists("/sys/devices/system/node/node1"), reason="the host has more nodes than one")
def test_policies_are_those_of_the_host(compile_guest):
    program = compile_guest("numa")
    host, ours = run_host(program), run_guest(program)
    assert len(host.lines) > 60
    assert ours.lines == host.lines
