"""poll, ppoll, select and pselect6 that end at once: every kind of descriptor and event. The host is right."""

from __future__ import annotations

import itertools
import os
import struct
from pathlib import Path

from ..caller import AT_FDCWD, BAD, END, READ_ONLY, Script

EVENTS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 0x2000, 0x7FFF)


def files(root: Path) -> None:
    (root / "file").write_text("x")
    (root / "dir").mkdir()
    os.mkfifo(root / "fifo")


def opened(script: Script) -> None:
    """3 a file, 4 a directory, 5 and 6 an empty pipe, 7 and 8 one with data, 9 /dev/null, 10 a place alone, 11 a pipe
    that nobody writes, 12 one that nobody reads, 13 a FIFO."""
    script.call("openat", AT_FDCWD, script.text("file"), os.O_RDWR)
    script.call("openat", AT_FDCWD, script.text("dir"), 0)
    script.call("pipe2", script.room(8), 0)
    script.call("pipe2", script.room(8), 0)
    script.call("write", 8, script.text("data"), 4)
    script.call("openat", AT_FDCWD, script.text("/dev/null"), os.O_RDWR)
    script.call("openat", AT_FDCWD, script.text("file"), os.O_PATH)
    script.call("pipe2", script.room(8), 0)
    script.call("close", 12)
    script.call("pipe2", script.room(8), 0)
    script.call("fcntl", 13, 1030, 20)
    script.call("close", 12)
    script.call("dup2", 13, 12)
    script.call("close", 13)
    script.call("close", 20)
    script.call("openat", AT_FDCWD, script.text("fifo"), os.O_RDWR)


def test_every_event_of_every_kind(answers) -> None:
    script = Script()
    opened(script)
    now = script.put(bytes(16))
    for fd, events in itertools.product((*range(3, 14), 99, -1, -5), EVENTS):
        script.call("poll", script.put(struct.pack("<ihH", fd, events, 0xFFFF)), 1, 0)
        script.call("ppoll", script.put(struct.pack("<ihH", fd, events, 0xFFFF)), 1, now, 0, 8)
    got = answers(script, files)
    assert {answer.result for answer in got[14:]} >= {0, 1}


def test_many_at_once_and_sets(answers) -> None:
    script = Script()
    opened(script)
    everything = script.put(b"".join(struct.pack("<ihh", fd, 0x7F, 0) for fd in (*range(3, 14), -1, 99)))
    for count in (0, 1, 5, 11, 12, 13):
        script.call("poll", everything, count, 0)
    zero = script.put(bytes(16))
    for low, high in ((0, 14), (3, 4), (5, 6), (5, 9), (11, 13), (3, 64), (0, 3), (13, 14)):
        bits = sum(1 << fd for fd in range(low, min(high, 14)) if fd != 10)
        for count in (high, low, 0, 64, 1024):
            sets = [script.put(struct.pack("<16Q", bits, *[0] * 15)) for _ in range(3)]
            script.call("select", count, *sets, zero)
            sets = [script.put(struct.pack("<16Q", bits, *[0] * 15)) for _ in range(3)]
            script.call("pselect6", count, *sets, zero, 0)
    script.call("select", 64, script.put(struct.pack("<Q", 1 << 40)), 0, 0, zero)
    for place in range(3):  # what is open as a mere place is ready for everything
        sets = [0, 0, 0]
        sets[place] = script.put(struct.pack("<Q", 1 << 10))
        script.call("select", 11, *sets, zero)
    got = answers(script, files)
    assert "EBADF" in {answer.error for answer in got}


def test_arguments_without_sense(answers) -> None:
    script = Script()
    opened(script)
    one, zero = script.put(struct.pack("<ihh", 3, 1, 0)), script.put(bytes(16))
    for bad in (*BAD, READ_ONLY, END - 4):
        script.call("poll", bad, 1, 0)
        if bad:
            script.call("ppoll", one, 1, bad, 0, 8)
        script.call("ppoll", one, 1, zero, bad, 8)
        script.call("select", 4, bad, 0, 0, zero)
        script.call("pselect6", 4, 0, 0, 0, zero, bad)
    for count in (-1, 1 << 31, (1 << 20) + 1):
        script.call("poll", one, count, 0)
        script.call("select", count, 0, 0, 0, zero)
    mask = script.put(bytes(8))
    for size in (0, 4, 9):
        script.call("ppoll", one, 1, zero, mask, size)
    for seconds, nanos in ((-1, 0), (0, -1), (0, 10**9)):
        script.call("ppoll", one, 1, script.put(struct.pack("<qq", seconds, nanos)), 0, 8)
        script.call("pselect6", 0, 0, 0, 0, script.put(struct.pack("<qq", seconds, nanos)), 0)
        if nanos < 10**9:  # microseconds, which may be more than a second
            script.call("select", 0, 0, 0, 0, script.put(struct.pack("<qq", seconds, nanos)))
    got = answers(script, files)
    assert {"", "EINVAL", "EFAULT"} <= {answer.error for answer in got}


def test_timeouts_that_are_to_stay_as_they_are(answers) -> None:
    script = Script()
    script.call("personality", 0x400_0000)  # STICKY_TIMEOUTS
    times = [script.put(struct.pack("<qq", 0, 1000)) for _ in range(3)]
    script.call("select", 0, 0, 0, 0, times[0])
    script.call("pselect6", 0, 0, 0, 0, times[1], 0)
    script.call("ppoll", 0, 0, times[2], 0, 8)
    script.call("personality", 0)
    script.call("select", 0, 0, 0, 0, times[0])
    answers(script)
