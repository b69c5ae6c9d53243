"""Calls that few programs make: what they give, and what comes of them, is the host's, line by line. Of a call that the
host's kernel has not, nothing is compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from ..conftest import GUESTS, run_guest, run_host

NEVER = {"lookup_dcookie", "_sysctl", "uselib", "vserver", "tuxcall", "afs_syscall", "getpmsg", "putpmsg"}
NEVER |= {"security", "nfsservctl", "create_module", "get_kernel_syms", "query_module"}
"""That no kernel has any more is compared, too."""


def _name(line: str) -> str:
    found = re.match(r"(\w+)\(", line)
    assert found is not None, line
    return found[1]


def test_each_gives_what_it_gives_on_the_host(compile_guest: Callable[..., Path], tmp_path: Path) -> None:
    program = compile_guest("latecalls", "-pthread", f"-I{GUESTS}")
    directories = tmp_path / "host" / "work", tmp_path / "ours" / "work"
    for directory in directories:
        directory.mkdir(parents=True)
    host = run_host(program, cwd=directories[0])
    ours = run_guest(program, cwd=directories[1], allow_write=[directories[1]])
    assert (host.status, ours.status) == (0, 0)
    lacks = {_name(line) for line in host.lines if line.endswith(": ENOSYS")} - NEVER
    wanted = [line for line in host.lines if _name(line) not in lacks]
    got = [line for line in ours.lines if _name(line) not in lacks]
    assert len(wanted) > 100
    assert got == wanted
