"""Sockets: there are none. A program that asks for one learns that no address family is supported; descriptors it
has are no sockets. Source: socket(2)."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...errors import LinuxError
from ...kernel.abi import c_int, c_size_t, c_ulong
from ..registry import syscall
from ..uaccess import Bytes

if TYPE_CHECKING:
    from ..task.task import LinuxTask


@syscall(41, "socket")
def sys_socket(task: LinuxTask, family: c_int, kind: c_int, protocol: c_int) -> int:
    raise LinuxError(errno.EAFNOSUPPORT)


@syscall(53, "socketpair")
def sys_socketpair(task: LinuxTask, family: c_int, kind: c_int, protocol: c_int, fds: Bytes) -> int:
    raise LinuxError(errno.EAFNOSUPPORT)


def _no_socket(nr: int, name: str) -> Callable[..., int]:
    def handler(task: LinuxTask, fd: c_int, a1: c_ulong, a2: c_size_t, a3: c_ulong, a4: c_ulong, a5: c_ulong) -> int:
        task.files.get_io(fd)
        raise LinuxError(errno.ENOTSOCK)

    return syscall(nr, name)(handler)


for _nr, _name in (
    (42, "connect"), (43, "accept"), (44, "sendto"), (45, "recvfrom"), (46, "sendmsg"), (47, "recvmsg"),
    (48, "shutdown"), (49, "bind"), (50, "listen"), (51, "getsockname"), (52, "getpeername"), (54, "setsockopt"),
    (55, "getsockopt"), (288, "accept4"), (299, "recvmmsg"), (307, "sendmmsg"),
):  # fmt: skip
    _no_socket(_nr, _name)
