"""Descriptors of the host behind one epoll: what a loop sleeps on when none of its tasks can run.

`HostWaitable` makes a descriptor something that tasks wait for; events are poll's (POLLIN, POLLOUT, ...), errors and
hang-ups always among them. `HostPoller` is the loop's: it holds the epoll, the descriptor by which other threads wake
it, and sleeps.

A descriptor is duplicated when it is first waited for, so that it may be closed meanwhile, and two that are one to
the host do not meet. It is armed for one event at a time (EPOLLONESHOT): what happens while nobody waits costs
nothing. What epoll refuses (regular files) is always ready, to be read and written. Where the host has no descriptor
left to give, those that are waited for are looked at every few milliseconds instead.

Owner: the thread of the loop, but for `wake`. A fork of the host must not share it; a snapshot keeps none of it.
"""

from __future__ import annotations

import errno
import os
import select

from .._core.host import hostcalls
from .wait import WaitQueue, Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .task import Task

POLLERR, POLLHUP, POLLNVAL = 8, 16, 32
_ALWAYS = POLLERR | POLLHUP | POLLNVAL
_READY = 0x145
"""POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM: what a regular file always is (DEFAULT_POLLMASK)."""
_SELECT_LIMIT = 1024
_LONGEST = 1 << 20
"""Seconds that one sleep lasts at most: the host's calls do not take any number."""
_LOOK = 0.005
"""Seconds between two looks at descriptors that could not be registered."""


def ready_now(fd: int, mask: int) -> int:
    """Which of poll's events of `mask`, errors and hang-ups are there on a host's descriptor; POLLNVAL for none."""
    return hostcalls.poll_now(fd, mask)


class HostQueue(WaitQueue):
    """Who waits for a descriptor of the host. It is registered with the poller of the loop that the first is in."""

    __slots__ = ("_armed", "_closing", "_edge", "_own", "_poller", "fd")

    def __init__(self, fd: int) -> None:
        super().__init__()
        self.fd = fd
        self._own = -1
        self._armed = 0
        self._edge = False
        self._closing = False
        self._poller: HostPoller | None = None

    def add(self, task: Task | Watch, mask: int) -> None:
        mask |= _ALWAYS
        super().add(task, mask)
        assert task.loop is not None
        self._arm(task.loop.poller, mask)

    def change(self, watch: Watch, mask: int) -> None:
        super().change(watch, mask | _ALWAYS)
        assert watch.loop is not None
        self._armed = 0  # what is there is told anew
        self._arm(watch.loop.poller, mask | _ALWAYS)

    def remove(self, task: Task | Watch) -> None:
        super().remove(task)
        if self._closing:
            self.close()
        elif isinstance(task, Watch) and self._poller is not None and not self._watched:
            self._poller.drop(self)
            self._armed, self._edge = 0, False
            if left := self.wanted():
                self._arm(self._poller, left)

    @property
    def _watched(self) -> bool:
        return bool(self._watches)

    def _arm(self, poller: HostPoller, mask: int) -> None:
        """Have the host tell of `mask`, beside what it tells of already."""
        if self._poller is not poller:
            if self._poller is not None:
                self._poller.drop(self)
                self._armed = 0
            self._poller = poller
        edge = self._watched
        if mask & ~self._armed or edge != self._edge:
            self._armed |= mask
            self._edge = edge
            poller.arm(self, self._armed, edge)

    def happened(self, events: int) -> None:
        """The host has told: of nothing more until it is armed again, which those that still wait do. While somebody
        watches it goes on telling of what is new."""
        if not self._edge:
            self._armed = 0
        self.wake(events)
        left = self.wanted()
        if left and self._poller is not None:
            self._arm(self._poller, left)
        elif self._closing:
            self.close()

    def refused(self) -> None:
        """Epoll takes no file of which poll has but this to say, and says it always. Who waits for what never comes
        of it, an error or what is urgent, is not woken, and waits for something else."""
        self._armed &= ~_READY
        self.wake(_READY)
        if self._closing:
            self.close()

    def wanted(self) -> int:
        """All that anybody waits for."""
        wanted = 0
        for mask in (*self._waiters.values(), *self._watches.values()):
            wanted |= mask
        return wanted

    def close(self) -> None:
        """The descriptor is about to be closed. Who waits for it keeps what it was."""
        self._closing = True
        if len(self):
            return
        if self._poller is not None:
            self._poller.drop(self)
            self._poller = None
        self._armed = 0

    def __del__(self) -> None:
        own = getattr(self, "_own", -1)
        if own >= 0:
            os.close(own)


class HostWaitable:
    """A descriptor of the host as something to wait for; `close` before it is closed."""

    __slots__ = ("fd", "queue")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.queue = HostQueue(fd)

    def ready(self, mask: int) -> int:
        return ready_now(self.fd, mask)

    def close(self) -> None:
        self.queue.close()


class HostPoller:
    """One epoll, and the descriptor that wakes it."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._queues: dict[int, HostQueue] = {}  # by the descriptor of ours
        self._unregistered: set[HostQueue] = set()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._wake, select.EPOLLIN)

    def arm(self, queue: HostQueue, mask: int, edge: bool = False) -> None:
        """Have the next event of `mask` told to the queue, once; edge: what is there, and whatever comes anew."""
        own = queue._own
        mask |= select.EPOLLET if edge else select.EPOLLONESHOT
        try:
            if own >= 0:
                self._epoll.modify(own, mask)
                return
            own = os.dup(queue.fd)
            try:
                self._epoll.register(own, mask)
            except BaseException:
                os.close(own)
                raise
        except OSError as error:
            if error.errno == errno.EPERM:
                queue.refused()
            else:
                self._unregistered.add(queue)
            return
        queue._own = own
        self._queues[own] = queue

    def drop(self, queue: HostQueue) -> None:
        """Have nothing told to it any more."""
        self._unregistered.discard(queue)
        own, queue._own = queue._own, -1
        if own >= 0:
            del self._queues[own]
            self._epoll.unregister(own)
            os.close(own)

    @property
    def watching(self) -> bool:
        """Whether somebody waits for the host."""
        return bool(self._unregistered) or any(map(len, self._queues.values()))

    def poll(self, seconds: float | None) -> bool:
        """Sleep for so long at most (None: for ever), until something happens or `wake`; tell the queues of it all.
        Whether there was something.

        What a signal's handler raises comes out of here, Ctrl-C too.
        """
        if self._unregistered:
            seconds = _LOOK if seconds is None else min(seconds, _LOOK)
        elif seconds is None:
            seconds = _LONGEST
        if seconds > 0 and self._epoll.fileno() < _SELECT_LIMIT:  # which is finer than epoll's milliseconds
            select.select([self._epoll], [], [], min(seconds, _LONGEST))
            seconds = 0.0
        found = self._epoll.poll(min(seconds, _LONGEST))
        for fd, events in found:
            if fd == self._wake:
                os.eventfd_read(fd)
            elif fd in self._queues:
                self._queues[fd].happened(events)
        for queue in list(self._unregistered):
            events = ready_now(queue.fd, queue.wanted())
            if not len(queue) or events:
                self._unregistered.discard(queue)
                queue.happened(events)
                found.append((queue.fd, events))
        return bool(found)

    def wake(self) -> None:
        """End a sleep, or the next one. From any thread."""
        os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Give the descriptors back. Idempotent."""
        for queue in list(self._queues.values()):
            self.drop(queue)
        if self._wake >= 0:
            os.close(self._wake)
            self._wake = -1
            self._epoll.close()

    def __del__(self) -> None:
        if getattr(self, "_wake", -1) >= 0:
            self.close()

    def _check(self) -> None:
        """Raise `AssertionError` unless each queue knows its descriptor, and tells of all that is waited for."""
        for own, queue in self._queues.items():
            if queue._own != own or queue._poller is not self:
                raise AssertionError(f"descriptor {own} belongs to {queue._own}")
            if queue.wanted() & ~queue._armed:
                raise AssertionError(f"descriptor {own} is armed for {queue._armed:#x}, not for {queue.wanted():#x}")
