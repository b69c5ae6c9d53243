"""Clocks and sleeps: every clock there is or is not, times without sense, sleeps of no length. The host is right."""

from __future__ import annotations

import itertools
import struct

from ..caller import BAD, END, READ_ONLY, Script

CLOCKS = (*range(13), 16, 100, -1, -2, -6, -7, 1 << 31, (1 << 31) - 1)
MOMENTS = ((0, 0), (0, 1), (-1, 0), (0, -1), (0, 10**9), (-(1 << 62), 5))


def test_which_clocks_there_are(answers) -> None:
    script = Script()
    at = script.room(16)
    for clock in CLOCKS:
        script.call("clock_gettime", clock, at, hide=[(at, 16)])
        script.call("clock_getres", clock, at, hide=[(at, 16)] if clock in (5, 6) else [])
        script.call("clock_getres", clock, 0)
        for bad in (*BAD[2:], READ_ONLY):
            script.call("clock_gettime", clock, bad)
            script.call("clock_getres", clock, bad)
    got = answers(script)
    assert {answer.error for answer in got} == {"", "EINVAL", "EFAULT"}


def test_sleeps_without_sense_and_without_length(answers) -> None:
    script = Script()
    left = script.room(16)
    for seconds, nanos in MOMENTS:
        at = script.put(struct.pack("<qq", seconds, nanos))
        script.call("nanosleep", at, left)
        for clock, flags in itertools.product((0, 1, 2, 3, 4, 7, 11, 100, -1), (0, 1, 2)):
            if clock == 2 and (seconds, nanos) in MOMENTS[:2]:
                continue  # it would wait for its own CPU time
            script.call("clock_nanosleep", clock, flags, at, left)
    for bad in (*BAD, END - 8):
        script.call("nanosleep", bad, 0)
        script.call("clock_nanosleep", 1, 0, bad, 0)
        script.call("clock_nanosleep", 99, 0, bad, 0)
    got = answers(script)
    assert {"", "EINVAL", "EFAULT"} <= {answer.error for answer in got}


def test_time_of_day(answers) -> None:
    script = Script()
    at, zone = script.room(16), script.room(8)
    script.call("gettimeofday", at, zone, hide=[(at, 16)])
    script.call("gettimeofday", 0, zone)
    script.call("gettimeofday", 0, 0)
    for bad in (*BAD[2:], READ_ONLY):
        script.call("gettimeofday", bad, 0)
        script.call("gettimeofday", 0, bad)
        script.call("time", bad)
    got = answers(script)
    assert {answer.error for answer in got} == {"", "EFAULT"}
