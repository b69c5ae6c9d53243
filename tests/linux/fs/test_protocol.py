"""Calls ask nodes and open files by their methods, never by their classes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import axptr.linux

ROOT = Path(axptr.linux.__file__).parent
CLASSES = (
    "HostFile|HostNode|OpenedNode|TmpFile|TmpDirFile|TmpNode|LayeredNode|LowerFile|GivenFile|GivenNode|DeviceFile|"
    "NodeDirFile|TextFile|FifoFile"
)


@pytest.mark.parametrize("room", ["calls", "proc", "load", "task", "mem"])
def test_nobody_asks_what_class_a_file_is_of(room: str) -> None:
    found = [
        f"{path.name}: {line.strip()}"
        for path in (ROOT / room).rglob("*.py")
        for line in path.read_text().splitlines()
        if re.search(rf"isinstance\([^)]*\b({CLASSES})\b", line)
    ]
    assert found == []
