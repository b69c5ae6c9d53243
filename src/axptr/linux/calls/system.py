"""Facts about the machine, and random bytes: uname(2), sysinfo(2), getrandom(2), getrusage(2), times(2)."""

from __future__ import annotations

import errno
import os
from struct import pack, unpack_from

from ...errors import LinuxError
from ...flags import WRITE
from ...kernel.abi import c_int, c_size_t, c_uint, c_ulong
from ..mem.limits import memory_size
from ..registry import call
from ..task.usage import used_by
from ..uaccess import (
    MAX_RW_COUNT,
    Bytes,
    ConstBytes,
    UserIter,
    put_bytes,
    read_path,
    require_user,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

RUSAGE_SELF, RUSAGE_CHILDREN, RUSAGE_THREAD = 0, -1, 1
_PER_MASK, _PER_LINUX32, _UNAME26 = 0xFF, 8, 0x20000
_TICK = 10_000_000
"""Nanoseconds of a clock tick, as times(2) counts them (AT_CLKTCK)."""


@call("uname")
def sys_uname(task: LinuxTask, buf: Bytes) -> int:
    u, persona = task.machine.host.uname, task.kept.personality
    machine = "i686" if persona & _PER_MASK == _PER_LINUX32 else task.engine.arch.name
    release = _as_26(u.release) if persona & _UNAME26 else u.release
    uts = task.uts
    fields = (u.sysname, uts.node, release, u.version, machine, uts.domain)
    put_bytes(task, buf.address, b"".join(os.fsencode(f)[:64].ljust(65, b"\0") for f in fields))
    return 0


def _as_26(release: str) -> str:
    """As a kernel of those that were numbered 2.6 (override_release): 6.1 is 2.6.61."""
    import re  # which few programs need

    numbers = re.match(r"\d+\.(\d+)[\d.]*(.*)", release)
    return f"2.6.{60 + int(numbers[1])}{numbers[2]}" if numbers is not None else release


@call("sysfs")
def sys_sysfs(task: LinuxTask, option: c_int, one: c_ulong, two: c_ulong) -> int:
    """Kinds of file systems by number, name, and how many there are."""
    from ..proc.tree import FILE_SYSTEMS  # which few programs need here

    if option == 1:
        name = read_path(task, ConstBytes(one))
        if name not in FILE_SYSTEMS:
            raise LinuxError(errno.EINVAL)
        return list(FILE_SYSTEMS).index(name)
    if option == 2:
        index = one & 0xFFFF_FFFF
        if index >= len(FILE_SYSTEMS):
            raise LinuxError(errno.EINVAL)
        put_bytes(task, two, list(FILE_SYSTEMS)[index] + b"\0")
        return 0
    if option == 3:
        return len(FILE_SYSTEMS)
    raise LinuxError(errno.EINVAL)


@call("ustat")
def sys_ustat(task: LinuxTask, device: c_uint, buf: Bytes) -> int:
    """What is free where a tree is mounted whose root has the device's number. EINVAL for none's."""
    for mount in task.fs.mounts.mounts:
        if mount.root.identity[0] & 0xFFFF_FFFF == device:
            _, _, _, blocks, _, _, inodes = unpack_from("<7Q", mount.root.statfs())
            put_bytes(task, buf.address, pack("<i4xQ12x4x", blocks & 0x7FFF_FFFF, inodes))
            return 0
    raise LinuxError(errno.EINVAL)


@call("sysinfo")
def sys_sysinfo(task: LinuxTask, info: Bytes) -> int:
    total, free = memory_size(task)
    up = task.machine.host.boottime_ns() // 10**9
    data = pack("<q3Q6QHH4xQQI4x", up, 0, 0, 0, total, free, 0, 0, 0, 0, 1, 0, 0, 0, 1)
    put_bytes(task, info.address, data)
    return 0


@call("getrandom")
def sys_getrandom(task: LinuxTask, buf: Bytes, count: c_size_t, flags: c_uint) -> int:
    """As far as the buffer can be written; EFAULT if that is nowhere."""
    from ..fs.devfiles import fill

    if flags & ~7 or flags & 6 == 6:
        raise LinuxError(errno.EINVAL)
    count = min(count, MAX_RW_COUNT)
    require_user(task, buf.address, count, WRITE)
    return fill(UserIter.single(task, buf.address, count), task.machine.host.random)


@call("getrusage")
def sys_getrusage(task: LinuxTask, who: c_int, usage: Bytes) -> int:
    if who not in (RUSAGE_SELF, RUSAGE_CHILDREN, RUSAGE_THREAD):
        raise LinuxError(errno.EINVAL)
    found = task.group.waited if who == RUSAGE_CHILDREN else used_by(task, alone=who == RUSAGE_THREAD)
    put_bytes(task, usage.address, found.pack())
    return 0


@call("times")
def sys_times(task: LinuxTask, buf: Bytes) -> int:
    cpu, waited = task.group.timers.cpu, task.group.waited
    if not buf.is_null:
        ticks = (cpu.user // _TICK, cpu.system // _TICK, waited.user // _TICK, waited.system // _TICK)
        put_bytes(task, buf.address, pack("<4q", *ticks))
    return task.machine.host.monotonic_ns() // _TICK


@call("syslog")
def sys_syslog(task: LinuxTask, kind: c_int, buf: Bytes, size: c_int) -> int:
    raise LinuxError(errno.EPERM)
