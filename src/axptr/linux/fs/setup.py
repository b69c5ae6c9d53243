"""The tree that a run begins with: the host's files, our own /proc and /dev in place of its, /dev/shm.

Whatever else a run is given (a root of its own, mounts, an overlay) is put together in `fs.shape`, which is imported
only then.
"""

from __future__ import annotations

import errno
import os

from ..._core.host.places import name_of
from .dev import Dev
from .host.mount import HostMount
from .host.tree import HostNode
from .latermount import LaterMount
from .mounts import Mount, MountTable
from .writable import WritableDirs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..task.task import LinuxTask
    from .node import DirNode, Node

PLACE = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


def host_tree(
    allow_write: Iterable[bytes],
    proc: Callable[[], DirNode],
    shared_memory: Mount | None = None,
    system: Callable[[], DirNode] | None = None,
) -> MountTable:
    """The host's files, of which those beneath some directories may be changed.

    proc, system: make our own /proc, and /sys if there is to be one. shared_memory: what is mounted at /dev/shm; by
    default the host's, which may be changed as far as allowed.
    """
    writable = WritableDirs(allow_write)
    table = MountTable(HostMount(b"/", writable))
    add_own(table, proc, system)
    try:
        shared_memory = shared_memory or HostMount(b"/dev/shm", writable)
    except OSError:
        return table
    table.add(table.mounts[-1].root, b"shm", shared_memory)
    return table


def add_own(table: MountTable, proc: Callable[[], DirNode], system: Callable[[], DirNode] | None = None) -> None:
    """Mount /sys, /proc and /dev at their names in the root; /dev last."""
    root = table.mounts[0].root
    if system is not None:
        table.add(root, b"sys", LaterMount(system, b"sysfs", b"sysfs", b"nosuid,nodev,noexec,relatime", readonly=True))
    table.add(root, b"proc", LaterMount(proc, b"proc", b"proc", b"nosuid,nodev,noexec,relatime"))
    table.add(root, b"dev", Mount(Dev(), b"devtmpfs", b"devtmpfs", b"nosuid"))


def first_directory(task: LinuxTask, path: bytes) -> Node:
    """The host's directory in which a run starts, as the program sees it; FileNotFoundError if it does not see it."""
    fs = task.fs
    node = HostNode(os.open(path, PLACE))
    names = name_of(node.fd).split(b"/")[1:]
    if fs.mounts.at(fs.root, names[0]) is None:
        mount = fs.root.mount
        if isinstance(mount, HostMount) and mount.whole:
            node.mount = mount
            node.stat_again()
            return node
    here = fs.root
    for name in names:
        found = here if not name else fs.mounts.at(here, name) or here.lookup(task, name)
        if found is None or not found.is_dir:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        found.mount = found.mount or here.mount
        here = found
    return here.hold()
