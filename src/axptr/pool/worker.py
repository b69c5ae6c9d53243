"""What happens in a worker: it keeps one snapshot, and gives each item a branch of it.

A snapshot comes as the path of a file, which is mapped: all workers of a host have its pages in common. Where only its
bytes come, they are put into such a file once on each host.

Not here: how a worker is reached.
"""

from __future__ import annotations

import contextlib
import os
import tempfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..sandbox.box import Sandbox

    Function = Callable[[Sandbox, Any], Any]

_loaded: dict[str, Any] = {}


def call(path: str, function: Function, item: Any) -> Any:
    """`function(sandbox, item)` with a sandbox in the state of the snapshot, which is gone afterwards."""
    from ..sandbox.box import Sandbox

    snapshot = _loaded.get(path)
    if snapshot is None:
        from ..linux.snapshots.snapshot import MachineSnapshot

        _loaded.clear()  # a worker is of one pool at a time
        snapshot = _loaded[path] = MachineSnapshot.load(path)
    with Sandbox.from_snapshot(snapshot) as sandbox:
        return function(sandbox, item)


def forget(key: str) -> None:
    """The pool is over: its file goes. Who has it mapped keeps that."""
    path = place_of(key)
    _loaded.pop(path, None)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def place_of(key: str) -> str:
    """Where the file of a pool is on a host."""
    directory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()
    return os.path.join(directory, f"axptr-{os.getuid()}-{key}")


def file_of(key: str, data: Any) -> str:
    """The file on this host of a snapshot that came as bytes; made by the first who asks. key: of the pool."""
    path = place_of(key)
    directory = os.path.dirname(path)
    if not os.path.exists(path):
        descriptor, name = tempfile.mkstemp(dir=directory, prefix=f"axptr-{key}-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            os.rename(name, path)
        except BaseException:
            os.unlink(name)
            raise
    return path
