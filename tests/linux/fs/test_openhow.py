"""The structure of openat2: its size, what stands beyond what is known, addresses up to the last. The host is right."""

from __future__ import annotations

import itertools
import os
import struct
from pathlib import Path

from ..caller import AT_FDCWD, BAD, END, Script

TOP = 1 << 64


def tree(root: Path) -> None:
    (root / "file").write_text("x")
    (root / "link").symlink_to("file")


def test_sizes_and_addresses(answers) -> None:
    script = Script()
    name = script.text("file")
    how = script.put(struct.pack("<QQQ", 0, 0, 0) + bytes(40))
    longer = script.put(struct.pack("<QQQQ", 0, 0, 0, 1 << 40))
    for size in (0, 8, 16, 23, 24, 25, 32, 64, 4096, 4097, 1 << 31, -1):
        script.call("openat2", AT_FDCWD, name, how, size)
        script.call("openat2", AT_FDCWD, name, longer, min(size, 32))
        for bad in (*BAD, TOP - 5, TOP - 24, TOP - 4096, END - 8, END - 24):
            script.call("openat2", AT_FDCWD, name, bad, size)
    got = answers(script, tree)
    assert {answer.error for answer in got} == {"", "EINVAL", "E2BIG", "EFAULT"}


def test_flags_modes_and_ways_of_resolving(answers) -> None:
    script = Script()
    for name, resolve in itertools.product(
        ("file", "link", "absent", "../here/file"), (0, 1, 2, 4, 8, 16, 32, 64, 1 << 40)
    ):
        how = script.put(struct.pack("<QQQ", 0, 0, resolve))
        script.call("openat2", AT_FDCWD, script.text(name), how, 24)
    for flags, mode in (
        (os.O_CREAT, 0o600),
        (0, 0o600),
        (os.O_CREAT, 0o10000),
        (1 << 40, 0),
        (3, 0),
        (os.O_PATH | 2, 0),
    ):
        how = script.put(struct.pack("<QQQ", flags, mode, 0))
        script.call("openat2", AT_FDCWD, script.text("new"), how, 24)
    got = answers(script, tree)
    assert {"", "EINVAL", "ENOENT", "ELOOP", "EXDEV"} <= {answer.error for answer in got}
