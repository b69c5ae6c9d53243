"""What is mounted where: a tree of nodes at a name in a directory of another tree. Source: mount(2),
proc_pid_mounts(5), fs/namespace.c.

A mount point is a directory (of a mount, by its identity) and a name in it, so that one can be where the tree below has
nothing. The walk asks at every name that some mount point of that mount has; `..` of a mount's root is the directory
that holds the mount point. Every node names its mount, by which the walk knows the tree that it is in: names are moved
and linked within one mount only (EXDEV), a mount point is neither removed nor moved (EBUSY).

A table belongs to a machine, and is made before the run. A fork shares it; a snapshot carries it as it is.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

    from .node import Node

Key = tuple[int, tuple[int, int], bytes]


class Mount:
    """One mounted tree. Nothing of it changes once it stands in a table, but `covered`.

    root: its topmost node, which names this mount. above, name: the directory with the mount point, and its name there;
    None and "" of the first. number: of the mount, as mountinfo shows it. covered: names of mount points in this tree.
    source, kind, options: what `device` tells. readonly: nothing in it may be changed.
    """

    above: Node | None = None
    name = b""
    number = 1

    def __init__(
        self,
        root: Node,
        source: bytes = b"none",
        kind: bytes = b"none",
        options: bytes = b"",
        *,
        readonly: bool = False,
    ) -> None:
        self.root = root
        self._device = source, kind, options
        self.readonly = readonly
        self.covered: set[bytes] = set()
        root.mount = self

    def is_root(self, node: Node) -> bool:
        """Whether a node of this mount is its root."""
        return node is self.root or node.identity == self.root.identity

    def place(self) -> bytes:
        """The path of the mount point, as it is now."""
        if self.above is None:
            return b"/"
        return self.above.where().rstrip(b"/") + b"/" + self.name

    def device(self) -> tuple[bytes, bytes, bytes]:
        """What is mounted: the source, the kind of file system, and the options besides ro and rw."""
        return self._device

    def close(self) -> None:
        """The run is over: give back what is held for it."""

    def access(self) -> bytes:
        """`ro` or `rw`, as the tables of mounts say it."""
        return b"ro" if self.readonly else b"rw"


class MountTable:
    """All mounts of a machine, in the order in which they were made; the first is the root's."""

    def __init__(self, first: Mount) -> None:
        self.mounts = [first]
        self._at: dict[Key, Mount] = {}
        self.within: set[tuple[int, tuple[int, int]]] = set()  # directories that have mount points
        self._last = first.number

    def at(self, directory: Node, name: bytes) -> Node | None:
        """The root of what is mounted at a name in a directory, None if nothing is."""
        mount = directory.mount
        if mount is None or name not in mount.covered:
            return None
        found = self._at.get((mount.number, directory.identity, name))
        return found.root if found is not None else None

    def add(self, directory: Node, name: bytes, mount: Mount) -> None:
        """Mount a tree at a name in a directory, which is kept; over what was mounted there."""
        below = directory.mount
        if below is None:
            raise ValueError("a directory of no mount")
        mount.above, mount.name = directory, name
        self._last += 1
        mount.number = self._last
        key = (below.number, directory.identity, name)
        old = self._at.get(key)
        if old is not None:
            self.mounts.remove(old)
        self.mounts.append(mount)
        below.covered.add(name)
        self._at[key] = mount
        self.within.add(key[:2])

    def names_in(self, directory: Node) -> list[bytes]:
        """The names of the mount points in a directory."""
        mount = directory.mount
        if mount is None or (here := (mount.number, directory.identity)) not in self.within:
            return []
        return [name for number, identity, name in self._at if (number, identity) == here]

    def close(self) -> None:
        """The run is over."""
        self.close_others(set())

    def close_others(self, kept: Container[int]) -> None:
        """It is over for all but the mounts of these numbers (`id`)."""
        for mount in self.mounts:
            if id(mount) not in kept:
                mount.close()

    def _check(self) -> None:
        """Every key leads to a mount that says it is there."""
        if self.within != {key[:2] for key in self._at}:
            raise AssertionError("directories with mount points are not those of the table")
        for (number, identity, name), mount in self._at.items():
            above = mount.above
            if above is None or above.mount is None or mount not in self.mounts or name not in above.mount.covered:
                raise AssertionError(f"{name!r} is mounted nowhere")
            if (above.mount.number, above.identity, mount.name) != (number, identity, name):
                raise AssertionError(f"{name!r} is mounted elsewhere than the table says")


def escaped(path: bytes) -> bytes:
    r"""A path as the tables of mounts spell it: blanks, newlines and backslashes as `\ooo`."""
    return b"".join(b"\\%03o" % c if c in b" \t\n\\" else bytes((c,)) for c in path)
