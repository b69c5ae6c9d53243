"""Waiting for descriptors: poll, ppoll, select, pselect6. Source: poll(2), select(2), fs/select.c.

Files of our own and regular files are always ready. For the others `waiting` asks the host.
"""

from __future__ import annotations

import errno
import select
from contextlib import suppress
from struct import iter_unpack, pack, unpack

from ...errors import LinuxError
from ...flags import WRITE
from ...kernel.abi import c_int, c_size_t, c_uint
from ..abi.timespec import read_timespec
from ..registry import call
from ..signals.state import NO_HANDLER
from ..task import waiting
from ..task.limits import RLIMIT_NOFILE, get_limit
from ..uaccess import (
    Bytes,
    ConstBytes,
    get_bytes,
    put_bytes,
    require_user,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..signals.state import Again
    from ..task.task import LinuxTask

POLLIN, POLLPRI, POLLOUT, POLLERR, POLLHUP, POLLNVAL, POLLRDNORM, POLLRDBAND = 1, 2, 4, 8, 16, 32, 64, 128
POLLWRNORM, POLLWRBAND = 0x100, 0x200
_TIME_MAX = (1 << 63) - 1
"""The most seconds that a timespec or a timeval holds."""


def ready(fd: int, event: int) -> bool:
    """Whether the host descriptor is ready now."""
    waiter = select.poll()
    waiter.register(fd, event)
    return bool(waiter.poll(0))


def poll_files(
    task: LinuxTask, wanted: list[tuple[int, int]], until: float | None, again: Again | None = None
) -> list[int]:
    """poll's work: for each (descriptor, events) the events that are there. Negative descriptors are skipped."""
    answers = [0] * len(wanted)
    hosts: dict[int, int] = {}
    users: dict[int, list[tuple[int, int]]] = {}
    for i, (fd, events) in enumerate(wanted):
        if fd < 0:
            continue
        try:
            file = task.files.get_io(fd)
        except LinuxError:
            answers[i] = POLLNVAL
            continue
        if file.host_fd is None or file.seekable:
            answers[i] = events & file.always_ready
        else:
            hosts[file.host_fd] = hosts.get(file.host_fd, 0) | events
            users.setdefault(file.host_fd, []).append((i, events))
    if any(answers):
        until = task.machine.host.monotonic()
    if hosts or not any(answers):
        for host_fd, found in waiting.wait(task, list(hosts.items()), until, restart=NO_HANDLER, again=again):
            for i, events in users[host_fd]:
                answers[i] = found & (events | POLLERR | POLLHUP | POLLNVAL)
    if not any(answers) and hosts and (until is None or task.machine.host.monotonic() < until):
        return poll_files(task, wanted, until, again)
    return answers


def _poll(task: LinuxTask, fds: Bytes, nfds: int, until: float | None, again: Again | None = None) -> int:
    if nfds > min(get_limit(task, RLIMIT_NOFILE)[0], 1 << 20):
        raise LinuxError(errno.EINVAL)
    data = get_bytes(task, fds.address, 8 * nfds) if nfds else b""
    wanted = [(fd, events) for fd, events, _ in iter_unpack("<iHH", data)]
    answers = poll_files(task, wanted, until, again)
    require_user(task, fds.address, 8 * nfds, WRITE)
    for i, answer in enumerate(answers):
        put_bytes(task, fds.address + 8 * i + 6, pack("<H", answer))
    return sum(map(bool, answers))


@call("poll")
def sys_poll(task: LinuxTask, fds: Bytes, nfds: c_uint, timeout: c_int) -> int:
    return _poll_on(task, fds.address, nfds, None if timeout < 0 else task.machine.host.monotonic() + timeout / 1000)


def _poll_on(task: LinuxTask, fds: int, nfds: int, until: float | None) -> int:
    """poll until a monotonic time; what is gone on with after a stop."""
    return _poll(task, Bytes(fds), nfds, until, (_poll_on, (fds, nfds, until)))


@call("ppoll")
def sys_ppoll(task: LinuxTask, fds: Bytes, nfds: c_uint, timeout: ConstBytes, mask: ConstBytes, size: c_size_t) -> int:
    until = None if timeout.is_null else task.machine.host.monotonic() + read_timespec(task, timeout.address)
    try:
        return _with_mask(task, mask.address, size, lambda: _poll(task, fds, nfds, until))
    finally:
        _tell_left(task, timeout.address, until, 10**9)


def _tell_left(task: LinuxTask, address: int, until: float | None, units: int) -> None:
    """Write back what is left of a timeout, as Linux does; a timeout that cannot be written is fine."""
    if until is not None:
        left = min(max(0, int((until - task.machine.host.monotonic()) * units)), _TIME_MAX * units)
        with suppress(LinuxError):
            put_bytes(task, address, pack("<qq", *divmod(left, units)))


def _with_mask(task: LinuxTask, address: int, size: int, work: Callable[[], int]) -> int:
    """Run `work` with another signal mask; if a signal ends it, the handler runs under that mask's rules."""
    if not address:
        return work()
    if size != 8:
        raise LinuxError(errno.EINVAL)
    (mask,) = unpack("<Q", get_bytes(task, address, 8))
    signals = task.signals
    before = signals.blocked
    signals.set_blocked(task, mask)
    try:
        result = work()
    except BaseException as error:
        if isinstance(error, LinuxError) and error.errno == errno.EINTR and signals.deliverable(task):
            signals.saved_mask = before
        else:
            signals.set_blocked(task, before)
        raise
    signals.set_blocked(task, before)
    return result


def _select(task: LinuxTask, n: int, sets: tuple[Bytes, Bytes, Bytes], until: float | None) -> int:
    if n < 0:
        raise LinuxError(errno.EINVAL)
    n = min(n, task.files.size)
    size = (n + 63) // 64 * 8
    masks = [int.from_bytes(get_bytes(task, p.address, size), "little") if p.address and size else 0 for p in sets]
    kinds = (
        (POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR | POLLNVAL, POLLIN | POLLRDNORM),
        (POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR | POLLNVAL, POLLOUT | POLLWRNORM),
        (POLLPRI | POLLNVAL, POLLPRI),
    )
    wanted = []
    for fd in range(n):
        events = 0
        for mask, (_, ask) in zip(masks, kinds, strict=True):
            events |= ask if mask >> fd & 1 else 0
        if events:
            task.files.get(fd)  # a mere place (O_PATH) is open, and ready for everything: POLLNVAL
            wanted.append((fd, events))
    answers = poll_files(task, wanted, until)
    results, count = [0, 0, 0], 0
    for (fd, _), answer in zip(wanted, answers, strict=True):
        for k, (hits, _) in enumerate(kinds):
            if masks[k] >> fd & 1 and answer & hits:
                results[k] |= 1 << fd
                count += 1
    for ptr, result in zip(sets, results, strict=True):
        if ptr.address and size:
            put_bytes(task, ptr.address, result.to_bytes(size, "little"))
    return count


@call("select")
def sys_select(task: LinuxTask, n: c_int, readers: Bytes, writers: Bytes, others: Bytes, timeout: Bytes) -> int:
    until = None
    if not timeout.is_null:
        seconds, micros = unpack("<qq", get_bytes(task, timeout.address, 16))
        if seconds < 0 or micros < 0:
            raise LinuxError(errno.EINVAL)
        until = task.machine.host.monotonic() + seconds + micros / 1e6
    try:
        return _select(task, n, (readers, writers, others), until)
    finally:
        _tell_left(task, timeout.address, until, 10**6)


@call("pselect6")
def sys_pselect6(
    task: LinuxTask, n: c_int, readers: Bytes, writers: Bytes, others: Bytes, timeout: ConstBytes, sigmask: ConstBytes
) -> int:
    until = None if timeout.is_null else task.machine.host.monotonic() + read_timespec(task, timeout.address)
    address = size = 0
    if not sigmask.is_null:
        address, size = unpack("<QQ", get_bytes(task, sigmask.address, 16))
    try:
        return _with_mask(task, address, size, lambda: _select(task, n, (readers, writers, others), until))
    finally:
        _tell_left(task, timeout.address, until, 10**9)
