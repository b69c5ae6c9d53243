"""The host's tree as a run of ours begins with it, for tests that start no program."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from axptr.linux.fs.setup import first_directory, host_tree
from axptr.linux.fs.walk import FsContext
from axptr.linux.proc.tree import Proc


def file_system(cwd: bytes, allow_write: Iterable[bytes]) -> FsContext:
    fs = FsContext(host_tree(allow_write, Proc), 0o022)
    task: Any = SimpleNamespace(fs=fs)
    fs.cwd = first_directory(task, cwd)
    return fs
