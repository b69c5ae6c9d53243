"""Open files: what a descriptor refers to.

`OpenFile` is Linux' struct file: flags, a position, the operations. Descriptors made by dup share one. The base
class refuses every operation with the errno Linux gives for a file without it; `HostFile` (`fs.host.file`), directories
(`fs.nodedir`), /proc (`proc`) and the devices (`fs.dev`) override what they can do. Calls ask a file by these methods
and never what class it is of. The table of descriptors is `task.filetable`.
"""

from __future__ import annotations

import errno
import os
import stat

from ..._core.kernel.fields import learn_file
from ...errors import LinuxError
from ...kernel.wait import WaitQueue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import Protocol

    from ..._core.mm.frames import Backend
    from ..._core.phys.phys import PhysMemory
    from ...kernel.wait import Waitable
    from ..files.fifo import Opening
    from ..files.locks import Hold, LockTable, Range
    from ..files.pipe import Pipe
    from ..files.sigio import Notice
    from ..task.task import LinuxTask
    from ..uaccess import UserIter
    from .node import AnyStat, Node

    class Watcher(Protocol):
        """Who is to hear that a file is closed."""

        def forget(self) -> None: ...


O_ACCMODE = 3
O_PATH, O_NONBLOCK, O_APPEND, O_DIRECT = os.O_PATH, os.O_NONBLOCK, os.O_APPEND, os.O_DIRECT
_FALLOCATE_MODES = (0, 1, 16, 17, 64, 65, 3, 8, 32, 128)
"""KEEP_SIZE may stand beside allocate, ZERO_RANGE and UNSHARE_RANGE, must beside PUNCH_HOLE, and nowhere else;
WRITE_ZEROES, the last, came with Linux 6.17."""


_FIEMAP = 0xC020660B
MAX_OFFSET = (1 << 63) - 1
"""The largest offset that a file can have (loff_t)."""


def sought(offset: int, start: int, most: int = MAX_OFFSET) -> int:
    """The position `offset` bytes from `start`; EINVAL if it is negative or beyond `most`."""
    target = start + offset
    if not 0 <= target <= most:
        raise LinuxError(errno.EINVAL)
    return target


class WouldBlock(LinuxError):
    """A transfer that the program wants to wait for: EAGAIN to who does not. done: bytes that went before; rest: the
    user memory, (address, size) each, that is left. on: what is to be waited for instead of the file itself. until:
    when to look again at the latest, by the monotonic clock."""

    on: Waitable | None = None

    def __init__(self, done: int, rest: tuple[tuple[int, int], ...]) -> None:
        super().__init__(errno.EAGAIN)
        self.done = done
        self.rest = rest
        self.until: float | None = None


class OpenWaits(Exception):
    """Raised where a FIFO is opened that has nobody on the other side: the call goes on with `opening`."""

    def __init__(self, opening: Opening) -> None:
        super().__init__()
        self.opening = opening


class BrokenPipe(LinuxError):
    """EPIPE: nobody will read what is written. done: bytes that went before. The call sends SIGPIPE."""

    def __init__(self, done: int = 0) -> None:
        super().__init__(errno.EPIPE)
        self.done = done


class OpenFile:
    """One open file description.

    flags: as given to open (access mode, O_APPEND, O_NONBLOCK, ...).
    owner, owner_uids, signal, write_hint: what F_SETOWN, F_SETSIG and F_SET_RW_HINT said, and who said the first.
    refs: descriptors that refer to it, and calls that wait with it in hand; it is closed when there are none left.
    watchers: the entries of epolls that tell of it; they go when it is closed.
    host_fd: the host descriptor behind it, None where there is none.
    kind: the type bits of its mode where calls ask for it: pipe, directory, regular file; 0 for what is none of them.
    moves: whether transfers move a position (those of devices do not).
    fresh: whether the open that this is made the file.
    """

    host_fd: int | None = None
    seekable = False
    kind = 0
    moves = True
    fresh = False
    always_ready = 0x145
    """What poll says of a file of which nothing comes of itself: POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM."""
    pipe: Pipe | None = None
    """The machine's own pipe of which this is an end."""
    swallows = False
    """Whether it takes all that is written to it, and looks at nothing."""
    in_memory = False
    """Whether its bytes are the machine's own: `read_bytes` and `write_bytes` are all that a transfer does to it."""
    beneath: OpenFile | None = None
    """The open file that reads go to, of one through which another is seen."""
    rwf = 0
    """RWF_* flags that change nothing about a transfer of this file."""
    asynchronous = False
    """Whether O_ASYNC can be set: what comes from elsewhere, pipes and terminals, tells of it by a signal."""
    urgent = False
    """Whether some of what comes is out of the others' turn, which is told by a signal of its own."""
    notice: Notice | None = None
    """Who hears of its events by signals, once anybody is to."""
    counted = True
    """Whether it is one of those that a program is busy for that have it open for writing (FMODE_WRITER)."""
    overlaid: Node | None = None
    """The node of a tree over another that it is open for, where what is below may tell of it."""

    __slots__ = ("__dict__", "__weakref__", "flags", "refs", "watchers")

    owner = (0, 0)  # F_OWNER_TID, nobody
    owner_uids = (0, 0)
    signal = 0
    write_hint = 0

    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.refs = 0
        self.watchers: list[Watcher] = []

    def hold(self) -> None:
        """One more refers to it."""
        self.refs += 1

    def release(self, locks: LockTable) -> None:
        """One that referred to it does so no more. After the last one it is closed, and what it held is free."""
        self.refs -= 1
        if self.refs:
            return
        while self.watchers:
            self.watchers.pop().forget()
        locks.gone(self)
        self.close()

    @property
    def large(self) -> int:
        """O_LARGEFILE, which open gives to every file, or 0 for what was not opened so."""
        return 0o100000

    @property
    def created(self) -> bool:
        """Whether the open that this is made the file."""
        return False

    @property
    def regular(self) -> bool:
        return self.kind == stat.S_IFREG

    @property
    def is_pipe(self) -> bool:
        return self.kind == stat.S_IFIFO

    @property
    def identity(self) -> tuple[int, int]:
        """Which file this is, by the device and number of its node."""
        node = self.node()
        return node.identity if node is not None else (-1, id(self))

    @property
    def readable(self) -> bool:
        return self.flags & O_ACCMODE in (os.O_RDONLY, os.O_RDWR) and not self.flags & O_PATH

    @property
    def writable(self) -> bool:
        return self.flags & O_ACCMODE in (os.O_WRONLY, os.O_RDWR) and not self.flags & O_PATH

    @property
    def blocks(self) -> bool:
        """Whether transfers may have to wait, and the program wants that: they raise `WouldBlock` then."""
        return self.may_wait and not self.flags & O_NONBLOCK

    @property
    def poll_fd(self) -> int | None:
        """The host's descriptor that knows what is ready; None where `ready` says it."""
        return None

    def ready(self, mask: int) -> int:
        """Which of poll's events of `mask` are there. What has nothing to wait for is always ready to be read and
        written.
        """
        return mask & self.always_ready

    def ready_to(self, task: LinuxTask, mask: int) -> int:
        """The same, where it matters who asks."""
        return self.ready(mask)

    @property
    def queue(self) -> WaitQueue:
        """Who waits for the file to be ready. Of one that is always so nobody does."""
        return WaitQueue()

    def info(self) -> bytes:
        """What /proc/PID/fdinfo tells of it besides what it tells of every file."""
        return b""

    @property
    def position(self) -> int:
        """Where the next transfer begins; 0 of what has no position."""
        try:
            return self.seek(0, os.SEEK_CUR)
        except LinuxError:
            return 0

    def default_owner(self, task: LinuxTask) -> tuple[int, int] | None:
        """Who is to be signalled (F_SETOWN) where nobody said it; None for nobody."""
        return None

    def deadline(self, task: LinuxTask, event: int) -> float | None:
        """When a transfer that begins now is to wait no longer for POLLIN or POLLOUT; None for never."""
        return None

    @property
    def pollable(self) -> bool:
        """Whether it is ever not ready: epoll takes nothing else (file_can_poll)."""
        return type(self).queue is not OpenFile.queue

    def read(self, task: LinuxTask, to: UserIter, pos: int | None) -> int:
        """Read to user memory, at the file's own position (moving it) or at `pos`; bytes done, 0 at the end."""
        raise LinuxError(errno.EINVAL)

    def read_on(self, task: LinuxTask, to: UserIter, done: int) -> int:
        """The same once more, for a call that has got `done` bytes and wants more."""
        return self.read(task, to, None)

    def job_control(self, task: LinuxTask, *, write: bool) -> None:
        """Before a call transfers: a terminal stops those who are in its background."""

    def partial(self, task: LinuxTask, rest: tuple[tuple[int, int], ...]) -> int | None:
        """A signal ends a read that waits: how much there is all the same; None for what gives nothing then."""
        return None

    def write(self, task: LinuxTask, data: UserIter, pos: int | None) -> int:
        """Write from user memory; bytes done."""
        raise LinuxError(errno.EINVAL)

    def under_rwf(self, task: LinuxTask, flags: int) -> AbstractContextManager[None]:
        """One transfer is made inside with RWF_* flags of preadv2(2); EOPNOTSUPP for one that the file has not."""
        from contextlib import nullcontext

        if flags & ~self.rwf:
            raise LinuxError(errno.EOPNOTSUPP)
        return nullcontext()

    def seek(self, offset: int, whence: int) -> int:
        raise LinuxError(errno.ESPIPE)

    def stat(self, task: LinuxTask) -> AnyStat:
        raise LinuxError(errno.EBADF)

    def getdents(self, task: LinuxTask, to: UserIter) -> int:
        """Directory entries (struct linux_dirent64) to user memory; bytes done, 0 at the end."""
        raise LinuxError(errno.ENOTDIR)

    def ioctl(self, task: LinuxTask, command: int, argument: int) -> int | None:
        raise LinuxError(errno.EOPNOTSUPP if command == _FIEMAP else errno.ENOTTY)

    def require_change(self, task: LinuxTask) -> None:
        """EROFS unless the length of what this is may be changed, where it is now; beside `writable`.

        Attributes are another matter: those of `node().changeable`.
        """

    def name_removed(self, identity: tuple[int, int]) -> None:
        """The guest removed a name of the host's file `identity`, which has others."""

    def truncate(self, task: LinuxTask, size: int) -> None:
        raise LinuxError(errno.EINVAL)

    def size_room(self, task: LinuxTask, pos: int | None, count: int) -> int:
        """How much of `count` bytes may be written at `pos`, or at the file's own position (RLIMIT_FSIZE)."""
        return count

    def fallocate(self, task: LinuxTask, mode: int, offset: int, size: int) -> None:
        if offset < 0 or size <= 0:
            raise LinuxError(errno.EINVAL)
        if mode not in _FALLOCATE_MODES:
            raise LinuxError(errno.EOPNOTSUPP)
        if not self.writable:
            raise LinuxError(errno.EBADF)
        raise LinuxError(errno.ENODEV)

    def fsync(self) -> None:
        raise LinuxError(errno.EINVAL)

    def fadvise(self, size: int, advice: int) -> None:
        """Nothing is done by any advice; EINVAL for one that there is not, ESPIPE for what has no offsets."""
        if size < 0 or not 0 <= advice <= 5:
            raise LinuxError(errno.EINVAL)

    def set_flags(self, flags: int) -> None:
        """Take over what F_SETFL set. O_DIRECT is refused where there is nothing to go round."""
        if flags & O_DIRECT:
            raise LinuxError(errno.EINVAL)
        self.flags = flags

    def leases(self) -> bool:
        """Whether leases can be asked for, which are then refused."""
        return False

    def pipe_size(self, task: LinuxTask, size: int | None) -> int:
        """The bytes that a pipe holds, after they were set. EBADF for what is none."""
        raise LinuxError(errno.EBADF)

    # -- as an end of splice, sendfile, copy_file_range, FICLONE

    def end(self, mode: int, pos: int | None = None, count: int = 0) -> AbstractContextManager[int]:
        """A host descriptor by which the host makes a transfer of at most `count` bytes, at `pos` or at the file's own
        position, which it moves. EINVAL for what has none."""
        raise LinuxError(errno.EINVAL)

    @property
    def may_wait(self) -> bool:
        """Whether transfers wait if what is behind it is not ready, or would if the program wanted that."""
        return False

    def require_ready(self, event: int) -> None:
        """EAGAIN for what waits and is not ready, before a transfer that the host makes."""

    def write_host(self, task: LinuxTask, data: memoryview, pos: int | None) -> int:
        """Write from the machine's own memory, as much as there is room for now."""
        return self.write_bytes(data, pos)

    def read_host(self, task: LinuxTask, view: memoryview, pos: int | None) -> int:
        """Read into the machine's own memory, as much as there is now; EAGAIN for nothing yet."""
        return self.read_bytes(view, pos)

    def show(self, task: LinuxTask, view: memoryview, pos: int) -> int:
        """`read_host`, for whoever looks at the machine's files from outside: of what has no bytes for splice, too."""
        return self.read_host(task, view, pos)

    def before_host(self, task: LinuxTask) -> None:
        """The host is to read the file itself: it gets what mappings wrote."""

    def after_host(self, task: LinuxTask) -> None:
        """The host wrote to the file: mappings show it."""

    # -- mappings

    def mapping(self, phys: PhysMemory, offset: int, *, shared: bool) -> Backend | None:
        """What backs a mapping of the file from `offset` on; None: zeroed memory (/dev/zero).

        A shared one is sealed if the file is not open for writing. ENODEV if it cannot be mapped.
        """
        raise LinuxError(errno.ENODEV)

    def require_shared_writes(self) -> None:
        """EPERM unless a shared mapping may be written to (seals)."""

    def seals(self, task: LinuxTask, more: int | None = None) -> int:
        """The seals, after `more` were added. EINVAL for what is no file in memory."""
        raise LinuxError(errno.EINVAL)

    def require_range(self, end: int) -> None:
        """EOVERFLOW for a mapping that ends further than the file can reach, which its file system knows."""
        if end >= 1 << 64:
            raise LinuxError(errno.EOVERFLOW)

    def no_exec(self) -> bool:
        """Whether nothing in this file's mount, or its file system, may be executed."""
        node = self.node()
        return node is not None and node.mount is not None and node.mount.noexec

    # -- as the kernel itself uses it

    def read_bytes(self, view: memoryview, pos: int | None) -> int:
        """Read into memory of the machine's own, of a file that never waits; bytes done. EINVAL for others."""
        raise LinuxError(errno.EINVAL)

    def write_bytes(self, data: memoryview, pos: int | None) -> int:
        """Write from memory of the machine's own, to a file that never waits; bytes done. EINVAL for others."""
        raise LinuxError(errno.EINVAL)

    def peek(self, size: int, offset: int) -> bytes:
        """As many of `size` bytes at `offset` as the file has, for the kernel itself (a program's headers)."""
        raise LinuxError(errno.EINVAL)

    # -- locks

    def host_locks(self, task: LinuxTask) -> Hold | None:
        """How the host comes to hold the locks of this file; None where it is not to hold any."""
        return None

    def foreign_lock(self, task: LinuxTask, wanted: Range) -> tuple[Range, int] | None:
        """Another program's record or OFD lock that forbids this one, and its holder."""
        return None

    def node(self) -> Node | None:
        """The node that this is, None if it is none: paths relative to it and calls by descriptor go to that."""
        return None

    def lock_key(self) -> tuple[int, int]:
        """What file this is, for locks: device and inode, or numbers of our own for what has none."""
        return self.identity

    def name(self) -> bytes:
        """What /proc/self/fd/N points at."""
        node = self.node()
        return node.where() if node is not None else b"anon_inode:[file]"

    def close(self) -> None:
        """Called once, when no descriptor is left."""


class PathFile(OpenFile):
    """What O_PATH opens of a file of our own: a place, not a file."""

    def __init__(self, node: Node, flags: int) -> None:
        super().__init__(flags | O_PATH)
        self._node = node

    def stat(self, task: LinuxTask) -> AnyStat:
        return self._node.stat(task)

    def node(self) -> Node | None:
        return self._node


learn_file(OpenFile)
