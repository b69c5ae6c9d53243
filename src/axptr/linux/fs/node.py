"""Nodes: the files of the tree that a program sees, one protocol whatever is behind them.

Every node answers `stat`, `where`, `rights`, `statfs`, `statx` and the attributes, and by kind `lookup`, `descend` and
`names` (directory), `follow` (symbolic link), `open` (file, device). What it opens is an `OpenFile`. What changes
something is done on what `changeable` gives: the node as it may be changed at this moment, or EROFS. The classes here
are the base of the personality's own files (/proc, /dev), which nobody changes; `fs.host.tree` has the host's.

Nodes hold no state of a task; they are asked with the task in hand.
"""

from __future__ import annotations

import errno
import os
import stat
from struct import pack

from ...errors import LinuxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn, TypeAlias

    from ..._core.host.places import Place, Status
    from ..._core.mm.frames import FrameStore
    from ..task.creds import Credentials
    from ..task.task import LinuxTask
    from .mounts import Mount
    from .openfile import OpenFile

    Ground: TypeAlias = tuple[Place, dict[bytes, bool] | None, dict[bytes, frozenset[bytes]] | None]
    AnyStat: TypeAlias = "Stat | Status | os.stat_result"
    """What tells of a file, by the same names."""

_MOUNT_FLAGS = 0x1020
"""Of statfs: ST_VALID, ST_RELATIME."""
_MAX_NON_LFS = (1 << 31) - 1


def kernel_device(device: int) -> int:
    """A device's number as the kernel itself keeps it (dev_t inside), and tells it in /proc/PID/fdinfo."""
    return os.major(device) << 20 | os.minor(device)


class Stat:
    """What `stat` tells of a file of our own; the same names as `os.stat_result`. Times in nanoseconds."""

    __slots__ = (
        "st_atime_ns",
        "st_blksize",
        "st_blocks",
        "st_ctime_ns",
        "st_dev",
        "st_gid",
        "st_ino",
        "st_mode",
        "st_mtime_ns",
        "st_nlink",
        "st_rdev",
        "st_size",
        "st_uid",
    )

    def __init__(
        self, mode: int, ino: int, dev: int, now: int, *, rdev: int = 0, size: int = 0, nlink: int = 1
    ) -> None:
        self.st_mode = mode
        self.st_ino = ino
        self.st_dev = dev
        self.st_rdev = rdev
        self.st_size = size
        self.st_nlink = nlink
        self.st_uid = self.st_gid = 0
        self.st_blksize = 4096 if rdev else 1024
        self.st_blocks = 0
        self.st_atime_ns = self.st_mtime_ns = self.st_ctime_ns = now


def _read_only() -> NoReturn:
    raise LinuxError(errno.EROFS)


class Node:
    """One file. mode: type and permission bits, as last seen.

    path: of our own files where they stand, for messages and inode numbers; empty for others.
    """

    mode = stat.S_IFREG | 0o444
    dev = 0x17
    """st_dev of our own file systems, by which their trees are told apart; 0 for all of the host's."""
    magic = 0x9FA0
    """f_type of statfs: PROC_SUPER_MAGIC."""
    immutable = errno.EPERM
    """What an attempt to change it gives. Of /proc, which has no such operations; EROFS elsewhere."""
    by_host = False
    """Whether it is the host's, which judges for itself who may do what with it."""
    layered = False
    """Whether it is in a tree over another."""
    mount: Mount | None = None
    """The mount that it is in; None for what is in no tree (a pipe, a name space)."""
    twin: bytes | None = None
    """A file of the host that says what stat tells of this one; used while it is there and of the same kind."""

    whose: Callable[[LinuxTask], LinuxTask] | None = None
    """Of what /proc has of a process, whose it is, given who looks."""
    mappings_count = True
    """Whether one who has mapped it to be written to by others counts as a writer, for which a program is busy."""
    process: int | None = None
    """Of a directory /proc/PID, the process; it can stand for a pidfd (pidfd_send_signal)."""

    def __init__(self, path: bytes) -> None:
        self.path = path

    @property
    def ino(self) -> int:
        return int.from_bytes(self.path, "little") % 0x7FFF_FFFF | 0x1_0000_0000  # a prime

    def stat(self, task: LinuxTask) -> AnyStat:
        return self.twin_stat(task) or self.own_stat(task)

    def own_stat(self, task: LinuxTask, **more: int) -> Stat:
        """What is told of a file of our own. more: as of `Stat`."""
        found = Stat(self.mode, self.ino, self.dev, task.machine.host.realtime_ns(), **more)
        found.st_uid, found.st_gid = self.owner(task)
        return found

    def owner(self, task: LinuxTask) -> tuple[int, int]:
        """User and group: root, or of what is about a process its own, unless nobody may look into it: then the root of
        the name space that its memory is of (task_dump_owner)."""
        if self.whose is None:
            return 0, 0
        try:
            about = self.whose(task)
        except LinuxError:
            return 0, 0
        if self.mode != stat.S_IFDIR | 0o555 and not about.mm.dumpable:
            return about.mm.top_owner()
        return about.creds.euid, about.creds.egid

    def twin_stat(self, task: LinuxTask) -> AnyStat | None:
        """What the host says of it; of a machine's that repeats only what a standard stream may be, too."""
        host = task.machine.host
        if self.twin is not None and (stat.S_ISCHR(self.mode) or not host.repeats):
            try:
                status = os.lstat(self.twin)
            except OSError:
                return None
            if stat.S_IFMT(status.st_mode) == stat.S_IFMT(self.mode):
                return host.shown_status(status)
        return None

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode number, by which a node is told from others."""
        return self.dev, self.ino

    @property
    def is_dir(self) -> bool:
        return self.mode & 0o170000 == stat.S_IFDIR

    @property
    def is_link(self) -> bool:
        return self.mode & 0o170000 == stat.S_IFLNK

    @property
    def removed(self) -> bool:
        """Whether it has no name any more."""
        return False

    def where(self) -> bytes:
        """The name that it has now, as /proc/self/fd shows it: of a file of our own, where its mount stands."""
        mount, path = self.mount, self.path
        top = mount.root.path if mount is not None else b""
        if not top or mount is None or not (path + b"/").startswith(top.rstrip(b"/") + b"/"):
            return path
        return mount.place().rstrip(b"/") + path[len(top.rstrip(b"/")) :] or b"/"

    def open(self, task: LinuxTask, flags: int) -> OpenFile:
        """Open what is there. The caller has refused links, and directories where something is to be written."""
        raise LinuxError(errno.ENXIO)

    def open_place(self, task: LinuxTask, flags: int) -> OpenFile:
        """What O_PATH opens."""
        from .openfile import PathFile

        return PathFile(self, flags)

    def open_program(self) -> OpenFile:
        """Open it for reading, to run it: EACCES unless it may be executed. The caller closes it."""
        raise LinuxError(errno.EACCES)

    def hold(self) -> Node:
        """The same, to be kept for longer than one call."""
        return self

    def doubled(self) -> Node:
        """A copy, to be seen in another mount."""
        from copy import copy  # which a start would pay for

        return copy(self)

    def under(self, mount: Mount | None) -> Node:
        """The same as it was found in a directory of that mount: of our own files, one of which stands for a name
        wherever it is seen, a copy in all mounts but the first."""
        if self.mount is None:
            self.mount = mount
        elif self.path and self.mount is not mount:
            other = self.doubled()
            other.mount = mount
            return other
        return self

    def name_in(self) -> tuple[tuple[int, int], bytes] | None:
        """The directory that it is in, by its identity, and its name there; None where nobody knows."""
        return None

    def used(self, task: LinuxTask, *, written: bool) -> None:
        """Bytes went through the pipe that this names: its times are others now."""

    def mapped(self, task: LinuxTask) -> FrameStore | None:
        """The frames that mappings of this file show, if it has any now."""
        return None

    # -- directories

    def lookup(self, task: LinuxTask, name: bytes) -> Node | None:
        """What has the name `name` here, None if nothing has. No link is followed."""
        raise LinuxError(errno.ENOTDIR)

    def descend(self, task: LinuxTask, names: list[bytes]) -> tuple[Node, int]:
        """Go down by the first of `names`, or by as many as can be taken at once without following a link.

        What is there, and how many names it took; all but the last were directories. ENOENT, ENOTDIR, EACCES.
        """
        node = self.lookup(task, names[0])
        if node is None:
            raise LinuxError(errno.ENOENT)
        return node, 1

    def names(self, task: LinuxTask) -> list[bytes]:
        """What is in this directory, in the order in which it is listed, without `.` and `..`."""
        raise LinuxError(errno.ENOTDIR)

    def listing(self, task: LinuxTask) -> list[tuple[bytes, int, int]]:
        """The same with the number and the mode of each, of which only the kind counts."""
        found = []
        for name in self.names(task):
            node = self.lookup(task, name)
            found.append((name, node.ino if node is not None else 1, node.mode if node is not None else stat.S_IFDIR))
        return found

    @property
    def ground(self) -> Ground | None:
        """Of the topmost directory below an overlay, how the host is asked of what is there; None where it is not.

        The place that paths begin at; what of it is made up, by path and whether that is a directory, and which names
        of made up directories are the host's. None for both where all is the host's.
        """
        return None

    def at_once(self, path: bytes) -> Node | None:
        """What a path leads to from this directory if one step can tell: no `..` in it, nothing mounted on it.

        None if it cannot. ELOOP if a symbolic link is in the way; no link is followed.
        """
        return None

    def parent(self, task: LinuxTask) -> Node:
        """The directory above, within its mount, whose root this is not."""
        mount = self.mount
        if mount is None:
            raise LinuxError(errno.ENOENT)
        above = mount.root
        for name in self.path[len(above.path) :].split(b"/")[1:-1]:
            below = above.lookup(task, name)
            if below is None:
                raise LinuxError(errno.ENOENT)
            above = below.under(mount)
        return above

    # -- symbolic links

    def follow(self, task: LinuxTask) -> bytes | Node:
        """Where a link leads: a path, or for a magic link the file itself. EINVAL for what is no link."""
        return self.target(task)

    def target(self, task: LinuxTask) -> bytes:
        """What readlink tells. EINVAL for what is no link."""
        raise LinuxError(errno.EINVAL)

    # -- what may be asked of any

    def rights(self, task: LinuxTask) -> tuple[int, int, int]:
        """What it is judged by: mode, owner and group, as they are now."""
        status = self.stat(task)
        return status.st_mode, status.st_uid, status.st_gid

    def permits(self, task: LinuxTask, creds: Credentials, wanted: int) -> bool:
        """Whether somebody may read (4), write (2), execute or search (1) it. Asked by `permissions` alone."""
        from .permissions import granted

        return granted(creds, self.rights(task), wanted)

    def ask_host(self, wanted: int) -> None:
        """The same of one of the host's, of which the host is asked as its process: EACCES."""

    def require_writable(self) -> None:
        """EROFS in a tree that may only be read, of files and directories; for /proc, which has no such thing,
        nothing."""
        if self.immutable == errno.EROFS:
            raise LinuxError(errno.EROFS)

    def statfs(self) -> bytes:
        """struct statfs of the file system that it is in."""
        return pack("<qqQQQQQqqqq32x", self.magic, 4096, 0, 0, 0, 0, 0, 0, 255, 4096, _MOUNT_FLAGS)

    def statx(self, task: LinuxTask, flags: int, mask: int) -> bytes | None:
        """struct statx as the host fills it; None where there is no more to tell than `stat` does."""
        if self.twin is None or isinstance(self.stat(task), Stat):
            return None
        from .host.calls import host_statx

        return host_statx(-1, self.twin, flags | 0x100, mask)

    def getxattr(self, name: bytes) -> bytes:
        raise LinuxError(errno.EOPNOTSUPP)

    def xattr(self, name: bytes) -> bytes | int:
        """The same, or minus the errno: that a file has it not is what most calls find, and an exception costs."""
        try:
            return self.getxattr(name)
        except LinuxError as error:
            return -error.errno

    def listxattr(self) -> bytes:
        """The names, each with a NUL behind it; a file system without attributes has none."""
        return b""

    # -- changes

    def changeable(self) -> Node:
        """This very file, reached so that it may be changed; EROFS if it may not be. Judged at this moment."""
        raise LinuxError(self.immutable)

    def changeable_by(self, task: LinuxTask, wanted: int) -> Node:
        """The same for who may `wanted` with it, which is asked in between: EROFS, EACCES."""
        from .permissions import require

        self.require_writable()
        require(task, self, wanted)
        return self.changeable()

    def may_change(self) -> bool:
        """Whether `changeable` would allow it."""
        try:
            self.changeable()
        except LinuxError as error:
            if error.errno not in (errno.EROFS, self.immutable):
                raise
            return False
        return True

    # creds: whose it becomes; None for the host's process (`permissions.maker`). Who may make it is judged before.

    def make_dir(self, name: bytes, mode: int, umask: int, creds: Credentials | None = None) -> None:
        _read_only()

    def make_node(self, name: bytes, mode: int, rdev: int, umask: int, creds: Credentials | None = None) -> None:
        _read_only()

    def make_link(self, name: bytes, text: bytes, creds: Credentials | None = None) -> None:
        """A symbolic link that says `text`."""
        _read_only()

    def make_file(self, name: bytes, flags: int, mode: int, umask: int, creds: Credentials | None = None) -> OpenFile:
        """A new regular file, open; EEXIST if something has the name."""
        _read_only()

    def make_unnamed(self, flags: int, mode: int, umask: int, creds: Credentials | None = None) -> OpenFile:
        """A regular file without a name (O_TMPFILE)."""
        _read_only()

    def link(self, name: bytes, node: Node) -> None:
        """Give `node`, which may be changed too, one more name here."""
        _read_only()

    def remove(self, name: bytes, directory: bool) -> None:
        _read_only()

    def rename(self, name: bytes, goal: Node, goal_name: bytes, flags: int) -> None:
        """Move a name from here to `goal`, a directory that may be changed. flags: of renameat2."""
        _read_only()

    def set_mode(self, mode: int) -> None:
        _read_only()

    def set_owner(self, uid: int, gid: int) -> None:
        """-1: stays as it is."""
        _read_only()

    def tell_time(self, task: LinuxTask) -> None:
        """Its times are to be those of the last write by a mapping, if that was later."""

    def set_times(self, times: bytes | None) -> None:
        """Two timespecs as utimensat takes them; None: both now."""
        _read_only()

    def truncate(self, task: LinuxTask, size: int) -> None:
        _read_only()

    def setxattr(self, name: bytes, value: bytes, flags: int) -> None:
        _read_only()

    def removexattr(self, name: bytes) -> None:
        _read_only()


class DirNode(Node):
    """A directory of our own. Subclasses give `names` and `lookup`.

    max_offset: as far as one can seek (s_maxbytes, of procfs).
    """

    mode = stat.S_IFDIR | 0o555
    max_offset = _MAX_NON_LFS

    def stat(self, task: LinuxTask) -> AnyStat:
        return self.twin_stat(task) or self.own_stat(task, nlink=2)

    def rights(self, task: LinuxTask) -> tuple[int, int, int]:
        return self.mode, *self.owner(task)

    def lookup(self, task: LinuxTask, name: bytes) -> Node | None:
        raise NotImplementedError

    def names(self, task: LinuxTask) -> list[bytes]:
        raise NotImplementedError

    def open(self, task: LinuxTask, flags: int) -> OpenFile:
        from .nodedir import NodeDirFile

        return NodeDirFile(self, flags)


class LinkNode(Node):
    """A symbolic link. Subclasses give `target`, and `follow` where that is the file itself (a magic link)."""

    mode = stat.S_IFLNK | 0o777

    def target(self, task: LinuxTask) -> bytes:
        raise NotImplementedError


class TextLink(LinkNode):
    """A symbolic link that always says the same."""

    def __init__(self, path: bytes, target: bytes) -> None:
        super().__init__(path)
        self._target = target

    def target(self, task: LinuxTask) -> bytes:
        return self._target
