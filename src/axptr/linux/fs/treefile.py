"""Trees in memory, as files: what an overlay saves and loads.

    b"axptr-tree 1\n", 8 bytes: how long the table is, SHA-256 of the rest
    the table: JSON, a list of inodes; number 0 is the root; entries of directories name them by their place in the list
    the pages of files, one behind the other, as the extents in the table say

Bytes that are all zero are left out. A file whose bytes are those of a file below is saved without them, by its path
there; one of which a part was changed is saved whole. Names and attributes are text with what is no UTF-8 escaped.

A file is judged before anything of it is believed; what is wrong with one is a `ValueError`.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from base64 import b64decode, b64encode

from .inode import DirInode, Inode
from .layers import LayeredFs, LayeredNode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Path = str | bytes | os.PathLike[str]

MAGIC = b"axptr-tree 1\n"
_PIECE = 1 << 16
_FIELDS = ("mode", "uid", "gid", "nlink", "rdev", "size", "atime", "mtime", "ctime", "ino")


def save_tree(path: Path, fs: LayeredFs) -> None:
    """Write the tree above, under another name first, so that the file is whole or as it was. Raises `OSError`."""
    inodes: list[Inode] = []
    places: dict[int, int] = {}
    _number(fs.root, inodes, places)
    target = os.path.abspath(os.fsdecode(path))
    fd, name = tempfile.mkstemp(prefix=".axptr-", dir=os.path.dirname(target))
    try:
        with os.fdopen(fd, "wb") as out, tempfile.TemporaryFile(dir=os.path.dirname(target)) as pages:
            table = [_describe(inode, places, pages) for inode in inodes]
            text = json.dumps(table, separators=(",", ":")).encode()
            digest = hashlib.sha256(text)
            pages.seek(0)
            while piece := pages.read(1 << 20):
                digest.update(piece)
            out.write(MAGIC + len(text).to_bytes(8, "little") + digest.digest() + text)
            pages.seek(0)
            while piece := pages.read(1 << 20):
                out.write(piece)
            out.flush()
            os.fsync(out.fileno())
        os.chmod(name, 0o600)
        os.rename(name, target)
    except BaseException:
        os.unlink(name)
        raise


def _number(root: LayeredNode, inodes: list[Inode], places: dict[int, int]) -> None:
    todo: list[Any] = [root]
    while todo:
        node = todo.pop()
        if id(node.inode) in places:
            continue
        places[id(node.inode)] = len(inodes)
        inodes.append(node.inode)
        if isinstance(node.inode, DirInode):
            todo += node.inode.entries.values()


def _text(data: bytes) -> str:
    return os.fsdecode(data)


def _describe(inode: Inode, places: dict[int, int], pages: Any) -> dict[str, Any]:
    inode.tell_time()
    told: dict[str, Any] = {field: getattr(inode, field) for field in _FIELDS}
    if inode.target:
        told["target"] = _text(inode.target)
    if inode.below is not None:
        told["below"] = _text(inode.below)
    if inode.origin is not None:
        told["origin"] = list(inode.origin)
    if inode.xattrs:
        told["xattrs"] = {_text(n): b64encode(v).decode() for n, v in inode.xattrs.items()}
    if isinstance(inode, DirInode):
        told["entries"] = {_text(name): places[id(node.inode)] for name, node in inode.entries.items()}
        told["hidden"] = sorted(map(_text, inode.hidden))
    elif inode.data is not None:
        told["extents"] = _write_bytes(inode, pages)
    return told


def _write_bytes(inode: Inode, pages: Any) -> list[list[int]]:
    """Put the bytes of a file behind those of others: (offset in it, place in the file, length) of each run."""
    extents: list[list[int]] = []
    view, at = memoryview(bytearray(_PIECE)), 0
    while count := inode.read_into(at, view):
        if any(view[:count]):
            place = pages.tell()
            if extents and extents[-1][0] + extents[-1][2] == at and extents[-1][1] + extents[-1][2] == place:
                extents[-1][2] += count
            else:
                extents.append([at, place, count])
            pages.write(view[:count])
        at += count
    return extents


def load_tree(path: Path, fs: LayeredFs) -> None:
    """Make the tree above what was saved. `OSError`, `ValueError`; the tree is then of no use."""
    with open(path, "rb") as file:
        head = file.read(len(MAGIC) + 40)
        if not head.startswith(MAGIC) or len(head) < len(MAGIC) + 40:
            raise ValueError(f"{os.fsdecode(path)}: not a saved overlay")
        size = int.from_bytes(head[len(MAGIC) : len(MAGIC) + 8], "little")
        if size > os.fstat(file.fileno()).st_size:
            raise ValueError(f"{os.fsdecode(path)}: a saved overlay that is cut off")
        text = file.read(size)
        digest, start = hashlib.sha256(text), file.tell()
        while piece := file.read(1 << 20):
            digest.update(piece)
        if digest.digest() != head[-32:]:
            raise ValueError(f"{os.fsdecode(path)}: a saved overlay that is damaged")
        try:
            _rebuild(json.loads(text), fs, file, start)
        except (KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
            raise ValueError(f"{os.fsdecode(path)}: a saved overlay that makes no sense: {error!r}") from None


def _rebuild(table: list[dict[str, Any]], fs: LayeredFs, file: Any, start: int) -> None:
    inodes: list[Inode] = []
    for number, told in enumerate(table):
        mode = told["mode"]
        if number == 0:
            inode: Inode = fs.root.inode
        elif stat.S_ISDIR(mode):
            inode = DirInode(fs, mode, 0, 0)
        else:
            inode = Inode(fs, mode, 0, 0)
        for field in _FIELDS:
            setattr(inode, field, int(told[field]))
        inode.target = os.fsencode(told.get("target", ""))
        inode.below = os.fsencode(told["below"]) if "below" in told else None
        if inode.below is not None and (b".." in inode.below.split(b"/") or inode.below.startswith(b"/")):
            raise ValueError("a saved overlay that leads out of its tree")
        inode.xattrs = {os.fsencode(n): b64decode(v) for n, v in told.get("xattrs", {}).items()}
        if "origin" in told:
            inode.origin = (int(told["origin"][0]), int(told["origin"][1]))
            fs.linked[inode.origin] = fs.kept[inode.origin] = inode
        if "extents" in told:
            _read_bytes(inode, told["extents"], file, start)
        fs.charge(0)
        inodes.append(inode)
    _link(table, inodes, fs)


def _read_bytes(inode: Inode, extents: list[list[int]], file: Any, start: int) -> None:
    size, inode.size = inode.size, 0
    inode.resize(size)
    inode.contents()
    for at, place, length in extents:
        if not 0 <= at <= at + length <= size:
            raise ValueError("a saved overlay with bytes beyond the end of a file")
        file.seek(start + place)
        while length:
            piece = file.read(min(length, 1 << 20))
            if not piece:
                raise ValueError("a saved overlay that is cut off")
            if inode.write(at, memoryview(piece)) < len(piece):
                raise MemoryError("no room for a saved overlay")
            at, length = at + len(piece), length - len(piece)


def _link(table: list[dict[str, Any]], inodes: list[Inode], fs: LayeredFs) -> None:
    """Give the files their names, from the root down."""
    todo, seen = [(fs.root, 0)], {0}
    while todo:
        node, number = todo.pop()
        directory, told = node.directory, table[number]
        size, nlink = directory.size, directory.nlink
        directory.hidden = {os.fsencode(name) for name in told["hidden"]}
        if directory.below is not None:
            fs.dirs[directory.below] = node
        for text, at in told["entries"].items():
            name = os.fsencode(text)
            if b"/" in name or name in (b"", b".", b".."):
                raise ValueError("a saved overlay with a name that is none")
            inode = inodes[at]
            if isinstance(inode, DirInode):
                if at in seen:
                    raise ValueError("a saved overlay with a directory that has two names")
                seen.add(at)
            child = fs.new_node(inode, node, name)
            child.mount = fs.root.mount
            directory.put(child)
            if isinstance(inode, DirInode):
                todo.append((child, at))
        directory.size, directory.nlink = size, nlink
