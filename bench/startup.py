"""How long the run of a program that does nothing takes, as the shell sees it: process start to end."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from .harness import Benchmark, Mode, Pair, Side, Skip

PROGRAM = "/bin/true"
QILING_PYTHON = "AXPTR_QILING_PYTHON"
"""Environment variable: the Python of an environment that Qiling is installed in."""


def benchmarks() -> list[Benchmark]:
    return [
        Benchmark(
            "startup.true.qiling",
            f"`axptr run -- {PROGRAM}`, the whole process",
            "Qiling running the same in a copied root directory, the whole process",
            1 / 3,
            _prepare_qiling,
        ),
        Benchmark(
            "startup.true.python",
            f"`axptr run -- {PROGRAM}`, the whole process",
            "`python -c pass`, the whole process",
            5.0,
            _prepare_python,
        ),
    ]


def _prepare_python(mode: Mode) -> Pair:
    return _warmed(_process(axptr_command(), 0), _process([sys.executable, "-c", "pass"], 0))


def _prepare_qiling(mode: Mode) -> Pair:
    python = qiling_python()
    root, remove = copied_root(PROGRAM)
    script = Path(__file__).parent / "guests" / "qiling_run.py"
    return _warmed(
        _process(axptr_command(), 0),
        _process([python, str(script), str(root), PROGRAM.lstrip("/")], 0),
        close=remove,
    )


def qiling_python() -> str:
    """The Python that has Qiling; raises `Skip` where there is none."""
    python = os.environ.get(QILING_PYTHON)
    if not python:
        raise Skip(f"set {QILING_PYTHON} to the python of an environment with qiling (docs/benchmarks.md)")
    if subprocess.run([python, "-c", "import qiling"], capture_output=True).returncode:
        raise Skip(f"{QILING_PYTHON}={python} cannot import qiling")
    return python


def _warmed(subject: Side, peer: Side, close: Callable[[], None] = lambda: None) -> Pair:
    """Each has run once: bytecode is written, files are in the host's cache."""
    subject(1)
    peer(1)
    return Pair(subject, peer, slow=3, close=close)


def axptr_command() -> list[str]:
    """The installed command of this environment."""
    script = Path(sys.executable).parent / "axptr"
    if not script.exists():
        raise Skip(f"{script} is not there: pip install -e '.[run]'")
    return [str(script), "run", "--", PROGRAM]


def _process(command: list[str], status: int) -> Side:
    # An installed package has its bytecode; a developer's shell may have turned that off, for either side.
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def side(times: int) -> float:
        start = time.perf_counter()
        for _ in range(times):
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=environment)
            if done.returncode != status:
                raise RuntimeError(f"{command}: status {done.returncode}: {done.stderr[-500:]!r}")
        return time.perf_counter() - start

    return side


def copied_root(program: str) -> tuple[Path, Callable[[], None]]:
    """A directory with the program and what `ldd` says it loads, at the same paths; and how to remove it."""
    directory = tempfile.TemporaryDirectory(prefix="axptr-bench-root-")
    root = Path(directory.name)
    listed = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    for path in [program, *re.findall(r"(/\S+)", listed)]:
        copy = root / path.lstrip("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return root, directory.cleanup
