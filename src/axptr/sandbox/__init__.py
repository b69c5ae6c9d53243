"""Sandboxes: a machine that keeps what programs do to itself, in ten lines of Python.

    with Sandbox() as s:
        result = s.run("echo hi > /tmp/x; wc -c /tmp/x")
        print(result.exit_status, result.stdout)

`box` has `Sandbox`, `aio` the same for asyncio; `limits` what programs may use, `result` how they ended, `files` the
files of the machine, `spawned` programs that are talked to while they run. `driver` is who runs the machine. What
programs may do is `axptr.linux`' affair; nothing here is seen by them.
"""

from __future__ import annotations

from ..named import later

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .aio import AsyncSandbox
    from .box import Sandbox
    from .files import Entry, Files
    from .limits import Limits
    from .result import CommandFailed, Result, Usage
    from .spawned import Reader, Spawned, Writer

_LATER = {
    "AsyncSandbox": "aio",
    "CommandFailed": "result",
    "Entry": "files",
    "Files": "files",
    "Limits": "limits",
    "Reader": "spawned",
    "Result": "result",
    "Sandbox": "box",
    "Spawned": "spawned",
    "Usage": "result",
    "Writer": "spawned",
}
__all__ = [
    "AsyncSandbox",
    "CommandFailed",
    "Entry",
    "Files",
    "Limits",
    "Reader",
    "Result",
    "Sandbox",
    "Spawned",
    "Usage",
    "Writer",
]

__getattr__, __dir__ = later(__name__, _LATER)
