"""Reading and writing files. Source: read(2), pread(2), readv(2), lseek(2), sendfile(2), fs/read_write.c.

The order of checks is the host's: descriptor and its mode (EBADF), whether the file can do it (EINVAL), then the
user's range (EFAULT, at length zero too), then the count is cut at MAX_RW_COUNT. The file decides what to copy when.
"""

from __future__ import annotations

import errno
import stat

from ..._core.kernel.hostio import NEXT, NEXT_PARTS, PLACED, ReadCall, WriteCall
from ..._core.kernel.quick import Reading, Writing
from ...errors import LinuxError
from ...flags import READ, WRITE
from ...kernel.abi import (
    c_int,
    c_long,
    c_size_t,
    c_uint,
    c_ulong,
)
from ..fs import notify
from ..fs.host.file import RWF_APPEND, RWF_NOAPPEND, HostFile
from ..fs.openfile import MAX_OFFSET, BrokenPipe, OpenFile, WouldBlock
from ..fs.permissions import bytes_written
from ..registry import at_once, call
from ..uaccess import (
    MAX_RW_COUNT,
    Bytes,
    ConstBytes,
    UserIter,
    import_iovec,
    require_user,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..._core.words.conversion import Bound
    from ..task.task import LinuxTask

POLLIN, POLLOUT = 1, 4
SEEK_HOLE = 4
"""The last of the places that a seek can start from (SEEK_MAX)."""


def _readable(task: LinuxTask, fd: int) -> OpenFile:
    file = task.files.get(fd)
    if not file.readable:
        raise LinuxError(errno.EBADF)
    file.job_control(task, write=False)
    return file


def _writable(task: LinuxTask, fd: int) -> OpenFile:
    file = task.files.get(fd)
    if not file.writable:
        raise LinuxError(errno.EBADF)
    file.job_control(task, write=True)
    return file


def _require_position(task: LinuxTask, fd: int) -> None:
    """ESPIPE where there are no positions, whatever the descriptor was opened for."""
    if not task.files.get_io(fd).seekable:
        raise LinuxError(errno.ESPIPE)


def _verify_area(pos: int | None, count: int) -> None:
    """EINVAL for a range of the file that ends past the largest offset there is (rw_verify_area)."""
    if pos is not None and pos + count > MAX_OFFSET:
        raise LinuxError(errno.EINVAL)


def broken_pipe(task: LinuxTask, error: LinuxError) -> int:
    """A write found nobody who would read: SIGPIPE, and what went before, or the error."""
    if error.errno == errno.EPIPE:
        task.signals.broken_pipe(task)
    done = getattr(error, "done", 0)
    if not done:
        try:
            raise error
        finally:
            del error  # or it would hold itself, by this frame
    return int(done)


def _write(task: LinuxTask, file: OpenFile, data: UserIter, pos: int | None) -> int:
    try:
        return file.write(task, data, pos)
    except BrokenPipe as error:
        return broken_pipe(task, error)


def _was_read(task: LinuxTask, file: OpenFile, count: int) -> int:
    notify.transferred(task, notify.ACCESS, file, count)
    return task.group.io.read(count)


def _was_written(task: LinuxTask, file: OpenFile, count: int) -> int:
    notify.transferred(task, notify.MODIFY, file, count)
    if count and file.regular:
        bytes_written(task, file)
    return task.group.io.wrote(count)


def read_later(task: LinuxTask, file: OpenFile, stop: WouldBlock) -> int | None:
    """Read into the rest of the user's memory once there is something, or for as long as the file says."""
    return _wait_to_read(task, file, stop, file.deadline(task, POLLIN))


def _wait_to_read(task: LinuxTask, file: OpenFile, stop: WouldBlock, until: float | None, done: int = 0) -> int | None:
    done += stop.done
    if until is not None and task.machine.host.monotonic() >= until:
        if not done:
            raise LinuxError(errno.EAGAIN)
        return _was_read(task, file, done)
    on = [(stop.on or file, POLLIN)]
    if done:
        again = _read_rest, (file, stop.rest, until, done)
        return task.block(on=on, until=until, again=again, interrupted=_rest_not_read)
    wakes = until if stop.until is None else stop.until
    return task.block(on=on, until=wakes, again=(_read_on, (file, stop.rest, until)), interrupted=_not_read)


def _read_rest(
    task: LinuxTask, file: OpenFile, rest: tuple[tuple[int, int], ...], until: float | None, done: int
) -> int | None:
    """There was less than is wanted at once (SO_RCVLOWAT), `done` bytes."""
    try:
        done += file.read_on(task, UserIter.over(task, rest), done)
    except WouldBlock as stop:
        return _wait_to_read(task, file, stop, until, done)
    except LinuxError:
        pass  # of what went well nothing is lost
    return _was_read(task, file, done)


def _rest_not_read(
    task: LinuxTask, file: OpenFile, rest: tuple[tuple[int, int], ...], until: float | None, done: int
) -> int | None:
    return _was_read(task, file, done)


def _read_on(task: LinuxTask, file: OpenFile, rest: tuple[tuple[int, int], ...], until: float | None) -> int | None:
    try:
        return _was_read(task, file, file.read(task, UserIter.over(task, rest), None))
    except WouldBlock as stop:
        return _wait_to_read(task, file, stop, until)


def _not_read(
    task: LinuxTask, file: OpenFile, rest: tuple[tuple[int, int], ...], until: float | None
) -> int | LinuxError | None:
    """A signal came. A call with a time of its own is not made again (sock_intr_errno)."""
    if (some := file.partial(task, rest)) is not None:
        return task.group.io.read(some)
    return None if until is None else -errno.EINTR


def write_later(task: LinuxTask, file: OpenFile, stop: WouldBlock, done: int) -> int | None:
    """Write the rest once there is room; `done` bytes went before this piece. A signal leaves it at what went."""
    return _wait_to_write(task, file, stop, done, file.deadline(task, POLLOUT))


def _wait_to_write(task: LinuxTask, file: OpenFile, stop: WouldBlock, done: int, until: float | None) -> int | None:
    done += stop.done
    if until is not None and task.machine.host.monotonic() >= until:
        if not done:
            raise LinuxError(errno.EAGAIN)
        return _was_written(task, file, done)
    again = _write_on, (file, stop.rest, until, done)
    return task.block(on=[(stop.on or file, POLLOUT)], until=until, again=again, interrupted=_written)


def _write_on(
    task: LinuxTask, file: OpenFile, rest: tuple[tuple[int, int], ...], until: float | None, done: int
) -> int | None:
    try:
        done += _write(task, file, UserIter.over(task, rest), None)
    except WouldBlock as stop:
        return _wait_to_write(task, file, stop, done, until)
    except LinuxError:
        if not done:
            raise
    return _was_written(task, file, done)


def _written(task: LinuxTask, file: OpenFile, rest: object, until: float | None, done: int) -> int | None:
    if done:
        return _was_written(task, file, done)
    return None if until is None else -errno.EINTR


@call("read")
def sys_read(task: LinuxTask, fd: c_uint, buf: Bytes, count: c_size_t) -> int | None:
    file = _readable(task, fd)
    require_user(task, buf.address, count, WRITE)
    try:
        return _was_read(
            task, file, file.read(task, UserIter.single(task, buf.address, min(count, MAX_RW_COUNT)), None)
        )
    except WouldBlock as stop:
        return read_later(task, file, stop)


def _write_rest(task: LinuxTask, file: OpenFile, rest: tuple[tuple[int, int], ...], done: int) -> int | None:
    return _write_on(task, file, rest, file.deadline(task, POLLOUT), done)


def _writes(plain: Bound, form: int) -> WriteCall:
    return WriteCall(plain, form, HostFile, plain, bytes_written, _write_rest)


at_once("read", lambda plain: Reading(ReadCall(plain, NEXT, HostFile, plain), _read_on, _not_read))
at_once("write", lambda plain: Writing(_writes(plain, NEXT)))


@call("write")
def sys_write(task: LinuxTask, fd: c_uint, buf: ConstBytes, count: c_size_t) -> int | None:
    file = _writable(task, fd)
    require_user(task, buf.address, count, READ)
    try:
        return _was_written(
            task, file, _write(task, file, UserIter.single(task, buf.address, min(count, MAX_RW_COUNT)), None)
        )
    except WouldBlock as stop:
        return write_later(task, file, stop, 0)


@call("pread64")
def sys_pread64(task: LinuxTask, fd: c_uint, buf: Bytes, count: c_size_t, pos: c_long) -> int:
    if pos < 0:
        raise LinuxError(errno.EINVAL)
    _require_position(task, fd)
    file = _readable(task, fd)
    require_user(task, buf.address, count, WRITE)
    _verify_area(pos, count)
    return _was_read(task, file, file.read(task, UserIter.single(task, buf.address, min(count, MAX_RW_COUNT)), pos))


at_once("pread64", lambda plain: ReadCall(plain, PLACED, HostFile, plain))
at_once("pwrite64", _writes, PLACED)


@call("pwrite64")
def sys_pwrite64(task: LinuxTask, fd: c_uint, buf: ConstBytes, count: c_size_t, pos: c_long) -> int:
    if pos < 0:
        raise LinuxError(errno.EINVAL)
    _require_position(task, fd)
    file = _writable(task, fd)
    require_user(task, buf.address, count, READ)
    _verify_area(pos, count)
    return _was_written(task, file, file.write(task, UserIter.single(task, buf.address, min(count, MAX_RW_COUNT)), pos))


def _readv(task: LinuxTask, file: OpenFile, vec: ConstBytes, vlen: int, pos: int | None, flags: int = 0) -> int | None:
    to = UserIter(task, import_iovec(task, vec, vlen, WRITE))
    _verify_area(pos, to.count)
    try:
        if not to.count:
            return 0
        return _was_read(task, file, with_flags(task, file, flags, lambda: file.read(task, to, pos)))
    except WouldBlock as stop:
        return read_later(task, file, stop)


def _writev(task: LinuxTask, file: OpenFile, vec: ConstBytes, vlen: int, pos: int | None, flags: int = 0) -> int | None:
    data = UserIter(task, import_iovec(task, vec, vlen, READ))
    _verify_area(pos, data.count)
    try:
        if not data.count:
            return 0
        return _was_written(task, file, with_flags(task, file, flags, lambda: _write(task, file, data, pos)))
    except WouldBlock as stop:
        return write_later(task, file, stop, 0)


@call("readv")
def sys_readv(task: LinuxTask, fd: c_ulong, vec: ConstBytes, vlen: c_ulong) -> int | None:
    return _readv(task, _readable(task, fd), vec, vlen, None)


@call("writev")
def sys_writev(task: LinuxTask, fd: c_ulong, vec: ConstBytes, vlen: c_ulong) -> int | None:
    return _writev(task, _writable(task, fd), vec, vlen, None)


at_once("readv", lambda plain: ReadCall(plain, NEXT_PARTS, HostFile, plain))
at_once("writev", _writes, NEXT_PARTS)


@call("preadv")
def sys_preadv(task: LinuxTask, fd: c_ulong, vec: ConstBytes, vlen: c_ulong, pos: c_long) -> int | None:
    if pos < 0:
        raise LinuxError(errno.EINVAL)
    _require_position(task, fd)
    return _readv(task, _readable(task, fd), vec, vlen, pos)


@call("pwritev")
def sys_pwritev(task: LinuxTask, fd: c_ulong, vec: ConstBytes, vlen: c_ulong, pos: c_long) -> int | None:
    if pos < 0:
        raise LinuxError(errno.EINVAL)
    _require_position(task, fd)
    return _writev(task, _writable(task, fd), vec, vlen, pos)


_RWF_KNOWN = 0x1FF


def rwf_guard(flags: int) -> None:
    """EOPNOTSUPP, EINVAL for flags that nothing knows, or that exclude each other."""
    if flags & ~_RWF_KNOWN:
        raise LinuxError(errno.EOPNOTSUPP)
    if flags & RWF_APPEND and flags & RWF_NOAPPEND:
        raise LinuxError(errno.EINVAL)


def with_flags(task: LinuxTask, file: OpenFile, flags: int, transfer: Callable[[], int]) -> int:
    """One transfer under RWF_* flags (kiocb_set_rw_flags). A file that knows them not at all is EOPNOTSUPP."""
    if not flags:
        return transfer()
    rwf_guard(flags)
    with file.under_rwf(task, flags):
        return transfer()


def _position(task: LinuxTask, fd: int, pos: int) -> int | None:
    """Where a transfer is made, None for the file's own position."""
    if pos == -1:
        return None
    if pos < 0:
        raise LinuxError(errno.EINVAL)
    _require_position(task, fd)
    return pos


@call("preadv2")
def sys_preadv2(
    task: LinuxTask, fd: c_ulong, vec: ConstBytes, vlen: c_ulong, pos: c_long, high: c_ulong, flags: c_int
) -> int | None:
    """-1 as the position is the file's own."""
    where = _position(task, fd, pos)
    return _readv(task, _readable(task, fd), vec, vlen, where, flags)


@call("pwritev2")
def sys_pwritev2(
    task: LinuxTask, fd: c_ulong, vec: ConstBytes, vlen: c_ulong, pos: c_long, high: c_ulong, flags: c_int
) -> int | None:
    where = _position(task, fd, pos)
    return _writev(task, _writable(task, fd), vec, vlen, where, flags)


@call("lseek")
def sys_lseek(task: LinuxTask, fd: c_uint, offset: c_long, whence: c_uint) -> int:
    file = task.files.get_io(fd)
    if whence > SEEK_HOLE:
        raise LinuxError(errno.EINVAL)
    return file.seek(offset, whence)


# -- sizes, caches, promises


@call("ftruncate")
def sys_ftruncate(task: LinuxTask, fd: c_uint, length: c_long) -> int:
    if length < 0:
        raise LinuxError(errno.EINVAL)
    file = task.files.get_io(fd)
    if not file.writable:
        raise LinuxError(errno.EINVAL)
    file.require_change(task)
    file.truncate(task, length)
    bytes_written(task, file)
    notify.transferred(task, notify.MODIFY, file, 1)
    return 0


@call("fallocate")
def sys_fallocate(task: LinuxTask, fd: c_int, mode: c_int, offset: c_long, size: c_long) -> int:
    file = task.files.get_io(fd)
    file.fallocate(task, mode, offset, size)
    bytes_written(task, file)
    notify.transferred(task, notify.MODIFY, file, 1)
    return 0


@call("fsync")
def sys_fsync(task: LinuxTask, fd: c_uint) -> int:
    task.files.get_io(fd).fsync()
    return 0


@call("fdatasync")
def sys_fdatasync(task: LinuxTask, fd: c_uint) -> int:
    task.files.get_io(fd).fsync()
    return 0


@call("sync_file_range")
def sys_sync_file_range(task: LinuxTask, fd: c_int, offset: c_long, count: c_long, flags: c_uint) -> int:
    """Nothing is promised about metadata, so nothing need be done; what cannot be asked is refused."""
    file = task.files.get_io(fd)
    if flags & ~7 or offset < 0 or count < 0 or offset + count > MAX_OFFSET:
        raise LinuxError(errno.EINVAL)
    kind = stat.S_IFMT(file.stat(task).st_mode)
    if kind not in (stat.S_IFREG, stat.S_IFBLK, stat.S_IFDIR, stat.S_IFLNK):
        raise LinuxError(errno.ESPIPE)
    return 0


@call("syncfs")
def sys_syncfs(task: LinuxTask, fd: c_int) -> int:
    task.files.get_io(fd)
    return 0


@call("sync")
def sys_sync(task: LinuxTask) -> int:
    return 0


@call("fadvise64")
def sys_fadvise64(task: LinuxTask, fd: c_int, offset: c_long, size: c_long, advice: c_int) -> int:
    task.files.get_io(fd).fadvise(size, advice)
    return 0


@call("readahead")
def sys_readahead(task: LinuxTask, fd: c_int, offset: c_long, count: c_long) -> int:
    file = _readable(task, fd)
    if count < 0 or not stat.S_ISREG(file.stat(task).st_mode):
        raise LinuxError(errno.EINVAL)
    return 0
