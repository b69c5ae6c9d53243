"""The fuzzers of system calls and of programs: a short run of each, and that each finds what is wrong."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("unicorn", reason="programs need the Unicorn library")

from axptr import LinuxError
from axptr.linux.registry import table

from . import calls, elf, sandbox

ROOT = Path(__file__).resolve().parents[2]
GETPID = 39


def command(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"tests.fuzz.{module}", *arguments],
        capture_output=True,
        text=True,
        timeout=110,
        cwd=ROOT,
    )


@pytest.mark.parametrize(
    ("module", "cases", "engine"),
    [("calls", 4000, "auto"), ("calls", 2000, "unicorn"), ("elf", 1000, "auto"), ("elf", 500, "unicorn")],
)
def test_a_short_run_breaks_nothing(module, cases, engine):
    done = command(module, "--cases", str(cases), "--seed", "7", "--engine", engine)
    assert done.returncode == 0, done.stderr[-8000:]
    assert "every rule held" in done.stdout


@pytest.fixture
def plant(monkeypatch):
    """Another getpid than ours, called by `run`, in this process."""

    def planted(handler, tmp_path: Path) -> int:
        from axptr.kernel.kernel import Syscall

        monkeypatch.setitem(table("x86_64"), GETPID, Syscall(GETPID, "getpid", handler))
        monkeypatch.setattr(calls, "BATCH", 5)
        return calls.one_batch(0, 0, tmp_path, "getpid")

    return planted


def test_calls_that_give_numbers_and_errnos_hold(plant, tmp_path):
    def handler(task) -> int:
        if random.random() < 0.5:
            raise LinuxError(1)
        return 5

    assert plant(handler, tmp_path) == 5


@pytest.mark.parametrize("error", [ValueError, MemoryError, KeyError, RecursionError, OverflowError])
def test_a_call_that_raises_anything_else_is_found(plant, tmp_path, error):
    def handler(task) -> int:
        raise error("planted")

    with pytest.raises(error, match="planted") as caught:
        plant(handler, tmp_path)
    assert "getpid(" in caught.value.__notes__[0]


def test_a_call_that_hangs_is_found(plant, tmp_path, monkeypatch):
    def handler(task) -> int:
        time.sleep(20)
        return 0

    monkeypatch.setattr(calls, "SLOW", 0.2)
    with pytest.raises(calls.Hung):
        plant(handler, tmp_path)


@pytest.mark.parametrize("number", [-5000, 1 << 64])
def test_a_result_that_is_none_is_found(plant, tmp_path, number):
    def handler(task) -> int:
        return number

    with pytest.raises(calls.Broken, match="gave"):
        plant(handler, tmp_path)


@pytest.mark.parametrize(
    ("name", "change", "back"),
    [
        ("other files", lambda d: (d / "out" / "kept").write_bytes(b"x"), lambda: None),
        ("other files", lambda d: (d / "out" / "d").chmod(0o700), lambda: None),
        ("other files", lambda d: (d / "out" / "new").touch(), lambda: None),
        ("working directory", lambda d: os.chdir("/"), None),
        ("umask", lambda d: os.umask(0o77), None),
        ("descriptors", lambda d: os.open("/dev/null", 0), None),
    ],
)
def test_a_change_of_the_host_is_found(plant, tmp_path, name, change, back):
    def handler(task) -> int:
        change(tmp_path / "batch-0")
        return 0

    cwd, mask, opened = os.getcwd(), os.umask(0o22), calls.descriptors()
    os.umask(mask)
    try:
        with pytest.raises(calls.Broken, match=name):
            plant(handler, tmp_path)
    finally:
        os.chdir(cwd)
        os.umask(mask)
        for fd in set(calls.descriptors()) - set(opened):
            os.close(fd)


def test_what_a_run_does_in_its_confinement_is_not_seen_outside():
    outside = Path("/tmp/axptr-fuzz-outside")

    def work(directory: Path) -> int:
        (directory / "mine").touch()
        try:
            outside.touch()
        except OSError:
            return 3
        outside.unlink()
        return 4

    status = sandbox.confined(work)
    assert status == (3 if os.getuid() == 0 else status)
    assert not outside.exists()


def test_the_status_of_a_confined_run_is_its_own():
    assert sandbox.confined(lambda directory: 7) == 7
    assert sandbox.confined(lambda directory: os.kill(os.getpid(), 9) or 0) == 137


def test_files_of_the_program_fuzzer_are_programs_and_are_not():
    rng, bases = random.Random(1), elf.good_programs()
    files = [elf.changed(rng, bases) for _ in range(300)]
    assert len(set(files)) > 250
    assert {file[:2] for file in files} >= {b"\x7fE", b"#!"}
    assert any(file in bases for file in files)
