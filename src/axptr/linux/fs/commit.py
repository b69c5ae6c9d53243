"""Making the changes of an overlay in the host's tree.

Every place is reached by a descriptor from the root below, no symbolic link followed (`open_beneath`). A file is
written under another name in its directory and renamed, so that it is what it was or what it is to be; hard links are
made as such. First what is new or other is made, then what was removed goes. Times of change are the host's own.
"""

from __future__ import annotations

import errno
import os
import stat
from _thread import get_native_id
from struct import pack

from ..._core.host import hostcalls
from ..._core.host.places import PLACE
from ...errors import LinuxError
from .host.calls import host
from .host.fd import by_descriptor, open_beneath
from .host.mount import HostMount
from .layers import NOBODY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .inode import Inode
    from .layers import LayeredNode
    from .node import Node
    from .overlay import Overlay

_AT_EMPTY_PATH = 0x1000
_BILLION = 1_000_000_000


def commit(overlay: Overlay) -> None:
    """See `Overlay.commit`."""
    fs = overlay.fs
    mount = fs.lower.mount
    if not isinstance(mount, HostMount):
        raise RuntimeError("what is below this overlay is not the host's")
    if mount.readonly:
        raise LinuxError(errno.EROFS, "what is below this overlay is mounted to be read only")
    _Commit(mount.root.fd).run(overlay)


def _is_new_device(above: LayeredNode, below: Node | None) -> bool:
    """Whether it is a device that is not there below. One that stands for nothing is none."""
    kind, rdev = above.inode.kind, above.inode.rdev
    if kind != stat.S_IFBLK and (kind != stat.S_IFCHR or not rdev):
        return False
    return below is None or stat.S_IFMT(below.mode) != kind or below.stat(NOBODY).st_rdev != rdev


class _Commit:
    """One commit. made: where the first name of a file with several was put."""

    def __init__(self, root: int) -> None:
        self.root = root
        self.made: dict[int, bytes] = {}
        self.count = 0

    def run(self, overlay: Overlay) -> None:
        found = list(overlay.differences())
        for _, path, above, below in found:
            if above is not None and _is_new_device(above, below):
                raise LinuxError(errno.EPERM, f"{os.fsdecode(path)}: a device of its own would be one of the host's")
        directories = []
        for kind, path, above, below in found:
            if kind == "removed" or above is None:
                continue
            if below is not None and stat.S_IFMT(below.mode) != stat.S_IFMT(above.mode):
                self.remove(path)
                below = None
            if above.is_dir:
                if below is None:
                    self.in_parent(path, lambda fd, name: os.mkdir(name, 0o700, dir_fd=fd))
                directories.append((path, above))
            else:
                self.put(path, above)
        for kind, path, _, _ in found:
            if kind == "removed":
                self.remove(path)
        for path, above in reversed(directories):  # last: what is made in them changes their times
            fd = open_beneath(self.root, path) if path else os.dup(self.root)
            try:
                self.attributes(fd, above)
            finally:
                os.close(fd)

    def in_parent(self, path: bytes, act: object) -> None:
        """Call `act(descriptor, name)` with the directory of a path."""
        head, _, name = path.rpartition(b"/")
        fd = open_beneath(self.root, head) if head else os.dup(self.root)
        try:
            host(act, fd, name)  # type: ignore[arg-type]
        finally:
            os.close(fd)

    def put(self, path: bytes, node: LayeredNode) -> None:
        """Put what is no directory in its place, at once."""
        self.count += 1
        other = b".axptr-%d-%d" % (get_native_id(), self.count)

        def act(fd: int, name: bytes) -> None:
            try:
                self.make(fd, other, path, node)
                os.rename(other, name, src_dir_fd=fd, dst_dir_fd=fd)
            except BaseException:
                try:
                    os.unlink(other, dir_fd=fd)
                except OSError:
                    pass
                raise

        self.in_parent(path, act)

    def make(self, fd: int, name: bytes, path: bytes, node: LayeredNode) -> None:
        inode = node.inode
        first = self.made.get(id(inode))
        if first is not None:
            place = open_beneath(self.root, first)
            try:
                hostcalls.linkat(-100, by_descriptor(place), fd, name, 0x400)
            finally:
                os.close(place)
            return
        self.made[id(inode)] = path
        if inode.kind == stat.S_IFREG:
            out = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=fd)
            try:
                self.write(out, node)
            finally:
                os.close(out)
        elif inode.kind == stat.S_IFLNK:
            os.symlink(node.target(NOBODY), name, dir_fd=fd)
        else:
            os.mknod(name, inode.mode, inode.rdev, dir_fd=fd)
        place = os.open(name, PLACE, dir_fd=fd)
        try:
            self.attributes(place, node)
        finally:
            os.close(place)

    def write(self, out: int, node: LayeredNode) -> None:
        """The bytes of a file; where there are only zeros it is left a hole."""
        inode = node.inode
        view, at = memoryview(bytearray(1 << 18)), 0
        below = node.open_bytes() if inode.below is not None else None
        try:
            while at < inode.size:
                if below is None:
                    data: bytes | memoryview = view[: inode.read_into(at, view)]
                else:
                    data = below.peek(len(view), at)
                if not len(data):
                    break
                if any(data):
                    os.pwrite(out, data, at)
                at += len(data)
        finally:
            if below is not None:
                below.close()
        os.ftruncate(out, inode.size)

    def attributes(self, place: int, node: LayeredNode) -> None:
        """Owner, mode, attributes and times of what a place is."""
        inode: Inode = node.inode
        status = os.fstat(place)
        if (status.st_uid, status.st_gid) != (inode.uid, inode.gid):
            _chown(place, inode)
        if inode.kind != stat.S_IFLNK:
            os.chmod(by_descriptor(place), stat.S_IMODE(inode.mode))
            _set_xattrs(place, inode)
        inode.tell_time()
        times = b"".join(pack("<qq", *divmod(t, _BILLION)) for t in (inode.atime, inode.mtime))
        if inode.kind == stat.S_IFLNK:
            hostcalls.utimensat(place, b"", times, _AT_EMPTY_PATH)
        else:
            hostcalls.utimensat(-100, by_descriptor(place), times, 0)

    def remove(self, path: bytes) -> None:
        """Take away what is at a path, with all that is in it."""
        self.in_parent(path, _remove)


def _chown(place: int, inode: Inode) -> None:
    hostcalls.fchownat(place, b"", inode.uid, inode.gid, _AT_EMPTY_PATH)


def _set_xattrs(place: int, inode: Inode) -> None:
    path = by_descriptor(place)
    there = {name for name in map(os.fsencode, os.listxattr(path)) if not name.startswith(b"system.")}
    for name in there - inode.xattrs.keys():
        os.removexattr(path, name)
    for name, value in inode.xattrs.items():
        if name not in there or os.getxattr(path, name) != value:
            os.setxattr(path, name, value)


def _remove(fd: int, name: bytes) -> None:
    place = os.open(name, PLACE, dir_fd=fd)
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            os.unlink(name, dir_fd=fd)
            return
        for inner in os.listdir(by_descriptor(place)):
            _remove(place, inner)
    finally:
        os.close(place)
    os.rmdir(name, dir_fd=fd)
