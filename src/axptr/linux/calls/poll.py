"""Waiting for descriptors: poll, ppoll, select, pselect6. Source: poll(2), select(2), fs/select.c.

Those behind which the host has something are asked about in one call; the others say themselves what is ready.
"""

from __future__ import annotations

import errno
import select
from struct import iter_unpack, pack, unpack

from ..._core.kernel.pollcalls import Polling
from ...errors import LinuxError
from ...flags import WRITE
from ...kernel.abi import c_int, c_size_t, c_uint
from ..abi.timespec import read_timespec
from ..registry import at_once, call
from ..signals.state import NO_HANDLER
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
    from typing import Any

    from ...kernel.wait import Resume
    from ..fs.openfile import OpenFile
    from ..task.task import LinuxTask

    Wanted = tuple[tuple[int, int], ...]
    """Descriptors, each with the events that are asked for."""
    Left = tuple[int, float | None, int]
    """Where what is left of a timeout goes, the time at which it is over, units of its second word in a second."""

POLLIN, POLLPRI, POLLOUT, POLLERR, POLLHUP, POLLNVAL, POLLRDNORM, POLLRDBAND = 1, 2, 4, 8, 16, 32, 64, 128
POLLWRNORM, POLLWRBAND = 0x100, 0x200
_UNASKED = POLLERR | POLLHUP | POLLNVAL
"""Events that are told of without being asked for."""
_TIME_MAX = (1 << 63) - 1
"""The most seconds that a timespec or a timeval holds."""
_STICKY_TIMEOUTS = 0x400_0000
"""Of personality(2): what is left of a timeout is not written back."""


def look(task: LinuxTask, wanted: Wanted) -> list[int]:
    """For each (descriptor, events) the events that are there now. Negative descriptors are skipped."""
    answers = [0] * len(wanted)
    hosts: dict[int, int] = {}
    users: dict[int, list[int]] = {}
    for i, (fd, events) in enumerate(wanted):
        if fd < 0:
            continue
        try:
            file = task.files.get_io(fd)
        except LinuxError:
            answers[i] = POLLNVAL
            continue
        host_fd = file.poll_fd
        if host_fd is None:
            answers[i] = file.ready_to(task, events | _UNASKED)
        else:
            hosts[host_fd] = hosts.get(host_fd, 0) | events
            users.setdefault(host_fd, []).append(i)
    if hosts:
        poller = select.poll()
        for host_fd, events in hosts.items():
            poller.register(host_fd, events)
        for host_fd, found in poller.poll(0):
            for i in users[host_fd]:
                answers[i] = found & (wanted[i][1] | _UNASKED)
    return answers


def _files(task: LinuxTask, wanted: Wanted) -> list[tuple[OpenFile, int]]:
    """What to wait for until one of them is ready."""
    return [(task.files.get_io(fd), events | _UNASKED) for fd, events in wanted if fd >= 0]


def over(task: LinuxTask, until: float | None) -> bool:
    """Whether nothing is there in time. A signal that came by then goes before that (do_poll, core_sys_select)."""
    return until is not None and task.machine.host.monotonic() >= until and not task.disturbed()


def wakes(task: LinuxTask, until: float | None) -> float | None:
    """When a wait is to end; one that is cut short at once needs no time."""
    return None if task.disturbed() else until


@call("poll")
def sys_poll(task: LinuxTask, fds: Bytes, nfds: c_uint, timeout: c_int) -> int | None:
    wanted = _asked(task, fds.address, nfds)
    until = None if timeout < 0 else task.machine.host.monotonic() + timeout / 1000
    return _poll_on(task, fds.address, wanted, until)


def _most(task: LinuxTask) -> int:
    """Of how many descriptors it may ask."""
    return min(get_limit(task, RLIMIT_NOFILE)[0], 1 << 20)


at_once("poll", Polling, _most)


def _asked(task: LinuxTask, fds: int, nfds: int) -> Wanted:
    """The array of struct pollfd."""
    if nfds > _most(task):
        raise LinuxError(errno.EINVAL)
    data = get_bytes(task, fds, 8 * nfds) if nfds else b""
    return tuple((fd, events) for fd, events, _ in iter_unpack("<iHH", data))


def _poll_on(task: LinuxTask, fds: int, wanted: Wanted, until: float | None) -> int | None:
    """poll, until a monotonic time; this too is what is gone on with after a stop (do_restart_poll)."""
    answers = look(task, wanted)
    if not any(answers) and not over(task, until):
        rest = _poll_on, (fds, wanted, until)
        return task.block(on=_files(task, wanted), until=wakes(task, until), again=rest, restart=rest)
    return _tell(task, fds, answers)


def _tell(task: LinuxTask, fds: int, answers: list[int]) -> int:
    require_user(task, fds, 8 * len(answers), WRITE)
    for i, answer in enumerate(answers):
        put_bytes(task, fds + 8 * i + 6, pack("<H", answer))
    return sum(map(bool, answers))


@call("ppoll")
def sys_ppoll(
    task: LinuxTask, fds: Bytes, nfds: c_uint, timeout: ConstBytes, mask: ConstBytes, size: c_size_t
) -> int | None:
    until = None if timeout.is_null else task.machine.host.monotonic() + read_timespec(task, timeout.address)
    left = timeout.address, until, 10**9
    set_mask(task, mask.address, size)
    try:
        wanted = _asked(task, fds.address, nfds)
    except LinuxError:
        _end(task, left)
        raise
    return _ppoll_on(task, fds.address, wanted, left)


def _ppoll_on(task: LinuxTask, fds: int, wanted: Wanted, left: Left) -> int | None:
    answers = look(task, wanted)
    if not any(answers) and not over(task, left[1]):
        again = _ppoll_on, (fds, wanted, left)
        return _block(task, wanted, left, again)
    try:
        return _tell(task, fds, answers)
    finally:
        _end(task, left)


# -- what ppoll, select and pselect6 have in common: a timeout that is written back, and another signal mask


def _block(task: LinuxTask, wanted: Wanted, left: Left, again: Resume) -> int | None:
    on = _files(task, wanted)
    until = wakes(task, left[1])
    return task.block(on=on, until=until, again=again, restart=NO_HANDLER, interrupted=_cut_short)


def _cut_short(task: LinuxTask, *data: Any) -> int | None:
    """A signal came. A call whose timeout cannot be written back cannot be made again with what is left of it
    (poll_select_finish); the mask stays for the handler."""
    return None if _tell_left(task, *data[-1]) else -errno.EINTR


def _end(task: LinuxTask, left: Left) -> None:
    task.signals.restore_mask(task)
    _tell_left(task, *left)


def _tell_left(task: LinuxTask, address: int, until: float | None, units: int) -> bool:
    """Write back what is left of a timeout, as Linux does; one that cannot or shall not be written is fine: False."""
    if until is None:
        return True
    if task.kept.personality & _STICKY_TIMEOUTS:
        return False
    left = min(max(0, int((until - task.machine.host.monotonic()) * units)), _TIME_MAX * units)
    try:
        put_bytes(task, address, pack("<qq", *divmod(left, units)))
    except LinuxError:
        return False
    return True


def set_mask(task: LinuxTask, address: int, size: int) -> None:
    """Have another signal mask until the call is done; if a signal ends it, the handler runs under its rules."""
    if not address:
        return
    if size != 8:
        raise LinuxError(errno.EINVAL)
    (mask,) = unpack("<Q", get_bytes(task, address, 8))
    task.signals.saved_mask = task.signals.blocked
    task.signals.set_blocked(task, mask)


# -- select


_HITS = (
    (POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR | POLLNVAL, POLLIN | POLLRDNORM),
    (POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR | POLLNVAL, POLLOUT | POLLWRNORM),
    (POLLPRI | POLLNVAL, POLLPRI),
)
"""For each of the three sets: what counts as ready, and what is asked for."""


def _select(task: LinuxTask, n: int, sets: tuple[int, ...], left: Left) -> int | None:
    try:
        if n < 0:
            raise LinuxError(errno.EINVAL)
        n = min(n, task.files.size)
        size = (n + 63) // 64 * 8
        masks = tuple(int.from_bytes(get_bytes(task, p, size), "little") if p and size else 0 for p in sets)
        wanted = []
        for fd in range(n):
            events = 0
            for mask, (_, ask) in zip(masks, _HITS, strict=True):
                events |= ask if mask >> fd & 1 else 0
            if events:
                task.files.get(fd)  # a mere place (O_PATH) is open, and ready for everything: POLLNVAL
                wanted.append((fd, events))
    except LinuxError:
        _end(task, left)
        raise
    return _select_on(task, tuple(wanted), masks, sets, size, left)


def _select_on(
    task: LinuxTask, wanted: Wanted, masks: tuple[int, ...], sets: tuple[int, ...], size: int, left: Left
) -> int | None:
    answers = look(task, wanted)
    results, count = [0, 0, 0], 0
    for (fd, _), answer in zip(wanted, answers, strict=True):
        for k, (hits, _) in enumerate(_HITS):
            if masks[k] >> fd & 1 and answer & hits:
                results[k] |= 1 << fd
                count += 1
    if not count and not over(task, left[1]):
        return _block(task, wanted, left, (_select_on, (wanted, masks, sets, size, left)))
    try:
        for address, result in zip(sets, results, strict=True):
            if address and size:
                put_bytes(task, address, result.to_bytes(size, "little"))
        return count
    finally:
        _end(task, left)


@call("select")
def sys_select(task: LinuxTask, n: c_int, readers: Bytes, writers: Bytes, others: Bytes, timeout: Bytes) -> int | None:
    until = None
    if not timeout.is_null:
        seconds, micros = unpack("<qq", get_bytes(task, timeout.address, 16))
        if seconds < 0 or micros < 0:
            raise LinuxError(errno.EINVAL)
        until = task.machine.host.monotonic() + seconds + micros / 1e6
    sets = readers.address, writers.address, others.address
    return _select(task, n, sets, (timeout.address, until, 10**6))


@call("pselect6")
def sys_pselect6(
    task: LinuxTask, n: c_int, readers: Bytes, writers: Bytes, others: Bytes, timeout: ConstBytes, sigmask: ConstBytes
) -> int | None:
    until = None if timeout.is_null else task.machine.host.monotonic() + read_timespec(task, timeout.address)
    address = size = 0
    if not sigmask.is_null:
        address, size = unpack("<QQ", get_bytes(task, sigmask.address, 16))
    set_mask(task, address, size)
    sets = readers.address, writers.address, others.address
    return _select(task, n, sets, (timeout.address, until, 10**9))
