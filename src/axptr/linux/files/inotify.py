"""inotify: what the machine's own tasks do to files that are watched. Source: inotify(7), fs/notify of Linux 6.18.

By contract: what other programs of the host do to the host's files is not told of, and neither is what the kernel does
by itself (a program that is loaded, a page that is brought in). A watch is for a file, by its device and number,
whatever names it has; a file's events are told to who watches its directory by the name that it has, or had.

Not here: which calls tell what (`fs.notify`), the calls of inotify themselves (`calls.inotify`).
"""

from __future__ import annotations

import errno
import os
from collections import deque
from struct import Struct, pack

from ...errors import LinuxError
from ...flags import WRITE
from ...kernel.wait import WaitQueue
from ..fs.node import kernel_device
from ..fs.notify import Closings
from ..fs.openfile import WouldBlock
from ..uaccess import put_bytes
from .anon import AnonFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from ..fs.node import Node
    from ..task.task import LinuxTask
    from ..uaccess import UserIter

    Identity = tuple[int, int]

    class Hearer(Protocol):
        """Whose watch it is."""

        def push(self, mark: Mark, mask: int, name: bytes, cookie: int) -> None: ...
        def drop(self, mark: Mark) -> None: ...


(
    IN_ACCESS, IN_MODIFY, IN_ATTRIB, IN_CLOSE_WRITE, IN_CLOSE_NOWRITE, IN_OPEN, IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE,
    IN_DELETE, IN_DELETE_SELF, IN_MOVE_SELF,
) = (1 << bit for bit in range(12))  # fmt: skip
IN_ALL_EVENTS = 0xFFF
IN_Q_OVERFLOW, IN_IGNORED = 0x4000, 0x8000
IN_ONLYDIR, IN_DONT_FOLLOW, IN_EXCL_UNLINK, IN_MASK_CREATE, IN_MASK_ADD = (1 << bit for bit in (24, 25, 26, 28, 29))
IN_ISDIR, IN_ONESHOT = 1 << 30, 1 << 31
MAX_EVENTS = 16384
_EVENT = Struct("<iIII")
_FIONREAD = 0x541B
_POLLIN, _POLLRDNORM = 1, 0x40


class Mark:
    """A watch: of whom, under which number, for which events, of what."""

    def __init__(self, owner: Hearer, wd: int, mask: int, node: Node) -> None:
        self.owner = owner
        self.wd = wd
        self.mask = mask
        self.node = node


class Watches:
    """All watches of a machine, by the file that they are for.

    | field | guarded by | exec, fork | a snapshot |
    | --- | --- | --- | --- |
    | marks; the next cookie of a rename | the machine's thread | the machine's, so shared | through the open files |
    """

    def __init__(self) -> None:
        self._marks: dict[Identity, list[Mark]] = {}
        self._cookie = 0

    def cookie(self) -> int:
        """A number that the two events of a rename have in common."""
        self._cookie += 1
        return self._cookie

    def watched(self, identity: Identity) -> bool:
        return identity in self._marks

    def add(self, mark: Mark) -> None:
        self._marks.setdefault(mark.node.identity, []).append(mark)

    def remove(self, mark: Mark) -> None:
        marks = self._marks[mark.node.identity]
        marks.remove(mark)
        if not marks:
            del self._marks[mark.node.identity]

    def tell(
        self, identity: Identity, mask: int, name: bytes = b"", cookie: int = 0, through: Node | None = None
    ) -> None:
        """Something happened to a file, or under a name in it. through: the file, if it was through an open one."""
        for mark in list(self._marks.get(identity, ())):
            if mark.mask & mask & IN_ALL_EVENTS:
                if through is not None and mark.mask & IN_EXCL_UNLINK and through.removed:
                    continue
                mark.owner.push(mark, mask, name, cookie)

    def gone(self, identity: Identity) -> None:
        """The file is no more: nobody watches it."""
        self.tell(identity, IN_DELETE_SELF)
        for mark in list(self._marks.get(identity, ())):
            mark.owner.drop(mark)


def watches_of(task: LinuxTask) -> Watches:
    """Those of the task's machine, which are told of what is closed from the first on."""
    machine = task.machine
    if machine.watches is None:
        machine.watches = Watches()
        machine.locks.on_close = Closings(task).closed
    return machine.watches


class InotifyFile(AnonFile):
    """One instance: its watches, and what has not been read yet.

    | field | guarded by | exec, fork | a snapshot |
    | --- | --- | --- | --- |
    | marks: watches by number; last: the last number given | the machine's thread | the open file's, so shared | all |
    | events: watch, mask, cookie and name of each | the machine's thread | so shared | all of them |
    """

    what = b"inotify"

    def __init__(self, watches: Watches, flags: int) -> None:
        super().__init__(flags)
        self.flags = os.O_RDONLY | flags
        self._watches = watches
        self.marks: dict[int, Mark] = {}
        self._last = 0
        self._events: deque[tuple[int, int, int, bytes]] = deque()
        self._queue = WaitQueue()

    def name(self) -> bytes:
        return b"anon_inode:inotify"

    @property
    def queue(self) -> WaitQueue:
        return self._queue

    def ready(self, mask: int) -> int:
        return mask & (_POLLIN | _POLLRDNORM) if self._events else 0

    # -- watches

    def watch(self, node: Node, mask: int) -> int:
        """Watch a file, or watch it for other events; the number of the watch. EEXIST with IN_MASK_CREATE."""
        wanted = mask & (IN_ALL_EVENTS | IN_ONESHOT | IN_EXCL_UNLINK)
        for mark in self.marks.values():
            if mark.node.identity == node.identity:
                if mask & IN_MASK_CREATE:
                    raise LinuxError(errno.EEXIST)
                mark.mask = mark.mask | wanted if mask & IN_MASK_ADD else wanted
                return mark.wd
        self._last += 1
        mark = self.marks[self._last] = Mark(self, self._last, wanted, node.hold())
        self._watches.add(mark)
        return mark.wd

    def drop(self, mark: Mark) -> None:
        """Watch something no more, and say so."""
        del self.marks[mark.wd]
        self._watches.remove(mark)
        self._put((mark.wd, IN_IGNORED, 0, b""))

    def push(self, mark: Mark, mask: int, name: bytes, cookie: int) -> None:
        if mask & (IN_DELETE_SELF | IN_MOVE_SELF):
            mask &= ~IN_ISDIR
        self._put((mark.wd, mask, cookie, name))
        if mark.mask & IN_ONESHOT:
            self.drop(mark)

    def _put(self, event: tuple[int, int, int, bytes]) -> None:
        """One like the last is not told twice; where there are too many, only that."""
        if self._events and self._events[-1] == event:
            return
        if len(self._events) >= MAX_EVENTS:
            event = (-1, IN_Q_OVERFLOW, 0, b"")
            if self._events[-1] == event:
                return
        self._events.append(event)
        self._queue.wake(_POLLIN | _POLLRDNORM)

    def info(self) -> bytes:
        """A line for each watch, the newest first, without the handle of its file: nothing here opens by handles."""
        lines = []
        for mark in reversed(self.marks.values()):
            device, inode = mark.node.identity
            words = mark.wd, inode, kernel_device(device), mark.mask
            lines.append(b"inotify wd:%x ino:%x sdev:%x mask:%x ignored_mask:0 \n" % words)
        return b"".join(lines)

    # -- reading

    def read(self, task: LinuxTask, to: UserIter, pos: int | None) -> int:
        if not self._events:
            raise WouldBlock(0, to.rest) if self.blocks else LinuxError(errno.EAGAIN)
        done = 0
        while self._events:
            raw = _packed(self._events[0])
            if len(raw) > to.count:
                if not done:
                    raise LinuxError(errno.EINVAL)
                break
            self._events.popleft()
            if to.copy_out(raw) < len(raw):
                raise to.fault(WRITE)
            done += len(raw)
        return done

    def ioctl(self, task: LinuxTask, command: int, argument: int) -> int | None:
        if command != _FIONREAD:
            return super().ioctl(task, command, argument)
        put_bytes(task, argument, pack("<i", sum(len(_packed(event)) for event in self._events)))
        return 0

    def close(self) -> None:
        for mark in self.marks.values():
            self._watches.remove(mark)
        self.marks.clear()


def _packed(event: tuple[int, int, int, bytes]) -> bytes:
    """struct inotify_event: the name has its terminator, and ends where the next event may begin."""
    wd, mask, cookie, name = event
    size = (len(name) // _EVENT.size + 1) * _EVENT.size if name else 0
    return _EVENT.pack(wd, mask, cookie, size) + name.ljust(size, b"\0")
