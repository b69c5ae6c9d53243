"""Contexts of asynchronous input and output: what was submitted and is not done yet, and what is done and nobody has
taken. Source: io_submit(2), io_getevents(2), fs/aio.c of Linux 6.18.

As on Linux, transfers to files are done when they are submitted; only polls are left for later. A context's number is
the address of a mapping, as there; the ring in it has no magic number, by which libraries know that they are to ask.

Not here: what programs ask for (`calls.aio`).
"""

from __future__ import annotations

from struct import pack

from ...kernel.wait import WaitQueue, Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..fs.openfile import OpenFile
    from ..machine import Machine
    from .eventfd import EventFile

AIO_MAX_NR = 65_536
"""How many there may be under way (fs.aio-max-nr)."""
POLLIN = 1
_ALWAYS = 0x18
"""POLLERR, POLLHUP."""


class AioContext:
    """One context.

    | field | guarded by | exec, fork | a snapshot |
    | --- | --- | --- | --- |
    | address, size: of its mapping; most: how many may be under way | set once | exec ends it, a fork has none | same |
    | done: events that nobody has taken, packed; polls: under way | the machine's thread | same | same |
    | queue | the machine's thread | - | nothing: who waits says so |
    """

    def __init__(self, address: int, size: int, asked: int, most: int) -> None:
        self.address = address
        self.size = size
        self.asked = asked
        self.most = most
        self.done: list[bytes] = []
        self.polls: list[AioPoll] = []
        self._queue = WaitQueue()

    @property
    def queue(self) -> WaitQueue:
        return self._queue

    def ready(self, mask: int) -> int:
        return mask & POLLIN if self.done else 0

    @property
    def full(self) -> bool:
        return len(self.done) + len(self.polls) >= self.most

    def complete(self, data: int, iocb: int, result: int, notify: EventFile | None) -> None:
        """Something is done: struct io_event, and the eventfd that is to hear of it."""
        self.done.append(pack("<QQqq", data, iocb, result, 0))
        if notify is not None:
            notify.add()
        self._queue.wake(POLLIN)

    def close(self) -> None:
        """Nobody will ask any more: forget the polls, and the files that they hold."""
        polls, self.polls = self.polls, []
        for poll in polls:
            poll.forget()
        self._queue.wake(POLLIN)


class AioPoll(Watch):
    """A poll that was submitted, until its first event. The machine's thread alone uses it."""

    def __init__(
        self,
        machine: Machine,
        context: AioContext,
        data: int,
        iocb: int,
        file: OpenFile,
        mask: int,
        notify: EventFile | None,
    ) -> None:
        super().__init__(machine.loop)
        self.machine = machine
        self.context = context
        self.data = data
        self.iocb = iocb
        self.file = file
        self.mask = mask | _ALWAYS
        self.notify = notify
        file.hold()
        if notify is not None:
            notify.hold()

    def start(self) -> None:
        """Listen, unless it is ready now."""
        self.context.polls.append(self)
        if not self.wake(self.mask):
            self.file.queue.add(self, self.mask)

    def wake(self, events: int) -> bool:
        found = self.file.ready(self.mask)
        if found and self in self.context.polls:
            self.end(found)
        return bool(found)

    def end(self, result: int) -> None:
        self.context.polls.remove(self)
        self.context.complete(self.data, self.iocb, result, self.notify)
        self.forget()

    def forget(self) -> None:
        self.file.queue.remove(self)
        self.file.release(self.machine.locks)
        if self.notify is not None:
            self.notify.release(self.machine.locks)


def end_all(contexts: dict[int, AioContext]) -> None:
    """Whose memory it was is gone (exit_aio)."""
    for context in list(contexts.values()):
        context.close()
    contexts.clear()
