"""Descriptors: dup, dup2, dup3, close, close_range, fcntl, pipe2; every number and flag there is. The host is right."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from ..caller import AT_FDCWD, BAD, EDGES, END, READ_ONLY, Script

O_PATH, O_TMPFILE = 0o10000000, 0o20200000
F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_SETOWN, F_GETOWN, F_SETSIG, F_GETSIG = 0, 1, 2, 3, 4, 8, 9, 10, 11
F_SETOWN_EX, F_GETOWN_EX, F_GETOWNER_UIDS = 15, 16, 17
F_SETLEASE, F_GETLEASE, F_NOTIFY, F_DUPFD_QUERY, F_CREATED_QUERY, F_CANCELLK, F_DUPFD_CLOEXEC = range(1024, 1031)
F_SETPIPE_SZ, F_GETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS = 1031, 1032, 1033, 1034
F_GET_RW_HINT, F_SET_RW_HINT = 1035, 1036


def files(root: Path) -> None:
    (root / "file").write_bytes(bytes(range(256)))
    (root / "dir").mkdir()
    os.mkfifo(root / "fifo")


def opened(script: Script) -> list:
    """3 a file, 4 for reading, 5 appending, 6 by path alone, 7 a directory, 8 and 9 a pipe, 10 a FIFO, 11 /dev/null."""
    name = script.text("file")
    fds = [script.call("openat", AT_FDCWD, name, flags) for flags in (2, 0, 0o2001, O_PATH)]
    fds.append(script.call("openat", AT_FDCWD, script.text("dir"), 0))
    at = script.room(8)
    script.call("pipe2", at, os.O_NONBLOCK)
    fds.append(script.call("openat", AT_FDCWD, script.text("fifo"), os.O_RDWR | os.O_NONBLOCK))
    fds.append(script.call("openat", AT_FDCWD, script.text("/dev/null"), os.O_RDWR))
    return fds


def test_the_lowest_free_number_is_taken(answers) -> None:
    script = Script()
    opened(script)
    for close, take in ((4, "dup"), (3, "dup"), (8, "open"), (0, "dup"), (5, "pipe"), (9, "fcntl")):
        script.call("close", close)
        if take == "dup":
            script.call("dup", 7)
        elif take == "open":
            script.call("openat", AT_FDCWD, script.text("file"), 0)
        elif take == "pipe":
            script.call("pipe2", script.room(8), 0)
        else:
            script.call("fcntl", 7, F_DUPFD, 5)
    got = answers(script, files)
    assert [a.result for a in got if a.call.startswith(("dup", "fcntl"))] == [4, 3, 0, 9]


def test_dup_to_every_number(answers) -> None:
    script = Script()
    opened(script)
    numbers = (3, 4, 6, 12, 40, -1, -100, 1 << 20, 1 << 30, (1 << 31) - 1, 1 << 31, (1 << 32) + 5)
    for old, new in itertools.product((*numbers, 7, 99), numbers):
        script.call("dup2", old, new)
        for flags in (0, os.O_CLOEXEC, os.O_NONBLOCK, 1):
            script.call("dup3", old, new, flags)
            script.call("fcntl", new, F_GETFD)
    for old in (*numbers, 99):
        script.call("dup", old)
    got = answers(script, files)
    assert {answer.error for answer in got} == {"", "EBADF", "EINVAL"}


def test_close_range_closes_or_marks_what_lies_in_it(answers) -> None:
    script = Script()
    for first, last, flags in (
        (4, 6, 0), (4, 4, 4), (8, 3, 0), (0, (1 << 32) - 1, 4), (5, 1 << 32, 0), (-1, -1, 0), (3, 9, 1), (3, 9, 8),
        (7, (1 << 31) - 1, 6), (7, (1 << 31), 0), (10, 10, 2), (10, 12, 2 | 4),
    ):  # fmt: skip
        opened(script)
        script.call("close_range", first, last, flags)
        for fd in range(2, 16):
            script.call("fcntl", fd, F_GETFD)
    answers(script, files)


def test_fcntl_of_every_command_on_every_kind(answers) -> None:
    script = Script()
    opened(script)
    simple = (F_GETFD, F_GETFL, F_GETOWN, F_GETSIG, F_GETLEASE, F_GETPIPE_SZ, F_GET_SEALS, F_CREATED_QUERY)
    for fd in (*range(13), -1, 99, 1 << 32):
        for command in simple:
            script.call("fcntl", fd, command, 0)
        for argument in (0, 1, 2, -1):
            script.call("fcntl", fd, F_SETFD, argument)
            script.call("fcntl", fd, F_GETFD)
        for argument in (5, 7, 1 << 20, -1, 1 << 31):
            script.call("fcntl", fd, F_DUPFD_QUERY, argument)
        for command in (12, 18, 100, 1023, 1037, 1 << 31, -1):
            script.call("fcntl", fd, command, 0)
    got = answers(script, files)
    assert {answer.error for answer in got} == {"", "EBADF", "EINVAL"}


def test_the_flags_of_an_open_file_are_those_of_its_description(answers) -> None:
    script = Script()
    opened(script)
    for fd in (3, 4, 5, 6, 7, 8, 9, 10, 11):
        script.call("fcntl", fd, F_DUPFD, 20 + fd)
        for flags in (
            0,
            os.O_NONBLOCK,
            os.O_APPEND,
            os.O_NONBLOCK | os.O_APPEND,
            os.O_NOATIME,
            os.O_RDWR,
            os.O_CREAT,
            0o20000,
            -1,
        ):
            script.call("fcntl", fd, F_SETFL, flags)
            script.call("fcntl", fd, F_GETFL)
            script.call("fcntl", 20 + fd, F_GETFL)
    answers(script, files)


def test_duplicates_start_at_the_number_that_is_asked_for(answers) -> None:
    script = Script()
    opened(script)
    for command, least in itertools.product((F_DUPFD, F_DUPFD_CLOEXEC), (0, 3, 12, 100, 500, *EDGES)):
        if least in (255,):
            continue
        fd = script.call("fcntl", 3, command, least)
        script.call("fcntl", fd, F_GETFD)
        script.call("close", fd)
    got = answers(script, files)
    assert {answer.error for answer in got} == {"", "EBADF", "EINVAL"}


def test_owners_and_signals_of_a_description(answers) -> None:
    script = Script()
    opened(script)
    at = script.room(8)
    for fd in (3, 7, 8):
        for signal in (0, 1, 29, 64, 65, -1):
            script.call("fcntl", fd, F_SETSIG, signal)
            script.call("fcntl", fd, F_GETSIG)
        for kind, number in ((0, 0), (1, 0), (2, 0), (3, 0), (-1, 0), (1, 1 << 30)):
            where = script.put(kind.to_bytes(4, "little", signed=True) + number.to_bytes(4, "little"))
            script.call("fcntl", fd, F_SETOWN_EX, where)
            script.call("fcntl", fd, F_GETOWN_EX, at)
            script.call("fcntl", fd, F_GETOWN)
        for bad in BAD:
            script.call("fcntl", fd, F_SETOWN_EX, bad)
            script.call("fcntl", fd, F_GETOWN_EX, bad)
        script.call("fcntl", fd, F_GETOWNER_UIDS, script.room(8))
    answers(script, files)


def test_a_pipes_size_is_a_power_of_two_of_pages(answers) -> None:
    script = Script()
    opened(script)
    for fd in (8, 9, 10, 3, 11):
        for size in (0, 1, 4096, 4097, 10000, 65536, 1 << 20, (1 << 31) - 1, 1 << 31, -1):
            script.call("fcntl", fd, F_SETPIPE_SZ, size)
            script.call("fcntl", fd, F_GETPIPE_SZ)
    answers(script, files)


def test_a_pipe_is_made_whole_or_not_at_all(answers) -> None:
    script = Script()
    for flags in (0, os.O_CLOEXEC, os.O_NONBLOCK, os.O_DIRECT, os.O_APPEND, 1, 1 << 31, -1):
        for at in (script.room(8), END - 8, END - 4, READ_ONLY, *BAD):
            script.call("pipe2", at, flags)
        for fd in range(3, 8):
            script.call("fcntl", fd, F_GETFL)
            script.call("fcntl", fd, F_GETFD)
    script.call("pipe", script.room(8))
    script.call("pipe", END - 4)
    got = answers(script, files)
    assert {answer.error for answer in got} == {"", "EBADF", "EINVAL", "EFAULT"}
