"""The open files of /dev: null, zero, full and random. Source: mem(4), null(4), full(4), random(4); drivers/char.

Not here: their names and numbers (`dev`), and the terminal, which is the host's.
"""

from __future__ import annotations

import errno
import os
import stat

from ...errors import LinuxError
from ...flags import WRITE
from ..task import waiting
from ..task.creds import CAP_SYS_ADMIN
from ..uaccess import CHUNK, get_bytes, put_user
from .openfile import OpenFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from ..._core.phys.phys import PhysMemory
    from ..task.task import LinuxTask
    from ..uaccess import UserIter
    from .node import AnyStat, Node


class DeviceFile(OpenFile):
    """An open memory device. Seeking is allowed and does nothing (drivers/char/mem.c, null_lseek)."""

    seekable = True
    moves = False
    twin = b"/dev/null"
    """What the host calls such a device."""

    def __init__(self, node: Node, flags: int) -> None:
        super().__init__(flags)
        self._node = node

    def stat(self, task: LinuxTask) -> AnyStat:
        return self._node.stat(task)

    def seek(self, offset: int, whence: int) -> int:
        return 0

    def node(self) -> Node | None:
        return self._node

    def end(self, mode: int, pos: int | None = None, count: int = 0) -> AbstractContextManager[int]:
        """The host's own device of this kind, for as long as it takes; EINVAL if it has none."""
        from contextlib import contextmanager  # which few runs need

        return contextmanager(self._end)(mode)

    def _end(self, mode: int) -> Iterator[int]:
        path = self.twin
        if path == b"/dev/urandom" and mode != os.O_RDONLY:  # what is written there goes nowhere
            path = b"/dev/null"
        try:
            fd = os.open(path, mode | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            raise LinuxError(errno.EINVAL) from None
        try:
            status = os.fstat(fd)
            if not stat.S_ISCHR(status.st_mode) or os.major(status.st_rdev) != 1:
                raise LinuxError(errno.EINVAL)
            yield fd
        finally:
            os.close(fd)


class NullFile(DeviceFile):
    """Reads are empty; writes take everything and look at nothing."""

    swallows = True
    rwf = 0x3F

    def read(self, task: LinuxTask, to: UserIter, pos: int | None) -> int:
        return 0

    def write(self, task: LinuxTask, data: UserIter, pos: int | None) -> int:
        return data.count


class ZeroFile(NullFile):
    twin = b"/dev/zero"

    def read(self, task: LinuxTask, to: UserIter, pos: int | None) -> int:
        return fill(to, lambda n: b"\0" * n)

    def mapping(self, phys: PhysMemory, offset: int, *, shared: bool) -> None:
        """Zeroed memory."""


class FullFile(ZeroFile):
    swallows = False
    twin = b"/dev/full"

    def write(self, task: LinuxTask, data: UserIter, pos: int | None) -> int:
        raise LinuxError(errno.ENOSPC)

    def mapping(self, phys: PhysMemory, offset: int, *, shared: bool) -> None:
        raise LinuxError(errno.ENODEV)


_GET_ENTROPY = 0x80045200
_OF_ENTROPY = {0x40045201: 4, 0x40085203: 8, 0x5204: 0, 0x5206: 0, 0x5207: 0}
"""Commands that change how much there is, and the size of what they read."""


class RandomFile(DeviceFile):
    """Reads are the host's random bytes; writes are read and thrown away."""

    rwf = 0x3F
    twin = b"/dev/urandom"

    def ioctl(self, task: LinuxTask, command: int, argument: int) -> int | None:
        """How much entropy there is, which is enough; who may add to it or have it gathered anew changes nothing
        (random_ioctl)."""
        if command == _GET_ENTROPY:
            put_user(task, argument, (256).to_bytes(4, "little"))
        elif command not in _OF_ENTROPY:
            raise LinuxError(errno.EINVAL)
        elif not task.creds.has(CAP_SYS_ADMIN):
            raise LinuxError(errno.EPERM)
        elif _OF_ENTROPY[command]:
            get_bytes(task, argument, _OF_ENTROPY[command])
        return 0

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


KINDS = {"null": NullFile, "zero": ZeroFile, "full": FullFile, "random": RandomFile}
"""By what `DeviceNode` calls them."""
