"""Path resolution: from what a program says to one canonical place on the host, or to a file of our own.

Components are walked one by one, symbolic links are followed here and not by the host, so that no `..` and no link
leads out of what the policy allows and `/proc` and `/dev` are found however they are reached. The host is then
given absolute paths without links in them. Source: path_resolution(7), fs/namei.c.

Directories that were seen to be real ones are remembered, and forgotten when the guest changes any name; a host that
swaps a directory for a link meanwhile can confuse a reader, but a place that is to be changed is always walked anew.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..errors import LinuxError
from .hostio import is_directory
from .nodes import DirNode, LinkNode, Node

if TYPE_CHECKING:
    from .task import LinuxTask

AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_REMOVEDIR = 0x200
AT_SYMLINK_FOLLOW = 0x400
AT_EMPTY_PATH = 0x1000

NAME_MAX = 255
MAX_LINKS = 40


class Place:
    """Where a path leads.

    path: canonical and absolute; no component but the last can be a symbolic link.
    node: the file of our own that stands there, None for the host's.
    exists: False if nothing is there (its directory is); True may mean that nobody looked.
    slash: the path ended so that only a directory will do.
    """

    __slots__ = ("exists", "node", "path", "slash")

    def __init__(self, path: bytes, node: Node | None, exists: bool, slash: bool) -> None:
        self.path = path or b"/"
        self.node = node
        self.exists = exists
        self.slash = slash


class FileSystem:
    """What a program sees of the file tree: working directory, umask, which directories it may change.

    cwd: canonical. writable_dirs: canonical; `may_change` is the whole policy.
    """

    def __init__(self, cwd: bytes | None, allow_write: Iterable[bytes], proc: DirNode, dev: DirNode) -> None:
        self.cwd = os.path.realpath(cwd if cwd is not None else os.getcwdb())
        self.writable_dirs = tuple(os.path.realpath(d) for d in allow_write)
        mask = os.umask(0o022)
        os.umask(mask)
        self.umask = mask
        self._roots = ((b"/proc", proc), (b"/dev", dev))
        self._real_dirs: set[bytes] = {b""}

    def may_change(self, path: bytes) -> bool:
        """Whether the guest may change `path`, which is canonical."""
        return any(path == d or path.startswith(d + b"/") or d == b"/" for d in self.writable_dirs)

    def require_change(self, place: Place) -> None:
        """EROFS unless the policy allows changes there."""
        if place.node is not None or not self.may_change(place.path):
            raise LinuxError(errno.EROFS)

    def require_change_in(self, place: Place) -> None:
        """EROFS unless names may be made and removed in the directory that holds `place`."""
        if place.node is not None or not self.may_change(os.path.dirname(place.path)):
            raise LinuxError(errno.EROFS)

    def names_changed(self) -> None:
        """The guest made, moved or removed a name."""
        self._real_dirs = {b""}

    def virtual(self, task: LinuxTask, path: bytes) -> Node | None:
        """Our own file at a canonical path, None if the path is the host's; ENOENT if it is ours and not there."""
        if path[:5] != b"/proc" and path[:4] != b"/dev":
            return None
        for root, directory in self._roots:
            if path == root:
                return directory
            if path.startswith(root + b"/"):
                if path == b"/dev/shm" or path.startswith(b"/dev/shm/"):
                    return None
                node: Node | None = directory
                for name in path[len(root) + 1 :].split(b"/"):
                    if not isinstance(node, DirNode):
                        raise LinuxError(errno.ENOTDIR)
                    node = node.lookup(task, name)
                    if node is None:
                        raise LinuxError(errno.ENOENT)
                return node
        return None

    def resolve(self, task: LinuxTask, dirfd: int, path: bytes, *, follow: bool = True, change: bool = False) -> Place:
        """Walk `path` from `dirfd`.

        follow: also a symbolic link at the end. change: the place is to be made, moved or removed: nothing remembered
        is trusted. ENOENT (also for an empty path), ENOTDIR, ELOOP, ENAMETOOLONG, EACCES, EBADF.
        """
        if change:
            self.names_changed()
        if not path:
            raise LinuxError(errno.ENOENT)
        if path[0] == 0x2F:
            at = b""
        elif dirfd == AT_FDCWD:
            at = self.cwd.rstrip(b"/")
        else:
            at = task.files.get(dirfd).directory_path().rstrip(b"/")
        return self._walk(task, at, path, follow)

    def _walk(self, task: LinuxTask, at: bytes, path: bytes, follow: bool) -> Place:
        todo = path.split(b"/")
        todo.reverse()
        real, links = self._real_dirs, 0
        node: Node | None = None
        slash = False
        while todo:
            name = todo.pop()
            if name == b"" or name == b".":
                slash = not todo
                continue
            if name == b"..":
                self._require_dir(task, at)
                at, node, slash = at[: at.rfind(b"/")] if at else b"", None, True
                continue
            if len(name) > NAME_MAX:
                raise LinuxError(errno.ENAMETOOLONG)
            here = at + b"/" + name
            if here in real:
                at, node = here, None
                continue
            rest = any(n and n != b"." for n in todo)
            slash = bool(todo)
            through = rest or follow or slash
            target: bytes | None = None
            try:
                node = self.virtual(task, here)
                if node is not None:
                    if isinstance(node, LinkNode) and through:
                        goal = node.follow(task)
                        if isinstance(goal, Node):
                            if rest:
                                raise LinuxError(errno.ENOTDIR)
                            return Place(here, goal, True, slash)
                        target = goal
                elif through:
                    target = _link_target(here)
            except LinuxError as error:
                if error.errno != errno.ENOENT or rest:
                    raise
                self._require_dir(task, at)
                return Place(here, None, False, slash)
            if through and node is None:
                real.add(at)
            if target is None:
                at = here
                continue
            links += 1
            if links > MAX_LINKS:
                raise LinuxError(errno.ELOOP)
            if not target:
                raise LinuxError(errno.ENOENT)
            more = target.split(b"/")
            more.reverse()
            todo.extend(more)
            node = None
            if target[0] == 0x2F:
                at = b""
        if slash:
            self._require_dir(task, at)
        if node is None and at:
            node = self.virtual(task, at)
        return Place(at, node, True, slash)

    def _require_dir(self, task: LinuxTask, path: bytes) -> None:
        if path in self._real_dirs:
            return
        node = self.virtual(task, path)
        if node is not None:
            if not isinstance(node, DirNode):
                raise LinuxError(errno.ENOTDIR)
        elif is_directory(path):
            self._real_dirs.add(path)
        else:
            raise LinuxError(errno.ENOTDIR)


def _link_target(path: bytes) -> bytes | None:
    """What the symbolic link at `path` says; None if something else is there."""
    try:
        return os.readlink(path)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise LinuxError(error.errno or errno.EIO) from None
    except ValueError:
        raise LinuxError(errno.ENOENT) from None
