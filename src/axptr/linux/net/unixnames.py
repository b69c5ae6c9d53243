"""Names of AF_UNIX: what an address says, and which socket it leads to. Source: unix(7), net/unix/af_unix.c.

A name with a first byte of zero is abstract and the machine's alone. Another is a path: binding makes a node of type
socket where the tree may be changed, and connecting finds the socket by which node it is, whatever it is called by
then. A node that no socket of the machine's is bound to, the host's own sockets too, refuses connections.
"""

from __future__ import annotations

import errno
import stat
from struct import pack, unpack_from

from ...errors import LinuxError
from ..fs import notify
from ..fs.permissions import MAY_WRITE, judge, maker, require_access
from ..fs.walk import AT_FDCWD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..fs.node import Node
    from ..task.task import LinuxTask
    from .unix import UnixEndpoint

AF_UNIX = 1
PATH_MOST = 108


def unix_name(address: bytes) -> bytes:
    """sun_path of an address, as long as it was given. EINVAL for none, for too much, and for another family's."""
    if not 2 < len(address) <= 2 + PATH_MOST or unpack_from("<H", address)[0] != AF_UNIX:
        raise LinuxError(errno.EINVAL)
    return address[2:]


def sockaddr(name: bytes | None) -> bytes:
    """A struct sockaddr_un; of what has no name the family alone."""
    return pack("<H", AF_UNIX) + (name or b"")


class UnixNames:
    """Who has which name, of a machine."""

    def __init__(self) -> None:
        self.abstract: dict[tuple[int, bytes], UnixEndpoint] = {}  # by type and name
        self.by_node: dict[tuple[int, int], UnixEndpoint] = {}
        self._next = 0

    def bind(self, task: LinuxTask, end: UnixEndpoint, name: bytes) -> None:
        """Give it a name. EADDRINUSE, and what making a node gives."""
        if name[0]:
            self._bind_path(task, end, name.partition(b"\0")[0])
        else:
            if end.address is not None:
                raise LinuxError(errno.EINVAL)
            if (end.kind, name) in self.abstract:
                raise LinuxError(errno.EADDRINUSE)
            self.abstract[end.kind, name] = end
            end.address = name

    def _bind_path(self, task: LinuxTask, end: UnixEndpoint, path: bytes) -> None:
        fs = task.fs
        entry = fs.entry(task, AT_FDCWD, path)
        if not entry.normal or fs.child(task, entry) is not None:
            raise LinuxError(errno.EADDRINUSE)
        if entry.slash:
            raise LinuxError(errno.ENOENT)
        directory = fs.changeable_directory(task, entry, making=True)
        if end.address is not None:
            raise LinuxError(errno.EINVAL)
        try:
            directory.make_node(entry.name, stat.S_IFSOCK | 0o777, 0, fs.umask, maker(task, directory))
        except LinuxError as error:
            raise LinuxError(errno.EADDRINUSE if error.errno == errno.EEXIST else error.errno) from None
        node = fs.child(task, entry)
        if node is None:
            raise LinuxError(errno.ENOENT)
        end.node = node = node.hold()
        self.by_node[node.identity] = end
        end.address = path + b"\0"
        notify.named(task, notify.CREATE, directory, entry.name)

    def autobind(self, end: UnixEndpoint) -> None:
        """An abstract name of five digits (unix_autobind). ENOSPC once there are none left."""
        if end.address is not None:
            return
        for _ in range(1 << 20):
            name = b"\0%05x" % self._next
            self._next = (self._next + 1) & 0xFFFFF
            if (end.kind, name) not in self.abstract:
                self.abstract[end.kind, name] = end
                end.address = name
                return
        raise LinuxError(errno.ENOSPC)

    def find(self, task: LinuxTask, name: bytes, kind: int) -> UnixEndpoint:
        """The socket of a name. ECONNREFUSED for nobody's, EPROTOTYPE for one of another kind, EACCES, ENOENT."""
        if not name[0]:
            found = self.abstract.get((kind, name))
            if found is None:
                raise LinuxError(errno.ECONNREFUSED)
        else:
            node = task.fs.resolve(task, AT_FDCWD, name.partition(b"\0")[0])
            self._require_write(task, node)
            found = self.by_node.get(node.identity) if stat.S_ISSOCK(node.mode) else None
            if found is None:
                raise LinuxError(errno.ECONNREFUSED)
        if found.kind != kind:
            raise LinuxError(errno.EPROTOTYPE)
        return found

    @staticmethod
    def _require_write(task: LinuxTask, node: Node) -> None:
        """EACCES for what may not be written to; a tree that is read-only does not matter (path_permission)."""
        judge(task, node, "write")
        require_access(task, node, MAY_WRITE)

    def forget(self, end: UnixEndpoint) -> None:
        """The socket is closed; a node stays where it is."""
        if end.address is None:
            return
        if end.node is not None:
            if self.by_node.get(end.node.identity) is end:
                del self.by_node[end.node.identity]
        elif self.abstract.get((end.kind, end.address)) is end:
            del self.abstract[end.kind, end.address]
