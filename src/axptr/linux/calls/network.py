"""Sockets: there are none. A program that asks for one learns that no address family is supported; descriptors it
has are no sockets. Source: socket(2)."""

from __future__ import annotations

import errno

from ...errors import LinuxError
from ...kernel.abi import c_int, c_size_t, c_ulong
from ..registry import call
from ..uaccess import Bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..task.task import LinuxTask


@call("socket")
def sys_socket(task: LinuxTask, family: c_int, kind: c_int, protocol: c_int) -> int:
    raise LinuxError(errno.EAFNOSUPPORT)


@call("socketpair")
def sys_socketpair(task: LinuxTask, family: c_int, kind: c_int, protocol: c_int, fds: Bytes) -> int:
    raise LinuxError(errno.EAFNOSUPPORT)


def _no_socket(name: str) -> Callable[..., int]:
    def handler(task: LinuxTask, fd: c_int, a1: c_ulong, a2: c_size_t, a3: c_ulong, a4: c_ulong, a5: c_ulong) -> int:
        task.files.get_io(fd)
        raise LinuxError(errno.ENOTSOCK)

    return call(name)(handler)


for _name in (
    "connect", "accept", "sendto", "recvfrom", "sendmsg", "recvmsg", "shutdown", "bind", "listen", "getsockname",
    "getpeername", "setsockopt", "getsockopt", "accept4", "recvmmsg", "sendmmsg",
):  # fmt: skip
    _no_socket(_name)
