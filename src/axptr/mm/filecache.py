"""The cache of a file's pages: one for each (device, inode) and PhysMemory, for mappings and file calls alike.

Mappings show its frames. Whoever reads or writes the file by other means goes through `read`, `write` and `truncate`
here, so that both see the same bytes. What others do to the file is noticed when it is mapped anew.

Not here: frames by page number (`_core.frames`), and who maps them (`mm.backend`).
"""

from __future__ import annotations

import os
import time
from _thread import RLock

from axptr._core.host import hostcalls
from axptr._core.mm.frames import FrameStore
from axptr._core.phys.phys import PhysMemory
from axptr._core.words.buffers import flat
from axptr.addr import PAGE_SIZE
from axptr.errors import LinuxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

F_GETFL = 3
_OLD = 2_000_000_000  # nanoseconds since a change, after which another shows in the file's times

_making = RLock()  # so that threads that map a file at once make one cache for it


def _child() -> None:
    global _making
    _making = RLock()


os.register_at_fork(after_in_child=_child)


class FileCache(FrameStore):
    """The pages of one regular file. Made by `of`; it lives as long as a mapping or a caller of `of` holds it."""

    _stamp: tuple[int, int] = (-1, -1)

    @classmethod
    def of(cls, phys: PhysMemory, fd: int, status: os.stat_result | None = None) -> FileCache:
        """The cache of the file that a descriptor stands for, made at first use. Changes by others are taken in.

        status: what the host has just said of it."""
        with _making:
            if status is None:
                status = os.fstat(fd)
            found = cls.find(phys, status.st_dev, status.st_ino)
            if found is None:
                made = cls(phys, fd, os.readlink(f"/proc/self/fd/{fd}"))
                made.device, made.inode = status.st_dev, status.st_ino
                made._stamp = (status.st_size, status.st_mtime_ns)
                found = phys.caches.setdefault((status.st_dev, status.st_ino), made)
                if found is made and max(status.st_mtime_ns, status.st_ctime_ns) < time.time_ns() - _OLD:
                    made._know(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if found._stamp != (status.st_size, status.st_mtime_ns):
                found.reload()
                found._stamp = (status.st_size, status.st_mtime_ns)
            return found

    @staticmethod
    def find(phys: PhysMemory, device: int, inode: int) -> FileCache | None:
        """The cache of a file if it has one now."""
        return FileCache._kept(phys, (device, inode))

    @staticmethod
    def _kept(phys: PhysMemory, identity: tuple[int, int]) -> FileCache | None:
        caches = phys.caches
        if identity not in caches.data:  # as of most files: at once, and not by the functions of a weak dictionary
            return None
        found: FileCache | None = caches.get(identity)
        return found

    @staticmethod
    def tell(phys: PhysMemory, identity: tuple[int, int]) -> bool:
        """`tell_time` of a file that has a cache; whether there is one."""
        found = FileCache._kept(phys, identity)
        if found is None:
            return False
        found.tell_time()
        return True

    def _note(self, fd: int) -> None:
        status = os.fstat(fd)
        self._stamp = (status.st_size, status.st_mtime_ns)

    def read(self, fd: int, offset: int, size: int) -> bytes:
        """What `pread(fd, size, offset)` gives, with what mappings wrote and did not write back yet.

        Raises `OSError`.
        """
        data = bytearray(size)
        return bytes(data[: self.read_into(fd, offset, memoryview(data))])

    def read_into(self, fd: int, offset: int, view: memoryview) -> int:
        """As `read`, into `view`, which is aligned as a descriptor with O_DIRECT asks for; the bytes read."""
        done = os.preadv(fd, [view], offset)
        end = offset + done
        for page in range(offset // PAGE_SIZE, -(-end // PAGE_SIZE)):
            cached = self.peek(page)
            if cached is not None:
                low, high = max(offset, page * PAGE_SIZE), min(end, (page + 1) * PAGE_SIZE)
                view[low - offset : high - offset] = cached[low - page * PAGE_SIZE : high - page * PAGE_SIZE]
        return done

    def write(self, fd: int, offset: int, data: Any) -> int:
        """`pwrite(fd, data, offset)`, seen by every mapping; the bytes written. Raises `OSError`."""
        blob = flat(data)
        with self.phys._held():  # else two writers could leave file and cache in different order
            self.tell_time()
            size = os.fstat(fd).st_size
            done = os.pwrite(fd, blob, offset)
            if hostcalls.fcntl(fd, F_GETFL) & os.O_APPEND:
                offset = size  # pwrite(2), BUGS
            if offset > size:
                self._zero_tail(size)
            self.wrote(offset, blob[:done])
            self._note(fd)
        return done

    def wrote(self, offset: int, data: memoryview) -> None:
        """Show bytes that were written to the file at `offset` to every mapping."""
        end = offset + len(data)
        for page in range(offset // PAGE_SIZE, -(-end // PAGE_SIZE)):
            low, high = max(offset, page * PAGE_SIZE), min(end, (page + 1) * PAGE_SIZE)
            self.poke(page, low - page * PAGE_SIZE, data[low - offset : high - offset])

    def truncate(self, fd: int, size: int) -> None:
        """`ftruncate(fd, size)`: pages past the end leave every mapping, private copies too. Raises `OSError`."""
        with self.phys._held():
            self.tell_time()
            old = os.fstat(fd).st_size
            os.ftruncate(fd, size)
            first = -(-size // PAGE_SIZE)
            if size < old:
                for space in self.phys._spaces():
                    drop = getattr(space, "_drop_store", None)
                    if drop is not None:
                        drop(self, first)
                self.forget(first)
            self._zero_tail(min(size, old))
            self._note(fd)

    def changed(self, fd: int) -> None:
        """The host changed the file for the guest, when all was written back: every mapping shows what is there now.

        Raises `OSError`.
        """
        self.reload()
        self._note(fd)

    def tell_time(self) -> None:
        """Let the file have the time at which a mapping last began to write to a page: the host learns of a write only
        when it is written back. Before anybody looks at the file's times or sets them, or changes the file otherwise.
        """
        if when := self.take_date():
            self._date(when)

    def _date(self, when: int) -> None:
        """Say to the host that this is when the file was changed; it is no change by others to us."""
        fd = self.descriptors[1]
        if fd >= 0 and (status := os.fstat(fd)).st_mtime_ns != when:
            known = self._stamp == (status.st_size, status.st_mtime_ns)
            try:
                os.utime(fd, ns=(status.st_atime_ns, when))
            except OSError:
                return  # the times of another's file are not ours to set
            if known:
                self._stamp = self.host_stamp()

    def _zero_tail(self, size: int) -> None:
        """What a mapping wrote past the end of the file, in its last page, is not part of it when it grows."""
        if size % PAGE_SIZE:
            self.poke(size // PAGE_SIZE, size % PAGE_SIZE, bytes(PAGE_SIZE - size % PAGE_SIZE))

    def sync(self, first: int = 0, last: int | None = None) -> None:
        """Write pages [first, last] that mappings wrote to the file, never past its end. Raises `LinuxError`."""
        end = (1 << 64) - 1 if last is None else last
        if not self.is_written(first, end):
            return
        # Taking the right to write and writing back must be one: else a write in between would lose its mark.
        with self.phys._held():
            for space in self.phys._spaces():
                guard = getattr(space, "_guard_store", None)
                if guard is not None:
                    guard(self, first, end)
            self.phys._fence()  # who has the right still may be writing
            self.tell_time()
            stamp = self.host_stamp()
            known = stamp == self._stamp
            self.flush(first, end)
            if known:
                self._stamp = self.host_stamp()  # ours is no change by others
            self._date(stamp[1])  # that of the write, not of this


def sync_all(released: list[tuple[FrameStore, int, int]]) -> None:
    """Write back what mappings that went away had written; a failure is the file's, as after munmap(2)."""
    for store, first, last in released:
        if isinstance(store, FileCache):
            try:
                store.sync(first, last)
            except LinuxError:
                pass  # the pages stay marked: a later sync says so
