"""Open files of a tree in memory: regular files, directories, FIFOs. Source: mm/shmem.c, fs/libfs.c, fs/open.c.

Transfers go through the machine's bounce buffer, in pieces; a buffer that runs into a hole gives what lies before it. A
FIFO's bytes are in a pipe of the machine's own.
"""

from __future__ import annotations

import errno
import os
import stat

from ...errors import LinuxError
from ...flags import READ, WRITE
from ...mm.backend import StoreBackend
from ..files.fifo import open_named
from ..files.pipe import Pipe
from ..task import waiting
from ..task.limits import RLIMIT_FSIZE, get_limit
from ..uaccess import CHUNK, put_bytes
from .host.calls import host
from .inode import F_SEAL_FUTURE_WRITE, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_WRITE, MAX_BYTES
from .nodedir import dirent
from .openfile import O_APPEND, OpenFile, sought

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from ..._core.phys.phys import PhysMemory
    from ..task.task import LinuxTask
    from ..uaccess import UserIter
    from .inode import Inode
    from .node import Stat
    from .tmp import TmpNode

_SEEK_DATA, _SEEK_HOLE = 3, 4
_KEEP_SIZE, _PUNCH_HOLE = 1, 2
_KNOWN_MODES = 0x7F
_FIONREAD, _GETFLAGS = 0x541B, 0x80086601
_NO_LIMIT = (1 << 64) - 1
_CARRIED = 16 << 20
"""What one transfer that the host makes takes of a file, at most: the program asks again."""


def require_size(task: LinuxTask, inode: Inode, size: int) -> None:
    """EFBIG and SIGXFSZ if the file would grow beyond RLIMIT_FSIZE (inode_newsize_ok)."""
    if size > inode.size and size > get_limit(task, RLIMIT_FSIZE)[0]:
        raise task.signals.file_too_large(task)


class TmpFile(OpenFile):
    """An open regular file."""

    seekable = True
    in_memory = True
    kind = stat.S_IFREG

    def __init__(self, node: TmpNode, flags: int) -> None:
        super().__init__(flags)
        self._node = node
        self.inode = node.inode
        self.pos = 0

    def node(self) -> TmpNode:
        return self._node

    def stat(self, task: LinuxTask) -> Stat:
        return self._node.stat(task)

    def _accessed(self) -> None:
        """It is read, or mapped."""
        if not self.flags & os.O_NOATIME:
            self.inode.accessed()

    # -- transfers

    def read(self, task: LinuxTask, to: UserIter, pos: int | None) -> int:
        at = start = self.pos if pos is None else pos
        self._accessed()
        while to.count:
            view = task.machine.bounce[: min(to.count, CHUNK)]
            got = self.inode.read_into(at, view)
            copied = to.copy_out(view[:got])
            at += copied
            if copied < got:
                if at == start:
                    raise to.fault(WRITE)
                break
            if got < len(view) or waiting.must_stop(task):
                break
        if pos is None:
            self.pos = at
        return at - start

    def write(self, task: LinuxTask, data: UserIter, pos: int | None) -> int:
        if not data.count:
            return 0
        most = self.size_room(task, pos, data.count)
        at = start = self._start(pos)
        if at >= MAX_BYTES:
            raise LinuxError(errno.EFBIG)
        if self.inode.seals:
            most = self.inode.unsealed(at, most)
        self.inode.changed(content=True)
        while at - start < most:
            view = task.machine.bounce[: min(most - (at - start), CHUNK)]
            good = data.copy_in(view)
            if not good:
                if at == start:
                    raise data.fault(READ)
                break
            try:
                done = self.inode.write(at, view[:good])
            except LinuxError:
                if at == start:
                    raise
                break
            at += done
            if done < len(view) or waiting.must_stop(task):
                break
        if pos is None:
            self.pos = at
        return at - start

    def _start(self, pos: int | None) -> int:
        if self.flags & O_APPEND:
            return self.inode.size
        return self.pos if pos is None else pos

    def size_room(self, task: LinuxTask, pos: int | None, count: int) -> int:
        limit = get_limit(task, RLIMIT_FSIZE)[0]
        if limit == _NO_LIMIT or not count:
            return count
        at = self._start(pos)
        if at >= limit:
            raise task.signals.file_too_large(task)
        return min(count, limit - at)

    def read_bytes(self, view: memoryview, pos: int | None) -> int:
        """Read to memory of the machine's own."""
        self._accessed()
        done = self.inode.read_into(self.pos if pos is None else pos, view)
        if pos is None:
            self.pos += done
        return done

    def write_bytes(self, data: memoryview, pos: int | None) -> int:
        """Write from memory of the machine's own."""
        at = self._start(pos)
        if self.inode.seals:
            data = data[: self.inode.unsealed(at, len(data))]
        self.inode.changed(content=True)
        done = self.inode.write(at, data)
        if pos is None:
            self.pos = at + done
        return done

    def end(self, mode: int, pos: int | None = None, count: int = 0) -> AbstractContextManager[int]:
        """The bytes in question, in a file of the host's, taken over from there afterwards."""
        from contextlib import contextmanager  # which few runs need

        return contextmanager(self._end)(mode, pos, count)

    def _end(self, mode: int, pos: int | None, count: int) -> Iterator[int]:
        fd, at = host(os.memfd_create, "axptr"), self._start(pos) if mode != os.O_RDONLY else pos
        at = self.pos if at is None else at
        try:
            if mode == os.O_RDONLY:
                view = memoryview(bytearray(max(0, min(count, _CARRIED, self.inode.size - at))))
                host(os.ftruncate, fd, at + len(view))
                host(os.pwrite, fd, view[: self.read_bytes(view, at)], at)
            host(os.lseek, fd, at, os.SEEK_SET)
            yield fd
            if mode != os.O_RDONLY:
                size = os.fstat(fd).st_size
                while at < size:
                    at += self.write_bytes(memoryview(os.pread(fd, min(CHUNK, size - at), at)), at)
            elif pos is None:
                at = os.lseek(fd, 0, os.SEEK_CUR)
            if pos is None:
                self.pos = at
        finally:
            os.close(fd)

    def peek(self, size: int, offset: int) -> bytes:
        view = memoryview(bytearray(size))
        return bytes(view[: self.inode.read_into(offset, view)])

    # -- the rest

    def seek(self, offset: int, whence: int) -> int:
        if whence in (_SEEK_DATA, _SEEK_HOLE):
            self.pos = self.inode.seek_data(offset, whence == _SEEK_HOLE)
        else:
            start = (0, self.pos, self.inode.size)[whence]
            self.pos = sought(offset, start)
        return self.pos

    def truncate(self, task: LinuxTask, size: int) -> None:
        require_size(task, self.inode, size)
        self.inode.require_resizable(size)
        self.inode.resize(size)
        self.inode.changed(content=True)

    def fallocate(self, task: LinuxTask, mode: int, offset: int, size: int) -> None:
        """shmem_fallocate: pages are brought in, or given up by FALLOC_FL_PUNCH_HOLE; no other modes."""
        if offset < 0 or size <= 0:
            raise LinuxError(errno.EINVAL)
        if mode & ~_KNOWN_MODES or (mode & _PUNCH_HOLE and not mode & _KEEP_SIZE):
            raise LinuxError(errno.EOPNOTSUPP)
        if not self.writable:
            raise LinuxError(errno.EBADF)
        if offset + size > MAX_BYTES:
            raise LinuxError(errno.EFBIG)
        if mode & ~(_KEEP_SIZE | _PUNCH_HOLE):
            raise LinuxError(errno.EOPNOTSUPP)
        if mode & _PUNCH_HOLE:
            self.inode.require_unsealed(F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)
            self.inode.punch(offset, size)
        else:
            if not mode & _KEEP_SIZE:
                require_size(task, self.inode, offset + size)
            if offset + size > self.inode.size:
                self.inode.require_unsealed(F_SEAL_GROW)
            self.inode.allocate(task, offset, size, keep_size=bool(mode & _KEEP_SIZE))
        self.inode.changed(content=True)

    def fsync(self) -> None:
        """There is nothing behind memory."""

    def leases(self) -> bool:
        return True

    def ioctl(self, task: LinuxTask, command: int, argument: int) -> int:
        if command == _FIONREAD:
            put_bytes(task, argument, (max(0, self.inode.size - self.pos) & 0xFFFF_FFFF).to_bytes(4, "little"))
        elif command == _GETFLAGS:
            put_bytes(task, argument, bytes(4))
        else:
            raise LinuxError(errno.ENOTTY)
        return 0

    def mapping(self, phys: PhysMemory, offset: int, *, shared: bool) -> StoreBackend:
        sealed = self.inode.seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)
        backend = StoreBackend(self.inode.contents(), offset, shared=shared, writable=self.writable and not sealed)
        backend.named, backend.no_exec = self._node.where, self.no_exec()
        self._accessed()
        return backend

    def require_shared_writes(self) -> None:
        self.inode.require_unsealed(F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)

    def seals(self, task: LinuxTask, more: int | None = None) -> int:
        if more is not None:
            if not self.writable:
                raise LinuxError(errno.EPERM)
            self.inode.seal(task, more)
            return 0
        return self.inode.seals | (0 if self.inode.sealable else F_SEAL_SEAL)

    def require_range(self, end: int) -> None:
        if end >= 1 << 63:
            raise LinuxError(errno.EOVERFLOW)


class TmpDirFile(OpenFile):
    """An open directory. A position is the cookie of an entry: what comes and goes meanwhile moves no other."""

    seekable = True
    kind = stat.S_IFDIR

    def __init__(self, node: TmpNode, flags: int) -> None:
        super().__init__(flags)
        self._node = node
        self._pos = 0

    def node(self) -> TmpNode:
        return self._node

    def stat(self, task: LinuxTask) -> Stat:
        return self._node.stat(task)

    def read(self, task: LinuxTask, to: UserIter, pos: int | None) -> int:
        raise LinuxError(errno.EISDIR)

    def seek(self, offset: int, whence: int) -> int:
        if whence not in (os.SEEK_SET, os.SEEK_CUR):
            raise LinuxError(errno.EINVAL)
        self._pos = sought(offset, self._pos if whence == os.SEEK_CUR else 0)
        return self._pos

    def fsync(self) -> None:
        """There is nothing behind memory."""

    def getdents(self, task: LinuxTask, to: UserIter) -> int:
        node, data, pos = self._node, b"", self._pos
        directory = node.directory
        if directory.nlink == 0:
            raise LinuxError(errno.ENOENT)
        cookies = list(directory.cookies)  # in order: entries get theirs one after the other
        above = node.parent_node or node
        from bisect import bisect_left  # which a start would pay for

        at = bisect_left(cookies, pos) if pos > 2 else 0
        while True:
            if pos < 2:
                here = node if pos == 0 else above
                entry, after = dirent(here.ino, pos + 1, stat.S_IFDIR, b"." if pos == 0 else b".."), pos + 1
            elif at < len(cookies):
                found, after = directory.cookies[cookies[at]], cookies[at] + 1
                entry = dirent(found.ino, after, found.inode.kind, found.name)
                at += 1
            else:
                break
            if len(data) + len(entry) > to.count:
                if not data:
                    raise LinuxError(errno.EINVAL)
                break
            data, pos = data + entry, after
        if to.copy_out(data) < len(data):
            raise to.fault(WRITE)
        self._pos = pos
        directory.accessed()
        return len(data)


def open_fifo_node(task: LinuxTask, node: TmpNode, flags: int) -> OpenFile:
    """Open a FIFO, once there is somebody on the other side where Linux waits for that (`OpenWaits`)."""
    inode = node.inode
    pipe = inode.pipe
    if pipe is None or not (pipe.readers or pipe.writers):
        pipe = inode.pipe = Pipe(task)
    return open_named(task, pipe, node, flags)
