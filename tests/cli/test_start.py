"""What the start of a run loads: nothing that the program does not need."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import axptr

NEVER = {
    "argparse", "bisect", "contextlib", "dataclasses", "fcntl", "importlib", "inspect", "logging", "mmap", "pathlib",
    "re", "resource", "select", "selectors", "shutil", "signal", "socket", "subprocess", "tempfile", "threading",
    "traceback", "typing", "unicorn", "uuid", "warnings",
}  # fmt: skip
"""Modules of Python's library, and others', that cost a start more than they give it."""
NEVER_OURS = (
    "cli.death", "cli.strace", "cli.summary", "cli.tree", "engine.branches", "engine.engine", "explain", "forms.codes",
    "forms.members", "kernel.hostpoll", "linux.calls.clone", "linux.calls.names", "linux.calls.network",
    "linux.files.fifo", "linux.files.futex", "linux.files.pipe", "linux.fs.devfiles", "linux.fs.overlay",
    "linux.fs.shape", "linux.fs.tmp", "linux.net", "linux.proc", "linux.seeded", "memory", "mm.picture",
    "mm.snapshots.file",
)  # fmt: skip
"""Modules and packages of ours that a program needs which does what they are for."""
MOST = 199
"""Modules of ours, packages counted."""


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}


def loaded(program: str, environment: dict[str, str]) -> list[str]:
    """The modules that a run of a program imports, as the interpreter tells them."""
    command = [sys.executable, "-S", "-X", "importtime", "-c"]
    path = [p for p in sys.path if p]
    start = f"import sys; sys.path[:] = {path!r}; from axptr.cli.main import main; main()"
    done = subprocess.run(
        [*command, start, *map(str, axptr("run", "--", program)[3:])],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return [line.rpartition("|")[2].strip() for line in lines[1:]]


def beneath(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def test_a_run_of_true_loads_what_it_needs(environment: dict[str, str], engine_name: str) -> None:
    names = loaded("/bin/true", environment)
    assert not NEVER & set(names)
    ours = [name for name in names if beneath(name, "axptr")]
    unwanted = [*NEVER_OURS, "engine.unicorn", "_core.cpu.unicorn"] if engine_name == "native" else NEVER_OURS
    assert not [name for name in ours for package in unwanted if beneath(name, f"axptr.{package}")]
    if engine_name == "native":
        assert len(ours) <= MOST, sorted(ours)


def test_the_quick_finder_finds_all_of_ours_as_the_import_system_does() -> None:
    """Each module that it gives is what the standard finder would give, by source, bytecode and package."""
    script = """
import importlib.machinery, sys
from pathlib import Path
import axptr
from axptr.cli.quick import QuickFinder
root = Path(axptr.__file__).parent
found = 0
for path in root.rglob("*.py"):
    parts = path.relative_to(root.parent).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    if name == "axptr" or "_core" in parts and parts[-1] != "__init__":
        continue
    folder = [str(path.parent.parent if parts[-1] == "__init__" else path.parent)]
    quick = QuickFinder().find_spec(name, folder)
    if quick is None:
        continue
    found += 1
    plain = importlib.machinery.PathFinder.find_spec(name, folder)
    for attribute in ("name", "origin", "cached", "submodule_search_locations", "has_location", "parent"):
        assert getattr(quick, attribute) == getattr(plain, attribute), (name, attribute)
    assert quick.loader.get_code(name) == plain.loader.get_code(name), name
    assert quick.loader.get_code(name) == plain.loader.get_code(name), name  # the second time by itself
    assert quick.loader.get_source(name) == path.read_text()
print(found)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


def test_bytecode_of_another_source_is_not_taken() -> None:
    script = """
import os, sys, tempfile, py_compile
from axptr.cli.quick import QuickFinder
with tempfile.TemporaryDirectory() as folder:
    source = f"{folder}/m.py"
    def write(text, when):
        with open(source, "w") as file:
            file.write(text)
        os.utime(source, (when, when))
    find = lambda: QuickFinder().find_spec("axptr.m", [folder])
    write("x = 1", 1000)
    assert find() is None
    cached = py_compile.compile(source)
    assert find().loader.get_code("axptr.m").co_consts[0] == 1
    write("x = 2", 1001)
    assert find() is None
    write("x = 22", 1000)
    assert find() is None
    cached = py_compile.compile(source, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
    assert find() is None
    cached = py_compile.compile(source)
    assert find() is not None
    whole = open(cached, "rb").read()
    for damaged in (whole[:16], whole[:20], b"", b"xxxx" + whole[4:]):
        with open(cached, "wb") as file:
            file.write(damaged)
        assert find() is None, damaged
    assert QuickFinder().find_spec("json", [folder]) is None
    assert QuickFinder().find_spec("axptr.m", None) is None
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_limit_on_files_leaves_no_half_modules(tmp_path: Path) -> None:
    """What Python itself loads before the command is asked may be cut short: that is Python's."""
    command = shlex.join([str(word) for word in axptr("run", "--", "/bin/true")])
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    done = subprocess.run(["/bin/sh", "-c", f"ulimit -f 2; exec {command}"], capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr
    left = {path.name.partition(".")[0] for path in tmp_path.rglob("axptr/**/*.pyc")}
    assert left <= {"__init__", "__main__", "main", "quick"}


def test_modules_are_kept_where_files_are_not_limited(tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    done = subprocess.run(axptr("run", "--", "/bin/true"), capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.rglob("axptr/**/*.pyc"))) > 100
