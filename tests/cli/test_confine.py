"""`axptr run --confine`: axptr's own process gives up what the program may not do either."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import run_axptr

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
