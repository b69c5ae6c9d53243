"""From file to file without user memory: sendfile, copy_file_range, splice, tee, and vmsplice. Source: their man pages,
fs/splice.c and fs/read_write.c of Linux 6.18.

What is checked before a file is asked is checked here. Where a pipe of the machine's own is an end, `files.splicing`
does the rest, and copies: what is in a pipe does not change with the file that it came from. Else it is the host's own
call on the host's descriptors, in pieces, so that its answer is the answer. Our memory devices are stood in for by the
host's; what else is ours (/proc) cannot splice (EINVAL), which is what programs expect to happen and fall back from.
"""

from __future__ import annotations

import errno
import os
import stat

from ..._core.host import hostcalls
from ...errors import LinuxError
from ...flags import READ, WRITE
from ...kernel.abi import c_int, c_size_t, c_uint, c_ulong
from ..files import splicing
from ..files.pipe import PAGE, Slot
from ..fs import notify
from ..fs.host.calls import host
from ..fs.host.file import POLLIN, POLLOUT
from ..fs.openfile import O_APPEND, O_NONBLOCK, OpenFile, WouldBlock
from ..fs.permissions import bytes_written
from ..registry import call
from ..task import waiting
from ..uaccess import (
    CHUNK,
    MAX_RW_COUNT,
    Bytes,
    ConstBytes,
    UserIter,
    get_bytes,
    import_iovec,
    put_bytes,
)
from .rw import broken_pipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ...kernel.wait import Resume
    from ..task.task import LinuxTask

SPLICE_F_NONBLOCK, SPLICE_F_ALL = 2, 15
MAX_OFFSET = (1 << 63) - 1
PIECE = 8 << 20
"""Bytes between two looks at the clock."""
A_MOMENT = 0.001
SMALL_PIECE = 4096
"""What a descriptor that poll calls writable takes without waiting (PIPE_BUF)."""


def _offset(task: LinuxTask, ptr: Bytes) -> int | None:
    return None if ptr.is_null else int.from_bytes(get_bytes(task, ptr.address, 8), "little", signed=True)


def _give_offset(task: LinuxTask, ptr: Bytes, offset: int | None, file: OpenFile, done: int) -> None:
    """Write back where a transfer ended; a device has no position that moves."""
    if offset is not None:
        end = offset + done if file.moves else offset
        put_bytes(task, ptr.address, end.to_bytes(8, "little", signed=True))


def _told(task: LinuxTask, source: OpenFile, goal: OpenFile, count: int) -> None:
    notify.transferred(task, notify.ACCESS, source, count)
    notify.transferred(task, notify.MODIFY, goal, count)
    if count and goal.regular:
        bytes_written(task, goal)


# -- sendfile, copy_file_range


@call("sendfile")
def sys_sendfile(task: LinuxTask, out_fd: c_int, in_fd: c_int, offset: Bytes, count: c_size_t) -> int | None:
    pos = _offset(task, offset)
    source, goal = task.files.get_io(in_fd), task.files.get_io(out_fd) if _has(task, out_fd) else None
    if not source.readable:
        raise LinuxError(errno.EBADF)
    if pos is not None and not source.seekable:
        raise LinuxError(errno.ESPIPE)
    if (pos is not None and pos < 0) or count > MAX_OFFSET or (pos or 0) + count > MAX_OFFSET:
        raise LinuxError(errno.EINVAL)
    if goal is None or not goal.writable:
        raise LinuxError(errno.EBADF)
    if goal.is_pipe:
        if source.is_pipe:
            raise LinuxError(errno.EINVAL)
    elif goal.flags & O_APPEND:
        raise LinuxError(errno.EINVAL)
    return _sendfile_on(task, source, goal, offset.address, pos, min(count, MAX_RW_COUNT), 0)


def _sendfile_on(
    task: LinuxTask, source: OpenFile, goal: OpenFile, offset: int, pos: int | None, count: int, done: int
) -> int | None:
    """sendfile, of which `done` bytes have been sent."""
    start, left = None if pos is None else pos + done, count - done
    if source.pipe is not None:
        raise LinuxError(errno.EINVAL)
    if goal.pipe is not None:
        return _sendfile_to_pipe(task, source, goal, offset, pos, count)
    source.before_host(task)
    goal.before_host(task)
    try:
        if goal.kind == stat.S_IFSOCK and goal.host_fd is None:
            with source.end(os.O_RDONLY, start, left) as reader:
                return _sent_to_socket(task, source, goal, reader, (offset, pos, count, done))
        with source.end(os.O_RDONLY, start, left) as reader, goal.end(os.O_WRONLY, None, left) as writer:
            if goal.is_pipe:
                sent = _splice_once(task, source, goal, (reader, writer), (start, None), left, _own_flags(goal))
            else:
                room = goal.size_room(task, None, left)
                sent = _send(task, goal, (reader, writer), start, room)
                if sent == room < left and _has_more(reader, start, sent):
                    task.signals.file_too_large(task)
    except WouldBlock as stop:
        again = _sendfile_on, (source, goal, offset, pos, count, done + stop.done)
        return _wait(task, source, goal, again, _sent)
    except LinuxError:
        if not done:
            raise
        sent = 0
    _told(task, source, goal, sent)
    _give_offset(task, Bytes(offset), pos, source, done + sent)
    return done + sent


def _sent_to_socket(
    task: LinuxTask, source: OpenFile, goal: OpenFile, reader: int, call_: tuple[int, int | None, int, int]
) -> int | None:
    """sendfile to a socket of the machine's own, from a descriptor of the host's. call_: where the offset stands, what
    it was, how much is to be sent and has been."""
    offset, pos, count, before = call_
    done, start = before, 0 if pos is not None else host(os.lseek, reader, 0, os.SEEK_CUR) - before
    try:
        while done < count:
            at = start + done if pos is None else pos + done
            data = host(os.pread, reader, min(CHUNK, count - done), at)
            if not data:
                break
            done += goal.write_host(task, memoryview(data), None)
            if waiting.must_stop(task):
                break
    except LinuxError as error:
        if error.errno == errno.EAGAIN and goal.blocks:
            raise WouldBlock(done - before, ()) from None
        if not done:
            return broken_pipe(task, error)
    finally:
        if pos is None:
            host(os.lseek, reader, start + done, os.SEEK_SET)
    _told(task, source, goal, done)
    _give_offset(task, Bytes(offset), pos, source, done)
    return done


def _sendfile_to_pipe(
    task: LinuxTask, source: OpenFile, goal: OpenFile, offset: int, pos: int | None, count: int
) -> int | None:
    try:
        sent = _own_once(task, source, goal, (pos, None), count, _own_flags(goal)) if count else 0
    except WouldBlock:
        return _wait(task, source, goal, (_sendfile_to_pipe, (source, goal, offset, pos, count)))
    _told(task, source, goal, sent)
    _give_offset(task, Bytes(offset), pos, source, sent)
    return sent


def _sent(
    task: LinuxTask, source: OpenFile, goal: OpenFile, offset: int, pos: int | None, count: int, done: int
) -> int | None:
    """A signal came: what has been sent is the result."""
    if not done:
        return None
    _give_offset(task, Bytes(offset), pos, source, done)
    return done


def _has_more(fd: int, pos: int | None, done: int) -> bool:
    """Whether there is more to send behind what was: only then the host tries, and finds the file too large."""
    at = host(os.lseek, fd, 0, os.SEEK_CUR) if pos is None else pos + done
    return at < host(os.fstat, fd).st_size


def _has(task: LinuxTask, fd: int) -> bool:
    """Whether there is such a descriptor, which sendfile asks of its goal last."""
    try:
        task.files.get_io(fd)
    except LinuxError:
        return False
    return True


def _send(task: LinuxTask, goal: OpenFile, fds: tuple[int, int], pos: int | None, count: int) -> int:
    """The host's sendfile to what is no pipe."""
    reader, writer = fds
    waits = goal.may_wait
    piece, done = SMALL_PIECE if waits else PIECE, 0

    try:
        while True:
            want = min(piece, count - done)
            goal.require_ready(POLLOUT)
            n = host(os.sendfile, writer, reader, None if pos is None else pos + done, want)
            done += n
            if not n or (n < want and not waits) or done == count or waiting.must_stop(task):
                return done
    except LinuxError as error:
        if error.errno == errno.EAGAIN and goal.blocks:
            raise WouldBlock(done, ()) from None
        if done:
            return done
        return broken_pipe(task, error)
    finally:
        goal.after_host(task)


def _require_copy(
    task: LinuxTask, source: OpenFile, goal: OpenFile, start: int | None, to: int | None, size: int
) -> None:
    """What is refused of a copy from one regular file to another (generic_file_rw_checks, generic_copy_file_checks,
    rw_verify_area), whoever's they are: how they are open, places and the end of a number, one part over another."""
    if goal.flags & O_APPEND or not source.readable or not goal.writable:
        raise LinuxError(errno.EBADF)
    begin = source.seek(0, os.SEEK_CUR) if start is None else start
    other = goal.seek(0, os.SEEK_CUR) if to is None else to
    if max(begin % (1 << 64), other % (1 << 64)) + size >= 1 << 64:
        raise LinuxError(errno.EOVERFLOW)
    if source.identity == goal.identity:
        count = max(0, min(size, source.stat(task).st_size - begin))
        if other + count > begin and other < begin + count:
            raise LinuxError(errno.EINVAL)
    if begin < 0 or other < 0:
        raise LinuxError(errno.EINVAL)


@call("copy_file_range")
def sys_copy_file_range(
    task: LinuxTask, fd_in: c_int, off_in: Bytes, fd_out: c_int, off_out: Bytes, size: c_size_t, flags: c_uint
) -> int:
    source, goal = task.files.get_io(fd_in), task.files.get_io(fd_out)
    start, to = _offset(task, off_in), _offset(task, off_out)
    if flags:
        raise LinuxError(errno.EINVAL)
    if stat.S_IFDIR in (source.kind, goal.kind):
        raise LinuxError(errno.EISDIR)
    if source.regular and goal.regular:
        _require_copy(task, source, goal, start, to, size)
    if source.readable and goal.writable and goal.regular and (to is None or to >= 0):
        size = goal.size_room(task, to, size)
    source.before_host(task)
    goal.before_host(task)
    done = 0
    try:
        with source.end(os.O_RDONLY, start, size) as reader, goal.end(os.O_WRONLY, to, size) as writer:
            done = _copy_range(task, source, goal, (reader, writer), (start, to), size)
    finally:
        goal.after_host(task)
    _told(task, source, goal, done)
    try:
        _give_offset(task, off_in, start, source, done)
    finally:  # each is told, whatever became of the other (vfs_copy_file_range's caller)
        _give_offset(task, off_out, to, goal, done)
    return done


def _copy_range(
    task: LinuxTask,
    source: OpenFile,
    goal: OpenFile,
    fds: tuple[int, int],
    offsets: tuple[int | None, int | None],
    size: int,
) -> int:
    """The host's copy_file_range, in pieces."""
    start, to = offsets
    done, piece = 0, PIECE
    if source.identity == goal.identity:  # whether they overlap is judged of the whole
        piece = MAX_OFFSET
    try:
        while True:
            want = min(piece, size - done)
            at, into = None if start is None else start + done, None if to is None else to + done
            n = host(os.copy_file_range, *fds, want, at, into)
            done += n
            if n < want or done == size or waiting.must_stop(task):
                break
    except LinuxError:
        if not done:
            raise
    return done


# -- pipes


def _own_flags(*files: OpenFile) -> int:
    return SPLICE_F_NONBLOCK if any(file.flags & O_NONBLOCK for file in files) else 0


def _own_once(
    task: LinuxTask,
    source: OpenFile,
    goal: OpenFile,
    offsets: tuple[int | None, int | None],
    count: int,
    flags: int,
) -> int:
    """What can be spliced now where a pipe of the machine's own is an end; `WouldBlock` for nothing, if the guest
    waits."""
    flags |= _own_flags(*(file for file in (source, goal) if file.is_pipe))
    start, to = offsets
    count = min(count, MAX_RW_COUNT)
    try:
        if goal.pipe is None:
            assert source.pipe is not None
            return splicing.out_of_pipe(task, source.pipe, goal, to, count)
        if source.pipe is None:
            return splicing.into_pipe(task, source, start, goal.pipe, count)
        return splicing.between(source.pipe, goal.pipe, count)
    except LinuxError as error:
        raise _refused(task, error, flags) from None


def _splice_once(
    task: LinuxTask,
    source: OpenFile,
    goal: OpenFile,
    fds: tuple[int, int],
    offsets: tuple[int | None, int | None],
    count: int,
    flags: int,
) -> int:
    """The host's splice, which gives what there is at once; `WouldBlock` for nothing, if the guest waits."""
    flags |= _own_flags(*(file for file in (source, goal) if file.is_pipe))
    if count > SMALL_PIECE and goal.host_fd is not None and not goal.is_pipe and not goal.seekable:
        count = SMALL_PIECE
    try:
        if not count and not hostcalls.poll_now(fds[1], POLLOUT):  # sendfile of nothing
            raise LinuxError(errno.EAGAIN)
        n = host(os.splice, *fds, min(count, MAX_RW_COUNT), *offsets, flags | SPLICE_F_NONBLOCK)
    except LinuxError as error:
        raise _refused(task, error, flags) from None
    goal.after_host(task)
    return n


def _refused(task: LinuxTask, error: LinuxError, flags: int) -> LinuxError:
    """What a call raises that the host refused, which never waits."""
    if error.errno == errno.EAGAIN and not flags & SPLICE_F_NONBLOCK:
        return WouldBlock(0, ())
    if error.errno == errno.EPIPE:
        task.signals.broken_pipe(task)
    return error


def _wait(
    task: LinuxTask,
    source: OpenFile,
    goal: OpenFile,
    again: Resume,
    interrupted: Callable[..., int | None] | None = None,
) -> int | None:
    """Until one of the two that are not ready is; or for a moment, where poll knows nothing of what is missing."""
    on = [(file, event) for file, event in ((source, POLLIN), (goal, POLLOUT)) if not file.ready(event)]
    until = None if on else task.machine.host.monotonic() + A_MOMENT
    return task.block(on=on, until=until, again=again, interrupted=interrupted)


@call("splice")
def sys_splice(
    task: LinuxTask, fd_in: c_int, off_in: Bytes, fd_out: c_int, off_out: Bytes, size: c_size_t, flags: c_uint
) -> int | None:
    if not size:
        return 0
    if flags & ~SPLICE_F_ALL:
        raise LinuxError(errno.EINVAL)
    source, goal = task.files.get_io(fd_in), task.files.get_io(fd_out)
    if (source.is_pipe and not off_in.is_null) or (goal.is_pipe and not off_out.is_null):
        raise LinuxError(errno.ESPIPE)
    to, start = _offset(task, off_out), _offset(task, off_in)
    if not source.readable or not goal.writable:
        raise LinuxError(errno.EBADF)
    if not (source.is_pipe or goal.is_pipe):
        raise LinuxError(errno.EINVAL)
    if not goal.is_pipe and goal.flags & O_APPEND:
        raise LinuxError(errno.EINVAL)
    if size > MAX_OFFSET and not (source.is_pipe and goal.is_pipe):
        raise LinuxError(errno.EINVAL)
    return _splice_on(task, source, goal, (off_in.address, off_out.address), (start, to), size, flags)


def _splice_on(
    task: LinuxTask,
    source: OpenFile,
    goal: OpenFile,
    given: tuple[int, int],
    offsets: tuple[int | None, int | None],
    size: int,
    flags: int,
) -> int | None:
    """splice from and to those offsets, None for the files' own; given: where they stood."""
    start, to = offsets
    room = goal.size_room(task, to, size) if to is None or to >= 0 else size
    own = source.pipe is not None or goal.pipe is not None
    try:
        if own:
            done = _own_once(task, source, goal, offsets, room, flags)
            if done == room < size and source.ready(POLLIN):
                task.signals.file_too_large(task)
        else:
            done = _splice_host(task, source, goal, offsets, (room, size), flags)
    except WouldBlock:
        return _wait(task, source, goal, (_splice_on, (source, goal, given, offsets, size, flags)))
    _told(task, source, goal, done)
    _give_offset(task, Bytes(given[1]), to, goal, done)
    _give_offset(task, Bytes(given[0]), start, source, done)
    return done


def _splice_host(
    task: LinuxTask,
    source: OpenFile,
    goal: OpenFile,
    offsets: tuple[int | None, int | None],
    sizes: tuple[int, int],
    flags: int,
) -> int:
    (start, to), (room, size) = offsets, sizes
    source.before_host(task)
    goal.before_host(task)
    with source.end(os.O_RDONLY, start, room) as reader, goal.end(os.O_WRONLY, to, room) as writer:
        done = _splice_once(task, source, goal, (reader, writer), offsets, room, flags)
        if done == room < size and hostcalls.poll_now(reader, POLLIN):
            task.signals.file_too_large(task)
    return done


@call("tee")
def sys_tee(task: LinuxTask, fd_in: c_int, fd_out: c_int, size: c_size_t, flags: c_uint) -> int | None:
    if flags & ~SPLICE_F_ALL:
        raise LinuxError(errno.EINVAL)
    if not size:
        return 0
    source, goal = task.files.get_io(fd_in), task.files.get_io(fd_out)
    if not source.readable or not goal.writable:
        raise LinuxError(errno.EBADF)
    if not (source.is_pipe and goal.is_pipe):
        raise LinuxError(errno.EINVAL)
    return _tee_on(task, source, goal, min(size, MAX_RW_COUNT), flags | _own_flags(source, goal))


def _tee_on(task: LinuxTask, source: OpenFile, goal: OpenFile, size: int, flags: int) -> int | None:
    try:
        if source.pipe is not None or goal.pipe is not None:
            return splicing.tee(source, goal, size)
        with source.end(os.O_RDONLY) as reader, goal.end(os.O_WRONLY) as writer:
            return hostcalls.tee(reader, writer, size, flags | SPLICE_F_NONBLOCK)
    except LinuxError as error:
        refused = _refused(task, error, flags)
    if not isinstance(refused, WouldBlock):
        raise refused
    return _wait(task, source, goal, (_tee_on, (source, goal, size, flags)))


@call("vmsplice")
def sys_vmsplice(task: LinuxTask, fd: c_int, vec: ConstBytes, count: c_ulong, flags: c_uint) -> int | None:
    """Pages are copied, never shared with the pipe: what SPLICE_F_GIFT gives away may be done with as one likes."""
    if flags & ~SPLICE_F_ALL:
        raise LinuxError(errno.EINVAL)
    file = task.files.get_io(fd)
    if not file.writable and not file.readable:
        raise LinuxError(errno.EBADF)
    access = READ if file.writable else WRITE
    stream = UserIter(task, import_iovec(task, vec, count, access))
    if not stream.count:
        return 0
    if not file.is_pipe:
        raise LinuxError(errno.EBADF)
    return _vmsplice_on(task, file, stream.rest, flags)


def _vmsplice_on(task: LinuxTask, file: OpenFile, rest: tuple[tuple[int, int], ...], flags: int) -> int | None:
    event = POLLOUT if file.writable else POLLIN
    stream = UserIter.over(task, rest)
    try:
        if file.ready(event):
            return _fill(task, file, stream) if file.writable else file.read(task, stream, None)
    except WouldBlock:
        pass  # somebody else was quicker
    if flags & SPLICE_F_NONBLOCK:
        raise LinuxError(errno.EAGAIN)
    return task.block(on=[(file, event)], again=(_vmsplice_on, (file, rest, flags)))


def _fill(task: LinuxTask, file: OpenFile, data: UserIter) -> int:
    """As much as the pipe takes now."""
    if file.pipe is not None:
        return _fill_own(task, file, data)
    done, buffer = 0, task.machine.bounce
    while data.count and (not done or file.ready(POLLOUT)):
        want = min(data.count, SMALL_PIECE)
        good = data.copy_in(buffer[:want])
        if not good:
            if done:
                break
            raise data.fault(READ)
        try:
            done += file.write_host(task, buffer[:good], None)
        except LinuxError as error:
            if done:
                break
            if error.errno == errno.EAGAIN and file.blocks:
                raise WouldBlock(0, ()) from None
            broken_pipe(task, error)
        if good < want:
            break
    return done


def _fill_own(task: LinuxTask, file: OpenFile, data: UserIter) -> int:
    """The same for a pipe of our own: a slot for each page of the user's (iter_to_pipe)."""
    pipe, done = file.pipe, 0
    assert pipe is not None
    if not pipe.readers:
        return broken_pipe(task, LinuxError(errno.EPIPE))
    if pipe.full:
        if file.blocks:
            raise WouldBlock(0, ())
        raise LinuxError(errno.EAGAIN)
    for address, size in data.rest:
        at = address
        while at < address + size and not pipe.full:
            want = min(PAGE - at % PAGE, address + size - at)
            view = task.machine.bounce[:want]
            if UserIter.single(task, at, want).copy_in(view) < want:
                if done:
                    return done
                raise data.fault(READ)
            done += pipe.put([Slot(bytes(view), at % PAGE)])
            at += want
    return done
