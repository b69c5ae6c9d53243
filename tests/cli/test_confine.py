"""`axptr run --confine`: axptr's own process gives up what the program may not do either."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import axptr, run_axptr

TRY = """
import os, socket, sys
from axptr.cli.confine import confine
allowed, other = sys.argv[1:]
open(other + "/there", "w").close()
lack = confine([os.fsencode(allowed)], network=False)
if lack is not None:
    print("lack", lack)
    sys.exit()
open(allowed + "/new", "w").write("x")
open("/dev/null", "w").write("x")
print(open(other + "/there").read() == "")
for attempt in (
    lambda: open(other + "/new", "w"),
    lambda: open(other + "/there", "a"),
    lambda: os.unlink(other + "/there"),
    lambda: os.mkdir(other + "/d"),
    lambda: os.rename(allowed + "/new", other + "/moved"),
):
    try:
        attempt()
        print("done")
    except OSError as error:
        print(error.errno in (1, 13, 18))
"""


def lacking() -> bool:
    import ctypes

    return bool(ctypes.CDLL(None).syscall(444, None, 0, 1) < 1)


def test_what_is_given_up_is_gone(tmp_path: Path) -> None:
    allowed, other = tmp_path / "allowed", tmp_path / "other"
    allowed.mkdir()
    other.mkdir()
    done = subprocess.run([sys.executable, "-c", TRY, allowed, other], capture_output=True, text=True, check=True)
    if lacking():
        assert done.stdout.startswith("lack the host has no Landlock")
        pytest.skip("the host has no Landlock")
    assert done.stdout.split() == ["True"] * 6
    assert os.listdir(other) == ["there"]


def test_a_run_goes_on_as_without_it(tmp_path: Path) -> None:
    script = f"echo x > {tmp_path}/f; cat {tmp_path}/f"
    done = run_axptr("run", "--confine", "--allow-write", tmp_path, "--", "/bin/sh", "-c", script)
    if lacking():
        assert done.returncode == 125
        assert done.stderr.startswith(b"axptr: --confine: the host has no Landlock")
        return
    assert (done.stdout, done.stderr, done.returncode) == (b"x\n", b"", 0)


FORGO = """
import ctypes, os
from axptr.cli.confine import forgo
libc = ctypes.CDLL(None, use_errno=True)
assert forgo() is None
for number in (101, 165, 175, 246, 250, 272, 308, 321, 59, 428, 0x40000000 | 39):
    ctypes.set_errno(0)
    print(number, libc.syscall(number, 0, 0, 0, 0, 0), ctypes.get_errno())
print(libc.syscall(39) == os.getpid())
"""


def test_calls_that_nobody_makes_are_refused_from_then_on() -> None:
    done = subprocess.run([sys.executable, "-c", FORGO], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert [line.split()[1:] for line in lines[:-1]] == [["-1", "1"]] * 11
    assert lines[-1] == "True"


def status_of_run(*options: str) -> dict[str, str]:
    """What the host says of axptr's process while a program runs."""
    with subprocess.Popen(
        [*axptr("run", *options, "--", "/bin/cat")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        run.stdin.write(b"x\n")
        run.stdin.flush()
        assert run.stdout.readline() == b"x\n"  # it runs by now
        lines = Path(f"/proc/{run.pid}/status").read_text().splitlines()
        run.stdin.close()
        assert run.wait(60) == 0
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_a_run_confines_itself_unless_it_is_told_not_to() -> None:
    before = Path("/proc/self/status").read_text()
    if lacking() or "NoNewPrivs:\t1" in before:
        pytest.skip("the host has no Landlock, or confines us already")
    assert status_of_run()["NoNewPrivs"] == "1"
    assert status_of_run("--no-confine", "--engine", "native")["NoNewPrivs"] == "0"
    found = status_of_run("--engine", "unicorn")
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")


def test_a_program_still_reopens_its_streams(tmp_path: Path) -> None:
    out, err = tmp_path / "out", tmp_path / "err"
    script = "echo one > /dev/stdout; echo two >> /dev/stderr; echo three > /proc/self/fd/2; echo four > /dev/null"
    for how in ((), ("--no-confine",)):
        with open(out, "wb") as first, open(err, "wb") as second:
            subprocess.run(axptr("run", *how, "--", "/bin/sh", "-c", script), stdout=first, stderr=second, check=True)
        assert (out.read_bytes(), err.read_bytes()) == (b"one\n", b"three\n")
