"""Opening a FIFO: each side waits for the other. Source: fifo(7), fs/pipe.c (`fifo_open`).

One of a tree in memory is a pipe of the machine's own (`open_named`). One of the host's is the host's, which other
programs may have open, too: it is opened without blocking, and the call waits, looking again every few milliseconds:
nothing tells when the other side has come. A reader is there for writers at once, as on Linux. Not exact: a writer that
waits here is no writer yet for readers that do not wait, and one that opens and closes within those milliseconds is
missed.
"""

from __future__ import annotations

import errno
import os

from ..._core.host import hostcalls
from ...errors import LinuxError
from ..fs.host.calls import host
from ..fs.host.fd import Owned, by_descriptor
from ..fs.openfile import O_DIRECT, O_NONBLOCK, OpenWaits
from .pipe import PipeFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..fs.host.file import HostFile
    from ..fs.host.tree import HostNode
    from ..fs.node import Node
    from ..fs.openfile import OpenFile
    from ..task.task import LinuxTask
    from .pipe import Partners, Pipe

_POLLIN, _SPLICE_F_NONBLOCK = 1, 2
_FIRST_PAUSE, _LONGEST_PAUSE = 0.0005, 0.01


class Opening:
    """A FIFO that is being opened. partners: what tells of somebody on the other side, None where nothing does."""

    partners: Partners | None = None

    def attempt(self) -> OpenFile | None:
        """The open file, once there is somebody on the other side."""
        raise NotImplementedError

    def close(self) -> None:
        """It is not to be opened any more."""


class NamedOpening(Opening):
    """One of the machine's own, which is open already and waits. seen: who had been at the other end before."""

    def __init__(self, file: PipeFile) -> None:
        self.file = file
        self.partners = file.pipe.partners
        self._seen = self._others

    @property
    def _others(self) -> int:
        pipe = self.file.pipe
        return pipe.writers_seen if self.file.readable else pipe.readers_seen

    def attempt(self) -> PipeFile | None:
        return self.file if self._others != self._seen else None

    def close(self) -> None:
        self.file.close()


def open_named(task: LinuxTask, pipe: Pipe, node: Node, flags: int) -> PipeFile:
    """Open a FIFO whose bytes are in `pipe`. ENXIO for a writer that does not wait; `OpenWaits`."""
    if flags & O_DIRECT:
        raise LinuxError(errno.EINVAL)
    mode, waits = flags & os.O_ACCMODE, not flags & O_NONBLOCK
    if mode == os.O_WRONLY and not waits and not pipe.readers:
        raise LinuxError(errno.ENXIO)
    alone = not (pipe.writers if mode == os.O_RDONLY else pipe.readers) and mode != os.O_RDWR
    file = PipeFile(pipe, node, flags, pipe.writers_seen if alone and not waits else 0)
    if alone and waits:
        raise OpenWaits(NamedOpening(file))
    return file


class FifoOpening(Owned, Opening):
    """A FIFO of the host's that is being opened. fd: a reader's end, which is there for writers; -1 for none.

    The descriptor does not block on the host, whatever the flags say.
    """

    def __init__(self, node: HostNode, flags: int, host_flags: int, home: bool) -> None:
        """flags: the program's. host_flags: what is left of them for the host."""
        self._node = node
        self._flags = flags
        self._host_flags = host_flags | O_NONBLOCK
        self._home = home
        self.fd = -1

    def attempt(self) -> HostFile | None:
        """The open file, once there is somebody on the other side. ENXIO for a writer that does not wait."""
        mode = self._flags & os.O_ACCMODE
        waits = not self._flags & O_NONBLOCK and mode != os.O_RDWR
        if self.fd < 0:
            try:
                self.fd = self._open()
            except LinuxError as error:
                if error.errno == errno.ENXIO and waits:
                    return None
                raise
        if waits and mode == os.O_RDONLY and not _has_had_writer(self.fd):
            return None
        fd, self.fd = self.fd, -1
        return self._file(fd)

    def _open(self) -> int:
        return host(os.open, by_descriptor(self._node.fd), self._host_flags)

    def _file(self, fd: int) -> HostFile:
        return self._node.opened(fd, self._flags, self._home)

    def opened(self) -> HostFile:
        """`attempt`, which the caller cannot wait for: `OpenWaits`."""
        file = self.attempt()
        if file is None:
            raise OpenWaits(self)
        return file


def open_later(task: LinuxTask, opening: Opening, cloexec: bool, pause: float = _FIRST_PAUSE) -> int | None:
    """The descriptor of a FIFO, once it is opened."""
    file = opening.attempt()
    if file is not None:
        return task.files.add(file, cloexec=cloexec)
    if opening.partners is not None:
        on = [(opening.partners, 1)]
        return task.block(on=on, again=(open_later, (opening, cloexec, pause)), interrupted=_give_up)
    again = open_later, (opening, cloexec, min(2 * pause, _LONGEST_PAUSE))
    return task.block(until=task.machine.host.monotonic() + pause, again=again, interrupted=_give_up)


def _give_up(task: LinuxTask, opening: Opening, cloexec: bool, pause: float) -> None:
    opening.close()


def _has_had_writer(fd: int) -> bool:
    """Whether a writer is there, or has been since the FIFO was opened for reading. Takes no byte from it.

    A hang-up tells of one that is gone; one that has not written yet is seen by tee(2), which has nothing to wait for
    without writers.
    """
    if hostcalls.poll_now(fd, _POLLIN):
        return True
    reader, writer = os.pipe2(os.O_CLOEXEC)
    try:
        return hostcalls.tee(fd, writer, 1, _SPLICE_F_NONBLOCK) > 0
    except LinuxError as error:
        return error.errno == errno.EAGAIN
    finally:
        os.close(reader)
        os.close(writer)
