"""The calls that arrange the machine's own tree: mount, umount2, pivot_root; what they do is `fs.mounting`'s. They take
CAP_SYS_ADMIN, which root has here. Source: mount(2), umount(2), pivot_root(2), fs/namespace.c of Linux 6.18.
"""

from __future__ import annotations

import errno

from ...errors import LinuxError
from ...kernel.abi import c_int, c_ulong
from ..fs import mounting
from ..fs.walk import AT_FDCWD
from ..registry import call
from ..task.creds import CAP_SYS_ADMIN
from ..uaccess import PATH_MAX, ConstBytes, get_bytes, read_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..fs.node import Node
    from ..task.task import LinuxTask

_MS_NOUSER, _MS_MAGIC = 1 << 31, 0xC0ED_0000
_MS_SILENT, _MS_PROPAGATION = 1 << 15, 0xF << 17
_MNT_FORCE, _MNT_DETACH, _MNT_EXPIRE, _UMOUNT_NOFOLLOW = 1, 2, 4, 8
_PAGE = 4096


def require_admin(task: LinuxTask) -> None:
    """EPERM for who may not arrange the mounts that it sees (may_mount)."""
    if not task.creds.has_over(task.fs.mounts.users, CAP_SYS_ADMIN):
        raise LinuxError(errno.EPERM)


def _text(task: LinuxTask, address: int) -> bytes:
    """A string that may be NULL (copy_mount_string): EFAULT, EINVAL for one without an end."""
    if not address:
        return b""
    try:
        return bytes(ConstBytes(address).read_cstr(task, PATH_MAX - 1))
    except LinuxError as error:
        raise LinuxError(errno.EINVAL) if error.errno == errno.ENAMETOOLONG else error from None


def _options(task: LinuxTask, address: int) -> bytes:
    """A page of options, as far as there is memory (copy_mount_options)."""
    if not address:
        return b""
    get_bytes(task, address, 1)
    found = bytearray(_PAGE)
    got = int(ConstBytes(address).copy_in(task, found))
    return bytes(found[:got]).partition(b"\0")[0]


@call("mount")
def sys_mount(
    task: LinuxTask, source: ConstBytes, target: ConstBytes, kind: ConstBytes, flags: c_ulong, data: ConstBytes
) -> int:
    type_, what, options = _text(task, kind.address), _text(task, source.address), _options(task, data.address)
    path = read_path(task, target)
    goal = task.fs.resolve(task, AT_FDCWD, path)
    if flags & 0xFFFF_0000 == _MS_MAGIC:
        flags &= 0xFFFF
    if flags & _MS_NOUSER:
        raise LinuxError(errno.EINVAL)
    require_admin(task)
    if flags & mounting.MS_REMOUNT:
        mounting.remount(task, mounting.require_root(mounting.own(task, goal)), flags, options)
    elif flags & mounting.MS_BIND:
        if not what:
            raise LinuxError(errno.EINVAL)
        node = mounting.own(task, task.fs.resolve(task, AT_FDCWD, what))
        mounting.bind(task, node, path, mounting.own(task, goal), whole=bool(flags & mounting.MS_REC))
    elif flags & _MS_PROPAGATION:
        _propagate(mounting.own(task, goal), flags)
    elif flags & mounting.MS_MOVE:
        if not what:
            raise LinuxError(errno.EINVAL)
        node = mounting.own(task, task.fs.resolve(task, AT_FDCWD, what))
        mounting.move(task, node, path, mounting.own(task, goal))
    else:
        if kind.is_null:
            raise LinuxError(errno.EINVAL)
        mounting.mount_new(task, what or b"none", path, mounting.own(task, goal), type_, flags, options)
    return 0


def _propagate(goal: Node, flags: int) -> None:
    """One way of four, of a mount; there is nowhere that mounts could go on to."""
    way = flags & ~(mounting.MS_REC | _MS_SILENT)
    if way & ~_MS_PROPAGATION or way & (way - 1):
        raise LinuxError(errno.EINVAL)
    mounting.require_root(goal)


@call("umount2")
def sys_umount2(task: LinuxTask, target: ConstBytes, flags: c_int) -> int:
    if flags & ~(_MNT_FORCE | _MNT_DETACH | _MNT_EXPIRE | _UMOUNT_NOFOLLOW):
        raise LinuxError(errno.EINVAL)
    goal = task.fs.resolve(task, AT_FDCWD, read_path(task, target), follow=not flags & _UMOUNT_NOFOLLOW)
    require_admin(task)
    if flags & _MNT_EXPIRE and flags & (_MNT_FORCE | _MNT_DETACH):
        raise LinuxError(errno.EINVAL)
    mount = mounting.require_root(mounting.own(task, goal))
    mounting.unmount(task, mount, lazily=bool(flags & _MNT_DETACH), expire=bool(flags & _MNT_EXPIRE))
    return 0


@call("pivot_root")
def sys_pivot_root(task: LinuxTask, new: ConstBytes, old: ConstBytes) -> int:
    require_admin(task)
    top = task.fs.resolve(task, AT_FDCWD, read_path(task, new))
    if not top.is_dir:
        raise LinuxError(errno.ENOTDIR)
    path = read_path(task, old)
    below = task.fs.resolve(task, AT_FDCWD, path)
    if not below.is_dir:
        raise LinuxError(errno.ENOTDIR)
    mounting.pivot(task, mounting.own(task, top), mounting.own(task, below), path)
    return 0
