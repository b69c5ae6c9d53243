"""Name spaces: unshare, setns, and what the machine is called (sethostname, setdomainname). Source: namespaces(7),
kernel/nsproxy.c, kernel/fork.c (ksys_unshare), kernel/sys.c of Linux 6.18.

Mounts and names can be had for oneself, control groups too, of which there are none to see. Of the others there is one
of each kind: users, processes, networks, clocks and System V objects are those of the machine (EPERM).
"""

from __future__ import annotations

import errno

from ...errors import LinuxError
from ...kernel.abi import c_int, c_ulong
from ..registry import call
from ..task.clone import CLONE_NEWCGROUP, CLONE_NEWNS, CLONE_NEWUTS
from ..task.spaces import leave_spaces
from ..task.uts import NAME_MAX, Uts
from ..uaccess import ConstBytes, get_bytes
from .mounts import require_admin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

_OF_PROCESS = 0x800 | 0x100 | 0x1_0000
"""CLONE_SIGHAND, CLONE_VM, CLONE_THREAD: what only a process of one thread can be said to share no more."""
_FS, _FILES, _SYSVSEM = 0x200, 0x400, 0x4_0000
_NEW = 0x2_0000 | 0x200_0000 | 0x400_0000 | 0x800_0000 | 0x1000_0000 | 0x2000_0000 | 0x4000_0000 | 0x80
_HAD = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWCGROUP


@call("unshare")
def sys_unshare(task: LinuxTask, flags: c_ulong) -> int:
    """What a thread shares with others becomes its own."""
    if flags & ~(_OF_PROCESS | _FS | _FILES | _SYSVSEM | _NEW):
        raise LinuxError(errno.EINVAL)
    if flags & _OF_PROCESS and task.group.live > 1:
        raise LinuxError(errno.EINVAL)
    if flags & (0x100 | 0x800) and task.mm.users > 1:
        raise LinuxError(errno.EINVAL)
    if flags & _NEW:
        require_admin(task)
        if flags & _NEW & ~_HAD:
            raise LinuxError(errno.EPERM)
    if flags & (_FS | CLONE_NEWNS):
        task.fs = task.fs.copy()
    if flags & _FILES:
        task.unshare_files()
    leave_spaces(task, names=bool(flags & CLONE_NEWUTS), mounts=bool(flags & CLONE_NEWNS))
    return 0


@call("setns")
def sys_setns(task: LinuxTask, fd: c_int, flags: c_int) -> int:
    """Into the name space that a file of /proc/PID/ns is, or those of a process that a pidfd is of."""
    from ..files.pidfd import PidFile
    from ..fs.mounts import MountTable
    from ..proc.nodes import SpaceFile

    file = task.files.get_io(fd)
    if isinstance(file, PidFile):
        if not flags or flags & ~_NEW:
            raise LinuxError(errno.EINVAL)
        other = file.task
        if other.dead:
            raise LinuxError(errno.ESRCH)
        require_admin(task)
        if flags & ~_HAD:
            raise LinuxError(errno.EPERM)
        spaces: list[Uts | MountTable | None] = []
        if flags & CLONE_NEWUTS:
            spaces.append(other.uts)
        if flags & CLONE_NEWNS:
            spaces.append(other.fs.mounts)
    elif isinstance(file, SpaceFile):
        if flags and flags != file.kind_flag:
            raise LinuxError(errno.EINVAL)
        require_admin(task)
        if file.kind_flag not in (CLONE_NEWUTS, CLONE_NEWNS, CLONE_NEWCGROUP):
            raise LinuxError(errno.EPERM)
        spaces = [file.space]
    else:
        raise LinuxError(errno.EINVAL)
    for space in spaces:
        if isinstance(space, Uts):
            task.own_uts = space
        elif isinstance(space, MountTable):
            task.fs = task.fs.copy()
            task.fs.mounts = space
            task.fs.root = task.fs.cwd = space.mounts[0].root
    return 0


def _name(task: LinuxTask, name: ConstBytes, size: int) -> bytes:
    require_admin(task)
    if not 0 <= size <= NAME_MAX:
        raise LinuxError(errno.EINVAL)
    return get_bytes(task, name.address, size).partition(b"\0")[0]


@call("sethostname")
def sys_sethostname(task: LinuxTask, name: ConstBytes, size: c_int) -> int:
    task.uts.node = _name(task, name, size)
    return 0


@call("setdomainname")
def sys_setdomainname(task: LinuxTask, name: ConstBytes, size: c_int) -> int:
    task.uts.domain = _name(task, name, size)
    return 0
