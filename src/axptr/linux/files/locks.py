"""File locks of a run: record locks of processes, locks of open file descriptions (OFD) and flock(2)'s, in one table by
inode. Source: fcntl_locking(2), flock(2), fs/locks.c of Linux 6.18: its rules of conflict, its order of answers.

A record lock belongs to a table of descriptors (a process), the other two to an open file description. Record and OFD
locks conflict with each other, flock's only among themselves.

Where the guest may write, the host holds the same locks for us (`fs.host.locks`): on each byte the strongest that the
guest has there. So other programs of the host, and other runs, agree with the guest on who may write.

Not here: what programs ask for (`calls.locks`), waiting.
"""

from __future__ import annotations

import errno
from itertools import pairwise

from ...errors import LinuxError
from ...kernel.wait import WaitQueue
from ...named import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..fs.host.locks import HostLocks
    from ..fs.openfile import OpenFile
    from ..task.filetable import FileTable

    Hold = Callable[[], "HostLocks"]

F_RDLCK, F_WRLCK, F_UNLCK = range(3)
OFFSET_MAX = (1 << 63) - 1
MAX_LOCKS = 1 << 16
"""Ranges that a run may hold; ENOLCK beyond. Linux counts them as kernel memory."""

Owner = object  # a FileTable (record locks) or an OpenFile (OFD and flock)


class Range(NamedTuple):
    """A lock on the bytes [start, last] of a file; `kind` is F_RDLCK or F_WRLCK."""

    start: int
    last: int
    kind: int


class Held:
    """The ranges that one owner holds of one file: sorted, disjoint, neighbours of one kind merged.

    pid: what F_GETLK tells of the holder.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.ranges: list[Range] = []

    def overlapping(self, start: int, last: int) -> Iterator[Range]:
        """Those with a byte in [start, last], by address."""
        from bisect import bisect_left  # which a run without locks does not need

        ranges = self.ranges
        at = bisect_left(ranges, (start, 0, 0))
        if at and ranges[at - 1].last >= start:
            at -= 1
        while at < len(ranges) and ranges[at].start <= last:
            yield ranges[at]
            at += 1

    def set(self, start: int, last: int, kind: int) -> None:
        """Make [start, last] be of `kind`, F_UNLCK for none."""
        from bisect import bisect_left

        near = list(self.overlapping(max(start - 1, 0), min(last + 1, OFFSET_MAX)))
        fresh = []
        low, high = start, last
        for old in near:
            if old.kind == kind:
                low, high = min(low, old.start), max(high, old.last)
                continue
            if old.start < start:
                fresh.append(Range(old.start, min(old.last, start - 1), old.kind))
            if old.last > last:
                fresh.append(Range(max(old.start, last + 1), old.last, old.kind))
        if kind != F_UNLCK:
            fresh.append(Range(low, high, kind))
        at = bisect_left(self.ranges, near[0]) if near else bisect_left(self.ranges, (start, 0, 0))
        self.ranges[at : at + len(near)] = sorted(fresh)

    def _check(self) -> None:
        for one, other in pairwise(self.ranges):
            if one.last >= other.start or (one.last + 1 == other.start and one.kind == other.kind):
                raise AssertionError(f"ranges overlap or could be one: {self.ranges}")
        if any(not 0 <= r.start <= r.last <= OFFSET_MAX for r in self.ranges):
            raise AssertionError(f"bad range: {self.ranges}")


class FileLocks:
    """The locks of one file. host: the host's, None where it holds none for us."""

    def __init__(self) -> None:
        self.held: dict[Owner, Held] = {}  # by first lock, which is the order in which Linux looks for conflicts
        self.flocks: dict[OpenFile, int] = {}
        self.host: HostLocks | None = None

    def conflict(self, owner: Owner, wanted: Range) -> tuple[Range, int] | None:
        """The first lock that forbids `owner` this one, and its holder's pid. Of F_UNLCK: the first that it has."""
        start, last, kind = wanted
        for other, held in self.held.items():
            if (other is owner) == (kind == F_UNLCK):
                for found in held.overlapping(start, last):
                    if kind != F_RDLCK or found.kind != F_RDLCK:
                        return found, held.pid
        return None

    @staticmethod
    def forbids(held: Held, wanted: Range) -> bool:
        start, last, kind = wanted
        return any(kind != F_RDLCK or found.kind != F_RDLCK for found in held.overlapping(start, last))

    def strongest(self, start: int, last: int) -> list[Range]:
        """[start, last] cut into pieces by what the guest holds there; F_UNLCK for what nobody holds."""
        found = [r for held in self.held.values() for r in held.overlapping(start, last)]
        edges = {start, last + 1}
        for r in found:
            edges.update((max(r.start, start), min(r.last, last) + 1))
        points = sorted(edges)
        pieces: list[Range] = []
        for low, high in pairwise(points):
            kind = max((r.kind for r in found if r.start <= low <= r.last), default=F_UNLCK)
            if pieces and pieces[-1].kind == kind:
                low = pieces.pop().start
            pieces.append(Range(low, high - 1, kind))
        return pieces

    def count(self) -> int:
        return sum(len(held.ranges) for held in self.held.values())


class LockWaiters:
    """Who waits for locks on one file; woken when one is given up."""

    def __init__(self, key: tuple[int, int]) -> None:
        self.key = key
        self.queue = WaitQueue()

    def ready(self, mask: int) -> int:
        """Nobody knows before trying."""
        return 0


class LockTable:
    """All file locks of a run."""

    def __init__(self) -> None:
        self._waiters: dict[tuple[int, int], LockWaiters] = {}
        self._files: dict[tuple[int, int], FileLocks] = {}
        self.on_close: Callable[[OpenFile], None] | None = None

    def files(self) -> list[tuple[tuple[int, int], FileLocks]]:
        """Device and inode of each file that has locks, and which."""
        return list(self._files.items())

    def conflict(self, file: OpenFile, owner: Owner, wanted: Range) -> tuple[Range, int] | None:
        """As `FileLocks.conflict`, of the file that is open there."""
        locks = self._files.get(file.lock_key())
        return locks.conflict(owner, wanted) if locks is not None else None

    def blocker(self, file: OpenFile, owner: Owner, wanted: Range) -> Owner | None:
        """Who holds the first lock that forbids `owner` this one."""
        locks = self._files.get(file.lock_key())
        if locks is None:
            return None
        for other, held in locks.held.items():
            if other is not owner and locks.forbids(held, wanted):
                return other
        return None

    def waiters(self, file: OpenFile) -> LockWaiters:
        """What to wait for where a lock on the file is held by another."""
        return self.waiters_of(file.lock_key())

    def waiters_of(self, key: tuple[int, int]) -> LockWaiters:
        found = self._waiters.get(key)
        if found is None:
            found = self._waiters[key] = LockWaiters(key)
        return found

    def _wake(self, file: OpenFile) -> None:
        found = self._waiters.pop(file.lock_key(), None) if self._waiters else None
        if found is not None:
            found.queue.wake()

    def host(self, file: OpenFile) -> HostLocks | None:
        """The host's side of the file's locks, if there is one."""
        locks = self._files.get(file.lock_key())
        return locks.host if locks is not None else None

    def take(self, file: OpenFile, owner: Owner, pid: int, wanted: Range, hold: Hold | None) -> bool:
        """Give `owner` the lock, if the host gives it too; False if another holds what forbids it.

        hold: makes the host's side; None where the host is not to hold anything. ENOLCK when the run has too many.
        """
        if sum(entry.count() for entry in self._files.values()) >= MAX_LOCKS:
            raise LinuxError(errno.ENOLCK)
        locks = self._of(file)
        try:
            if locks.conflict(owner, wanted) is not None or not _host_takes(locks, hold, wanted):
                return False
            locks.held.setdefault(owner, Held(pid)).set(*wanted)
            if wanted.kind == F_RDLCK:  # where it was a stronger one
                self._wake(file)
            return True
        finally:
            self._forget_empty(file, locks)

    def release(self, file: OpenFile, owner: Owner, start: int = 0, last: int = OFFSET_MAX) -> None:
        """Take from `owner` what it holds of [start, last]."""
        locks = self._files.get(file.lock_key())
        held = locks.held.get(owner) if locks is not None else None
        if locks is None or held is None:
            return
        held.set(start, last, F_UNLCK)
        if not held.ranges:
            del locks.held[owner]
        try:
            if locks.host is not None:
                for piece in locks.strongest(start, last):
                    locks.host.lock(piece)
        finally:
            self._forget_empty(file, locks)
            self._wake(file)

    def flock(self, file: OpenFile, kind: int, hold: Hold | None) -> bool:
        """Give the description a flock of F_RDLCK (shared) or F_WRLCK, or F_UNLCK: none.

        False if another holds what forbids it. As on Linux a lock that is to be another is given up first, and lost
        if the other one cannot be had.
        """
        locks = self._of(file)
        flocks = locks.flocks
        lost = flocks.get(file, F_UNLCK)
        try:
            if flocks.get(file, F_UNLCK) == kind:
                return True
            flocks.pop(file, None)
            others = max(flocks.values(), default=F_UNLCK)
            free = kind == F_UNLCK or not flocks or F_WRLCK not in (kind, others)
            if locks.host is None and hold is not None and free and kind != F_UNLCK:
                locks.host = hold()
            if locks.host is not None and not locks.host.flock(kind if free and kind != F_UNLCK else others):
                return False
            if free and kind != F_UNLCK:
                flocks[file] = kind
            return free
        finally:
            self._forget_empty(file, locks)
            if lost != flocks.get(file, F_UNLCK):
                self._wake(file)

    def closed(self, table: FileTable, file: OpenFile) -> None:
        """A descriptor was closed: its process loses its record locks on the file, by whichever they came."""
        if self._files:
            self.release(file, table)

    def gone(self, file: OpenFile) -> None:
        """Nobody has the description any more: what it held is free. `on_close` hears of it, if there is one."""
        if self.on_close is not None:
            self.on_close(file)
        if self._files:
            self.release(file, file)
            if file.lock_key() in self._files:
                self.flock(file, F_UNLCK, None)

    def _of(self, file: OpenFile) -> FileLocks:
        return self._files.setdefault(file.lock_key(), FileLocks())

    def _forget_empty(self, file: OpenFile, locks: FileLocks) -> None:
        if not locks.held and not locks.flocks:
            self._files.pop(file.lock_key(), None)
            if locks.host is not None:
                locks.host.close()
                locks.host = None


def _host_takes(locks: FileLocks, hold: Hold | None, wanted: Range) -> bool:
    if locks.host is None and hold is not None:
        locks.host = hold()
    return locks.host is None or locks.host.lock(wanted)
