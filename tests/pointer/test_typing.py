"""What type checkers see: the value of a pointer's `read` has the type that Python gives it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import axptr

SOURCE = """
import ctypes
import enum
from ctypes import c_char, c_double, c_int
from typing import assert_type

from axptr import LP64, AddrSpace, Task, UserConstPtr, UserPtr, enum_type

class Point(ctypes.Structure):
    x: int

class Color(enum.IntEnum):
    RED = 1

def use(space: AddrSpace, task: Task) -> None:
    assert_type(UserPtr[c_int](1).read(space), int)
    assert_type(UserPtr[c_int](1).read(task), int)
    assert_type(UserConstPtr[c_int](1).get(space), int)
    assert_type(UserConstPtr[c_double](1).read_unaligned(space), float)
    assert_type(UserPtr[c_char](1).read(space), bytes)
    assert_type(UserPtr[Point](1).read(space), Point)
    assert_type(UserPtr[Point](1).get(space).x, int)
    assert_type(UserPtr[UserPtr[Point]](1).read(space), UserPtr[Point])
    assert_type((UserPtr[c_int](1) + 1)[2].read(space), int)
    assert_type(UserPtr[Point](1).cast(c_int).read(space), int)
    assert_type(UserPtr.of(c_int)(1).read(space), int)
    assert_type(UserPtr.of(enum_type(Color, c_int))(1).read(space), Color | int)
    for node in UserPtr[Point](1).follow(space, "next", limit=5):
        assert_type(node, UserPtr[Point])
    UserPtr.of("<I")(1).write(space, 5)
    assert_type(space.model.name, str)
    space.model = LP64
"""
WRONG = """
from ctypes import c_int
from axptr import AddrSpace, UserConstPtr, UserPtr

def use(space: AddrSpace) -> None:
    UserConstPtr[c_int](1).write(space, 1)
    UserPtr[c_int]("address")
    UserPtr[c_int](1).read(space).decode()
    UserPtr[c_int](1).field(5)
"""


def checked(path: Path) -> subprocess.CompletedProcess[str]:
    root = str(Path(axptr.__file__).parent.parent)
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", str(path.parent), str(path)]
    environment = {"MYPYPATH": root, "PYTHONPATH": root, "PATH": "/usr/bin:/bin", "HOME": str(path.parent)}
    return subprocess.run(command, capture_output=True, text=True, timeout=110, env=environment, cwd=path.parent)


def test_mypy_knows_what_read_gives(tmp_path: Path) -> None:
    path = tmp_path / "use.py"
    path.write_text(SOURCE)
    done = checked(path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_finds_each_mistake(tmp_path: Path) -> None:
    path = tmp_path / "wrong.py"
    path.write_text(WRONG)
    lines = checked(path).stdout.splitlines()
    found = {int(line.split(":")[1]) for line in lines if ": error:" in line and "wrong.py" in line}
    assert found == {6, 7, 8, 9}
