"""Snapshots in files: a header with checksums, the description, the pages (`docs/snapshots.md`).

Not here: what the description says (`mm.snapshots.encode`, `mm.snapshots.decode`).

A file is written under another name in the same directory, brought to the disk, and renamed: under its own name there
is never half a snapshot. What is loaded is believed only after its checksums were found right; no count in it makes us
take more memory than the file has bytes for.
"""

from __future__ import annotations

import os
import stat
import struct
from contextlib import ExitStack

from axptr._core.words.records import crc32
from axptr.addr import PAGE_SIZE
from axptr.errors import SnapshotError
from axptr.mm.snapshots.decode import Decoder
from axptr.mm.snapshots.encode import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol, TypeVar

    from axptr._core.phys.phys import PhysMemory
    from axptr.mm.snapshots.decode import Parts
    from axptr.mm.snapshots.encode import Part
    from axptr.mm.snapshots.snapshot import Snapshot
    from axptr.mm.space import AddrSpace

    Made = TypeVar("Made", covariant=True)
    Shown = tuple[int, int, int]  # a descriptor, where its pages begin, how many

    class Reading(Protocol[Made]):
        """Takes the pages of a file, and makes something of them in the end."""

        def put(self, data: Any) -> None: ...
        def finish(self) -> Made: ...


MAGIC = b"\x93axptr\r\n"
"""Not text, and no copy in text mode leaves it whole."""
MACHINE = b"\x93axptM\r\n"
"""The same of a machine's snapshot (`axptr.linux.snapshots.file`)."""
VERSION = 2

_HEADER = struct.Struct("<8sIIQQQIII8sI")
# magic, version, flags, file size, description's size, pages, page size, crc of description, crc of pages, 0, crc
_CHUNK = 1 << 20
_PIECE = 1 << 18  # what a CPU keeps near while it is copied, summed up and written


def save(snap: Snapshot, path: str | os.PathLike[str], *, embed_files: bool = False) -> None:
    """`Snapshot.save`."""
    write(path, MAGIC, VERSION, *encode(snap, embed_files=embed_files))


def write(path: str | os.PathLike[str], magic: bytes, version: int, meta: bytes, parts: list[Part]) -> bytes:
    """A file of this kind: all of it under its name, or what was there before. Its header, by which it is known. Raises
    `OSError`."""
    npages = sum(len(part) for part in parts) // PAGE_SIZE
    start = _page_up(_HEADER.size + len(meta))
    goal = os.fsdecode(path)
    aside = f"{goal}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        try:
            _write(fd, memoryview(bytes(_HEADER.size) + meta + bytes(start - _HEADER.size - len(meta))))
            checksum = 0
            piece = memoryview(bytearray(_PIECE))
            for part in parts:
                view = memoryview(part).cast("B")
                for at in range(0, len(view), _PIECE):
                    # One look at the bytes for both: a file's page in it may change under us.
                    some = piece[: len(view) - at]
                    some[:] = view[at : at + _PIECE]
                    checksum = crc32(some, checksum)
                    _write(fd, some)
            head = _HEADER.pack(
                magic,
                version,
                0,
                start + npages * PAGE_SIZE,
                len(meta),
                npages,
                PAGE_SIZE,
                crc32(meta),
                checksum,
                b"",
                0,
            )
            head = head[:-4] + crc32(head[:-4]).to_bytes(4, "little")
            os.pwrite(fd, head, 0)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(aside, goal)
    except BaseException:
        os.unlink(aside)
        raise
    directory = os.open(os.path.dirname(goal) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return head


def header(path: str | os.PathLike[str]) -> bytes:
    """What `write` gave of the file that is there; b"" if there is none."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(_HEADER.size)
    except OSError:
        return b""


def _page_up(size: int) -> int:
    return -(-size // PAGE_SIZE) * PAGE_SIZE


def _write(fd: int, view: memoryview) -> None:
    while view:
        view = view[os.write(fd, view) :]


def load(path: str | os.PathLike[str], phys: PhysMemory | None, make_space: Callable[..., AddrSpace]) -> Parts:
    """What `Snapshot.load` makes a snapshot of."""
    return read(path, MAGIC, VERSION, lambda meta, npages: Decoder(meta, npages, make_space, phys))


def read(
    path: str | os.PathLike[str], magic: bytes, version: int, begin: Callable[[bytes, int], Reading[Made]]
) -> Made:
    """What is made of a file of this kind, once all of it was found whole.

    begin: takes the description and the number of pages, and gives what takes the pages. Raises `OSError`,
    `SnapshotError`, and what it raises.
    """
    with _Opened(path) as fd:
        meta, npages, _, pages_crc = _head(fd, magic, version)
        decoder = begin(meta, npages)
        _check_pages(fd, npages, pages_crc, decoder.put)
        return decoder.finish()


def show(
    path: str | os.PathLike[str],
    magic: bytes,
    version: int,
    verify: bool,
    begin: Callable[[bytes, list[Shown], list[bytes]], Reading[Made]],
    bases: Sequence[str | os.PathLike[str]] = (),
) -> Made:
    """The same, where the pages are not read but shown. verify: whether their checksum is proved, for which all of them
    are read. bases: files of the same kind whose pages come before its own.

    begin: takes the description, where the pages are (descriptors, which are closed afterwards) and the headers."""
    with ExitStack() as files:
        shown: list[Shown] = []
        heads: list[bytes] = []
        for base in bases:
            with _Opened(base) as fd:
                _, start, npages = _proved(fd, magic, version, verify)
                files.callback(os.close, kept := os.dup(fd))
            shown.append((kept, start, npages))
            heads.append(os.pread(kept, _HEADER.size, 0))
        with _Opened(path) as fd:
            meta, start, npages = _proved(fd, magic, version, verify)
            heads.append(os.pread(fd, _HEADER.size, 0))
            return begin(meta, [*shown, (fd, start, npages)], heads).finish()


def _proved(fd: int, magic: bytes, version: int, verify: bool) -> tuple[bytes, int, int]:
    """The description of a file, where its pages begin, and how many they are."""
    meta, npages, start, pages_crc = _head(fd, magic, version)
    if verify:
        _check_pages(fd, npages, pages_crc, lambda data: None)
    return meta, start, npages


class _Opened:
    """A file to be read, whose errors then name it.

    No generator: what is raised through one holds itself by its traceback, and with it all that was read, until a
    collector comes."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path

    def __enter__(self) -> int:
        # A FIFO is not waited for.
        self.fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        return self.fd

    def __exit__(self, kind: object, failure: BaseException | None, where: object) -> None:
        os.close(self.fd)
        if isinstance(failure, SnapshotError):
            raise SnapshotError(f"{os.fsdecode(self.path)}: {failure}") from failure.__cause__


def _head(fd: int, magic: bytes, known: int) -> tuple[bytes, int, int, int]:
    """The description, the number of pages, where they begin, and their checksum."""
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise SnapshotError("no regular file, so no snapshot")
    raw = _read(fd, min(_HEADER.size, status.st_size))
    if raw[: len(magic)] != magic:
        other = {MAGIC: "a snapshot of a space", MACHINE: "a snapshot of a machine"}.get(raw[: len(magic)])
        raise SnapshotError("not a snapshot of axptr" if other is None else f"it is {other}")
    version = int.from_bytes(raw[8:12], "little")
    if len(raw) >= 12 and version != known:
        raise SnapshotError(f"a snapshot of version {version}, this axptr reads version {known}")
    if len(raw) < _HEADER.size:
        raise SnapshotError("damaged: cut short in its header")
    _, _, flags, size, meta_size, npages, page_size, meta_crc, pages_crc, zeros, crc = _HEADER.unpack(raw)
    if crc32(raw[:-4]) != crc:
        raise SnapshotError("damaged: its header's checksum is wrong")
    start = _page_up(_HEADER.size + meta_size)
    if flags or any(zeros) or page_size != PAGE_SIZE or size != start + npages * PAGE_SIZE:
        raise SnapshotError("damaged: its header contradicts itself")
    if size != status.st_size:
        raise SnapshotError(f"damaged: it has {status.st_size} bytes and should have {size}")
    meta = _read(fd, meta_size)
    if crc32(meta) != meta_crc:
        raise SnapshotError("damaged: its description's checksum is wrong")
    if any(_read(fd, start - _HEADER.size - meta_size)):
        raise SnapshotError("damaged: there is something between its description and its pages")
    return meta, npages, start, pages_crc


def _check_pages(fd: int, npages: int, pages_crc: int, put: Callable[[bytes], None]) -> None:
    """Read the pages, and give them to `put`."""
    checksum = 0
    left = npages * PAGE_SIZE
    while left:
        data = _read(fd, min(left, _CHUNK))
        checksum = crc32(data, checksum)
        put(data)
        left -= len(data)
    if checksum != pages_crc:
        raise SnapshotError("damaged: the checksum of its pages is wrong")


def _read(fd: int, size: int) -> bytes:
    """So many bytes; a file that others cut short meanwhile is damaged, too."""
    pieces: list[bytes] = []
    while size:
        piece = os.read(fd, size)
        if not piece:
            raise SnapshotError("damaged: it was cut short while it was read")
        pieces.append(piece)
        size -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
