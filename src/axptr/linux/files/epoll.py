"""epoll: a set of open files, and those of them that are ready. Source: epoll(7), fs/eventpoll.c of Linux 6.18.

Each entry watches the queue of its file. An event puts the entry into the list of those that may be ready; whoever
waits then asks only those, so that a wait costs what is ready and not what is watched. An entry that is told of by
level stays in the list until it is found not ready; one by edge leaves it until the next event.

Not here: the calls (`calls.epoll`). Not modelled: EPOLLWAKEUP (nothing sleeps), max_user_watches.
"""

from __future__ import annotations

import errno

from ...errors import LinuxError
from ...kernel.wait import WaitQueue, Watch
from .anon import AnonFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...kernel.run import RunLoop
    from ..fs.openfile import OpenFile
    from ..task.task import LinuxTask

EPOLLIN, EPOLLERR, EPOLLHUP, EPOLLRDNORM = 1, 8, 16, 0x40
EPOLLEXCLUSIVE, EPOLLWAKEUP, EPOLLONESHOT, EPOLLET = 1 << 28, 1 << 29, 1 << 30, 1 << 31
_PRIVATE = EPOLLEXCLUSIVE | EPOLLWAKEUP | EPOLLONESHOT | EPOLLET
_UNASKED = EPOLLERR | EPOLLHUP
MAX_NESTS = 4
"""How deep epolls may watch one another (EP_MAX_NESTS)."""


class Entry(Watch):
    """One watched descriptor. events: as it was asked for; data: what the program is told with it."""

    def __init__(self, epoll: EpollFile, loop: RunLoop | None, fd: int, file: OpenFile, events: int, data: int) -> None:
        super().__init__(loop)
        self.epoll = epoll
        self.fd = fd
        self.file = file
        self.events = events
        self.data = data

    @property
    def mask(self) -> int:
        """What it tells of; nothing once it has told (EPOLLONESHOT)."""
        return self.events & ~_PRIVATE

    def ready(self) -> int:
        return self.file.ready(self.mask) if self.mask else 0

    @property
    def exclusive(self) -> bool:  # type: ignore[override]
        return bool(self.events & EPOLLEXCLUSIVE)

    def wake(self, events: int) -> bool:
        return bool(events & self.mask) and self.epoll.listen(self)

    def start(self) -> None:
        """Watch the file, and look at it once."""
        self.file.queue.add(self, self.mask)
        self.look()

    def look(self) -> None:
        """List it if it is ready by now."""
        if self.ready() and self not in self.epoll.listed:
            self.epoll.listen(self)

    def stop(self) -> None:
        self.file.queue.remove(self)

    def forget(self) -> None:
        """The file is closed for good."""
        self.epoll.drop(self)


class Waiters:
    """Those who wait in epoll_wait, of whom an event wakes one; the queue of the epoll itself is for who polls it."""

    def __init__(self, epoll: EpollFile) -> None:
        self._epoll = epoll
        self.queue = WaitQueue()

    def ready(self, mask: int) -> int:
        return self._epoll.ready(mask)


class EpollFile(AnonFile):
    """The set.

    | field | guarded by | exec, fork | a snapshot |
    | --- | --- | --- | --- |
    | entries: by descriptor and open file | the machine's thread | the open file's, so shared | all of them |
    | listed: entries that may be ready, in order | the machine's thread | so shared | all of them |
    | above: epolls that watch this one, by how many descriptors | the machine's thread | so shared | all of them |
    | waiters, queue | the machine's thread | - | nothing: who waits says so |
    """

    what = b"eventpoll"

    def __init__(self) -> None:
        super().__init__(0)
        self.entries: dict[tuple[int, OpenFile], Entry] = {}
        self.listed: dict[Entry, None] = {}
        self.above: dict[EpollFile, int] = {}
        self.waiters = Waiters(self)
        self._queue = WaitQueue()

    @property
    def queue(self) -> WaitQueue:
        return self._queue

    def ready(self, mask: int) -> int:
        """Whether an entry is ready; those that are found not to be leave the list."""
        if not mask & (EPOLLIN | EPOLLRDNORM):
            return 0
        self.look_outside()
        for entry in list(self.listed):
            if entry.ready():
                return mask & (EPOLLIN | EPOLLRDNORM)
            self.listed.pop(entry, None)
        return 0

    def look_outside(self) -> None:
        """Hear what the host has to tell by now of its files."""
        for entry in self.entries.values():
            loop = entry.loop
            if loop is not None:
                loop.poller.poll(0.0)
                return

    def listen(self, entry: Entry) -> bool:
        """An entry may be ready. Whether somebody waits to be told."""
        if entry not in self.listed:
            self.listed[entry] = None
        woken = self.waiters.queue.wake(EPOLLIN, 1)
        self._queue.wake(EPOLLIN | EPOLLRDNORM)
        return bool(woken)

    # -- the set

    def add(self, loop: RunLoop | None, fd: int, file: OpenFile, events: int, data: int) -> None:
        """EEXIST if it is watched; ELOOP if epolls would watch one another in a circle, or too deep."""
        key = fd, file
        if isinstance(file, EpollFile):
            self._require_no_loop(file)
        if key in self.entries:
            raise LinuxError(errno.EEXIST)
        if isinstance(file, EpollFile):
            file.above[self] = file.above.get(self, 0) + 1
        entry = Entry(self, loop, fd, file, events | _UNASKED, data)
        self.entries[key] = entry
        file.watchers.append(entry)
        entry.start()

    def change(self, fd: int, file: OpenFile, events: int, data: int) -> None:
        """ENOENT if it is not watched; EINVAL for one that is watched exclusively."""
        entry = self._find(fd, file)
        if entry.events & EPOLLEXCLUSIVE:
            raise LinuxError(errno.EINVAL)
        entry.events, entry.data = events | _UNASKED, data
        file.queue.change(entry, entry.mask)
        entry.look()

    def remove(self, fd: int, file: OpenFile) -> None:
        """ENOENT if it is not watched."""
        entry = self._find(fd, file)
        file.watchers.remove(entry)
        self.drop(entry)

    def _find(self, fd: int, file: OpenFile) -> Entry:
        entry = self.entries.get((fd, file))
        if entry is None:
            raise LinuxError(errno.ENOENT)
        return entry

    def drop(self, entry: Entry) -> None:
        """Watch a file no more, of which nobody else needs to hear that."""
        entry.stop()
        self.listed.pop(entry, None)
        del self.entries[entry.fd, entry.file]
        if isinstance(entry.file, EpollFile):
            entry.file.above[self] -= 1
            if not entry.file.above[self]:
                del entry.file.above[self]

    def close(self) -> None:
        for entry in list(self.entries.values()):
            entry.file.watchers.remove(entry)
            self.drop(entry)

    # -- nesting

    def _require_no_loop(self, file: EpollFile) -> None:
        if file is self or file._reaches(self) or self._height() + 1 + file._depth() > MAX_NESTS:
            raise LinuxError(errno.ELOOP)

    def _below(self) -> list[EpollFile]:
        return [entry.file for entry in self.entries.values() if isinstance(entry.file, EpollFile)]

    def _reaches(self, goal: EpollFile) -> bool:
        seen, todo = {self}, [self]
        while todo:
            for below in todo.pop()._below():
                if below is goal:
                    return True
                if below not in seen:
                    seen.add(below)
                    todo.append(below)
        return False

    def _depth(self) -> int:
        """How many epolls stand below one another from here, at most; there are never many."""
        return max((1 + below._depth() for below in set(self._below())), default=0)

    def _height(self) -> int:
        return max((1 + above._height() for above in self.above), default=0)

    # -- telling

    def collect(self, most: int) -> list[tuple[Entry, int]]:
        """The first entries that are ready, with their events; they have left the list, and `told` settles which of
        them come back."""
        self.look_outside()
        found: list[tuple[Entry, int]] = []
        for entry in list(self.listed):
            if len(found) == most:
                break
            self.listed.pop(entry, None)
            events = entry.ready()
            if events:
                found.append((entry, events))
        return found

    def told(self, entry: Entry) -> None:
        """The program has been told of it."""
        if entry.events & EPOLLONESHOT:
            entry.events &= _PRIVATE
        elif not entry.events & EPOLLET:
            self.listed[entry] = None

    def ioctl(self, task: LinuxTask, command: int, argument: int) -> int | None:
        """It has none but those of busy polling, which nothing here does (ep_eventpoll_ioctl)."""
        raise LinuxError(errno.EINVAL)

    def keep(self, entries: list[Entry]) -> None:
        """The program could not be told of these: they are the first next time."""
        rest = list(self.listed)
        self.listed = dict.fromkeys([*entries, *rest])

    def done(self) -> None:
        """A look is over: if there is more, somebody else who waits may have it."""
        if self.listed:
            self.waiters.queue.wake(EPOLLIN, 1)

    def _check(self) -> None:
        """Raise `AssertionError` unless every entry that is ready is listed, or told by edge or once."""
        for (fd, file), entry in self.entries.items():
            if entry.fd != fd or entry.file is not file or entry not in file.watchers:
                raise AssertionError(f"entry {fd} is in disorder")
            by_level = not entry.events & (EPOLLET | EPOLLONESHOT)
            if by_level and entry.loop is None and entry.ready() and entry not in self.listed:
                raise AssertionError(f"descriptor {fd} is ready and not listed")
        if not set(self.listed) <= set(self.entries.values()):
            raise AssertionError("what is not watched is listed")
