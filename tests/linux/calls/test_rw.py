"""Reading, writing and positions: every whence, offset, count and kind of descriptor. The host is right."""

from __future__ import annotations

import itertools
import os
import random
import struct
from pathlib import Path

import pytest

from ..caller import AT_FDCWD, BAD, EDGES, END, READ_ONLY, Script

O_PATH = 0o10000000
SEEK_DATA, SEEK_HOLE = 3, 4
KEEP_SIZE, PUNCH_HOLE, COLLAPSE, ZERO, INSERT, UNSHARE = 1, 2, 8, 16, 32, 64
OFFSETS = (0, 1, 100, 255, 256, 257, 70000, -1, -256, -257, (1 << 31) - 1, 1 << 31, (1 << 63) - 1, 1 << 63, (1 << 62))


def files(root: Path) -> None:
    (root / "file").write_bytes(bytes(range(256)))
    (root / "dir").mkdir()
    with open(root / "holes", "wb") as file:
        file.write(b"x" * 5000)
        file.seek(70000)
        file.write(b"y" * 10)
        file.truncate(200000)
    os.mkfifo(root / "fifo")


def opened(script: Script) -> None:
    """3 a file, 4 for reading, 5 for writing, appending, 6 by path alone, 7 a directory, 8 and 9 a pipe, 10 /dev/null,
    11 /dev/zero, 12 /dev/full, 13 a file with holes."""
    name = script.text("file")
    for flags in (os.O_RDWR, os.O_RDONLY, os.O_WRONLY | os.O_APPEND, O_PATH):
        script.call("openat", AT_FDCWD, name, flags)
    script.call("openat", AT_FDCWD, script.text("dir"), os.O_RDONLY)
    script.call("pipe2", script.room(8), os.O_NONBLOCK)
    for device in ("null", "zero", "full"):
        script.call("openat", AT_FDCWD, script.text("/dev/" + device), os.O_RDWR)
    script.call("openat", AT_FDCWD, script.text("holes"), os.O_RDWR)


ALL = (*range(3, 14), -1, 99, 1 << 31)


def test_every_whence_and_offset(answers) -> None:
    script = Script()
    opened(script)
    for fd, whence, offset in itertools.product((3, 7, 8, 10, 13), (0, 1, 2, 3, 4, 5, -1, 1 << 32), OFFSETS):
        if fd == 7 and (whence == os.SEEK_END or abs(offset) > 300):
            continue  # where a directory ends is the file system's affair
        script.call("lseek", fd, offset, whence)
    for fd in (4, 5, 6, 9, 11, 12, -1, 99):
        script.call("lseek", fd, 10, os.SEEK_CUR)
    got = answers(script, files)
    assert {answer.error for answer in got} == {"", "EINVAL", "ESPIPE", "EBADF", "ENXIO"}


@pytest.mark.parametrize("call", ["read", "write", "pread64", "pwrite64"])
def test_every_count_offset_and_kind(answers, call: str) -> None:
    script = Script()
    opened(script)
    at = script.room(600)
    bad = BAD if "read" in call else (*BAD, READ_ONLY)
    for fd in ALL:
        for size in (0, 1, 300, 600):
            for offset in OFFSETS if call.startswith("p") else (0,):
                if offset > 1 << 20 and "write" in call and offset < 1 << 62:
                    continue  # a file of gigabytes
                script.call(call, fd, at, size, offset)
        for where in (READ_ONLY, *bad, END - 10):
            for size in (0, 1, 20):
                if call == "pread64" or call == "pwrite64":
                    script.call(call, fd, where, size, 5)
                else:
                    script.call(call, fd, where, size)
        script.call("lseek", fd, 0, os.SEEK_CUR)
    script.call("lseek", 3, 0, 0)
    script.call("pread64", 3, at, 600, 0)
    got = answers(script, files)
    assert {"", "EBADF", "EFAULT"} <= {answer.error for answer in got}


@pytest.mark.parametrize("call", ["readv", "writev", "preadv", "pwritev"])
@pytest.mark.parametrize("seed", range(2))
def test_vectors_drawn_at_random(answers, call: str, seed: int) -> None:
    draw = random.Random(f"{call} {seed}")
    script = Script()
    opened(script)
    room = script.room(4096)
    for _ in range(60):
        count = draw.choice((0, 1, 2, 3, 5, 8, -1, 1025, 1 << 31))
        segments = [
            (
                draw.choice((room + draw.randrange(4000), END - draw.randrange(64), READ_ONLY, *BAD)),
                draw.choice((0, 1, 7, 50, draw.randrange(200), 1 << 31, 1 << 63, (1 << 64) - 1)),
            )
            for _ in range(min(max(count, 1), 8))
        ]
        if "write" in call:  # nothing that takes gigabytes of what lies there
            segments = [(a, min(size, 300) if size < 1 << 63 else size) for a, size in segments]
        array = b"".join(struct.pack("<QQ", *segment) for segment in segments)
        at = script.put(array) if draw.random() < 0.8 else script.edge(array)
        fd = draw.choice((3, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 99))
        offset = [draw.choice((0, 5, 300, -1, (1 << 63) - 1)), 0] if call.startswith("p") else []
        script.call(call, fd, at + draw.choice((0, 0, 0, 16)) if count < 8 else at, count, *offset)
        script.call("lseek", fd, 0, os.SEEK_CUR)
    answers(script, files)


def test_a_file_is_cut_and_filled(answers) -> None:
    script = Script()
    opened(script)
    at = script.room(144)
    hide = [(at + 8, 8), (at + 64, 8), (at + 72, 48)]  # inode, blocks, times
    for fd, size in itertools.product((3, 4, 5, 6, 7, 8, 10, 99), (0, 10, 300, -1, 1 << 63, (1 << 63) - 1, 1 << 62)):
        script.call("ftruncate", fd, size)
        script.call("fstat", 3, at, hide=hide)
    for name, size in itertools.product(("file", "dir", "fifo", "absent", "file/x", ""), (0, 20, -1, (1 << 63) - 1)):
        script.call("truncate", script.text(name), size)
    modes = (0, KEEP_SIZE, PUNCH_HOLE, PUNCH_HOLE | KEEP_SIZE, KEEP_SIZE | 128, 4, -1, 1 << 31)
    for fd, mode in itertools.product((3, 4, 5, 6, 7, 8, 10, 99), modes):
        for offset, size in ((0, 100), (50, 0), (-1, 5), (5, -1), ((1 << 63) - 1, 5), (4096, 4096), (1 << 62, 1 << 62)):
            script.call("fallocate", fd, mode, offset, size)
        script.call("fstat", 3, at, hide=hide)
    got = answers(script, files)
    assert {"", "EINVAL", "EBADF", "EISDIR", "ENOENT", "ENOTDIR", "EFBIG", "ENODEV"} <= {a.error for a in got}


def test_what_is_said_of_use_and_what_is_flushed(answers) -> None:
    script = Script()
    opened(script)
    for fd in ALL:
        for call in ("fsync", "fdatasync", "syncfs"):
            script.call(call, fd)
        for offset, size in ((0, 0), (5, 100), (-1, 5), (5, -1), (1 << 62, 1 << 62)):
            for advice in (0, 1, 2, 3, 4, 5, 6, 7, -1):
                script.call("fadvise64", fd, offset, size, advice)
            script.call("readahead", fd, offset, size)
    answers(script, files)


def test_words_of_32_bits_are_cut(answers) -> None:
    script = Script()
    opened(script)
    at = script.room(16)
    for edge in EDGES:
        script.call("pread64", 3 | edge << 32, at, 4, 2)
        script.call("lseek", 3, 5, os.SEEK_SET | edge << 32)
    answers(script, files)
