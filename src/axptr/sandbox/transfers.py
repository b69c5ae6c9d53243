"""Files and trees between the host and a sandbox: what `Files.upload` and `Files.download` do.

Programs run on meanwhile, and may change the tree under the copy: what has gone is left out, and nothing is followed
through a link, neither in the sandbox below the path that was given nor on the host. Each directory, and each piece of
a file, is got or put between two turns of the machine. Not here: how files of the sandbox are reached (`files`), and
those of the host (`hostwalk`).
"""

from __future__ import annotations

import errno
import os
import stat

from .hostwalk import HostWalk, create, open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from .files import Entry, Piece

    class Inside(Protocol):
        """One tree of the sandbox: `names` lead from its top to a file in it, and through no link."""

        def entries(self, names: tuple[bytes, ...]) -> list[Entry]: ...

        def piece(self, names: tuple[bytes, ...], at: int, size: int) -> Piece:
            """Bytes of a regular file, at most so many after a hole."""

        def make_dir(self, names: tuple[bytes, ...]) -> None: ...

        def make_link(self, names: tuple[bytes, ...], target: bytes) -> None: ...

        def put(self, names: tuple[bytes, ...], at: int, data: bytes, mode: int) -> None:
            """Write bytes of a regular file, which is made, and empty, at its beginning."""


_PIECE = 8 << 20
_BLOCK = 4096
"""What a name counts at least: a tree of many is bounded, too."""
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.EINVAL)
"""What is said of what is not there any more, or is something else by now."""


class Allowance:
    """How much a download may bring. limit: None for as much as there is."""

    def __init__(self, limit: int | None, path: str) -> None:
        self._limit = limit
        self._left = limit
        self._path = path

    def take(self, size: int) -> None:
        """EFBIG beyond the limit."""
        if self._left is None:
            return
        self._left -= size
        if self._left < 0:
            text = f"more than {self._limit:,} bytes are to be downloaded: `limit` of download says how many may be"
            raise OSError(errno.EFBIG, text, self._path)


def upload(inside: Inside, source: bytes) -> None:
    """What cannot be read as a file, a directory or a link is left out; alone it is EINVAL."""
    status = os.lstat(source)
    if stat.S_ISLNK(status.st_mode):
        inside.make_link((), os.readlink(source))
    elif stat.S_ISDIR(status.st_mode):
        with HostWalk(source) as walk:
            _upload_tree(inside, walk)
    else:
        fd = open_regular(source)
        if fd is None:
            raise OSError(errno.EINVAL, "this is no file, directory or link", os.fsdecode(source))
        _upload_file(inside, (), fd)


def _next(todo: list[list[Any]], walk: HostWalk) -> Any:
    """What is to be copied next, of lists of which the last is of where the walk is, on the way up where one is done;
    None at the end."""
    while todo:
        if todo[-1]:
            return todo[-1].pop()
        todo.pop()
        if todo:
            walk.leave()
    return None


def _upload_tree(inside: Inside, walk: HostWalk) -> None:
    inside.make_dir(())
    todo = [_listed(walk)]
    while (name := _next(todo, walk)) is not None:
        names = (*walk.names, name)
        try:
            mode = os.lstat(name, dir_fd=walk.fd).st_mode
            if stat.S_ISDIR(mode):
                walk.enter(name)
            target = os.readlink(name, dir_fd=walk.fd) if stat.S_ISLNK(mode) else b""
            fd = walk.open(name) if stat.S_ISREG(mode) else None
        except OSError as error:
            if error.errno not in _GONE:
                raise
            continue
        if stat.S_ISDIR(mode):
            inside.make_dir(names)
            todo.append(_listed(walk))
        elif target:
            inside.make_link(names, target)
        elif fd is not None:
            _upload_file(inside, names, fd)


def _listed(walk: HostWalk) -> list[bytes]:
    """The names there, the last first."""
    return sorted(map(os.fsencode, os.listdir(walk.fd)), reverse=True)


def _upload_file(inside: Inside, names: tuple[bytes, ...], fd: int) -> None:
    """Closes it. Who may run it may run it there, too; no program becomes another user by it."""
    with open(fd, "rb", buffering=0) as file:
        mode = stat.S_IMODE(os.fstat(fd).st_mode) & 0o777
        at = 0
        while True:
            data = file.read(_PIECE)
            if data or not at:
                inside.put(names, at, data, mode)
            at += len(data)
            if not data:
                return


def download(inside: Inside, top: Entry, goal: bytes, allowance: Allowance) -> None:
    """top: what is there."""
    if top.kind == "directory":
        os.makedirs(os.path.dirname(os.path.abspath(goal)), exist_ok=True)
        try:
            os.mkdir(goal)
        except FileExistsError:
            pass
        with HostWalk(goal.rstrip(b"/") or goal) as walk:
            _download_tree(inside, walk, allowance)
    elif top.kind != "file":
        raise OSError(errno.EINVAL, "this is no file or directory", top.name)
    else:
        _download_file(inside, (), create(goal, top.mode & 0o777), allowance)


def _download_tree(inside: Inside, walk: HostWalk, allowance: Allowance) -> None:
    todo = [_kept(inside, ())]
    while (entry := _next(todo, walk)) is not None:
        name = os.fsencode(entry.name)
        names = (*walk.names, name)
        allowance.take(_BLOCK)
        try:
            if entry.kind == "directory":
                entries = _kept(inside, names)
            else:
                inside.piece(names, 0, 0)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            continue
        if entry.kind == "directory":
            walk.enter(name, make=True)
            todo.append(entries)
        else:
            _download_file(inside, names, walk.create(name, entry.mode & 0o777), allowance)


def _kept(inside: Inside, names: tuple[bytes, ...]) -> list[Entry]:
    """What of a directory is downloaded, the last first."""
    return [entry for entry in reversed(inside.entries(names)) if entry.kind in ("file", "directory")]


def _download_file(inside: Inside, names: tuple[bytes, ...], fd: int, allowance: Allowance) -> None:
    """Closes it. Pages without anything in them become holes."""
    with open(fd, "wb", buffering=0) as file:
        at, which = 0, None
        while True:
            try:
                hole, data, found = inside.piece(names, at, _PIECE)
            except OSError as error:
                if error.errno not in _GONE or not names:
                    raise
                return  # it has just gone
            if which not in (None, found):
                raise OSError(errno.ESTALE, "this file was replaced while it was copied", os.fsdecode(b"/".join(names)))
            which = found
            allowance.take(hole + len(data))
            at += hole
            if not data:
                file.truncate(at)
                return
            if data.count(0) < len(data):
                view = memoryview(data)
                while view:
                    view = view[os.pwrite(fd, view, at + len(data) - len(view)) :]
            at += len(data)
