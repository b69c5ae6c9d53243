"""What passes through sockets: send, sendto, sendmsg, recvfrom, recvmsg and those of many messages at once. Source: the
man page of each call, net/socket.c of Linux 6.18.

A call that waits keeps what has gone, and where its user memory goes on; addresses and control messages were copied in
before. How it ends is a function and plain data.
"""

from __future__ import annotations

import errno
from struct import Struct, pack

from ..._core.kernel.quick import Receiving, Sending
from ...errors import LinuxError
from ...flags import READ, WRITE
from ...kernel.abi import c_int, c_size_t, c_uint
from ..abi.timespec import read_timespec
from ..fs.openfile import BrokenPipe
from ..net.address import family_of
from ..net.control import let_go, read_control, write_control
from ..net.endpoint import (
    AF_UNSPEC,
    MSG_CMSG_CLOEXEC,
    MSG_DONTWAIT,
    MSG_FASTOPEN,
    MSG_NOSIGNAL,
    MSG_WAITALL,
    MSG_WAITFORONE,
    POLLIN,
    POLLOUT,
    Outgoing,
    Received,
    Waits,
)
from ..net.families import elsewhere
from ..net.socket import Socket
from ..registry import at_once, call
from ..uaccess import (
    IOV_MAX,
    MAX_RW_COUNT,
    Bytes,
    ConstBytes,
    UserIter,
    get_bytes,
    import_iovec,
    put_bytes,
    put_user,
    require_user,
)
from .network import STORAGE, begin_connection, read_address, socket_of, write_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..task.task import LinuxTask

    Rest = tuple[tuple[int, int], ...]
    End = tuple[Callable[..., "int | None"], tuple[Any, ...]]
    """How a call ends: called with the task, the socket, what came of it, and this data."""

_HEADER = Struct("<QI4xQQQQI4x")
_FLAGS_AT, _CONTROL_AT, _NAME_SIZE_AT = 48, 40, 8
_MULTIPLE = 64
"""sizeof(struct mmsghdr)."""
_INT_MAX = (1 << 31) - 1


# -- sending


def _send(task: LinuxTask, socket: Socket, data: UserIter, message: Outgoing, end: End) -> int | None:
    until = socket.deadline(task, POLLOUT)
    if message.flags & MSG_FASTOPEN and socket.endpoint.opens_by_sending:
        return _open_on(task, socket, data.rest, message, until, end)
    return _send_on(task, socket, data.rest, message, until, 0, end)


def _open_on(
    task: LinuxTask, socket: Socket, rest: Rest, message: Outgoing, until: float | None, end: End, *held: Any
) -> int | None:
    """MSG_FASTOPEN: connect, then send, as to whoever has given no cookie yet (tcp_sendmsg_fastopen)."""
    over = until is not None and task.machine.host.monotonic() >= until
    try:
        if message.to and family_of(message.to) == AF_UNSPEC:
            raise LinuxError(errno.EOPNOTSUPP)
        begin_connection(task, socket, message.to or b"", bool(message.flags & MSG_DONTWAIT) or over)
    except Waits as stop:
        again = _open_on, (socket, rest, message, until, end, *message.files)
        return task.block(on=[(stop.on or socket, POLLOUT)], until=until, again=again, interrupted=_open_cut)
    except LinuxError as error:
        return end[0](task, socket, error, *end[1])
    message.to = None
    return _send_on(task, socket, rest, message, until, 0, end)


def _open_cut(
    task: LinuxTask, socket: Socket, rest: Rest, message: Outgoing, until: float | None, end: End, *held: Any
) -> int | None:
    return None if until is None else -errno.EINTR


def _send_on(
    task: LinuxTask, socket: Socket, rest: Rest, message: Outgoing, until: float | None, done: int, end: End, *held: Any
) -> int | None:
    """held: the files of the message, which stay open while it waits."""
    sent = done
    if message.to:
        outside = elsewhere(socket.endpoint, message.to)
        if outside is not None:
            socket.become(outside, task.loop)
    try:
        sent += socket.endpoint.send(task, UserIter.over(task, rest), message)
    except Waits as stop:
        sent += stop.done
        over = until is not None and task.machine.host.monotonic() >= until
        if message.flags & MSG_DONTWAIT or not socket.blocks or over:
            if not sent:
                return end[0](task, socket, LinuxError(errno.EAGAIN), *end[1])
        else:
            again = _send_on, (socket, stop.rest, message, until, sent, end, *message.files)
            return task.block(on=[(stop.on or socket, POLLOUT)], until=until, again=again, interrupted=_send_cut)
    except BrokenPipe as error:
        sent += error.done
        if not sent:
            if not message.flags & MSG_NOSIGNAL:
                task.signals.broken_pipe(task)
            return end[0](task, socket, error, *end[1])
    except LinuxError as error:
        if not sent:
            return end[0](task, socket, error, *end[1])
    return end[0](task, socket, sent, *end[1])


def _send_cut(
    task: LinuxTask, socket: Socket, rest: Rest, message: Outgoing, until: float | None, done: int, end: End, *held: Any
) -> int | None:
    if done:
        return end[0](task, socket, done, *end[1])
    return None if until is None else -errno.EINTR


def _sent(task: LinuxTask, socket: Socket, outcome: int | LinuxError) -> int:
    if isinstance(outcome, LinuxError):
        try:
            raise outcome
        finally:
            del outcome  # or it would hold itself, by this frame
    return outcome


@call("sendto")
def sys_sendto(
    task: LinuxTask, fd: c_int, data: ConstBytes, size: c_size_t, flags: c_int, address: ConstBytes, address_size: c_int
) -> int | None:
    size = min(size, MAX_RW_COUNT)
    require_user(task, data.address, size, READ)
    socket = socket_of(task, fd)
    to = None if address.is_null else read_address(task, address.address, address_size)
    return _send(task, socket, UserIter.single(task, data.address, size), Outgoing(flags, to), (_sent, ()))


def _outgoing(task: LinuxTask, socket: Socket, address: int, flags: int) -> tuple[Outgoing, UserIter]:
    """A message as sendmsg finds it."""
    name, name_size, vector, count, control, control_size = _read_message(task, address)
    to = read_address(task, name, name_size) if name_size else None
    if count > IOV_MAX:
        raise LinuxError(errno.EMSGSIZE)
    data = UserIter(task, import_iovec(task, ConstBytes(vector), count, READ))
    message = Outgoing(flags, to)
    if control_size > _INT_MAX:
        raise LinuxError(errno.ENOBUFS)
    if control_size:
        read_control(task, socket.endpoint, message, control, control_size)
    return message, data


def _read_message(task: LinuxTask, address: int) -> tuple[int, int, int, int, int, int]:
    """struct msghdr: name, size of it, vector, count, control, size of it."""
    name, name_size, vector, count, control, control_size, _ = _HEADER.unpack(get_bytes(task, address, _HEADER.size))
    if not name:
        name_size = 0
    if name_size > _INT_MAX:
        raise LinuxError(errno.EINVAL)
    return name, min(name_size, STORAGE), vector, count, control, control_size


def _refuse_compat(flags: int) -> None:
    """EINVAL for what the kernel's other tables of calls say among themselves (MSG_CMSG_COMPAT)."""
    if flags >> 31:
        raise LinuxError(errno.EINVAL)


@call("sendmsg")
def sys_sendmsg(task: LinuxTask, fd: c_int, header: ConstBytes, flags: c_uint) -> int | None:
    _refuse_compat(flags)
    socket = socket_of(task, fd)
    message, data = _outgoing(task, socket, header.address, flags)
    return _send(task, socket, data, message, (_sent, ()))


@call("sendmmsg")
def sys_sendmmsg(task: LinuxTask, fd: c_int, headers: Bytes, count: c_uint, flags: c_uint) -> int | None:
    _refuse_compat(flags)
    return _send_next(task, socket_of(task, fd), headers.address, min(count, IOV_MAX), flags, 0)


def _send_next(task: LinuxTask, socket: Socket, headers: int, count: int, flags: int, done: int) -> int | None:
    """The messages from the one after `done` on. An error is the call's only where nothing was sent."""
    if done == count:
        return done
    at = headers + _MULTIPLE * done
    try:
        message, data = _outgoing(task, socket, at, flags)
    except LinuxError:
        if not done:
            raise
        return done
    return _send(task, socket, data, message, (_sent_one, (headers, count, flags, done)))


def _sent_one(
    task: LinuxTask, socket: Socket, outcome: int | LinuxError, headers: int, count: int, flags: int, done: int
) -> int | None:
    try:
        if isinstance(outcome, LinuxError):
            try:
                raise outcome
            finally:
                del outcome  # or it would hold itself, by this frame
        put_user(task, headers + _MULTIPLE * done + _HEADER.size, pack("<I", outcome))
    except LinuxError:
        if not done:
            raise
        return done
    return _send_next(task, socket, headers, count, flags, done + 1)


# -- receiving


def _receive(task: LinuxTask, socket: Socket, to: UserIter, flags: int, end: End) -> int | None:
    least = (to.count if flags & MSG_WAITALL else min(socket.endpoint.options.least, to.count)) or 1  # sock_rcvlowat
    return _receive_on(task, socket, to.rest, flags, least, socket.deadline(task, POLLIN), 0, end)


def _receive_on(
    task: LinuxTask, socket: Socket, rest: Rest, flags: int, least: int, until: float | None, done: int, end: End
) -> int | None:
    to = UserIter.over(task, rest)
    stays = flags & MSG_DONTWAIT or not socket.blocks or (until is not None and task.machine.host.monotonic() >= until)
    try:
        try:
            got = socket.endpoint.receive(task, to, flags, 1 if stays else least - done)
        except Waits as stop:
            if stays:
                raise LinuxError(errno.EAGAIN) from None
            done += stop.done
            again = _receive_on, (socket, stop.rest, flags, least, until, done, end)
            on = [(stop.on or socket, POLLIN)]
            return task.block(on=on, until=until, again=again, interrupted=_receive_cut)
        got.count += done
    except LinuxError as error:
        if not done:
            return end[0](task, socket, error, *end[1])
        got = Received(done)
    return end[0](task, socket, got, *end[1])


def _receive_cut(
    task: LinuxTask, socket: Socket, rest: Rest, flags: int, least: int, until: float | None, done: int, end: End
) -> int | None:
    if done:
        return end[0](task, socket, Received(done), *end[1])
    return None if until is None else -errno.EINTR


@call("recvfrom")
def sys_recvfrom(
    task: LinuxTask, fd: c_int, data: Bytes, size: c_size_t, flags: c_uint, address: Bytes, size_at: Bytes
) -> int | None:
    size = min(size, MAX_RW_COUNT)
    require_user(task, data.address, size, WRITE)
    socket = socket_of(task, fd)
    to = UserIter.single(task, data.address, size)
    return _receive(task, socket, to, flags, (_received, (address.address, size_at.address)))


at_once("recvfrom", lambda plain: Receiving(plain, _receive_on, _receive_cut, (_received, (0, 0))))
at_once("sendto", Sending)


def _received(task: LinuxTask, socket: Socket, outcome: Received | LinuxError, address: int, size_at: int) -> int:
    """recvfrom: the bytes, and who sent them; what else came is lost."""
    if isinstance(outcome, LinuxError):
        try:
            raise outcome
        finally:
            del outcome  # or it would hold itself, by this frame
    let_go(task, outcome)
    if address:
        write_address(task, outcome.source or b"", address, size_at)
    return outcome.count


@call("recvmsg")
def sys_recvmsg(task: LinuxTask, fd: c_int, header: Bytes, flags: c_uint) -> int | None:
    _refuse_compat(flags)
    socket = socket_of(task, fd)
    return _receive_message(task, socket, header.address, flags, (_told, (header.address, flags)))


def _receive_message(task: LinuxTask, socket: Socket, header: int, flags: int, end: End) -> int | None:
    name, _, vector, count, control, control_size = _read_message(task, header)
    if count > IOV_MAX:
        raise LinuxError(errno.EMSGSIZE)
    to = UserIter(task, import_iovec(task, ConstBytes(vector), count, WRITE))
    function, data = end
    return _receive(task, socket, to, flags, (function, (*data, name, control, control_size)))


def _tell(
    task: LinuxTask, socket: Socket, got: Received, header: int, flags: int, name: int, control: int, size: int
) -> int:
    """Fill in a struct msghdr (____sys_recvmsg)."""
    used, told = write_control(task, socket.endpoint, got, control, size, flags)
    if name:
        write_address(task, got.source or b"", name, header + _NAME_SIZE_AT)
    put_user(task, header + _FLAGS_AT, pack("<I", told | flags & MSG_CMSG_CLOEXEC))
    put_user(task, header + _CONTROL_AT, pack("<Q", used))
    return got.count


def _told(
    task: LinuxTask,
    socket: Socket,
    outcome: Received | LinuxError,
    header: int,
    flags: int,
    name: int,
    control: int,
    size: int,
) -> int:
    if isinstance(outcome, LinuxError):
        try:
            raise outcome
        finally:
            del outcome  # or it would hold itself, by this frame
    return _tell(task, socket, outcome, header, flags, name, control, size)


@call("recvmmsg")
def sys_recvmmsg(
    task: LinuxTask, fd: c_int, headers: Bytes, count: c_uint, flags: c_uint, timeout: Bytes
) -> int | None:
    """The time is looked at between two messages only."""
    _refuse_compat(flags)
    until = None
    if not timeout.is_null:
        until = task.machine.host.monotonic() + read_timespec(task, timeout.address)
    socket = socket_of(task, fd)
    socket.endpoint.take_error()
    return _next_message(task, socket, headers.address, min(count, IOV_MAX), flags, timeout.address, until, 0)


def _next_message(
    task: LinuxTask,
    socket: Socket,
    headers: int,
    count: int,
    flags: int,
    timeout: int,
    until: float | None,
    done: int,
) -> int | None:
    if done == count:
        return _all_told(task, timeout, until, done)
    at = headers + _MULTIPLE * done
    end: End = (_told_one, (headers, count, flags, timeout, until, done))
    try:
        return _receive_message(task, socket, at, flags & ~MSG_WAITFORONE, end)
    except LinuxError:
        if not done:
            raise
        return _all_told(task, timeout, until, done)


def _told_one(
    task: LinuxTask,
    socket: Socket,
    outcome: Received | LinuxError,
    headers: int,
    count: int,
    flags: int,
    timeout: int,
    until: float | None,
    done: int,
    name: int,
    control: int,
    size: int,
) -> int | None:
    at = headers + _MULTIPLE * done
    try:
        if isinstance(outcome, LinuxError):
            try:
                raise outcome
            finally:
                del outcome  # or it would hold itself, by this frame
        got = _tell(task, socket, outcome, at, flags, name, control, size)
        put_user(task, at + _HEADER.size, pack("<I", got))
    except LinuxError as error:
        if not done:
            raise
        if error.errno != errno.EAGAIN:
            socket.endpoint.error = error.errno
        return _all_told(task, timeout, until, done)
    if flags & MSG_WAITFORONE:
        flags |= MSG_DONTWAIT
    if until is not None and task.machine.host.monotonic() >= until:
        return _all_told(task, timeout, until, done + 1)
    return _next_message(task, socket, headers, count, flags, timeout, until, done + 1)


def _all_told(task: LinuxTask, timeout: int, until: float | None, done: int) -> int:
    """What is left of the time is written back."""
    if until is not None:
        left = max(0, int((until - task.machine.host.monotonic()) * 1_000_000_000))
        put_bytes(task, timeout, pack("<qq", *divmod(left, 1_000_000_000)))
    return done
