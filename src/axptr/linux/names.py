"""Calls that change names and properties of files, and the working directory. Source: mkdir(2), rename(2), unlink(2),
link(2), symlink(2), chmod(2), chown(2), utimensat(2), truncate(2), chdir(2), getcwd(2), umask(2).

Everything outside the directories that the user allowed is a read-only file system: EROFS, after the checks that
Linux makes before it looks at that (what exists is EEXIST or ENOENT first).
"""

from __future__ import annotations

import errno
import os
import stat
import time
from struct import unpack
from typing import TYPE_CHECKING

from ..errors import LinuxError
from ..kernel.abi import c_int, c_long, c_size_t, c_uint
from .hostfile import HostFile
from .hostio import host
from .nodes import DirNode
from .openfile import OpenFile
from .paths import AT_EMPTY_PATH, AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, AT_SYMLINK_NOFOLLOW, Place
from .registry import syscall
from .stat import lookup, stat_place
from .uaccess import Bytes, ConstBytes, get_bytes, read_path

if TYPE_CHECKING:
    from .task import LinuxTask


def _new_place(task: LinuxTask, dirfd: int, path: ConstBytes) -> Place:
    """Where a name is to be made: EEXIST if it is there, then EROFS unless allowed."""
    name = read_path(task, path)
    place = task.fs.resolve(task, dirfd, name, follow=False, change=True)
    if name.rstrip(b"/").endswith((b"/..", b"/.")) or name.rstrip(b"/") in (b"", b".", b".."):
        raise LinuxError(errno.EEXIST)
    if place.node is not None or (place.exists and _there(place)):
        raise LinuxError(errno.EEXIST)
    task.fs.require_change_in(place)
    return place


def _there(place: Place) -> bool:
    try:
        os.lstat(place.path)
    except OSError:
        return False
    return True


def _old_place(task: LinuxTask, dirfd: int, path: ConstBytes, *, follow: bool = False) -> Place:
    """Something that is to be moved or removed: ENOENT if it is not there, then EROFS unless allowed."""
    place = task.fs.resolve(task, dirfd, read_path(task, path), follow=follow, change=True)
    stat_place(task, place)
    task.fs.require_change_in(place)
    return place


# -- making


def _mkdir(task: LinuxTask, dirfd: int, path: ConstBytes, mode: int) -> int:
    place = _new_place(task, dirfd, path)
    host(os.mkdir, place.path, mode & 0o1777 & ~task.fs.umask)
    return 0


@syscall(83, "mkdir")
def sys_mkdir(task: LinuxTask, path: ConstBytes, mode: c_uint) -> int:
    return _mkdir(task, AT_FDCWD, path, mode)


@syscall(258, "mkdirat")
def sys_mkdirat(task: LinuxTask, dirfd: c_int, path: ConstBytes, mode: c_uint) -> int:
    return _mkdir(task, dirfd, path, mode)


def _mknod(task: LinuxTask, dirfd: int, path: ConstBytes, mode: int) -> int:
    kind = stat.S_IFMT(mode)
    if kind not in (0, stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK):
        raise LinuxError(errno.EPERM)
    place = _new_place(task, dirfd, path)
    if place.slash:
        raise LinuxError(errno.ENOENT)
    host(os.mknod, place.path, (mode & ~task.fs.umask) | (0 if kind else stat.S_IFREG))
    return 0


@syscall(133, "mknod")
def sys_mknod(task: LinuxTask, path: ConstBytes, mode: c_uint, dev: c_uint) -> int:
    return _mknod(task, AT_FDCWD, path, mode)


@syscall(259, "mknodat")
def sys_mknodat(task: LinuxTask, dirfd: c_int, path: ConstBytes, mode: c_uint, dev: c_uint) -> int:
    return _mknod(task, dirfd, path, mode)


def _symlink(task: LinuxTask, target: ConstBytes, dirfd: int, path: ConstBytes) -> int:
    text = read_path(task, target)
    if not text:
        raise LinuxError(errno.ENOENT)
    place = _new_place(task, dirfd, path)
    if place.slash:
        raise LinuxError(errno.ENOENT)
    host(os.symlink, text, place.path)
    task.fs.names_changed()
    return 0


@syscall(88, "symlink")
def sys_symlink(task: LinuxTask, target: ConstBytes, path: ConstBytes) -> int:
    return _symlink(task, target, AT_FDCWD, path)


@syscall(266, "symlinkat")
def sys_symlinkat(task: LinuxTask, target: ConstBytes, dirfd: c_int, path: ConstBytes) -> int:
    return _symlink(task, target, dirfd, path)


def _link(task: LinuxTask, olddir: int, old: ConstBytes, newdir: int, new: ConstBytes, flags: int) -> int:
    """A hard link would let the guest write to the file: the old name must be one it may change, too."""
    if flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH):
        raise LinuxError(errno.EINVAL)
    source = task.fs.resolve(task, olddir, read_path(task, old), follow=bool(flags & AT_SYMLINK_FOLLOW), change=True)
    stat_place(task, source)
    place = _new_place(task, newdir, new)
    if source.node is not None or not task.fs.may_change(source.path):
        raise LinuxError(errno.EXDEV)
    host(os.link, source.path, place.path, follow_symlinks=False)
    return 0


@syscall(86, "link")
def sys_link(task: LinuxTask, old: ConstBytes, new: ConstBytes) -> int:
    return _link(task, AT_FDCWD, old, AT_FDCWD, new, 0)


@syscall(265, "linkat")
def sys_linkat(task: LinuxTask, olddir: c_int, old: ConstBytes, newdir: c_int, new: ConstBytes, flags: c_int) -> int:
    return _link(task, olddir, old, newdir, new, flags)


# -- moving and removing


def _unlink(task: LinuxTask, dirfd: int, path: ConstBytes, directory: bool) -> int:
    place = _old_place(task, dirfd, path)
    host(os.rmdir if directory else os.unlink, place.path)
    task.fs.names_changed()
    return 0


@syscall(87, "unlink")
def sys_unlink(task: LinuxTask, path: ConstBytes) -> int:
    return _unlink(task, AT_FDCWD, path, False)


@syscall(84, "rmdir")
def sys_rmdir(task: LinuxTask, path: ConstBytes) -> int:
    return _unlink(task, AT_FDCWD, path, True)


@syscall(263, "unlinkat")
def sys_unlinkat(task: LinuxTask, dirfd: c_int, path: ConstBytes, flags: c_int) -> int:
    if flags & ~AT_REMOVEDIR:
        raise LinuxError(errno.EINVAL)
    return _unlink(task, dirfd, path, bool(flags & AT_REMOVEDIR))


def _rename(task: LinuxTask, olddir: int, old: ConstBytes, newdir: int, new: ConstBytes, flags: int) -> int:
    if flags & ~1:  # RENAME_NOREPLACE alone
        raise LinuxError(errno.EINVAL)
    names = read_path(task, old), read_path(task, new)
    source = task.fs.resolve(task, olddir, names[0], follow=False, change=True)
    goal = task.fs.resolve(task, newdir, names[1], follow=False, change=True)
    stat_place(task, source)
    task.fs.require_change_in(source)
    task.fs.require_change_in(goal)
    task.fs.require_change(source)  # not an allowed directory itself
    if flags & 1 and _there(goal):
        raise LinuxError(errno.EEXIST)
    host(os.rename, source.path, goal.path)
    task.fs.names_changed()
    return 0


@syscall(82, "rename")
def sys_rename(task: LinuxTask, old: ConstBytes, new: ConstBytes) -> int:
    return _rename(task, AT_FDCWD, old, AT_FDCWD, new, 0)


@syscall(264, "renameat")
def sys_renameat(task: LinuxTask, olddir: c_int, old: ConstBytes, newdir: c_int, new: ConstBytes) -> int:
    return _rename(task, olddir, old, newdir, new, 0)


@syscall(316, "renameat2")
def sys_renameat2(
    task: LinuxTask, olddir: c_int, old: ConstBytes, newdir: c_int, new: ConstBytes, flags: c_uint
) -> int:
    return _rename(task, olddir, old, newdir, new, flags)


# -- properties


def changeable(task: LinuxTask, dirfd: int, path: ConstBytes, flags: int) -> bytes | int:
    """What the host is to change: a path without links, or a descriptor."""
    name = read_path(task, path)
    found = lookup(task, dirfd, name, flags)
    if isinstance(found, OpenFile):
        return changeable_file(task, found)
    stat_place(task, found)
    task.fs.require_change(task.fs.resolve(task, dirfd, name, follow=not flags & AT_SYMLINK_NOFOLLOW, change=True))
    return found.path


def changeable_file(task: LinuxTask, file: OpenFile) -> int:
    if file.host_fd is None or file.path is None or not task.fs.may_change(file.path):
        raise LinuxError(errno.EROFS)
    return file.host_fd


@syscall(90, "chmod")
def sys_chmod(task: LinuxTask, path: ConstBytes, mode: c_uint) -> int:
    host(os.chmod, changeable(task, AT_FDCWD, path, 0), mode & 0o7777)
    return 0


@syscall(268, "fchmodat")
def sys_fchmodat(task: LinuxTask, dirfd: c_int, path: ConstBytes, mode: c_uint) -> int:
    host(os.chmod, changeable(task, dirfd, path, 0), mode & 0o7777)
    return 0


@syscall(452, "fchmodat2")
def sys_fchmodat2(task: LinuxTask, dirfd: c_int, path: ConstBytes, mode: c_uint, flags: c_uint) -> int:
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
        raise LinuxError(errno.EINVAL)
    where = changeable(task, dirfd, path, flags)
    if isinstance(where, bytes) and stat.S_ISLNK(host(os.lstat, where).st_mode):
        raise LinuxError(errno.EOPNOTSUPP)
    host(os.chmod, where, mode & 0o7777)
    return 0


@syscall(91, "fchmod")
def sys_fchmod(task: LinuxTask, fd: c_uint, mode: c_uint) -> int:
    host(os.chmod, changeable_file(task, task.files.get_io(fd)), mode & 0o7777)
    return 0


def _chown(where: bytes | int, uid: int, gid: int) -> int:
    follow = {} if isinstance(where, int) else {"follow_symlinks": False}
    host(os.chown, where, uid, gid, **follow)
    return 0


@syscall(92, "chown")
def sys_chown(task: LinuxTask, path: ConstBytes, uid: c_int, gid: c_int) -> int:
    return _chown(changeable(task, AT_FDCWD, path, 0), uid, gid)


@syscall(94, "lchown")
def sys_lchown(task: LinuxTask, path: ConstBytes, uid: c_int, gid: c_int) -> int:
    return _chown(changeable(task, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW), uid, gid)


@syscall(93, "fchown")
def sys_fchown(task: LinuxTask, fd: c_uint, uid: c_int, gid: c_int) -> int:
    return _chown(changeable_file(task, task.files.get_io(fd)), uid, gid)


@syscall(260, "fchownat")
def sys_fchownat(task: LinuxTask, dirfd: c_int, path: ConstBytes, uid: c_int, gid: c_int, flags: c_int) -> int:
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
        raise LinuxError(errno.EINVAL)
    return _chown(changeable(task, dirfd, path, flags), uid, gid)


_UTIME_NOW, _UTIME_OMIT = 0x3FFFFFFF, 0x3FFFFFFE


@syscall(280, "utimensat")
def sys_utimensat(task: LinuxTask, dirfd: c_int, path: ConstBytes, times: ConstBytes, flags: c_int) -> int:
    now = time.time_ns()
    wanted: list[int | None] = [now, now]
    if not times.is_null:
        words = unpack("<4q", get_bytes(task, times.address, 32))
        for i, (seconds, nanos) in enumerate((words[:2], words[2:])):
            if nanos not in (_UTIME_NOW, _UTIME_OMIT) and not 0 <= nanos < 10**9:
                raise LinuxError(errno.EINVAL)
            if nanos == _UTIME_OMIT:
                wanted[i] = None
            elif nanos != _UTIME_NOW:
                wanted[i] = seconds * 10**9 + nanos
        if wanted == [None, None]:
            return 0
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
        raise LinuxError(errno.EINVAL)
    if path.is_null:
        where: bytes | int = changeable_file(task, task.files.get(dirfd))
    else:
        where = changeable(task, dirfd, path, flags)
    old = host(os.stat, where, **({} if isinstance(where, int) else {"follow_symlinks": False}))
    times_ns = (
        old.st_atime_ns if wanted[0] is None else wanted[0],
        old.st_mtime_ns if wanted[1] is None else wanted[1],
    )
    follow = {} if isinstance(where, int) else {"follow_symlinks": False}
    host(os.utime, where, ns=times_ns, **follow)
    return 0


@syscall(76, "truncate")
def sys_truncate(task: LinuxTask, path: ConstBytes, length: c_long) -> int:
    if length < 0:
        raise LinuxError(errno.EINVAL)
    place = task.fs.resolve(task, AT_FDCWD, read_path(task, path), change=True)
    mode = stat_place(task, place).st_mode
    if stat.S_ISDIR(mode):
        raise LinuxError(errno.EISDIR)
    if not stat.S_ISREG(mode):
        raise LinuxError(errno.EINVAL)
    task.fs.require_change(place)
    fd = host(os.open, place.path, os.O_WRONLY | os.O_CLOEXEC)
    file = HostFile(fd, os.O_WRONLY, place.path)
    try:
        file.truncate(task, length)
    finally:
        file.close()
    return 0


# -- the working directory


@syscall(79, "getcwd")
def sys_getcwd(task: LinuxTask, buf: Bytes, size: c_size_t) -> int:
    text = task.fs.cwd + b"\0"
    if len(text) > size:
        raise LinuxError(errno.ERANGE)
    buf.write_slice(task, text)
    return len(text)


@syscall(80, "chdir")
def sys_chdir(task: LinuxTask, path: ConstBytes) -> int:
    place = task.fs.resolve(task, AT_FDCWD, read_path(task, path))
    if not stat.S_ISDIR(stat_place(task, place).st_mode):
        raise LinuxError(errno.ENOTDIR)
    if place.node is None and not os.access(place.path, os.X_OK, effective_ids=True):
        raise LinuxError(errno.EACCES)
    task.fs.cwd = place.path
    return 0


@syscall(81, "fchdir")
def sys_fchdir(task: LinuxTask, fd: c_uint) -> int:
    task.fs.cwd = task.files.get(fd).directory_path()
    return 0


@syscall(161, "chroot")
def sys_chroot(task: LinuxTask, path: ConstBytes) -> int:
    place = task.fs.resolve(task, AT_FDCWD, read_path(task, path))
    if not (isinstance(place.node, DirNode) or stat.S_ISDIR(stat_place(task, place).st_mode)):
        raise LinuxError(errno.ENOTDIR)
    raise LinuxError(errno.EPERM)


@syscall(95, "umask")
def sys_umask(task: LinuxTask, mask: c_int) -> int:
    old, task.fs.umask = task.fs.umask, mask & 0o777
    return old
