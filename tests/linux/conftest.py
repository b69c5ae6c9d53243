"""Running programs in this process, and on the host, with the same files as standard streams.

How long a program may take is the test's limit (pytest-timeout), not another one.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from axptr.linux import Process, Result, create_process
from programs import compiled, shared_directory

GUESTS = Path(__file__).parent / "guests"
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", "HOME": "/"}


class Outcome:
    """What a program printed and how it ended. result and process: of a run under axptr."""

    def __init__(self, stdout: bytes, stderr: bytes, status: int, result: Result | None = None) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self.status = status
        self.result = result
        self.unknown: dict[int, int] = {}
        self.maps = ""

    @property
    def lines(self) -> list[str]:
        return self.stdout.decode(errors="surrogateescape").splitlines()

    def __repr__(self) -> str:
        return f"<Outcome status {self.status} stdout {self.stdout[-500:]!r} stderr {self.stderr[-500:]!r}>"


def run_guest(
    *command: str | Path,
    input: bytes = b"",
    timeout: float = 500,
    watch: Callable[[Process], Any] | None = None,
    after: Callable[[Process], Any] | None = None,
    **options: Any,
) -> Outcome:
    """Run a program under axptr; every frame must be given back when it is closed."""
    args = [os.fspath(word) for word in command]
    options.setdefault("env", ENVIRONMENT)
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        stdin.write(input)
        stdin.seek(0)
        with create_process(args[0], args, stdio=(stdin.fileno(), out.fileno(), err.fileno()), **options) as process:
            if watch is not None:
                watch(process)
            result = process.run(timeout)
            if after is not None:
                after(process)
            unknown, maps, phys = process.kernel.unknown, process.space.format_maps(), process.phys
        if result.death is None:  # a fault names its area, and an area its file's frames
            assert phys.data_frames == 0, "frames leaked"
        out.seek(0)
        err.seek(0)
        outcome = Outcome(out.read(), err.read(), result.status, result)
    outcome.unknown, outcome.maps = dict(unknown), maps
    return outcome


def run_host(*command: str | Path, input: bytes = b"", cwd: Path | None = None) -> Outcome:
    """The host's own run; status as a shell shows it."""
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        stdin.write(input)
        stdin.seek(0)
        done = subprocess.run(command, stdin=stdin, stdout=out, stderr=err, env=ENVIRONMENT, cwd=cwd, timeout=500)
        out.seek(0)
        err.seek(0)
        status = done.returncode if done.returncode >= 0 else 128 - done.returncode
        return Outcome(out.read(), err.read(), status)


@pytest.fixture(scope="session")
def compile_guest(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`compile_guest(name, *flags, compiler="gcc")`: the program `guests/name.c`; or of `source`, a text."""
    directory = shared_directory(tmp_path_factory)

    def build(name: str, *flags: str, compiler: str = "gcc", source: str | None = None) -> Path:
        if source is None:
            path = GUESTS / f"{name}.c"
            return compiled(directory, path.stem, path.read_text(), flags, compiler, beside=path.parent)
        return compiled(directory, Path(name).name, source, flags, compiler)

    return build


@pytest.fixture(autouse=True)
def over_an_engine(engine_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test starts without a word on the engine runs over this one; what repeats, over the one that can."""
    monkeypatch.setitem(create_process.__kwdefaults__, "engine", "unicorn" if engine_name == "unicorn" else "auto")


@pytest.fixture
def answers(compile_guest: Callable[..., Path], tmp_path: Path) -> Any:
    """`answers(script, prepare)`: the calls of a `caller.Script`, which must give here what they give on the host."""
    from .caller import Caller

    return Caller(compile_guest("caller", "-static"), tmp_path)
