"""Programs that fork, wait, have threads and end in every way: line by line what they print on the host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ..conftest import run_guest, run_host

PROGRAMS = ("forks", "threads", "hostile", "traces")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", PROGRAMS)
def test_processes_and_threads_do_what_they_do_on_the_host(compile_guest: Callable[..., Path], name: str) -> None:
    program = compile_guest(f"torture/{name}", "-w", "-pthread")
    host, ours = run_host(program), run_guest(program, timeout=120)
    assert ours.lines == host.lines
    assert (ours.stderr, ours.status) == (host.stderr, host.status)
    assert not ours.unknown
