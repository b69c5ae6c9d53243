"""The calls of POSIX message queues. Source: mq_open(3) and its kin, ipc/mqueue.c: its order of checks."""

from __future__ import annotations

import errno
import os
from struct import pack, unpack

from ...errors import LinuxError
from ...flags import READ
from ...kernel.abi import c_int, c_size_t, c_uint
from ..abi.timespec import read_timespec
from ..fs import permissions
from ..fs.openfile import O_NONBLOCK
from ..ipc.mqueue import (
    COOKIE_SIZE,
    HARD_MSG_MAX,
    HARD_MSGSIZE_MAX,
    MQ_PRIO_MAX,
    MSG_MAX,
    MSGSIZE_MAX,
    QUEUES_MAX,
    SIGEV_NONE,
    SIGEV_SIGNAL,
    SIGEV_THREAD,
    MqFile,
    Queue,
    Told,
    queue_cost,
)
from ..net.netlink import NetlinkEndpoint
from ..net.socket import Socket
from ..registry import call
from ..task.limits import get_limit
from ..uaccess import Bytes, ConstBytes, get_bytes, put_bytes, put_user, read_path, require_user

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

_RLIMIT_MSGQUEUE = 12
_NAME_MAX = 255
_ATTR = "<qqqq32x"


def _name(task: LinuxTask, path: ConstBytes) -> bytes:
    """The name, without the slash that the library took away."""
    name = read_path(task, path)
    if not name:
        raise LinuxError(errno.ENOENT)
    if name in (b".", b"..") or b"/" in name:
        raise LinuxError(errno.EACCES)
    if len(name) > _NAME_MAX:
        raise LinuxError(errno.ENAMETOOLONG)
    return name


@call("mq_open")
def sys_mq_open(task: LinuxTask, path: ConstBytes, flags: c_int, mode: c_uint, attr: ConstBytes) -> int:
    wanted = None
    if not attr.is_null:
        wanted = unpack(_ATTR, get_bytes(task, attr.address, 64))
    name = _name(task, path)
    queues = task.ipc.queues.queues
    queue = queues.get(name)
    access = flags & os.O_ACCMODE
    if queue is None:
        if not flags & os.O_CREAT:
            raise LinuxError(errno.ENOENT)
        queue = _make(task, name, mode & ~task.fs.umask & 0o7777, None if wanted is None else wanted[1:3])
        queues[name] = queue
    elif flags & os.O_CREAT and flags & os.O_EXCL:
        raise LinuxError(errno.EEXIST)
    else:
        if access == os.O_ACCMODE:
            raise LinuxError(errno.EINVAL)
        permissions.require(task, queue, (permissions.MAY_READ, permissions.MAY_WRITE, 6)[access])
    file = MqFile(queue, access | flags & O_NONBLOCK)
    return task.files.add(file, cloexec=True)  # whatever is asked for


def _make(task: LinuxTask, name: bytes, mode: int, asked: tuple[int, int] | None) -> Queue:
    root = task.creds.reigns
    if len(task.ipc.queues.queues) >= QUEUES_MAX and not root:
        raise LinuxError(errno.ENOSPC)
    most, size = (MSG_MAX, MSGSIZE_MAX) if asked is None else asked
    if most <= 0 or size <= 0:
        raise LinuxError(errno.EINVAL)
    limits = (HARD_MSG_MAX, HARD_MSGSIZE_MAX) if root else (MSG_MAX, MSGSIZE_MAX)
    if most > limits[0] or size > limits[1]:
        raise LinuxError(errno.EINVAL)
    held = task.ipc.queues.held_by(task.creds.euid)
    if held + queue_cost(most, size) > get_limit(task, _RLIMIT_MSGQUEUE)[0]:
        raise LinuxError(errno.EMFILE)
    return Queue(task, name, mode, most, size)


@call("mq_unlink")
def sys_mq_unlink(task: LinuxTask, path: ConstBytes) -> int:
    name = _name(task, path)
    queues = task.ipc.queues
    if name not in queues.queues:
        raise LinuxError(errno.ENOENT)
    permissions.require_owner(task, queues.queues[name])  # their directory is sticky
    queues.unlink(name)
    return 0


def _until(task: LinuxTask, timeout: ConstBytes) -> float | None:
    """An absolute time of the real clock, as one of the monotonic clock."""
    if timeout.is_null:
        return None
    host = task.machine.host
    return host.monotonic() + read_timespec(task, timeout.address) - host.realtime_ns() / 1e9


def _file(task: LinuxTask, fd: int) -> MqFile:
    file = task.files.get_io(fd)
    if not isinstance(file, MqFile):
        raise LinuxError(errno.EBADF)
    return file


@call("mq_timedsend")
def sys_mq_timedsend(
    task: LinuxTask, fd: c_int, message: ConstBytes, size: c_size_t, priority: c_uint, timeout: ConstBytes
) -> int | None:
    until = _until(task, timeout)
    if priority >= MQ_PRIO_MAX:
        raise LinuxError(errno.EINVAL)
    file = _file(task, fd)
    if not file.writable:
        raise LinuxError(errno.EBADF)
    if size > file.messages.size:
        raise LinuxError(errno.EMSGSIZE)
    require_user(task, message.address, size, READ)
    text = get_bytes(task, message.address, size) if size else b""
    return _send_on(task, file, priority, text, until)


def _send_on(task: LinuxTask, file: MqFile, priority: int, text: bytes, until: float | None) -> int | None:
    queue = file.messages
    if len(queue.messages) < queue.most:
        queue.put(task, priority, text)
        return 0
    _require_time(task, file, until)
    again = _send_on, (file, priority, text, until)
    return task.block(on=[(_Room(queue), 4)], until=until, again=again)


class _Room:
    """Room in a queue, or a message in it, as something to wait for."""

    def __init__(self, queue: Queue) -> None:
        self._of = queue
        self.queue = queue.to_write

    def ready(self, mask: int) -> int:
        return mask if len(self._of.messages) < self._of.most else 0


class _Message(_Room):
    def __init__(self, queue: Queue) -> None:
        super().__init__(queue)
        self.queue = queue.to_read

    def ready(self, mask: int) -> int:
        return mask if self._of.messages else 0


def _require_time(task: LinuxTask, file: MqFile, until: float | None) -> None:
    """EAGAIN for who does not wait, ETIMEDOUT once the time is up."""
    if not file.blocks:
        raise LinuxError(errno.EAGAIN)
    if until is not None and task.machine.host.monotonic() >= until:
        raise LinuxError(errno.ETIMEDOUT)


@call("mq_timedreceive")
def sys_mq_timedreceive(
    task: LinuxTask, fd: c_int, message: Bytes, size: c_size_t, priority: Bytes, timeout: ConstBytes
) -> int | None:
    until = _until(task, timeout)
    file = _file(task, fd)
    if not file.readable:
        raise LinuxError(errno.EBADF)
    if size < file.messages.size:
        raise LinuxError(errno.EMSGSIZE)
    return _receive_on(task, file, message.address, priority.address, until)


def _receive_on(task: LinuxTask, file: MqFile, message: int, priority: int, until: float | None) -> int | None:
    queue = file.messages
    if not queue.messages:
        _require_time(task, file, until)
        again = _receive_on, (file, message, priority, until)
        return task.block(on=[(_Message(queue), 1)], until=until, again=again)
    found, text = queue.take()
    if priority:
        put_user(task, priority, pack("<I", found))
    put_bytes(task, message, text)
    return len(text)


@call("mq_notify")
def sys_mq_notify(task: LinuxTask, fd: c_int, event: ConstBytes) -> int:
    """By a signal, not at all, or by a thread, whose library is told through a netlink socket of its own."""
    how = signal = value = 0
    told: Told | None = None
    if not event.is_null:
        value, signal, how = unpack("<Qii48x", get_bytes(task, event.address, 64))
        if how not in (SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD):
            raise LinuxError(errno.EINVAL)
        if how == SIGEV_SIGNAL and not 0 <= signal <= 64:
            raise LinuxError(errno.EINVAL)
        if how == SIGEV_THREAD:
            cookie = get_bytes(task, value, COOKIE_SIZE)
            told = Told(_netlink(task, signal), cookie)
    file = _file(task, fd)
    if event.is_null:
        file.forget(task)
        return 0
    if file.messages.notify is not None:
        raise LinuxError(errno.EBUSY)
    file.messages.notify = task, file, how, signal, value, told
    return 0


def _netlink(task: LinuxTask, fd: int) -> NetlinkEndpoint:
    """netlink_getsockbyfd. EBADF, ENOTSOCK; EINVAL for a socket of another family."""
    file = task.files.get(fd)
    if not isinstance(file, Socket):
        raise LinuxError(errno.ENOTSOCK)
    if not isinstance(file.endpoint, NetlinkEndpoint):
        raise LinuxError(errno.EINVAL)
    return file.endpoint


@call("mq_getsetattr")
def sys_mq_getsetattr(task: LinuxTask, fd: c_int, new: ConstBytes, old: Bytes) -> int:
    flags = None
    if not new.is_null:
        (flags, _, _, _) = unpack(_ATTR, get_bytes(task, new.address, 64))
        if flags & ~O_NONBLOCK:
            raise LinuxError(errno.EINVAL)
    file = _file(task, fd)
    queue = file.messages
    before = pack(_ATTR, file.flags & O_NONBLOCK, queue.most, queue.size, len(queue.messages))
    if flags is not None:
        file.flags = file.flags & ~O_NONBLOCK | flags
    if not old.is_null:
        put_bytes(task, old.address, before)
    return 0
