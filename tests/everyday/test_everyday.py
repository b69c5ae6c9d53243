"""What people run every day prints under `axptr run` what it prints on the host, and ends in the same way.

Each of `scripts` runs in an empty directory of the same name, on the host first. Nothing in one prints times, process
numbers, or what else two runs on one host have different; each takes at most a few seconds natively. The lines at its
top say what it is, which programs it is skipped without, and which shells run it if not the usual one of its kind.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent / "scripts"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "TZ": "UTC", "HOME": "/", "TERM": "dumb"}
LIMIT = 60.0
"""Seconds for one run."""
_INTERPRETERS = {".sh": "bash", ".py": "python3 -u", ".pl": "perl", ".js": "node", ".exp": "expect -f"}
_SHELLS = {"busybox": "busybox sh"}
_JOB = re.compile(r"(: line \d+:) +\d+ (\w+)")
"""What a shell says of a child that was killed: its number is another each time."""


def _listed(text: str, key: str) -> list[str]:
    found = re.search(rf"^(?:#|//) {key}: (.*)", text, re.MULTILINE)
    return found[1].split() if found else []


def _cases() -> list[pytest.param]:  # type: ignore[valid-type]
    cases = []
    for path in sorted(SCRIPTS.iterdir()):
        shells = _listed(path.read_text(), "shells")
        for shell in shells or [_INTERPRETERS[path.suffix]]:
            name = f"{path.stem}-{shell}" if shells else path.stem
            cases.append(pytest.param(path, _SHELLS.get(shell, shell).split(), id=name))
    return cases


def _run(command: list[str | Path], directory: Path) -> tuple[int, str, str]:
    """Status as a shell has it, what was printed; in a directory that is empty at first."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    done = subprocess.run(
        command,
        cwd=directory,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=LIMIT,
        start_new_session=True,
        encoding="utf-8",
        errors="backslashreplace",
    )
    status = done.returncode if done.returncode >= 0 else 128 - done.returncode
    return status, done.stdout, _JOB.sub(r"\1 PID \2", done.stderr)


@pytest.mark.parametrize(("script", "interpreter"), _cases())
def test_a_script_runs_as_on_the_host(script: Path, interpreter: list[str], tmp_path: Path) -> None:
    for program in (*_listed(script.read_text(), "needs"), interpreter[0]):
        if shutil.which(program, path=ENVIRONMENT["PATH"]) is None:
            pytest.skip(f"needs {program}")
    directory, command = tmp_path / "d", [*interpreter, script]
    host = _run(command, directory)
    ours = _run([sys.executable, "-m", "axptr", "run", "--allow-write", "/tmp", "--", *command], directory)
    assert ours == host
