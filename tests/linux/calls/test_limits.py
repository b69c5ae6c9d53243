"""Resource limits: each of them read, set, refused, by each of the calls. The host is right."""

from __future__ import annotations

import itertools
import struct

from ..caller import BAD, END, READ_ONLY, Script

INFINITY = (1 << 64) - 1
CORE, NPROC, NOFILE, FSIZE, NICE, STACK = 4, 6, 7, 1, 13, 3


def test_every_limit_can_be_read_by_both_calls(answers) -> None:
    script = Script()
    at = script.room(16)
    for number in (*range(18), -1, 1 << 31, 1 << 32):
        hide = [(at, 16)] if number == CORE else []  # there are no core files here
        script.call("getrlimit", number, at, hide=hide)
        script.call("prlimit64", 0, number, 0, at, hide=hide)
        script.call("prlimit64", 0, number, 0, 0)
    got = answers(script)
    assert {answer.error for answer in got} == {"", "EINVAL"}


def test_limits_are_lowered_and_read_back(answers) -> None:
    script = Script()
    at = script.room(16)
    for number, (soft, hard) in itertools.product(
        (NPROC, NOFILE, 8, 10, 11, 12, 15), ((100, 200), (200, 100), (50, 50), (0, 10), (11, 10), (INFINITY, 10))
    ):
        if number == NPROC and soft < 50:
            continue
        script.call("setrlimit", number, script.put(struct.pack("<QQ", soft, hard)))
        script.call("getrlimit", number, at)
        script.call("prlimit64", 0, number, script.put(struct.pack("<QQ", soft // 2, hard)), at)
        script.call("prlimit64", 0, number, 0, at)
    got = answers(script)
    assert {answer.error for answer in got} >= {"", "EINVAL"}


def test_memory_that_is_not_there(answers) -> None:
    script = Script()
    good = script.put(struct.pack("<QQ", 1000, 1000))
    for bad in (*BAD, END - 8):
        script.call("setrlimit", FSIZE, bad)
        script.call("prlimit64", 0, FSIZE, bad, 0)
    for bad in (*BAD, READ_ONLY):
        script.call("getrlimit", FSIZE, bad)
        script.call("prlimit64", 0, FSIZE, good, bad)
    script.call("getrlimit", FSIZE, script.room(16))
    for number in (99, -1):
        script.call("setrlimit", number, BAD[0])
        script.call("getrlimit", number, BAD[0])
        script.call("prlimit64", 0, number, BAD[0], BAD[0])
    got = answers(script)
    assert {answer.error for answer in got} == {"", "EFAULT", "EINVAL"}
