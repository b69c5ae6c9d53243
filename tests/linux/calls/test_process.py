"""What a process is told of itself and may set: identities, groups, capabilities, scheduling. The host is right.

Not compared: numbers of processes, which are the host's own for each side.
"""

from __future__ import annotations

import itertools
import struct

from ..caller import BAD, END, READ_ONLY, Script

NOBODY = 1 << 30
CAPABILITIES = 0x2008_0522
"""_LINUX_CAPABILITY_VERSION_3"""


def test_ids_are_read_alike(answers) -> None:
    script = Script()
    at = [script.room(4) for _ in range(3)]
    for call in ("getuid", "geteuid", "getgid", "getegid"):
        script.call(call)
    for call in ("getresuid", "getresgid"):
        script.call(call, *at)
        for which, bad in itertools.product(range(3), (*BAD, READ_ONLY)):
            script.call(call, *[bad if n == which else at[n] for n in range(3)])
    got = answers(script)
    assert [answer.error for answer in got].count("EFAULT") == 2 * 3 * (len(BAD) + 1)


def test_ids_that_stay_as_they_are(answers) -> None:
    script = Script()
    uid, gid = script.call("getuid"), script.call("getgid")
    for call, own in (("setuid", uid), ("setgid", gid)):
        script.call(call, own)
        script.call(call, -1)
    for call, own in (("setreuid", uid), ("setregid", gid)):
        for words in itertools.product((own, -1), repeat=2):
            script.call(call, *words)
    for call, own in (("setresuid", uid), ("setresgid", gid)):
        for words in itertools.product((own, -1), repeat=3):
            script.call(call, *words)
    for call, own in (("setfsuid", uid), ("setfsgid", gid)):
        for word in (own, -1, own):
            script.call(call, word)
    got = answers(script)
    assert {answer.error for answer in got} == {"", "EINVAL"}


def test_supplementary_groups(answers) -> None:
    script = Script()
    room = script.room(256)
    for size, at in itertools.product((0, 1, 64, -1, 1 << 31), (room, 0, READ_ONLY, END - 2)):
        if size == 0 or at == room or size < 0:
            script.call("getgroups", size, at)
    got = answers(script)
    assert "EINVAL" in {answer.error for answer in got}


def test_processes_that_there_are_not(answers) -> None:
    script = Script()
    room = script.room(128)
    for pid in (NOBODY, -1, -2, (1 << 31) - 1, 1 << 31):
        for call in ("getpgid", "getsid", "sched_getscheduler"):
            script.call(call, pid)
        script.call("sched_getparam", pid, room)
        script.call("sched_getaffinity", pid, 128, room)
        script.call("getpriority", 0, pid)
        script.call("get_robust_list", pid, room, room + 8)
        if pid == NOBODY:
            for signal in (0, 9, 65, -1):
                script.call("kill", pid, signal)
                script.call("tkill", pid, signal)
                script.call("tgkill", pid, pid, signal)
            script.call("prlimit64", pid, 0, 0, room)
    for which in (3, -1, 1 << 31):
        script.call("getpriority", which, 0)
    got = answers(script)
    assert {answer.error for answer in got} == {"ESRCH", "EINVAL"}


def test_the_process_by_its_number_and_by_0_is_the_same(answers) -> None:
    script = Script()
    pid = script.call("getpid")
    tid = script.call("gettid")
    script.calls[0] = script.calls[1] = "own number"
    room = script.room(128)
    for own in (0, pid, tid):
        script.call("sched_getscheduler", own)
        script.call("sched_getparam", own, room)
        script.call("getpriority", 0, own)
        script.call("kill", pid, 0)
        script.call("tkill", tid, 0)
        script.call("tgkill", pid, tid, 0)
        script.call("prlimit64", own, 7, 0, room)
    for call in ("sched_get_priority_min", "sched_get_priority_max"):
        for policy in (0, 1, 2, 3, 4, 5, 6, 7, -1, 1 << 31):
            script.call(call, policy)
    script.call("sched_yield")
    answers(script, same=lambda answer: answer.call != "own number")


def test_capabilities(answers) -> None:
    script = Script()
    for version, pid in itertools.product((CAPABILITIES, 0x1998_0330, 0x2007_1026, 0, 1, -1), (0, -1, NOBODY)):
        head = script.put(struct.pack("<Ii", version % (1 << 32), pid))
        script.call("capget", head, 0)
        if pid:  # the program on the host has some
            script.call("capget", head, script.room(24))
    for bad in (*BAD, END - 4):
        script.call("capget", bad, script.room(24))
    head = script.put(struct.pack("<Ii", CAPABILITIES, 0))
    for bad in (READ_ONLY, NOBODY):
        script.call("capget", head, bad)
    got = answers(script)
    assert {answer.error for answer in got} == {"", "EINVAL", "EFAULT", "ESRCH"}


def test_pointers_that_are_kept_for_threads(answers) -> None:
    script = Script()
    head, room = script.put(bytes(24)), script.room(16)
    script.call("set_robust_list", head, 24)
    script.call("get_robust_list", 0, room, room + 8)
    for size in (0, 8, 23, 25, 1 << 32 | 24):
        script.call("set_robust_list", head, size)
    script.call("set_robust_list", 1, 24)
    script.call("get_robust_list", 0, room, room + 8)
    for one, two in itertools.product((room, *BAD[:3], READ_ONLY), (room + 8, *BAD[:3], READ_ONLY)):
        script.call("get_robust_list", 0, one, two)
    answers(script)


def test_children_that_there_are_not(answers) -> None:
    script = Script()
    room = script.room(256)
    for pid, options in itertools.product(
        (-1, 0, NOBODY, -NOBODY, 1 << 31), (0, 1, 2, 8, 16, 0x40000000, 0x80000000, -1)
    ):
        script.call("wait4", pid, room, options, 0)
    for kind, options in itertools.product((0, 1, 2, 3, 4, -1), (0, 1, 4, 5, 0x01000004, 16, -1)):
        script.call("waitid", kind, NOBODY, room, options, 0)
    got = answers(script)
    assert {"ECHILD", "EINVAL"} <= {answer.error for answer in got}


def test_where_it_may_run(answers) -> None:
    script = Script()
    room = script.room(128)
    for size in (0, 1, 4, 7, 12, 1 << 31):
        script.call("sched_getaffinity", 0, size, room)
    for bad in (*BAD, READ_ONLY):
        script.call("sched_getaffinity", 0, 128, bad)
    script.call("sched_setaffinity", 0, 8, script.put(bytes(8)))
    script.call("sched_setaffinity", 0, 0, room)
    for bad in BAD:
        script.call("sched_setaffinity", 0, 8, bad)
    got = answers(script)
    assert {answer.error for answer in got} == {"EINVAL", "EFAULT"}
