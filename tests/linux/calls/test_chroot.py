"""chroot, on each kind of tree: what is then the root, and what leads out. The host is right."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from axptr.linux import Tmpfs

from ..conftest import run_guest, run_host


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may")
@pytest.mark.parametrize("tree", ["host", "overlay", "memory"])
def test_a_root_of_ones_own_is_the_hosts(tree: str, compile_guest: Callable[..., Path], tmp_path: Path) -> None:
    program = compile_guest("chroots", "-static")
    places = tmp_path / "host", tmp_path / "ours"
    for place in places:
        place.mkdir()
    host = run_host(program, cwd=places[0])
    if tree == "host":
        ours = run_guest(program, cwd=places[1], allow_write=[places[1]])
    elif tree == "overlay":
        ours = run_guest(program, cwd=places[1], overlay=True)
    else:
        mounts = {str(places[1]): Tmpfs(0o755)}
        ours = run_guest("/bin/sh", "-c", f"cd {places[1]} && exec {program}", mounts=mounts)
    assert ours.lines == host.lines
    assert ours.status == host.status == 0
    assert "chroot 0 " in host.lines
    assert "user -1 EPERM" in host.lines
