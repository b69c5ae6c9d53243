"""Nodes of the host's tree, each held by a descriptor: lookup, open, stat, make, remove, rename, link, attributes.

A node is asked by its descriptor alone, never by a name that was remembered. Nothing here follows a symbolic link, and
nothing decides what may be changed but `changeable`, which asks `writable.WritableDirs`; the verbs that change are
called on the node that it gives. The guest's umask is the only one: the host process's own, which all threads share, is
made good after creation.
"""

from __future__ import annotations

import errno
import os
import stat

from ...._core.host import hostcalls
from ...._core.host.places import PLACE, Place, access, getxattr, name_of, reopen
from ....errors import LinuxError
from ....mm.filecache import F_GETFL, FileCache
from ...abi.openflags import O_LARGEFILE
from ..node import Node
from ..openfile import O_PATH
from ..permissions import granted, made_mode, require, require_not_run
from .calls import host, host_statx
from .fd import by_descriptor, entered, look_beneath
from .file import HostFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ...._core.mm.frames import FrameStore
    from ...task.creds import Credentials
    from ...task.task import LinuxTask
    from ..node import AnyStat, Ground
    from ..openfile import OpenFile
    from .mount import HostMount

_AT_FDCWD = -100
_AT_EACCESS = 0x200
_AT_SYMLINK_FOLLOW = 0x400
_AT_EMPTY_PATH = 0x1000
_ID = 0xFFFF_FFFF
BASIC_STATS, CHANGE_TIMES = 0x7FF, 0xC0
"""Of statx: what stat tells; those times without which some file systems give less than was asked for."""
_NOT_KEPT = os.O_CREAT | os.O_EXCL | os.O_TRUNC | os.O_NOCTTY | os.O_CLOEXEC
"""Flags of open that act once and do not stay with the file."""


class HostNode(Place, Node):
    """A file of the host. fd: its descriptor, O_PATH as a rule; closed with the node.

    home: it was, or was made, beneath an allowed directory when it was opened; what has no name any more is judged
    by that. mount: by which it was found; what was found by none may not be changed. _lent: who owns the descriptor, if
    that is a snapshot's, which all machines that were made of it use.
    """

    mount: HostMount | None
    by_host = True
    dev = 0
    immutable = errno.EROFS
    path = b""
    _lent: Any = None

    def __init__(self, fd: int) -> None:
        self.hold_fd(fd)

    def let_go(self) -> None:
        """Close what it owns: it is to be the node of another place."""
        if self._lent is None and self.fd >= 0:
            os.close(self.fd)
        self.fd, self.seen = -1, None

    def hold(self) -> HostNode:
        node = HostNode(host(os.dup, self.fd))
        node.mount = self.mount
        node.home = self.home or self.beneath() is not None
        node.stat_again()
        return node

    def stat_again(self) -> None:
        """What was seen when it was looked up is to be seen anew: the node is kept."""
        self.seen = None

    @property
    def removed(self) -> bool:
        return host(os.fstat, self.fd).st_nlink == 0

    def where(self) -> bytes:
        name = name_of(self.fd)
        return name if self.mount is None else self.mount.shown(name)

    def name_in(self) -> tuple[tuple[int, int], bytes] | None:
        above, _, name = name_of(self.fd).removesuffix(b" (deleted)").rpartition(b"/")
        if not name or (not above and self.mount is None):
            return None
        try:
            status = os.stat(above or b"/")
        except OSError:
            return None
        return (status.st_dev, status.st_ino), name

    def mapped(self, task: LinuxTask) -> FrameStore | None:
        return FileCache.find(task.space.phys, *self.identity)

    def stat(self, task: LinuxTask) -> AnyStat:
        """What was seen when it was looked up, at the first call; afterwards what is so now."""
        self.tell_time(task)
        return self.status()

    def tell_time(self, task: LinuxTask | None) -> None:
        """A mapping of it that was written to may know of a later time than the host."""
        if task is not None and self.identity in task.space.phys.caches.data:
            FileCache.tell(task.space.phys, self.identity)
            self.seen = None

    def rights(self, task: LinuxTask) -> tuple[int, int, int]:
        status = self.status_again()
        return status.st_mode, status.st_uid, status.st_gid

    def permits(self, task: LinuxTask, creds: Credentials, wanted: int) -> bool:
        return granted(creds, self.rights(task), wanted, self._acl)

    def _acl(self) -> bytes | None:
        """Its access list, if it has one."""
        found = getxattr(self.fd, b"system.posix_acl_access")
        return None if isinstance(found, int) else found

    # -- directories

    def lookup(self, task: LinuxTask, name: bytes) -> HostNode | None:
        try:
            return self.at_once(name)
        except LinuxError as error:
            if error.errno == errno.ENOENT:
                return None
            raise

    def descend(self, task: LinuxTask, names: list[bytes]) -> tuple[Node, int]:
        if len(names) > 1:
            try:
                return self.at_once(b"/".join(names)), len(names)
            except LinuxError as error:
                if error.errno != errno.ELOOP:
                    raise
        return self.at_once(names[0]), 1

    def enter(self, fd: int) -> HostNode:
        """The node of a descriptor that was opened from here. EACCES for a /proc of the host's."""
        return entered(HostNode, self, fd)

    def listing(self, task: LinuxTask) -> list[tuple[bytes, int, int]]:
        found = []
        path: Any = by_descriptor(self.fd)
        with host(os.scandir, path) as entries:
            for entry in entries:
                kind = stat.S_IFLNK if entry.is_symlink() else stat.S_IFDIR if entry.is_dir() else stat.S_IFREG
                if kind == stat.S_IFREG and not entry.is_file():
                    kind = stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode)
                found.append((os.fsencode(entry.name), entry.inode(), kind))
        return found

    @property
    def ground(self) -> Ground:
        return self, None, None

    def at_once(self, path: bytes) -> HostNode:
        return look_beneath(HostNode, self, path)

    def parent(self, task: LinuxTask) -> HostNode:
        if self.mount is None:
            raise LinuxError(errno.ENOENT)
        return self.mount.parent_of(self)

    def names(self, task: LinuxTask) -> list[bytes]:
        return host(os.listdir, by_descriptor(self.fd))

    def target(self, task: LinuxTask) -> bytes:
        if not self.is_link:
            raise LinuxError(errno.EINVAL)
        text: bytes = host(os.readlink, b"", dir_fd=self.fd)
        return text

    # -- opening

    def open(self, task: LinuxTask, flags: int) -> OpenFile:
        if self.is_dir and self._lacks_mount_points(task):
            from ..nodedir import NodeDirFile

            return NodeDirFile(self.hold(), flags)
        if stat.S_ISCHR(self.mode) or stat.S_ISBLK(self.mode):
            raise LinuxError(errno.ENXIO)  # what a device outside our own /dev does is not reading a file
        if flags & os.O_ACCMODE == os.O_RDONLY and not flags & os.O_TRUNC:
            home = self.beneath() is not None
            if stat.S_ISFIFO(self.mode) and not home:
                raise LinuxError(errno.EROFS)  # opening it wakes a writer, reading takes what is another's
            return self.reopen(task, flags, home)
        try:
            place = self.changeable()
        except LinuxError as error:
            wanted = os.W_OK | (0 if flags & os.O_ACCMODE == os.O_WRONLY else os.R_OK)
            if error.errno == errno.EROFS and not os.access(by_descriptor(self.fd), wanted, effective_ids=True):
                raise LinuxError(errno.EACCES) from None
            raise
        return place.reopen(task, flags, True)

    def _has(self, name: bytes) -> bool:
        try:
            os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        except OSError:
            return False
        return True

    def _lacks_mount_points(self, task: LinuxTask) -> bool:
        """Whether something is mounted in this directory at a name that it does not have."""
        names = task.fs.mounts.names_in(self)
        return bool(names) and any(not self._has(name) for name in names)

    def reopen(self, task: LinuxTask, flags: int, home: bool) -> HostFile:
        """Open exactly this file, whatever has its name now. The caller has judged whether that is allowed."""
        cut = bool(flags & os.O_TRUNC)
        host_flags = (flags | os.O_CLOEXEC | os.O_NOCTTY) & ~(O_LARGEFILE | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW)
        writes = flags & (os.O_ACCMODE | os.O_TRUNC) != os.O_RDONLY
        if writes:
            require_not_run(task, self)
        if not writes and stat.S_IFMT(self.mode) in (stat.S_IFREG, stat.S_IFDIR):
            return self.opened(reopen(self.fd, host_flags, not home, self.is_dir), flags, home, same=True)
        if cut:  # once it is open: mappings of the file lose their pages too
            host_flags &= ~os.O_TRUNC
        if stat.S_ISFIFO(self.mode):
            from ...files.fifo import FifoOpening

            return FifoOpening(self, flags, host_flags, home).opened()
        file = self.opened(reopen(self.fd, host_flags, False), flags, home, same=True)
        if cut and file.regular:
            (file if file.writable else self).truncate(task, 0)
        return file

    def opened(self, fd: int, flags: int, home: bool, *, shared: bool = False, same: bool = False) -> HostFile:
        """The open file of a descriptor for what was found in this node's mount. same: it is for this very file."""
        what = (self.mode, self.identity) if same else None
        return file_of(fd, flags & ~_NOT_KEPT, home=home, shared=shared, mount=self.mount, what=what)

    def open_program(self) -> OpenFile:
        self.ask_host(os.X_OK)
        if host(os.fstatvfs, self.fd).f_flag & os.ST_NOEXEC:
            raise LinuxError(errno.EACCES)
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
        return self.opened(reopen(self.fd, flags, True), os.O_RDONLY, False, same=True)

    def open_place(self, task: LinuxTask, flags: int) -> OpenFile:
        return self.opened(host(os.dup, self.fd), flags | O_PATH, self.beneath() is not None, same=True)

    # -- what may be asked

    def ask_host(self, wanted: int) -> None:
        refused = access(self.fd, wanted)
        if refused:
            raise LinuxError(refused)

    def require_writable(self) -> None:
        self.changeable()

    def statfs(self) -> bytes:
        raw = hostcalls.fstatfs(self.fd)
        return raw if self.mount is None else self.mount.flagged(raw)

    def statx(self, task: LinuxTask, flags: int, mask: int) -> bytes | None:
        self.tell_time(task)
        status, self.seen = self.seen, None
        if status is not None and not flags and mask & CHANGE_TIMES and not mask & ~BASIC_STATS:
            return status.statx()
        return host_statx(self.fd, b"", flags | _AT_EMPTY_PATH, mask)

    def getxattr(self, name: bytes) -> bytes:
        found = getxattr(self.fd, name)
        if isinstance(found, int):
            raise LinuxError(-found)
        return found

    def xattr(self, name: bytes) -> bytes | int:
        return getxattr(self.fd, name)

    def listxattr(self) -> bytes:
        names = host(os.listxattr, by_descriptor(self.fd))
        return b"".join(os.fsencode(name) + b"\0" for name in names)

    # -- changes

    def beneath(self) -> HostNode | None:
        """This file as it is reached beneath a directory that may be changed by way of its mount, None if it is not."""
        mount = self.mount
        return None if mount is None or mount.readonly else mount.writable.beneath(self)

    def changeable(self) -> HostNode:
        if self.removed:
            if self.home:
                return self
            raise LinuxError(errno.EROFS)
        found = self.beneath()
        if found is None:
            raise LinuxError(errno.EROFS)
        return found

    def changeable_by(self, task: LinuxTask, wanted: int) -> HostNode:
        found = self.changeable()
        require(task, found, wanted)
        return found

    def _default_acl(self) -> bool:
        return not isinstance(getxattr(self.fd, b"system.posix_acl_default"), int)

    def _make(self, mode: int, umask: int, make: Callable[[int], int], creds: Credentials | None) -> int:
        """Create something with the permissions that Linux gives it: by the mask, or by the directory's default ACL.

        make: creates it with the mode given, and opens it; -1 if it is gone again. creds: whose it is to be.
        """
        wanted = mode & ~umask
        acl = wanted != mode and self._default_acl()
        fd = make(mode if acl else wanted)
        if fd >= 0 and not acl and (os.fstat(fd).st_mode ^ wanted) & 0o777 and not self._default_acl():
            try:  # the host process's own mask took more
                os.chmod(by_descriptor(fd), os.fstat(fd).st_mode & 0o7000 | wanted & 0o777)
            except OSError:
                pass  # a file system that keeps no such modes
        if fd >= 0 and creds is not None:
            _give(fd, creds, mode, of_directory=bool(os.fstat(self.fd).st_mode & stat.S_ISGID))
        return fd

    def _make_name(
        self, name: bytes, kind: int, mode: int, umask: int, make: Callable[[int], None], creds: Credentials | None
    ) -> None:
        def made(mode: int) -> int:
            host(make, mode)
            try:
                fd = os.open(name, PLACE, dir_fd=self.fd)
            except OSError:
                return -1
            if stat.S_IFMT(os.fstat(fd).st_mode) == kind:
                return fd
            os.close(fd)
            return -1

        fd = self._make(mode, umask, made, creds)
        if fd >= 0:
            os.close(fd)

    def make_dir(self, name: bytes, mode: int, umask: int, creds: Credentials | None = None) -> None:
        self._make_name(name, stat.S_IFDIR, mode, umask, lambda m: os.mkdir(name, m, dir_fd=self.fd), creds)

    def make_node(self, name: bytes, mode: int, rdev: int, umask: int, creds: Credentials | None = None) -> None:
        kind = stat.S_IFMT(mode)
        if kind == stat.S_IFBLK or rdev:
            raise LinuxError(errno.EPERM)
        self._make_name(name, kind, mode, umask, lambda m: os.mknod(name, m, rdev, dir_fd=self.fd), creds)

    def make_link(self, name: bytes, text: bytes, creds: Credentials | None = None) -> None:
        def made(mode: int) -> int:
            host(os.symlink, text, name, dir_fd=self.fd)
            return -1 if creds is None else host(os.open, name, PLACE, dir_fd=self.fd)

        fd = self._make(stat.S_IFLNK | 0o777, 0, made, creds)
        if fd >= 0:
            os.close(fd)

    def make_file(self, name: bytes, flags: int, mode: int, umask: int, creds: Credentials | None = None) -> OpenFile:
        host_flags = (flags | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOCTTY) & ~O_LARGEFILE
        fd = self._make(mode, umask, lambda m: host(os.open, name, host_flags, m, dir_fd=self.fd), creds)
        return self.opened(fd, flags, True)

    def make_unnamed(self, flags: int, mode: int, umask: int, creds: Credentials | None = None) -> OpenFile:
        host_flags = (flags | os.O_CLOEXEC) & ~(O_LARGEFILE | os.O_NOFOLLOW)
        fd = self._make(mode, umask, lambda m: host(os.open, by_descriptor(self.fd), host_flags, m), creds)
        file = self.opened(fd, flags, True)
        file.nameless = True
        return file

    def link(self, name: bytes, node: Node) -> None:
        if not isinstance(node, HostNode):
            raise LinuxError(errno.EXDEV)
        hostcalls.linkat(_AT_FDCWD, by_descriptor(node.fd), self.fd, name, _AT_SYMLINK_FOLLOW)

    def remove(self, name: bytes, directory: bool) -> None:
        host(os.rmdir if directory else os.unlink, name, dir_fd=self.fd)

    def rename(self, name: bytes, goal: Node, goal_name: bytes, flags: int) -> None:
        if not isinstance(goal, HostNode):
            raise LinuxError(errno.EXDEV)
        if flags:
            hostcalls.renameat2(self.fd, name, goal.fd, goal_name, flags)
        else:
            host(os.rename, name, goal_name, src_dir_fd=self.fd, dst_dir_fd=goal.fd)

    def set_mode(self, mode: int) -> None:
        if self.is_link:
            raise LinuxError(errno.EOPNOTSUPP)
        host(os.chmod, by_descriptor(self.fd), mode)

    def set_owner(self, uid: int, gid: int) -> None:
        hostcalls.fchownat(self.fd, b"", uid & _ID, gid & _ID, _AT_EMPTY_PATH)

    def set_times(self, times: bytes | None) -> None:
        if self.is_link:  # since Linux 5.8
            hostcalls.utimensat(self.fd, b"", times, _AT_EMPTY_PATH)
        else:
            hostcalls.utimensat(_AT_FDCWD, by_descriptor(self.fd), times, 0)

    def truncate(self, task: LinuxTask, size: int) -> None:
        file = self.reopen(task, os.O_WRONLY, True)
        try:
            file.truncate(task, size)
        finally:
            file.close()

    def setxattr(self, name: bytes, value: bytes, flags: int) -> None:
        host(os.setxattr, by_descriptor(self.fd), name, value, flags)

    def removexattr(self, name: bytes) -> None:
        host(os.removexattr, by_descriptor(self.fd), name)


def _give(fd: int, creds: Credentials, mode: int, *, of_directory: bool) -> None:
    """Let what was just made be somebody's, as far as the host lets us: only its root can give files away.

    of_directory: it has the group of the directory that it is in.
    """
    before = os.fstat(fd)
    try:
        hostcalls.fchownat(fd, b"", creds.fs_uid, _ID if of_directory else creds.fs_gid, _AT_EMPTY_PATH)
        after = os.fstat(fd)
        if stat.S_IFMT(after.st_mode) not in (stat.S_IFDIR, stat.S_IFLNK):  # the change of owner took set-id bits away
            kept = made_mode(creds, stat.S_IMODE(after.st_mode) | before.st_mode & 0o6000, after.st_gid)
            if kept != stat.S_IMODE(after.st_mode):
                os.chmod(by_descriptor(fd), kept)
    except OSError:
        pass


class OpenedNode(HostNode):
    """What a descriptor of the guest, and its entry in /proc/self/fd, leads to: the file itself, name or not."""

    def __init__(self, file: HostFile) -> None:
        self.borrow(file.host_fd, file.mode, file.identity)
        self.mount = file.mount
        self.home = file.home
        self._file = file

    def stat(self, task: LinuxTask) -> AnyStat:
        return task.machine.host.shown_status(super().stat(task))

    def statx(self, task: LinuxTask, flags: int, mask: int) -> bytes | None:
        status = self.status_again()
        if task.machine.host.shown_status(status) is not status:
            return None
        return super().statx(task, flags, mask)

    def changeable(self) -> HostNode:
        try:
            return super().changeable()
        except LinuxError:
            if self._file.nameless and self._unnamed():  # the name it was opened by is gone, by the guest itself
                return self
            raise

    def _unnamed(self) -> bool:
        name = name_of(self.fd)
        if not name.endswith(b" (deleted)"):
            return False
        try:
            status = os.lstat(name)
        except OSError:
            return True
        return (status.st_dev, status.st_ino) != self.identity

    def open(self, task: LinuxTask, flags: int) -> OpenFile:
        file, kind = self._file, stat.S_IFMT(self.mode)
        writes = flags & os.O_ACCMODE != os.O_RDONLY or bool(flags & os.O_TRUNC)
        if kind in (stat.S_IFREG, stat.S_IFDIR):
            if writes and not file.owned and file.writable:  # the user gave it to be written to
                return self.reopen(task, flags, False)
            return super().open(task, flags)
        if writes and not file.writable and file.name().startswith(b"/") and not self.may_change():
            raise LinuxError(errno.EACCES)  # a FIFO, a terminal, a device of the host's, given to be read
        if kind in (stat.S_IFCHR, stat.S_IFBLK):
            return self.opened(host(os.dup, self.fd), flags, False, shared=True)
        return self.reopen(task, flags, False)


def opened_plainly(
    fd: int, flags: int, mount: HostMount, mode: int, identity: tuple[int, int], *, home: bool
) -> HostFile:
    """What `open_node` gives for a regular file or directory of the host's that is read, of a descriptor for it."""
    return HostFile(fd, flags & ~_NOT_KEPT, home=home, mount=mount, as_node=OpenedNode, what=(mode, identity))


def file_of(
    fd: int,
    flags: int,
    *,
    owned: bool = True,
    home: bool = False,
    shared: bool = False,
    mount: HostMount | None = None,
    what: tuple[int, tuple[int, int]] | None = None,
) -> HostFile:
    """A descriptor of the host as an open file, which is a node of the host's tree too. what: mode and identity."""
    return HostFile(fd, flags, owned=owned, home=home, shared=shared, mount=mount, as_node=OpenedNode, what=what)


def standard_stream(fd: int, mount: HostMount | None = None) -> HostFile | None:
    """The host's descriptor `fd` as it is; None if it is closed. mount: by which what it is may be changed."""
    try:
        flags = hostcalls.fcntl(fd, F_GETFL)
        return file_of(fd, flags & ~O_PATH, owned=False, mount=mount)
    except OSError:
        return None
