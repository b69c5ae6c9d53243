"""The ends of a program's standard streams that Python holds: `Inlet` to write to it, `Outlet` to read from it.

They are ends of pipes of the machine's own: no descriptor of the host is needed, and to the program they are pipes like
any other, which fill, tell of an end that was closed, and hold what a snapshot takes along. Bytes go over between turns
of the loop, never within a call of a program's.

Not here: buffers that other threads may use (`axptr.sandbox`).

Owner: the machine's thread. A snapshot has the pipe; who held these ends takes them anew.
"""

from __future__ import annotations

import os

from ..kernel.wait import EVERY, Watch
from .ends import sensible
from .files.pipe import PAGE, PipeFile, make_pipe
from .fs.openfile import BrokenPipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..kernel.run import RunLoop
    from .task.task import LinuxTask

PIPE, STDOUT, DEVNULL = -1, -2, -3
"""As a standard stream: a pipe whose other end is ours; where the standard output goes; nowhere. As `subprocess` has
them."""
_NOBODY: Any = None


class _End(Watch):
    """What both have. changed: called, by the machine's thread, when bytes went over or the other side was closed.
    eager: whether that is to happen at once, not only when the program's turn is over by itself."""

    doubtful = False
    """Whether its machine came from a file."""

    def __init__(self, loop: RunLoop, file: PipeFile) -> None:
        super().__init__(None)
        self._loop = loop
        self._file = file
        self._coming = False
        self.changed: Callable[[], object] | None = None
        self.eager = False
        self.closed = False
        file.queue.add(self, EVERY)

    def wake(self, events: int) -> bool:
        """Something has happened to the pipe, within some call: see to it between turns."""
        if not self._coming:
            self._coming = True
            (self._loop.post if self.eager else self._loop.later)(self._come)
        return False

    def _come(self) -> None:
        self._coming = False
        if not self.closed:
            self.move()
            if self.changed is not None:
                self.changed()

    def move(self) -> None:
        raise NotImplementedError

    def dissolve(self) -> None:
        """The machine is closed: nothing will come any more, and the pipe leads here no more."""
        self._file.queue.remove(self)

    def close(self) -> None:
        """Have our end of the pipe closed. Idempotent."""
        if not self.closed:
            self.closed = True
            self._file.queue.remove(self)
            self._file.close()


class Inlet(_End):
    """Where we write and the program reads. left: bytes that have not gone over yet."""

    def __init__(self, loop: RunLoop, file: PipeFile) -> None:
        super().__init__(loop, file)
        self._left = bytearray()
        self._last = False
        self.broken = False

    @property
    def left(self) -> int:
        return len(self._left)

    @sensible
    def feed(self, data: bytes | bytearray | memoryview, *, last: bool = False) -> None:
        """Have bytes go over as there is room. last: then close our end. What nobody will read any more is dropped, and
        `broken` says so."""
        self._left += data
        self._last = self._last or last
        if not self.closed:
            self.move()

    def move(self) -> None:
        try:
            while self._left and (room := self._file.pipe.room):
                count = min(len(self._left), room * PAGE)
                with memoryview(self._left)[:count] as piece:
                    done = self._file.write_host(_NOBODY, piece, None)
                del self._left[:done]
            if not self._file.pipe.readers and self._file.pipe.readers_seen:
                raise BrokenPipe
        except BrokenPipe:
            self._left.clear()
            self.broken = True
        if self._last and not self._left:
            self.close()


class Outlet(_End):
    """Where the program writes and we read. data: what has come over and nobody has taken yet. most: bytes of `data`
    beyond which nothing more comes over, so that the program waits."""

    def __init__(self, loop: RunLoop, file: PipeFile) -> None:
        super().__init__(loop, file)
        self.data = bytearray()
        self.most: int | None = None
        self._moved = 0
        self._dropped = False

    @property
    def total(self) -> int:
        """Bytes that the program has written in all."""
        return self._moved + self._file.pipe.count

    @property
    def ended(self) -> bool:
        """Whether nothing more can come: nobody has the other end any more. `data` may still hold some."""
        pipe = self._file.pipe
        return self.closed or (not pipe.writers and not pipe.slots)

    def move(self) -> None:
        pipe = self._file.pipe
        while pipe.slots and (self.most is None or len(self.data) < self.most):
            slot = pipe.slots[0]
            self.data += slot.data
            self._moved += len(slot)
            pipe.drop(len(slot))
        if self._dropped:
            self.data.clear()

    def drop(self) -> None:
        """Nobody will take what comes from now on: it is thrown away, and whoever writes it does not notice."""
        self._dropped = True
        self.most = None
        if not self.closed:
            self.move()
        self.data.clear()

    @sensible
    def take(self, count: int | None = None) -> bytes:
        """Bytes that have come, at most so many; none if there are none now."""
        if not self.closed:
            self.move()
        with memoryview(self.data)[:count] as view:
            taken = bytes(view)
        del self.data[: len(taken)]
        if not self.closed:
            self.move()
        return taken


def make_inlet(task: LinuxTask) -> tuple[PipeFile, Inlet]:
    """The program's end of a new pipe, and ours. ENFILE."""
    reader, writer = make_pipe(task, 0)
    assert task.loop is not None
    return reader, Inlet(task.loop, _not_waiting(writer))


def make_outlet(task: LinuxTask) -> tuple[PipeFile, Outlet]:
    reader, writer = make_pipe(task, 0)
    assert task.loop is not None
    return writer, Outlet(task.loop, _not_waiting(reader))


def _not_waiting(file: PipeFile) -> PipeFile:
    file.flags |= os.O_NONBLOCK
    return file


__all__ = ["DEVNULL", "PIPE", "STDOUT", "Inlet", "Outlet", "make_inlet", "make_outlet"]
