"""The calls of epoll and eventfd. Source: epoll_ctl(2), epoll_wait(2), eventfd(2), fs/eventpoll.c."""

from __future__ import annotations

import errno
import os

from ..._core.kernel.pollcalls import EpollControl, EpollWaiting
from ...errors import LinuxError
from ...flags import READ, WRITE
from ...kernel.abi import c_int, c_size_t, c_uint
from ...kernel.hostpoll import HostQueue
from ..abi.timespec import read_timespec
from ..files.epoll import EPOLLET, EPOLLEXCLUSIVE, EPOLLIN, EPOLLWAKEUP, EpollFile
from ..files.eventfd import EFD_SEMAPHORE, EventFile
from ..fs.openfile import O_NONBLOCK
from ..registry import at_once, call
from ..uaccess import Bytes, ConstBytes, get_bytes, put_user, require_user
from .poll import over, set_mask, wakes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..fs.openfile import OpenFile
    from ..task.task import LinuxTask

EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD = 1, 2, 3
_INT_MAX = (1 << 31) - 1
_BESIDE_EXCLUSIVE = 1 | 4 | 8 | 16 | EPOLLET | EPOLLWAKEUP | EPOLLEXCLUSIVE


@call("eventfd2")
def sys_eventfd2(task: LinuxTask, count: c_uint, flags: c_int) -> int:
    if flags & ~(os.O_CLOEXEC | O_NONBLOCK | EFD_SEMAPHORE):
        raise LinuxError(errno.EINVAL)
    file = EventFile(count, flags & O_NONBLOCK, bool(flags & EFD_SEMAPHORE))
    return task.files.add(file, cloexec=bool(flags & os.O_CLOEXEC))


@call("eventfd")
def sys_eventfd(task: LinuxTask, count: c_uint) -> int:
    return task.files.add(EventFile(count, 0, False))


@call("epoll_create1")
def sys_epoll_create1(task: LinuxTask, flags: c_int) -> int:
    if flags & ~os.O_CLOEXEC:
        raise LinuxError(errno.EINVAL)
    return task.files.add(EpollFile(), cloexec=bool(flags & os.O_CLOEXEC))


@call("epoll_create")
def sys_epoll_create(task: LinuxTask, size: c_int) -> int:
    if size <= 0:
        raise LinuxError(errno.EINVAL)
    return task.files.add(EpollFile())


@call("epoll_ctl")
def sys_epoll_ctl(task: LinuxTask, epfd: c_int, op: c_int, fd: c_int, event: ConstBytes) -> int:
    events = data = 0
    if op != EPOLL_CTL_DEL:
        layout = task.layouts.event
        require_user(task, event.address, layout.size, READ)
        events, data = layout.unpack(get_bytes(task, event.address, layout.size))
    epoll, file = task.files.get_io(epfd), task.files.get_io(fd)
    if not file.pollable:
        raise LinuxError(errno.EPERM)
    if epoll is file or not isinstance(epoll, EpollFile):
        raise LinuxError(errno.EINVAL)
    events &= ~EPOLLWAKEUP
    if op != EPOLL_CTL_DEL and events & EPOLLEXCLUSIVE:
        nested = isinstance(file, EpollFile) or events & ~_BESIDE_EXCLUSIVE
        if op == EPOLL_CTL_MOD or (op == EPOLL_CTL_ADD and nested):
            raise LinuxError(errno.EINVAL)
    if op == EPOLL_CTL_ADD:
        epoll.add(task.loop if _outside(file) else None, fd, file, events, data)
    elif op == EPOLL_CTL_DEL:
        epoll.remove(fd, file)
    elif op == EPOLL_CTL_MOD:
        epoll.change(fd, file, events, data)
    else:
        raise LinuxError(errno.EINVAL)
    return 0


def _outside(file: OpenFile) -> bool:
    """Whether it is the host that tells of it."""
    return file.poll_fd is not None or isinstance(file.queue, HostQueue)


def _asked(task: LinuxTask, epfd: int, events: int, most: int) -> EpollFile:
    epoll = task.files.get_io(epfd)
    size = task.layouts.event.size
    if not 0 < most <= _INT_MAX // size:
        raise LinuxError(errno.EINVAL)
    require_user(task, events, most * size, WRITE)
    if not isinstance(epoll, EpollFile):
        raise LinuxError(errno.EINVAL)
    return epoll


def _wait_on(
    task: LinuxTask, epoll: EpollFile, events: int, most: int, until: float | None, masked: bool | None
) -> int | None:
    """epoll_wait until a monotonic time. masked: with another signal mask; None: compiled code may go on with it."""
    try:
        told = _tell(task, epoll, events, most)
        if not told and not over(task, until):
            if task.disturbed():
                return -errno.EINTR
            again = _wait_on, (epoll, events, most, until, masked)
            return task.block(on=[(epoll.set, EPOLLIN)], until=wakes(task, until), again=again, interrupted=_cut)
    except LinuxError:
        if masked:
            task.signals.restore_mask(task)
        raise
    if masked:
        task.signals.restore_mask(task)
    return told


def _cut(task: LinuxTask, *data: object) -> int:
    """A signal ends the wait, and it is never made again; another mask stays for the handler."""
    return -errno.EINTR


def _tell(task: LinuxTask, epoll: EpollFile, events: int, most: int) -> int:
    """Tell the program of those that are ready (ep_send_events). EFAULT if it could be told of none."""
    found = epoll.set.collect(most)
    size, data_at = task.layouts.event.size, task.layouts.data_at
    told = 0
    try:
        for told, (entry, ready) in enumerate(found):
            at = events + told * size
            put_user(task, at, ready.to_bytes(4, "little"))  # epoll_put_uevent
            put_user(task, at + data_at, entry.data.to_bytes(8, "little"))
            epoll.set.told(entry)
    except LinuxError:
        epoll.set.keep([entry for entry, _ in found[told:]])
        if not told:
            raise
        return told
    finally:
        epoll.set.done()
    return len(found)


def _until(task: LinuxTask, timeout: int) -> float | None:
    return None if timeout < 0 else task.machine.host.monotonic() + timeout / 1000


@call("epoll_wait")
def sys_epoll_wait(task: LinuxTask, epfd: c_int, events: Bytes, most: c_int, timeout: c_int) -> int | None:
    epoll = _asked(task, epfd, events.address, most)
    return _wait_on(task, epoll, events.address, most, _until(task, timeout), False)


at_once("epoll_ctl", EpollControl, arch="x86_64")
at_once("epoll_wait", EpollWaiting, _wait_on, _cut, False, arch="x86_64")
at_once("epoll_pwait", EpollWaiting, _wait_on, _cut, True, arch="x86_64")


def _pwait(task: LinuxTask, epfd: int, events: int, most: int, until: float | None, mask: int, size: int) -> int | None:
    set_mask(task, mask, size)
    try:
        epoll = _asked(task, epfd, events, most)
    except LinuxError:
        task.signals.restore_mask(task)
        raise
    return _wait_on(task, epoll, events, most, until, bool(mask))


@call("epoll_pwait")
def sys_epoll_pwait(
    task: LinuxTask, epfd: c_int, events: Bytes, most: c_int, timeout: c_int, mask: ConstBytes, size: c_size_t
) -> int | None:
    return _pwait(task, epfd, events.address, most, _until(task, timeout), mask.address, size)


@call("epoll_pwait2")
def sys_epoll_pwait2(
    task: LinuxTask, epfd: c_int, events: Bytes, most: c_int, timeout: ConstBytes, mask: ConstBytes, size: c_size_t
) -> int | None:
    until = None if timeout.is_null else task.machine.host.monotonic() + read_timespec(task, timeout.address)
    return _pwait(task, epfd, events.address, most, until, mask.address, size)
