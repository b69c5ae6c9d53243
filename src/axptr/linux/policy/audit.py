"""The record of a run: a line of JSON for each call that concerns files, programs, processes or the network, and for
each refusal.

    {"time": 1767225600.5, "pid": 312, "comm": "sh", "call": "openat", "args": {"dirfd": -100, "path": "/etc/passwd",
     "flags": 0, "mode": 0}, "result": 3}
    {"time": ..., "pid": 312, "comm": "sh", "call": "openat", "denied": "/etc/shadow", "access": "read",
     "rule": "paths.deny \\"/etc/shadow\\"", "errno": "EACCES"}
"""

from __future__ import annotations

import errno
import json
import os

from ..host import clocks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .judged import Call
    from .policy import Denied

CALLS = frozenset({
    "accept", "accept4", "bind", "chdir", "chmod", "chown", "chroot", "clone", "clone3", "connect", "creat", "execve",
    "execveat", "exit_group", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchownat", "fork", "ftruncate", "kill",
    "lchown", "link", "linkat", "listen", "lremovexattr", "lsetxattr", "memfd_create", "mkdir", "mkdirat", "mknod",
    "mknodat", "mount", "open", "openat", "openat2", "pidfd_send_signal", "process_vm_readv", "process_vm_writev",
    "ptrace", "removexattr", "rename", "renameat", "renameat2", "rmdir", "sendto", "setgid", "setresgid", "setresuid",
    "setuid", "setxattr", "socket", "symlink", "symlinkat", "tgkill", "tkill", "truncate", "unlink", "unlinkat",
    "vfork",
})  # fmt: skip


_TEXT, _MEMBERS = 4096, 256


class Audit:
    """write: is given each line, its newline included. calls: names of those that are told of, None for all."""

    def __init__(self, write: Callable[[str], object], calls: frozenset[str] | None = CALLS) -> None:
        self._write = write
        self._calls = calls

    def wants(self, name: str) -> bool:
        return self._calls is None or name in self._calls

    def called(self, call: Call) -> None:
        """After a call."""
        result: Any = call.result
        if result is not None and -4096 < result < 0:
            result = errno.errorcode.get(-result, result)
        policy = call.task.kernel.policy
        branch = policy.branch if policy is not None else ""
        self._line(branch, call.pid, call.comm, call=call.name, args=_plain(call.args), result=result)

    def refused(self, denied: Denied) -> None:
        code = errno.errorcode.get(denied.errno, str(denied.errno))
        self._line(
            denied.branch, denied.pid, denied.comm, call=denied.call, denied=denied.subject, access=denied.access,
            rule=denied.rule, errno=code,
        )  # fmt: skip

    def _line(self, branch: str, pid: int, comm: str, **more: Any) -> None:
        line = {"time": clocks()[0] / 1e9, "branch": branch, "pid": pid, "comm": _text(comm), **more}
        self._write(json.dumps(line, default=str) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value[:_MEMBERS]] + (["..."] if len(value) > _MEMBERS else [])
    if isinstance(value, bytes):
        return _text(os.fsdecode(value[:_TEXT])) + ("..." if len(value) > _TEXT else "")
    return int(value) if isinstance(value, int) else value


def _text(text: str) -> str:
    """What is no UTF-8 is told with backslashes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
