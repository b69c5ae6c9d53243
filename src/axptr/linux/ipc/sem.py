"""Semaphores of System V. Source: semget(2), semop(2), semctl(2), ipc/sem.c of Linux 6.18.

An operation of several parts is done whole or not at all. One that waits stands in the set's list, in turn; whoever
changes the set goes through the list and does what can be done now, for those who wait: they wake up with the result.
"""

from __future__ import annotations

import errno

from ...errors import LinuxError
from ...kernel.wait import WaitQueue
from ..mem.limits import charge
from .ids import IPC_NOWAIT, IdTable, Object, seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.group import ThreadGroup
    from ..task.task import LinuxTask

    Part = tuple[int, int, int]
    """Number of the semaphore, what is added, flags: struct sembuf."""

SEMMNI = SEMMSL = 32000
SEMMNS = 1024000000
_COST = 64
"""What one semaphore costs."""
SEMOPM = 500
SEMVMX = SEMAEM = 32767
SEM_UNDO = 0x1000


class Waiting:
    """An operation that waits. status: what became of it, None as long as it waits. blocking: the part that must."""

    def __init__(self, task: LinuxTask, parts: tuple[Part, ...]) -> None:
        self.group = task.group
        self.pid = task.pid
        self.parts = parts
        self.blocking: Part = parts[0]
        self.status: int | None = None
        self.queue = WaitQueue()

    @property
    def alters(self) -> bool:
        return any(change for _, change, _ in self.parts)

    def ready(self, mask: int) -> int:
        return mask if self.status is not None else 0

    def end(self, status: int) -> None:
        self.status = status
        self.queue.wake()


class SemSet(Object):
    """A set of semaphores.

    values, pids: of each, and who changed it last. waiting: operations, in turn. undo: what a process's end adds.
    """

    def __init__(self, task: LinuxTask, key: int, mode: int, count: int) -> None:
        super().__init__(task, key, mode)
        charge(task, pipes=_COST * count)
        self._machine = task.machine
        self._machine.pipe_bytes += _COST * count
        self.values = [0] * count
        self.pids = [0] * count
        self.waiting: list[Waiting] = []
        self.undo: dict[ThreadGroup, dict[int, int]] = {}
        self.otime = 0

    def describe(self, task: LinuxTask) -> bytes:
        """struct semid64_ds, as a task is told it."""
        return self.perm(task) + task.layouts.semaphores.pack(self.otime, self.ctime, len(self.values))

    def attempt(self, who: Waiting) -> int | None:
        """Do an operation: 0, or None with `who.blocking` set where it has to wait. EAGAIN, ERANGE."""
        values, adjust = self.values, self.undo.get(who.group, {})
        undone: dict[int, int] = {}
        before = dict.fromkeys(number for number, _, _ in who.parts)
        saved = {number: values[number] for number in before}
        try:
            for part in who.parts:
                number, change, flags = part
                value = values[number]
                if (not change and value) or value + change < 0:
                    if flags & IPC_NOWAIT:
                        raise LinuxError(errno.EAGAIN)
                    who.blocking = part
                    raise _MustWait
                if value + change > SEMVMX:
                    raise LinuxError(errno.ERANGE)
                if flags & SEM_UNDO:
                    undo = undone.get(number, adjust.get(number, 0)) - change
                    if not -SEMAEM - 1 <= undo <= SEMAEM:
                        raise LinuxError(errno.ERANGE)
                    undone[number] = undo
                values[number] = value + change
        except (LinuxError, _MustWait) as stop:
            for number, value in saved.items():
                values[number] = value
            if isinstance(stop, _MustWait):
                return None
            raise
        for number, _, _ in who.parts:
            self.pids[number] = who.pid
        if undone:
            self.undo.setdefault(who.group, {}).update(undone)
        self.otime = self._machine.host.realtime_ns() // 10**9
        return 0

    def update(self) -> None:
        """Something was changed: do what waits and can be done now, those first that only look."""
        again = True
        while again:
            again = False
            for who in sorted(self.waiting, key=lambda w: w.alters):
                try:
                    if self.attempt(who) is None:
                        continue
                    status = 0
                except LinuxError as error:
                    status = error.errno
                self.waiting.remove(who)
                who.end(status)
                if who.alters and not status:
                    again = True
                    break

    def counted(self, number: int, zero: bool) -> int:
        """How many wait for a semaphore to be zero, or to grow."""
        blocking = [who.blocking for who in self.waiting]
        return sum(n == number and (not change) == zero for n, change, _ in blocking)

    def forget_undo(self, number: int | None = None) -> None:
        """A value was set: nothing of what was done before is taken back."""
        for adjust in self.undo.values():
            if number is None:
                adjust.clear()
            else:
                adjust.pop(number, None)

    def left(self, group: ThreadGroup) -> None:
        """A process is over: what it asked to be undone is (exit_sem)."""
        adjust = self.undo.pop(group, None)
        if not adjust:
            return
        for number, change in adjust.items():
            if change:
                self.values[number] = min(max(self.values[number] + change, 0), SEMVMX)
                self.pids[number] = group.tgid
        self.otime = self._machine.host.realtime_ns() // 10**9
        self.update()

    def destroyed(self) -> None:
        """EIDRM for all who wait."""
        self._machine.pipe_bytes -= _COST * len(self.values)
        waiting, self.waiting = self.waiting, []
        for who in waiting:
            who.end(errno.EIDRM)


class _MustWait(Exception):
    pass


class SemSets(IdTable[SemSet]):
    """All sets of a machine."""

    def __init__(self) -> None:
        super().__init__(SEMMNI)

    @property
    def total(self) -> int:
        return sum(len(s.values) for s in self.all())

    def left(self, group: ThreadGroup) -> None:
        for made in self.all():
            made.left(group)

    def destroy(self, made: SemSet) -> None:
        self.remove(made)
        made.destroyed()


def changed(task: LinuxTask, made: SemSet) -> None:
    """Values were set by semctl."""
    made.ctime = seconds(task)
    made.update()
