"""Bytes from files into pipes of the machine's own, out of them, and from one to another. Source: fs/splice.c of 6.18.

Each function moves what can be moved now, and says how much: EAGAIN where the caller may have to wait. A page that goes
from pipe to pipe stays one; what comes of a file is cut where its pages are.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager

from ..._core.host import hostcalls
from ...errors import LinuxError
from ..fs.host.calls import host
from ..fs.openfile import BrokenPipe, OpenFile
from .pipe import PAGE, PIPE_SIZE, Pipe, Slot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..task.task import LinuxTask

_NONBLOCK = 2


def _require_reader(pipe: Pipe) -> None:
    if not pipe.readers:
        raise BrokenPipe


def _require_room(pipe: Pipe) -> None:
    """EPIPE without a reader, EAGAIN where it is full (wait_for_space)."""
    _require_reader(pipe)
    if pipe.full:
        raise LinuxError(errno.EAGAIN)


def _require_bytes(pipe: Pipe) -> bool:
    """Whether there is something; EAGAIN where there may come something."""
    if pipe.slots:
        return True
    if pipe.writers:
        raise LinuxError(errno.EAGAIN)
    return False


def _takes_bytes(file: OpenFile, verb: str, plain: str) -> bool:
    """Whether a file reads or writes memory of the machine's own by itself."""
    kind = type(file)
    return getattr(kind, verb) is not getattr(OpenFile, verb) or getattr(kind, plain) is not getattr(OpenFile, plain)


def _read(task: LinuxTask, source: OpenFile, view: memoryview, pos: int | None) -> int:
    if source.kind == stat.S_IFDIR or (pos is not None and pos < 0):
        raise LinuxError(errno.EINVAL)
    if _takes_bytes(source, "read_host", "read_bytes"):
        return source.read_host(task, view, pos)
    source.before_host(task)
    with source.end(os.O_RDONLY, pos, len(view)) as fd, _host_pipe() as (near, far):
        count = host(os.splice, fd, far, len(view), pos, None, _NONBLOCK)
        return host(os.readv, near, [view]) if count else 0


def _write(task: LinuxTask, goal: OpenFile, data: bytes | memoryview, pos: int | None) -> int:
    if goal.kind == stat.S_IFDIR:
        raise LinuxError(errno.EINVAL)
    if _takes_bytes(goal, "write_host", "write_bytes"):
        return goal.write_host(task, memoryview(data), pos)
    goal.before_host(task)
    with goal.end(os.O_WRONLY, pos, len(data)) as fd, _host_pipe() as (near, far):
        return host(os.splice, near, fd, host(os.write, far, data), None, pos, _NONBLOCK)


@contextmanager
def _host_pipe() -> Iterator[tuple[int, int]]:
    """An empty pipe of the host's: what is spliced by it is as the host has it."""
    near, far = host(os.pipe2, os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        yield near, far
    finally:
        os.close(near)
        os.close(far)


def into_pipe(task: LinuxTask, source: OpenFile, pos: int | None, pipe: Pipe, count: int) -> int:
    """From a file at `pos`, or where it stands."""
    _require_room(pipe)
    at = pos
    if at is None and source.seekable and source.regular:
        at = source.seek(0, os.SEEK_CUR)
    first = at % PAGE if at is not None and source.regular else 0
    want = min(count, pipe.room * PAGE - first)
    if not _takes_bytes(source, "read_host", "read_bytes"):
        want = min(want, PIPE_SIZE)
    view = memoryview(bytearray(want))
    done = _read(task, source, view, pos)
    cut, start = 0, first
    while cut < done:
        n = min(PAGE - start, done - cut)
        pipe.put([Slot(view[cut : cut + n], start)])
        cut, start = cut + n, 0
    return done


def out_of_pipe(task: LinuxTask, pipe: Pipe, goal: OpenFile, pos: int | None, count: int) -> int:
    """To a file at `pos`, or where it stands: as much as there is and it takes."""
    if pos is not None and pos < 0:
        raise LinuxError(errno.EINVAL)
    if not _require_bytes(pipe):
        return 0
    done = 0
    try:
        while pipe.slots and done < count:
            data = pipe.slots[0].data[: count - done]
            n = _write(task, goal, data, None if pos is None else pos + done)
            if n:
                pipe.slots[0].packet = False
                pipe.drop(n)
            done += n
            if n < len(data):
                break
    except LinuxError:
        if not done:
            raise
    return done


def between(source: Pipe, goal: Pipe, count: int) -> int:
    """From one pipe to another; nothing is copied."""
    if source is goal:
        raise LinuxError(errno.EINVAL)
    if not _require_bytes(source):
        return 0
    _require_room(goal)
    done = 0
    while source.slots and done < count and not goal.full:
        slot = source.slots[0]
        n = min(len(slot), count - done)
        if n == len(slot):
            goal.put([Slot(slot.data, slot.start, open=slot.open, packet=slot.packet)])
        else:
            goal.put([slot.part(n)])
            slot.packet = False
        source.drop(n)
        done += n
    return done


def tee(source: OpenFile, goal: OpenFile, count: int) -> int:
    """The same bytes in both pipes: what is in the first stays there."""
    if source.pipe is not None and source.pipe is goal.pipe:
        raise LinuxError(errno.EINVAL)
    if source.pipe is None:
        return _tee_of_host(source, goal, count)
    if goal.pipe is not None:
        _require_reader(goal.pipe)
    if not _require_bytes(source.pipe):
        return 0
    parts, left = [], count
    for slot in source.pipe.slots:
        if left:
            parts.append(slot.part(min(left, len(slot))))
            left -= len(parts[-1])
    if goal.pipe is not None:
        _require_room(goal.pipe)
        return goal.pipe.put(parts)
    with goal.end(os.O_WRONLY) as writer:
        return host(os.write, writer, b"".join(slot.data for slot in parts))


def _tee_of_host(source: OpenFile, goal: OpenFile, count: int) -> int:
    """From a pipe of the host's to one of ours, by way of another of the host's."""
    pipe = goal.pipe
    assert pipe is not None
    _require_room(pipe)
    with _host_pipe() as (near, far), source.end(os.O_RDONLY) as reader:
        n = hostcalls.tee(reader, far, min(count, pipe.room * PAGE, PIPE_SIZE), _NONBLOCK)
        data = memoryview(os.read(near, n) if n else b"")
    return pipe.put(Slot(data[at : at + PAGE]) for at in range(0, len(data), PAGE))
