"""Running the installed command as a user does, and the host's own run of the same as the judge."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from programs import compiled, shared_directory

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "HOME": "/"}
"""The same for the host's run and ours; LC_ALL so that neither depends on which locales are installed."""

AXPTR = [sys.executable, "-m", "axptr"]
_engine: list[str] = []
"""The engine of `axptr run` where a test says nothing of it."""
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


def run_axptr(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[bytes]:
    """`axptr ARGUMENTS`; standard input is empty unless `input` or `stdin` is given."""
    return _run(axptr(*arguments), **options)


def axptr(*arguments: str | Path) -> list[str | Path]:
    """The command line of `axptr ARGUMENTS`, of a run over the test's engine unless they ask for one, or for a seed."""
    words = [os.fspath(word) for word in arguments]
    ours = words[: words.index("--")] if "--" in words else words
    if words[:1] != ["run"] or any(word.startswith(("--engine", "--seed")) for word in ours):
        return [*AXPTR, *arguments]
    return [*AXPTR, "run", *_engine, *arguments[1:]]


@pytest.fixture(autouse=True)
def over_an_engine(engine_name: str) -> Iterator[None]:
    """The native one is what runs take by themselves, where they can."""
    _engine[:] = ["--engine", "unicorn"] if engine_name == "unicorn" else []
    yield
    _engine.clear()


def run_host(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[bytes]:
    """The host's own run of a command line."""
    return _run([*arguments], **options)


def _run(command: list[str | Path], **options: object) -> subprocess.CompletedProcess[bytes]:
    options.setdefault("env", ENVIRONMENT)
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run(command, capture_output=True, timeout=500, **options)  # type: ignore[call-overload,no-any-return]


def status_of_shell(returncode: int) -> int:
    """A host process's return code as a shell shows it: 128 + n for signal n."""
    return 128 - returncode if returncode < 0 else returncode


@pytest.fixture(scope="session")
def compile_c(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`compile_c(source, *flags, compiler="gcc")`: the program, compiled once a session."""
    directory = shared_directory(tmp_path_factory)

    def build(source: str, *flags: str, compiler: str = "gcc") -> Path:
        return compiled(directory, "program", source, flags, compiler)

    return build


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small directory with what file commands like to be asked about."""
    root = tmp_path / "tree"
    (root / "sub").mkdir(parents=True)
    (root / "words").write_text("pear\napple\nfig\napple\n\nquince 12\n")
    (root / "empty").write_bytes(b"")
    (root / "binary").write_bytes(bytes(range(256)) * 700)
    (root / "link").symlink_to("words")
    (root / "broken").symlink_to("nowhere")
    (root / "sub" / "script").write_text('#!/bin/sh\necho from a script "$@"\n')
    (root / "sub" / "script").chmod(0o755)
    (root / "private").write_text("x")
    (root / "private").chmod(0o600)
    return root
