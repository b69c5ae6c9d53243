"""Restartable sequences: rseq(2). The area that a thread registers holds the number of its CPU, and says in which short
piece of code it must not be disturbed; if it is, it goes on at that piece's abort handler. Source: kernel/rseq.c of
Linux 6.18, Documentation on struct rseq in include/uapi/linux/rseq.h.

    0   cpu_id_start    4   cpu_id, -1 while unregistered    8   rseq_cs: address of a struct rseq_cs, 0 for none
    16  flags          20   node_id                         24   mm_cid

struct rseq_cs: version, flags (4 bytes each), start_ip, post_commit_offset, abort_ip.

What disturbs a piece of code is a signal handler (`leave_section`), another task that has its CPU meanwhile, or another
CPU (`disturbed`). Where several tasks run at once, each has a CPU of its own, whose number is told here.
"""

from __future__ import annotations

import errno
from struct import Struct, pack, unpack

from ...errors import LinuxError
from ...kernel.abi import c_int, c_uint
from ...named import NamedTuple
from ..abi.layouts import RSEQ_ALIGN
from ..registry import call
from ..uaccess import (
    USER_END,
    WRITE,
    Bytes,
    get_bytes,
    put_bytes,
    require_user,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...engine.context import Context
    from .task import LinuxTask

RSEQ_FLAG_UNREGISTER = 1
_ORIGINAL = 32
_SECTION = Struct("<IIQQQ")
_UNINITIALIZED = 0xFFFF_FFFF


class Rseq(NamedTuple):
    """A registration: where, how large, and what stands before each abort handler. An exec ends it; a thread has its
    own, a forked process keeps it."""

    address: int
    size: int
    signature: int


@call("rseq")
def sys_rseq(task: LinuxTask, area: Bytes, size: c_uint, flags: c_int, signature: c_uint) -> int:
    asked, have = Rseq(area.address, size, signature), task.rseq
    if flags & RSEQ_FLAG_UNREGISTER:
        if flags & ~RSEQ_FLAG_UNREGISTER or have is None or have[:2] != asked[:2]:
            raise LinuxError(errno.EINVAL)
        if have.signature != signature:
            raise LinuxError(errno.EPERM)
        _tell(task, have, _UNINITIALIZED)
        task.rseq = None
        return 0
    if flags:
        raise LinuxError(errno.EINVAL)
    if have is not None:
        if have[:2] != asked[:2]:
            raise LinuxError(errno.EINVAL)
        raise LinuxError(errno.EBUSY if have.signature == signature else errno.EPERM)
    if size < _ORIGINAL or asked.address % RSEQ_ALIGN:
        raise LinuxError(errno.EINVAL)
    require_user(task, asked.address, size, WRITE)
    if any(get_bytes(task, asked.address + 8, 8)):
        put_bytes(task, asked.address + 8, bytes(8))
    task.rseq = asked
    try:
        _tell(task, asked, task.sched.cpu)
    except LinuxError as error:  # found on the way back to the program
        _kill(task, error)
    return 0


def _tell(task: LinuxTask, rseq: Rseq, cpu: int) -> None:
    """Put the number of the CPU, and those of the node and of the thread on its CPUs, where the program reads them."""
    start = 0 if cpu == _UNINITIALIZED else cpu
    put_bytes(task, rseq.address, pack("<II", start, cpu))
    put_bytes(task, rseq.address + 20, pack("<II", 0, start))


def _force(task: LinuxTask, error: LinuxError) -> None:
    from ..abi.signals import SI_KERNEL, SIGSEGV, Info

    task.signals.force(task, Info(SIGSEGV, SI_KERNEL, address=0, fault=error if error.errno == errno.EFAULT else None))


def _kill(task: LinuxTask, error: LinuxError) -> None:
    _force(task, error)
    task.engine.stop()


def disturbed(task: LinuxTask, moved: bool = False) -> None:
    """Another has the CPU of the task, whose registers the engine has, or had it; or (moved) it has another."""
    assert task.rseq is not None
    try:
        leave_section(task)
        if moved:
            _tell(task, task.rseq, task.sched.cpu)
    except LinuxError as error:
        _force(task, error)


def settle(task: LinuxTask) -> None:
    """The task, which runs in no engine yet, was on a machine of several CPUs, and is on one of one now."""
    task.sched.cpu, task.sched.cpus = 0, -1
    if task.rseq is None:
        return
    try:
        if task.context is not None:
            leave_section(task, task.context)
        _tell(task, task.rseq, 0)
    except LinuxError as error:
        _force(task, error)


def leave_section(task: LinuxTask, context: Context | None = None) -> None:
    """The task is disturbed where it is: in the section that it has named, it will go on at that one's abort handler.

    context: where its registers are, if not in the engine.
    EFAULT, EINVAL if what it has named cannot be read or is none: SIGSEGV.
    """
    rseq = task.rseq
    if rseq is None:
        return
    (section_at,) = unpack("<Q", get_bytes(task, rseq.address + 8, 8))
    if not section_at:
        return
    if section_at > USER_END - _SECTION.size:
        raise LinuxError(errno.EINVAL)
    version, flags, start, length, abort = _SECTION.unpack(get_bytes(task, section_at, _SECTION.size))
    end = start + length
    if max(start, abort) >= USER_END or end >= USER_END or version or 0 <= abort - start < length:
        raise LinuxError(errno.EINVAL)
    (signature,) = unpack("<I", get_bytes(task, abort - 4, 4))
    if signature != rseq.signature:
        raise LinuxError(errno.EINVAL)
    pc = context.pc if context is not None else task.engine.regs.pc
    inside = start <= pc < end
    if inside and flags:
        raise LinuxError(errno.EINVAL)
    put_bytes(task, rseq.address + 8, bytes(8))
    if inside and context is not None:
        task.context = context.replace(**{context.arch.pc: abort})
    elif inside:
        task.engine.regs.pc = abort
