"""Programs that use sockets, run on the host in a network name space of their own, and here."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ..conftest import ENVIRONMENT, Outcome, run_guest


def _own_network() -> list[str]:
    """What a command is run by so that the host's ports and addresses are not its: only the loopback is there."""
    if os.geteuid() or shutil.which("unshare") is None or shutil.which("ip") is None:
        return []
    prefix = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    return prefix if subprocess.run([*prefix, "true"], capture_output=True).returncode == 0 else []


@pytest.fixture(scope="session")
def own_network() -> list[str]:
    return _own_network()


@pytest.fixture
def both(tmp_path: Path, own_network: list[str]) -> Callable[..., tuple[Outcome, Outcome]]:
    """`both(program, *arguments)`: the outcome on the host and here, each in an empty directory of its own."""

    def run(program: Path, *arguments: str, **options: object) -> tuple[Outcome, Outcome]:
        if not own_network:
            pytest.skip("the host gives no network name space of its own")
        places = [tmp_path / side for side in ("host", "ours")]
        for place in places:
            place.mkdir()
        done = subprocess.run(
            [*own_network, program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=ENVIRONMENT,
            cwd=places[0],
            timeout=60,
        )
        host = Outcome(done.stdout, done.stderr, done.returncode if done.returncode >= 0 else 128 - done.returncode)
        ours = run_guest(program, *arguments, cwd=places[1], allow_write=[places[1]], **options)  # type: ignore[arg-type]
        return host, ours

    return run


@pytest.fixture
def same(compile_guest: Callable[..., Path], both: Callable[..., tuple[Outcome, Outcome]]) -> Callable[..., list[str]]:
    """`same(name)`: the lines that a guest of `guests/net` prints on the host, which are those that it prints here."""

    def run(name: str, *arguments: str) -> list[str]:
        host, ours = both(compile_guest(f"net/{name}", "-w"), *arguments)
        assert ours.stderr == host.stderr
        assert ours.lines == host.lines
        assert ours.status == host.status == 0
        return host.lines

    return run
