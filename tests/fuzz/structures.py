"""Structures that system calls take, half of them in sense: addresses, messages, events, times, arguments of clone3.

Not here: where they stand, and which call is given which (`callargs`).
"""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence

NUMBERS = (0, 1, -1, 2, 5, 999_999_999, 10**9, (1 << 63) - 1, -(1 << 63), 1 << 31, 1000)
SIZES = (0, 1, 2, 4, 8, 16, 24, 28, 64, 110, 112, 128, 4096)
CLONE_FLAGS = (0x100, 0x200, 0x400, 0x800, 0x1000, 0x4000, 0x8000, 0x1_0000, 0x4_0000, 0x8_0000, 0x10_0000, 0x20_0000)
CLONE_FLAGS += (0x40_0000, 0x100_0000, 1 << 32, 0x1000_0000)
EVENTS = (0, 1, 2, 4, 8, 0x10, 0x2000, 0x1000_0000, 0x4000_0000, 0x8000_0000, 0xFFFF_FFFF)
KINDS = (
    *("times", "times", "times", "vector", "vector", "pointers", "descriptors", "lock", "address", "address", "header"),
    *("headers", "epoll", "clone", "clone", "operations", "event", "numbers", "numbers", "scheduling", "terminal"),
)
OF_PARAM = {
    "address": "address", "header": "header", "headers": "headers", "events": "epoll", "ops": "operations",
    "args": "clone", "attr": "scheduling numbers", "event": "event epoll", "argv": "pointers", "envp": "pointers",
    **dict.fromkeys(("vec", "lvec", "rvec"), "vector"),
    **dict.fromkeys(("timeout", "new", "duration", "times", "tv", "when", "limit"), "times"),
    **dict.fromkeys(("message", "word", "word2", "size_at", "offset", "off_in", "off_out"), "numbers"),
    **dict.fromkeys(("fds", "mask", "readers", "writers", "others"), "descriptors"),
}  # fmt: skip
"""A pointer's name -> the kinds that make sense there."""
LEVELS = ((1, 1), (1, 2), (41, 50), (0, 8), (1, 0), (7, 7))


class Structures:
    """Makes them. places: addresses that they may point at."""

    def __init__(self, rng: random.Random, places: Sequence[int]) -> None:
        self._rng = rng
        self._places = places

    def one(self) -> tuple[str, bytes]:
        """What kind it is, and its bytes."""
        kind = self._rng.choice(KINDS)
        made: bytes = getattr(self, "_" + kind)()
        return kind, made

    def _place(self) -> int:
        return self._rng.choice(self._places)

    def _times(self) -> bytes:
        """Half of them soon over."""
        known = NUMBERS if self._rng.random() < 0.5 else (0, 0, 1, 1000, 50)
        return struct.pack("<4q", *(self._rng.choice(known) for _ in range(4)))

    def _vector(self) -> bytes:
        rng = self._rng
        entries = [(self._place(), rng.choice(SIZES)) for _ in range(4)]
        if rng.random() < 0.3:
            entries[rng.randrange(4)] = (rng.getrandbits(64), rng.choice((1 << 63, (1 << 64) - 1, 1 << 40, 5)))
        return b"".join(struct.pack("<QQ", *entry) for entry in entries)

    def _pointers(self) -> bytes:
        """argv."""
        return struct.pack("<4Q", *(self._place() for _ in range(3)), 0)

    def _descriptors(self) -> bytes:
        """pollfds, or a set of signals or descriptors."""
        rng = self._rng
        return b"".join(struct.pack("<iHH", rng.choice((*range(40), -1, 99)), rng.getrandbits(16), 0) for _ in range(6))

    def _lock(self) -> bytes:
        rng = self._rng
        return struct.pack(
            "<hhiqqq", rng.randrange(4), rng.randrange(3), 0, rng.choice(NUMBERS), rng.choice(NUMBERS), 0
        )

    def _address(self) -> bytes:
        """Of a socket: a name, an abstract name, none; loopback and other numbers; netlink's."""
        rng = self._rng
        kind = rng.choice((1, 1, 1, 2, 2, 10, 16, 0, 7))
        port = rng.choice((0, 80, 5000, 5001, 65535)).to_bytes(2, "big")
        if kind == 1:
            names = (b"", b"sock\0", b"\0name", b"d/sock\0", b"a\0", b"/etc/passwd\0", b"x" * 108)
            return struct.pack("<H", 1) + rng.choice(names)
        if kind == 2:
            host = rng.choice((b"\x7f\0\0\1", bytes(4), b"\x0a\0\0\1", b"\xff" * 4, b"\xe0\0\0\1"))
            return struct.pack("<H", 2) + port + host + bytes(8)
        if kind == 10:
            return struct.pack("<H", 10) + port + bytes(4) + rng.choice((bytes(15) + b"\1", bytes(16))) + bytes(4)
        return struct.pack("<HHII", kind, 0, rng.choice((0, 1, 77)), rng.choice((0, 1, 0xFFFF_FFFF)))

    def _header(self) -> bytes:
        """struct msghdr."""
        rng = self._rng
        return struct.pack(
            "<QIIQQQQQ",
            rng.choice((0, self._place())), rng.choice((0, 2, 16, 110, 128, 0xFFFF_FFFF)), 0,
            self._place(), rng.choice((0, 1, 1, 2, 4, 1024, 1025, 1 << 40)),
            rng.choice((0, self._place())), rng.choice((0, 16, 20, 24, 28, 40, 256, 1 << 40)), rng.choice((0, 1)),
        )  # fmt: skip

    def _headers(self) -> bytes:
        """Two of them as sendmmsg has them, or a control message with descriptors."""
        rng = self._rng
        if rng.random() < 0.5:
            return self._header() + bytes(8) + self._header() + bytes(8)
        level, kind = rng.choice(LEVELS)
        count = rng.choice((0, 1, 2, 3, 300))
        told = 16 + 4 * count if rng.random() < 0.8 else rng.choice((0, 15, 17, 1 << 40))
        return struct.pack("<QII", told, level, kind) + struct.pack("<3i", *(rng.randrange(-1, 40) for _ in range(3)))

    def _epoll(self) -> bytes:
        rng = self._rng
        return b"".join(struct.pack("<IQ", rng.choice(EVENTS), rng.getrandbits(64)) for _ in range(3))

    def _clone(self) -> bytes:
        rng = self._rng
        flags = 0
        for _ in range(rng.choice((0, 1, 2, 4))):
            flags |= rng.choice(CLONE_FLAGS)
        if rng.random() < 0.3:
            flags = 0x3D0F00  # as threads are made
        stack = rng.choice((0, self._place()))
        words = (flags, self._place(), self._place(), self._place(), rng.choice((0, 17, 17, 64, 65)), stack)
        return struct.pack("<11Q", *words, 64 if stack else 0, self._place(), 0, 0, 0)

    def _operations(self) -> bytes:
        """struct sembufs."""
        rng = self._rng
        return b"".join(
            struct.pack(
                "<Hhh", rng.choice((0, 1, 2, 250)), rng.choice((-1, 0, 1, 32767)), rng.choice((0, 0x800, 0x1800))
            )
            for _ in range(5)
        )

    def _event(self) -> bytes:
        """struct sigevent."""
        rng = self._rng
        return struct.pack("<QiiiI", rng.getrandbits(64), rng.choice((0, 1, 10, 17, 64, 65)), rng.randrange(6), 1, 0)

    def _numbers(self) -> bytes:
        """A message's type, attributes of a queue, the word of a futex."""
        rng = self._rng
        return struct.pack("<4q", *(rng.choice((0, 1, 1, 2, 8, 10, 64, 8192, 1 << 40, -1)) for _ in range(4)))

    def _scheduling(self) -> bytes:
        """struct sched_attr."""
        rng = self._rng
        size = rng.choice((0, 48, 48, 56, 64, 100))
        return struct.pack("<IIQiI", size, rng.choice((0, 0, 1, 2, 3, 5, 6, 7)), rng.choice((0, 1)), 0, 0) + bytes(32)

    def _terminal(self) -> bytes:
        """struct termios, or the size of a window."""
        rng = self._rng
        return struct.pack("<4IB", *(rng.getrandbits(16) for _ in range(4)), 0) + rng.randbytes(19)
