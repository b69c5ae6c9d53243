"""The files of a sandbox, from outside: `Files`. Paths are those that its programs see, from the root, or from the home
directory if they begin with none; links and `..` are followed as for a program, and lead nowhere else.

Failure: `OSError` as Python's own functions have it (`FileNotFoundError`, `PermissionError`, ...), with the path.
"""

from __future__ import annotations

import errno
import os
import stat

from ..errors import LinuxError
from ..linux.fs.opening import open_file
from ..linux.fs.permissions import maker
from ..linux.fs.walk import AT_FDCWD, FsContext
from ..linux.task.creds import Credentials
from ..linux.task.filetable import FileTable
from ..named import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from ..linux.fs.node import Node
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


class Outsider:
    """Who looks at a machine's files from outside: the superuser of its tree, in no process."""

    outside = True

    def __init__(self, linux: Linux) -> None:
        self.machine = linux.machine
        self.fs = FsContext(linux.mounts, 0o022)
        self.files = FileTable(limit=64, locks=linux.machine.locks)
        self.creds = Credentials((0, 0, 0), (0, 0, 0), ())
        self.mm = linux.machine.nothing
        self.space = self.mm.space


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

    def read(self, path: Path) -> bytes:
        """All bytes of a file."""
        return self._do(path, self._read)

    def read_text(self, path: Path) -> str:
        return self.read(path).decode()

    def write(self, path: Path, data: bytes | str, *, mode: int = 0o644, parents: bool = True) -> None:
        """Make a file of bytes (or of text, in UTF-8), or put them in the place of what is in one. mode: of a new one.
        parents: make directories that are missing above it."""
        content = data.encode() if isinstance(data, str) else bytes(data)

        def write(task: Any, where: bytes) -> None:
            if parents:
                self._make_above(task, where)
            self._write(task, where, memoryview(content), mode)

        self._do(path, write)

    def list(self, path: Path = "") -> list[Entry]:
        """What is in a directory, by name."""

        def entries(task: Any, where: bytes) -> list[Entry]:
            directory = task.fs.resolve(task, AT_FDCWD, where + b"/")
            if not directory.is_dir:
                raise LinuxError(errno.ENOTDIR)
            names = {*directory.names(task), *task.fs.mounts.names_in(directory)}
            found = []
            for name in sorted(names):
                entry = task.fs.entry_from(task, directory, name)
                node = task.fs.child(task, entry)
                if node is not None:
                    found.append(_entry(task, name, node))
            return found

        return self._do(path, entries)

    def stat(self, path: Path, *, follow: bool = True) -> Entry:
        """What there is. follow: where a symbolic link leads."""

        def look(task: Any, where: bytes) -> Entry:
            node = task.fs.resolve(task, AT_FDCWD, where, follow=follow)
            return _entry(task, where.rstrip(b"/").rpartition(b"/")[2] or b"/", node)

        return self._do(path, look)

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

        def make(task: Any, where: bytes) -> None:
            if parents:
                self._make_above(task, where)
            try:
                _make_dir(task, where, mode)
            except LinuxError as error:
                if not parents or error.errno != errno.EEXIST:
                    raise

        self._do(path, make)

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

        self._do(path, remove)

    def upload(self, source: Path, path: Path) -> None:
        """Copy a file of the host, or a directory with all that is in it, to a path of the sandbox. Links stay
        links."""
        begin = os.fsdecode(source)
        if os.path.isdir(begin) and not os.path.islink(begin):
            self.mkdir(path, parents=True)
            for name in sorted(os.listdir(begin)):
                self.upload(os.path.join(begin, name), os.path.join(os.fsdecode(path), name))
        elif os.path.islink(begin):
            target = os.fsencode(os.readlink(begin))
            self._do(path, lambda task, where: _make_link(task, where, target))
        else:
            with open(begin, "rb") as file:
                self.write(path, file.read(), mode=stat.S_IMODE(os.fstat(file.fileno()).st_mode))

    def download(self, path: Path, goal: Path) -> None:
        """Copy a file of the sandbox, or a directory with all that is in it, to a path of the host, where nothing may
        be yet but directories. Links, and what is no file, are left out: nothing is ever written through a link."""
        entry = self.stat(path)
        if entry.kind == "directory":
            os.makedirs(goal, exist_ok=True)
            for inner in self.list(path):
                if inner.kind in ("file", "directory"):
                    below = os.path.join(os.fsdecode(path), inner.name)
                    self.download(below, os.path.join(os.fsdecode(goal), inner.name))
            return
        data = self.read(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(goal, flags, entry.mode & 0o777), "wb") as file:
            file.write(data)

    # -- by the machine's thread

    def _do(self, path: Path, function: Callable[[Any, bytes], T]) -> T:
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
            raise OSError(error.errno, os.strerror(error.errno), os.fsdecode(where)) from None

    def _read(self, task: Any, where: bytes) -> bytes:
        node = task.fs.resolve(task, AT_FDCWD, where)
        _require_file(node)
        file = open_file(task, AT_FDCWD, where, os.O_RDONLY, 0)
        try:
            pieces, at = [], 0
            view = memoryview(bytearray(_PIECE))
            while count := file.read_host(task, view, at):
                pieces.append(bytes(view[:count]))
                at += count
            return b"".join(pieces)
        finally:
            file.close()

    def _write(self, task: Any, where: bytes, data: memoryview, mode: int) -> None:
        try:
            _require_file(task.fs.resolve(task, AT_FDCWD, where))
        except LinuxError as error:
            if error.errno != errno.ENOENT:
                raise
        file = open_file(task, AT_FDCWD, where, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        try:
            at = 0
            while at < len(data):
                at += file.write_host(task, data[at : at + _PIECE], at)
        finally:
            file.close()

    def _make_above(self, task: Any, where: bytes) -> None:
        names = where.rstrip(b"/").split(b"/")[1:-1]
        for count in range(1, len(names) + 1):
            try:
                _make_dir(task, b"/" + b"/".join(names[:count]), 0o755)
            except LinuxError as error:
                if error.errno not in (errno.EEXIST, errno.EROFS):
                    raise


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
    directory = task.fs.changeable_directory(task, entry, making=True)
    directory.make_dir(entry.name, mode, 0, maker(task, directory))


def _make_link(task: Any, where: bytes, target: bytes) -> None:
    entry = task.fs.entry(task, AT_FDCWD, where)
    if not entry.normal or task.fs.child(task, entry) is not None:
        raise LinuxError(errno.EEXIST)
    directory = task.fs.changeable_directory(task, entry, making=True)
    directory.make_link(entry.name, target, maker(task, directory))


def _empty(task: Any, directory: Node) -> None:
    """Remove all that is in a directory, however deep: no stack of ours grows with the tree."""
    todo = [directory]
    while todo:
        here = todo[-1].changeable()
        deeper = None
        for name in here.names(task):
            node = here.lookup(task, name)
            if node is None:
                continue
            node.mount = node.mount or here.mount
            if node.is_dir and node.names(task):
                deeper = node
                break
            here.remove(name, node.is_dir)
        if deeper is not None:
            todo.append(deeper)
        else:
            todo.pop()
