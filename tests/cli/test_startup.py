"""What a short run pays for: the modules that `axptr run` loads. Time itself is measured in `bench`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import axptr

from .conftest import ENVIRONMENT

ALLOWED = (
    "bisect", "collections.abc", "contextlib", "ctypes", "enum", "errno", "fcntl", "functools", "gc", "heapq",
    "itertools", "mmap", "os", "resource", "select", "stat", "struct", "sys", "time", "types",
    "warnings", "weakref",
)  # fmt: skip
"""Those of the standard library that are worth their price in a run of `/bin/true`. Load others where they are used."""


def loaded(*arguments: str) -> set[str]:
    """The modules that a Python with these arguments loads."""
    command = [sys.executable, "-X", "importtime", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


def test_a_run_that_does_nothing_loads_no_module_but_those_that_are_worth_it() -> None:
    script = "from axptr.cli.main import main; main()"
    ours = loaded("-c", script, "run", "--", "/bin/true")
    assert "axptr.linux.personality" in ours
    needed = loaded("-c", "import " + ", ".join(ALLOWED))
    surplus = {name for name in ours - needed if name.partition(".")[0] != "axptr"}
    assert surplus <= {"__future__"}


def test_the_parts_for_traces_reports_and_other_guests_are_left_out_of_a_run_that_needs_none() -> None:
    ours = loaded("-m", "axptr", "run", "--", "/bin/true")
    assert not ours & {
        "axptr.cli.strace", "axptr.cli.death", "axptr.cli.summary", "axptr.engine.branches", "axptr.mm.picture",
        "axptr.mm.snapshots.file", "axptr.forms.foreign", "axptr.forms.arrays", "axptr.forms.cdecl",
        "axptr.pointers.searching", "axptr.pointers.userslice",
    }  # fmt: skip


def test_no_call_of_a_program_loads_typing() -> None:
    root = Path(axptr.__file__).parent
    rooms = (root / "kernel", root / "linux")
    assert not [
        path.relative_to(root)
        for room in rooms
        for path in room.rglob("*.py")
        if re.search("^(from|import) typing", path.read_text(), re.MULTILINE)
    ]


def test_importing_axptr_loads_nothing_of_it_before_a_name_is_used() -> None:
    assert not [name for name in loaded("-c", "import axptr") if name.startswith("axptr.")]
    assert "axptr.mm.space" in loaded("-c", "from axptr import AddrSpace")
