"""Programs that tests compile: each once a session, however many processes run the tests (pytest-xdist)."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest


def shared_directory(factory: pytest.TempPathFactory) -> Path:
    """A directory that all processes of this session have in common."""
    base = factory.getbasetemp()
    directory = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "programs"
    directory.mkdir(exist_ok=True)
    return directory


def compiled(
    directory: Path,
    name: str,
    source: str,
    flags: tuple[str, ...],
    compiler: str = "gcc",
    *,
    beside: Path | None = None,
) -> Path:
    """The program of this source, made unless it is there; the test is skipped where it cannot be made.

    beside: where the headers are that it includes.
    It comes under its name whole or not at all: another process may look for it at the same time.
    """
    if shutil.which(compiler) is None:
        pytest.skip(f"needs {compiler}")
    headers = sorted(beside.glob("*.h")) if beside is not None else []
    content = source, flags, compiler, [header.read_text() for header in headers]
    key = hashlib.sha256(repr(content).encode()).hexdigest()[:16]
    target = directory / f"{name}-{key}"
    if not target.exists():
        made = directory / f"{name}-{key}.{os.getpid()}"
        text = made.with_name(made.name + ".c")
        text.write_text(source)
        done = subprocess.run(
            [compiler, "-O1", "-w", *([f"-I{beside}"] if headers else []), *flags, "-o", made, text],
            capture_output=True,
            text=True,
            timeout=120,
        )
        text.unlink()
        if done.returncode and "cannot find" in done.stderr:
            pytest.skip(f"{compiler} {' '.join(flags)} has no libraries here")
        assert done.returncode == 0, done.stderr
        made.rename(target)
    return target
