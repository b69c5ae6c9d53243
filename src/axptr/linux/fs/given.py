"""A tree that Python gives: a class with three methods, mounted read-only.

    class Greetings:
        def list(self, path): return ["hello"]
        def stat(self, path): return TreeStat(S_IFREG | 0o444, 3) if path else TreeStat(S_IFDIR | 0o555)
        def read(self, path, offset, size): return b"hi\\n"[offset : offset + size]

    create_process("/bin/cat", ["cat", "/data/hello"], mounts={"/data": Greetings()})

Nothing is remembered but the numbers of files, and the bytes of those that are mapped (programs and libraries, too):
these are read once, as a whole, into the machine's memory.

Failure: what a method raises as `OSError` the program gets as that errno (`FileNotFoundError`: ENOENT); any other
exception comes out of `run`.
"""

from __future__ import annotations

import errno
import os
import stat
from struct import pack

from ..._core.mm.memfile import MemoryFile
from ...errors import LinuxError
from ...flags import WRITE
from ...mm.backend import StoreBackend
from ...named import NamedTuple
from ..task import waiting
from ..uaccess import CHUNK
from .host.calls import host
from .mounts import Mount
from .node import Node, Stat
from .nodedir import NodeDirFile
from .openfile import MAX_OFFSET, OpenFile, sought

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..._core.mm.frames import FrameStore
    from ..._core.phys.phys import PhysMemory
    from ..task.task import LinuxTask
    from ..uaccess import UserIter

PAGE = 4096
_BILLION = 1_000_000_000
_MAGIC = 0x65735546  # FUSE_SUPER_MAGIC: a file system that a program serves


class TreeStat(NamedTuple):
    """What a file of a tree is.

    mode: kind and permissions, as in `os.stat` (`stat.S_IFREG | 0o644`). size: bytes. mtime: seconds since 1970.
    target: where a symbolic link leads. uid, gid: whose it is.
    """

    mode: int
    size: int = 0
    mtime: float = 0.0
    target: str = ""
    uid: int = 0
    gid: int = 0


class Tree:
    """What `create_process(mounts=)` takes for a tree: this class, or any with these methods.

    Paths are relative, slashes between names; "" is the top.
    """

    def list(self, path: str) -> Iterable[str]:
        """The names in a directory."""
        raise NotImplementedError

    def stat(self, path: str) -> TreeStat:
        """What there is; `FileNotFoundError` for nothing."""
        raise NotImplementedError

    def read(self, path: str, offset: int, size: int) -> bytes:
        """At most `size` bytes of a file from `offset` on; none at its end only."""
        raise NotImplementedError


class TreeMount(Mount):
    """A tree of Python's, mounted. numbers: of its files, by path. stores: bytes of those that are mapped."""

    def __init__(self, tree: Tree, device: int) -> None:
        self.tree = tree
        self.device_number = device
        self.numbers: dict[str, int] = {}
        self.stores: dict[str, MemoryFile] = {}
        super().__init__(GivenNode(self, "", host(tree.stat, "")), b"python", b"fuse.python", b"nosuid", readonly=True)

    def close(self) -> None:
        self.stores.clear()


class GivenNode(Node):
    """A file of a tree of Python's."""

    magic = _MAGIC
    immutable = errno.EROFS
    max_offset = MAX_OFFSET

    def __init__(self, mount: TreeMount, at: str, status: TreeStat) -> None:
        super().__init__(os.fsencode(at))
        self.given = self.mount = mount
        self.at = at
        self.status = status
        self.mode = status.mode
        self.dev = mount.device_number
        self.number = mount.numbers.setdefault(at, len(mount.numbers) + 1)

    @property
    def ino(self) -> int:
        return self.number

    def stat(self, task: LinuxTask) -> Stat:
        status = self.status
        size = len(os.fsencode(status.target)) if self.is_link else status.size
        found = Stat(self.mode, self.number, self.dev, size=size, nlink=2 if self.is_dir else 1, now=0)
        found.st_atime_ns = found.st_mtime_ns = found.st_ctime_ns = int(status.mtime * _BILLION)
        found.st_uid, found.st_gid = status.uid, status.gid
        found.st_blksize, found.st_blocks = PAGE, -(-size // 512)
        return found

    def where(self) -> bytes:
        path = self.given.place()
        return path.rstrip(b"/") + b"/" + self.path if self.path else path

    def statfs(self) -> bytes:
        return pack("<qqQQQQQqqqq32x", self.magic, PAGE, 0, 0, 0, 0, 0, 0, 255, PAGE, 0x20 | os.ST_RDONLY)

    def mapped(self, task: LinuxTask) -> FrameStore | None:
        return self.given.stores.get(self.at)

    # -- directories

    def lookup(self, task: LinuxTask, name: bytes) -> GivenNode | None:
        if not self.is_dir:
            raise LinuxError(errno.ENOTDIR)
        if name == b".":
            return self
        if len(name) > 255:
            raise LinuxError(errno.ENAMETOOLONG)
        path = f"{self.at}/{os.fsdecode(name)}" if self.at else os.fsdecode(name)
        try:
            return GivenNode(self.given, path, host(self.given.tree.stat, path))
        except LinuxError as error:
            if error.errno == errno.ENOENT:
                return None
            raise

    def parent(self, task: LinuxTask) -> GivenNode:
        above = self.at.rpartition("/")[0]
        return GivenNode(self.given, above, host(self.given.tree.stat, above))

    def names(self, task: LinuxTask) -> list[bytes]:
        """What is no name is left out: it would lead elsewhere (fs/fuse/readdir.c refuses the whole directory)."""
        names = (os.fsencode(name) for name in host(self.given.tree.list, self.at))
        return [name for name in names if name not in (b"", b".", b"..") and b"/" not in name and b"\0" not in name]

    def target(self, task: LinuxTask) -> bytes:
        if not self.is_link:
            raise LinuxError(errno.EINVAL)
        return os.fsencode(self.status.target)

    # -- opening

    def open(self, task: LinuxTask, flags: int) -> OpenFile:
        if flags & os.O_ACCMODE != os.O_RDONLY or flags & os.O_TRUNC:
            raise LinuxError(errno.EROFS)
        if self.is_dir:
            return NodeDirFile(self, flags)
        if not stat.S_ISREG(self.mode):
            raise LinuxError(errno.ENXIO)
        return GivenFile(self, flags)

    def open_program(self) -> OpenFile:
        if not self.mode & 0o111:
            raise LinuxError(errno.EACCES)
        return GivenFile(self, os.O_RDONLY)

    def read(self, size: int, offset: int) -> bytes:
        """As much as there is of `size` bytes, however little the tree gives at once."""
        found = b""
        while len(found) < size:
            piece = host(self.given.tree.read, self.at, offset + len(found), size - len(found))
            if not piece:
                break
            found += bytes(piece[: size - len(found)])
        return found

    def store(self, phys: PhysMemory) -> MemoryFile:
        """All its bytes, in the machine's memory. ENOMEM."""
        found = self.given.stores.get(self.at)
        if found is None:
            size = self.status.size
            found = MemoryFile(phys, None, "", -(-size // PAGE))
            found.device, found.inode = self.dev, self.number
            for at in range(0, size, CHUNK):
                piece = self.read(min(CHUNK, size - at), at)
                if piece and found.write(at, piece) < len(piece):
                    raise LinuxError(errno.ENOMEM)
            self.given.stores[self.at] = found
        return found


class GivenFile(OpenFile):
    """An open file of a tree of Python's."""

    seekable = True
    kind = stat.S_IFREG

    def __init__(self, node: GivenNode, flags: int) -> None:
        super().__init__(flags)
        self._node = node
        self._pos = 0

    def node(self) -> GivenNode:
        return self._node

    def stat(self, task: LinuxTask) -> Stat:
        return self._node.stat(task)

    def read(self, task: LinuxTask, to: UserIter, pos: int | None) -> int:
        at = start = self._pos if pos is None else pos
        while to.count:
            want = min(to.count, CHUNK)
            data = self._node.read(want, at)
            copied = to.copy_out(data)
            at += copied
            if copied < len(data):
                if at == start:
                    raise to.fault(WRITE)
                break
            if len(data) < want or waiting.must_stop(task):
                break
        if pos is None:
            self._pos = at
        return at - start

    def read_bytes(self, view: memoryview, pos: int | None) -> int:
        data = self._node.read(len(view), self._pos if pos is None else pos)
        view[: len(data)] = data
        if pos is None:
            self._pos += len(data)
        return len(data)

    def peek(self, size: int, offset: int) -> bytes:
        return self._node.read(size, offset)

    def seek(self, offset: int, whence: int) -> int:
        size = self._node.status.size
        if whence in (3, 4):
            if not 0 <= offset < size:
                raise LinuxError(errno.ENXIO)
            self._pos = offset if whence == 3 else size
        else:
            self._pos = sought(offset, (0, self._pos, size)[whence])
        return self._pos

    def fsync(self) -> None:
        """Nothing is ever written."""

    def mapping(self, phys: PhysMemory, offset: int, *, shared: bool) -> StoreBackend:
        backend = StoreBackend(self._node.store(phys), offset, shared=shared, writable=False)
        backend.named = self._node.where
        return backend

    def require_range(self, end: int) -> None:
        if end >= 1 << 63:
            raise LinuxError(errno.EOVERFLOW)
