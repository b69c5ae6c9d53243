"""What files are: stat, statx, access, readlink, statfs, with what of a tree has each answer. The host is right."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from ..caller import ARENA, AT_FDCWD, BAD, END, READ_ONLY, Script

AT_SYMLINK_NOFOLLOW, AT_EACCESS, AT_NO_AUTOMOUNT, AT_EMPTY_PATH = 0x100, 0x200, 0x800, 0x1000
O_PATH = 0o10000000
NAMES = (
    "file", "dir", "link", "broken", "loop", "fifo", "dir/inner", "dir/", "file/", "link/", "dir/../file", "dir//.",
    "absent", "absent/x", "file/x", "loop/x", "x" * 256, "dir/" + "y" * 255, "./" * 2045 + "file", "./" * 2050, "",
)  # fmt: skip


def tree(root: Path) -> None:
    """One of each kind, with sizes, modes and times that differ; used in a time to come: looking changes nothing."""
    (root / "dir").mkdir(mode=0o750)
    (root / "file").write_bytes(b"12345" * 1000)
    (root / "dir" / "inner").write_bytes(b"")
    (root / "dir" / "inner").chmod(0o6751)
    (root / "link").symlink_to("file")
    (root / "broken").symlink_to("nowhere")
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "fifo", 0o604)
    os.link(root / "file", root / "second")
    for number, name in enumerate(("file", "dir/inner", "dir", "link", "fifo", "broken", "loop")):
        os.utime(root / name, ns=(2 * 10**18 + number, 10**18 + 77 * number), follow_symlinks=False)
    os.utime(root, ns=(2 * 10**18, 10**18))


def own(at: int) -> list[tuple[int, int]]:
    """Of a struct stat: the inode's number and the time of the last change of the inode."""
    return [(at + 8, 8), (at + 104, 16)]


def statx_own(at: int) -> list[tuple[int, int]]:
    return [(at + 32, 8), (at + 80, 32), (at + 144, 8)]  # inode, birth and change times, the mount's number


def test_every_name_has_its_stat(answers) -> None:
    script = Script()
    at = script.room(144)
    for name in NAMES:
        text = script.text(name)
        script.call("stat", text, at, hide=own(at))
        script.call("lstat", text, at, hide=own(at))
        for flags in (0, AT_SYMLINK_NOFOLLOW, AT_NO_AUTOMOUNT, AT_EMPTY_PATH, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW):
            script.call("newfstatat", AT_FDCWD, text, at, flags, hide=own(at))
    found = {
        (call.split("(")[0], call): answer for call, answer in zip(script.calls, answers(script, tree), strict=True)
    }
    assert {answer.error for answer in found.values()} == {"", "ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG"}


def test_statx_tells_what_is_asked_for_and_refuses_what_it_does_not_know(answers) -> None:
    script = Script()
    at = script.room(256)
    for name, mask in itertools.product(NAMES[:8], (0, 1, 0x7FF, 0xFFF, 1 << 12, 1 << 31)):
        for flags in (0, AT_SYMLINK_NOFOLLOW, 0x2000, 0x4000, 0x6000):
            script.call("statx", AT_FDCWD, script.text(name), flags, mask, at, hide=statx_own(at))
    for flags in (1, 0x200, 0x8000, 1 << 31):
        script.call("statx", AT_FDCWD, script.text("file"), flags, 0x7FF, at, hide=statx_own(at))
    got = answers(script, tree)
    assert {answer.error for answer in got} == {"", "ENOENT", "ELOOP", "EINVAL"}


def test_descriptors_of_every_kind_have_their_stat(answers) -> None:
    script = Script()
    at, empty = script.room(144), script.text("")
    for name, flags in (
        ("file", os.O_RDONLY), ("dir", os.O_RDONLY), ("link", O_PATH), ("link", O_PATH | os.O_NOFOLLOW),
        ("fifo", os.O_RDONLY | os.O_NONBLOCK), ("fifo", O_PATH), ("broken", O_PATH | os.O_NOFOLLOW),
    ):  # fmt: skip
        fd = script.call("openat", AT_FDCWD, script.text(name), flags)
        script.call("fstat", fd, at, hide=own(at))
        for more in (0, AT_EMPTY_PATH):
            script.call("newfstatat", fd, empty, at, more, hide=own(at))
            script.call("newfstatat", fd, script.text("inner"), at, more, hide=own(at))
            script.call("newfstatat", fd, 0, at, more, hide=own(at))
    for fd in (-1, -100, 99, 1 << 20, 1 << 31, (1 << 32) + 3):
        script.call("fstat", fd, at, hide=own(at))
        script.call("newfstatat", fd, script.text("file"), at, 0, hide=own(at))
    got = answers(script, tree)
    assert {answer.error for answer in got} == {"", "ENOENT", "ENOTDIR", "EBADF", "EFAULT"}


def test_a_buffer_that_is_not_there_is_refused(answers) -> None:
    script = Script()
    name = script.text("file")
    for at in (*BAD, READ_ONLY, END - 143, END - 1):
        last = ARENA < at < END
        script.call("stat", name, at, hide=[(END - 135, 8), (END - 39, 16)] if last else [])
        script.call("statx", AT_FDCWD, name, 0, 0x7FF, at, hide=[(at, END - at)] if last else [])
        script.call("statfs", name, at, hide=[(at, END - at)] if last else [])
        script.call("readlink", script.text("link"), at, 4)
    for at in (*BAD, script.edge(b"no end")):
        script.call("stat", at, script.room(144))
        script.call("access", at, 0)
    got = answers(script, tree)
    assert {answer.error for answer in got} <= {"", "EFAULT"}
    assert sum(answer.error == "EFAULT" for answer in got) > 20


def test_a_link_is_read_as_far_as_the_buffer_goes(answers) -> None:
    script = Script()
    at = script.room(64)
    for name, size in itertools.product(NAMES, (4, 1, 0, 64, -1, 1 << 31)):
        script.call("readlink", script.text(name), at, size)
    fd = script.call("openat", AT_FDCWD, script.text("link"), O_PATH | os.O_NOFOLLOW)
    directory = script.call("openat", AT_FDCWD, script.text("dir"), os.O_RDONLY)
    for base, name in itertools.product((fd, directory, 0, -1), ("", "link", "inner", "../link", "/proc/self/fd/x")):
        script.call("readlinkat", base, script.text(name), at, 3)
    script.call("readlink", script.text("link"), END - 2, 2)
    script.call("readlink", script.text("link"), END - 2, 4)
    got = answers(script, tree)
    assert {"", "EINVAL", "ENOENT", "ENOTDIR", "ELOOP", "EBADF", "EFAULT", "ENAMETOOLONG"} == {
        answer.error for answer in got
    }


@pytest.mark.parametrize("call", ["access", "faccessat", "faccessat2"])
def test_access_of_every_mode_and_flag(answers, call: str) -> None:
    script = Script()
    modes = (0, 1, 2, 3, 4, 5, 6, 7, 8, -1, 1 << 32)
    for name, mode in itertools.product(NAMES, modes):
        text = script.text(name)
        if call == "access":
            script.call(call, text, mode)
        elif call == "faccessat":
            script.call(call, AT_FDCWD, text, mode)
        else:
            for flags in (0, AT_SYMLINK_NOFOLLOW, AT_EACCESS, AT_EMPTY_PATH, 1, 0x400, 1 << 31):
                script.call(call, AT_FDCWD, text, mode, flags)
    got = answers(script, tree)
    assert {"", "EINVAL", "ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG"} <= {answer.error for answer in got}


def test_a_file_system_says_of_what_kind_it_is(answers) -> None:
    script = Script()
    at = script.room(120)
    free = [(at + 24, 32), (at + 16, 8), (at + 8, 8)]  # what others do to it meanwhile
    for name in ("file", "dir", "fifo", "absent", "file/x", "loop", "", "/proc", "/proc/self", "/dev/null"):
        script.call("statfs", script.text(name), at, hide=[*free, (at + 56, 8)])
    for flags in (os.O_RDONLY, O_PATH):
        fd = script.call("openat", AT_FDCWD, script.text("file"), flags)
        script.call("fstatfs", fd, at, hide=[*free, (at + 56, 8)])
    script.call("fstatfs", -1, at)
    got = answers(script, tree)
    assert {answer.error for answer in got} == {"", "ENOENT", "ENOTDIR", "ELOOP", "EBADF"}
