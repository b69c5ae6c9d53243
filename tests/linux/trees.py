"""The host's tree as a run of ours begins with it, for tests that start no program."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from axptr.linux.fs.setup import first_directory, host_tree
from axptr.linux.fs.walk import FsContext
from axptr.linux.host import HostView
from axptr.linux.proc.tree import Proc
from axptr.linux.task.creds import Credentials


def file_system(cwd: bytes, allow_write: Iterable[bytes]) -> FsContext:
    fs = FsContext(host_tree(allow_write, Proc), 0o022)
    fs.cwd = first_directory(walker(fs), cwd)
    return fs


def walker(fs: FsContext, **more: Any) -> Any:
    """Somebody who walks there: who the host's process is, and no more of a task than that."""
    host = HostView()
    creds = Credentials.of_host(host)
    return SimpleNamespace(fs=fs, creds=creds, machine=SimpleNamespace(owner=creds, host=host, **more))
