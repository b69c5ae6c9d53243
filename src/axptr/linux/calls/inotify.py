"""The calls of inotify. Source: inotify_init(2), inotify_add_watch(2), inotify_rm_watch(2)."""

from __future__ import annotations

import errno
import os

from ...errors import LinuxError
from ...kernel.abi import c_int, c_uint
from ..files.inotify import (
    IN_ALL_EVENTS,
    IN_DONT_FOLLOW,
    IN_EXCL_UNLINK,
    IN_IGNORED,
    IN_ISDIR,
    IN_MASK_ADD,
    IN_MASK_CREATE,
    IN_ONESHOT,
    IN_ONLYDIR,
    IN_Q_OVERFLOW,
    InotifyFile,
    watches_of,
)
from ..fs.openfile import O_NONBLOCK
from ..fs.permissions import MAY_READ, require_access
from ..fs.walk import AT_FDCWD
from ..registry import call
from ..uaccess import ConstBytes, read_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask

_UNMOUNT = 0x2000
_BITS = IN_ALL_EVENTS | _UNMOUNT | IN_Q_OVERFLOW | IN_IGNORED | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK
_BITS |= IN_MASK_ADD | IN_MASK_CREATE | IN_ISDIR | IN_ONESHOT


def _make(task: LinuxTask, flags: int) -> int:
    if flags & ~(os.O_CLOEXEC | O_NONBLOCK):
        raise LinuxError(errno.EINVAL)
    file = InotifyFile(watches_of(task), flags & O_NONBLOCK)
    return task.files.add(file, cloexec=bool(flags & os.O_CLOEXEC))


@call("inotify_init")
def sys_inotify_init(task: LinuxTask) -> int:
    return _make(task, 0)


@call("inotify_init1")
def sys_inotify_init1(task: LinuxTask, flags: c_int) -> int:
    return _make(task, flags)


@call("inotify_add_watch")
def sys_inotify_add_watch(task: LinuxTask, fd: c_int, path: ConstBytes, mask: c_uint) -> int:
    if mask & ~_BITS or not mask & _BITS:
        raise LinuxError(errno.EINVAL)
    file = task.files.get_io(fd)
    if mask & IN_MASK_ADD and mask & IN_MASK_CREATE:
        raise LinuxError(errno.EINVAL)
    if not isinstance(file, InotifyFile):
        raise LinuxError(errno.EINVAL)
    node = task.fs.resolve(task, AT_FDCWD, read_path(task, path), follow=not mask & IN_DONT_FOLLOW)
    if mask & IN_ONLYDIR and not node.is_dir:
        raise LinuxError(errno.ENOTDIR)
    require_access(task, node, MAY_READ)
    return file.watch(node, mask)


@call("inotify_rm_watch")
def sys_inotify_rm_watch(task: LinuxTask, fd: c_int, wd: c_int) -> int:
    file = task.files.get_io(fd)
    if not isinstance(file, InotifyFile) or wd not in file.marks:
        raise LinuxError(errno.EINVAL)
    file.drop(file.marks[wd])
    return 0
