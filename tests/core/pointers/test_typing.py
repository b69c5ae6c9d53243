"""What type checkers see: the value of a pointer's `read` has the type that Python gives it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import axptr

ROOT = str(Path(axptr.__file__).parent.parent)

SOURCE = """
import ctypes
import enum
from ctypes import c_char, c_double, c_int
from typing import Any, assert_type

from axptr import (
    I386, ILP32, LP64, AddrSpace, DataModel, IoVec, Layout, Task, UserAtomic, UserConstPtr, UserPtr, UserSlice,
    copy_struct, enum_type, read_string_array, read_text, search, search_value,
)

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
    big, small = UserConstPtr.of(">HH")(1).read(space)
    big, small = UserPtr.of(">HH")(1).read_unaligned(space)
    big, small = UserConstPtr.of(">HH")(1).get(space)
    big, small = UserPtr.of(">HH")(1).cast("<II").read(space)
    for big, small in UserPtr.of(">HH")(1).read_slice(space, 3):
        print(big, small)
    assert_type((UserConstPtr.of(">HH")(1) + 1).read(space), Any)
    assert_type(space.model.name, str)
    space.model = LP64
    space.model = DataModel("mine", 4, "little", 4)
    assert_type(Layout.of(UserPtr[c_int], ILP32).align, int)
    assert_type(Layout.array("<I", 3, I386).size, int)
    assert_type(copy_struct(space, UserPtr[Point](1), Point, 8).x, int)
    assert_type(copy_struct(space, 1, "<IQ", 8), Any)
    assert_type(read_string_array(task, 1, max_len=5), list[bytes])
    assert_type(read_text(space, UserPtr[c_char](1), "utf-16", max_len=5), str)
    assert_type(list(search(space, b"x")), list[int])
    assert_type(next(search_value(space, ">I", 5, mask=1)), int)
    assert_type(IoVec.read(space, 1, 2).stream(task).copy_in(bytearray(2)), int)
    assert_type(UserAtomic(1, "<I").fetch_add(space, -1), int)
    assert_type(UserSlice(1, 2).reader(space).read(1), bytes)
"""
WRONG = """
from ctypes import c_int
from axptr import AddrSpace, DataModel, UserConstPtr, UserPtr

def use(space: AddrSpace) -> None:
    UserConstPtr[c_int](1).write(space, 1)
    UserPtr[c_int]("address")
    UserPtr[c_int](1).read(space).decode()
    UserPtr[c_int](1).field(5)
    space.model = (4, "little")
    DataModel("mine", 4, "middle")
"""


def mypy(path: Path) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("mypy")
    return run(path, "mypy", "--strict", "--config-file=", "--cache-dir", str(path.parent), str(path))


def pyright(path: Path) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("basedpyright", reason="needs basedpyright, pyright with a node of its own")
    # strict as pyright itself knows it; and it has the sources of the compiled modules for company
    settings = {"typeCheckingMode": "strict", "extraPaths": [ROOT], "include": [path.name], "pythonVersion": "3.11"}
    (path.parent / "pyrightconfig.json").write_text(json.dumps(settings))
    return run(path, "basedpyright", "--project", str(path.parent), "--pythonpath", sys.executable)


def run(path: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {"MYPYPATH": ROOT, "PYTHONPATH": ROOT, "PATH": "/usr/bin:/bin", "HOME": str(path.parent)}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, env=environment, cwd=path.parent)


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_a_checker_knows_what_read_gives(tmp_path: Path, checker: Any) -> None:
    path = tmp_path / "use.py"
    path.write_text(SOURCE)
    done = checker(path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_a_checker_finds_each_mistake(tmp_path: Path, checker: Any) -> None:
    path = tmp_path / "wrong.py"
    path.write_text(WRONG)
    found = {int(line) for line in re.findall(r"wrong\.py:(\d+).*\berror:?\b", checker(path).stdout)}
    assert found == {6, 7, 8, 9, 10, 11}
