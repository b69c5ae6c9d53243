"""The files of a sandbox, from outside: `Files`. Paths are those that its programs see, from the root, or from the home
directory if they begin with none; links and `..` are followed as for a program, and lead nowhere else.

Failure: `OSError` as Python's own functions have it (`FileNotFoundError`, `PermissionError`, ...), with the path.
"""

from __future__ import annotations

import errno
import os
import stat

from ..errors import LinuxError
from ..linux import arguments
from ..linux.fs.opening import open_file, open_node
from ..linux.fs.permissions import maker
from ..linux.fs.walk import AT_FDCWD, FsContext
from ..linux.fs.walk import Entry as Place
from ..linux.task.creds import Credentials
from ..linux.task.filetable import FileTable
from ..linux.uaccess import PATH_MAX
from ..named import NamedTuple
from .limits import DOWNLOADED, READ_AT_ONCE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from ..linux.fs.node import Node
    from ..linux.fs.openfile import OpenFile
    from ..linux.ipc.space import IpcSpace
    from ..linux.net.network import Network
    from ..linux.system import Linux
    from .driver import Driver

    T = TypeVar("T")
    Path = str | bytes | os.PathLike[str]

_PIECE = 1 << 20
_KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link", stat.S_IFIFO: "fifo"}
_KINDS.update({stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"})


class Entry(NamedTuple):
    """A file, as `stat` and `list` tell it. kind: "file", "directory", "link", "fifo", "socket", "device". mode: its
    permission bits. mtime: seconds since 1970."""

    name: str
    kind: str
    size: int
    mode: int
    mtime: float
    uid: int
    gid: int


class _NoGroup:
    """The process of who is in none."""

    tty = origin = None
    tgid = pgid = sid = 0


class Outsider:
    """Who looks at a machine's files from outside: the superuser of its tree, in no process: `/proc/self` leads
    nowhere."""

    outside = True
    pid = tid = 0
    comm = b""
    trace = None
    group = _NoGroup()

    def __init__(self, linux: Linux) -> None:
        self.machine = linux.machine
        self.fs = FsContext(linux.mounts, 0o022)
        self.files = FileTable(limit=64, locks=linux.machine.locks)
        self.creds = Credentials((0, 0, 0), (0, 0, 0), ())
        self.mm = linux.machine.nothing
        self.uts = linux.machine.uts
        self.space = self.mm.space

    @property
    def ipc(self) -> IpcSpace:
        return self.machine.ipc

    @property
    def network(self) -> Network:
        return self.machine.network


class Files:
    """Any thread may use it, also while programs run: what is done is done between two turns of the machine."""

    def __init__(self, driver: Driver, linux: Linux, home: str) -> None:
        self._driver = driver
        self._linux = linux
        self._home = os.fsencode(home)
        self._outsider: Any = None

    def begin_anew(self) -> None:
        """The machine was put back: what was open in it is open no more."""
        self._outsider = None

    def read(self, path: Path, *, limit: int | None = READ_AT_ONCE) -> bytes:
        """All bytes of a file, its holes as zeros. limit: how many they may be, None for any number; `OSError` (EFBIG)
        for more."""
        most = arguments.limit(limit, "limit")
        return self.do(path, lambda task, where: self._read(task, where, most))

    def read_text(self, path: Path, *, limit: int | None = READ_AT_ONCE) -> str:
        """The same as text, in UTF-8: `UnicodeDecodeError` for what is none."""
        return self.read(path, limit=limit).decode()

    def write(self, path: Path, data: bytes | str, *, mode: int = 0o644, parents: bool = True) -> None:
        """Make a file of bytes (or of text, in UTF-8), or put them in the place of what is in one. mode: of a new one.
        parents: make directories that are missing above it."""
        content = arguments.content("data", data)
        mode = _mode(mode)

        def write(task: Any, where: bytes) -> None:
            if parents:
                self._make_above(task, where)
            self._write(task, where, memoryview(content), mode)

        self.do(path, write)

    def list(self, path: Path = "") -> list[Entry]:
        """What is in a directory, by name."""

        return self.do(path, lambda task, where: _listed(task, task.fs.resolve(task, AT_FDCWD, where + b"/")))

    def stat(self, path: Path, *, follow: bool = True) -> Entry:
        """What there is. follow: where a symbolic link leads."""

        def look(task: Any, where: bytes) -> Entry:
            node = task.fs.resolve(task, AT_FDCWD, where, follow=follow)
            return _entry(task, where.rstrip(b"/").rpartition(b"/")[2] or b"/", node)

        return self.do(path, look)

    def exists(self, path: Path) -> bool:
        """Whether something is there, links followed."""
        try:
            self.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            if error.errno == errno.ELOOP:
                return False
            raise
        return True

    def mkdir(self, path: Path, *, mode: int = 0o755, parents: bool = False) -> None:
        """Make a directory. parents: those above it that are missing too, and nothing if it is there."""
        mode = _mode(mode)

        def make(task: Any, where: bytes) -> None:
            if parents:
                self._make_above(task, where)
            try:
                _make_dir(task, where, mode)
            except LinuxError as error:
                if not parents or error.errno != errno.EEXIST:
                    raise

        self.do(path, make)

    def remove(self, path: Path, *, recursive: bool = False) -> None:
        """Remove a file, a link or an empty directory. recursive: a directory with all that is in it."""

        def remove(task: Any, where: bytes) -> None:
            entry = task.fs.entry(task, AT_FDCWD, where)
            node = task.fs.child(task, entry) if entry.normal else None
            if node is None:
                raise LinuxError(errno.ENOENT if entry.normal else errno.EBUSY)
            if task.fs.mounts.at(entry.directory, entry.name) is not None:
                raise LinuxError(errno.EBUSY)
            if node.is_dir and recursive:
                _empty(task, node)
            task.fs.changeable_directory(task, entry).remove(entry.name, node.is_dir)

        self.do(path, remove)

    def upload(self, source: Path, path: Path) -> None:
        """Copy a file of the host, or a directory with all that is in it, to a path of the sandbox. Links stay links;
        of modes the permissions are kept. Devices, sockets and the like are left out, and what goes meanwhile."""
        from .transfers import upload

        upload(Inside(self, path), os.fsencode(source))

    def download(self, path: Path, goal: Path, *, limit: int | None = DOWNLOADED) -> None:
        """Copy a file of the sandbox, or a directory with all that is in it, to a path of the host, where nothing may
        be yet but directories. Links, and what is no file, are left out, and what goes meanwhile. Nothing is ever
        written through a link: `goal` itself may be none; what leads to it is yours.

        limit: how many bytes it may be in all, holes and 4096 for each name included; None for any number. `OSError`
        (EFBIG) for more, and what was copied stays.
        """
        from .transfers import Allowance, download

        allowance = Allowance(arguments.limit(limit, "limit"), os.fsdecode(path))
        download(Inside(self, path), self.stat(path), os.fsencode(goal), allowance)

    # -- by the machine's thread

    def do(self, path: Path, function: Callable[[Any, bytes], T]) -> T:
        where = os.fsencode(path)
        if b"\0" in where:
            raise ValueError("a path has no NUL in it")
        if not where.startswith(b"/"):
            where = self._home + b"/" + where

        def act() -> T:
            if self._linux.closed:
                raise RuntimeError("this sandbox is closed")
            if self._outsider is None:
                self._outsider = Outsider(self._linux)
            return function(self._outsider, where)

        try:
            return act() if self._driver.leads else self._driver.call(act)
        except LinuxError as error:
            text = str(error) if isinstance(error, _TooLarge) else os.strerror(error.errno)
            raise OSError(error.errno, text, os.fsdecode(where)) from None

    def _read(self, task: Any, where: bytes, limit: int | None) -> bytes:
        node = task.fs.resolve(task, AT_FDCWD, where)
        _require_file(node)
        if limit is not None and node.stat(task).st_size > limit:
            raise _TooLarge(limit)
        data = _bytes(task, node, 0, None if limit is None else limit + 1)
        if limit is not None and len(data) > limit:  # of what has no size, in /proc and elsewhere
            raise _TooLarge(limit)
        return data

    def _write(self, task: Any, where: bytes, data: memoryview, mode: int) -> None:
        try:
            _require_file(task.fs.resolve(task, AT_FDCWD, where))
        except LinuxError as error:
            if error.errno != errno.ENOENT:
                raise
        file = open_file(task, AT_FDCWD, where, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        _put(task, file, data, 0)

    def _make_above(self, task: Any, where: bytes) -> None:
        names = where.rstrip(b"/").split(b"/")[1:-1]
        for count in range(1, len(names) + 1):
            try:
                _make_dir(task, b"/" + b"/".join(names[:count]), 0o755)
            except LinuxError as error:
                if error.errno not in (errno.EEXIST, errno.EROFS):
                    raise


class Piece(NamedTuple):
    """Bytes of a file. hole: how many of it come before them that are none. identity: which file it is."""

    hole: int
    data: bytes
    identity: tuple[int, int]


class Inside:
    """The tree at a path of the sandbox, for `transfers`. Below the path that was given no link is followed."""

    def __init__(self, files: Files, path: Path) -> None:
        self._files = files
        self._top = path

    def entries(self, names: tuple[bytes, ...]) -> list[Entry]:
        return self._do(names, lambda task, where: _listed(task, _below(task, where, names)))

    def piece(self, names: tuple[bytes, ...], at: int, size: int) -> Piece:
        def read(task: Any, where: bytes) -> Piece:
            node = _below(task, where, names)
            _require_file(node)
            hole = _hole(task, node, at) if size else 0
            return Piece(hole, _bytes(task, node, at + hole, size) if size else b"", node.identity)

        return self._do(names, read)

    def make_dir(self, names: tuple[bytes, ...]) -> None:
        if not names:
            self._files.mkdir(self._top, parents=True)
            return

        def make(task: Any, where: bytes) -> None:
            entry = Place(_below(task, where, names[:-1]), names[-1], False)
            there = task.fs.child(task, entry)
            if there is None:
                _make_dir_at(task, entry, 0o755)
            elif not there.is_dir:
                raise LinuxError(errno.ENOTDIR)

        self._do(names, make)

    def make_link(self, names: tuple[bytes, ...], target: bytes) -> None:
        def make(task: Any, where: bytes) -> None:
            _make_link(task, self._entry(task, where, names), target)

        self._do(names, make)

    def put(self, names: tuple[bytes, ...], at: int, data: bytes, mode: int) -> None:
        if not names and not at:
            self._files.write(self._top, data, mode=mode)
            return

        def put(task: Any, where: bytes) -> None:
            if not names:
                node = task.fs.resolve(task, AT_FDCWD, where)
            else:
                entry = self._entry(task, where, names)
                node = task.fs.child(task, entry)
            if node is not None:
                _require_file(node)
                file = open_node(task, node, os.O_WRONLY | (0 if at else os.O_TRUNC))
            else:
                directory = task.fs.changeable_directory(task, entry, making=True)
                file = directory.make_file(names[-1], os.O_WRONLY, mode, task.fs.umask, maker(task, directory))
            _put(task, file, memoryview(data), at)

        self._do(names, put)

    def _entry(self, task: Any, where: bytes, names: tuple[bytes, ...]) -> Place:
        if names:
            return Place(_below(task, where, names[:-1]), names[-1], False)
        entry: Place = task.fs.entry(task, AT_FDCWD, where)
        return entry

    def _do(self, names: tuple[bytes, ...], function: Callable[[Any, bytes], T]) -> T:
        """EACCES and the like with the path; ENAMETOOLONG for one that no program could say."""
        try:
            if sum(map(len, names)) + len(names) > PATH_MAX:
                raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
            return self._files.do(self._top, function)
        except OSError as error:
            shown = os.path.join(os.fsencode(self._top), *names[:8], *([b"..."] if names[8:] else []))
            raise OSError(error.errno, error.strerror, os.fsdecode(shown)) from None


def _mode(value: object) -> int:
    """Permission bits. `ValueError` for more than there are."""
    mode = arguments.whole("mode is a number", value)
    if not 0 <= mode <= 0o7777:
        raise ValueError(f"mode is {mode:#o}: no permission bits")
    return mode


class _TooLarge(LinuxError):
    def __init__(self, limit: int) -> None:
        super().__init__(errno.EFBIG)
        self._limit = limit

    def __str__(self) -> str:
        return f"this has more than {self._limit:,} bytes: `limit` of read says how many may be"


def _below(task: Any, where: bytes, names: tuple[bytes, ...]) -> Node:
    """What stands below a path, which is followed, by names, which are not. ENOENT, ENOTDIR."""
    node: Node = task.fs.resolve(task, AT_FDCWD, where)
    for name in names:
        if not node.is_dir:
            raise LinuxError(errno.ENOTDIR)
        found = task.fs.child(task, Place(node, name, False))
        if found is None:
            raise LinuxError(errno.ENOENT)
        node = found
    return node


def _listed(task: Any, directory: Node) -> list[Entry]:
    """What is in a directory, by name; but what the host took away meanwhile."""
    if not directory.is_dir:
        raise LinuxError(errno.ENOTDIR)
    names = {*directory.names(task), *task.fs.mounts.names_in(directory)}
    found = []
    for name in sorted(names):
        try:
            node = task.fs.child(task, Place(directory, name, False))
            if node is not None:
                found.append(_entry(task, name, node))
        except LinuxError as error:
            if error.errno not in (errno.ENOENT, errno.ESTALE, errno.EACCES):
                raise
    return found


def _bytes(task: Any, node: Node, at: int, most: int | None) -> bytes:
    """What a regular file has from there on, at most so much."""
    file = open_node(task, node, os.O_RDONLY)
    try:
        pieces, left = [], _PIECE if most is None else most
        view = memoryview(bytearray(min(_PIECE, left)))
        while left and (count := file.show(task, view[:left], at)):
            pieces.append(bytes(view[:count]))
            at += count
            left -= count if most is not None else 0
        return b"".join(pieces)
    finally:
        file.close()


def _hole(task: Any, node: Node, at: int) -> int:
    """How many bytes from there on are a hole."""
    file = open_node(task, node, os.O_RDONLY)
    try:
        return max(file.seek(at, os.SEEK_DATA) - at, 0)
    except LinuxError as error:  # ENXIO: no more data; EINVAL: it has no holes to tell of
        return max(node.stat(task).st_size - at, 0) if error.errno == errno.ENXIO else 0
    finally:
        file.close()


def _put(task: Any, file: OpenFile, data: memoryview, at: int) -> None:
    """Closes it. EIO where a file takes nothing more and does not say why."""
    try:
        done = 0
        while done < len(data):
            count = file.write_host(task, data[done : done + _PIECE], at + done)
            if not count:
                raise LinuxError(errno.EIO)
            done += count
    finally:
        file.close()


def _require_file(node: Node) -> None:
    if node.is_dir:
        raise LinuxError(errno.EISDIR)
    if not stat.S_ISREG(node.mode):
        raise LinuxError(errno.EINVAL)


def _entry(task: Any, name: bytes, node: Node) -> Entry:
    found = node.stat(task)
    kind = _KINDS.get(stat.S_IFMT(found.st_mode), "device")
    mode, when = stat.S_IMODE(found.st_mode), found.st_mtime_ns / 1e9
    return Entry(os.fsdecode(name), kind, found.st_size, mode, when, found.st_uid, found.st_gid)


def _make_dir(task: Any, where: bytes, mode: int) -> None:
    entry = task.fs.entry(task, AT_FDCWD, where)
    if not entry.normal or task.fs.child(task, entry) is not None:
        raise LinuxError(errno.EEXIST)
    _make_dir_at(task, entry, mode)


def _make_dir_at(task: Any, entry: Place, mode: int) -> None:
    directory = task.fs.changeable_directory(task, entry, making=True)
    directory.make_dir(entry.name, mode, 0, maker(task, directory))


def _make_link(task: Any, entry: Place, target: bytes) -> None:
    if not entry.normal or task.fs.child(task, entry) is not None:
        raise LinuxError(errno.EEXIST)
    directory = task.fs.changeable_directory(task, entry, making=True)
    directory.make_link(entry.name, target, maker(task, directory))


def _empty(task: Any, top: Node) -> None:
    """Remove all that is in a directory, however deep: neither a stack of ours nor descriptors grow with the tree.
    EBUSY for one in which something is mounted."""
    here = top.changeable()
    todo, trail = [here.names(task)], []
    while True:
        if todo[-1]:
            name = todo[-1].pop()
            if task.fs.mounts.at(here, name) is not None:
                raise LinuxError(errno.EBUSY)
            node = here.lookup(task, name)
            if node is None:
                continue
            node.mount = node.mount or here.mount
            inside = node.names(task) if node.is_dir else []
            if inside:
                todo.append(inside)
                trail.append(name)
                here = node.changeable()
            else:
                here.remove(name, node.is_dir)
        elif trail:
            todo.pop()
            here = here.parent(task)
            here.mount = here.mount or top.mount
            here = here.changeable()
            here.remove(trail.pop(), True)
        else:
            return
