"""Names made, moved, removed and changed: every call on every kind, with what stands there after. The host is right."""

from __future__ import annotations

import itertools
import os
import struct
from pathlib import Path

import pytest

from ..caller import AT_FDCWD, BAD, END, READ_ONLY, Script

AT_SYMLINK_NOFOLLOW, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH = 0x100, 0x200, 0x400, 0x1000
O_PATH = 0o10000000
NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4
UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
NAMES = (
    "file", "dir", "full", "link", "broken", "loop", "fifo", "absent", "dir/", "file/", "absent/", "file/x", "absent/x",
    "loop/x", ".", "..", "dir/.", "dir/..", "full/..", "link/", "", "x" * 256, "dir/new",
)  # fmt: skip


def tree(root: Path) -> None:
    (root / "dir").mkdir()
    (root / "full").mkdir()
    (root / "full" / "inner").write_text("inner")
    (root / "file").write_text("file")
    (root / "link").symlink_to("file")
    (root / "broken").symlink_to("nowhere")
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "fifo")


def shown(script: Script) -> None:
    """What is there now: kind, mode, links, owner and size of each name."""
    at = script.room(144)
    for name in ("file", "dir", "full", "link", "broken", "fifo", "absent", "dir/new", "full/inner", "nowhere"):
        hide = [(at, 16), (at + 48, 96)] if name != "file" else [(at, 16), (at + 56, 88)]
        script.call("lstat", script.text(name), at, hide=hide)


@pytest.mark.parametrize("name", NAMES)
def test_one_name_made_removed_and_changed(answers, name: str) -> None:
    script = Script()
    text = script.text(name)
    for call, words in (
        ("mkdir", (0o7777,)), ("mkdirat", ()), ("rmdir", ()), ("unlink", ()), ("symlink", (script.text("a"),)),
        ("mknod", (0o010644, 0)), ("mknod", (0o100644, 0)), ("mknod", (0o640, 0)), ("mknod", (0o040755, 0)),
        ("mknod", (0o120777, 0)), ("mknod", (0o170000, 0)), ("unlink", ()), ("truncate", (3,)), ("chmod", (0o6751,)),
        ("chown", (-1, -1)), ("lchown", (-1, -1)), ("chdir", ()),
    ):  # fmt: skip
        if call == "mkdirat":
            script.call(call, AT_FDCWD, text, 0o700)
        elif call == "symlink":
            script.call(call, words[0], text)
        else:
            script.call(call, text, *words)
        shown(script)
        script.call("chdir", script.text("."))
    answers(script, tree)


@pytest.mark.parametrize("call", ["rename", "link", "symlink"])
def test_two_names(answers, call: str) -> None:
    """Each pair in the tree as the pairs before it left it."""
    script = Script()
    for one, two in itertools.product(NAMES, NAMES[:14] + NAMES[-3:]):
        if call == "symlink" and len(one) > 100:
            continue
        script.call(call, script.text(one), script.text(two))
    shown(script)
    got = answers(script, tree)
    assert {"ENOENT", "ENOTDIR", "ENAMETOOLONG"} <= {answer.error for answer in got}


@pytest.mark.parametrize("flags", [0, NOREPLACE, EXCHANGE, NOREPLACE | EXCHANGE, WHITEOUT | EXCHANGE, 8, -1])
def test_renameat2_with_every_flag(answers, flags: int) -> None:
    script = Script()
    names = ("file", "dir", "full", "link", "absent", "full/inner", "dir/inner", "full/inner/x", ".", "fifo")
    for one, two in itertools.product(names, names):
        script.call("renameat2", AT_FDCWD, script.text(one), AT_FDCWD, script.text(two), flags)
    shown(script)
    answers(script, tree)


def test_links_and_removals_by_descriptor_and_flag(answers) -> None:
    script = Script()
    for name, flags in (("dir", 0), ("full", O_PATH), ("file", 0), ("link", O_PATH | os.O_NOFOLLOW), ("file", O_PATH)):
        script.call("openat", AT_FDCWD, script.text(name), flags)
    for base, name in itertools.product((3, 4, 5, 6, 7, -1, 99), ("", "inner", "new", "../link")):
        for flags in (0, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH, AT_EMPTY_PATH | AT_SYMLINK_FOLLOW, 1, AT_SYMLINK_NOFOLLOW):
            script.call("linkat", base, script.text(name), 3, script.text(f"to{flags}"), flags)
            script.call("unlinkat", 3, script.text(f"to{flags}"), 0)
        for flags in (0, AT_REMOVEDIR, 1, AT_EMPTY_PATH):
            script.call("unlinkat", base, script.text(name), flags)
        script.call("symlinkat", script.text("somewhere"), base, script.text(name))
        script.call("mknodat", base, script.text(name), 0o010600, 0)
    for name in ("dir", "full", "file", "link", "absent", "dir/.", "dir/..", ""):
        script.call("unlinkat", AT_FDCWD, script.text(name), AT_REMOVEDIR)
    shown(script)
    answers(script, tree)


def test_modes_and_owners(answers) -> None:
    script = Script()
    for name, flags in (("file", os.O_RDONLY), ("dir", 0), ("file", O_PATH), ("link", O_PATH | os.O_NOFOLLOW)):
        script.call("openat", AT_FDCWD, script.text(name), flags)
    for mode in (0, 0o777, 0o7777, 0o4755, 0o2755, 0o1777, 0o10644, -1, 1 << 31):
        for fd in (3, 4, 5, 6, -1, 99):
            script.call("fchmod", fd, mode)
        for name in ("file", "link", "broken", ""):
            script.call("fchmodat", AT_FDCWD, script.text(name), mode)
            for flags in (0, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, 1):
                script.call("fchmodat2", AT_FDCWD, script.text(name), mode, flags)
        for fd, flags in itertools.product((3, 5, 6), (0, AT_EMPTY_PATH)):
            script.call("fchmodat2", fd, script.text(""), mode, flags)
        shown(script)
    for fd in (3, 4, 5, 6, -1, 99):
        script.call("fchown", fd, -1, -1)
        for flags in (0, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, 1):
            script.call("fchownat", fd, script.text(""), -1, -1, flags)
            script.call("fchownat", AT_FDCWD, script.text("link"), -1, -1, flags)
    answers(script, tree)


def test_times_of_every_kind(answers) -> None:
    script = Script()
    at = script.room(144)
    for name, flags in (("file", os.O_RDONLY), ("dir", 0), ("file", O_PATH), ("link", O_PATH | os.O_NOFOLLOW)):
        script.call("openat", AT_FDCWD, script.text(name), flags)
    moments = [(5, 7), (10**9, 10**9 - 1), (-5, 0), (0, 10**9), (0, -1), (7, UTIME_OMIT), (1 << 40, 3), (5, 1 << 40)]
    for first, second in itertools.product(moments, repeat=2):
        times = script.put(struct.pack("<4q", *first, *second))
        for flags in (0, AT_SYMLINK_NOFOLLOW):
            script.call("utimensat", AT_FDCWD, script.text("link"), times, flags)
        for name, used in (("file", []), ("link", [(at + 72, 16)])):  # a link that was followed was used
            script.call("lstat", script.text(name), at, hide=[(at, 16), (at + 64, 8), (at + 104, 16), *used])
    omit = script.put(struct.pack("<4q", 0, UTIME_OMIT, 0, UTIME_OMIT))
    for fd, name in itertools.product((3, 4, 5, 6, AT_FDCWD, -1, 99), ("", "file", "absent", "file/x", None)):
        for flags in (0, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, 1):
            text = 0 if name is None else script.text(name)
            for times in (omit, 0, *BAD):
                script.call("utimensat", fd, text, times, flags)
    got = answers(script, tree)
    assert {"", "EINVAL", "EFAULT", "EBADF", "ENOENT", "ENOTDIR"} <= {answer.error for answer in got}


def test_the_directory_that_one_is_in(answers) -> None:
    script = Script()
    where = script.room(64)
    for name, flags in (("dir", 0), ("dir", O_PATH), ("file", 0), ("link", O_PATH | os.O_NOFOLLOW)):
        script.call("openat", AT_FDCWD, script.text(name), flags)
    for fd in (5, 6, -1, 99, AT_FDCWD):
        script.call("fchdir", fd)
    for name in ("file", "link", "broken", "loop", "absent", "", "x" * 256, "file/x"):
        script.call("chdir", script.text(name))
    script.call("chdir", script.text("/"))
    for size in (0, 1, 2, 3, 64, -1):
        script.call("getcwd", where, size)
    for at in (*BAD, READ_ONLY, END - 1):
        script.call("getcwd", at, 10)
    script.call("fchdir", 3)
    script.call("rmdir", script.text("../dir"))
    script.call("getcwd", where, 64)
    script.call("openat", AT_FDCWD, script.text("new"), os.O_CREAT | os.O_WRONLY, 0o600)
    script.call("mkdir", script.text("new"), 0o700)
    script.call("chdir", script.text(".."))
    script.call("fchdir", 4)
    for mask in (0o22, 0o777, 0o7777, -1, 1 << 31):
        script.call("umask", mask)
    script.call("umask", 0o27)
    got = answers(script, tree)
    assert [answer.result for answer in got[-2:]] == [0o777, 0] or got[-1].result == 0


def test_names_that_cannot_be_read(answers) -> None:
    script = Script()
    unfinished = script.edge(b"no end")
    good = script.text("file")
    for bad in (*BAD, unfinished):
        for call in ("mkdir", "rmdir", "unlink", "chdir", "chmod", "chown", "lchown", "truncate", "mknod"):
            script.call(call, bad, 0)
        for call in ("rename", "link", "symlink"):
            script.call(call, bad, good)
            script.call(call, good, bad)
    got = answers(script, tree)
    assert {answer.error for answer in got} == {"EFAULT"}
