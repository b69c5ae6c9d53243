"""The host's view: one module asks the host for clocks, identities, names and random bytes, and nobody else."""

from __future__ import annotations

import ast
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import axptr.linux
from axptr.errors import LinuxError
from axptr.linux.host import HostView
from axptr.linux.machine import Machine

ROOT = Path(axptr.linux.__file__).parent
MODULES = {"time", "resource", "platform", "socket", "random", "secrets", "datetime", "getpass", "pwd", "locale"}
"""Modules that tell of the host, or of the moment."""
OF_OS = {
    "cpu_count", "getegid", "geteuid", "getgid", "getgroups", "getgrouplist", "getloadavg", "getlogin", "getpgid",
    "getpgrp", "getpid", "getppid", "getpriority", "getrandom", "getresgid", "getresuid", "getsid", "getuid",
    "sched_getaffinity", "sched_getscheduler", "sysconf", "times", "umask", "uname", "urandom",
}  # fmt: skip
HOSTCALLS = {"alarm_refused", "getauxval", "getrlimit", "prctl"}


def questions(source: str) -> Iterator[str]:
    """What a module asks the host for, past its view."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            module = (node.module or "").split(".")[0]
            if module in MODULES:
                yield module
            if module == "os":
                yield from (a.name for a in node.names if a.name in OF_OS)
            if module == "uuid":
                yield from (a.name for a in node.names if a.name.startswith("uuid"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").endswith("hostcalls"):
            yield from (a.name for a in node.names if a.name in HOSTCALLS)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in ("os", "posix") and node.attr in OF_OS:
                yield f"os.{node.attr}"
            if node.value.id == "hostcalls" and node.attr in HOSTCALLS:
                yield f"hostcalls.{node.attr}"


def test_the_reader_sees_every_spelling() -> None:
    spellings = {
        "import time": "time",
        "def f():\n    import time as t": "time",
        "from time import monotonic": "time",
        "from os import getpid": "getpid",
        "import os\nx = os.urandom": "os.urandom",
        "import os\nos.sysconf('SC_PAGESIZE')": "os.sysconf",
        "from uuid import uuid4": "uuid4",
        "hostcalls.prctl(1)": "hostcalls.prctl",
        "from ..._core.host.hostcalls import getrlimit": "getrlimit",
    }
    for source, found in spellings.items():
        assert list(questions(source)) == [found], source
    assert not list(questions("from .calls import time\nimport os\nos.read(0, 1)\nfrom uuid import UUID"))


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_only_the_view_asks_the_host(path: Path) -> None:
    found = list(questions(path.read_text()))
    if path == ROOT / "net" / "outside.py":  # where a program's communication leaves the machine
        assert found == ["socket"]
    else:
        views = ROOT / "host.py", ROOT / "snapshots" / "view.py"  # the host as it is, and as it goes on
        assert bool(found) == (path in views), found


def test_the_host_as_it_is() -> None:
    view = HostView()
    assert view.leads == (os.getpgrp() == os.getpid(), os.getsid(0) == os.getpid())
    assert view.shown_group(os.getpgrp()) == view.pgid
    assert (view.shown_group(os.getpgrp() + 1), view.shown_group(0)) == (1, 0)
    assert (view.uids, view.gids, view.groups) == (os.getresuid(), os.getresgid(), os.getgroups())
    assert (view.uid, view.euid, view.gid, view.egid) == (os.getuid(), os.geteuid(), os.getgid(), os.getegid())
    assert tuple(view.uname) == tuple(os.uname())[:4]
    assert view.memory_size == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert len(view.random(33)) == 33
    assert view.random(16) != view.random(16)
    before = time.monotonic_ns()
    assert before <= view.monotonic_ns() <= view.monotonic() * 1e9 + 1e3 <= time.monotonic_ns() + 2e3
    assert abs(view.realtime_ns() - time.time_ns()) < 10**9
    assert view.clock_ns(time.CLOCK_BOOTTIME) <= view.boottime_ns()
    assert view.resolution_ns(time.CLOCK_REALTIME) == round(time.clock_getres(time.CLOCK_REALTIME) * 1e9)
    with pytest.raises(LinuxError, match="Invalid"):
        view.clock_ns(77)
    before = time.thread_time_ns()
    total, user = view.cpu_ns()
    assert before <= total <= time.thread_time_ns()
    assert user > 0  # which the host counts apart: it may be ahead


def test_each_machine_has_a_view_of_its_own() -> None:
    assert Machine().host is not Machine().host
