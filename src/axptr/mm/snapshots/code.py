"""The layout of a snapshot as bytes, which `mm.snapshots.encode` writes and `mm.snapshots.decode` reads: see
`docs/snapshots.md`.

Records only. Not here: what goes into them, checksums, the file around it.
"""

from __future__ import annotations

import os
import stat
import struct

from axptr._core.words.codes import TRAIT_SEALED, TRAITS
from axptr.errors import SnapshotError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

MEMORY, FILE, CONTENTS, OUTSIDE = 1, 2, 3, 4
"""Kinds of sources: shared memory; a file; the bytes of what was a file; a store of a machine's snapshot, whose number
stands in the place of the limit."""

HEAD = struct.Struct("<QQIIBBBB")  # first, bytes, format, data model: its name, pointer, order, wide_align; 0
ORDERS: tuple[Literal["little"], Literal["big"]] = ("little", "big")
NUMBER = struct.Struct("<I")
LONG = struct.Struct("<Q")
BOUND = struct.Struct("<IQ")
SOURCE = struct.Struct("<IIQQQQqQ")  # kind, label, limit, device, inode, bytes, mtime, runs
SOURCE_RUN = struct.Struct("<QQQ")  # page, pages, index
AREA = struct.Struct("<QQQQIIIBBBB")  # start, last, offset, grow limit, flags, source, name, shared, sealed, traits, 0
RUN = struct.Struct("<QQQQ")  # address, pages, index, dirty
CARRIED_TRAITS = TRAITS & ~TRAIT_SEALED  # what is sealed has a field of its own
MOST = (1 << 64) - 1


def open_regular(path: str, mode: int) -> int:
    """A regular file's descriptor; a FIFO in its place does not make us wait. Raises `SnapshotError`."""
    try:
        fd = os.open(path, mode | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError) as failure:
        reason = failure.strerror if isinstance(failure, OSError) else str(failure)
        raise SnapshotError(f"the snapshot needs the file {path}: {reason}") from failure
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise SnapshotError(f"the snapshot needs the file {path}, which is no regular file")
    return fd
