"""Files of the host, behind a host descriptor: regular files, directories, pipes, terminals, sockets.

A regular file that is mapped here is read, written and cut through its cache, so that mappings and calls agree.

Reads and writes go through the machine's bounce buffer of CHUNK bytes. Where the guest's buffer runs into a hole, the
host's own call decides what that gives (`fs.host.calls.HoleBuffer`). The host's position is used, so that a position
shared with other processes (standard input) moves as it would.
"""

from __future__ import annotations

import errno
import os
import stat

from ...._core.host import hostcalls
from ...._core.host.places import tell
from ....errors import LinuxError
from ....flags import READ, WRITE
from ....light import cached_property, partial
from ....mm.filecache import F_GETFL, FileCache
from ...abi.openflags import O_LARGEFILE
from ...task import waiting
from ...task.limits import RLIM_INFINITY, RLIMIT_FSIZE, get_limit
from ...uaccess import CHUNK
from ..openfile import O_APPEND, O_DIRECT, O_NONBLOCK, O_PATH, BrokenPipe, OpenFile, WouldBlock
from .calls import PAGE, changed_bytes, host
from .noblock import Channel, epoll_takes, may_block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from ...._core.mm.frames import Backend
    from ...._core.phys.phys import PhysMemory
    from ....kernel.hostpoll import HostWaitable
    from ....kernel.wait import WaitQueue
    from ....mm.backend import FileBackend
    from ...files.locks import Hold, Range
    from ...task.task import LinuxTask
    from ...uaccess import UserIter
    from ..node import AnyStat, Node
    from .mount import HostMount

_F_SETFL, _F_CREATED_QUERY, _F_SETPIPE_SZ, _F_GETPIPE_SZ = 4, 1028, 1031, 1032
PIPE_MOST = 1 << 20
_FALLOC_FL_KEEP_SIZE = 1
_SURE_SIZE = 1 << 40
"""What a file of any file system may reach; beyond it the host is asked."""

RWF_DSYNC, RWF_SYNC, RWF_NOWAIT, RWF_APPEND, RWF_NOAPPEND = 2, 4, 8, 16, 32
_RWF_ANY = 0x37
"""What every file takes that knows RWF_* at all."""
POLLIN, POLLOUT = 1, 4


class HostFile(OpenFile):
    """An open file of the host. `owned`: closed with us; the standard streams are not.

    home: it lay beneath an allowed directory when it was opened (see `fs.host.tree.HostNode`). nameless: since then the
    guest has removed a name of it.
    shared: other processes use the description too, so that its flags are not ours to change. channel: how it is read
    and written without blocking the host, of what may block; None of other files.
    mount: by which it was found; None for what was found by none.
    as_node: what makes it a node of the tree that it was found in (`tree.OpenedNode`); None for what is in none.
    rw_flags: RWF_* of the transfer in hand (`under_rwf`). mode: type and permission bits when it was opened.
    shown: what backs private mappings of it, held weakly, and the name that they got.
    """

    host_fd: int
    stream: int | None = None
    """Which of the user's standard streams it is; None of other files."""
    owned = False
    dropped = False
    """Whether it is what a snapshot left in the place of a file that could not go along."""
    nameless = False
    shown: tuple[Callable[[], Backend | None], str] | None = None
    rw_flags = 0
    _engaged = False  # whether there is something to be closed besides the descriptor

    def __init__(
        self,
        fd: int,
        flags: int,
        *,
        owned: bool = True,
        home: bool = False,
        shared: bool = False,
        mount: HostMount | None = None,
        as_node: Callable[[HostFile], Node] | None = None,
        what: tuple[int, tuple[int, int]] | None = None,
    ) -> None:
        """what: see `learn`."""
        super().__init__(flags)
        self.host_fd = fd
        self.owned = owned
        self.home = home
        self.shared = shared or not owned
        self.mount = mount
        self._as_node = as_node
        self.learn(what)

    def learn(self, what: tuple[int, tuple[int, int]] | None = None) -> None:
        """What kind of file its descriptor is; what: mode and identity, if they are known."""
        if what is None:
            what = (status := tell(self.host_fd)).st_mode, status.identity
        self.mode, self._identity = what
        self.kind = kind = stat.S_IFMT(self.mode)
        self.seekable = kind in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFBLK)
        terminal = kind == stat.S_IFCHR and os.isatty(self.host_fd)
        self.asynchronous = terminal or kind in (stat.S_IFIFO, stat.S_IFSOCK)

    @property
    def identity(self) -> tuple[int, int]:
        return self._identity

    @property
    def is_device(self) -> bool:
        return self.kind == stat.S_IFCHR

    def cache(self, task: LinuxTask) -> FileCache | None:
        """The cache of this file, if it is mapped somewhere."""
        mapped = self.kind == stat.S_IFREG and self._identity in task.space.phys.caches.data
        return FileCache.find(task.space.phys, *self._identity) if mapped else None

    @cached_property
    def channel(self) -> Channel | None:
        if not may_block(self.kind) or self.flags & O_PATH:
            return None
        self._engaged = True
        return Channel(self.host_fd, self.flags, self.kind, shared=self.shared)

    @property
    def io_fd(self) -> int:
        """The host descriptor to read, write and poll, which does not block where that can be had."""
        return self.host_fd if self.channel is None else self.channel.fd

    # -- transfers

    @property
    def appends(self) -> bool:
        """Whether what is written goes to the end, wherever else the call says."""
        if self.rw_flags & RWF_NOAPPEND:
            return False
        return bool(self.flags & O_APPEND or self.rw_flags & RWF_APPEND)

    def under_rwf(self, task: LinuxTask, flags: int) -> AbstractContextManager[None]:
        """Of a regular file the host's own call is given the flags, but where its cache here is in between."""
        from contextlib import contextmanager  # which few runs need

        return contextmanager(self._under_rwf)(task, flags)

    def _under_rwf(self, task: LinuxTask, flags: int) -> Iterator[None]:
        before = self.flags
        if not self.regular and flags & ~(_RWF_ANY | RWF_NOWAIT):
            raise LinuxError(errno.EOPNOTSUPP)
        if self.channel is not None and flags & RWF_NOWAIT:
            self.flags |= O_NONBLOCK
        self.rw_flags = flags if self.regular or self.kind == stat.S_IFDIR else 0
        try:
            yield
        finally:
            self.rw_flags = 0
            self.flags = before
        if self.cache(task) is not None and flags & (RWF_SYNC | RWF_DSYNC) and self.writable:
            host(os.fsync, self.host_fd)

    @property
    def poll_fd(self) -> int | None:
        return None if self.seekable else self.io_fd

    def ready(self, mask: int) -> int:
        return super().ready(mask) if self.seekable else self._waitable.ready(mask)

    @property
    def queue(self) -> WaitQueue:
        return self._waitable.queue

    @property
    def pollable(self) -> bool:
        return not self.seekable and epoll_takes(self.io_fd)

    @cached_property
    def _waitable(self) -> HostWaitable:
        from ....kernel.hostpoll import HostWaitable

        self._engaged = True
        return HostWaitable(self.io_fd)

    def _buffer(self, task: LinuxTask, user: UserIter) -> memoryview:
        """Where bytes go through; for O_DIRECT no better aligned than the user's memory is."""
        if not self.flags & O_DIRECT:
            return task.machine.bounce
        bits = 0
        for address, _ in user.iov:
            bits |= address
        return task.machine.bounce_like(bits)

    def _piece(self, left: int) -> int:
        """How much to transfer at once. With O_DIRECT every piece is as badly aligned as the whole."""
        if left > CHUNK and left % PAGE and self.flags & O_DIRECT:
            return CHUNK - PAGE + left % PAGE
        return min(left, CHUNK)

    def _within(self, left: int, pos: int | None) -> bool:
        """Whether a transfer ends within the file: only then a file system looks at the alignment of its end."""
        at = os.lseek(self.host_fd, 0, os.SEEK_CUR) if pos is None else pos
        return at + left <= os.fstat(self.host_fd).st_size

    def job_control(self, task: LinuxTask, *, write: bool) -> None:
        console = task.machine.console
        if console is not None and self.kind == stat.S_IFCHR:
            console.job_control(task, self, write=write)

    def read(self, task: LinuxTask, to: UserIter, pos: int | None) -> int:
        if self.kind == stat.S_IFDIR:  # EISDIR, unless the place is none
            raise self._refusal(task, to.count, pos)
        done, buffer = 0, self._buffer(task, to)
        while True:
            want = min(to.count, CHUNK)
            if (
                want < to.count
                and self.flags & O_DIRECT
                and self._within(to.count, None if pos is None else pos + done)
            ):
                want = self._piece(to.count)
            good = to.good(WRITE, want)
            if good < want:
                return self._read_beside_hole(task, to, good, pos, done)
            view = buffer[:want]
            try:
                n = self.read_host(task, view, None if pos is None else pos + done)
            except LinuxError as error:
                if done:
                    return done
                raise self._would_block(error, 0, to) from None
            copied = to.copy_out(view[:n])
            done += copied
            if copied < n:
                self._unread(n - copied, pos)
                if not done:
                    raise to.fault(WRITE)
                return done
            if n < want or not to.count or not self._goes_on() or waiting.must_stop(task):
                return done

    def _goes_on(self) -> bool:
        """Whether one read gives what comes behind a piece, too: of a pipe what is there, but for packets."""
        if self.kind == stat.S_IFIFO and not self.flags & O_DIRECT:
            return bool(hostcalls.poll_now(self.io_fd, POLLIN))
        return self.regular

    def _refusal(self, task: LinuxTask, count: int, pos: int | None) -> LinuxError:
        """What the host says of reading a directory."""
        try:
            self.read_host(task, task.machine.bounce[: min(count, 1)], pos)
        except LinuxError as error:
            return error
        return LinuxError(errno.EISDIR)

    def read_host(self, task: LinuxTask, view: memoryview, pos: int | None) -> int:
        """Read into host memory, with what mappings of the file hold and the host does not have yet."""
        channel = self.channel
        if channel is not None and pos is None:
            return channel.read(view)
        cache = self.cache(task)
        if cache is None:
            if self.rw_flags:
                return host(os.preadv, self.host_fd, [view], -1 if pos is None else pos, self.rw_flags)
            return host(os.readv, self.host_fd, [view]) if pos is None else host(os.preadv, self.host_fd, [view], pos)
        at = host(os.lseek, self.host_fd, 0, os.SEEK_CUR) if pos is None else pos
        done = host(cache.read_into, self.host_fd, at, view)
        if pos is None:
            host(os.lseek, self.host_fd, done, os.SEEK_CUR)
        return done

    def write_host(self, task: LinuxTask, data: memoryview, pos: int | None) -> int:
        """Write from host memory, seen by mappings of the file."""
        channel = self.channel
        if channel is not None and pos is None:
            return channel.write(data)
        cache = self.cache(task)
        if pos is None and self.appends and self.regular and self.shared:
            os.lseek(self.host_fd, 0, os.SEEK_END)  # the flag may be the program's own (`files.set_flags`)
        if cache is None:
            if self.rw_flags:
                return host(os.pwritev, self.host_fd, [data], -1 if pos is None else pos, self.rw_flags)
            return host(os.write, self.host_fd, data) if pos is None else host(os.pwrite, self.host_fd, data, pos)
        at = pos
        if self.appends:
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
            n = self._beside_hole(task, "read" if pos is None else "pread64", good, to.count, pos, done)
        except LinuxError as error:
            if done:
                return done
            if error.errno == errno.EFAULT:
                if not self.regular:
                    to.again().copy_out(near[: changed_bytes(near, before, 0)])
                raise to.fault(WRITE, good) from None
            raise self._would_block(error, 0, to) from None
        if cache is not None:
            near[:n] = host(cache.read, self.host_fd, start, n)
        if not self.regular:  # which counts whole pieces, and may have filled bytes between the last one and the hole
            to.again().copy_out(near[: changed_bytes(near, before, n)])
        copied = to.copy_out(near[:n])
        if copied < n:
            self._unread(n - copied, pos)
            if not copied + done:
                raise to.fault(WRITE)
        elif self.regular and n == good > 0:
            to.fault(WRITE)  # not raised: but the copy ran into the hole, which a stack above notices
        return done + copied

    def _beside_hole(self, task: LinuxTask, call: str, good: int, count: int, pos: int | None, done: int) -> int:
        """The host's own transfer with `good` bytes before the hole and `count` in all."""
        channel, event = self.channel, POLLIN if call in ("read", "pread64") else POLLOUT
        at = None if pos is None else pos + done

        if channel is not None:
            channel.require(event)
        return task.machine.hole.transfer(call, self.io_fd, good, count, at)

    def _would_block(self, error: LinuxError, done: int, user: UserIter) -> LinuxError:
        """What a transfer raises that the host refused: `WouldBlock` if it is to be gone on with when there is room."""
        if error.errno == errno.EAGAIN and self.blocks:
            return WouldBlock(done, user.rest)
        return error

    def write(self, task: LinuxTask, data: UserIter, pos: int | None) -> int:
        """All of it, unless the file has no room for it (or blocks, and the guest does not want that)."""
        done, taken, buffer = 0, 0, self._buffer(task, data)
        most = self.size_room(task, pos, data.count)
        try:
            while True:
                want = min(self._piece(data.count), most - done)
                taken = good = data.copy_in(buffer[:want])
                at = None if pos is None else pos + done
                if good == want or (self.regular and good):  # of bytes before a hole a file takes the good ones
                    n = self.write_host(task, buffer[:good], at)
                else:
                    task.machine.hole.view[CHUNK - good : CHUNK] = buffer[:good]
                    call = "write" if at is None else "pwrite64"
                    n = self._beside_hole(task, call, good, good + data.count, at, 0)
                done += n
                if 0 < n < good and self.channel is not None:  # there may be room for more, or the program waits for it
                    data.revert(good - n)
                elif n < want or done == most or not data.count or waiting.must_stop(task):
                    return done
        except LinuxError as error:
            if error.errno == errno.EAGAIN and self.blocks:
                data.revert(taken)
                raise self._would_block(error, done, data) from None
            if error.errno == errno.EPIPE:
                raise BrokenPipe(done) from None
            if done:
                return done
            if error.errno == errno.EFAULT:
                raise data.fault(READ) from None
            raise

    def size_room(self, task: LinuxTask, pos: int | None, count: int) -> int:
        """How much of `count` bytes RLIMIT_FSIZE lets be written at `pos`, or at the file's own position.

        EFBIG and SIGXFSZ for nothing (generic_write_check_limits).
        """
        limit = get_limit(task, RLIMIT_FSIZE)[0] if self.regular else RLIM_INFINITY
        if limit == RLIM_INFINITY or not count:
            return count
        if self.appends:
            pos = host(os.fstat, self.host_fd).st_size
        elif pos is None:
            pos = host(os.lseek, self.host_fd, 0, os.SEEK_CUR)
        if pos >= limit:
            raise task.signals.file_too_large(task)
        return min(count, limit - pos)

    # -- the rest

    def seek(self, offset: int, whence: int) -> int:
        return host(os.lseek, self.host_fd, offset, whence)

    def stat(self, task: LinuxTask) -> AnyStat:
        if self._identity in task.space.phys.caches.data:
            FileCache.tell(task.space.phys, self._identity)
        return task.machine.host.shown_status(tell(self.host_fd))

    def getdents(self, task: LinuxTask, to: UserIter) -> int:
        if self.kind != stat.S_IFDIR:
            raise LinuxError(errno.ENOTDIR)
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
        n = hostcalls.getdents64(self.host_fd, view)
        return to.copy_out(view[:n])

    def ioctl(self, task: LinuxTask, command: int, argument: int) -> int | None:
        from .ioctl import host_ioctl

        return host_ioctl(task, self, command, argument)

    def node(self) -> Node | None:
        return None if self._as_node is None else self._as_node(self)

    def _changeable_here(self) -> bool:
        node = self.node()
        return node is not None and node.may_change()

    def name_removed(self, identity: tuple[int, int]) -> None:
        self.nameless |= self.home and identity == self.identity

    def require_change(self, task: LinuxTask) -> None:
        node = self.node()
        if self.owned and self.regular and node is not None:  # a standard stream was given to be written to
            node.changeable()

    def require_size(self, task: LinuxTask, size: int) -> None:
        """EFBIG and SIGXFSZ if the file would grow beyond RLIMIT_FSIZE (inode_newsize_ok)."""
        if size > get_limit(task, RLIMIT_FSIZE)[0] and size > host(os.fstat, self.host_fd).st_size:
            raise task.signals.file_too_large(task)

    def truncate(self, task: LinuxTask, size: int) -> None:
        self.require_size(task, size)
        cache = self.cache(task)
        if cache is None:
            host(os.ftruncate, self.host_fd, size)
        else:
            host(cache.truncate, self.host_fd, size)

    def fallocate(self, task: LinuxTask, mode: int, offset: int, size: int) -> None:
        """The host's own call: which modes there are is its file system's affair."""
        if self.writable:
            self.require_change(task)
        self.before_host(task)
        if self.writable and self.regular and offset >= 0 and size > 0 and not mode & _FALLOC_FL_KEEP_SIZE:
            self.require_size(task, offset + size)
        try:
            hostcalls.fallocate(self.host_fd, mode, offset, size)
        finally:
            self.after_host(task)

    def fsync(self) -> None:
        host(os.fsync, self.host_fd)

    def fadvise(self, size: int, advice: int) -> None:
        if not self.seekable:
            raise LinuxError(errno.ESPIPE)
        super().fadvise(size, advice)

    def set_flags(self, flags: int) -> None:
        """On a descriptor that other processes use too the flags are ours alone."""
        if not self.shared:
            keep = O_NONBLOCK if self.channel is not None else 0  # ours, whatever the guest's is (`noblock`)
            told = O_APPEND | O_NONBLOCK | O_DIRECT | os.O_NOATIME
            hostcalls.fcntl(self.host_fd, _F_SETFL, flags & told | keep)
        self.flags = flags

    @property
    def created(self) -> bool:
        return bool(hostcalls.fcntl(self.host_fd, _F_CREATED_QUERY))

    @property
    def large(self) -> int:
        """O_LARGEFILE, which open gives to every file and pipe to none."""
        if self.owned and self.seekable:
            return O_LARGEFILE
        return hostcalls.fcntl(self.host_fd, F_GETFL) & O_LARGEFILE

    def leases(self) -> bool:
        return self.regular

    def pipe_size(self, task: LinuxTask, size: int | None) -> int:
        """A pipe that others use too keeps its size: EPERM, as beyond what a user may have."""
        if not self.is_pipe:
            raise LinuxError(errno.EBADF)
        now = hostcalls.fcntl(self.host_fd, _F_GETPIPE_SZ)
        if size is None:
            return now
        if self.identity in task.machine.streams or size > max(now, PIPE_MOST):
            raise LinuxError(errno.EPERM if size <= 1 << 31 else errno.EINVAL)
        return hostcalls.fcntl(self.host_fd, _F_SETPIPE_SZ, size)

    def end(self, mode: int, pos: int | None = None, count: int = 0) -> AbstractContextManager[int]:
        from contextlib import nullcontext

        return nullcontext(self.io_fd)

    @property
    def may_wait(self) -> bool:
        return self.channel is not None

    def require_ready(self, event: int) -> None:
        if self.channel is not None:
            self.channel.require(event)

    def before_host(self, task: LinuxTask) -> None:
        if (cache := self.cache(task)) is not None:
            host(cache.sync)

    def after_host(self, task: LinuxTask) -> None:
        if (cache := self.cache(task)) is not None:
            host(cache.changed, self.host_fd)

    # -- mappings

    def mapping(self, phys: PhysMemory, offset: int, *, shared: bool) -> FileBackend:
        if not self.regular:
            raise LinuxError(errno.ENODEV)
        from ....mm.backend import FileBackend

        backend = FileBackend(phys, self.host_fd, offset, shared=shared, writable=self.writable)
        backend.no_exec = self.no_exec()
        if self.mount is not None and not self.mount.names_alike:
            backend.named = partial(self.mount.shown_as, backend.store.descriptors[0])
        return backend

    def require_range(self, end: int) -> None:
        if not self.regular:
            super().require_range(end)
            return
        if end >= 1 << 63 or (end > _SURE_SIZE and hostcalls.map_refused(self.host_fd, end - PAGE) == errno.EOVERFLOW):
            raise LinuxError(errno.EOVERFLOW)

    def no_exec(self) -> bool:
        """Pipes and sockets are in a file system where nothing may be executed, too."""
        ours = self.kind in (stat.S_IFIFO, stat.S_IFSOCK) or (self.mount is not None and self.mount.noexec)
        return ours or bool(os.fstatvfs(self.host_fd).f_flag & os.ST_NOEXEC)

    def peek(self, size: int, offset: int) -> bytes:
        return host(os.pread, self.host_fd, size, offset)

    # -- locks

    def host_locks(self, task: LinuxTask) -> Hold | None:
        """Not at all where the guest may not write, nor on the streams that the user gave us."""
        if not self._lockable or not self.owned or not self._changeable_here():
            return None
        from .locks import HostLocks

        return lambda: HostLocks(self)

    def foreign_lock(self, task: LinuxTask, wanted: Range) -> tuple[Range, int] | None:
        if not self._lockable:
            return None
        from .locks import conflict_on_host

        ours = task.machine.locks.host(self)  # asked by its own descriptor: it must not meet what it holds for us
        return conflict_on_host(self.host_fd if ours is None else ours.fd, wanted)

    @property
    def _lockable(self) -> bool:
        return self.kind in (stat.S_IFREG, stat.S_IFDIR)

    def close(self) -> None:
        if self._engaged:
            self._close_channel()
        if self.owned:
            self.owned = False
            os.close(self.host_fd)

    def __del__(self) -> None:
        """A process that was dropped without `close` must not leave host descriptors open."""
        if self.owned or self._engaged:
            self.close()

    def _close_channel(self) -> None:
        for name in ("_waitable", "channel"):
            held = self.__dict__.pop(name, None)
            if held is not None:
                held.close()
