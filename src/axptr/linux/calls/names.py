"""Calls that change names and properties of files, and the working directory. Source: mkdir(2), rename(2), unlink(2),
link(2), symlink(2), chmod(2), chown(2), utimensat(2), truncate(2), chdir(2), getcwd(2), umask(2).

Everything outside the directories that the user allowed is a read-only file system: EROFS, in the order in which
fs/namei.c asks, but for what is not there, which is ENOENT before all.
"""

from __future__ import annotations

import errno
import stat

from ...errors import LinuxError
from ...kernel.abi import c_int, c_long, c_size_t, c_uint
from ..fs import notify
from ..fs.node import Node
from ..fs.permissions import (
    MAY_EXEC,
    MAY_WRITE,
    chmod,
    chown,
    judge,
    judge_move,
    maker,
    require,
    require_access,
    require_delete,
    require_link,
    require_rename,
    trusted,
    written,
)
from ..fs.walk import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_REMOVEDIR,
    AT_SYMLINK_FOLLOW,
    AT_SYMLINK_NOFOLLOW,
    Entry,
)
from ..registry import call
from ..task.creds import CAP_MKNOD, CAP_SYS_CHROOT
from ..uaccess import (
    Bytes,
    ConstBytes,
    put_bytes,
    read_path,
)
from .stat import lookup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask


def _new(
    task: LinuxTask, dirfd: int, path: ConstBytes, *, directory: bool = False, source: Node | None = None
) -> tuple[Node, bytes]:
    """Where a name is to be made: EEXIST if it is there, then EROFS unless allowed (filename_create), then EACCES.

    source: what gets one more name by that, which must be allowed too (EPERM).
    """
    entry = task.fs.entry(task, dirfd, read_path(task, path))
    if not entry.normal or task.fs.child(task, entry) is not None:
        raise LinuxError(errno.EEXIST)
    if entry.slash and not directory:
        raise LinuxError(errno.ENOENT)
    if source is not None and source.mount is entry.directory.mount and not trusted(task, source):
        entry.directory.require_writable()
        require_link(task, source)
    return task.fs.changeable_directory(task, entry, making=True), entry.name


def _old(task: LinuxTask, entry: Entry) -> Node:
    """The directory of a name that is to be moved or removed: EROFS unless allowed.

    Unlike a file system that is read-only as a whole, ENOENT comes first: programs remove what may not be there.
    """
    fs = task.fs
    try:
        directory = fs.changeable_directory(task, entry)
    except LinuxError as error:
        if error.errno in (errno.EROFS, errno.EPERM) and fs.child(task, entry) is None:
            raise LinuxError(errno.ENOENT) from None
        raise
    return directory


# -- making


def _mkdir(task: LinuxTask, dirfd: int, path: ConstBytes, mode: int) -> int:
    directory, name = _new(task, dirfd, path, directory=True)
    directory.make_dir(name, mode & 0o1777, task.fs.umask, maker(task, directory))
    notify.named(task, notify.CREATE, directory, name, is_dir=True)
    return 0


@call("mkdir")
def sys_mkdir(task: LinuxTask, path: ConstBytes, mode: c_uint) -> int:
    return _mkdir(task, AT_FDCWD, path, mode)


@call("mkdirat")
def sys_mkdirat(task: LinuxTask, dirfd: c_int, path: ConstBytes, mode: c_uint) -> int:
    return _mkdir(task, dirfd, path, mode)


def _mknod(task: LinuxTask, dirfd: int, path: ConstBytes, mode: int, rdev: int) -> int:
    """Devices are root's to make (vfs_mknod), but for the one that stands for nothing (a whiteout), which everybody
    may. In the host's directories nobody makes any: it would be the host's device."""
    kind = stat.S_IFMT(mode & 0xFFFF)
    if kind == stat.S_IFDIR:
        raise LinuxError(errno.EPERM)
    if kind not in (0, stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK):
        raise LinuxError(errno.EINVAL)
    directory, name = _new(task, dirfd, path)
    if kind not in (stat.S_IFCHR, stat.S_IFBLK):
        rdev = 0
    elif (kind == stat.S_IFBLK or rdev) and not task.creds.has(CAP_MKNOD):
        raise LinuxError(errno.EPERM)
    directory.make_node(name, mode & 0o7777 | (kind or stat.S_IFREG), rdev, task.fs.umask, maker(task, directory))
    notify.named(task, notify.CREATE, directory, name)
    return 0


@call("mknod")
def sys_mknod(task: LinuxTask, path: ConstBytes, mode: c_uint, dev: c_uint) -> int:
    return _mknod(task, AT_FDCWD, path, mode, dev)


@call("mknodat")
def sys_mknodat(task: LinuxTask, dirfd: c_int, path: ConstBytes, mode: c_uint, dev: c_uint) -> int:
    return _mknod(task, dirfd, path, mode, dev)


def _symlink(task: LinuxTask, target: ConstBytes, dirfd: int, path: ConstBytes) -> int:
    text = read_path(task, target)
    if not text:
        raise LinuxError(errno.ENOENT)
    directory, name = _new(task, dirfd, path)
    directory.make_link(name, text, maker(task, directory))
    notify.named(task, notify.CREATE, directory, name)
    return 0


@call("symlink")
def sys_symlink(task: LinuxTask, target: ConstBytes, path: ConstBytes) -> int:
    return _symlink(task, target, AT_FDCWD, path)


@call("symlinkat")
def sys_symlinkat(task: LinuxTask, target: ConstBytes, dirfd: c_int, path: ConstBytes) -> int:
    return _symlink(task, target, dirfd, path)


def _link(task: LinuxTask, olddir: int, old: ConstBytes, newdir: int, new: ConstBytes, flags: int) -> int:
    """A hard link would let the guest write to the file: it must be one that it may change, too."""
    if flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH):
        raise LinuxError(errno.EINVAL)
    follow = 0 if flags & AT_SYMLINK_FOLLOW else AT_SYMLINK_NOFOLLOW
    node = lookup(task, olddir, read_path(task, old), follow | flags & AT_EMPTY_PATH)
    directory, name = _new(task, newdir, new, source=node)
    mounts = task.fs.mounts.mounts
    if node.mount is not directory.mount and node.mount in mounts and directory.mount in mounts:
        raise LinuxError(errno.EXDEV)
    judge(task, node, "read")
    judge(task, node, "write")
    try:
        held = node.changeable()
    except LinuxError:
        raise LinuxError(errno.ENOENT if node.removed else errno.EXDEV) from None
    if node.is_dir:
        raise LinuxError(errno.EPERM)
    directory.link(name, held)
    notify.linked(task, held, directory, name)
    return 0


@call("link")
def sys_link(task: LinuxTask, old: ConstBytes, new: ConstBytes) -> int:
    return _link(task, AT_FDCWD, old, AT_FDCWD, new, 0)


@call("linkat")
def sys_linkat(task: LinuxTask, olddir: c_int, old: ConstBytes, newdir: c_int, new: ConstBytes, flags: c_int) -> int:
    return _link(task, olddir, old, newdir, new, flags)


# -- moving and removing


_NOT_RMDIR = {b".": errno.EINVAL, b"..": errno.ENOTEMPTY, b"/": errno.EBUSY}


def _unlink(task: LinuxTask, dirfd: int, path: ConstBytes, directory: bool) -> int:
    entry = task.fs.entry(task, dirfd, read_path(task, path))
    if not entry.normal:
        raise LinuxError(_NOT_RMDIR[entry.name] if directory else errno.EISDIR)
    if entry.directory.immutable == errno.EPERM:  # what kind it is comes before that the file system cannot
        node = task.fs.child(task, entry)
        if node is not None and node.is_dir != directory:
            raise LinuxError(errno.ENOTDIR if directory else errno.EISDIR)
    origin = _old(task, entry)
    if not trusted(task, origin):
        node = task.fs.child(task, entry)
        if node is None:
            raise LinuxError(errno.ENOENT)
        if entry.slash and not directory:
            raise LinuxError(errno.EISDIR if node.is_dir else errno.ENOTDIR)
        require_delete(task, origin, node)
    mounted = task.fs.mounts.at(entry.directory, entry.name)
    if mounted is not None:  # what kind it is comes first (may_delete)
        raise LinuxError(errno.EBUSY if mounted.is_dir == directory else errno.ENOTDIR if directory else errno.EISDIR)
    victim = _with_more_names(task, origin, entry)
    lost = notify.victim(task, origin, entry.name)
    origin.remove(entry.spelled, directory)
    _lost_name(task, victim)
    notify.removed(task, lost, origin, entry.name)
    return 0


def _with_more_names(task: LinuxTask, directory: Node, entry: Entry) -> Node | None:
    """The file that is about to lose this name, if it has others."""
    try:
        node = directory.lookup(task, entry.name)
    except LinuxError:  # the call itself says what is wrong
        return None
    return node if node is not None and not node.is_dir and node.stat(task).st_nlink > 1 else None


def _lost_name(task: LinuxTask, node: Node | None) -> None:
    """The guest took a name from a file; where it is open, it stays what it was opened as."""
    if node is not None:
        task.files.name_removed(node.identity)


@call("unlink")
def sys_unlink(task: LinuxTask, path: ConstBytes) -> int:
    return _unlink(task, AT_FDCWD, path, False)


@call("rmdir")
def sys_rmdir(task: LinuxTask, path: ConstBytes) -> int:
    return _unlink(task, AT_FDCWD, path, True)


@call("unlinkat")
def sys_unlinkat(task: LinuxTask, dirfd: c_int, path: ConstBytes, flags: c_int) -> int:
    if flags & ~AT_REMOVEDIR:
        raise LinuxError(errno.EINVAL)
    return _unlink(task, dirfd, path, bool(flags & AT_REMOVEDIR))


RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4


def _rename(task: LinuxTask, olddir: int, old: ConstBytes, newdir: int, new: ConstBytes, flags: int) -> int:
    if flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT):
        raise LinuxError(errno.EINVAL)
    if flags & RENAME_EXCHANGE and flags & (RENAME_NOREPLACE | RENAME_WHITEOUT):
        raise LinuxError(errno.EINVAL)
    names = read_path(task, old), read_path(task, new)
    source = task.fs.entry(task, olddir, names[0])
    goal = task.fs.entry(task, newdir, names[1])
    if source.directory.mount is not goal.directory.mount:
        raise LinuxError(errno.EXDEV)
    if not source.normal:
        raise LinuxError(errno.EBUSY)
    if not goal.normal:
        raise LinuxError(errno.EEXIST if flags & RENAME_NOREPLACE else errno.EBUSY)
    if goal.directory.immutable == errno.EPERM:  # of /proc, which makes no names: a lookup of none fails
        moved, taken = task.fs.child(task, source), task.fs.child(task, goal)
        if moved is None or taken is None:
            raise LinuxError(errno.ENOENT)
        if flags & RENAME_NOREPLACE:
            raise LinuxError(errno.EEXIST)
        if moved.identity == taken.identity:
            return 0
    origin = _old(task, source)
    directory = task.fs.changeable_directory(task, goal)
    if len(goal.name) > 255 and task.fs.child(task, source) is None:  # who is to move is looked for first
        raise LinuxError(errno.ENOENT)
    if task.machine.rules is not None:
        judge_move(task, task.fs.child(task, source))
        judge_move(task, task.fs.child(task, goal))
    busy = any(task.fs.mounts.at(entry.directory, entry.name) is not None for entry in (source, goal))
    if (busy or not trusted(task, origin)) and _nothing_to_rename(task, source, goal, flags):
        return 0
    if busy:
        raise LinuxError(errno.EBUSY)
    victim = None if flags & RENAME_EXCHANGE else _with_more_names(task, directory, goal)
    moved, lost = notify.victim(task, origin, source.name), notify.victim(task, directory, goal.name)
    origin.rename(source.spelled, directory, goal.spelled, flags)
    if moved is not None and lost is not None and moved.identity == lost.identity:
        return 0  # two names of one file: nothing became of it
    _lost_name(task, victim)
    before, after = (origin, source.name), (directory, goal.name)
    notify.renamed(task, moved, before, after, None if flags & RENAME_EXCHANGE else lost)
    if flags & RENAME_EXCHANGE:
        notify.renamed(task, lost, after, before, None)
    return 0


def _lies_in(task: LinuxTask, directory: Node, top: Node) -> bool:
    """Whether a directory is another, or anywhere beneath it (lock_rename)."""
    while directory.identity != top.identity:
        above = task.fs.parent(task, directory)
        if above.identity == directory.identity or above.mount is not top.mount:
            return False
        directory = above
    return True


def _nothing_to_rename(task: LinuxTask, source: Entry, goal: Entry, flags: int) -> bool:
    """do_renameat2 and vfs_rename as far as they come before, and up to, who may: whether both names are one file's."""
    moved, taken = task.fs.child(task, source), task.fs.child(task, goal)
    exchange = bool(flags & RENAME_EXCHANGE)
    if moved is None:
        raise LinuxError(errno.ENOENT)
    if taken is not None and flags & RENAME_NOREPLACE:
        raise LinuxError(errno.EEXIST)
    if exchange and taken is None:
        raise LinuxError(errno.ENOENT)
    if (exchange and taken is not None and not taken.is_dir and goal.slash) or (
        not moved.is_dir and (source.slash or (goal.slash and not exchange))
    ):
        raise LinuxError(errno.ENOTDIR)
    if moved.is_dir and _lies_in(task, goal.directory, moved):
        raise LinuxError(errno.EINVAL)
    if taken is not None and taken.is_dir and _lies_in(task, source.directory, taken):
        raise LinuxError(errno.EINVAL if exchange else errno.ENOTEMPTY)
    if taken is not None and taken.identity == moved.identity:
        return True
    require_rename(task, (source.directory, moved), (goal.directory, taken), exchange=exchange)
    return False


@call("rename")
def sys_rename(task: LinuxTask, old: ConstBytes, new: ConstBytes) -> int:
    return _rename(task, AT_FDCWD, old, AT_FDCWD, new, 0)


@call("renameat")
def sys_renameat(task: LinuxTask, olddir: c_int, old: ConstBytes, newdir: c_int, new: ConstBytes) -> int:
    return _rename(task, olddir, old, newdir, new, 0)


@call("renameat2")
def sys_renameat2(
    task: LinuxTask, olddir: c_int, old: ConstBytes, newdir: c_int, new: ConstBytes, flags: c_uint
) -> int:
    return _rename(task, olddir, old, newdir, new, flags)


# -- properties


def changeable(task: LinuxTask, dirfd: int, path: ConstBytes, flags: int) -> Node:
    """What a path names, as it may be changed."""
    node = lookup(task, dirfd, read_path(task, path), flags)
    judge(task, node, "write")
    return node.changeable()


def changeable_file(task: LinuxTask, fd: int) -> Node:
    """What is open, as it may be changed; EBADF for a mere place (O_PATH)."""
    node = task.files.get_io(fd).node()
    if node is None:
        raise LinuxError(errno.EROFS)
    judge(task, node, "write")
    return node.changeable()


@call("chmod")
def sys_chmod(task: LinuxTask, path: ConstBytes, mode: c_uint) -> int:
    node = changeable(task, AT_FDCWD, path, 0)
    chmod(task, node, mode & 0o7777)
    notify.happened(task, notify.ATTRIB, node)
    return 0


@call("fchmodat")
def sys_fchmodat(task: LinuxTask, dirfd: c_int, path: ConstBytes, mode: c_uint) -> int:
    node = changeable(task, dirfd, path, 0)
    chmod(task, node, mode & 0o7777)
    notify.happened(task, notify.ATTRIB, node)
    return 0


@call("fchmodat2")
def sys_fchmodat2(task: LinuxTask, dirfd: c_int, path: ConstBytes, mode: c_uint, flags: c_uint) -> int:
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
        raise LinuxError(errno.EINVAL)
    node = changeable(task, dirfd, path, flags)
    chmod(task, node, mode & 0o7777)
    notify.happened(task, notify.ATTRIB, node)
    return 0


@call("fchmod")
def sys_fchmod(task: LinuxTask, fd: c_uint, mode: c_uint) -> int:
    node = changeable_file(task, fd)
    chmod(task, node, mode & 0o7777)
    notify.happened(task, notify.ATTRIB, node)
    return 0


def _give(task: LinuxTask, node: Node, uid: int, gid: int) -> int:
    """Let owner and group be those that a task means, and say so; -1 twice changes nothing. EINVAL for who is nobody in
    its name space."""
    if task.creds.space is not None:
        from ..task.userspace import told_owners

        uid, gid = told_owners(task.creds.space, uid, gid)
    chown(task, node, uid, gid)
    if not uid == gid == 0xFFFF_FFFF:
        notify.happened(task, notify.ATTRIB, node)
    return 0


@call("chown")
def sys_chown(task: LinuxTask, path: ConstBytes, uid: c_uint, gid: c_uint) -> int:
    return _give(task, changeable(task, AT_FDCWD, path, 0), uid, gid)


@call("lchown")
def sys_lchown(task: LinuxTask, path: ConstBytes, uid: c_uint, gid: c_uint) -> int:
    return _give(task, changeable(task, AT_FDCWD, path, AT_SYMLINK_NOFOLLOW), uid, gid)


@call("fchown")
def sys_fchown(task: LinuxTask, fd: c_uint, uid: c_uint, gid: c_uint) -> int:
    return _give(task, changeable_file(task, fd), uid, gid)


@call("fchownat")
def sys_fchownat(task: LinuxTask, dirfd: c_int, path: ConstBytes, uid: c_uint, gid: c_uint, flags: c_int) -> int:
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
        raise LinuxError(errno.EINVAL)
    return _give(task, changeable(task, dirfd, path, flags), uid, gid)


@call("truncate")
def sys_truncate(task: LinuxTask, path: ConstBytes, length: c_long) -> int:
    if length < 0:
        raise LinuxError(errno.EINVAL)
    node = task.fs.resolve(task, AT_FDCWD, read_path(task, path))
    if node.is_dir:
        raise LinuxError(errno.EISDIR)
    if not stat.S_ISREG(node.mode):
        raise LinuxError(errno.EINVAL)
    judge(task, node, "write")
    require(task, node, MAY_WRITE)
    goal = node.changeable()
    written(task, goal)
    goal.truncate(task, length)
    notify.happened(task, notify.MODIFY, node)
    return 0


# -- the working directory


@call("getcwd")
def sys_getcwd(task: LinuxTask, buf: Bytes, size: c_size_t) -> int:
    cwd = task.fs.cwd
    if cwd.removed:
        raise LinuxError(errno.ENOENT)
    text = task.fs.shown(cwd.where(), marked=True) + b"\0"
    if len(text) > size:
        raise LinuxError(errno.ERANGE)
    put_bytes(task, buf.address, text)
    return len(text)


def _directory(task: LinuxTask, node: Node) -> Node:
    """A directory that may be searched, to be kept."""
    if not node.is_dir:
        raise LinuxError(errno.ENOTDIR)
    require_access(task, node, MAY_EXEC)
    return node.hold()


@call("chdir")
def sys_chdir(task: LinuxTask, path: ConstBytes) -> int:
    task.fs.cwd = _directory(task, task.fs.resolve(task, AT_FDCWD, read_path(task, path)))
    return 0


@call("fchdir")
def sys_fchdir(task: LinuxTask, fd: c_uint) -> int:
    node = task.files.get(fd).node()
    if node is None:
        raise LinuxError(errno.ENOTDIR)
    task.fs.cwd = _directory(task, node)
    return 0


@call("chroot")
def sys_chroot(task: LinuxTask, path: ConstBytes) -> int:
    """The working directory stays, and with it the way to what is above it, as on Linux."""
    node = task.fs.resolve(task, AT_FDCWD, read_path(task, path))
    if not node.is_dir:
        raise LinuxError(errno.ENOTDIR)
    require_access(task, node, MAY_EXEC)
    if not task.creds.has_here(CAP_SYS_CHROOT):
        raise LinuxError(errno.EPERM)
    task.fs.root = node.hold()
    task.space.is_kin = False
    return 0


@call("umask")
def sys_umask(task: LinuxTask, mask: c_int) -> int:
    old, task.fs.umask = task.fs.umask, mask & 0o777
    return old
