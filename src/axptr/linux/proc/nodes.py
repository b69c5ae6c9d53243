"""The kinds of files that /proc is made of: texts that a function gives, fixed directories, magic links, memory.

A text is made when it is read from its beginning, and read on in pieces of any size, so that the pieces fit together;
reading from the beginning again makes it anew (seq_file). Where a function takes what is written, a write is one
value. Source: proc(5), fs/seq_file.c, fs/proc/base.c, fs/proc/task_mmu.c.
"""

from __future__ import annotations

import errno
import os
import stat
from struct import pack

from ...errors import LinuxError, UserFault
from ...flags import READ, WRITE
from ..abi.clone import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
)
from ..fs.host.calls import host
from ..fs.node import DirNode, LinkNode, Node
from ..fs.openfile import MAX_OFFSET, OpenFile, sought
from ..mem.vma import PAGE
from ..task.held import Held
from ..uaccess import CHUNK, USER_END, put_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from ..fs.node import AnyStat
    from ..mem.mm import Mm
    from ..task.spaces import Space
    from ..task.task import LinuxTask
    from ..uaccess import UserIter

    Render = Callable[["LinuxTask"], bytes]
    Take = Callable[["LinuxTask", bytes], None]
    Who = Callable[["LinuxTask"], "LinuxTask"]
    """Whose file it is, given who looks at it. ESRCH when that one is no more."""


_FIONREAD = 0x541B


def living(task: LinuxTask) -> LinuxTask:
    """The same; ESRCH for who has ended, and has no memory any more (mm_access)."""
    if task.dead:
        raise LinuxError(errno.ESRCH)
    return task


class ProcFile(OpenFile):
    """An open file of /proc, with a position of its own."""

    seekable = True
    rwf = 0x37

    def __init__(self, node: Node, flags: int) -> None:
        super().__init__(flags)
        self._node = node
        self._pos = 0

    def seek(self, offset: int, whence: int) -> int:
        if whence not in (os.SEEK_SET, os.SEEK_CUR):
            raise LinuxError(errno.EINVAL)
        self._pos = target = sought(offset, self._pos if whence == os.SEEK_CUR else 0)
        return target

    def stat(self, task: LinuxTask) -> AnyStat:
        return self._node.stat(task)

    def node(self) -> Node | None:
        return self._node

    def ioctl(self, task: LinuxTask, command: int, argument: int) -> int | None:
        if command != _FIONREAD:
            return super().ioctl(task, command, argument)
        put_bytes(task, argument, pack("<I", -self._pos & 0xFFFF_FFFF))  # from here to its size, which is 0
        return 0

    def put(self, to: UserIter, data: bytes, pos: int | None) -> int:
        """Give the program what it reads. EFAULT if none of it can be put there."""
        done = to.copy_out(data)
        if done < len(data) and done == 0:
            raise to.fault(WRITE)
        if pos is None:
            self._pos += done
        return done

    def take(self, data: UserIter, most: int) -> bytes:
        """What the program writes, `most` bytes at most. EFAULT."""
        buffer = bytearray(min(data.count, most))
        if data.copy_in(buffer) < len(buffer):
            raise data.fault(READ)
        return bytes(buffer)


class TextFile(ProcFile):
    """An open text; see the top of this file for when it is made."""

    def __init__(self, node: TextNode, flags: int) -> None:
        super().__init__(node, flags)
        self._text = node
        self._content: bytes | None = None
        self._task: LinuxTask | None = None  # whose call is making a transfer
        self.always_ready = node.always_ready

    @property
    def pollable(self) -> bool:
        """Those that tell of changes can be watched, though nothing here ever changes unasked for (mounts_poll)."""
        return self.always_ready != OpenFile.always_ready

    def seek(self, offset: int, whence: int) -> int:
        if whence == os.SEEK_END and self._text.has_end:
            self._pos = target = sought(offset, 0)
            return target
        if whence > os.SEEK_END and self._text.has_end:  # data, a hole: behind a size of 0 is neither
            raise LinuxError(errno.ENXIO)
        return super().seek(offset, whence)

    def read(self, task: LinuxTask, to: UserIter, pos: int | None) -> int:
        start = self._pos if pos is None else pos
        if start + to.count > MAX_OFFSET:  # rw_verify_area, for a position that a seek has left there
            raise LinuxError(errno.EINVAL)
        return self.put(to, self._made(task, start)[start : start + to.count], pos)

    def render(self, task: LinuxTask) -> bytes:
        return self._text.render(task)

    def _made(self, task: LinuxTask, start: int) -> bytes:
        """The text, made anew for who begins at its beginning."""
        if self._content is None or start == 0:
            self._content = self.render(task)
        return self._content

    def show(self, task: LinuxTask, view: memoryview, pos: int) -> int:
        piece = self._made(task, pos)[pos : pos + len(view)]
        view[: len(piece)] = piece
        return len(piece)

    def end(self, mode: int, pos: int | None = None, count: int = 0) -> AbstractContextManager[int]:
        """The text in a file of the host's memory, at our position; EINVAL for what cannot splice."""
        from contextlib import contextmanager  # which few runs need

        return contextmanager(self._end)(mode)

    def _end(self, mode: int) -> Iterator[int]:
        if mode != os.O_RDONLY or not self._text.splices or self._task is None:
            raise LinuxError(errno.EINVAL)
        content = self._made(self._task, self._pos)
        fd = host(os.memfd_create, "text")
        try:
            with open(fd, "wb", closefd=False) as file:
                file.write(content)
            os.lseek(fd, self._pos, os.SEEK_SET)
            yield fd
            self._pos = os.lseek(fd, 0, os.SEEK_CUR)
        finally:
            self._task = None
            os.close(fd)

    def before_host(self, task: LinuxTask) -> None:
        self._task = task

    def write(self, task: LinuxTask, data: UserIter, pos: int | None) -> int:
        count = data.count
        if self._text.accept is None:
            raise LinuxError(errno.EINVAL)
        value = self.take(data, PAGE)
        self._text.accept(task, value)
        if pos is None:
            self._pos += count
        return count


class TextNode(Node):
    """A file whose contents a function gives; `accept(task, data)` takes what is written, if it may be.

    has_end: one can seek from its end, which is where its size of 0 says (no seq_file). always_ready: as of `OpenFile`.
    splices: it can be an end of splice(2) and sendfile(2): those with a read_iter. opening: asked who may open it.
    """

    always_ready = OpenFile.always_ready

    def __init__(
        self,
        path: bytes,
        render: Render,
        mode: int = 0o444,
        accept: Take | None = None,
        *,
        has_end: bool = False,
        splices: bool = False,
        opening: Who | None = None,
    ) -> None:
        super().__init__(path)
        self._opening = opening
        self.has_end = has_end
        self.splices = splices
        self.mode = stat.S_IFREG | mode
        self.render = render
        self.accept = accept

    def open(self, task: LinuxTask, flags: int) -> OpenFile:
        mode = flags & os.O_ACCMODE
        if (mode != os.O_RDONLY and self.accept is None) or (mode != os.O_WRONLY and not self.mode & 0o444):
            raise LinuxError(errno.EACCES)
        if self._opening is not None:
            self._opening(task)
        return TextFile(self, flags)


class StaticDir(DirNode):
    """A directory that always has the same entries."""

    def __init__(self, path: bytes, nodes: dict[bytes, Node], mode: int = 0o555) -> None:
        super().__init__(path)
        self.mode = stat.S_IFDIR | mode
        self._nodes = nodes

    def lookup(self, task: LinuxTask, name: bytes) -> Node | None:
        return self._nodes.get(name)

    def names(self, task: LinuxTask) -> list[bytes]:
        return list(self._nodes)

    def add(self, name: bytes, node: Node) -> None:
        self._nodes[name] = node

    def directory(self, name: bytes) -> StaticDir:
        """The directory `name` in this one, made if it is not there."""
        node = self._nodes.get(name)
        if not isinstance(node, StaticDir):
            node = self._nodes[name] = StaticDir(self.path + b"/" + name, {})
        return node


class PlaceLink(LinkNode):
    """cwd, exe, root: a magic link to a node that the task holds, whatever its name is now."""

    def __init__(self, path: bytes, node: Callable[[LinuxTask], Node]) -> None:
        super().__init__(path)
        self._node = node

    def target(self, task: LinuxTask) -> bytes:
        return task.fs.shown(self._node(task).where())

    def follow(self, task: LinuxTask) -> Node:
        return self._node(task)


class NumberLink(LinkNode):
    """self and thread-self: a link whose target the task knows."""

    def __init__(self, path: bytes, target: Render) -> None:
        super().__init__(path)
        self._render = target

    def target(self, task: LinuxTask) -> bytes:
        return self._render(task)


class SpaceLink(LinkNode):
    """An entry of /proc/self/ns: a name space, known by its number. It leads to a file that says nothing."""

    def __init__(self, path: bytes, kind: bytes, number: int, who: Who) -> None:
        super().__init__(path)
        self._who = who
        self._kind, self._number = kind, number

    def _space_of(self, task: LinuxTask) -> _SpaceNode:
        about = self._who(task)
        space: Space = None
        if self._kind == b"uts":
            space = about.uts
        elif self._kind == b"mnt":
            space = about.fs.mounts
        elif self._kind == b"user":
            space = about.creds.space
        elif self._kind == b"ipc":
            space = about.ipc
        elif self._kind == b"net":
            space = about.network
        number = self._number if space is None else space.number
        made = _SpaceNode(b"%s:[%d]" % (self._kind, number), number)
        made.kind, made.space = self._kind, space
        return made

    def target(self, task: LinuxTask) -> bytes:
        return self._space_of(task).path

    def follow(self, task: LinuxTask) -> Node:
        return self._space_of(task)


class _SpaceNode(Node):
    """A name space (nsfs): to be told from others by its inode number. kind: its name; space: itself, where there
    can be several of the kind."""

    kind = b""
    space: Space = None

    dev = 0x4
    magic = 0x6E736673

    def __init__(self, text: bytes, number: int) -> None:
        super().__init__(text)
        self._number = number

    @property
    def ino(self) -> int:
        return self._number

    def open(self, task: LinuxTask, flags: int) -> OpenFile:
        if flags & os.O_ACCMODE != os.O_RDONLY:
            raise LinuxError(errno.EPERM)
        return SpaceFile(self, flags)


class SpaceFile(ProcFile):
    """An open name space (setns, ioctl_nsfs(2))."""

    seekable = False

    def __init__(self, node: Node, flags: int) -> None:
        super().__init__(node, flags)
        if isinstance(self.space, Held):
            self.space.enter()

    def close(self) -> None:
        super().close()
        if isinstance(self.space, Held):
            self.space.leave()

    @property
    def space(self) -> Space:
        node = self.node()
        return node.space if isinstance(node, _SpaceNode) else None

    def ioctl(self, task: LinuxTask, command: int, argument: int) -> int | None:
        """ns_ioctl. EPERM for a name space of users that is not in the task's own."""
        kind, space = self.kind_flag, self.space
        if command == _NS_GET_NSTYPE:
            return kind
        if command == _NS_GET_USERNS:
            if kind == CLONE_NEWUSER:
                return self._users(task, above=True)
            return self._users(task)
        if command == _NS_GET_PARENT:
            if kind == CLONE_NEWUSER:
                return self._users(task, above=True)
            raise LinuxError(errno.EPERM if kind in (CLONE_NEWUSER, CLONE_NEWPID) else errno.EINVAL)
        if command == _NS_GET_OWNER_UID:
            if kind != CLONE_NEWUSER:
                raise LinuxError(errno.EINVAL)
            from ..task.userspace import shown_uid

            owner = 0 if space is None else shown_uid(task.creds.space, space.owner)  # type: ignore[union-attr]
            put_bytes(task, argument, pack("<I", owner))
            return 0
        return super().ioctl(task, command, argument)

    def _users(self, task: LinuxTask, *, above: bool = False) -> int:
        """A descriptor of the name space of users that owns this one, or is above it (ns_get_owner)."""
        space = self.space
        if above:
            if space is None:
                raise LinuxError(errno.EPERM)
            users = space.parent  # type: ignore[union-attr]
        else:
            users = None if space is None else space.users  # type: ignore[union-attr]
        from ..task.userspace import FIRST_SPACE, contains

        if not contains(task.creds.space, users):
            raise LinuxError(errno.EPERM)
        number = FIRST_SPACE if users is None else users.number
        node = _SpaceNode(b"user:[%d]" % number, number)
        node.kind, node.space = b"user", users
        return task.files.add(SpaceFile(node, os.O_RDONLY), cloexec=True)

    @property
    def kind_flag(self) -> int:
        """By which flag of clone there would be a new one."""
        node = self.node()
        return _SPACES.get(node.kind, 0) if isinstance(node, _SpaceNode) else 0


_NS_GET_USERNS, _NS_GET_PARENT, _NS_GET_NSTYPE, _NS_GET_OWNER_UID = 0xB701, 0xB702, 0xB703, 0xB704
_SPACES = {
    b"cgroup": CLONE_NEWCGROUP, b"ipc": CLONE_NEWIPC, b"mnt": CLONE_NEWNS, b"net": CLONE_NEWNET, b"pid": CLONE_NEWPID,
    b"time": CLONE_NEWTIME, b"user": CLONE_NEWUSER, b"uts": CLONE_NEWUTS,
}  # fmt: skip


class MemNode(Node):
    """/proc/PID/mem."""

    mode = stat.S_IFREG | 0o600

    def __init__(self, path: bytes, who: Who) -> None:
        super().__init__(path)
        self._who = who

    def open(self, task: LinuxTask, flags: int) -> OpenFile:
        return MemFile(self, flags, living(self._who(task)))


class MmFile(ProcFile):
    """A file about the memory that a program had when this was opened: empty after its exec, or its end."""

    def __init__(self, node: Node, flags: int, whose: LinuxTask) -> None:
        super().__init__(node, flags)
        self.whose = whose
        self._mm: Mm = whose.mm

    @property
    def outlived(self) -> bool:
        """Whether that memory is gone."""
        return self.whose.mm is not self._mm


class MemFile(MmFile):
    """The program's memory by address, whatever the permissions (a debugger's view).

    A page that is not there ends a transfer; at the first byte it is EIO.
    """

    def seek(self, offset: int, whence: int) -> int:
        if whence not in (os.SEEK_SET, os.SEEK_CUR):
            raise LinuxError(errno.EINVAL)
        self._pos = (offset + (self._pos if whence == os.SEEK_CUR else 0)) % (1 << 64)
        return self._pos

    def read(self, task: LinuxTask, to: UserIter, pos: int | None) -> int:
        at, done = self._pos if pos is None else pos, 0
        if self.outlived:
            return 0
        while to.count:
            size = min(to.count, CHUNK)
            data = present_bytes(self.whose, at, size)
            if not data:
                break
            n = to.copy_out(data)
            at, done = at + n, done + n
            if n < len(data):
                if not done:
                    raise to.fault(WRITE)
                break
            if n < size:
                break
        else:
            return self._moved(done, pos)
        if not done:
            raise LinuxError(errno.EIO)
        return self._moved(done, pos)

    def write(self, task: LinuxTask, data: UserIter, pos: int | None) -> int:
        at, done, space = self._pos if pos is None else pos, 0, self.whose.space
        if self.outlived:
            return 0
        while data.count:
            area = space.find_area(at) if at < USER_END else None
            # What other programs share is written by those only who may.
            if area is None or (area.backend.shared and not area.flags & WRITE):
                break
            buffer = bytearray(min(data.count, CHUNK, area.end - at))
            n = data.copy_in(buffer)
            try:
                space.write(at, bytes(buffer[:n]))
            except UserFault as fault:
                done += fault.completed
                break
            at, done = at + n, done + n
            if n < len(buffer):
                if not done:
                    raise data.fault(READ)
                return self._moved(done, pos)
        else:
            return self._moved(done, pos)
        if not done:
            raise LinuxError(errno.EIO)
        return self._moved(done, pos)

    def _moved(self, done: int, pos: int | None) -> int:
        if pos is None:
            self._pos += done
        return done


def present_bytes(task: LinuxTask, start: int, size: int) -> bytes:
    """The program's bytes from `start` on, up to the first that is not there; permissions do not count."""
    if start >= USER_END:
        return b""
    size = min(size, USER_END - start)
    try:
        return task.space.read(start, size)
    except UserFault as fault:
        return task.space.read(start, fault.completed) if fault.completed else b""


class PagemapNode(Node):
    """/proc/PID/pagemap."""

    mode = stat.S_IFREG | 0o400

    def __init__(self, path: bytes, who: Who) -> None:
        super().__init__(path)
        self._who = who

    def open(self, task: LinuxTask, flags: int) -> OpenFile:
        if flags & os.O_ACCMODE != os.O_RDONLY:
            raise LinuxError(errno.EACCES)
        return PagemapFile(self, flags, living(self._who(task)))


class PagemapFile(MmFile):
    """Eight bytes for each page, by number: whether it is there, whether it is a file's or shared, whether only ours.

    Frame numbers are 0, as for every program without CAP_SYS_ADMIN. A call gives CHUNK bytes at most.
    """

    def read(self, task: LinuxTask, to: UserIter, pos: int | None) -> int:
        from .maps import PageKind, kind_of_page

        start, done = self._pos if pos is None else pos, 0
        if start % 8 or to.count % 8:
            raise LinuxError(errno.EINVAL)
        if self.outlived:
            return 0
        page, last = start // 8, min(start // 8 + min(to.count, CHUNK) // 8, USER_END // PAGE)
        while page < last:
            some = min(last - page, 512)
            entries = []
            for number in range(page, page + some):
                kind = kind_of_page(self.whose, number * PAGE)
                if kind is PageKind.ABSENT:
                    entries.append(0)
                else:
                    shown = kind in (PageKind.FILE, PageKind.SHARED)
                    entries.append(1 << 63 | shown << 61 | (kind is PageKind.OWN) << 56)
            done += self.put(to, pack(f"<{some}Q", *entries), pos)
            page += some
        return done


def name_spaces(path: bytes, who: Who) -> StaticDir:
    """The first name space of each kind, by the numbers that the kernel gives them (include/linux/proc_ns.h)."""
    kinds = {
        b"cgroup": (b"cgroup", 0xEFFFFFFB), b"ipc": (b"ipc", 0xEFFFFFFF), b"mnt": (b"mnt", 0xEFFFFFF8),
        b"net": (b"net", 0xEFFFFFF9), b"pid": (b"pid", 0xEFFFFFFC), b"pid_for_children": (b"pid", 0xEFFFFFFC),
        b"time": (b"time", 0xEFFFFFFA), b"time_for_children": (b"time", 0xEFFFFFFA),
        b"user": (b"user", 0xEFFFFFFD), b"uts": (b"uts", 0xEFFFFFFE),
    }  # fmt: skip
    nodes: dict[bytes, Node] = {name: SpaceLink(path + b"/" + name, *of, who) for name, of in kinds.items()}
    for node in nodes.values():
        node.whose = who
    return StaticDir(path, nodes, 0o511)
