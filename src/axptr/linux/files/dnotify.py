"""Signals for what happens in a directory (F_NOTIFY): dnotify, which inotify took the place of. Source: fcntl(2),
fs/notify/dnotify/dnotify.c of Linux 6.18.
"""

from __future__ import annotations

import errno

from ...errors import LinuxError
from .inotify import (
    IN_ACCESS,
    IN_ATTRIB,
    IN_CREATE,
    IN_DELETE,
    IN_MODIFY,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    Mark,
    Watches,
    watches_of,
)
from .sigio import F_OWNER_PID, POLL_MSG, set_owner, signal_owner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..fs.openfile import OpenFile
    from ..machine import Machine
    from ..task.task import LinuxTask

_MULTISHOT = 1 << 31
_EVENTS = {
    1: IN_ACCESS,
    2: IN_MODIFY,
    4: IN_CREATE | IN_MOVED_TO,
    8: IN_DELETE | IN_MOVED_FROM,
    32: IN_ATTRIB,
}
"""Of a DN_ bit, what it is among those of inotify."""
_RENAME = 16
"""A name becomes another in the directory."""


class DirectoryNotice:
    """That a directory's open file is to tell what happens there, once or until it is closed.

    The machine's thread alone uses it; it ends with the open file, through which a snapshot has it.
    """

    def __init__(self, machine: Machine, watches: Watches, file: OpenFile, fd: int) -> None:
        node = file.node()
        assert node is not None
        self._machine = machine
        self._watches = watches
        self.file = file
        self.fd = fd
        self.mark: Mark | None = Mark(self, 0, IN_MOVED_FROM | IN_MOVED_TO, node.hold())
        self.wanted = 0  # events of inotify
        self.renames = self.multiple = False
        self._from = 0  # of the last name that went, the number that the new one's event has too
        watches.add(self.mark)
        file.watchers.append(self)

    def push(self, mark: Mark, mask: int, name: bytes, cookie: int) -> None:
        count = bool(mask & self.wanted) + (self.renames and bool(mask & IN_MOVED_TO) and cookie == self._from)
        self._from = cookie if mask & IN_MOVED_FROM else 0
        for _ in range(count):
            signal_owner(self._machine, self.file, POLL_MSG, self.fd)
            if not self.multiple:
                self.drop(mark)
                break

    def drop(self, mark: Mark) -> None:
        """Watch no more; the directory may be gone."""
        if self.mark is not None:
            self._watches.remove(self.mark)
            self.mark = None
            self.file.watchers.remove(self)

    def forget(self) -> None:
        """The file is closed for good."""
        if self.mark is not None:
            self._watches.remove(self.mark)
            self.mark = None


def notify(task: LinuxTask, file: OpenFile, fd: int, argument: int) -> int:
    """What fcntl(fd, F_NOTIFY, argument) does. ENOTDIR."""
    found = next((w for w in file.watchers if isinstance(w, DirectoryNotice)), None)
    wanted = argument & 0xFFFF_FFFF
    if not wanted & ~_MULTISHOT:
        if found is not None and found.mark is not None:
            found.drop(found.mark)
        return 0
    node = file.node()
    if node is None or not node.is_dir:
        raise LinuxError(errno.ENOTDIR)
    machine = task.machine
    if not file.owner[1]:
        set_owner(task, file, F_OWNER_PID, task.pid)
    if found is None:
        found = DirectoryNotice(machine, watches_of(task), file, fd)
    assert found.mark is not None
    for bit, events in _EVENTS.items():
        if wanted & bit:
            found.wanted |= events
    found.mark.mask |= found.wanted
    found.renames = found.renames or bool(wanted & _RENAME)
    found.multiple = found.multiple or bool(wanted & _MULTISHOT)
    return 0
