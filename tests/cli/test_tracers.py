"""strace and gdb in the machine say of its programs what they say of the host's."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import ENVIRONMENT, axptr, status_of_shell

_PROGRAM = """
int g;
int f(int x) { g = x; return x + 1; }
int main(void) { return f(4); }
"""
_COMMANDS = ("break f", "run", "print x", "bt", "finish", "stepi", "watch g", "delete", "continue")
_NUMBERS = re.compile(r"process \d+|0x[0-9a-f]+")


def _need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program, path=ENVIRONMENT["PATH"]) is None:
            pytest.skip(f"needs {program}")


def _run(command: list[str | Path]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, timeout=100, encoding="utf-8"
    )


def _ours(directory: Path, command: list[str | Path]) -> subprocess.CompletedProcess[str]:
    return _run([*axptr("run", "--allow-write", directory), "--", *command])


@pytest.mark.timeout(200)
def test_gdb_breaks_steps_and_finishes(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    _need("gdb")
    source = tmp_path / "d.c"
    source.write_text(_PROGRAM)
    subprocess.run(["gcc", "-g", "-O0", source, "-o", tmp_path / "d"], check=True)
    command: list[str | Path] = ["gdb", "-q", "-nx", "-batch", "-ex", "set can-use-hw-watchpoints 0"]
    for line in _COMMANDS:
        command += ["-ex", line]
    command.append(tmp_path / "d")
    host, ours = _run(command), _ours(tmp_path, command)
    assert "exited with code 05" in host.stdout
    assert _NUMBERS.sub("N", ours.stdout) == _NUMBERS.sub("N", host.stdout)
    assert ours.returncode == host.returncode


def _calls(log: Path) -> dict[str, list[str]]:
    """Of each process, in the order in which they came, the names of calls and how it ended."""
    made: dict[str, list[str]] = {}
    for line in log.read_text().splitlines():
        number, _, rest = line.partition(" ")
        rest = rest.strip()
        if rest.startswith(("<...", "---")) or "= ? ERESTART" in rest:
            continue
        made.setdefault(number, []).append(rest if rest.startswith("+++") else rest.partition("(")[0])
    return made


@pytest.mark.timeout(200)
def test_strace_follows_children(tmp_path: Path) -> None:
    _need("strace", "dash")
    script = "echo traced; (exit 3); echo $?; kill -TERM $$"
    logs = tmp_path / "host", tmp_path / "ours"
    host = _run(["strace", "-f", "-o", logs[0], "dash", "-c", script])
    ours = _ours(tmp_path, ["strace", "-f", "-o", logs[1], "dash", "-c", script])
    assert (ours.stdout, ours.returncode) == (host.stdout, status_of_shell(host.returncode))
    theirs, mine = map(_calls, logs)
    ends = [[line for line in lines if line.startswith("+++")] for lines in mine.values()]
    assert ends == [[line for line in lines if line.startswith("+++")] for lines in theirs.values()]
    for name in ("execve", "write", "wait4", "kill"):
        assert [lines.count(name) for lines in mine.values()] == [lines.count(name) for lines in theirs.values()]


@pytest.mark.timeout(200)
def test_strace_counts(tmp_path: Path) -> None:
    _need("strace")
    host = _run(["strace", "-c", "-o", tmp_path / "host", "true"])
    ours = _ours(tmp_path, ["strace", "-c", "-o", tmp_path / "ours", "true"])
    assert (ours.stdout, ours.returncode) == (host.stdout, host.returncode)
    first = [(tmp_path / name).read_text().splitlines()[0] for name in ("host", "ours")]
    assert first[0] == first[1]
    assert "execve" in (tmp_path / "ours").read_text()
