"""struct stat and struct statx in a program's memory. Source: asm/stat.h of x86-64, linux/stat.h."""

from __future__ import annotations

import os
from struct import pack

from ..._core.host.places import Status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..fs.node import AnyStat

_BASIC_STATS = 0x7FF
_BILLION = 1_000_000_000


def pack_stat(s: AnyStat) -> bytes:
    """struct stat of x86-64, 144 bytes."""
    if isinstance(s, Status):
        return s.stat()
    return pack(
        "<QQQIIIIQqqqqQqQqQ24x",
        s.st_dev,
        s.st_ino,
        s.st_nlink,
        s.st_mode,
        s.st_uid,
        s.st_gid,
        0,
        s.st_rdev,
        s.st_size,
        s.st_blksize,
        s.st_blocks,
        *divmod(s.st_atime_ns, _BILLION),
        *divmod(s.st_mtime_ns, _BILLION),
        *divmod(s.st_ctime_ns, _BILLION),
    )


def pack_statx(s: AnyStat) -> bytes:
    """struct statx, 256 bytes, with the basic fields."""
    if isinstance(s, Status):
        return s.statx()

    def when(ns: int) -> bytes:
        return pack("<qI4x", *divmod(ns, _BILLION))

    return (
        pack("<IIQIIIH2xQQQQ", _BASIC_STATS, s.st_blksize, 0, s.st_nlink, s.st_uid, s.st_gid, s.st_mode, s.st_ino,
             s.st_size, s.st_blocks, 0)
        + when(s.st_atime_ns)
        + bytes(16)
        + when(s.st_ctime_ns)
        + when(s.st_mtime_ns)
        + pack("<IIII", os.major(s.st_rdev), os.minor(s.st_rdev), os.major(s.st_dev), os.minor(s.st_dev))
    ).ljust(256, b"\0")  # fmt: skip
