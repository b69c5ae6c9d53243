"""Shared memory of System V. Source: shmget(2), shmop(2), shmctl(2), ipc/shm.c of Linux 6.18.

A segment is a file in memory without a name. Who has it attached is seen from the areas of the machine's tasks; the
times and the process of a detachment are those of shmdt alone, not of an exit.
"""

from __future__ import annotations

import errno
from struct import pack

from ...errors import LinuxError
from ..fs.tmp import INODE_COST
from .ids import IPC_PRIVATE, IdTable, Object, seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..machine import Machine
    from ..task.task import LinuxTask

SHM_DEST, SHM_LOCKED = 0o1000, 0o2000
SHMMNI = 4096
SHMMAX = (1 << 64) - 1 - (1 << 24)
PAGE = 4096


class Segment(Object):
    """One segment. Its pages are the file's, which areas hold, too."""

    def __init__(self, task: LinuxTask, key: int, mode: int, size: int) -> None:
        super().__init__(task, key, mode)
        self.size = size
        self.atime = self.dtime = 0
        self.cpid, self.lpid = task.pid, 0
        self._machine = task.machine
        try:
            self.node = task.machine.memory_files.file(b"SYSV%08x" % (key & 0xFFFF_FFFF), 0o777, task.creds)
        except LinuxError:
            raise LinuxError(errno.ENOMEM) from None
        self.node.inode.resize(-(-size // PAGE) * PAGE)
        self.store = self.node.inode.contents()

    def give_back(self) -> None:
        """It is gone, and its books; the pages go with the last area that shows them."""
        self._machine.tree_bytes -= INODE_COST + len(self.node.name)

    @property
    def attached(self) -> int:
        """How many areas of all tasks show it."""
        spaces = {task.space for task in self._machine.tasks.values()}
        return sum(area.backend.store is self.store for space in spaces for area in space.areas())

    def describe(self, task: LinuxTask) -> bytes:
        """struct shmid64_ds, as a task is told it."""
        times = pack("<Qqqq", self.size, self.atime, self.dtime, self.ctime)
        return self.perm(task) + times + pack("<iiQQQ", self.cpid, self.lpid, self.attached, 0, 0)


class Segments(IdTable[Segment]):
    """All segments of a machine. One that was removed stays until nobody has it attached."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(SHMMNI)
        self._machine = machine

    def add(self, made: Segment) -> int:
        try:
            return super().add(made)
        except LinuxError:
            made.give_back()
            raise

    def remove(self, made: Segment) -> None:
        super().remove(made)
        made.give_back()

    def sweep(self) -> None:
        """Let those go that were removed, and that nobody has any more."""
        for segment in self.all():
            if segment.mode & SHM_DEST and not segment.attached:
                self.remove(segment)

    def destroy(self, segment: Segment) -> None:
        """IPC_RMID."""
        if segment.attached:
            segment.mode |= SHM_DEST
            segment.key = IPC_PRIVATE
        else:
            self.remove(segment)

    def shown_at(self, task: LinuxTask, start: int) -> Segment | None:
        """The segment that an area of the task shows which begins there."""
        area = task.space.find_area(start)
        store = area.backend.store if area is not None else None
        return next((s for s in self.all() if s.store is store), None)

    def pages(self) -> tuple[int, int]:
        """Pages of all, and how many of them there are."""
        segments = self.all()
        return sum(-(-s.size // PAGE) for s in segments), sum(s.store.resident for s in segments)


def _shown_by(task: LinuxTask, store: object) -> Segment | None:
    """The segment whose pages an area shows, of whatever name space of the machine's it is."""
    machine = task.machine
    tables = [space.segments for space in {one.ipc for one in machine.tasks.values()} | {machine.ipc}]
    known = (segment for table in (*tables, *machine.ipc.strays) for segment in table.all())
    return next((segment for segment in known if segment.store is store), None)


def detach(task: LinuxTask, segments: Segments, address: int) -> None:
    """shmdt: the first area that shows a segment's beginning as if it stood at `address`, and its others. EINVAL."""
    machine, space, at, found = task.machine, task.space, address, None
    end = 1 << 63
    for area in space.areas():
        if area.end <= at or area.start >= end:
            continue
        segment = found or _shown_by(task, area.backend.store)
        if segment is None or area.backend.store is not segment.store:
            continue
        if area.start - address != area.offset or area.start < address:
            continue
        if found is None:
            found, end = segment, address + -(-segment.size // PAGE) * PAGE
        space.unmap(area.start, area.end - area.start)
    if found is None:
        raise LinuxError(errno.EINVAL)
    found.dtime, found.lpid = seconds(task), task.pid
    segments.sweep()
    machine.ipc.sweep()
