"""Message queues of System V. Source: msgget(2), msgop(2), msgctl(2), ipc/msg.c of Linux 6.18."""

from __future__ import annotations

import errno
from struct import pack

from ...errors import LinuxError
from ...kernel.wait import WaitQueue
from ..mem.limits import charge
from .ids import IdTable, Object, seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..machine import Machine
    from ..task.task import LinuxTask

MSGMNI = 32000
MSGMAX, MSGMNB = 8192, 16384
MSG_NOERROR, MSG_EXCEPT, MSG_COPY = 0o10000, 0o20000, 0o40000
_COST = 64
"""What a message costs besides its bytes."""


class Side:
    """Those who wait to send, or to receive."""

    def __init__(self) -> None:
        self.queue = WaitQueue()

    def ready(self, mask: int) -> int:
        """Nobody knows before trying."""
        return 0


class MsgQueue(Object):
    """One queue. messages: type and bytes, in order."""

    def __init__(self, task: LinuxTask, key: int, mode: int) -> None:
        super().__init__(task, key, mode)
        self.messages: list[tuple[int, bytes]] = []
        self.most = MSGMNB
        self.stime = self.rtime = 0
        self.lspid = self.lrpid = 0
        self.senders, self.receivers = Side(), Side()
        self._machine: Machine = task.machine

    @property
    def held(self) -> int:
        return sum(len(text) for _, text in self.messages)

    def describe(self, task: LinuxTask) -> bytes:
        """struct msqid64_ds, as a task is told it."""
        times = pack("<qqq", self.stime, self.rtime, self.ctime)
        counts = pack("<QQQ", self.held, len(self.messages), self.most)
        return self.perm(task) + times + counts + pack("<ii16x", self.lspid, self.lrpid)

    def fits(self, size: int) -> bool:
        return size + self.held <= self.most and 1 + len(self.messages) <= self.most

    def put(self, task: LinuxTask, kind: int, text: bytes) -> None:
        """ENOMEM where the run has no room for it."""
        charge(task, pipes=len(text) + _COST)
        self._machine.pipe_bytes += len(text) + _COST
        self.messages.append((kind, text))
        self.stime, self.lspid = seconds(task), task.pid
        self.receivers.queue.wake()

    def find(self, kind: int, flag: int) -> int | None:
        """Which message is meant, None if there is none (find_msg, convert_mode)."""
        if flag & MSG_COPY:
            return kind if 0 <= kind < len(self.messages) else None
        if not kind:
            return 0 if self.messages else None
        kinds = [k for k, _ in self.messages]
        if kind > 0:
            other = bool(flag & MSG_EXCEPT)
            return next((i for i, k in enumerate(kinds) if (k == kind) != other), None)
        most = min(-kind, (1 << 63) - 1)
        low = min((k for k in kinds if k <= most), default=None)
        return None if low is None else kinds.index(low)

    def take(self, task: LinuxTask, index: int) -> tuple[int, bytes]:
        kind, text = self.messages.pop(index)
        self._machine.pipe_bytes -= len(text) + _COST
        self.rtime, self.lrpid = seconds(task), task.pid
        self.senders.queue.wake()
        return kind, text

    def require_alive(self) -> None:
        """EIDRM for one that was removed while somebody waited."""
        if self.gone:
            raise LinuxError(errno.EIDRM)

    def destroyed(self) -> None:
        self._machine.pipe_bytes -= sum(len(text) + _COST for _, text in self.messages)
        self.messages.clear()
        self.senders.queue.wake()
        self.receivers.queue.wake()


class MsgQueues(IdTable[MsgQueue]):
    """All queues of a machine."""

    def __init__(self) -> None:
        super().__init__(MSGMNI)

    def destroy(self, queue: MsgQueue) -> None:
        self.remove(queue)
        queue.destroyed()
