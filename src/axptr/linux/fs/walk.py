"""Path resolution: from what a program says to a node of the tree that it sees. Source: path_resolution(7), fs/namei.c.

The walk goes over nodes: those of our own (/proc, /dev) and directories of the host held by descriptors
(`fs.host.tree`). Symbolic links are followed here and not by the host, so that no `..`, no link and no magic link of
the host's leads out of this tree. Where no link and no `..` is in the way the host takes many components at once.
Nothing is remembered from one call to the next but what the program holds: its working directory and its open
directories.

What may be changed is not decided here: `Node.changeable` does, of the node that was found. What is mounted where is
the table's affair (`mounts`).
"""

from __future__ import annotations

import errno

from ..._core.host.places import straight
from ...errors import LinuxError
from ..uaccess import PATH_MAX
from .node import DirNode, Node
from .permissions import MAY_EXEC, MAY_WRITE, judge, require, require_follow, search, walks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask
    from .mounts import MountTable

AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_REMOVEDIR = 0x200
AT_SYMLINK_FOLLOW = 0x400
AT_EMPTY_PATH = 0x1000

MAX_LINKS = 40
_RUN = 64
"""How many components are given to the host at once; a longer path goes in several."""


class Entry:
    """Where the last component of a path stands: `name` in `directory`, whether something is there or not.

    name: `.`, `..` or `/` for paths that end so (LAST_DOT, LAST_DOTDOT, LAST_ROOT of fs/namei.c); `normal` otherwise.
    slash: the path went on with one. spelled: the name with it, for calls of the host that look at it too.
    """

    __slots__ = ("directory", "name", "slash")

    def __init__(self, directory: Node, name: bytes, slash: bool) -> None:
        self.directory = directory
        self.name = name
        self.slash = slash

    @property
    def normal(self) -> bool:
        return self.name not in (b".", b"..", b"/")

    @property
    def spelled(self) -> bytes:
        return self.name + b"/" if self.slash else self.name


class FsContext:
    """Where paths begin, Linux' struct fs_struct: and the walk from there. The machine's thread alone uses it.

    | field | exec | fork | a snapshot |
    | --- | --- | --- | --- |
    | root, cwd: held directories | keeps | a copy, with CLONE_FS the same | their paths |
    | umask | keeps | has the same | the number |
    | mounts: the machine's table | keeps | the same | through the machine |
    """

    def __init__(self, mounts: MountTable, umask: int) -> None:
        self.mounts = mounts
        self.root: Node = mounts.mounts[0].root
        self.cwd: Node = self.root
        self.umask = umask

    def copy(self) -> FsContext:
        """One of its own for a new process. Directories are held by whoever has them: nothing is opened again."""
        other = FsContext(self.mounts, self.umask)
        other.root, other.cwd = self.root, self.cwd
        return other

    def shown(self, path: bytes, *, marked: bool = False) -> bytes:
        """What a path of the machine's tree is called below a root of one's own (d_path); as it is from elsewhere,
        which getcwd(2) has `marked`. ENAMETOOLONG."""
        if len(path) >= PATH_MAX:
            raise LinuxError(errno.ENAMETOOLONG)
        if self.root is self.mounts.mounts[0].root:
            return path
        top = self.root.where().rstrip(b"/")
        if path == top:
            return b"/"
        if path.startswith(top + b"/"):
            return path[len(top) :]
        return b"(unreachable)" + path if marked else path

    # -- the tree

    def child(self, task: LinuxTask, entry: Entry) -> Node | None:
        """What stands at an entry, None if nothing does; no link is followed."""
        directory = entry.directory
        own = self.mounts.at(directory, entry.name)
        if own is not None:
            return own
        found = directory.lookup(task, entry.name)
        return found if found is None else found.under(directory.mount)

    def parent(self, task: LinuxTask, node: Node) -> Node:
        """The directory above; of the root itself. ENOENT if that is not in the tree any more."""
        mount = node.mount
        if mount is self.root.mount and node.identity == self.root.identity:
            return self.root
        if mount is not None and mount.is_root(node):
            return mount.above if mount.above is not None else node
        return node.parent(task)

    def start(self, task: LinuxTask, dirfd: int) -> Node:
        """Where relative paths begin. EBADF, ENOTDIR."""
        if dirfd == AT_FDCWD:
            return self.cwd
        node = task.files.get(dirfd).node()
        if node is None or not node.is_dir:
            raise LinuxError(errno.ENOTDIR)
        return node

    def follow(self, task: LinuxTask, node: Node) -> bytes | Node:
        """Where a symbolic link leads."""
        return node.follow(task)

    # -- the walk

    def resolve(self, task: LinuxTask, dirfd: int, path: bytes, *, follow: bool = True) -> Node:
        """What `path` leads to from `dirfd`. follow: also through a symbolic link at the end.

        ENOENT (also for an empty path), ENOTDIR, ELOOP, ENAMETOOLONG, EACCES, EBADF.
        """
        if not path:
            raise LinuxError(errno.ENOENT)
        node = self.root if path[0] == 0x2F else self.start(task, dirfd)
        return self.walk(task, node, path, follow)

    def walk(self, task: LinuxTask, node: Node, path: bytes, follow: bool) -> Node:
        """`resolve` from a directory; an absolute path begins at the root all the same."""
        if path[:1] == b"/":
            node = self.root
        link, mount = task is not None and not task.creds.walks and not walks(task, node), node.mount
        if not link and mount is not None:
            # The whole path in one step, if nothing in it is the walk's affair.
            relative = straight(path, mount.covered)
            if relative is not None:
                try:
                    found = node.at_once(relative)
                    if found is not None and not (found.is_link and (follow or path[-1] == 0x2F)):
                        return found
                except LinuxError as error:
                    if error.errno != errno.ELOOP:
                        raise
                    link = True
        return self._walk(task, node, path, follow, link)

    def _walk(self, task: LinuxTask, node: Node, path: bytes, follow: bool, singly: bool) -> Node:
        """Component by component, or by runs of them. singly: a link is known to be in the way."""
        todo = path.split(b"/")
        todo.reverse()
        links = 0
        while todo:
            name = todo.pop()
            if not node.is_dir:
                raise LinuxError(errno.ENOTDIR)
            if name == b"":
                continue
            step_only = not walks(task, node)
            if step_only:
                require(task, node, MAY_EXEC)
            if name == b"..":
                node = self.parent(task, node)
                continue
            names = [name]
            if not (singly or step_only) and name != b".":
                self._gather(node, names, todo)
            found, taken = self.step(task, node, names)
            for later in reversed(names[taken:]):
                todo.append(later)
            singly = taken < len(names) or singly
            if not found.is_link or not (todo or follow):
                node = found
                continue
            links += 1
            if links > MAX_LINKS:
                raise LinuxError(errno.ELOOP)
            if not todo:
                require_follow(task, node, found)
            goal = found.follow(task)
            singly = False
            if isinstance(goal, Node):
                node = goal
                continue
            if not goal:
                raise LinuxError(errno.ENOENT)
            todo.extend(reversed(goal.split(b"/")))
            if goal[0] == 0x2F:
                node = self.root
            elif taken > 1:
                node = self.step(task, node, names[: taken - 1])[0]
        return node

    @staticmethod
    def _gather(node: Node, names: list[bytes], todo: list[bytes]) -> None:
        """Move what can be gone down by at once from `todo` to `names`: plain names, nothing mounted at any of them."""
        covered = node.mount.covered if node.mount is not None else ()
        if names[0] in covered:
            return
        while todo and todo[-1] not in (b"", b".", b"..") and todo[-1] not in covered and len(names) < _RUN:
            names.append(todo.pop())

    def step(self, task: LinuxTask, node: Node, names: list[bytes]) -> tuple[Node, int]:
        """Down from a directory by one of `names`, or by as many as can be taken at once."""
        if names[0] == b"." and (node is self.root or isinstance(node, DirNode)):
            return node, 1
        own = self.mounts.at(node, names[0])
        if own is not None:
            return own, 1
        if sum(map(len, names)) + len(names) >= PATH_MAX:
            names = names[:1]
        found, taken = node.descend(task, names)
        return found.under(node.mount), taken

    def entry(self, task: LinuxTask, dirfd: int, path: bytes) -> Entry:
        """Where a name is to be made, moved or removed: everything before the last component is resolved."""
        if not path:
            raise LinuxError(errno.ENOENT)
        return self.entry_from(task, self.root if path[0] == 0x2F else self.start(task, dirfd), path)

    def entry_from(self, task: LinuxTask, node: Node, path: bytes) -> Entry:
        """`entry` from a directory."""
        stripped = path.rstrip(b"/")
        if not stripped:
            return Entry(self.root, b"/", True)
        head, slash, name = stripped.rpartition(b"/")
        if slash:
            node = self.walk(task, node, head + b"/", True)
        search(task, node)
        return Entry(node, name, len(stripped) < len(path))

    def changeable_directory(self, task: LinuxTask, entry: Entry, *, making: bool = False) -> Node:
        """The directory of an entry, so that names in it may be changed: EROFS, ENOENT if it was removed.

        making: nothing has the name, and the task is to make something: EACCES unless it may; /proc then says ENOENT.
        """
        directory = entry.directory
        if directory.removed or (making and directory.immutable == errno.EPERM):
            raise LinuxError(errno.ENOENT)
        judge(task, directory, "write", entry.name, making=making)
        return directory.changeable_by(task, MAY_WRITE | MAY_EXEC) if making else directory.changeable()
