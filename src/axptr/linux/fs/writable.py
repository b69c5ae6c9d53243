"""The directories that the user allows the guest to change, and the rule for everything that changes something.

A directory is held by a descriptor from the start of the run on. Whether a file may be changed is decided by where it
is at the moment of the call: its name is asked of the host, reached anew beneath an allowed directory without following
a link, and must prove to be the same file (device and inode, while both are held). The change is then made through the
descriptor so obtained; neither what was renamed meanwhile nor a link put in its place leads it elsewhere.
"""

from __future__ import annotations

import errno
import os

from ..._core.host.places import name_of
from ...errors import LinuxError
from .host.fd import open_beneath, open_named
from .host.tree import HostNode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_TRIES = 8
"""How often a file that is renamed just then is looked for again."""


class WritableDirs:
    """What may be changed: everything beneath `dirs`. A single file may be allowed, too."""

    def __init__(self, paths: Iterable[bytes]) -> None:
        self.dirs: list[HostNode] = []
        for path in paths:
            try:
                self.dirs.append(HostNode(os.open(path, os.O_PATH | os.O_CLOEXEC)))
            except FileNotFoundError:  # nothing that could be held: nothing is allowed by it
                continue

    def beneath(self, node: HostNode) -> HostNode | None:
        """The file that `node` is, reached beneath an allowed directory; None if it is in none of them now.

        It is of the same mount.
        """
        if not self.dirs:
            return None
        for _ in range(_TRIES):
            try:
                name = name_of(node.fd)
            except LinuxError as error:
                if error.errno != errno.ENAMETOOLONG or not node.is_dir:
                    raise
                return self._far_beneath(node)
            for allowed in self.dirs:
                found = _reach(allowed, name)
                if found is not None and found.identity == node.identity:
                    found.mount = node.mount
                    return found
            if name_of(node.fd) == name:
                break
        return None

    def _far_beneath(self, node: HostNode) -> HostNode | None:
        """The same for a directory with a longer name than the host tells: it is where the first above it is."""
        if self.beneath(HostNode(open_named(node.fd))) is None:
            return None
        found = HostNode(os.dup(node.fd))
        found.mount = node.mount
        return found

    def reaches(self, node: HostNode) -> bool:
        """Whether a directory is allowed, or one above it."""
        return self.beneath(node) is not None


def _reach(allowed: HostNode, name: bytes) -> HostNode | None:
    """What stands at `name`, an absolute one, if that is `allowed` or beneath it."""
    base = name_of(allowed.fd)
    if name == base:
        return HostNode(os.dup(allowed.fd))
    head = base.rstrip(b"/") + b"/"
    if not name.startswith(head):
        return None
    try:
        return HostNode(open_beneath(allowed.fd, name[len(head) :]))
    except LinuxError:
        return None
