"""Reads of a file of the host's give here what they give there: at once, by the handler alone, mapped or not."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from axptr.linux import Process

from ..conftest import run_guest, run_host


@pytest.fixture(scope="session")
def program(compile_guest: Callable[..., Path]) -> Path:
    return compile_guest("reads", "-static")


def alone(process: Process) -> None:
    """Have every call served by its handler: nothing at once."""
    process.kernel.guard = lambda syscall, call: getattr(call, "plain", call)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("watch", [None, alone], ids=["at once", "handlers"])
def test_random_reads_give_what_they_give_on_the_host(
    program: Path, seed: int, watch: Callable[[Process], None] | None, tmp_path: Path
) -> None:
    data = random.Random(seed).randbytes(100_000)
    for side in ("host", "ours"):
        (tmp_path / side).write_bytes(data)
    theirs = run_host(program, tmp_path / "host", str(seed), "400")
    ours = run_guest(program, tmp_path / "ours", str(seed), "400", allow_write=[tmp_path], watch=watch)
    assert (ours.status, theirs.status) == (0, 0), ours.stderr
    different = [(a, b) for a, b in zip(theirs.lines, ours.lines, strict=True) if a != b]
    assert not different, different[:3]
    assert (tmp_path / "host").read_bytes() == (tmp_path / "ours").read_bytes()
