"""epoll as an open file, and which epolls may watch which. Source: epoll(7), fs/eventpoll.c of Linux 6.18.

Not here: the set itself, and what is ready of it (`axptr._core.kernel.eventpoll`); the calls (`calls.epoll`). Not
modelled: EPOLLWAKEUP (nothing sleeps), max_user_watches.
"""

from __future__ import annotations

import errno

from ..._core.kernel.eventpoll import Entry, EventPoll
from ..._core.kernel.fields import learn_epoll
from ...errors import LinuxError
from ..fs.node import kernel_device
from .anon import AnonFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...kernel.run import RunLoop
    from ...kernel.wait import WaitQueue
    from ..fs.openfile import OpenFile
    from ..task.task import LinuxTask

EPOLLIN = 1
EPOLLEXCLUSIVE, EPOLLWAKEUP, EPOLLONESHOT, EPOLLET = 1 << 28, 1 << 29, 1 << 30, 1 << 31
MAX_NESTS = 4
"""How deep epolls may watch one another (EP_MAX_NESTS)."""


class EpollFile(AnonFile):
    """An open file that is a set.

    | field | guarded by | exec, fork | a snapshot |
    | --- | --- | --- | --- |
    | set | see there | the open file's, so shared | see there |
    | above: epolls that watch this one, by how many descriptors | the machine's thread | so shared | all of them |
    """

    __slots__ = ("set",)

    what = b"eventpoll"

    def __init__(self) -> None:
        super().__init__(0)
        self.set = EventPoll(self)
        self.above: dict[EpollFile, int] = {}

    @property
    def queue(self) -> WaitQueue:
        return self.set.polled

    def ready(self, mask: int) -> int:
        return self.set.ready(mask)

    # -- the set

    def add(self, loop: RunLoop | None, fd: int, file: OpenFile, events: int, data: int) -> None:
        """EEXIST if it is watched; ELOOP if epolls would watch one another in a circle, or too deep."""
        key = fd, file
        if isinstance(file, EpollFile):
            self._require_no_loop(file)
        if key in self.set.entries:
            raise LinuxError(errno.EEXIST)
        if isinstance(file, EpollFile):
            file.above[self] = file.above.get(self, 0) + 1
        self.set.add(loop, fd, file, events, data)

    def change(self, fd: int, file: OpenFile, events: int, data: int) -> None:
        """ENOENT if it is not watched; EINVAL for one that is watched exclusively."""
        entry = self._find(fd, file)
        if entry.events & EPOLLEXCLUSIVE:
            raise LinuxError(errno.EINVAL)
        self.set.change(entry, events, data)

    def remove(self, fd: int, file: OpenFile) -> None:
        """ENOENT if it is not watched."""
        self.set.remove(self._find(fd, file))

    def _find(self, fd: int, file: OpenFile) -> Entry:
        entry = self.set.entries.get((fd, file))
        if entry is None:
            raise LinuxError(errno.ENOENT)
        return entry

    def left(self, above: EpollFile) -> None:
        """Another watches it no more under one descriptor."""
        self.above[above] -= 1
        if not self.above[above]:
            del self.above[above]

    def info(self) -> bytes:
        """A line for each entry; the inode is that of what is watched."""
        lines = []
        for entry in self.set.entries.values():
            device, inode = entry.file.identity
            words = entry.fd, entry.events, entry.data, entry.file.position, inode, kernel_device(device)
            lines.append(b"tfd: %8d events: %8x data: %16x  pos:%d ino:%x sdev:%x\n" % words)
        return b"".join(lines)

    def close(self) -> None:
        for entry in list(self.set.entries.values()):
            self.set.remove(entry)
        self.set.owner = None  # whom nobody is told of any more

    # -- nesting

    def _require_no_loop(self, file: EpollFile) -> None:
        if file is self or file._reaches(self) or self._height() + 1 + file._depth() > MAX_NESTS:
            raise LinuxError(errno.ELOOP)

    def _below(self) -> list[EpollFile]:
        return [entry.file for entry in self.set.entries.values() if isinstance(entry.file, EpollFile)]

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

    def ioctl(self, task: LinuxTask, command: int, argument: int) -> int | None:
        """It has none but those of busy polling, which nothing here does (ep_eventpoll_ioctl)."""
        raise LinuxError(errno.EINVAL)

    def _check(self) -> None:
        """Raise `AssertionError` unless every entry that is ready is listed, or told by edge or once."""
        for (fd, file), entry in self.set.entries.items():
            if entry.fd != fd or entry.file is not file or entry not in file.watchers:
                raise AssertionError(f"entry {fd} is in disorder")
            by_level = not entry.events & (EPOLLET | EPOLLONESHOT)
            if by_level and entry.loop is None and entry.ready() and entry not in self.set.listed:
                raise AssertionError(f"descriptor {fd} is ready and not listed")
        if not self.set.listed.keys() <= set(self.set.entries.values()):
            raise AssertionError("what is not watched is listed")


learn_epoll(EpollFile)
