"""Hardware break- and watchpoints as a tracer sets them: a tracer's every line is the host's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..conftest import run_guest, run_host

ENGINES = ("unicorn", "native")


def test_a_tracer_sees_what_it_sees_on_the_host(compile_guest: Callable[..., Path], engine_name: str) -> None:
    program = compile_guest("debugregs", "-O1", "-pthread")
    host = run_host(program)
    ours = run_guest(program, engine=engine_name)
    assert len(host.lines) > 300
    assert ours.lines == host.lines
    assert ours.status == host.status
