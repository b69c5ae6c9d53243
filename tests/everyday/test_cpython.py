"""CPython's own regression tests end under `axptr run` as they end on the host. Slow: `pytest -m slow tests/everyday`.

Those that the host's Python fails, ours fails too. `docs/programs.md` has the list, with what is left out, and why.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .test_everyday import ENVIRONMENT

MODULES = [
    "argparse", "array", "ast", "asyncio", "base64", "bisect", "bytes", "bz2", "cmd_line", "codecs", "collections",
    "compileall", "configparser", "csv", "datetime", "dict", "difflib", "eintr", "enum", "epoll", "fcntl", "file",
    "fileio", "fnmatch", "functools", "generators", "glob", "gzip", "hashlib", "heapq", "io", "itertools", "json",
    "largefile", "list", "logging", "lzma", "mailbox", "math", "mmap", "netrc", "operator", "os", "pickle", "pipes",
    "poll", "posix", "posixpath", "pty", "queue", "random", "re", "resource", "sched", "select", "selectors",
    "shelve", "shutil", "signal", "smtplib", "socket", "socketserver", "sqlite3", "stat", "string", "struct",
    "subprocess", "tarfile", "tempfile", "thread", "threading", "time", "tty", "urllib", "wait3", "wait4", "weakref",
    "zipfile", "zlib",
]  # fmt: skip
LEFT_OUT = {
    "socket": ["*VSOCK*"],
}
"""Tests of a module that are not run, by their patterns: where the host is a virtual machine itself, its own run of
these waits for the machine that runs it."""
LIMIT = 600.0


def _python() -> str:
    python = shutil.which("python3", path=ENVIRONMENT["PATH"])
    if python is None or subprocess.run([python, "-c", "import test.libregrtest"], capture_output=True).returncode:
        pytest.skip("needs the test package of the host's Python (Debian: libpython3-testsuite)")
    return python


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_a_module_of_cpythons_tests_ends_as_on_the_host(module: str, tmp_path: Path) -> None:
    left_out = [word for pattern in LEFT_OUT.get(module, ()) for word in ("-i", pattern)]
    command = [_python(), "-m", "test", "-u", "none", *left_out, f"test_{module}"]
    ours = [sys.executable, "-m", "axptr", "run", "--allow-write", "/tmp", "--timeout", str(LIMIT), "--", *command]
    ends = []
    for line in (command, ours):
        done = subprocess.run(
            line,
            cwd=tmp_path,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=2 * LIMIT,
        )
        ends.append((done.returncode, [row for row in done.stdout.splitlines() if row.startswith("    test_")]))
    assert ends[1] == ends[0]
