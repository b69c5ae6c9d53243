"""Asynchronous input and output: io_setup(2) and its kin. Source: fs/aio.c of Linux 6.18.

A transfer is done while it is submitted, as Linux does it for files whose data it has; a pipe or a socket that has
nothing makes the submission wait, as there. Polls end later.
"""

from __future__ import annotations

import errno
from struct import Struct, pack, unpack

from ..._core.words.codes import MAX_RW_COUNT
from ...errors import LinuxError
from ...flags import READ, WRITE, MappingFlags
from ...kernel.abi import c_long, c_uint, c_ulong
from ...mm.backend import ALLOC
from ..abi.timespec import BILLION, KTIME_MAX
from ..files.aio import AIO_MAX_NR, POLLIN, AioContext, AioPoll
from ..files.eventfd import EventFile
from ..fs.openfile import MAX_OFFSET, BrokenPipe, WouldBlock
from ..mem.limits import require_mapping, require_space
from ..mem.vma import page_up, place
from ..registry import call
from ..uaccess import Bytes, ConstBytes, UserIter, get_bytes, import_iovec, put_bytes, put_user, require_user
from .poll import over, set_mask, wakes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ...kernel.wait import Waitable
    from ..fs.openfile import OpenFile
    from ..task.task import LinuxTask

    Asked = tuple[int, int, int, float | None, bool]
    """How many events at least and at most, where to, until when, and whether signals have another mask meanwhile."""

_MOST = 0x1000_0000 // 32
_KEY = 0
_RESFD = 1
_PREAD, _PWRITE, _FSYNC, _FDSYNC, _POLL, _PREADV, _PWRITEV = 0, 1, 2, 3, 5, 7, 8
_IOCB = Struct("<QIiHhIQQqQII")
"""struct iocb: data, key, rw_flags, opcode, reqprio, fildes, buf, nbytes, offset, reserved2, flags, resfd."""
_EVENT = 32
_POLLOUT = 4


def _context(task: LinuxTask, number: int) -> AioContext:
    found = task.mm.aio.get(number)
    if found is None:
        raise LinuxError(errno.EINVAL)
    return found


@call("io_setup")
def sys_io_setup(task: LinuxTask, asked: c_uint, where: Bytes) -> int:
    (before,) = unpack("<Q", get_bytes(task, where.address, 8))
    if before or not asked:
        raise LinuxError(errno.EINVAL)
    most = max(asked, task.machine.host.cpu_count * 4) * 2
    if most > _MOST:
        raise LinuxError(errno.EINVAL)
    contexts = task.mm.aio
    if sum(context.asked for context in contexts.values()) + asked > AIO_MAX_NR:
        raise LinuxError(errno.EAGAIN)
    size = page_up((most + 2) * _EVENT)
    require_mapping(task)
    require_space(task, size, data=True)
    start = place(task.mm, 0, size, 0)
    flags = MappingFlags.READ | MappingFlags.WRITE | MappingFlags.USER
    task.space.map(start, size, flags, ALLOC, name="/[aio] (deleted)")
    context = contexts[start] = AioContext(start, size, asked, size // _EVENT - 1)
    try:
        put_user(task, where.address, pack("<Q", start))
    except LinuxError:
        _destroy(task, context)
        raise
    return 0


def _destroy(task: LinuxTask, context: AioContext) -> None:
    del task.mm.aio[context.address]
    context.close()
    task.space.unmap(context.address, context.size)


@call("io_destroy")
def sys_io_destroy(task: LinuxTask, number: c_ulong) -> int:
    _destroy(task, _context(task, number))
    return 0


# -- submitting


@call("io_submit")
def sys_io_submit(task: LinuxTask, number: c_ulong, count: c_long, iocbs: ConstBytes) -> int | None:
    if count < 0:
        raise LinuxError(errno.EINVAL)
    context = _context(task, number)
    return _submit_on(task, context, iocbs.address, min(count, context.most), 0)


def _submit_on(task: LinuxTask, context: AioContext, iocbs: int, count: int, done: int) -> int | None:
    """Submit those from the one of index `done` on: how many were, or what is wrong with the first."""
    while done < count:
        try:
            (iocb,) = unpack("<Q", get_bytes(task, iocbs + 8 * done, 8))
            _submit(task, context, iocb)
        except WouldBlock as stop:
            waited: Waitable = stop.on  # type: ignore[assignment]
            mask = POLLIN if _IOCB.unpack(get_bytes(task, iocb, 64))[3] in (_PREAD, _PREADV) else _POLLOUT
            again = _submit_on, (context, iocbs, count, done)
            return task.block(on=[(waited, mask)], until=stop.until, again=again, interrupted=_cut)
        except LinuxError:
            if done:
                return done
            raise
        done += 1
    return done


def _cut(task: LinuxTask, context: AioContext, iocbs: int, count: int, done: int) -> int:
    """A signal came while a transfer waited: that one is told as interrupted (aio_rw_done)."""
    (iocb,) = unpack("<Q", get_bytes(task, iocbs + 8 * done, 8))
    context.complete(_IOCB.unpack(get_bytes(task, iocb, 64))[0], iocb, -errno.EINTR, None)
    return done + 1


def _submit(task: LinuxTask, context: AioContext, iocb: int) -> None:
    """io_submit_one, aio_prep_rw, __io_submit_one."""
    data, _, rw_flags, operation, _, fd, buffer, size, offset, reserved, flags, resfd = _IOCB.unpack(
        get_bytes(task, iocb, _IOCB.size)
    )
    if reserved or size >> 63:
        raise LinuxError(errno.EINVAL)
    if context.full:
        raise LinuxError(errno.EAGAIN)
    file, notify = task.files.get_io(fd), None
    if flags & _RESFD:
        told = task.files.get_io(resfd)
        if not isinstance(told, EventFile):
            raise LinuxError(errno.EINVAL)
        notify = told
    put_user(task, iocb + 8, pack("<I", _KEY))
    if operation == _POLL:
        if buffer >> 16 or offset or size or rw_flags:
            raise LinuxError(errno.EINVAL)
        if not file.pollable and not file.ready(buffer):
            raise LinuxError(errno.EINVAL)
        AioPoll(task.machine, context, data, iocb, file, buffer, notify).start()
        return
    if operation in (_FSYNC, _FDSYNC):
        if buffer or offset or size or rw_flags:
            raise LinuxError(errno.EINVAL)
        transfer: Callable[[], int] = lambda: _sync(file)  # noqa: E731
    elif operation in (_PREAD, _PREADV, _PWRITE, _PWRITEV):
        transfer = _transfer(task, file, operation, (buffer, size, offset), rw_flags)
    else:
        raise LinuxError(errno.EINVAL)
    context.complete(data, iocb, _result(task, file, transfer), notify)


def _sync(file: OpenFile) -> int:
    file.fsync()
    return 0


def _result(task: LinuxTask, file: OpenFile, transfer: Callable[[], int]) -> int:
    """What an event says of a transfer. `WouldBlock` where none of it could be made."""
    try:
        return transfer()
    except WouldBlock as stop:
        if stop.done:
            return stop.done
        stop.on = stop.on or file
        raise
    except BrokenPipe as error:
        from .rw import broken_pipe

        try:
            return broken_pipe(task, error)
        except LinuxError as broken:
            return -(broken.errno or errno.EPIPE)
    except LinuxError as error:
        return -(error.errno or errno.EIO)


def _transfer(
    task: LinuxTask, file: OpenFile, operation: int, what: tuple[int, int, int], rw_flags: int
) -> Callable[[], int]:
    """A read or a write that is judged, to be made: where, how much, and from which place of the file on."""
    buffer, size, offset = what
    from .rw import rwf_guard, with_flags

    reads = operation in (_PREAD, _PREADV)
    access = WRITE if reads else READ
    if not (file.readable if reads else file.writable):
        raise LinuxError(errno.EBADF)
    rwf_guard(rw_flags)
    if operation in (_PREADV, _PWRITEV):
        user = UserIter(task, import_iovec(task, ConstBytes(buffer), size, access))
    else:
        require_user(task, buffer, size, access)
        user = UserIter.single(task, buffer, min(size, MAX_RW_COUNT))
    if offset < 0 or offset + user.count > MAX_OFFSET:
        raise LinuxError(errno.EINVAL)
    pos = offset if file.seekable else None

    def made() -> int:
        return file.read(task, user, pos) if reads else file.write(task, user, pos)

    return lambda: with_flags(task, file, rw_flags, made)


@call("io_cancel")
def sys_io_cancel(task: LinuxTask, number: c_ulong, iocb: ConstBytes, result: Bytes) -> int:
    """Only a poll can be; its event is delivered nevertheless."""
    (key,) = unpack("<I", get_bytes(task, iocb.address + 8, 4))
    if key != _KEY:
        raise LinuxError(errno.EINVAL)
    found = next((poll for poll in _context(task, number).polls if poll.iocb == iocb.address), None)
    if found is None:
        raise LinuxError(errno.EINVAL)
    found.end(0)
    raise LinuxError(errno.EINPROGRESS)


# -- taking events


@call("io_getevents")
def sys_io_getevents(
    task: LinuxTask, number: c_ulong, least: c_long, most: c_long, events: Bytes, timeout: ConstBytes
) -> int | None:
    until = _until(task, timeout.address)
    return _take(task, _asked(task, number, least, most), (least, most, events.address, until, False), 0)


@call("io_pgetevents")
def sys_io_pgetevents(
    task: LinuxTask, number: c_ulong, least: c_long, most: c_long, events: Bytes, timeout: ConstBytes, mask: ConstBytes
) -> int | None:
    until = _until(task, timeout.address)
    address = size = 0
    if not mask.is_null:
        address, size = unpack("<QQ", get_bytes(task, mask.address, 16))
    set_mask(task, address, size)
    try:
        context = _asked(task, number, least, most)
    except LinuxError:
        task.signals.restore_mask(task)
        raise
    return _take(task, context, (least, most, events.address, until, bool(address)), 0)


def _until(task: LinuxTask, timeout: int) -> float | None:
    """A time that is none is over, or long; nobody judges it."""
    if not timeout:
        return None
    seconds, nanos = unpack("<qq", get_bytes(task, timeout, 16))
    now: float = task.machine.host.monotonic()
    span: float = seconds + nanos / BILLION
    return now + max(0.0, min(span, KTIME_MAX / BILLION))


def _asked(task: LinuxTask, number: int, least: int, most: int) -> AioContext:
    context = _context(task, number)
    if not 0 <= least <= most:
        raise LinuxError(errno.EINVAL)
    return context


def _take(task: LinuxTask, context: AioContext, asked: Asked, taken: int) -> int | None:
    """Hand out what is done, `most` of it, and wait until it is `least` (read_events)."""
    least, most, events, until, masked = asked
    try:
        while context.done and taken < most:
            put_bytes(task, events + _EVENT * taken, context.done[0])
            context.done.pop(0)
            taken += 1
    except LinuxError:
        if not taken:
            if masked:
                task.signals.restore_mask(task)
            raise
        least = 0
    if taken < least and not over(task, until) and task.mm.aio.get(context.address) is context:
        if task.disturbed():
            return taken or -errno.EINTR
        again = _take, (context, asked, taken)
        return task.block(on=[(context, POLLIN)], until=wakes(task, until), again=again, interrupted=_not_taken)
    if masked:
        task.signals.restore_mask(task)
    return taken


def _not_taken(task: LinuxTask, context: AioContext, asked: Asked, taken: int) -> int:
    """A signal came: what was taken so far; another mask stays for the handler of one that got nothing."""
    *_, masked = asked
    if taken and masked:
        task.signals.restore_mask(task)
    return taken or -errno.EINTR
