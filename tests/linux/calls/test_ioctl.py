"""ioctl of every command that is known here, on every kind of file that is no terminal. The host is right."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from ..caller import AT_FDCWD, BAD, READ_ONLY, Script

FIOCLEX, FIONCLEX, FIONBIO, FIOASYNC, FIONREAD, FIGETBSZ, FIOQSIZE = 0x5451, 0x5450, 0x5421, 0x5452, 0x541B, 2, 0x5460
TERMINAL = (0x5401, 0x5402, 0x5403, 0x5404, 0x540B, 0x540F, 0x5410, 0x5411, 0x5413, 0x5414, 0x5409, 0x5429, 0x5430)
GETFLAGS, GETVERSION = 0x8008_6601, 0x8008_7601


def files(root: Path) -> None:
    (root / "file").write_text("some text")
    (root / "dir").mkdir()
    os.mkfifo(root / "fifo")


def opened(script: Script) -> None:
    """3 a file, 4 a directory, 5 and 6 a pipe with data, 7 /dev/null, 8 a place alone, 9 a FIFO, 10 /dev/zero."""
    script.call("openat", AT_FDCWD, script.text("file"), os.O_RDWR)
    script.call("openat", AT_FDCWD, script.text("dir"), 0)
    script.call("pipe2", script.room(8), 0)
    script.call("write", 6, script.text("data"), 4)
    script.call("openat", AT_FDCWD, script.text("/dev/null"), os.O_RDWR)
    script.call("openat", AT_FDCWD, script.text("file"), os.O_PATH)
    script.call("openat", AT_FDCWD, script.text("fifo"), os.O_RDWR)
    script.call("openat", AT_FDCWD, script.text("/dev/zero"), os.O_RDWR)


ALL = (*range(3, 11), 99, -1)


def test_what_every_file_knows(answers) -> None:
    script = Script()
    opened(script)
    at = script.room(16)
    for fd in ALL:
        for command in (FIONCLEX, FIOCLEX):
            script.call("ioctl", fd, command, 0)
            script.call("fcntl", fd, 1)
        for value in (1, 0, 256):
            script.call("ioctl", fd, FIONBIO, script.put(value.to_bytes(4, "little")))
            script.call("fcntl", fd, 3)
        for command in (FIONREAD, FIGETBSZ):
            script.call("ioctl", fd, command, at)
    answers(script, files)


def test_a_signal_for_data_is_for_what_can_have_some(answers) -> None:
    script = Script()
    opened(script)
    for fd, value in itertools.product(ALL, (1, 0)):
        script.call("ioctl", fd, FIOASYNC, script.put(value.to_bytes(4, "little")))
        script.call("fcntl", fd, 3)
    got = answers(script, files)
    assert {answer.error for answer in got} == {"", "ENOTTY", "EBADF"}


def test_commands_of_terminals_and_of_nobody(answers) -> None:
    script = Script()
    opened(script)
    at = script.room(64)
    for fd, command in itertools.product(ALL, (*TERMINAL, 0, 0x1234, 0xFFFF_FFFF, 0x5428)):
        script.call("ioctl", fd, command, at)
    got = answers(script, files)
    assert {answer.error for answer in got[9:]} == {"ENOTTY", "EBADF"}


def test_memory_that_is_not_there(answers) -> None:
    script = Script()
    opened(script)
    for fd, bad in itertools.product((3, 4, 5, 9), (*BAD, READ_ONLY)):
        script.call("ioctl", fd, FIONREAD, bad)
        script.call("ioctl", fd, FIONBIO, bad)
    for bad in (*BAD, READ_ONLY):
        script.call("ioctl", 3, FIGETBSZ, bad)
        script.call("ioctl", 3, GETFLAGS, bad)
    answers(script, files)
