"""The calls of System V message queues. Source: msgget(2), msgop(2), msgctl(2), ipc/msg.c: its order of checks."""

from __future__ import annotations

import errno
from struct import pack, unpack

from ...errors import LinuxError
from ...kernel.abi import c_int, c_long, c_size_t
from ..ipc.ids import IPC_INFO, IPC_NOWAIT, IPC_RMID, IPC_SET, IPC_STAT
from ..ipc.msg import MSG_COPY, MSG_EXCEPT, MSG_NOERROR, MSGMAX, MSGMNB, MSGMNI, MsgQueue
from ..registry import call
from ..uaccess import Bytes, ConstBytes, get_bytes, put_bytes, put_user

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

MSG_STAT, MSG_INFO, MSG_STAT_ANY = 11, 12, 13
_SET_SIZE = 120
_POOL, _SEGMENT_SIZE, _SEGMENTS = MSGMNI * MSGMNB // 1024, 16, 0xFFFF


@call("msgget")
def sys_msgget(task: LinuxTask, key: c_int, flag: c_int) -> int:
    return task.ipc.messages.open(task, key, flag, lambda found: True, lambda: MsgQueue(task, key, flag))


@call("msgsnd")
def sys_msgsnd(task: LinuxTask, number: c_int, message: ConstBytes, size: c_size_t, flag: c_int) -> int | None:
    (kind,) = unpack("<q", get_bytes(task, message.address, 8))
    if size > MSGMAX or number < 0 or kind < 1:
        raise LinuxError(errno.EINVAL)
    text = get_bytes(task, message.address + 8, size) if size else b""
    queue = task.ipc.messages.get(number)
    return _send_on(task, queue, kind, text, flag)


def _send_on(task: LinuxTask, queue: MsgQueue, kind: int, text: bytes, flag: int) -> int | None:
    queue.require_alive()
    queue.require(task, 0o222)
    if queue.fits(len(text)):
        queue.put(task, kind, text)
        return 0
    if flag & IPC_NOWAIT:
        raise LinuxError(errno.EAGAIN)
    again = _send_on, (queue, kind, text, flag)
    return task.block(on=[(queue.senders, 1)], again=again, interrupted=_cut)


def _cut(task: LinuxTask, *data: object) -> int:
    """A signal came; the call is never made again."""
    return -errno.EINTR


@call("msgrcv")
def sys_msgrcv(task: LinuxTask, number: c_int, message: Bytes, size: c_size_t, kind: c_long, flag: c_int) -> int | None:
    if number < 0 or size >= 1 << 63:
        raise LinuxError(errno.EINVAL)
    if flag & MSG_COPY and (flag & MSG_EXCEPT or not flag & IPC_NOWAIT):
        raise LinuxError(errno.EINVAL)
    queue = task.ipc.messages.get(number)
    return _receive_on(task, queue, message.address, size, kind, flag)


def _receive_on(task: LinuxTask, queue: MsgQueue, address: int, size: int, kind: int, flag: int) -> int | None:
    queue.require_alive()
    queue.require(task, 0o444)
    index = queue.find(kind, flag)
    if index is None:
        if flag & IPC_NOWAIT:
            raise LinuxError(errno.ENOMSG)
        again = _receive_on, (queue, address, size, kind, flag)
        return task.block(on=[(queue.receivers, 1)], again=again, interrupted=_cut)
    if len(queue.messages[index][1]) > size and not flag & MSG_NOERROR:
        raise LinuxError(errno.E2BIG)
    found, text = queue.messages[index] if flag & MSG_COPY else queue.take(task, index)
    text = text[:size]
    put_user(task, address, pack("<q", found))
    put_bytes(task, address + 8, text)
    return len(text)


@call("msgctl")
def sys_msgctl(task: LinuxTask, number: c_int, command: c_int, buffer: Bytes) -> int:
    if number < 0 or command < 0:
        raise LinuxError(errno.EINVAL)
    queues = task.ipc.messages
    if command in (IPC_INFO, MSG_INFO):
        told = _POOL, MSGMNB, MSGMNB
        if command == MSG_INFO:
            every = queues.all()
            told = len(queues), sum(len(q.messages) for q in every), sum(q.held for q in every)
        values = told[0], told[1], MSGMAX, MSGMNB, MSGMNI, _SEGMENT_SIZE, told[2], _SEGMENTS
        put_bytes(task, buffer.address, pack("<7iH2x", *values))
        return queues.highest
    if command in (IPC_STAT, MSG_STAT, MSG_STAT_ANY):
        queue, result = queues.shown(task, number, by_index=command != IPC_STAT, to_all=command == MSG_STAT_ANY)
        put_bytes(task, buffer.address, queue.describe(task))
        return result
    if command == IPC_SET:
        raw = get_bytes(task, buffer.address, _SET_SIZE)
        queue = queues.owned(task, number)
        (most,) = unpack("<Q", raw[88:96])
        if most > MSGMNB and not task.creds.reigns:
            raise LinuxError(errno.EPERM)
        queue.set_perm(task, raw)
        queue.most = most
        queue.receivers.queue.wake()
        queue.senders.queue.wake()
        return 0
    if command == IPC_RMID:
        queues.destroy(queues.owned(task, number))
        return 0
    raise LinuxError(errno.EINVAL)
