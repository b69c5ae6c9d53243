"""POSIX message queues: files of a file system of their own, whose names few look at. Source: mq_overview(7),
ipc/mqueue.c of Linux 6.18.
"""

from __future__ import annotations

import errno
import os
import stat
from bisect import insort
from itertools import count

from ...errors import LinuxError
from ...kernel.wait import WaitQueue
from ..abi.signals import Info
from ..fs.node import Node, Stat
from ..fs.openfile import OpenFile, sought
from ..mem.limits import charge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..fs.node import AnyStat
    from ..machine import Machine
    from ..net.netlink import NetlinkEndpoint
    from ..task.task import LinuxTask
    from ..uaccess import UserIter

MQ_PRIO_MAX = 32768
MSG_MAX, MSGSIZE_MAX = 10, 8192
HARD_MSG_MAX, HARD_MSGSIZE_MAX = 65536, 16 << 20
QUEUES_MAX = 256
_NODE = 48
"""What the kernel counts for a message besides its bytes, and for a priority (struct msg_msg, posix_msg_tree_node)."""
_SIZE = 80
"""What stat tells of the text in it (FILENT_SIZE)."""
_ST_DEV, _MAGIC = 0x13, 0x1980_0202
_POLLIN, _POLLOUT, _POLLRDNORM, _POLLWRNORM = 1, 4, 0x40, 0x100
SIGEV_SIGNAL, SIGEV_NONE, SIGEV_THREAD = 0, 1, 2
COOKIE_SIZE = 32
_WOKEN_UP, _REMOVED = 1, 2
SI_MESGQ = -3


class Told:
    """Where a library that starts threads is told: its socket, and the bytes that it knows the request by, the last of
    which says what came of it (NOTIFY_COOKIE_LEN)."""

    __slots__ = ("cookie", "socket")

    def __init__(self, socket: NetlinkEndpoint, cookie: bytes) -> None:
        self.socket = socket
        self.cookie = cookie

    def tell(self, what: int) -> None:
        self.socket.tell(self.cookie[:-1] + bytes((what,)))


class Queue(Node):
    """One queue. messages: (-priority, number, bytes), the next first. notify: who is to be told of the first message
    that comes to an empty queue, and how: signal and value, or where. opened: open files; unlinked: it has no name."""

    magic = _MAGIC
    dev = _ST_DEV
    immutable = errno.EPERM

    def __init__(self, task: LinuxTask, name: bytes, mode: int, most: int, size: int) -> None:
        super().__init__(b"/" + name)
        self.mode = stat.S_IFREG | mode
        self.most, self.size = most, size
        self.messages: list[tuple[int, int, bytes]] = []
        self.notify: tuple[LinuxTask, MqFile, int, int, int, Told | None] | None = None
        self.to_read, self.to_write = WaitQueue(), WaitQueue()
        self._numbers = count()
        self.opened, self.unlinked = 0, False
        self._machine: Machine = task.machine
        self._stat = Stat(self.mode, task.machine.next_inode(), _ST_DEV, task.machine.host.realtime_ns(), size=_SIZE)
        self._stat.st_uid, self._stat.st_gid = task.creds.euid, task.creds.egid
        self._stat.st_blksize = 4096

    @property
    def ino(self) -> int:
        return self._stat.st_ino

    def stat(self, task: LinuxTask) -> Stat:
        return self._stat

    def left(self) -> None:
        """It lost its name, or an open file: after both its messages are nobody's."""
        if self.unlinked and not self.opened:
            self._machine.pipe_bytes -= sum(len(text) + _NODE for _, _, text in self.messages)
            self.messages.clear()

    @property
    def cost(self) -> int:
        """What it counts against RLIMIT_MSGQUEUE."""
        return queue_cost(self.most, self.size)

    def put(self, task: LinuxTask, priority: int, text: bytes) -> None:
        """ENOMEM where the run has no room."""
        charge(task, pipes=len(text) + _NODE)
        self._machine.pipe_bytes += len(text) + _NODE
        empty = not self.messages
        insort(self.messages, (-priority, next(self._numbers), text))
        woken = self.to_read.wake(_POLLIN | _POLLRDNORM)
        if empty and not woken and self.notify is not None:
            goal, _, how, signal, value, told = self.notify
            self.notify = None
            if told is not None:
                told.tell(_WOKEN_UP)
            if how == SIGEV_SIGNAL and signal and not goal.dead:
                goal.signals.send(goal, Info(signal, SI_MESGQ, pid=task.pid, uid=task.creds.uid, value=value))

    def take(self) -> tuple[int, bytes]:
        priority, _, text = self.messages.pop(0)
        self._machine.pipe_bytes -= len(text) + _NODE
        self.to_write.wake(_POLLOUT | _POLLWRNORM)
        return -priority, text


def queue_cost(most: int, size: int) -> int:
    return most * _NODE + min(most, MQ_PRIO_MAX) * _NODE + most * size


class MqFile(OpenFile):
    """An open queue. It is ready to be read with a message, to be written with room for one."""

    kind = stat.S_IFREG
    seekable = True
    may_wait = True
    moves = False

    def __init__(self, queue: Queue, flags: int) -> None:
        super().__init__(flags)
        self.messages = queue
        queue.opened += 1
        self._both = queue.to_read if self.readable else queue.to_write
        self._pos = 0

    @property
    def large(self) -> int:
        return 0

    @property
    def queue(self) -> WaitQueue:
        return self._both

    def ready(self, mask: int) -> int:
        queue, events = self.messages, 0
        if queue.messages:
            events |= _POLLIN | _POLLRDNORM
        if len(queue.messages) < queue.most:
            events |= _POLLOUT | _POLLWRNORM
        return events & mask

    def stat(self, task: LinuxTask) -> AnyStat:
        return self.messages.stat(task)

    def node(self) -> Node:
        return self.messages

    def read(self, task: LinuxTask, to: UserIter, pos: int | None) -> int:
        """What is in it, as a text."""
        queue = self.messages
        size = sum(len(text) for _, _, text in queue.messages)
        how, signal, pid = 0, 0, 0
        if queue.notify is not None:
            how, signal, pid = queue.notify[2], queue.notify[3], queue.notify[0].pid
        line = b"QSIZE:%-10d NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6d\n" % (size, how, signal if how == 0 else 0, pid)
        at = self._pos if pos is None else pos
        done = to.copy_out(line[at : at + to.count])
        if pos is None:
            self._pos += done
        return done

    def seek(self, offset: int, whence: int) -> int:
        """All is data, up to the size that stat tells (default_llseek). EINVAL, ENXIO."""
        if whence in (os.SEEK_DATA, os.SEEK_HOLE):
            if not 0 <= offset < _SIZE:
                raise LinuxError(errno.ENXIO)
            self._pos = offset if whence == os.SEEK_DATA else _SIZE
        else:
            self._pos = sought(offset, (0, self._pos, _SIZE)[whence])
        return self._pos

    def forget(self, task: LinuxTask | None = None) -> None:
        """No notification any more, of this open file or of a process."""
        held = self.messages.notify
        if held is not None and (held[1] is self if task is None else held[0].group is task.group):
            self.messages.notify = None
            if held[5] is not None:
                held[5].tell(_REMOVED)

    def close(self) -> None:
        self.forget()
        self.messages.opened -= 1
        self.messages.left()


class MqFs:
    """The queues of a machine, by name.

    | field | guarded by | exec, fork | a snapshot |
    | --- | --- | --- | --- |
    | queues | the machine's thread | the machine's, so shared | all of them |
    """

    def __init__(self) -> None:
        self.queues: dict[bytes, Queue] = {}

    def unlink(self, name: bytes) -> None:
        """What has it open goes on with it."""
        queue = self.queues.pop(name)
        queue.unlinked = True
        queue.left()

    def held_by(self, uid: int) -> int:
        """What a user's queues count."""
        return sum(queue.cost for queue in self.queues.values() if queue._stat.st_uid == uid)
