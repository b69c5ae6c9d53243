"""A directory of the host, mounted: names as the guest sees them, and the way up that never leaves it.

root: held by a descriptor, as all that is found in it. writable: which of the host's files may be changed by way of
this mount. whole: the host's root at the guest's root, so that names are the same on both sides. A second object of
that kind stands for what was not found by a walk (standard streams).
"""

from __future__ import annotations

import errno
import os

from ...._core.host.places import name_of
from ....errors import LinuxError
from ..mounts import Mount
from ..writable import WritableDirs
from .fd import open_beneath, open_named, open_parent
from .tree import HostNode

_DELETED = b" (deleted)"


class HostMount(Mount):
    """A directory of the host as a tree of the guest's; a single file of the host, too."""

    root: HostNode

    def __init__(self, path: bytes, writable: WritableDirs, *, readonly: bool = False) -> None:
        """`path` is opened as the host finds it, links followed. Raises `OSError`."""
        super().__init__(HostNode(os.open(path, os.O_PATH | os.O_CLOEXEC)), readonly=readonly)
        self.root.stat_again()
        self.writable = writable
        self.whole = name_of(self.root.fd) == b"/"

    def access(self) -> bytes:
        return b"rw" if not self.readonly and self.writable.reaches(self.root) else b"ro"

    def device(self) -> tuple[bytes, bytes, bytes]:
        """What the host has mounted where this is, and the options that the guest gave it, if it did."""
        name, found = name_of(self.root.fd), (b"/dev/root", b"ext4")
        longest = -1
        try:
            with open("/proc/self/mounts", "rb") as file:
                for line in file:
                    source, point, kind, *_ = line.split(b" ")
                    beneath = name == point or (name + b"/").startswith(point.rstrip(b"/") + b"/")
                    if beneath and len(point) >= longest:
                        longest, found = len(point), (source, kind)
        except (OSError, ValueError):
            pass
        return (*found, self._device[2] or b"relatime")

    @property
    def names_alike(self) -> bool:
        """Whether the guest calls all in it what the host does."""
        return self.whole and self.above is None

    def shown(self, name: bytes) -> bytes:
        """What the guest calls a file that the host has under a name. Of what lies outside, the last component only."""
        if self.names_alike:
            return name
        base, point = name_of(self.root.fd), self.place()
        if base == point or name[:1] != b"/":  # the same on both sides; a pipe, a socket
            return name
        if name in (base, base + _DELETED):
            return point + name[len(base) :]
        head = base.rstrip(b"/") + b"/"
        if not name.startswith(head):
            return b"(unreachable)/" + name.rpartition(b"/")[2]
        return point.rstrip(b"/") + b"/" + name[len(head) :]

    def shown_as(self, fd: int) -> bytes:
        """What the guest calls a file now, of which the host has a descriptor."""
        return self.shown(name_of(fd))

    def parent_of(self, node: HostNode) -> HostNode:
        """The directory above one of this mount, its root excepted.

        ENOENT for a directory that was moved out of the tree, which the guest is not led out by (path_connected).
        """
        if self.whole:
            return node.enter(open_parent(node.fd))
        above = node.enter(open_parent(node.fd))
        try:
            return self._beneath(above)
        except LinuxError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
        self._beneath(node.enter(open_named(above.fd)))
        return above

    def _beneath(self, found: HostNode) -> HostNode:
        base, name = name_of(self.root.fd), name_of(found.fd)
        if name == base:
            if found.identity == self.root.identity:
                return found
        elif name.startswith(head := base.rstrip(b"/") + b"/"):
            again = found.enter(open_beneath(self.root.fd, name[len(head) :]))
            if again.identity == found.identity:
                return again
        raise LinuxError(errno.ENOENT)
