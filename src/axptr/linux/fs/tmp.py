"""A tree in memory: names, and who may change them. Source: mm/shmem.c, fs/libfs.c, fs/namei.c of Linux 6.18, tmpfs(5).

A `TmpNode` is a name with the file it leads to (Linux' dentry): it moves with rename, is gone with unlink, and stays a
node as long as something holds it, as what is open must. Hard links are nodes of one `Inode`.

Who may do what is asked before (`permissions`).

Failure: `LinuxError` as Linux gives it, in its order; the tree is then as before.
"""

from __future__ import annotations

import errno
import os
import stat
from struct import pack, unpack

from ...errors import LinuxError
from .inode import F_SEAL_EXEC, MAX_BYTES, PAGE, DirInode, Inode
from .mounts import Mount
from .node import Node, Stat
from .nodedir import NodeDirFile
from .openfile import PathFile
from .permissions import made_mode, require_not_run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from ..._core.mm.frames import FrameStore
    from ..._core.phys.phys import PhysMemory
    from ..machine import Machine
    from ..task.creds import Credentials
    from ..task.task import LinuxTask
    from .openfile import OpenFile
    from .tmproom import Room

TMPFS_MAGIC = 0x01021994
NAME_MAX = 255
INODE_COST = 768
"""Bytes of books for a file and its name."""
RENAME_EXCHANGE, RENAME_WHITEOUT = 2, 4
_UTIME_NOW, _UTIME_OMIT = 0x3FFFFFFF, 0x3FFFFFFE
_NOT_KEPT = os.O_CREAT | os.O_EXCL | os.O_TRUNC | os.O_NOCTTY | os.O_CLOEXEC


def _fail(code: int) -> NoReturn:
    raise LinuxError(code)


class TmpFs:
    """One file system in memory. phys: where its pages are. device: st_dev. root: its topmost directory.

    machine: whose tree it is; what inodes and names cost counts against its memory, together with all frames. room:
    what it may hold of its own, where that was said. readonly: nothing in it changes however it is mounted (SB_RDONLY).
    """

    magic = TMPFS_MAGIC
    layered = False
    readonly = False
    room: Room | None = None

    def __init__(self, phys: PhysMemory, machine: Machine, device: int, *, mode: int = 0o1777) -> None:
        self.phys = phys
        self.machine = machine
        self.host = machine.host
        self.device = device
        self._numbers = 0
        self.root = self.new_node(DirInode(self, stat.S_IFDIR | mode, self.uid, self.gid), None, b"")

    def new_node(self, inode: Inode, parent: TmpNode | None, name: bytes) -> TmpNode:
        return TmpNode(inode, parent, name)

    @property
    def uid(self) -> int:
        return self.host.euid

    @property
    def gid(self) -> int:
        return self.host.egid

    def now(self) -> int:
        return self.host.realtime_ns()

    def next_number(self) -> int:
        self._numbers += 1
        return self._numbers

    def charge(self, size: int) -> None:
        """Count what is kept besides pages. ENOSPC if the machine has no room for it."""
        machine = self.machine
        limit = machine.memory_limit
        if limit is not None and machine.tree_bytes + size + machine.account.used > limit:
            raise LinuxError(errno.ENOSPC)
        if size > 0 and machine.disk is not None:
            machine.disk.require_books(size)
        machine.tree_bytes += size

    def statfs(self) -> bytes:
        account = self.machine.account
        total = (self.machine.memory_limit or self.phys.size) // PAGE
        free = max(0, (self.phys.size if account.limit is None else account.limit) - account.used) // PAGE
        if (disk := self.machine.disk) is not None:
            total = disk.limit // PAGE
            free = min(free, max(disk.limit - disk.used(), 0) // PAGE)
        files, spare = total, free
        if (room := self.room) is not None:
            if room.pages is not None:
                total, free = room.pages, max(room.pages - room.pages_used(), 0)
            if room.inodes is not None:
                files, spare = room.inodes, max(room.inodes - room.inodes_used(), 0)
        return pack(
            "<qqQQQQQqqqq32x", self.magic, PAGE, total, free, free, files, spare, self.device, NAME_MAX, PAGE, 0x1020
        )

    def limit(self, room: Room) -> None:
        """It may hold so much, as a tree that is new."""
        self.room = room
        room.enter(self.root.inode)

    def require_inode(self) -> None:
        """ENOSPC unless there may be one more file, or one more name of one."""
        if self.room is not None:
            self.room.require_inode()

    def close(self) -> None:
        """Give all pages back; the tree is empty then."""
        todo = [self.root]
        while todo:
            node = todo.pop()
            if isinstance(node.inode, DirInode):
                todo += node.inode.entries.values()
            if node.parent_node is not None:
                self.machine.tree_bytes -= INODE_COST + len(node.name)
            node.forget()

    def dissolve(self) -> None:
        """The machine is closed: what is in the tree and it name each other no more."""
        vars(self).clear()


class TmpMount(Mount):
    """A tree in memory, mounted. owner_told: what is told of whose its root was made."""

    def __init__(self, fs: TmpFs, source: bytes = b"tmpfs", kind: bytes = b"tmpfs", *, readonly: bool = False) -> None:
        super().__init__(fs.root, source, kind, b"relatime", readonly=readonly)
        self.fs = fs
        self.owner_told = b""

    def details(self) -> bytes:
        return (b"" if self.fs.room is None else self.fs.room.told()) + self.owner_told

    def close(self) -> None:
        self.fs.close()

    def dissolve(self) -> None:
        if "fs" in vars(self):  # once
            self.fs.dissolve()
        super().dissolve()


class TmpNode(Node):
    """A name in a tree of memory. parent: None of a root, and of what never had a name. gone: it was removed.

    cookie: where it is in the listing of its directory. original: of a copy that another mount shows, the node in the
    tree.
    """

    original: TmpNode | None = None

    immutable = errno.EROFS

    def __init__(self, inode: Inode, parent: TmpNode | None, name: bytes) -> None:
        super().__init__(b"")
        self.inode = inode
        self.parent_node = parent
        self.name = name
        self.gone = False
        self.cookie = 0
        self.mount = parent.mount if parent is not None else None

    @property
    def fs(self) -> TmpFs:
        return self.inode.fs

    @property
    def mode(self) -> int:  # type: ignore[override]
        return self.inode.mode

    @property
    def dev(self) -> int:  # type: ignore[override]
        return self.inode.fs.device

    @property
    def ino(self) -> int:
        return self.inode.ino

    @property
    def identity(self) -> tuple[int, int]:
        return self.inode.fs.device, self.inode.ino

    @property
    def removed(self) -> bool:
        return self.inode.nlink == 0

    def forget(self) -> None:
        """The file system is given up."""
        self.inode.data = None
        self.inode.pipe = None
        if isinstance(self.inode, DirInode):
            self.inode.entries.clear()
            self.inode.cookies.clear()

    def where(self) -> bytes:
        if self.parent_node is None:
            if self.inode.kind == stat.S_IFDIR and self.mount is not None and not self.gone:
                return self.mount.place()
            return (self.mount.place() if self.mount is not None else b"").rstrip(b"/") + b"/#%d (deleted)" % self.ino
        path, node, gone, mount = b"", self, b"", self.mount
        first = mount is None or mount is self.inode.fs.root.mount
        while node.parent_node is not None and (first or not mount.is_root(node)):  # type: ignore[union-attr]
            path, gone = b"/" + node.name + path, gone or (b" (deleted)" if node.gone else b"")
            node = node.parent_node
        if first:
            mount = node.mount
        base = mount.place().rstrip(b"/") if mount is not None else b""
        return (base + path or b"/") + gone

    def stat(self, task: LinuxTask) -> Stat:
        return self.inode.stat()

    def statfs(self) -> bytes:
        raw = self.fs.statfs()
        return raw if self.mount is None else self.mount.flagged(raw)

    def mapped(self, task: LinuxTask) -> FrameStore | None:
        return self.inode.data

    def name_in(self) -> tuple[tuple[int, int], bytes] | None:
        return None if self.parent_node is None else (self.parent_node.identity, self.name)

    def used(self, task: LinuxTask, *, written: bool) -> None:
        if written:
            self.inode.changed(content=True)
        else:
            self.inode.accessed()

    # -- directories

    @property
    def directory(self) -> DirInode:
        """What it is as a directory; ENOTDIR."""
        if not isinstance(self.inode, DirInode):
            raise LinuxError(errno.ENOTDIR)
        return self.inode

    def find(self, name: bytes) -> TmpNode | None:
        """What has a name here, whoever asks. ENOTDIR, ENAMETOOLONG."""
        entries = self.directory.entries
        if len(name) > NAME_MAX and not self.removed:
            raise LinuxError(errno.ENAMETOOLONG)
        return entries.get(name)

    def lookup(self, task: LinuxTask, name: bytes) -> TmpNode | None:
        self.directory  # noqa: B018 - ENOTDIR
        if name == b".":
            return self
        found = self.find(name)
        return None if found is None else self.seen_here(found)

    def seen_here(self, found: TmpNode) -> TmpNode:
        """A node of this tree, in this node's mount. Those in the tree are in the first mount of it; what another
        shows is a copy of them, of the same inode."""
        mount = self.mount
        if found.mount is mount:
            return found
        if mount is not None and self.inode.fs.root.mount is not mount and self.inode.fs.root.mount is not None:
            found = found.doubled()
        found.mount = mount
        return found

    @property
    def first(self) -> TmpNode:
        """The node in the tree."""
        return self.original or self

    def doubled(self) -> TmpNode:
        """A copy, for another mount."""
        from copy import copy  # which a start would pay for

        other = copy(self)
        other.original = self.first
        return other

    def parent(self, task: LinuxTask) -> TmpNode:
        if self.parent_node is None:
            raise LinuxError(errno.ENOENT)
        return self.seen_here(self.parent_node)

    def names(self, task: LinuxTask) -> list[bytes]:
        return list(self.directory.entries)

    def target(self, task: LinuxTask) -> bytes:
        if not self.is_link:
            raise LinuxError(errno.EINVAL)
        self.inode.accessed()
        return self.inode.target

    # -- opening

    def rights(self, task: LinuxTask) -> tuple[int, int, int]:
        inode = self.inode
        return inode.mode, inode.uid, inode.gid

    def open(self, task: LinuxTask, flags: int) -> OpenFile:
        self._require_open(task, flags)
        file = self.open_as(task, flags)
        if flags & os.O_TRUNC and self.inode.kind == stat.S_IFREG:
            self.inode.require_resizable(0)
            self.inode.resize(0)
            self.inode.changed(content=True)
        return file

    def _require_open(self, task: LinuxTask, flags: int) -> None:
        """ENXIO for what is no file here, EROFS, and that nobody writes to a program that runs."""
        kind = self.inode.kind
        if kind in (stat.S_IFSOCK, stat.S_IFBLK):
            raise LinuxError(errno.ENXIO)
        if flags & os.O_ACCMODE != os.O_RDONLY or flags & os.O_TRUNC:
            if kind not in (stat.S_IFIFO, stat.S_IFCHR):
                self.require_writable()
                self.changeable()
            require_not_run(task, self)

    def open_as(self, task: LinuxTask, flags: int) -> OpenFile:
        """Open what may be opened."""
        from .tmpfile import TmpDirFile, TmpFile, open_fifo_node

        kept = flags & ~_NOT_KEPT
        if self.inode.kind == stat.S_IFDIR:
            if any(self.find(name) is None for name in task.fs.mounts.names_in(self)):
                return NodeDirFile(self, kept)  # what is mounted at names that are not here is listed, too
            return TmpDirFile(self, kept)
        if self.inode.kind == stat.S_IFIFO:
            return open_fifo_node(task, self, kept)
        if self.inode.kind == stat.S_IFCHR:
            from .dev import open_device

            return open_device(task, self, self.inode.rdev, kept)
        return TmpFile(self, kept)

    def open_place(self, task: LinuxTask, flags: int) -> OpenFile:
        return PathFile(self, flags)

    def open_program(self) -> OpenFile:
        from .tmpfile import TmpFile

        return TmpFile(self, os.O_RDONLY)

    # -- what may be asked

    def statx(self, task: LinuxTask, flags: int, mask: int) -> bytes | None:
        return None

    def getxattr(self, name: bytes) -> bytes:
        return self.inode.getxattr(name)

    def listxattr(self) -> bytes:
        return self.inode.listxattr()

    # -- changes

    def require_writable(self) -> None:
        """EROFS in a mount that may only be read."""
        if self.mount is not None and self.mount.readonly:
            raise LinuxError(errno.EROFS)

    def changeable(self) -> TmpNode:
        self.require_writable()
        return self

    def _writable_directory(self) -> DirInode:
        directory = self.directory
        if directory.nlink == 0:
            raise LinuxError(errno.ENOENT)
        return directory

    def _new(self, name: bytes) -> DirInode:
        """The directory, in which a name may be made that is not there."""
        directory = self._writable_directory()
        if self.find(name) is not None:
            raise LinuxError(errno.EEXIST)
        self.fs.require_inode()
        self.fs.charge(INODE_COST + len(name))
        return directory

    def _made(self, inode: Inode, name: bytes) -> TmpNode:
        """Put a new file here."""
        node = self.fs.new_node(inode, self.first, name)
        if self.fs.room is not None:
            self.fs.room.enter(inode)
        self.directory.put(node)
        self.directory.changed(content=True)
        return self.seen_here(node)

    def _owner(self, directory: DirInode, creds: Credentials | None) -> tuple[int, int]:
        """Whose something new is that somebody makes here."""
        uid, gid = (self.fs.uid, self.fs.gid) if creds is None else (creds.fs_uid, creds.fs_gid)
        return uid, directory.gid if directory.mode & stat.S_ISGID else gid

    def make_dir(self, name: bytes, mode: int, umask: int, creds: Credentials | None = None) -> None:
        directory = self._new(name)
        mode = stat.S_IFDIR | mode & ~umask | directory.mode & stat.S_ISGID
        self._made(DirInode(self.fs, mode, *self._owner(directory, creds)), name)

    def make_node(self, name: bytes, mode: int, rdev: int, umask: int, creds: Credentials | None = None) -> None:
        directory = self._new(name)
        self._made(self._file_inode(directory, mode, umask, creds, rdev), name)

    def _file_inode(
        self, directory: DirInode, mode: int, umask: int, creds: Credentials | None, rdev: int = 0
    ) -> Inode:
        uid, gid = self._owner(directory, creds)
        bits = stat.S_IMODE(mode) if creds is None else made_mode(creds, stat.S_IMODE(mode), gid)
        return Inode(self.fs, stat.S_IFMT(mode) | bits & ~umask, uid, gid, rdev=rdev)

    def make_link(self, name: bytes, text: bytes, creds: Credentials | None = None) -> None:
        directory = self._new(name)
        self.fs.charge(len(text))
        self._made(Inode(self.fs, stat.S_IFLNK | 0o777, *self._owner(directory, creds), target=text), name)

    def make_file(self, name: bytes, flags: int, mode: int, umask: int, creds: Credentials | None = None) -> OpenFile:
        from .tmpfile import TmpFile

        directory = self._new(name)
        node = self._made(self._file_inode(directory, stat.S_IFREG | mode, umask, creds), name)
        return TmpFile(node, flags & ~_NOT_KEPT)

    def make_unnamed(self, flags: int, mode: int, umask: int, creds: Credentials | None = None) -> OpenFile:
        from .tmpfile import TmpFile

        directory = self._writable_directory()
        self.fs.require_inode()
        self.fs.charge(INODE_COST)
        inode = self._file_inode(directory, stat.S_IFREG | mode, umask, creds)
        if self.fs.room is not None:
            self.fs.room.enter(inode)
        inode.nlink, inode.linkable = 0, not flags & os.O_EXCL
        node = self.fs.new_node(inode, None, b"")
        node.mount = self.mount
        node.gone = True
        return TmpFile(node, flags & ~(_NOT_KEPT | os.O_TMPFILE))

    def link(self, name: bytes, node: Node) -> None:
        if not isinstance(node, TmpNode) or node.fs is not self.fs:
            raise LinuxError(errno.EXDEV)
        inode = node.inode
        self._new(name)
        if inode.nlink == 0 and not inode.linkable:
            raise LinuxError(errno.ENOENT)
        inode.nlink += 1
        inode.linkable = False
        inode.changed()
        self._made(inode, name)

    def _victim(self, name: bytes, *, must: bool = True) -> TmpNode | None:
        """What has the name, which is to be taken from here. ENOENT."""
        found = self.find(name)
        if found is None:
            return _fail(errno.ENOENT) if must else None
        self._writable_directory()
        return found

    def remove(self, name: bytes, directory: bool) -> None:
        name, slash, _ = name.partition(b"/")
        node = self._victim(name)
        assert node is not None
        if directory:
            if not node.is_dir:
                raise LinuxError(errno.ENOTDIR)
            if not node.is_empty():
                raise LinuxError(errno.ENOTEMPTY)
        elif node.is_dir:
            raise LinuxError(errno.EISDIR)
        elif slash:
            raise LinuxError(errno.ENOTDIR)
        self.drop(node)
        self.directory.changed(content=True)

    def is_empty(self) -> bool:
        return not self.directory.entries

    def drop(self, node: TmpNode) -> None:
        """Take a name of this directory away, and the file with the last one."""
        self.directory.take(node)
        node.unnamed()

    def unnamed(self) -> None:
        """This name was taken away."""
        inode = self.inode
        self.gone = True
        inode.nlink = 0 if isinstance(inode, DirInode) else inode.nlink - 1
        inode.changed()
        self.fs.machine.tree_bytes -= INODE_COST + len(self.name)

    def rename(self, name: bytes, goal: Node, goal_name: bytes, flags: int) -> None:
        """Whether one may have the other's place was asked before, of every tree (`calls.names`)."""
        if not isinstance(goal, TmpNode) or goal.fs is not self.fs:
            raise LinuxError(errno.EXDEV)
        name, goal_name = name.partition(b"/")[0], goal_name.partition(b"/")[0]
        node = self._victim(name)
        goal._writable_directory()
        there = goal._victim(goal_name, must=False)
        assert node is not None
        if there is not None and there.is_dir and not flags & RENAME_EXCHANGE and not there.is_empty():
            raise LinuxError(errno.ENOTEMPTY)
        if flags & RENAME_WHITEOUT:
            self.fs.require_inode()
            self.fs.charge(INODE_COST + len(name))
        self._move(node, goal, goal_name, there, flags)

    def _move(self, node: TmpNode, goal: TmpNode, goal_name: bytes, there: TmpNode | None, flags: int) -> None:
        name = node.name
        self.directory.take(node)
        if there is not None:
            if flags & RENAME_EXCHANGE:
                goal.directory.take(there)
                there.parent_node, there.name = self.first, name
                self.directory.put(there)
                there.inode.changed()
            else:
                goal.drop(there)
        node.parent_node, node.name = goal.first, goal_name
        goal.directory.put(node)
        if flags & RENAME_WHITEOUT:
            self._made(self._file_inode(self.directory, stat.S_IFCHR, 0, None), name)
        node.inode.changed()
        self.directory.changed(content=True)
        goal.directory.changed(content=True)

    # -- attributes

    def set_mode(self, mode: int) -> None:
        inode = self.inode
        if self.is_link:
            raise LinuxError(errno.EOPNOTSUPP)
        if (mode ^ inode.mode) & 0o111:
            inode.require_unsealed(F_SEAL_EXEC)
        inode.mode = inode.kind | mode
        inode.changed()

    def set_owner(self, uid: int, gid: int) -> None:
        inode, keep = self.inode, 0xFFFF_FFFF
        if uid != keep:
            inode.uid = uid
        if gid != keep:
            inode.gid = gid
        if not self.is_dir:  # setattr_should_drop_suidgid
            inode.mode &= ~stat.S_ISUID
            if inode.mode & 0o010:
                inode.mode &= ~stat.S_ISGID
        inode.changed()

    def set_times(self, times: bytes | None) -> None:
        inode, now = self.inode, self.fs.now()
        inode.tell_time()
        if times is None:
            inode.atime = inode.mtime = now
        else:
            seconds, nanos, more, rest = unpack("<qqqq", times)
            for field, second, nano in (("atime", seconds, nanos), ("mtime", more, rest)):
                if nano == _UTIME_NOW:
                    setattr(inode, field, now)
                elif nano != _UTIME_OMIT:
                    setattr(inode, field, second * 10**9 + nano)
        inode.ctime = now

    def truncate(self, task: LinuxTask, size: int) -> None:
        require_not_run(task, self)
        from .tmpfile import require_size

        require_size(task, self.inode, size)
        self.inode.require_resizable(size)
        self.inode.changed(content=self.inode.resize(min(size, MAX_BYTES)))

    def setxattr(self, name: bytes, value: bytes, flags: int) -> None:
        self.inode.setxattr(name, value, flags)

    def removexattr(self, name: bytes) -> None:
        self.inode.removexattr(name)
