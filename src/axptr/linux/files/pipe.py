"""The buffers of pipes that programs make: how much they may hold counts against the run's memory. Source: pipe(7),
fcntl(2), fs/pipe.c.

The host holds what is in them, not we; but what a run may cost is bounded all the same.
"""

from __future__ import annotations

import errno

from ...errors import LinuxError
from ..fs.host.calls import host
from ..mem.limits import charge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..fs.host.file import HostFile
    from ..task.task import LinuxTask

PIPE_SIZE = 1 << 16
F_SETPIPE_SZ, F_GETPIPE_SZ = 1031, 1032
_MOST = 1 << 20
"""What pipe-max-size allows where it cannot be read."""


class PipeBuffer:
    """The buffer that two ends share; it is given back when both have been closed."""

    def __init__(self, task: LinuxTask, fd: int) -> None:
        import fcntl

        self._task = task
        self._ends = 2
        self.size = host(fcntl.fcntl, fd, F_GETPIPE_SZ)
        task.machine.pipe_bytes += self.size
        charge(task)

    def resized(self, size: int) -> None:
        self._task.machine.pipe_bytes += size - self.size
        self.size = size
        charge(self._task)

    def end_closed(self) -> None:
        self._ends -= 1
        if self._ends == 0:
            self.resized(0)


def resize_pipe(task: LinuxTask, file: HostFile, size: int) -> int:
    """F_SETPIPE_SZ. EPERM for more than the host lets those without a right of their own have; ENOMEM at our limit."""
    import fcntl

    if size > 1 << 31:
        raise LinuxError(errno.EINVAL)
    now = host(fcntl.fcntl, file.host_fd, F_GETPIPE_SZ)
    if size > max(now, _most()):
        raise LinuxError(errno.EPERM)
    if file.pipe is not None and size > now:
        charge(task, pipes=size - now)
    new = host(fcntl.fcntl, file.host_fd, F_SETPIPE_SZ, min(size, (1 << 31) - 1))
    if file.pipe is not None:
        file.pipe.resized(new)
    return new


def _most() -> int:
    try:
        with open("/proc/sys/fs/pipe-max-size", "rb") as file:
            return int(file.read())
    except (OSError, ValueError):
        return _MOST
