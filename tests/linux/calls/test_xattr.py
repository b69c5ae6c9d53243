"""Extended attributes: names, values, sizes and flags, by name, by link and by descriptor. The host is right."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from ..caller import AT_FDCWD, BAD, END, READ_ONLY, Script

O_PATH = 0o10000000
XATTR_CREATE, XATTR_REPLACE = 1, 2
NAMES = (
    "user.one",
    "user.two",
    "user.",
    "user",
    "",
    "trusted.x",
    "strange.x",
    "user." + "n" * 250,
    "user." + "n" * 251,
)


def tree(root: Path) -> None:
    (root / "file").write_text("x")
    (root / "dir").mkdir()
    (root / "link").symlink_to("file")
    (root / "broken").symlink_to("nowhere")
    os.mkfifo(root / "fifo")


def test_values_are_set_read_listed_and_removed(answers) -> None:
    script = Script()
    value, room = script.put(b"a value of some length"), script.room(64)
    for target in ("file", "dir", "link", "broken", "fifo", "absent", "file/x"):
        path = script.text(target)
        for name, flags in itertools.product(NAMES, (0, XATTR_CREATE, XATTR_REPLACE, 3, 4)):
            for call in ("setxattr", "lsetxattr"):
                script.call(call, path, script.text(name), value, 22, flags)
        for name, size in itertools.product(NAMES, (0, 64, 22, 21, 1)):
            script.call("getxattr", path, script.text(name), room, size)
            script.call("lgetxattr", path, script.text(name), room, size)
        for size in (0, 8, 64):
            script.call("listxattr", path, room, size)
            script.call("llistxattr", path, room, size)
        for name in NAMES:
            script.call("removexattr", path, script.text(name))
            script.call("lremovexattr", path, script.text(name))
    got = answers(script, tree)
    assert {"", "EEXIST", "ENODATA", "EINVAL", "ERANGE", "EOPNOTSUPP", "ENOENT", "ENOTDIR", "EPERM"} <= {
        "EOPNOTSUPP" if answer.error == "ENOTSUP" else answer.error for answer in got
    }


def test_by_descriptor(answers) -> None:
    script = Script()
    value, room, name = script.put(b"value"), script.room(64), script.text("user.d")
    for target, flags in (("file", os.O_RDONLY), ("file", os.O_WRONLY), ("file", O_PATH), ("dir", 0)):
        script.call("openat", AT_FDCWD, script.text(target), flags)
    for fd in (3, 4, 5, 6, -1, 99):
        script.call("fsetxattr", fd, name, value, 5, 0)
        script.call("fgetxattr", fd, name, room, 64)
        script.call("flistxattr", fd, room, 64)
        script.call("fremovexattr", fd, name)
    got = answers(script, tree)
    assert {answer.error for answer in got} == {"", "EBADF"}


def test_memory_that_is_not_there(answers) -> None:
    script = Script()
    value, room, name, path = script.put(b"value"), script.room(64), script.text("user.d"), script.text("file")
    script.call("setxattr", path, name, value, 5, 0)
    for bad in (*BAD, script.edge(b"user.none"), END - 2):
        script.call("getxattr", bad, name, room, 64)
        script.call("getxattr", path, bad, room, 64)
        script.call("setxattr", path, bad, value, 5, 0)
        script.call("setxattr", path, name, bad, 10, 0)
        script.call("setxattr", path, name, bad, 0, 0)
        script.call("removexattr", path, bad)
    for bad in (*BAD, READ_ONLY, END - 2):
        script.call("getxattr", path, name, bad, 64)
        script.call("listxattr", path, bad, 64)
    for size in (65536, 65537, 1 << 31, -1):
        script.call("setxattr", path, name, value, size, 0)
        script.call("getxattr", path, name, room, size)
        script.call("listxattr", path, room, size)
    answers(script, tree)
