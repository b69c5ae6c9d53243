"""Name spaces: unshare, setns, and what the machine is called (sethostname, setdomainname). Source: namespaces(7),
kernel/nsproxy.c, kernel/fork.c (ksys_unshare), kernel/sys.c of Linux 6.18.

Users, mounts, names, networks and objects of System V can be had for oneself, control groups too, of which there are
none to see. Of the others there is one of each kind: processes and clocks are those of the machine (EPERM).
"""

from __future__ import annotations

import errno

from ...errors import LinuxError
from ...kernel.abi import c_int, c_ulong
from ..abi.clone import (
    CLONE_FILES,
    CLONE_FS,
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    CLONE_SIGHAND,
    CLONE_SYSVSEM,
    CLONE_THREAD,
    CLONE_VM,
    HAD,
    NEW,
)
from ..fs.mounts import MountTable
from ..ipc.space import IpcSpace
from ..net.network import Network
from ..registry import call
from ..task.creds import CAP_SYS_ADMIN, CAP_SYS_CHROOT
from ..task.looking import require_look
from ..task.spaces import enter_ipc, enter_mounts, enter_network, enter_spaces, make_spaces
from ..task.userspace import UserSpace, new_space
from ..task.uts import NAME_MAX, Uts
from ..uaccess import ConstBytes, get_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.creds import Credentials
    from ..task.spaces import Space
    from ..task.task import LinuxTask

_OF_PROCESS = CLONE_SIGHAND | CLONE_VM | CLONE_THREAD
"""What only a process of one thread can be said to share no more."""


@call("unshare")
def sys_unshare(task: LinuxTask, flags: c_ulong) -> int:
    """What a thread shares with others becomes its own."""
    if flags & (CLONE_NEWUSER | CLONE_NEWPID):
        flags |= CLONE_THREAD
    if flags & ~(_OF_PROCESS | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | NEW):
        raise LinuxError(errno.EINVAL)
    if flags & _OF_PROCESS and task.group.live > 1:
        raise LinuxError(errno.EINVAL)
    if flags & (CLONE_VM | CLONE_SIGHAND) and task.mm.users > 1:
        raise LinuxError(errno.EINVAL)
    if flags & NEW & ~HAD:
        raise LinuxError(errno.EPERM)
    if flags & CLONE_NEWUSER:
        creds = new_space(task)
    elif flags & NEW:
        _require_admin(task, task.creds.space)
    made = make_spaces(task, task.fs, flags, creds.space if flags & CLONE_NEWUSER else task.creds.space)
    if flags & CLONE_NEWUSER:
        task.adopt(creds)
    if flags & (CLONE_FS | CLONE_NEWNS | CLONE_NEWUSER):
        task.fs = task.fs.copy()
    if flags & CLONE_FILES:
        task.unshare_files()
    if flags & CLONE_NEWIPC:
        task.ipc.left(task.group)  # exit_sem
    enter_spaces(task, made)
    return 0


@call("setns")
def sys_setns(task: LinuxTask, fd: c_int, flags: c_int) -> int:
    """Into the name space that a file of /proc/PID/ns is, or those of a process that a pidfd is of."""
    from ..files.pidfd import PidFile
    from ..proc.nodes import SpaceFile

    file = task.files.get_io(fd)
    spaces: list[tuple[int, Space]] = []
    if isinstance(file, PidFile):
        if not flags or flags & ~NEW:
            raise LinuxError(errno.EINVAL)
        other = file.task
        if other.dead:
            raise LinuxError(errno.ESRCH)
        require_look(task, other)
        if flags & ~HAD:
            raise LinuxError(errno.EPERM)
        if flags & CLONE_NEWUSER:
            spaces.append((CLONE_NEWUSER, other.creds.space))
        if flags & CLONE_NEWUTS:
            spaces.append((CLONE_NEWUTS, other.uts))
        if flags & CLONE_NEWNS:
            spaces.append((CLONE_NEWNS, other.fs.mounts))
        if flags & CLONE_NEWIPC:
            spaces.append((CLONE_NEWIPC, other.ipc))
        if flags & CLONE_NEWNET:
            spaces.append((CLONE_NEWNET, other.network))
        if flags & CLONE_NEWCGROUP:
            spaces.append((CLONE_NEWCGROUP, None))
    elif isinstance(file, SpaceFile):
        if flags and flags != file.kind_flag:
            raise LinuxError(errno.EINVAL)
        if not file.kind_flag & HAD:
            raise LinuxError(errno.EPERM)
        spaces.append((file.kind_flag, file.space))
    else:
        raise LinuxError(errno.EINVAL)
    creds = task.creds
    for kind, space in spaces:
        creds = _admitted(task, creds, kind, space)
    if creds is not task.creds:
        task.adopt(creds)
    for _, space in spaces:
        if isinstance(space, Uts):
            task.own_uts = space
        elif isinstance(space, IpcSpace):
            task.ipc.left(task.group)
            enter_ipc(task, space if space is not task.machine.ipc else None)
        elif isinstance(space, Network):
            enter_network(task, space if space is not task.machine.network else None)
        elif isinstance(space, MountTable):
            task.fs = task.fs.copy()
            enter_mounts(task, space, space.mounts[0].root, space.mounts[0].root)
    return 0


def _admitted(task: LinuxTask, creds: Credentials, kind: int, space: Space) -> Credentials:
    """Who the task is once it has entered a name space, by what it is by then. EPERM for who may not; EINVAL for the
    one of users that it is in, with several threads, or with a shared root (userns_install, mntns_install)."""
    if kind == CLONE_NEWUSER:
        assert space is None or isinstance(space, UserSpace)
        if space is creds.space or task.group.live > 1:
            raise LinuxError(errno.EINVAL)
        _require_own_root(task)
        if not creds.has_over(space, CAP_SYS_ADMIN):
            raise LinuxError(errno.EPERM)
        return creds.within(space)
    owner = space.users if isinstance(space, (Uts, MountTable, IpcSpace, Network)) else None
    if not creds.has_over(owner, CAP_SYS_ADMIN) or not creds.has_here(CAP_SYS_ADMIN):
        raise LinuxError(errno.EPERM)
    if kind == CLONE_NEWNS:
        if not creds.has_here(CAP_SYS_CHROOT):
            raise LinuxError(errno.EPERM)
        _require_own_root(task)
    return creds


def _require_own_root(task: LinuxTask) -> None:
    """EINVAL for who shares its root and working directory with others."""
    if any(other.fs is task.fs for other in task.machine.tasks.values() if other is not task and not other.dead):
        raise LinuxError(errno.EINVAL)


def _require_admin(task: LinuxTask, owner: UserSpace | None) -> None:
    """EPERM for who has no rights over what a name space of users owns."""
    if not task.creds.has_over(owner, CAP_SYS_ADMIN):
        raise LinuxError(errno.EPERM)


def _name(task: LinuxTask, name: ConstBytes, size: int) -> bytes:
    _require_admin(task, task.uts.users)
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
