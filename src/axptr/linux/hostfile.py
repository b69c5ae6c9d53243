"""Files of the host, behind a host descriptor: regular files, directories, pipes, terminals, sockets.

A regular file that is mapped here is read, written and cut through its cache, so that mappings and calls agree.

Reads and writes go through the machine's bounce buffer of CHUNK bytes. Where the guest's buffer runs into a hole, the
host's own call decides what that gives (`hostio.HoleBuffer`). The host's position is used, so that a position shared
with other processes (standard input) moves as it would.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from ..errors import LinuxError
from ..flags import READ, WRITE
from ..mm.filecache import FileCache
from .hostio import ccall, host
from .hosttree import OpenedNode
from .openfile import O_APPEND, O_NONBLOCK, O_PATH, OpenFile
from .uaccess import CHUNK

if TYPE_CHECKING:
    from .task import LinuxTask
    from .uaccess import UserIter

POLLIN = 1
POLLOUT = 4


class HostFile(OpenFile):
    """An open file of the host. `owned`: closed with us; the standard streams are not.

    home: it lay beneath an allowed directory when it was opened (see `hosttree.HostNode`).
    borrowed_nonblock: O_NONBLOCK was asked for on a descriptor that other processes use too: we emulate it.
    """

    host_fd: int

    def __init__(self, fd: int, flags: int, *, owned: bool = True, home: bool = False) -> None:
        super().__init__(flags)
        self.host_fd = fd
        self.owned = owned
        self.home = home
        self.borrowed_nonblock = False
        status = os.fstat(fd)
        mode = status.st_mode
        self.identity = status.st_dev, status.st_ino
        self.kind = stat.S_IFMT(mode)
        self.regular = self.kind == stat.S_IFREG
        self.seekable = self.kind in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFBLK)

    def cache(self, task: LinuxTask) -> FileCache | None:
        """The cache of this file, if it is mapped somewhere."""
        return FileCache.find(task.space.phys, *self.identity) if self.regular else None

    # -- transfers

    def wait_ready(self, task: LinuxTask, event: int) -> None:
        """Before a call that may block: EAGAIN if it must not, and never past the run's deadline."""
        if self.regular:
            return
        if self.borrowed_nonblock:
            from .poll import ready

            if not ready(self.host_fd, event):
                raise LinuxError(errno.EAGAIN)
        elif not self.flags & O_NONBLOCK:
            task.wait_for_fd(self.host_fd, event)

    def read(self, task: LinuxTask, to: UserIter, pos: int | None) -> int:
        if self.kind == stat.S_IFDIR:
            raise LinuxError(errno.EISDIR)
        done, buffer = 0, task.machine.bounce
        while True:
            want = min(to.count, CHUNK)
            self.wait_ready(task, POLLIN)
            good = to.good(WRITE, want)
            if good < want:
                return self._read_beside_hole(task, to, good, pos, done)
            view = buffer[:want]
            try:
                n = self.read_host(task, view, None if pos is None else pos + done)
            except LinuxError:
                if done:
                    return done
                raise
            copied = to.copy_out(view[:n])
            done += copied
            if copied < n:
                self._unread(n - copied, pos)
                if not done:
                    raise to.fault(WRITE)
                return done
            if n < want or not to.count or not self.regular:
                return done

    def read_host(self, task: LinuxTask, view: memoryview, pos: int | None) -> int:
        """Read into host memory, with what mappings of the file hold and the host does not have yet."""
        cache = self.cache(task)
        if cache is None:
            return host(os.readv, self.host_fd, [view]) if pos is None else host(os.preadv, self.host_fd, [view], pos)
        at = host(os.lseek, self.host_fd, 0, os.SEEK_CUR) if pos is None else pos
        data = host(cache.read, self.host_fd, at, len(view))
        view[: len(data)] = data
        if pos is None:
            host(os.lseek, self.host_fd, len(data), os.SEEK_CUR)
        return len(data)

    def write_host(self, task: LinuxTask, data: memoryview, pos: int | None) -> int:
        """Write from host memory, seen by mappings of the file."""
        cache = self.cache(task)
        if cache is None:
            return host(os.write, self.host_fd, data) if pos is None else host(os.pwrite, self.host_fd, data, pos)
        at = pos
        if self.flags & O_APPEND:  # wherever pwrite(2) says, it goes to the end
            at = host(os.fstat, self.host_fd).st_size
        elif at is None:
            at = host(os.lseek, self.host_fd, 0, os.SEEK_CUR)
        done = host(cache.write, self.host_fd, at, data)
        if pos is None:
            host(os.lseek, self.host_fd, at + done, os.SEEK_SET)
        return done

    def _unread(self, count: int, pos: int | None) -> None:
        if pos is None and self.seekable:
            os.lseek(self.host_fd, -count, os.SEEK_CUR)

    def _read_beside_hole(self, task: LinuxTask, to: UserIter, good: int, pos: int | None, done: int) -> int:
        hole = task.machine.hole
        cache = self.cache(task)
        start = 0
        if cache is not None:
            start = host(os.lseek, self.host_fd, 0, os.SEEK_CUR) if pos is None else pos + done
        near = hole.view[CHUNK - good : CHUNK]
        before = b""
        if not self.regular:
            to.again().copy_in(near)
            before = bytes(near)
        try:
            n = hole.transfer(
                "read" if pos is None else "pread64",
                self.host_fd,
                good,
                to.count,
                None if pos is None else pos + done,
            )
        except LinuxError as error:
            if done:
                return done
            if error.errno == errno.EFAULT:
                if not self.regular:
                    to.again().copy_out(near[: _changed(near, before, 0)])
                raise to.fault(WRITE, good) from None
            raise
        if cache is not None:
            near[:n] = host(cache.read, self.host_fd, start, n)
        if not self.regular:  # which counts whole pieces, and may have filled bytes between the last one and the hole
            to.again().copy_out(near[: _changed(near, before, n)])
        copied = to.copy_out(near[:n])
        if copied < n:
            self._unread(n - copied, pos)
            if not copied + done:
                raise to.fault(WRITE)
        elif self.regular and n == good > 0:
            to.fault(WRITE)  # not raised: but the copy ran into the hole, which a stack above notices
        return done + copied

    def write(self, task: LinuxTask, data: UserIter, pos: int | None) -> int:
        done, buffer = 0, task.machine.bounce
        try:
            while True:
                self.wait_ready(task, POLLOUT)
                want = min(data.count, CHUNK)
                good = data.copy_in(buffer[:want])
                at = None if pos is None else pos + done
                if good < want:
                    hole = task.machine.hole
                    if self.regular and good:  # a file takes the good bytes
                        return done + self.write_host(task, buffer[:good], at)
                    hole.view[CHUNK - good : CHUNK] = buffer[:good]
                    return done + hole.transfer(
                        "write" if at is None else "pwrite64", self.host_fd, good, good + data.count, at
                    )
                n = self.write_host(task, buffer[:want], at)
                done += n
                if n < want or not data.count:
                    return done
        except LinuxError as error:
            if error.errno == errno.EPIPE:
                task.signals.broken_pipe(task)
            if done:
                return done
            if error.errno == errno.EFAULT:
                raise data.fault(READ) from None
            raise

    # -- the rest

    def lock_key(self) -> tuple[int, int]:
        return self.identity

    def seek(self, offset: int, whence: int) -> int:
        return host(os.lseek, self.host_fd, offset, whence)

    def stat(self, task: LinuxTask) -> os.stat_result:
        return host(os.fstat, self.host_fd)

    def getdents(self, task: LinuxTask, to: UserIter) -> int:
        if self.kind != stat.S_IFDIR:
            raise LinuxError(errno.ENOTDIR)
        import ctypes

        want = min(to.count, CHUNK)
        good = to.good(WRITE, want)
        if good < want:
            hole = task.machine.hole
            try:
                n = hole.transfer("getdents64", self.host_fd, good, to.count, None)
            except LinuxError as error:
                raise to.fault(WRITE, good) if error.errno == errno.EFAULT else error from None
            return to.copy_out(hole.view[CHUNK - good : CHUNK - good + n])
        view = task.machine.bounce[:want]
        raw = (ctypes.c_char * max(want, 1)).from_buffer(task.machine.bounce)
        n = ccall("getdents64", self.host_fd, ctypes.byref(raw), ctypes.c_size_t(want))
        return to.copy_out(view[:n])

    def ioctl(self, task: LinuxTask, command: int, argument: int) -> int:
        from .ioctl import host_ioctl

        return host_ioctl(task, self, command, argument)

    def node(self) -> OpenedNode:
        return OpenedNode(self)

    def require_change(self, task: LinuxTask) -> None:
        if self.owned and self.regular:  # a standard stream was given to be written to
            self.node().changeable(task.fs)

    def truncate(self, task: LinuxTask, size: int) -> None:
        cache = self.cache(task)
        if cache is None:
            host(os.ftruncate, self.host_fd, size)
        else:
            host(cache.truncate, self.host_fd, size)

    def no_exec(self) -> bool:
        """Whether nothing in this file's file system may be executed; pipes and sockets are in such a one."""
        return self.kind in (stat.S_IFIFO, stat.S_IFSOCK) or bool(os.fstatvfs(self.host_fd).f_flag & os.ST_NOEXEC)

    def map_anonymous(self) -> bool:
        if not self.regular:
            raise LinuxError(errno.ENODEV)
        return False

    def close(self) -> None:
        if self.owned:
            self.owned = False
            os.close(self.host_fd)

    def __del__(self) -> None:
        """A process that was dropped without `close` must not leave host descriptors open."""
        if getattr(self, "owned", False):
            os.close(self.host_fd)


def _changed(now: memoryview, before: bytes, least: int) -> int:
    """Up to where the bytes are not what they were, and `least` at least. By halving: what follows is equal."""
    end = len(before)
    while least < end:
        middle = (least + end) // 2
        if now[middle:] == before[middle:]:
            end = middle
        else:
            least = middle + 1
    return least


def standard_stream(fd: int) -> HostFile | None:
    """The host's descriptor `fd` as it is; None if it is closed."""
    import fcntl

    try:
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        return HostFile(fd, flags & ~O_PATH, owned=False)
    except OSError:
        return None
