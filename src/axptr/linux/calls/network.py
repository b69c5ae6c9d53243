"""Sockets: making, naming, connecting, options. Source: the man page of each call, net/socket.c of Linux 6.18.

What passes through them is `messages`. An address is copied in once, at most as long as a struct sockaddr_storage, and
what a family makes of it is judged on that copy.
"""

from __future__ import annotations

import errno
import os
from struct import pack, unpack

from ...errors import LinuxError
from ...kernel.abi import c_int
from ..fs.openfile import OpenFile
from ..net.endpoint import POLLIN, POLLOUT, Endpoint, Waits
from ..net.families import create, create_pair, elsewhere
from ..net.options import SOL_SOCKET, get_option, set_option
from ..net.socket import Socket
from ..registry import call
from ..uaccess import Bytes, ConstBytes, get_bytes, put_bytes, put_user, put_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

SOCK_CLOEXEC, SOCK_NONBLOCK = os.O_CLOEXEC, os.O_NONBLOCK
_KIND = 0xF
STORAGE = 128
"""sizeof(struct sockaddr_storage)."""


def socket_of(task: LinuxTask, fd: int) -> Socket:
    """EBADF, ENOTSOCK."""
    file = task.files.get_io(fd)
    if not isinstance(file, Socket):
        raise LinuxError(errno.ENOTSOCK)
    return file


def read_address(task: LinuxTask, address: int, size: int) -> bytes:
    """move_addr_to_kernel: EINVAL for a size that no address has."""
    if not 0 <= size <= STORAGE:
        raise LinuxError(errno.EINVAL)
    return get_bytes(task, address, size) if size else b""


def write_address(task: LinuxTask, told: bytes, address: int, size_at: int) -> None:
    """move_addr_to_user: how long it is, and as much as there is room for."""
    (size,) = unpack("<i", get_bytes(task, size_at, 4))
    if size < 0:
        raise LinuxError(errno.EINVAL)
    size = min(size, len(told))
    put_user(task, size_at, pack("<i", len(told)))
    if size:
        put_bytes(task, address, told[:size])


def _flags(kind: int) -> tuple[int, bool, bool]:
    """Type, close-on-exec, non-blocking; EINVAL for other flags."""
    if kind & ~_KIND & ~(SOCK_CLOEXEC | SOCK_NONBLOCK):
        raise LinuxError(errno.EINVAL)
    return kind & _KIND, bool(kind & SOCK_CLOEXEC), bool(kind & SOCK_NONBLOCK)


def install(task: LinuxTask, end: Endpoint, *, cloexec: bool, nonblock: bool) -> int:
    """A descriptor for an endpoint, which is closed if there is none left."""
    try:
        file = Socket(end, SOCK_NONBLOCK if nonblock else 0)
    except LinuxError:
        end.close()
        raise
    return task.files.add(file, cloexec=cloexec)


@call("socket")
def sys_socket(task: LinuxTask, family: c_int, kind: c_int, protocol: c_int) -> int:
    type_, cloexec, nonblock = _flags(kind)
    return install(task, create(task, family, type_, protocol), cloexec=cloexec, nonblock=nonblock)


@call("socketpair")
def sys_socketpair(task: LinuxTask, family: c_int, kind: c_int, protocol: c_int, fds: Bytes) -> int:
    """The numbers are told before there is anything behind them."""
    type_, cloexec, nonblock = _flags(kind)
    files, taken = task.files, list[int]()
    try:
        for _ in range(2):
            taken.append(files.add(OpenFile(0), cloexec=cloexec))
        put_words(task, fds.address, pack("<ii", *taken), 4)
        ends = create_pair(task, family, type_, protocol)
        for fd, end in zip(taken, ends, strict=True):
            files.place(fd, Socket(end, SOCK_NONBLOCK if nonblock else 0), cloexec=cloexec)
    except LinuxError:
        for fd in taken:
            files.close(fd)
        raise
    return 0


@call("bind")
def sys_bind(task: LinuxTask, fd: c_int, address: ConstBytes, size: c_int) -> int:
    socket = socket_of(task, fd)
    socket.endpoint.bind(task, read_address(task, address.address, size))
    return 0


@call("listen")
def sys_listen(task: LinuxTask, fd: c_int, backlog: c_int) -> int:
    end = socket_of(task, fd).endpoint
    end.listen(task, min(backlog & 0xFFFF_FFFF, end.network.backlog_limit))
    return 0


@call("connect")
def sys_connect(task: LinuxTask, fd: c_int, address: ConstBytes, size: c_int) -> int | None:
    socket = socket_of(task, fd)
    goal = read_address(task, address.address, size)
    if len(goal) < 2:
        raise LinuxError(errno.EINVAL)
    return _connect_on(task, socket, goal, socket.deadline(task, POLLOUT))


def _connect_on(task: LinuxTask, socket: Socket, goal: bytes, until: float | None) -> int | None:
    """connect, until a time of the monotonic clock. What is under way then goes on by itself."""
    over = until is not None and task.machine.host.monotonic() >= until
    try:
        begin_connection(task, socket, goal, over)
    except Waits as stop:
        again = _connect_on, (socket, goal, until)
        on = [(stop.on or socket, POLLOUT)]
        return task.block(on=on, until=until, again=again, interrupted=_connect_cut)
    return 0


def begin_connection(task: LinuxTask, socket: Socket, goal: bytes, at_once: bool) -> None:
    """Connect, or see how far a connection is; `Waits` while it is under way, if the call may wait."""
    outside = elsewhere(socket.endpoint, goal)
    if outside is not None:
        socket.become(outside, task.loop)
    socket.endpoint.connect(task, goal, not socket.blocks or at_once)


def _connect_cut(task: LinuxTask, socket: Socket, goal: bytes, until: float | None) -> int | None:
    return None if until is None else -errno.EINTR


# -- accept


@call("accept")
def sys_accept(task: LinuxTask, fd: c_int, address: Bytes, size_at: Bytes) -> int | None:
    return _accept(task, fd, address.address, size_at.address, 0)


@call("accept4")
def sys_accept4(task: LinuxTask, fd: c_int, address: Bytes, size_at: Bytes, flags: c_int) -> int | None:
    return _accept(task, fd, address.address, size_at.address, flags)


def _accept(task: LinuxTask, fd: int, address: int, size_at: int, flags: int) -> int | None:
    file = task.files.get_io(fd)
    if flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK):
        raise LinuxError(errno.EINVAL)
    task.files.require_room()
    if not isinstance(file, Socket):
        raise LinuxError(errno.ENOTSOCK)
    return _accept_on(task, file, address, size_at, flags, file.deadline(task, POLLIN))


def _accept_on(
    task: LinuxTask, socket: Socket, address: int, size_at: int, flags: int, until: float | None
) -> int | None:
    task.files.require_room()
    try:
        made = socket.endpoint.accept(task)
    except Waits:
        if not socket.blocks or (until is not None and task.machine.host.monotonic() >= until):
            raise LinuxError(errno.EAGAIN) from None
        again = _accept_on, (socket, address, size_at, flags, until)
        return task.block(on=[(socket, POLLIN)], until=until, again=again, interrupted=_accept_cut)
    if address:
        try:
            write_address(task, made.accepted_name(), address, size_at)
        except LinuxError:
            made.close()
            raise
    return install(task, made, cloexec=bool(flags & SOCK_CLOEXEC), nonblock=bool(flags & SOCK_NONBLOCK))


def _accept_cut(
    task: LinuxTask, socket: Socket, address: int, size_at: int, flags: int, until: float | None
) -> int | None:
    """With a time of its own it is not made again (sock_intr_errno)."""
    return None if until is None else -errno.EINTR


# -- names, ends


@call("getsockname")
def sys_getsockname(task: LinuxTask, fd: c_int, address: Bytes, size_at: Bytes) -> int:
    write_address(task, socket_of(task, fd).endpoint.name(False), address.address, size_at.address)
    return 0


@call("getpeername")
def sys_getpeername(task: LinuxTask, fd: c_int, address: Bytes, size_at: Bytes) -> int:
    write_address(task, socket_of(task, fd).endpoint.name(True), address.address, size_at.address)
    return 0


@call("shutdown")
def sys_shutdown(task: LinuxTask, fd: c_int, how: c_int) -> int:
    end = socket_of(task, fd).endpoint
    if not 0 <= how <= 2:
        raise LinuxError(errno.EINVAL)
    end.shutdown(task, how + 1)
    return 0


# -- options


@call("setsockopt")
def sys_setsockopt(task: LinuxTask, fd: c_int, level: c_int, name: c_int, value: ConstBytes, size: c_int) -> int:
    end = socket_of(task, fd).endpoint
    if size < 0:
        raise LinuxError(errno.EINVAL)
    if level == SOL_SOCKET:
        set_option(task, end, name, value.address, size)
    else:
        end.set_option(task, level, name, value.address, size)
    return 0


@call("getsockopt")
def sys_getsockopt(task: LinuxTask, fd: c_int, level: c_int, name: c_int, value: Bytes, size_at: Bytes) -> int:
    end = socket_of(task, fd).endpoint
    (size,) = unpack("<i", get_bytes(task, size_at.address, 4))
    if size < 0:
        raise LinuxError(errno.EINVAL)
    found = (get_option(task, end, name, size) if level == SOL_SOCKET else end.get_option(task, level, name, size))[
        :size
    ]
    put_bytes(task, value.address, found)
    put_user(task, size_at.address, pack("<i", len(found)))
    return 0
