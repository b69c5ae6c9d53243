"""A path is read once: what was judged of it is what the host sees, whoever writes to it meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from axptr.linux import Tmpfs

from ..conftest import run_guest

CALLS = ["stat", "listxattr", "open"]


def test_a_name_that_another_cpu_writes_to_leads_beneath_no_mount(
    compile_guest: Callable[..., Path], tmp_path: Path
) -> None:
    """By the name of a mount point the host would show what lies beneath: calls in compiled code are not to give it one
    that was looked at as another."""
    vault = tmp_path / "vault"
    vault.mkdir(mode=0o000)
    (vault / "below").touch()
    try:
        os.setxattr(vault, "security.below" if os.geteuid() == 0 else "user.below", b"")
    except OSError:
        pass  # one way less to see it
    program = compile_guest("fetched", "-static")
    options = {"engine": "native", "engine_jobs": 2, "mounts": {str(vault): Tmpfs()}, "cwd": tmp_path}
    done = run_guest(program, timeout=300, **options)
    assert done.lines == [f"{call} found what is mounted" for call in CALLS], done
