"""Who answers calls in the place of the kernel: the listener of a filter of seccomp (SECCOMP_RET_USER_NOTIF). Source:
seccomp_unotify(2), kernel/seccomp.c of Linux 6.18 (seccomp_do_user_notification, seccomp_notify_ioctl).

A call that is to be answered waits; what waits for it is a `Notification`. One whose call has left off waiting, for a
signal or an end, is nobody's: that is seen by the task's own record, so that no end of a task has to tell of it.

Not here: which calls those are (`task.seccomp`).
"""

from __future__ import annotations

import errno
import os
from struct import Struct, pack

from ...errors import LinuxError
from ...kernel.wait import WaitQueue
from ..fs.openfile import OpenFile
from ..signals.state import ALWAYS
from ..uaccess import get_bytes, put_bytes
from .anon import AnonFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.seccomp import Filter
    from ..task.task import LinuxTask

ASKED, SENT, REPLIED = range(3)
_RECV, _SEND, _ID_VALID, _ID_VALID_WRONG, _SET_FLAGS = 0xC0502100, 0xC0182101, 0x40082102, 0x80082102, 0x40082104
_ADDFD, _EXTENSIBLE = 0x2103, 0x3FFF_0000 | 0xC000_0000  # of a command: its size and direction may be others
_CONTINUE, _SYNC_WAKE_UP = 1, 1
_SETFD, _AND_SEND = 1, 2
_POLLIN, _POLLOUT, _POLLHUP, _POLLRDNORM, _POLLWRNORM = 1, 4, 16, 64, 256
_RESPONSE, _ADDED = Struct("<QqiI"), Struct("<QIIII")
_NOTIF_SIZE, _PAGE = 80, 4096
_WORD = (1 << 64) - 1


class Notification:
    """A call that waits for its answer. state: ASKED, SENT to who listens, REPLIED. data: struct seccomp_data."""

    __slots__ = ("data", "error", "flags", "id", "queue", "state", "task", "value")

    def __init__(self, task: LinuxTask, number: int, data: bytes) -> None:
        self.task = task
        self.id = number
        self.data = data
        self.state = ASKED
        self.value = self.error = self.flags = 0
        self.queue = WaitQueue()

    def ready(self, mask: int) -> int:
        return mask if self.state == REPLIED else 0

    def reply(self, value: int, error: int, flags: int) -> None:
        self.value, self.error, self.flags, self.state = value, error, flags, REPLIED
        self.queue.wake()

    @property
    def waits(self) -> bool:
        """Whether its call does, and has no answer yet."""
        record = self.task.blocked
        if self.state == REPLIED or record is None or record.again is None or self.task.leaving:
            return False
        return any(it is self for it in record.again[1])


class ListenerFile(AnonFile):
    """The descriptor that seccomp(2) gives for a filter.

    | field | guarded by | exec, fork | a snapshot |
    | --- | --- | --- | --- |
    | filter | set once | the open file's, so shared | as it is |
    | asked: calls that wait, in their order | the machine's thread | the same | as they are |
    | tokens: how many were asked and not received | the same | the same | the number |
    | killable: whether who was received is disturbed by its end alone | set once | the same | as it is |
    """

    what = b"seccomp notify"

    def __init__(self, filter: Filter, first: int, *, killable: bool) -> None:
        super().__init__(0)
        self.filter = filter
        self.killable = killable
        self.asked: list[Notification] = []
        self.tokens = 0
        self._next = first
        self._queue = WaitQueue()

    def name(self) -> bytes:
        return b"anon_inode:" + self.what

    def seek(self, offset: int, whence: int) -> int:
        raise LinuxError(errno.ESPIPE)

    @property
    def queue(self) -> WaitQueue:
        return self._queue

    def ask(self, task: LinuxTask, data: bytes) -> int | None:
        """The call that is in hand waits until it is answered."""
        one = Notification(task, self._next, data)
        self._next = self._next + 1 & _WORD
        self._waiting().append(one)
        self.tokens += 1
        given = task.block(on=[(one, 1)], again=(_answered, (one,)))
        self._queue.wake(_POLLIN | _POLLRDNORM)
        return given

    def _waiting(self) -> list[Notification]:
        self.asked = [one for one in self.asked if one.waits]
        return self.asked

    def _find(self, number: int) -> Notification:
        """ENOENT for one that does not wait (any more)."""
        for one in self._waiting():
            if one.id == number:
                return one
        raise LinuxError(errno.ENOENT)

    @property
    def used(self) -> bool:
        """Whether anybody has the filter."""
        return self.filter.users > 0

    def left(self) -> None:
        """Nobody has the filter any more."""
        self._queue.wake(_POLLHUP | _POLLIN)

    def ready(self, mask: int) -> int:
        events = 0 if self.used else _POLLHUP
        for one in self._waiting():
            events |= (_POLLIN | _POLLRDNORM) if one.state == ASKED else (_POLLOUT | _POLLWRNORM)
        return events & mask

    def close(self) -> None:
        """Nobody will answer: ENOSYS, now and later."""
        self.filter.listener = None
        for one in self._waiting():
            one.reply(0, -errno.ENOSYS, 0)

    def ioctl(self, task: LinuxTask, command: int, argument: int) -> int | None:
        if command == _RECV:
            if any(get_bytes(task, argument, _NOTIF_SIZE)):
                raise LinuxError(errno.EINVAL)
            return _receive(task, self, argument)
        if command == _SEND:
            return self._send(get_bytes(task, argument, _RESPONSE.size))
        if command in (_ID_VALID, _ID_VALID_WRONG):
            if self._find(int.from_bytes(get_bytes(task, argument, 8), "little")).state != SENT:
                raise LinuxError(errno.ENOENT)
            return 0
        if command == _SET_FLAGS:
            if argument & ~_SYNC_WAKE_UP:
                raise LinuxError(errno.EINVAL)
            return 0
        if command & ~_EXTENSIBLE == _ADDFD:
            return self._add(task, command >> 16 & 0x3FFF, argument)
        raise LinuxError(errno.EINVAL)

    def _send(self, raw: bytes) -> int:
        number, value, error, flags = _RESPONSE.unpack(raw)
        if flags & ~_CONTINUE or (flags and (error or value)):
            raise LinuxError(errno.EINVAL)
        one = self._find(number)
        if one.state != SENT:
            raise LinuxError(errno.EINPROGRESS)
        one.reply(value, error, flags)
        return 0

    def _add(self, task: LinuxTask, size: int, address: int) -> int:
        """An open file of who listens under a number of the caller's; that number (seccomp_notify_addfd)."""
        if not _ADDED.size <= size < _PAGE:
            raise LinuxError(errno.EINVAL)
        raw = get_bytes(task, address, size)
        if any(raw[_ADDED.size :]):
            raise LinuxError(errno.E2BIG)
        number, flags, source, fd, fd_flags = _ADDED.unpack_from(raw)
        new: int = fd
        if fd_flags & ~os.O_CLOEXEC or flags & ~(_SETFD | _AND_SEND) or (fd and not flags & _SETFD):
            raise LinuxError(errno.EINVAL)
        file: OpenFile = task.files.get_io(source)
        one = self._find(number)
        if one.state != SENT:
            raise LinuxError(errno.EINPROGRESS)
        files = one.task.files
        if flags & _SETFD:
            files.place(fd, file, cloexec=bool(fd_flags))
        else:
            new = files.add(file, cloexec=bool(fd_flags))
        if flags & _AND_SEND:
            one.reply(new, 0, 0)
        return new


def _receive(task: LinuxTask, listener: ListenerFile, address: int) -> int | None:
    """The next call that nobody has received (seccomp_notify_recv). ENOENT where it has left off waiting, or none will
    come any more."""
    if not listener.tokens and listener.used:
        return task.block(on=[(listener, _POLLIN | _POLLHUP)], again=(_receive, (listener, address)))
    listener.tokens = max(listener.tokens - 1, 0)
    for one in listener._waiting():
        if one.state == ASKED:
            break
    else:
        raise LinuxError(errno.ENOENT)
    try:
        put_bytes(task, address, pack("<QII", one.id, one.task.tid, 0) + one.data)
    except LinuxError:
        listener.tokens += 1
        raise
    one.state = SENT
    record = one.task.blocked
    if listener.killable and record is not None:
        record.deaf = True
    listener.queue.wake(_POLLOUT | _POLLWRNORM)
    return 0


def _answered(task: LinuxTask, one: Notification) -> int | None:
    """The call goes on with what it was given, or as if no filter had been."""
    if one.state != REPLIED:
        return task.block(on=[(one, 1)], again=(_answered, (one,)))
    if one.flags & _CONTINUE:
        record = task.going_on
        assert record is not None
        task.passed = one.data
        task.signals.cut_short(ALWAYS, record.call)
        raise LinuxError(errno.EINTR)
    given: int = one.error or one.value
    return given
