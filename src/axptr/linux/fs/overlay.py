"""`Overlay`: what a run changed over a tree that stays as it is: listed, saved, loaded again, committed, thrown away.

    overlay = Overlay()
    with create_process("/usr/bin/sed", ["sed", "-i", "s/a/b/", "file"], overlay=overlay) as process:
        process.run()
        for change in overlay.changes():
            print(change.kind, change.path)
        overlay.save("changes")

A comparison with what is below decides what a change is, not what calls were made: a file that was written as it was is
none, but for its times. Not here: how the tree above is kept (`fs.layers`), saved (`fs.treefile`), and put in place
(`fs.commit`).
"""

from __future__ import annotations

import errno
import os
import stat

from ...named import NamedTuple
from ..uaccess import PATH_MAX
from .layers import NOBODY, LayeredFs, LayeredMount, LayeredNode, attributes_of, join

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .mounts import Mount
    from .node import Node
    from .shape import Shaper

    _Pair = tuple[bytes, Node | None, LayeredNode | None]
_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}
_PAGE = 4096
CHANGES = 256 << 20
"""Bytes of paths of changes, at most where nobody says otherwise: a deep tree has many."""


class Change(NamedTuple):
    """One change.

    kind: "added", "changed" or "removed"; a directory that was removed stands for all that was in it. path: in the
    program's tree. type: what it is now, or was: "file", "directory", "symlink", "fifo", "socket", "device".
    """

    kind: str
    path: str
    type: str


class Found(NamedTuple):
    """A difference between the trees; path: from the root, without a slash first."""

    kind: str
    path: bytes
    above: LayeredNode | None
    below: Node | None


class Overlay:
    """All changes of a run, in memory. For one machine at a time; made by `Overlay()` or `Overlay.load(file)`.

    `RuntimeError` from its verbs before a process was created with it, and after that was closed.
    """

    def __init__(self) -> None:
        self._saved: str | bytes | os.PathLike[str] | None = None
        self._fs: LayeredFs | None = None

    @classmethod
    def load(cls, file: str | bytes | os.PathLike[str]) -> Overlay:
        """What `save` wrote, to begin another run with. The file is read, and judged, when the process is created."""
        overlay = cls()
        overlay._saved = file
        return overlay

    def over(self, lower: Mount, shaper: Shaper) -> Mount:
        """The tree of a run: this over `lower`. For `create_process`."""
        if self._fs is not None:
            raise RuntimeError("this overlay is in use: load what it saved for another process")
        fs = LayeredFs(lower, shaper.phys, shaper.machine, shaper.device())
        mount = OverlayMount(fs, self)
        if self._saved is not None:
            from .treefile import load_tree

            load_tree(self._saved, fs)
        self._fs = fs
        return mount

    @property
    def fs(self) -> LayeredFs:
        if self._fs is None:
            raise RuntimeError("this overlay belongs to no process that is open")
        return self._fs

    def changes(self, *, limit: int | None = CHANGES) -> list[Change]:
        """What is not as it is below, sorted by path. A directory that is so deep that no path leads into it (of 4096
        bytes) stands for all that is in it.

        limit: bytes that all paths may have together, None for any number; `OSError` (EFBIG) for more.
        """
        found, size = [], 0
        for kind, path, above, below in self.differences(PATH_MAX):
            node = above if above is not None else below
            assert node is not None
            what = _KINDS.get(stat.S_IFMT(node.mode), "file")
            found.append(Change(kind, os.fsdecode(b"/" + path), what))
            size += len(path)
            if limit is not None and size > limit:
                raise OSError(
                    errno.EFBIG, f"the paths of all changes have more than {limit:,} bytes: `limit` of changes"
                )
        return sorted(found, key=lambda change: change.path)

    def save(self, file: str | bytes | os.PathLike[str]) -> None:
        """Write all changes to a file, which is never half written. Raises `OSError`."""
        from .treefile import save_tree

        save_tree(file, self.fs)

    def commit(self) -> None:
        """Make all changes in the host's tree, each file at once (by rename), and begin anew.

        Nothing is reached through a symbolic link, or outside the root. For when the program does not run: it would
        find its open files where they were. `OSError` where the host refuses; what was done before stays done.
        Where the program made a device, nothing is done, and it is `EPERM`: here it would be one of the host's.
        `RuntimeError` for a tree that is not the host's.
        """
        from .commit import commit

        commit(self)
        self.fs.reset()

    def discard(self) -> None:
        """Throw all changes away. For when the program does not run."""
        self.fs.reset()

    # -- comparing

    def differences(self, longest: int | None = None) -> Iterator[Found]:
        """All differences, a directory before what is in it. longest: paths beyond that many bytes are left out."""
        fs = self.fs
        todo: list[Iterator[_Pair]] = [iter([(b"", fs.lower, fs.root)])]
        while todo:  # however deep a program has made it
            pair = next(todo[-1], None)
            if pair is None:
                todo.pop()
                continue
            found, inside = self._compare(*pair)
            if found is not None:
                yield found
            if inside is not None and (longest is None or len(inside[0]) < longest):
                todo.append(self._pairs(*inside))

    def _compare(
        self, path: bytes, below: Node | None, above: LayeredNode | None
    ) -> tuple[Found | None, tuple[bytes, Node | None, LayeredNode] | None]:
        """The difference at a path, if there is one, and the directory in which there may be more."""
        if above is None:
            return Found("removed", path, None, below), None
        found = None
        if below is None:
            found = Found("added", path, above, None)
        else:
            same_kind = stat.S_IFMT(below.mode) == stat.S_IFMT(above.mode)
            if not above.inode.copied and above.inode.below == path:
                return None, None  # nobody changed it, nor anything in it
            if not same_kind or self._differ(below, above):
                found = Found("changed", path, above, below)
            if not same_kind:
                below = None
        return found, (path, below, above) if above.is_dir else None

    def _pairs(self, path: bytes, below: Node | None, above: LayeredNode) -> Iterator[_Pair]:
        """What is to be compared in a directory."""
        directory = above.directory
        if below is not None and directory.below == path:  # only what was touched can differ
            names = {*directory.entries, *directory.hidden}
        else:
            names = set(above.names(NOBODY))
            if below is not None:
                names.update(below.names(NOBODY))
        for name in sorted(names):
            here = join(path, name)
            low = self.fs.find_below(here) if below is not None else None
            high = above.find(name)
            if low is not None or high is not None:
                yield here, low, high

    def _differ(self, below: Node, above: LayeredNode) -> bool:
        inode, status = above.inode, below.stat(NOBODY)
        inode.tell_time()
        if (inode.mode, inode.uid, inode.gid, inode.rdev) != (
            status.st_mode, status.st_uid, status.st_gid, status.st_rdev,
        ):  # fmt: skip
            return True
        if inode.kind == stat.S_IFDIR:
            return _other_attributes(below, above)
        if inode.kind == stat.S_IFLNK:
            return below.target(NOBODY) != above.target(NOBODY)
        if inode.size != status.st_size or inode.mtime != status.st_mtime_ns or _other_attributes(below, above):
            return True
        return inode.kind == stat.S_IFREG and self._other_bytes(below, above)

    def _other_bytes(self, below: Node, above: LayeredNode) -> bool:
        inode = above.inode
        if inode.below is not None:  # they are those of a file below
            same = self.fs.find_below(inode.below)
            return same is None or same.identity != below.identity
        file = below.open(NOBODY, os.O_RDONLY)
        try:
            view = memoryview(bytearray(1 << 18))
            at = 0
            while count := inode.read_into(at, view):
                if file.peek(count, at) != view[:count]:
                    return True
                at += count
        finally:
            file.close()
        return False


class OverlayMount(LayeredMount):
    """An overlay in its place; when the run is over it lets go."""

    def __init__(self, fs: LayeredFs, overlay: Overlay) -> None:
        super().__init__(fs)
        self._overlay = overlay

    def close(self) -> None:
        super().close()
        self._overlay._fs = None


def _other_attributes(below: Node, above: LayeredNode) -> bool:
    return attributes_of(below) != {n: v for n, v in above.inode.xattrs.items() if not n.startswith(b"system.")}
