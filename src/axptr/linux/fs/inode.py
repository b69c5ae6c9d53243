"""What a file of our own is, apart from its names: attributes, and contents by kind. Source: inode(7), xattr(7),
mm/shmem.c, fs/attr.c, fs/xattr.c of Linux 6.18.

The bytes of a regular file are pages of a `MemoryFile`: calls and mappings of any space of the machine see the same,
and they count against its memory. The entries of a directory are nodes (`fs.tmp`), listed by a cookie that an entry
keeps as long as it is there.

Not here: names, and who may do what (`fs.tmp`).

| field | guarded by | fork | a snapshot |
| --- | --- | --- | --- |
| all of an inode | the machine's thread | the machine's, so shared | plain data, and the pages of `data` |
"""

from __future__ import annotations

import errno
import stat

from ..._core.mm.memfile import MemoryFile
from ...errors import LinuxError
from ..task import waiting
from .node import Stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..files.pipe import Pipe
    from ..task.task import LinuxTask
    from .tmp import TmpFs, TmpNode

PAGE = 4096
MAX_BYTES = (1 << 63) - 1
_DIRENT = 20  # what an entry adds to the size of a directory (BOGO_DIRENT_SIZE)
_DAY = 86_400_000_000_000
_PAGES_A_BREATH = 4096  # of a range that is brought in, between two looks at the clock
_ZEROS = bytes(PAGE)

XATTR_CREATE, XATTR_REPLACE = 1, 2
F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE, F_SEAL_FUTURE_WRITE, F_SEAL_EXEC = 1, 2, 4, 8, 16, 32


class Inode:
    """One file. Times in nanoseconds.

    mode: kind and permissions. data, size: of a regular file (`data` is made at the first byte). target: of a symbolic
    link. linkable: it may get a name though it has none (O_TMPFILE). pipe: of a FIFO that is or was open, what
    holds its bytes; None otherwise. reserved: pages that fallocate brought in, until they are written.
    In a tree over another (`fs.layers`): below: the path there of what it shows, or whose bytes it has; copied: its
    attributes are here; origin: the identity there of a file that has several names.
    seals: what may not be done to its bytes any more (F_SEAL_*); sealable: whether more may be added.
    """

    __slots__ = (
        "__weakref__", "atime", "below", "copied", "ctime", "data", "fs", "gid", "ino", "linkable", "mode",
        "mtime", "nlink", "origin", "pipe", "rdev", "reserved", "sealable", "seals", "size", "target", "uid", "xattrs",
    )  # fmt: skip

    def __init__(self, fs: TmpFs, mode: int, uid: int, gid: int, *, rdev: int = 0, target: bytes = b"") -> None:
        self.fs = fs
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.rdev = rdev
        self.target = target
        self.nlink = 1
        self.size = len(target)
        self.ino = fs.next_number()
        self.atime = self.mtime = self.ctime = fs.now()
        self.data: MemoryFile | None = None
        self.xattrs: dict[bytes, bytes] = {}
        self.linkable = False
        self.pipe: Pipe | None = None
        self.seals = 0
        self.sealable = False
        self.reserved: set[int] = set()
        self.below: bytes | None = None
        self.copied = True
        self.origin: tuple[int, int] | None = None

    @property
    def kind(self) -> int:
        return stat.S_IFMT(self.mode)

    def stat(self) -> Stat:
        self.tell_time()
        found = Stat(self.mode, self.ino, self.fs.device, rdev=self.rdev, size=self.size, nlink=self.nlink, now=0)
        found.st_uid, found.st_gid = self.uid, self.gid
        found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns = self.atime, self.mtime, self.ctime
        found.st_blksize = PAGE
        found.st_blocks = self.blocks()
        return found

    def blocks(self) -> int:
        """Of 512 bytes, that are taken."""
        if self.data is None:
            return 0
        return 8 * max(self.data.resident, -(-self.data.supplied // PAGE))

    # -- times

    def tell_time(self) -> None:
        """Have the time of the last write by a mapping, before anybody looks at the times or sets them."""
        if self.data is not None and (when := self.data.take_date()):
            self.mtime = self.ctime = self.fs.now() if self.fs.host.repeats else when

    def changed(self, *, content: bool = False) -> None:
        """An attribute was changed, or what it holds."""
        self.tell_time()
        self.ctime = self.fs.now()
        if content:
            self.mtime = self.ctime

    def accessed(self) -> None:
        """It was read: relatime, as file systems are mounted unless asked otherwise."""
        self.tell_time()
        now = self.fs.now()
        if self.atime <= self.mtime or self.atime <= self.ctime or now - self.atime >= _DAY:
            self.atime = now

    # -- the bytes of a regular file

    def read_into(self, offset: int, view: memoryview) -> int:
        """Bytes from `offset` on; how many, none at the end."""
        count = max(0, min(len(view), self.size - offset))
        if count:
            if self.data is None:
                view[:count] = bytes(count)
            else:
                self.data.read_into(offset, view[:count])
        return count

    def write(self, offset: int, data: memoryview | bytes) -> int:
        """Put bytes at `offset`, the file growing as need be; how many. ENOSPC if there is no memory for any."""
        if (room := self.fs.room) is not None:
            data = data[: room.fits(self, offset, len(data))]
        if (disk := self.fs.machine.disk) is not None:
            disk.require(self, offset, len(data))
        end = offset + len(data)
        old = self.size
        if end > old:
            self._grow(end)
        try:
            done = self.contents().write(offset, data)
            if self.reserved:
                self.reserved.difference_update(range(offset // PAGE, (offset + done - 1) // PAGE + 1))
        except LinuxError as error:
            done, code = 0, error.errno
            if code == errno.ENOMEM:
                code = errno.ENOSPC
        if offset + done < end and end > old:
            self._shrink(max(old, offset + done if done else old))
        if not done and data:
            raise LinuxError(code)
        return done

    def contents(self) -> MemoryFile:
        """The pages, made if there are none yet."""
        if self.data is None:
            self.data = MemoryFile(self.fs.phys, None, "", 0)
            self._name()
            self.data.grow(0, self.size)
        return self.data

    def supply(self, fd: int, size: int) -> None:
        """It begins as a copy of a host's file, read page by page when it is wanted."""
        self.data = MemoryFile(self.fs.phys, fd, "", -(-size // PAGE), supplied=size)
        self.size = size
        self._name()

    def _name(self) -> None:
        if self.data is not None:
            self.data.device, self.data.inode = self.fs.device, self.ino

    def resize(self, size: int) -> bool:
        """Cut the file or let it grow; whether its size is another now. Times are the caller's affair."""
        if size == self.size:
            return False
        if size < self.size:
            self._shrink(size)
        else:
            self._grow(size)
        return True

    def _grow(self, size: int) -> None:
        if self.data is not None:
            self.data.grow(self.size, size)
        self.size = size

    def _shrink(self, size: int) -> None:
        if self.data is not None:
            for space in self.fs.phys._spaces():
                drop = getattr(space, "_drop_store", None)
                if drop is not None:
                    drop(self.data, -(-size // PAGE))
            self.data.resize(size)
        if self.reserved:
            self.reserved = {page for page in self.reserved if page < -(-size // PAGE)}
        self.size = size

    def allocate(self, task: LinuxTask, offset: int, size: int, *, keep_size: bool) -> None:
        """Bring the pages of a range in (fallocate). ENOSPC; what was brought in below the end stays."""
        if (room := self.fs.room) is not None:
            room.require_pages(self, offset, size)
        if (disk := self.fs.machine.disk) is not None:
            disk.require(self, offset, size)
        end = offset + size
        data, old = self.contents(), self.size
        if end > old:
            data.grow(old, end)
        try:
            there = set(data.pages())
            for page in range(offset // PAGE, -(-end // PAGE)):
                if not page % _PAGES_A_BREATH:
                    waiting.breathe(task)
                try:
                    data.fill(page)
                except LinuxError:
                    raise LinuxError(errno.ENOSPC) from None
                if page not in there:
                    self.reserved.add(page)
        except LinuxError:
            if end > old:
                self._shrink(old)
            raise
        if end > old:
            if keep_size:
                data.resize(old)
            else:
                self.size = end

    def punch(self, offset: int, size: int) -> None:
        """Make a range zero, whole pages given up."""
        end = min(offset + size, self.size)
        if self.data is None or offset >= end:
            return
        first, last = -(-offset // PAGE), end // PAGE
        if end == self.size:
            last = -(-end // PAGE)
        there = set(self.data.pages()) | set(range(-(-self.data.supplied // PAGE)))
        if first >= last and offset // PAGE == (end - 1) // PAGE and (offset % PAGE or end % PAGE):
            if offset // PAGE in there:
                self.data.write(offset, bytes(end - offset))
            return
        if offset % PAGE and offset // PAGE in there:
            self.data.write(offset, bytes(first * PAGE - offset))
        if first < last:
            self.data.punch(first, last - 1)
            self.reserved.difference_update(range(first, last))
        if last * PAGE < end and last in there:
            self.data.write(last * PAGE, bytes(end - last * PAGE))

    def seek_data(self, offset: int, hole: bool) -> int:
        """The next offset of data, or of a hole, from `offset` on (SEEK_DATA, SEEK_HOLE). ENXIO."""
        if not 0 <= offset < self.size:
            raise LinuxError(errno.ENXIO)
        there = set(self.data.pages()) if self.data is not None else set()
        if self.data is not None:  # what was only reserved is a hole, unless a mapping wrote to it
            there -= {page for page in self.reserved if self.data.peek(page) in (None, _ZEROS)}
        below = -(-self.data.supplied // PAGE) if self.data is not None else 0
        page, end = offset // PAGE, -(-self.size // PAGE)
        if hole:
            while page < end and (page in there or page < below):
                page += 1
            return min(max(offset, page * PAGE), self.size)
        if page not in there and page >= below:
            found = min((p for p in there if page < p < end), default=None)
            if found is None:
                raise LinuxError(errno.ENXIO)
            page = found
        return max(offset, page * PAGE)

    # -- seals

    def require_unsealed(self, seals: int) -> None:
        if self.seals & seals:
            raise LinuxError(errno.EPERM)

    def unsealed(self, at: int, count: int) -> int:
        """How many of `count` bytes may be written at `at`: page by page, as far as the file may not grow. EPERM."""
        self.require_unsealed(F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)
        if self.seals & F_SEAL_GROW and at + count > self.size:
            count = self.size // PAGE * PAGE - at
            if count <= 0:
                raise LinuxError(errno.EPERM)
        return count

    def require_resizable(self, size: int) -> None:
        if size != self.size:
            self.require_unsealed(F_SEAL_SHRINK if size < self.size else F_SEAL_GROW)

    def seal(self, task: LinuxTask, more: int) -> None:
        """Add seals. EBUSY for one against writing while a mapping may be written to (memfd_add_seals)."""
        if more & ~0x3F:
            raise LinuxError(errno.EINVAL)
        if not self.sealable:
            raise LinuxError(errno.EPERM)
        if more & F_SEAL_EXEC and self.mode & 0o111:
            more |= F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE
        if more & F_SEAL_WRITE and not self.seals & F_SEAL_WRITE and self._written_by_mappings(task):
            raise LinuxError(errno.EBUSY)
        self.seals |= more
        if more & F_SEAL_SEAL:
            self.sealable = False

    def _written_by_mappings(self, task: LinuxTask) -> bool:
        for space in {other.space for other in task.machine.tasks.values()}:
            for area in space.areas():
                behind = area.backend
                if self.data is not None and behind.store is self.data and behind.shared and not behind.sealed:
                    return True
        return False

    # -- extended attributes

    def getxattr(self, name: bytes) -> bytes:
        self._require_kind(name, errno.ENODATA)
        try:
            return self.xattrs[name]
        except KeyError:
            raise LinuxError(errno.ENODATA) from None

    def listxattr(self) -> bytes:
        return b"".join(name + b"\0" for name in sorted(self.xattrs))

    def setxattr(self, name: bytes, value: bytes, flags: int) -> None:
        self._require_kind(name, errno.EPERM)
        if name.startswith(b"system."):
            raise LinuxError(errno.EOPNOTSUPP)
        if flags & XATTR_CREATE and name in self.xattrs:
            raise LinuxError(errno.EEXIST)
        if flags & XATTR_REPLACE and name not in self.xattrs:
            raise LinuxError(errno.ENODATA)
        self.fs.charge(len(name) + len(value))
        self.xattrs[name] = value
        self.changed()

    def removexattr(self, name: bytes) -> None:
        self._require_kind(name, errno.EPERM)
        if name not in self.xattrs:
            raise LinuxError(errno.ENODATA)
        del self.xattrs[name]
        self.changed()

    def _require_kind(self, name: bytes, code: int) -> None:
        """EOPNOTSUPP for a name of no kind that is kept, `code` for one that this kind of file has not."""
        space, dot, rest = name.partition(b".")
        if space not in (b"user", b"trusted", b"security", b"system") or not dot:
            raise LinuxError(errno.EOPNOTSUPP)
        if space == b"user" and self.kind not in (stat.S_IFREG, stat.S_IFDIR):
            raise LinuxError(code)
        if not rest:
            raise LinuxError(errno.EINVAL)
        if space == b"system" and rest not in (b"posix_acl_access", b"posix_acl_default"):
            raise LinuxError(errno.EOPNOTSUPP)


class DirInode(Inode):
    """A directory: entries by name, and by cookie in the order in which they came.

    hidden: names that the directory below has and this one does not show.
    """

    __slots__ = ("_next", "cookies", "entries", "hidden")

    def __init__(self, fs: TmpFs, mode: int, uid: int, gid: int) -> None:
        super().__init__(fs, mode, uid, gid)
        self.entries: dict[bytes, TmpNode] = {}
        self.cookies: dict[int, TmpNode] = {}
        self.hidden: set[bytes] = set()
        self._next = 3  # behind `.` and `..`
        self.nlink = 2
        self.size = 2 * _DIRENT

    def put(self, node: TmpNode) -> None:
        node.cookie, self._next = self._next, self._next + 1
        self.entries[node.name] = node
        self.cookies[node.cookie] = node
        self.size += _DIRENT
        self.nlink += node.is_dir

    def take(self, node: TmpNode) -> None:
        del self.entries[node.name]
        del self.cookies[node.cookie]
        self.size -= _DIRENT
        self.nlink -= node.is_dir
