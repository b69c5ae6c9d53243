"""open(2): which file, under which conditions, made or not. Source: open(2), fs/open.c, fs/namei.c.

The order of errors is that of fs/namei.c: what is there first (ENOENT, ELOOP, EEXIST, EISDIR, ENOTDIR), then who may
(EACCES), then the read-only file system (EROFS).
"""

from __future__ import annotations

import errno
import os
from struct import unpack

from ..._core.kernel.filecalls import AT, PLAIN, OpenCall
from ...errors import LinuxError
from ...kernel.abi import c_int, c_uint, c_ulong
from ..abi.openflags import O_LARGEFILE
from ..registry import at_once, call
from ..uaccess import ConstBytes, get_struct, read_path
from . import notify
from .host.tree import opened_plainly
from .node import Node
from .openfile import O_PATH, OpenFile, OpenWaits
from .permissions import (
    MAY_EXEC,
    MAY_WRITE,
    bytes_written,
    judge,
    judge_open,
    maker,
    require_follow,
    require_open,
    require_opened_for_making,
)
from .walk import AT_FDCWD, MAX_LINKS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask
    from .restricted import RestrictedWalk
    from .walk import FsContext

O_TMPFILE = os.O_TMPFILE
_TMPFILE = O_TMPFILE & ~os.O_DIRECTORY
_S_IALLUGO = 0o7777
_PATH_FLAGS = os.O_DIRECTORY | os.O_NOFOLLOW | O_PATH | os.O_CLOEXEC
_KNOWN_FLAGS = O_TMPFILE | _PATH_FLAGS | os.O_ACCMODE | os.O_CREAT | os.O_EXCL | os.O_NOCTTY | os.O_TRUNC | os.O_APPEND
_KNOWN_FLAGS |= os.O_NONBLOCK | os.O_SYNC | os.O_ASYNC | os.O_DIRECT | O_LARGEFILE | os.O_NOATIME
_PLAIN = os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | O_LARGEFILE
"""Flags of opening to read that ask for nothing but what is there."""
_HOW, _LARGEST_HOW = 24, 4096
"""Bytes of struct open_how: as it is, and what a later one may have."""


def open_file(
    task: LinuxTask, dirfd: int, path: bytes, flags: int, mode: int, walk: RestrictedWalk | None = None
) -> OpenFile:
    """Open a path for the guest. Reads are the host's to allow, changes are refused with EROFS unless allowed.

    walk: how the path is gone, if not everywhere.
    """
    fs = walk or task.fs
    if flags & O_PATH:
        flags &= O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    elif flags & _TMPFILE:
        if flags & O_TMPFILE != O_TMPFILE or flags & os.O_CREAT or not writes(flags):
            raise LinuxError(errno.EINVAL)
    elif flags & os.O_CREAT and flags & os.O_DIRECTORY:  # since Linux 6.4
        raise LinuxError(errno.EINVAL)
    if flags & os.O_CREAT:
        return _create(task, fs, dirfd, path, flags, mode & _S_IALLUGO)
    node = fs.resolve(task, dirfd, path, follow=not flags & os.O_NOFOLLOW)
    if flags & _TMPFILE and not flags & O_PATH:
        if not node.is_dir:
            raise LinuxError(errno.ENOTDIR)
        if node.removed:
            raise LinuxError(errno.EPERM)  # as ext4 has it
        judge(task, node, "write", b"#", making=True)
        directory = node.changeable_by(task, MAY_WRITE | MAY_EXEC)
        return directory.make_unnamed(flags, mode & _S_IALLUGO, task.fs.umask, maker(task, directory))
    return open_node(task, node, flags)


def writes(flags: int) -> bool:
    """Whether opening with these flags asks for the right to write (ACC_MODE and O_TRUNC of fs/open.c)."""
    return flags & os.O_ACCMODE != os.O_RDONLY or bool(flags & os.O_TRUNC)


def open_node(task: LinuxTask, node: Node, flags: int) -> OpenFile:
    """Open what is there (do_open, may_open)."""
    if flags & os.O_DIRECTORY and not node.is_dir:
        raise LinuxError(errno.ENOTDIR)
    if flags & O_PATH:
        return node.open_place(task, flags)
    if node.is_link:
        raise LinuxError(errno.ELOOP)
    if node.is_dir and writes(flags):
        raise LinuxError(errno.EISDIR)
    judge_open(task, node, flags)
    require_open(task, node, flags)
    file = node.open(task, flags)
    if flags & os.O_TRUNC and file.regular:
        bytes_written(task, file)
    return file


def _create(
    task: LinuxTask, fs: FsContext | RestrictedWalk, dirfd: int, path: bytes, flags: int, mode: int
) -> OpenFile:
    """With O_CREAT: make the file unless it is there (open_last_lookups, lookup_open)."""
    links = 0
    exclusive = bool(flags & os.O_EXCL)
    entry = fs.entry(task, dirfd, path)
    while True:
        if not entry.normal:
            raise LinuxError(errno.EEXIST if exclusive else errno.EISDIR)
        if entry.slash:
            raise LinuxError(errno.EISDIR)
        node = fs.child(task, entry)
        if node is None:
            try:
                directory = fs.changeable_directory(task, entry, making=True)
                made = directory.make_file(entry.name, flags, mode, fs.umask, maker(task, directory))
                made.fresh = True
                notify.named(task, notify.CREATE, directory, entry.name)
                return made
            except LinuxError as error:
                if error.errno != errno.EEXIST or exclusive:
                    raise
                continue  # made by somebody else just now
        if exclusive:
            raise LinuxError(errno.EEXIST)
        if not node.is_link or flags & os.O_NOFOLLOW:
            break
        links += 1
        if links > MAX_LINKS:
            raise LinuxError(errno.ELOOP)
        require_follow(task, entry.directory, node)
        goal = fs.follow(task, node)
        if isinstance(goal, Node):
            node = goal
            break
        if not goal:
            raise LinuxError(errno.ENOENT)
        entry = fs.entry_from(task, entry.directory, goal)
    if node.is_dir:
        raise LinuxError(errno.EISDIR)
    if node.mount is entry.directory.mount:
        require_opened_for_making(task, entry.directory, node)
    return open_node(task, node, flags & ~os.O_CREAT)


def _open(task: LinuxTask, dirfd: int, path: ConstBytes, flags: int, mode: int) -> int | None:
    flags = task.layouts.open_flags(flags) & _KNOWN_FLAGS
    return _placed(task, dirfd, read_path(task, path), flags, mode)


def _placed(
    task: LinuxTask, dirfd: int, name: bytes, flags: int, mode: int, walk: RestrictedWalk | None = None
) -> int | None:
    """The descriptor of what is opened, once it is."""
    try:
        file = open_file(task, dirfd, name, flags, mode, walk)
    except OpenWaits as waits:
        from ..files.fifo import open_later

        return open_later(task, waits.opening, bool(flags & os.O_CLOEXEC))
    if task.machine.watches is not None and not flags & O_PATH:
        notify.happened(task, notify.OPEN, file.node(), opened=True)
        if flags & os.O_TRUNC and file.regular and not file.fresh:
            notify.happened(task, notify.MODIFY, file.node())
    return task.files.add(file, cloexec=bool(flags & os.O_CLOEXEC))


@call("open")
def sys_open(task: LinuxTask, path: ConstBytes, flags: c_int, mode: c_uint) -> int | None:
    return _open(task, AT_FDCWD, path, flags, mode)


@call("openat")
def sys_openat(task: LinuxTask, dirfd: c_int, path: ConstBytes, flags: c_int, mode: c_uint) -> int | None:
    return _open(task, dirfd, path, flags, mode)


_KEPT = os.O_DIRECTORY | os.O_NONBLOCK
at_once("open", OpenCall, PLAIN, opened_plainly, _PLAIN, _KEPT, arch="x86_64")
at_once("openat", OpenCall, AT, opened_plainly, _PLAIN, _KEPT, arch="x86_64")


@call("creat")
def sys_creat(task: LinuxTask, path: ConstBytes, mode: c_uint) -> int | None:
    return _placed(task, AT_FDCWD, read_path(task, path), os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode)


@call("openat2")
def sys_openat2(task: LinuxTask, dirfd: c_int, path: ConstBytes, how: ConstBytes, size: c_ulong) -> int | None:
    """As openat, but that nothing is passed over: what is not known is EINVAL (build_open_flags)."""
    from .restricted import RESOLVE_ALL, RESOLVE_BENEATH, RESOLVE_CACHED, RESOLVE_IN_ROOT, RestrictedWalk

    if size < _HOW:
        raise LinuxError(errno.EINVAL)
    if size > _LARGEST_HOW:
        raise LinuxError(errno.E2BIG)
    flags, mode, resolve = unpack("<QQQ", get_struct(task, how.address, size, _HOW))
    flags = task.layouts.open_flags(flags)
    makes = flags & (os.O_CREAT | _TMPFILE)
    if flags & ~_KNOWN_FLAGS or resolve & ~RESOLVE_ALL or (resolve & RESOLVE_BENEATH and resolve & RESOLVE_IN_ROOT):
        raise LinuxError(errno.EINVAL)
    if mode & ~(_S_IALLUGO if makes else 0) or (flags & O_PATH and flags & ~_PATH_FLAGS):
        raise LinuxError(errno.EINVAL)
    if flags & os.O_CREAT and flags & os.O_DIRECTORY:
        raise LinuxError(errno.EINVAL)
    if flags & _TMPFILE and (flags & O_TMPFILE != O_TMPFILE or not writes(flags)):
        raise LinuxError(errno.EINVAL)
    if resolve & RESOLVE_CACHED and (makes or flags & os.O_TRUNC):
        raise LinuxError(errno.EAGAIN)
    name = read_path(task, path)
    walk = RestrictedWalk(task.fs, resolve) if resolve & ~RESOLVE_CACHED else None
    return _placed(task, dirfd, name, flags, mode, walk)
