"""A tree in memory over another tree: what is changed is kept above, what is not is seen from below. Source:
Documentation/filesystems/overlayfs.rst, fs/overlayfs of Linux 6.18.

Above is a tree as in `fs.tmp`; a directory of it that has a `below` shows the names of that directory too, but for
those in `hidden` (whiteouts). What is found below and was not changed yet is a node of its own kind, not in the tree
above, known by its path below and made again when nobody holds it. The first change takes it up: attributes at once,
bytes page by page when they are wanted. Names below are never followed as links, and nothing below is ever changed.

Down to a name both this and calls done at once go by `axptr._core.kernel.overlaid`.

More than overlayfs does: numbers of files stay, hard links stay together, and a descriptor that was opened before the
first write sees it. As there: a mapping made before that does not.

Failure: as `fs.tmp`.
"""

from __future__ import annotations

import errno
import os
import stat
from weakref import WeakValueDictionary

from ..._core.kernel.overlaid import below
from ...errors import LinuxError
from .inode import DirInode, Inode
from .lowerfile import LowerFile
from .nodedir import NodeDirFile
from .tmp import TmpFs, TmpMount, TmpNode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..._core.phys.phys import PhysMemory
    from ..machine import Machine
    from ..task.task import LinuxTask
    from .mounts import Mount
    from .node import Node, Stat
    from .openfile import OpenFile

OVERLAYFS_MAGIC = 0x794C7630
_FIRST_NUMBER = 1 << 40
"""Numbers of files that were made here begin behind those of the host's."""
_WHOLE = 256 << 10
"""Files up to this size are copied as a whole: a larger one keeps a descriptor of the file below."""
NOBODY: Any = None
"""Nodes below are asked for no task: what a host or a tree of Python's has does not depend on one."""


def join(path: bytes, name: bytes) -> bytes:
    return path + b"/" + name if path else name


class LayeredFs(TmpFs):
    """A tree over another. lower: the topmost directory below.

    pure: nodes of what was not changed and somebody holds, by path below. dirs: directories of the tree above that show
    one below, by its path. linked: inodes of files below with several names, by identity; kept once they are changed.
    """

    magic = OVERLAYFS_MAGIC
    layered = True
    root: LayeredNode

    def __init__(self, lower: Mount, phys: PhysMemory, machine: Machine, device: int) -> None:
        self.lower = lower.root
        self.pure: WeakValueDictionary[bytes, LayeredNode] = WeakValueDictionary()
        self.linked: WeakValueDictionary[tuple[int, int], Inode] = WeakValueDictionary()
        self.kept: dict[tuple[int, int], Inode] = {}
        self._hosts: dict[int, int] = {}  # devices below, numbered as they are met
        super().__init__(phys, machine, device)
        self.dirs = {b"": self.root}
        self.root.inode.below = b""
        self.adopt(self.root.inode, self.lower)

    def new_node(self, inode: Inode, parent: TmpNode | None, name: bytes) -> LayeredNode:
        return LayeredNode(inode, parent, name)

    def next_number(self) -> int:
        return _FIRST_NUMBER + super().next_number()

    def close(self) -> None:
        super().close()
        for inode in self.kept.values():  # of which no name may be in the tree above
            inode.data = inode.pipe = None

    def reset(self) -> None:
        """Throw all changes away."""
        self.close()
        for held in (self.pure, self.linked, self.kept):
            held.clear()
        inode = self.root.inode
        inode.below = b""
        self.dirs = {b"": self.root}
        self.root.directory.hidden.clear()
        self.adopt(inode, self.lower)

    def dissolve(self) -> None:
        if "lower" not in vars(self):  # once, whoever of its mounts says it
            return
        mount = self.lower.mount
        super().dissolve()
        if mount is not None:
            mount.dissolve()

    # -- what is below

    def find_below(self, path: bytes) -> Node | None:
        """What has a path below, no link followed."""
        if not path:
            return self.lower
        try:
            found = self.lower.at_once(path)
            if found is not None:
                return found
            found = self.lower
            for name in path.split(b"/"):
                below = found.lookup(NOBODY, name) if found.is_dir else None
                if below is None:
                    return None
                below.mount = self.lower.mount
                found = below
        except LinuxError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return None
            raise
        return found

    def number(self, device: int, inode: int) -> int:
        """The number of a file below, unlike any other's."""
        return inode | self._hosts.setdefault(device, len(self._hosts)) << 48

    def adopt(self, inode: Inode, low: Node) -> None:
        """Take over the attributes of a file below."""
        status = low.stat(NOBODY)
        inode.mode, inode.uid, inode.gid = status.st_mode, status.st_uid, status.st_gid
        inode.rdev, inode.size, inode.nlink = status.st_rdev, status.st_size, status.st_nlink
        inode.atime, inode.mtime, inode.ctime = status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns
        inode.ino = self.number(status.st_dev, status.st_ino)

    def node_of(self, path: bytes, low: Node | None = None, parent: LayeredNode | None = None) -> LayeredNode | None:
        """The node that shows what is at a path below. low: that, if it was found already."""
        known = self.dirs.get(path) or self.pure.get(path)
        if known is not None:
            return known
        if low is None:
            low = self.find_below(path)
        if low is None:
            return None
        above = parent.first if parent is not None else None
        node = LayeredNode(self._inode_of(path, low), above, path.rpartition(b"/")[2])
        node.low, node.path_below = low, path
        node.mount = self.root.mount
        self.pure[path] = node
        return node

    def _inode_of(self, path: bytes, low: Node) -> Inode:
        if low.is_dir:
            inode: Inode = DirInode(self, low.mode, 0, 0)
        else:
            shared = low.stat(NOBODY).st_nlink > 1
            known = self.linked.get(low.identity) if shared else None
            if known is not None:
                return known
            inode = Inode(self, low.mode, 0, 0)
            if shared:
                self.linked[low.identity] = inode
                inode.origin = low.identity
        self.adopt(inode, low)
        inode.below, inode.copied = path, False
        return inode

    def statfs(self) -> bytes:
        return self.magic.to_bytes(8, "little") + self.lower.statfs()[8:]


class LayeredNode(TmpNode):
    """A name in the tree above, or one that was found below and not changed yet (`low` is then what it is there)."""

    layered = True

    def __init__(self, inode: Inode, parent: TmpNode | None, name: bytes) -> None:
        self.low: Node | None = None
        self.path_below: bytes | None = None
        self._above: LayeredNode | None = None
        super().__init__(inode, parent, name)

    @property
    def layers(self) -> LayeredFs:
        fs = self.inode.fs
        assert isinstance(fs, LayeredFs)
        return fs

    @property  # type: ignore[override]
    def parent_node(self) -> LayeredNode | None:
        if self._above is None and self.path_below:
            self._above = self.layers.node_of(self.path_below.rpartition(b"/")[0])
        return self._above

    @parent_node.setter
    def parent_node(self, node: LayeredNode | None) -> None:
        self._above = node

    def stat(self, task: LinuxTask) -> Stat:
        if not self.inode.copied and self.low is not None:
            self.layers.adopt(self.inode, self.low)
        found = self.inode.stat()
        if self.inode.below is not None and self.inode.data is None:
            found.st_blocks = -(-found.st_size // 4096) * 8
        return found

    def rights(self, task: LinuxTask) -> tuple[int, int, int]:
        if not self.inode.copied and self.low is not None:
            self.layers.adopt(self.inode, self.low)
        return super().rights(task)

    def hold(self) -> LayeredNode:
        if self.low is not None:
            self.low = self.low.hold()
        return self

    # -- looking

    def find(self, name: bytes) -> LayeredNode | None:
        found = super().find(name)
        directory = self.directory
        if found is not None or directory.below is None or name in directory.hidden:
            return found  # type: ignore[return-value]
        return self.layers.node_of(join(directory.below, name), parent=self)

    def at_once(self, path: bytes) -> LayeredNode | None:
        """As far as names are in the tree above by these; the rest, where nothing was changed, by one step below."""
        found = below(self, path)
        if isinstance(found, int):
            raise LinuxError(-found)
        slash = _as_directory(path)
        if isinstance(found, bytes):
            fs = self.layers
            known = fs.pure.get(found)
            low = fs.lower.at_once(found) if known is None and not slash else None
            found = known if known is not None else None if low is None else fs.node_of(found, low)
        if found is None:
            found = self._by_names(path)
        if slash and not found.is_dir:
            raise LinuxError(errno.ELOOP if found.is_link else errno.ENOTDIR)
        return self.seen_here(found)  # type: ignore[return-value]

    def _by_names(self, path: bytes) -> LayeredNode:
        """Name by name."""
        node = self
        for name in path.split(b"/"):
            if name in (b"", b"."):
                continue
            if node.is_link:
                raise LinuxError(errno.ELOOP)
            step = node.find(name)
            if step is None:
                raise LinuxError(errno.ENOENT)
            node = step
        return node

    def descend(self, task: LinuxTask, names: list[bytes]) -> tuple[LayeredNode, int]:
        if len(names) > 1:
            try:
                found = self.at_once(b"/".join(names))
                if found is not None:
                    return found, len(names)
            except LinuxError as error:
                if error.errno != errno.ELOOP:
                    raise
        step = self.lookup(task, names[0])
        if step is None:
            raise LinuxError(errno.ENOENT)
        return step, 1  # type: ignore[return-value]

    def listing(self, task: LinuxTask) -> list[tuple[bytes, int, int]]:
        directory = self.directory
        found = [(name, node.ino, node.mode) for name, node in directory.entries.items()]
        low = self.low_directory()
        if low is not None:
            device = low.stat(NOBODY).st_dev
            for name, ino, mode in low.listing(NOBODY):
                if name not in directory.entries and name not in directory.hidden:
                    found.append((name, self.layers.number(device, ino), mode))
        return found

    def names(self, task: LinuxTask) -> list[bytes]:
        return [name for name, _, _ in self.listing(task)]

    def low_directory(self) -> Node | None:
        """The directory below that it shows."""
        below = self.directory.below
        found = None if below is None else self.low or self.layers.find_below(below)
        return found if found is not None and found.is_dir else None

    def is_empty(self) -> bool:
        return not self.listing(NOBODY)

    def target(self, task: LinuxTask) -> bytes:
        if self.is_link and not self.inode.copied and self.low is not None:
            return self.low.target(task)
        return super().target(task)

    def getxattr(self, name: bytes) -> bytes:
        return self.low.getxattr(name) if self.low is not None and not self.inode.copied else super().getxattr(name)

    def listxattr(self) -> bytes:
        return self.low.listxattr() if self.low is not None and not self.inode.copied else super().listxattr()

    # -- taking up

    def changeable(self) -> LayeredNode:
        super().changeable()
        self.take_up()
        return self

    def take_up(self) -> None:
        """Make it, and what is above it, part of the tree above; the bytes of a file are left where they are."""
        if self.original is not None:
            self.first.take_up()  # type: ignore[attr-defined]
            self.low = None
            return
        low, inode = self.low, self.inode
        if low is None:
            return
        above = self.parent_node
        if above is not None:
            above.take_up()
        if not inode.copied:
            self.layers.adopt(inode, low)
            if inode.kind == stat.S_IFLNK:
                inode.target = low.target(NOBODY)
            if inode.kind not in (stat.S_IFREG, stat.S_IFDIR):
                inode.below = None
            inode.xattrs = attributes_of(low)
            inode.copied = True
            if inode.origin is not None:
                self.layers.kept[inode.origin] = inode
        size, nlink = (above.directory.size, above.directory.nlink) if above is not None else (0, 0)
        if above is not None and not self.gone:
            above.directory.put(self)
            above.directory.size, above.directory.nlink = size, nlink  # it was counted there before
        if self.path_below is not None:
            self.layers.pure.pop(self.path_below, None)
            if inode.kind == stat.S_IFDIR:
                self.layers.dirs[self.path_below] = self
        self.low = None

    def take_bytes(self) -> None:
        """Have the bytes of a regular file here, too, as far as anybody wants them."""
        inode = self.inode
        if inode.below is None or inode.kind != stat.S_IFREG:
            return
        self.take_up()
        low = self.layers.find_below(inode.below)
        if low is None:
            raise LinuxError(errno.EIO)
        file = low.open(NOBODY, os.O_RDONLY)
        try:
            size = inode.size
            if size > _WHOLE and file.host_fd is not None:
                inode.supply(file.host_fd, size)
            else:
                inode.size = 0
                _copy(file, inode, size)
        finally:
            file.close()
        inode.below = None

    # -- opening

    def open_as(self, task: LinuxTask, flags: int) -> OpenFile:
        if self.inode.kind == stat.S_IFDIR:
            return NodeDirFile(self, flags)
        if self.inode.kind == stat.S_IFREG and self.inode.below is not None:
            if flags & os.O_ACCMODE == os.O_RDONLY and not flags & os.O_TRUNC:
                return self._open_below(task, flags)
            self.take_bytes()
        return super().open_as(task, flags)

    def open_bytes(self) -> OpenFile:
        """A file below whose bytes are this one's, to be read."""
        return self._open_below(NOBODY, os.O_RDONLY)

    def open_program(self) -> OpenFile:
        if self.inode.below is not None:
            return self._open_below(NOBODY, os.O_RDONLY)
        return super().open_program()

    def _open_below(self, task: LinuxTask, flags: int) -> OpenFile:
        assert self.inode.below is not None
        low = self.low or self.layers.find_below(self.inode.below)
        if low is None:
            raise LinuxError(errno.EIO)
        return LowerFile(self, low.open(task, os.O_RDONLY), flags)

    # -- changes

    def drop(self, node: TmpNode) -> None:
        assert isinstance(node, LayeredNode)
        node.take_up()
        super().drop(node)
        if node.inode.nlink == 0 and node.inode.origin is not None:
            self.layers.kept.pop(node.inode.origin, None)
        self.hide(node.name)

    def hide(self, name: bytes) -> None:
        """What has a name below is not to be seen any more."""
        directory = self.directory
        if directory.below is None or name in directory.hidden:
            return
        if self.layers.find_below(join(directory.below, name)) is not None:
            directory.hidden.add(name)

    def _move(self, node: TmpNode, goal: TmpNode, goal_name: bytes, there: TmpNode | None, flags: int) -> None:
        name = node.name
        for moved in (node, there):
            if isinstance(moved, LayeredNode):
                moved.take_up()
        super()._move(node, goal, goal_name, there, flags)
        self.hide(name)

    def link(self, name: bytes, node: Node) -> None:
        if isinstance(node, LayeredNode):
            node.take_up()
        super().link(name, node)

    def truncate(self, task: LinuxTask, size: int) -> None:
        self.take_bytes()
        super().truncate(task, size)


def attributes_of(low: Node) -> dict[bytes, bytes]:
    """The extended attributes of a file below, as far as they can be read."""
    found = {}
    try:
        for name in low.listxattr().split(b"\0"):
            if name and not name.startswith(b"system."):
                found[name] = low.getxattr(name)
    except LinuxError:
        pass
    return found


def _copy(file: OpenFile, inode: Inode, size: int) -> None:
    view = memoryview(bytearray(min(size, _WHOLE)))
    while inode.size < size:
        data = file.peek(len(view), inode.size)
        if not data:
            inode.resize(size)
            break
        inode.write(inode.size, memoryview(data))


class LayeredMount(TmpMount):
    """A tree over another, mounted in its place."""

    def __init__(self, fs: LayeredFs) -> None:
        super().__init__(fs, b"overlay", b"overlay")

    def close(self) -> None:
        super().close()
        assert isinstance(self.fs, LayeredFs)
        below = self.fs.lower.mount
        if below is not None:
            below.close()


def _as_directory(path: bytes) -> bool:
    """Whether a path says that it leads to a directory; a name may end with a dot."""
    return path[-1:] == b"/" or path[-2:] in (b"/.", b".")
