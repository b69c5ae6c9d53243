"""What a program is told of the machine and its use of it: forms, refusals and bytes of each structure."""

from __future__ import annotations

from ..caller import BAD, END, READ_ONLY, Script


def test_uname_is_the_hosts(answers) -> None:
    script = Script()
    script.call("uname", script.room(390))
    for bad in (*BAD, READ_ONLY, END - 100):
        script.call("uname", bad)
    got = answers(script)
    assert got[0].result == 0
    assert "4c 69 6e 75 78" in got[0].data


def test_random_bytes(answers) -> None:
    script = Script()
    room = script.room(64)
    for flags in (0, 1, 2, 3, 4, 5, 6, 7, 8, -1):
        for size in (0, 1, 64):
            script.call("getrandom", room, size, flags, hide=[(room, 64)])
    for bad in (*BAD, READ_ONLY):
        for size in (0, 1, 1 << 40, -1):
            script.call("getrandom", bad, size, 0)
    script.call("getrandom", END - 10, 20, 0, hide=[(END - 10, 10)])
    got = answers(script)
    assert {answer.error for answer in got} == {"", "EINVAL", "EFAULT"}


def test_use_of_the_machine(answers) -> None:
    script = Script()
    room = script.room(144)
    for who in (0, 1, -1, 2, -2, 1 << 31):
        script.call("getrusage", who, room, hide=[(room, 144)])
        for bad in (*BAD, READ_ONLY):
            script.call("getrusage", who, bad)
    for bad in (*BAD, READ_ONLY):
        script.call("sysinfo", bad)
    info = script.room(112)
    numbers = [(info, 80), (info + 80, 2), (info + 88, 16)]  # uptime, loads, memory and processes, which differ
    script.call("sysinfo", info, hide=numbers)
    for bad in BAD:
        if bad:
            script.call("times", bad)
    got = answers(script)
    assert {answer.error for answer in got} == {"", "EINVAL", "EFAULT"}
