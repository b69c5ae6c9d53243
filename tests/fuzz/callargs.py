"""Arguments of system calls that programs would not pass, and those that get further: by a handler's parameters.

Seeded: the same random numbers give the same arguments.
"""

from __future__ import annotations

import os
import random
import struct
from typing import Any

from axptr.flags import MappingFlags as F
from axptr.kernel.kernel import Syscall

SCRATCH = 0x1000_0000
PAGES = 12
HOLE = SCRATCH + 11 * 4096
EDGES = (0, 1 << 12, 1 << 31, 1 << 32, 1 << 47, 0x7FFF_FFFF_F000, 1 << 48, 1 << 62, 1 << 63, 1 << 64)
SMALL = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 16, 17, 24, 32, 64, 77, 100, 128, 144, 256, 511, 512, 4095, 4096, 8192)
FDS = (-1, -100, 0, 1, 2, 64, 1023, 1024, 1 << 20, (1 << 31) - 1, 0xFFFF_FFFF)
NAMES = (
    b"a",
    b"b",
    b"d",
    b"d/x",
    b"link",
    b"fifo",
    b"loop",
    b"d/..",
    b"d/../a",
    b"./a",
    b"d/",
    b"a/",
    b"out",
    b"d/up",
    b"e",
    b"new",
)
PATHS = (
    *(b"/", b"/etc/passwd", b"/etc", b"/etc/", b"/dev/null", b"/dev/zero", b"/dev/full", b"/dev/urandom", b"/dev/tty"),
    *(b"/dev", b"/dev/fd/0", b"/dev/fd/1", b"/dev/stdin", b"/dev/stdout", b"/proc", b"/proc/self", b"/proc/self/fd"),
    *(b"/proc/self/fd/3", b"/proc/self/fd/5", b"/proc/self/maps", b"/proc/self/status", b"/proc/self/exe"),
    *(b"/proc/self/cwd", b"/proc/self/root", b"/proc/self/mem", b"/proc/self/environ", b"/proc/self/auxv"),
    *(b"/proc/self/smaps", b"/proc/self/fdinfo/3", b"/proc/meminfo", b"/proc/1", b"/proc/1/mem", b"/proc/sys/kernel"),
    *(b"", b".", b"..", b"../..", b"x", b"/nope/x", b"\xff\xfe", b"a" * 255, b"a" * 256, b"a/" * 2000, b"/" * 4095),
    *(b"/bin/true", b"/tmp", b"/dev/shm", b"/sys", b"user.a", b"security.b", b"system.posix_acl_access"),
)
COMMANDS = (
    *range(48),
    *(1024, 1025, 1026, 1027, 1028, 1029, 1030, 1031, 1032, 1033, 1034, 1035, 1036, 1037, 1038, 1039, 0x53564D41),
    *(0x5401, 0x5402, 0x5403, 0x540F, 0x5410, 0x5413, 0x5414, 0x541B, 0x5421, 0x5450, 0x5451, 0x40049409, 0x80086601),
    *(0x40086602, 0xC020660B, 2, 0x1001, 0x1002, 0x1003, 0x1004, 0x3001, 0x4000_0001),
)
FLAGS = (0, 1, 2, 3, 4, 8, 0x10, 0x22, 0x32, 0x40, 0x42, 0x80, 0x100, 0x200, 0x400, 0x800, 0x1000, 0x4000, 0x8022)
FLAGS += (0x10000, 0x20000, 0x80000, 0x200000, 0x410002, 0x100032, 0xFFFF_FFFF)
SIGNALS = (*range(66), 128, -1)
AREAS = (SCRATCH + 64 * 4096, SCRATCH + 80 * 4096, SCRATCH + 6 * 4096, SCRATCH + 6 * 4096, 0, 0, HOLE, 0x5000_0000_0000)
CHOICES: dict[tuple[str, ...], tuple[int, ...]] = {
    ("signal", "sig"): SIGNALS,
    (
        "cmd",
        "command",
        "option",
        "op",
        "advice",
        "which",
        "how",
        "resource",
        "whence",
        "kind",
        "who",
        "clock",
    ): COMMANDS,
    ("addr", "old_addr", "new_addr"): AREAS,
    ("length", "old_len", "new_len"): (4096, 4096, 8192, 5 * 4096, 100, 0, 1 << 30, 1 << 47, (1 << 64) - 4096),
    ("offset", "pos"): (0, 0, 1, 4096, 8192, 10_000, -1, (1 << 63) - 1, 1 << 40),
    ("size", "vlen", "nfds", "n", "count"): (*SMALL, 8, 8, 8, 8, 4, 4, 3, 3, 2, 1 << 31, 1 << 40, (1 << 64) - 1),
    ("uid", "gid", "real", "effective", "saved", "pgid"): (0, 0, -1, 1000, 65534, 1 << 31, (1 << 32) - 2),
    ("options",): (0, 1, 2, 4, 5, 8, 0x4000_0000, 0x8000_0000, 0x100_0000, 6),
    ("timeout", "seconds", "nice", "value", "value3", "persona", "policy"): (0, 0, 1, -1, 5, 1 << 31, (1 << 64) - 1),
    ("family", "protocol"): (0, 1, 2, 10, 16, 17),
}
"""By a parameter's name."""


class Memory:
    """User memory that arguments point at; made anew now and then, for calls write there."""

    def __init__(self, rng: random.Random, task: Any, directory: bytes) -> None:
        space, at = task.space, SCRATCH
        space.map_alloc(at, PAGES * 4096, F.READ | F.WRITE, replace=True)
        space.write(at + 4096, b"\xff" * 4096)
        space.write(at + 2 * 4096, rng.randbytes(4096))
        self.structures = [at, at + 4096, at + 2 * 4096, at + 2 * 4096 + 3]
        self.strings: list[int] = []
        self._texts(space, rng, directory)
        self._structures(space, rng)
        space.protect(at + 9 * 4096, 4096, F.READ)
        space.protect(at + 10 * 4096, 4096, F(0))
        space.unmap(HOLE, 4096)
        bad = [at + 9 * 4096, at + 10 * 4096, at + 10 * 4096 - 5, HOLE, HOLE - 4096 - 8, 0, 1, 0xFFFF_8000_0000_0000]
        self.bad = [*bad, (1 << 64) - 1, (1 << 64) - 8, 0x7FFF_FFFF_EFFF, 0x7FFF_FFFF_F000]

    def _texts(self, space: Any, rng: random.Random, directory: bytes) -> None:
        at = SCRATCH + 3 * 4096
        inside = [directory + b"/in/" + name for name in NAMES] + [directory + b"/out/kept", directory + b"/in"]
        long = [text for text in PATHS if len(text) > 1000]
        texts = [*NAMES, *inside, *(text for text in PATHS if len(text) <= 1000)]
        rng.shuffle(texts)
        for text in texts:
            if at + len(text) + 1 > SCRATCH + 5 * 4096:
                break
            space.write(at, text + b"\0")
            self.strings.append(at)
            at += len(text) + 1 + rng.randrange(2)
        at = SCRATCH + 5 * 4096
        space.write(at, rng.choice(long) + b"\0")
        self.strings.append(at)

    def _structures(self, space: Any, rng: random.Random) -> None:
        """Times, vectors, arrays of strings and descriptors, a few of them out of joint."""
        at = SCRATCH + 7 * 4096
        numbers = (0, 1, -1, 999_999_999, 10**9, (1 << 63) - 1, -(1 << 63), 1 << 31, 1000)
        for _ in range(24):
            kind = rng.randrange(5)
            if kind == 0:
                data = struct.pack("<4q", *(rng.choice(numbers) for _ in range(4)))
            elif kind == 1:  # an iovec
                entries = [(rng.choice(self.strings + self.structures), rng.choice(SMALL)) for _ in range(4)]
                if rng.random() < 0.3:
                    entries[rng.randrange(4)] = (rng.getrandbits(64), rng.choice((1 << 63, (1 << 64) - 1, 1 << 40, 5)))
                data = b"".join(struct.pack("<QQ", *entry) for entry in entries)
            elif kind == 2:  # argv
                data = struct.pack("<4Q", *(rng.choice(self.strings) for _ in range(3)), 0)
            elif kind == 3:  # pollfds, or a set of signals or descriptors
                data = b"".join(
                    struct.pack("<iHH", rng.choice((*range(16), -1, 99)), rng.getrandbits(16), 0) for _ in range(4)
                )
            else:  # struct flock and kin: two shorts and offsets
                data = struct.pack(
                    "<hhiqqq", rng.randrange(4), rng.randrange(3), 0, rng.choice(numbers), rng.choice(numbers), 0
                )
            space.write(at, data)
            self.structures.append(at)
            at += 64 + rng.choice((0, 0, 0, 1))


def registers_of(rng: random.Random, call: Syscall, memory: Memory) -> tuple[int, ...]:
    """Six registers: mostly what the handler's parameters ask for, else anything."""
    if rng.random() < 0.1:
        return tuple(anything(rng, memory) for _ in range(6))
    values = [_value(rng, param, memory) for param in call.params]
    values += [anything(rng, memory) for _ in range(6 - len(values))]
    return tuple(value % (1 << 64) for value in values)


def anything(rng: random.Random, memory: Memory) -> int:
    choice = rng.random()
    if choice < 0.3:
        return rng.choice(memory.structures + memory.strings) + rng.choice((0, 0, 0, 1, 7))
    if choice < 0.7:
        return rng.choice(SMALL)
    if choice < 0.9:
        return (rng.choice(EDGES) + rng.randint(-9, 9)) % (1 << 64)
    return rng.getrandbits(rng.choice((8, 16, 32, 64)))


def _value(rng: random.Random, param: Any, memory: Memory) -> int:
    if rng.random() < 0.1:
        return anything(rng, memory)
    name = param.name
    if param.kind == "pointer":
        if rng.random() < 0.25:
            return rng.choice(memory.bad) if rng.random() < 0.5 else 0
        if param.type.const and (
            name.endswith(("path", "name", "target", "old", "new", "argv", "envp")) or rng.random() < 0.2
        ):
            return rng.choice(memory.strings)
        return rng.choice(memory.structures + memory.strings[:2])
    for names, choices in CHOICES.items():
        if name in names:
            return rng.choice(choices)
    if "fd" in name or name.endswith("dir"):
        if name.endswith("dir") or name == "dirfd":
            return -100 if rng.random() < 0.5 else rng.randrange(24)
        return rng.choice(FDS) if rng.random() < 0.15 else rng.randrange(24)
    if name in ("pid", "tid", "tgid"):
        return rng.choice((0, 1, -1, os.getpid(), os.getpid(), os.getpgrp(), -os.getpgrp(), 1 << 22))
    if name in ("flags", "prot", "mode", "mask", "operation"):
        if rng.random() < 0.3:
            return 0
        return rng.choice(FLAGS) | (rng.choice(FLAGS) if rng.random() < 0.3 else 0)
    return anything(rng, memory)
