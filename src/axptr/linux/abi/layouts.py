"""Structures in a program's memory that architectures of 64 bits lay out differently, a table for each; and what all
have alike of files and restartable sequences. With them what else a program's architecture numbers in its own way.

A call asks its task which table is its program's (`task.layouts`). What is not here is the same on all of them, and is
packed where it is filled. Sources: asm/stat.h of x86-64 and asm-generic/stat.h, linux/stat.h; linux/eventpoll.h
(EPOLL_PACKED); linux/audit.h; asm/signal.h of each and linux/signal_types.h (`struct sigaction`); asm/sembuf.h of
x86-64 and asm-generic/sembuf.h; linux/rseq.h, linux/auxvec.h.

Not here: frames of signal handlers (`linux.arch`), registers (`axptr.engine.arch`), numbers of calls (`numbers`).
"""

from __future__ import annotations

import os
from struct import Struct, pack

from ..._core.host.places import Status
from ...named import NamedTuple
from .openflags import of_program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..fs.node import AnyStat

RSEQ_FEATURE_SIZE, RSEQ_ALIGN = 28, 32
"""How much of struct rseq is used, and how it is to be aligned (AT_RSEQ_FEATURE_SIZE, AT_RSEQ_ALIGN)."""
_BASIC_STATS = 0x7FF
_BILLION = 1_000_000_000


class Layouts(NamedTuple):
    """Of one architecture.

    stat: makes a struct stat. event: struct epoll_event, events and data. data_at: where the data stand in it.
    action: the kernel's struct sigaction: handler, flags, the restorer where there is one, mask. semaphores: what
    follows the permissions in struct semid64_ds: when it was used, when changed, how many. audit: its name to filters
    of calls and tracers (AUDIT_ARCH_*). open_flags: makes its flags of open(2) the host's, and the host's its own.
    stat_owner: where a struct stat has the owner, and the group after it.
    """

    stat: Callable[[AnyStat], bytes]
    event: Struct
    data_at: int
    action: Struct
    restorer: bool
    semaphores: Struct
    audit: int
    open_flags: Callable[[int], int]
    stat_owner: int

    def read_action(self, raw: bytes) -> tuple[int, int, int, int]:
        """Handler, flags, restorer and mask, of as many bytes as `action` has."""
        handler, flags, *restorer, mask = self.action.unpack(raw)
        return handler, flags, restorer[0] if restorer else 0, mask

    def pack_action(self, handler: int, flags: int, restorer: int, mask: int) -> bytes:
        return self.action.pack(handler, flags, *((restorer,) if self.restorer else ()), mask)


def _stat_x86_64(s: AnyStat) -> bytes:
    """144 bytes."""
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
        *_times(s),
    )


def _stat_generic(s: AnyStat) -> bytes:
    """128 bytes."""
    return pack(
        "<QQIIIIQ8xqi4xqqQqQqQ8x",
        s.st_dev,
        s.st_ino,
        s.st_mode,
        s.st_nlink,
        s.st_uid,
        s.st_gid,
        s.st_rdev,
        s.st_size,
        s.st_blksize,
        s.st_blocks,
        *_times(s),
    )


def _times(s: AnyStat) -> tuple[int, ...]:
    return (*divmod(s.st_atime_ns, _BILLION), *divmod(s.st_mtime_ns, _BILLION), *divmod(s.st_ctime_ns, _BILLION))


_WITH_RESTORER, _SEMAPHORES = Struct("<QQQQ"), Struct("<qqQ16x")
_EVENT = Struct("<I4xQ")
LAYOUTS = {
    "x86_64": Layouts(
        _stat_x86_64,
        Struct("<IQ"),
        4,
        _WITH_RESTORER,
        True,
        Struct("<q8xq8xQ16x"),
        0xC000_003E,
        of_program("x86_64"),
        28,
    ),
    "aarch64": Layouts(
        _stat_generic, _EVENT, 8, _WITH_RESTORER, True, _SEMAPHORES, 0xC000_00B7, of_program("aarch64"), 24
    ),
    "riscv64": Layouts(
        _stat_generic, _EVENT, 8, Struct("<QQQ"), False, _SEMAPHORES, 0xC000_00F3, of_program("riscv64"), 24
    ),
}
"""By the architecture's name."""


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
