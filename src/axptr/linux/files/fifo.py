"""Opening a FIFO: each side waits for the other. Source: fifo(7), fs/pipe.c (`fifo_open`).

On the host the FIFO is opened without blocking, and we wait, looking again every few milliseconds: nothing tells when
the other side has come. A reader is there for writers at once, as on Linux. Not exact: a writer that waits here is no
writer yet for readers that do not wait, and one that opens and closes within those milliseconds is missed.
"""

from __future__ import annotations

import errno
import os

from ...errors import LinuxError
from ..calls.poll import POLLIN, ready
from ..fs.host.calls import ccall
from ..fs.openfile import O_NONBLOCK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..task.task import LinuxTask

_SPLICE_F_NONBLOCK = 2
_FIRST_PAUSE, _LONGEST_PAUSE = 0.0005, 0.01


def open_fifo(task: LinuxTask, open_host: Callable[[int], int], flags: int) -> int:
    """The host descriptor that `open_host(flags)` opens, once there is somebody on the other side.

    It does not block on the host, whatever the flags say. EINTR, `TimeUp`; ENXIO for a writer that does not wait.
    """
    wanted = flags | O_NONBLOCK
    mode = flags & os.O_ACCMODE
    if flags & O_NONBLOCK or mode == os.O_RDWR:
        return open_host(wanted)
    pause = _FIRST_PAUSE
    if mode == os.O_WRONLY:
        while True:
            try:
                return open_host(wanted)
            except LinuxError as error:
                if error.errno != errno.ENXIO:
                    raise
            task.pause(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
    fd = open_host(wanted)
    try:
        while not _has_had_writer(fd):
            task.pause(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _has_had_writer(fd: int) -> bool:
    """Whether a writer is there, or has been since the FIFO was opened for reading. Takes no byte from it.

    A hang-up tells of one that is gone; one that has not written yet is seen by tee(2), which has nothing to wait for
    without writers.
    """
    if ready(fd, POLLIN):
        return True
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        return ccall("tee", fd, writer, 1, _SPLICE_F_NONBLOCK) > 0
    except LinuxError as error:
        return error.errno == errno.EAGAIN
    finally:
        os.close(reader)
        os.close(writer)
