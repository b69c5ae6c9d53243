"""The table of descriptors: which number refers to which open file. Source: fs/file.c; dup(2), close(2), fork(2).

Not here: what an open file is (`fs.openfile`), how one comes to be (`fs.opening`).
"""

from __future__ import annotations

import errno

from ...errors import LinuxError
from ..fs.openfile import O_PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

    from ..files.locks import LockTable
    from ..fs.openfile import OpenFile


class FileTable:
    """Descriptors: number -> OpenFile, and which of them exec closes. The lowest free number is given out.

    | field | guarded by | exec | fork | a snapshot |
    | --- | --- | --- | --- | --- |
    | descriptors, marks of some | the machine's thread | closes what is marked | `copy` | a record of each |
    | limit (RLIMIT_NOFILE) | the machine's thread | keeps it | has the same | as it is |
    | users: tasks that have it | the machine's thread | one, of a copy if it was shared | one | who they are |
    | the run's locks | itself | stay the table's | are not the copy's | through the machine |

    Each file counts the descriptors that refer to it (`refs`), in all tables. A table is the owner of record locks, as
    a process is. What is below the lowest free number is known, so that a descriptor is found in no time; with
    `lowest` it costs a step for each that is taken from there on.
    """

    __slots__ = ("__weakref__", "_cloexec", "_files", "_free", "_locks", "_written", "limit", "users")

    def __init__(self, limit: int, locks: LockTable) -> None:
        """locks: of the run; a descriptor that is closed drops some."""
        self._locks = locks
        self._files: dict[int, OpenFile] = {}
        self._cloexec: set[int] = set()
        self._written: set[int] = set()  # by which a regular file can be written to: what exec looks at
        self._free = 0  # below it all are taken
        self.limit = limit
        self.users = 1

    def share(self) -> FileTable:
        """The same for one task more."""
        self.users += 1
        return self

    def release(self) -> None:
        """A task needs it no more; the last one's end closes all."""
        self.users -= 1
        if not self.users:
            self.close_all()

    @property
    def size(self) -> int:
        """How many descriptors the kernel's table would have room for, as it grows: what is beyond is not looked at."""
        return max(64, 1 << max(self._files, default=0).bit_length())

    def copy(self) -> FileTable:
        """Another table of the same open files, with the same marks and limit (dup_fd)."""
        other = FileTable(self.limit, self._locks)
        other._files = dict(self._files)
        other._cloexec = set(self._cloexec)
        other._written = set(self._written)
        other._free = self._free
        for file in self._files.values():
            file.refs += 1
        return other

    def get(self, fd: int) -> OpenFile:
        """EBADF if there is none."""
        file = self._files.get(fd)
        if file is None:
            raise LinuxError(errno.EBADF)
        return file

    def get_io(self, fd: int) -> OpenFile:
        """For calls that work on an open file and not on a mere place (O_PATH): EBADF for the latter too."""
        file = self._files.get(fd)
        if file is None or file.flags & O_PATH:
            raise LinuxError(errno.EBADF)
        return file

    def add(self, file: OpenFile, *, cloexec: bool = False, lowest: int = 0) -> int:
        """The new descriptor, at least `lowest`; EMFILE at the limit (the file is closed then if nobody has it)."""
        fd = max(lowest, self._free)
        while fd in self._files:
            fd += 1
        if lowest <= self._free:
            self._free = fd
        if fd >= self.limit:
            if not file.refs:
                file.close()
            raise LinuxError(errno.EMFILE)
        self._set(fd, file, cloexec)
        return fd

    def require_room(self) -> None:
        """EMFILE if there is no descriptor left to give."""
        if len(self._files) >= self.limit:
            raise LinuxError(errno.EMFILE)

    def place(self, fd: int, file: OpenFile, *, cloexec: bool = False) -> None:
        """Make `fd` refer to `file`, closing what it was. EBADF beyond the limit."""
        if not 0 <= fd < self.limit:
            raise LinuxError(errno.EBADF)
        file.hold()
        if fd in self._files:
            self.close(fd)
        file.refs -= 1
        self._set(fd, file, cloexec)

    def _set(self, fd: int, file: OpenFile, cloexec: bool) -> None:
        self._files[fd] = file
        file.refs += 1
        if cloexec:
            self._cloexec.add(fd)
        if file.regular and file.writable:
            self._written.add(fd)

    def close(self, fd: int) -> None:
        """EBADF if there is none."""
        file = self._files.pop(fd, None)
        if file is None:
            raise LinuxError(errno.EBADF)
        self._cloexec.discard(fd)
        self._written.discard(fd)
        self._free = min(self._free, fd)
        self._locks.closed(self, file)
        file.release(self._locks)

    def cloexec(self, fd: int) -> bool:
        self.get(fd)
        return fd in self._cloexec

    def set_cloexec(self, fd: int, on: bool) -> None:
        self.get(fd)
        if on:
            self._cloexec.add(fd)
        else:
            self._cloexec.discard(fd)

    def writes(self, identity: tuple[int, int]) -> bool:
        """Whether a regular file can be written to by a descriptor of this table (i_writecount)."""
        files = self._files
        return any((file := files[fd]).counted and file.identity == identity for fd in self._written)

    def name_removed(self, identity: tuple[int, int]) -> None:
        """The guest itself removed one of several names of a file of the host's."""
        for file in self._files.values():
            file.name_removed(identity)

    def descriptors(self) -> list[int]:
        return sorted(self._files)

    def close_on_exec(self) -> None:
        for fd in sorted(self._cloexec):
            self.close(fd)

    def close_others(self, kept: Container[int]) -> None:
        """Close all but the open files of these numbers (`id`), whose descriptors stay as they are."""
        for fd, file in sorted(self._files.items()):
            if id(file) not in kept:
                self.close(fd)

    def close_all(self) -> None:
        for fd in self.descriptors():
            self.close(fd)

    def _check(self) -> None:
        """Raise `AssertionError` unless the table is in order."""
        if any(fd < 0 for fd in self._files):
            raise AssertionError(f"negative descriptors: {self._files}")
        if not self._cloexec <= self._files.keys():
            raise AssertionError(f"marks of what is closed: {self._cloexec - self._files.keys()}")
        written = {fd for fd, file in self._files.items() if file.regular and file.writable}
        if self._written != written:
            raise AssertionError(f"those to be written by are {written}, not {self._written}")
        taken = next(n for n in range(len(self._files) + 1) if n not in self._files)
        if self._free > taken:
            raise AssertionError(f"{self._free} is not the lowest that may be free: {taken} is")
        for file in set(self._files.values()):
            own = sum(other is file for other in self._files.values())
            if file.refs < own:
                raise AssertionError(f"{file!r} has {own} descriptors here and counts {file.refs}")
