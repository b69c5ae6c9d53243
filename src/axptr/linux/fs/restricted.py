"""A walk that may not go everywhere: what RESOLVE_* of openat2(2) forbid. Source: openat2(2), fs/namei.c.

Component by component, over the same nodes as `walk`. A restriction that is met by nothing on the way costs nothing
else. Racing renames are harmless: each step is taken from a node that is held.
"""

from __future__ import annotations

import errno

from ...errors import LinuxError
from .node import Node
from .permissions import MAY_EXEC, require, require_access, require_follow, search, walks
from .walk import MAX_LINKS, Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..task.task import LinuxTask
    from .walk import FsContext

RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH, RESOLVE_IN_ROOT = 1, 2, 4, 8, 16
RESOLVE_CACHED = 32
RESOLVE_ALL = 63
_SCOPED = RESOLVE_BENEATH | RESOLVE_IN_ROOT


class RestrictedWalk:
    """The same verbs as `FsContext` has for opening, under restrictions. For one call."""

    def __init__(self, fs: FsContext, resolve: int) -> None:
        self._fs = fs
        self._resolve = resolve
        self._top: Node | None = None
        self._rooted = False
        self.umask = fs.umask
        self.child = fs.child
        self.changeable_directory = fs.changeable_directory

    def resolve(self, task: LinuxTask, dirfd: int, path: bytes, *, follow: bool = True) -> Node:
        if not path:
            raise LinuxError(errno.ENOENT)
        return self._walk(task, self._start(task, dirfd, path), path, follow)

    def entry(self, task: LinuxTask, dirfd: int, path: bytes) -> Entry:
        if not path:
            raise LinuxError(errno.ENOENT)
        return self.entry_from(task, self._start(task, dirfd, path), path)

    def entry_from(self, task: LinuxTask, node: Node, path: bytes) -> Entry:
        if path[:1] == b"/":
            node = self._root(node)
        stripped = path.strip(b"/")
        if not stripped:
            return Entry(node, b"/", True)
        head, slash, name = stripped.rpartition(b"/")
        if slash:
            node = self._walk(task, node, head + b"/", True)
        search(task, node)
        return Entry(node, name, path[-1] == 0x2F)

    def follow(self, task: LinuxTask, node: Node) -> bytes | Node:
        """Where a link leads, if it may be followed: ELOOP, or EXDEV for a way out."""
        if self._resolve & RESOLVE_NO_SYMLINKS:
            raise LinuxError(errno.ELOOP)
        goal = node.follow(task)
        if isinstance(goal, Node):
            if self._resolve & RESOLVE_NO_MAGICLINKS:
                raise LinuxError(errno.ELOOP)
            if self._resolve & _SCOPED:
                raise LinuxError(errno.EXDEV)
            self._same_device(node, goal)
        return goal

    # -- the walk

    def _start(self, task: LinuxTask, dirfd: int, path: bytes) -> Node:
        """Where a path begins; absolute ones at the root, which is no way out unless they are to stay beneath."""
        if path[0] == 0x2F and not self._resolve & _SCOPED:
            self._rooted = True
            return self._fs.root
        start = self._fs.start(task, dirfd)
        self._top = start
        if path[0] == 0x2F and self._resolve & RESOLVE_BENEATH:
            raise LinuxError(errno.EXDEV)
        return start

    def _root(self, node: Node) -> Node:
        """Where an absolute link leads."""
        if self._resolve & RESOLVE_BENEATH:
            raise LinuxError(errno.EXDEV)
        if self._resolve & RESOLVE_IN_ROOT:
            assert self._top is not None
            return self._top
        if self._resolve & RESOLVE_NO_XDEV and not self._rooted:  # Linux compares with a root that it has not looked up
            raise LinuxError(errno.EXDEV)
        self._same_device(node, self._fs.root)
        return self._fs.root

    def _same_device(self, node: Node, other: Node) -> None:
        """EXDEV for a step onto another file system, if there is to be none."""
        if self._resolve & RESOLVE_NO_XDEV and _device(node) != _device(other):
            raise LinuxError(errno.EXDEV)

    def _walk(self, task: LinuxTask, node: Node, path: bytes, follow: bool) -> Node:
        todo = path.split(b"/")
        todo.reverse()
        links = 0
        if path[:1] == b"/":
            node = (self._top or node) if self._resolve & RESOLVE_IN_ROOT else self._fs.root
        while todo:
            name = todo.pop()
            if not node.is_dir:
                raise LinuxError(errno.ENOTDIR)
            if name == b"":
                continue
            if not walks(task, node):
                require(task, node, MAY_EXEC)
            if name == b".":
                require_access(task, node, MAY_EXEC)
                continue
            if name == b"..":
                node = self._up(task, node)
                continue
            step, _ = self._fs.step(task, node, [name])
            self._same_device(node, step)
            if not step.is_link or not (todo or follow):
                node = step
                continue
            links += 1
            if links > MAX_LINKS:
                raise LinuxError(errno.ELOOP)
            if not todo:
                require_follow(task, node, step)
            goal = self.follow(task, step)
            if isinstance(goal, Node):
                node = goal
                continue
            if not goal:
                raise LinuxError(errno.ENOENT)
            todo.extend(reversed(goal.split(b"/")))
            if goal[0] == 0x2F:
                node = self._root(step)
        return node

    def _up(self, task: LinuxTask, node: Node) -> Node:
        if self._top is not None and self._resolve & _SCOPED and node.identity == self._top.identity:
            if self._resolve & RESOLVE_BENEATH:
                raise LinuxError(errno.EXDEV)
            return node
        above = self._fs.parent(task, node)
        self._same_device(node, above)
        return above


def _device(node: Node) -> tuple[int, int]:
    """Which mount a node was found by, and which file system it is in."""
    return id(node.mount), node.identity[0]
