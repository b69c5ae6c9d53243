"""The calls of System V semaphores. Source: semget(2), semop(2), semctl(2), ipc/sem.c: its order of checks."""

from __future__ import annotations

import errno
from struct import iter_unpack, pack, unpack

from ...errors import LinuxError
from ...kernel.abi import c_int, c_uint, c_ulong
from ..abi.timespec import read_timespec
from ..ipc.ids import IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT
from ..ipc.sem import SEMAEM, SEMMNI, SEMMNS, SEMMSL, SEMOPM, SEMVMX, SemSet, Waiting, changed
from ..mem.limits import charge
from ..registry import call
from ..uaccess import ConstBytes, get_bytes, put_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

GETPID, GETVAL, GETALL, GETNCNT, GETZCNT, SETVAL, SETALL, SEM_STAT, SEM_INFO, SEM_STAT_ANY = range(11, 21)
_SET_SIZE = 104
_SEMUSZ = 20


@call("semget")
def sys_semget(task: LinuxTask, key: c_int, count: c_int, flag: c_int) -> int:
    sets = task.ipc.semaphores
    if not 0 <= count <= SEMMSL:
        raise LinuxError(errno.EINVAL)

    def make() -> SemSet:
        if not count:
            raise LinuxError(errno.EINVAL)
        if sets.total + count > SEMMNS:
            raise LinuxError(errno.ENOSPC)
        charge(task, pipes=64 * count)
        return SemSet(task, key, flag, count)

    return sets.open(task, key, flag, lambda found: count <= len(found.values), make)


@call("semop")
def sys_semop(task: LinuxTask, number: c_int, ops: ConstBytes, count: c_uint) -> int | None:
    return _semop(task, number, ops.address, count, None)


@call("semtimedop")
def sys_semtimedop(task: LinuxTask, number: c_int, ops: ConstBytes, count: c_uint, timeout: ConstBytes) -> int | None:
    until = None
    if not timeout.is_null:
        until = read_timespec(task, timeout.address)
    return _semop(task, number, ops.address, count, until)


def _semop(task: LinuxTask, number: int, ops: int, count: int, timeout: float | None) -> int | None:
    if count > SEMOPM:
        raise LinuxError(errno.E2BIG)
    parts = tuple(iter_unpack("<Hhh", get_bytes(task, ops, 6 * count) if count else b""))
    if count < 1 or number < 0:
        raise LinuxError(errno.EINVAL)
    made = task.ipc.semaphores.get(number)
    if max(part[0] for part in parts) >= len(made.values):
        raise LinuxError(errno.EFBIG)
    alters = any(change for _, change, _ in parts)
    made.require(task, 0o222 if alters else 0o444)
    who = Waiting(task, parts)
    if made.attempt(who) == 0:
        if alters:
            made.update()
        return 0
    made.waiting.append(who)
    until = None if timeout is None else task.machine.host.monotonic() + timeout
    return task.block(on=[(who, 1)], until=until, again=(_done, (made, who)), interrupted=_cut)


def _done(task: LinuxTask, made: SemSet, who: Waiting) -> int:
    """It was done, or the time is up, or the set is no more."""
    if who.status is None:
        made.waiting.remove(who)
        raise LinuxError(errno.EAGAIN)
    if who.status:
        raise LinuxError(who.status)
    return 0


def _cut(task: LinuxTask, made: SemSet, who: Waiting) -> int:
    """A signal came; the call is never made again."""
    if who in made.waiting:
        made.waiting.remove(who)
    return -errno.EINTR


@call("semctl")
def sys_semctl(task: LinuxTask, number: c_int, index: c_int, command: c_int, argument: c_ulong) -> int:
    if number < 0:
        raise LinuxError(errno.EINVAL)
    sets = task.ipc.semaphores
    if command in (IPC_INFO, SEM_INFO):
        told = (len(sets), sets.total) if command == SEM_INFO else (_SEMUSZ, SEMAEM)
        limits = SEMMNS, SEMMNI, SEMMNS, SEMMNS, SEMMSL, SEMOPM, SEMOPM, told[0], SEMVMX, told[1]
        put_bytes(task, argument, pack("<10i", *limits))
        return sets.highest
    if command in (IPC_STAT, SEM_STAT, SEM_STAT_ANY):
        made, result = sets.shown(task, number, by_index=command != IPC_STAT, to_all=command == SEM_STAT_ANY)
        put_bytes(task, argument, made.describe(task))
        return result
    if command in (GETALL, SETALL):
        return _all(task, sets.get(number), command, argument)
    if command in (GETVAL, GETPID, GETNCNT, GETZCNT):
        return _one(task, sets.get(number), index, command)
    if command == SETVAL:
        _set(task, sets.get(number), index, argument)
        return 0
    if command == IPC_SET:
        raw = get_bytes(task, argument, _SET_SIZE)
        sets.owned(task, number).set_perm(task, raw)
        return 0
    if command == IPC_RMID:
        sets.destroy(sets.owned(task, number))
        return 0
    raise LinuxError(errno.EINVAL)


def _all(task: LinuxTask, made: SemSet, command: int, argument: int) -> int:
    made.require(task, 0o222 if command == SETALL else 0o444)
    count = len(made.values)
    if command == GETALL:
        put_bytes(task, argument, pack(f"<{count}H", *made.values))
        return 0
    values = unpack(f"<{count}H", get_bytes(task, argument, 2 * count))
    if max(values) > SEMVMX:
        raise LinuxError(errno.ERANGE)
    made.values[:] = values
    made.pids[:] = [task.pid] * count
    made.forget_undo()
    changed(task, made)
    return 0


def _one(task: LinuxTask, made: SemSet, index: int, command: int) -> int:
    made.require(task, 0o444)
    if not 0 <= index < len(made.values):
        raise LinuxError(errno.EINVAL)
    if command == GETVAL:
        return made.values[index]
    if command == GETPID:
        return made.pids[index]
    return made.counted(index, command == GETZCNT)


def _set(task: LinuxTask, made: SemSet, index: int, argument: int) -> None:
    value = (argument & 0xFFFF_FFFF ^ 1 << 31) - (1 << 31)
    if not 0 <= value <= SEMVMX:
        raise LinuxError(errno.ERANGE)
    if not 0 <= index < len(made.values):
        raise LinuxError(errno.EINVAL)
    made.require(task, 0o222)
    made.forget_undo(index)
    made.values[index] = value
    made.pids[index] = task.pid
    changed(task, made)
