"""The personality's own /dev: null, zero, full, random, urandom, tty, the standard streams' names.

Device numbers are Linux' (mem(4), null(4), full(4), random(4)). Nothing of the host's /dev is shown, except /dev/tty,
which is the terminal the user sits at, and /dev/shm, on which an ordinary directory is mounted.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager

from ...errors import LinuxError
from ...flags import WRITE
from ..task import waiting
from ..uaccess import CHUNK
from .host.calls import host
from .host.tree import file_of
from .node import (
    DirNode,
    Node,
    Stat,
    TextLink,
)
from .openfile import MAX_OFFSET, OpenFile
from .ttynames import Pts, terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._core.phys.phys import PhysMemory
    from ..task.task import LinuxTask
    from ..uaccess import UserIter


class DeviceFile(OpenFile):
    """An open memory device. Seeking is allowed and does nothing (drivers/char/mem.c, null_lseek)."""

    seekable = True
    moves = False

    def __init__(self, node: DeviceNode, flags: int) -> None:
        super().__init__(flags)
        self._node = node

    def stat(self, task: LinuxTask) -> Stat | os.stat_result:
        return self._node.stat(task)

    def seek(self, offset: int, whence: int) -> int:
        return 0

    def node(self) -> Node | None:
        return self._node

    @contextmanager
    def end(self, mode: int, pos: int | None = None, count: int = 0) -> Iterator[int]:
        """The host's own device of this kind, for as long as it takes; EINVAL if it has none."""
        fd = self._node.open_twin(mode)
        try:
            yield fd
        finally:
            os.close(fd)


class NullFile(DeviceFile):
    """Reads are empty; writes take everything and look at nothing."""

    rwf = 0x3F

    def read(self, task: LinuxTask, to: UserIter, pos: int | None) -> int:
        return 0

    def write(self, task: LinuxTask, data: UserIter, pos: int | None) -> int:
        return data.count


class ZeroFile(NullFile):
    def read(self, task: LinuxTask, to: UserIter, pos: int | None) -> int:
        return fill(to, lambda n: b"\0" * n)

    def mapping(self, phys: PhysMemory, offset: int, *, shared: bool) -> None:
        """Zeroed memory."""


class FullFile(ZeroFile):
    def write(self, task: LinuxTask, data: UserIter, pos: int | None) -> int:
        raise LinuxError(errno.ENOSPC)

    def mapping(self, phys: PhysMemory, offset: int, *, shared: bool) -> None:
        raise LinuxError(errno.ENODEV)


class RandomFile(DeviceFile):
    """Reads are the host's random bytes; writes are read and thrown away."""

    rwf = 0x3F

    def read(self, task: LinuxTask, to: UserIter, pos: int | None) -> int:
        return fill(to, task.machine.host.random)

    def write(self, task: LinuxTask, data: UserIter, pos: int | None) -> int:
        done, buffer = 0, task.machine.bounce
        while data.count:
            want = min(data.count, CHUNK)
            copied = data.copy_in(buffer[:want])
            done += copied
            if copied < want:
                if not done:
                    raise data.fault(WRITE)
                break
            if data.count and waiting.must_stop(task, at_any_signal=True):
                break
        return done


def fill(to: UserIter, source: object) -> int:
    """Fill user memory with `source(n) -> bytes`, as far as it can be written; EFAULT if that is nowhere."""
    done = 0
    while to.count:
        n = min(to.count, CHUNK)
        copied = to.copy_out(source(n))  # type: ignore[operator]
        done += copied
        if copied < n:
            if not done:
                raise to.fault(WRITE)
            break
        if to.count and waiting.must_stop(to.provider, at_any_signal=True):
            break
    return done


class DeviceNode(Node):
    mode = stat.S_IFCHR | 0o666
    dev = 0x5
    immutable = errno.EROFS
    magic = 0x01021994

    def __init__(self, path: bytes, major: int, minor: int, kind: type[DeviceFile]) -> None:
        super().__init__(path)
        self._rdev = os.makedev(major, minor)
        self._kind = kind
        self.twin = path

    def stat(self, task: LinuxTask) -> os.stat_result | Stat:
        status = self.twin_stat(task)
        if status is not None and status.st_rdev == self._rdev:
            return status
        return Stat(self.mode, self.ino, self.dev, task.machine.host.realtime_ns(), rdev=self._rdev)

    def open(self, task: LinuxTask, flags: int) -> OpenFile:
        return self._kind(self, flags)

    def open_twin(self, mode: int) -> int:
        path = self.path
        if self._kind is RandomFile and mode != os.O_RDONLY:  # what is written there goes nowhere
            path = b"/dev/null"
        try:
            fd = os.open(path, mode | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            raise LinuxError(errno.EINVAL) from None
        if stat.S_ISCHR(os.fstat(fd).st_mode) and os.major(os.fstat(fd).st_rdev) == os.major(self._rdev):
            return fd
        os.close(fd)
        raise LinuxError(errno.EINVAL)


class TtyNode(Node):
    """/dev/tty: the host's own, if there is a terminal (ENXIO if not)."""

    mode = stat.S_IFCHR | 0o666
    dev = 0x5
    immutable = errno.EROFS
    magic = 0x01021994

    twin = b"/dev/tty"

    def stat(self, task: LinuxTask) -> os.stat_result | Stat:
        return self.twin_stat(task) or Stat(
            self.mode, self.ino, self.dev, task.machine.host.realtime_ns(), rdev=os.makedev(5, 0)
        )

    def open(self, task: LinuxTask, flags: int) -> OpenFile:
        if task.group.tty is None:
            raise LinuxError(errno.ENXIO)
        if task.machine.ptys:
            from .ptsnodes import open_controlling

            own = open_controlling(task, flags)
            if own is not None:
                return own
        keep = os.O_ACCMODE | os.O_NONBLOCK
        fd = host(os.open, b"/dev/tty", flags & keep | os.O_NOCTTY | os.O_CLOEXEC)
        return file_of(fd, flags)


class Dev(DirNode):
    """The directory /dev."""

    mode = stat.S_IFDIR | 0o755
    dev = 0x5
    immutable = errno.EROFS
    magic = 0x01021994
    max_offset = MAX_OFFSET

    def __init__(self) -> None:
        super().__init__(b"/dev")
        self.twin = b"/dev"
        self._nodes: dict[bytes, Node] = {
            b"null": DeviceNode(b"/dev/null", 1, 3, NullFile),
            b"zero": DeviceNode(b"/dev/zero", 1, 5, ZeroFile),
            b"full": DeviceNode(b"/dev/full", 1, 7, FullFile),
            b"random": DeviceNode(b"/dev/random", 1, 8, RandomFile),
            b"urandom": DeviceNode(b"/dev/urandom", 1, 9, RandomFile),
            b"tty": TtyNode(b"/dev/tty"),
            b"pts": Pts(b"/dev/pts"),
            b"fd": TextLink(b"/dev/fd", b"/proc/self/fd"),
            b"stdin": TextLink(b"/dev/stdin", b"/proc/self/fd/0"),
            b"stdout": TextLink(b"/dev/stdout", b"/proc/self/fd/1"),
            b"stderr": TextLink(b"/dev/stderr", b"/proc/self/fd/2"),
        }

    def lookup(self, task: LinuxTask, name: bytes) -> Node | None:
        node = self._nodes.get(name)
        if name == b"ptmx":
            from .ptsnodes import PtmxNode  # which few programs open

            return PtmxNode(b"/dev/ptmx")
        return terminal(task, b"/dev/" + name) if node is None else node

    def names(self, task: LinuxTask) -> list[bytes]:
        return [*self._nodes, b"ptmx"]
