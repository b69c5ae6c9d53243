"""Calls about signals: masks, actions, stacks, timers; every number, size and bad pointer. The host is right.

What signals do is tested in `tests/linux/signals`.
"""

from __future__ import annotations

import itertools
import struct

from ..caller import BAD, END, READ_ONLY, Script

NUMBERS = (1, 2, 9, 10, 15, 17, 19, 31, 32, 33, 34, 64, 0, 65, -1, 1 << 31)
SA_RESTORER = 0x0400_0000
SS_DISABLE, SS_AUTODISARM = 2, 1 << 31
BLOCK, UNBLOCK, SETMASK = 0, 1, 2


def test_masks_of_every_how_and_size(answers) -> None:
    script = Script()
    old = script.room(8)
    for how, mask in itertools.product((BLOCK, UNBLOCK, SETMASK, 3, -1), (0, 1, 0x8000, 1 << 8, 1 << 18, 1 << 63, -1)):
        script.call("rt_sigprocmask", how, script.put(struct.pack("<Q", mask % (1 << 64))), old, 8)
        script.call("rt_sigprocmask", how, 0, old, 8)
    for size in (0, 4, 7, 9, 16, 128, -1, 1 << 32 | 8):
        script.call("rt_sigprocmask", BLOCK, 0, old, size)
    for bad in (*BAD, END - 4):
        script.call("rt_sigprocmask", BLOCK, bad, 0, 8)
        script.call("rt_sigprocmask", 99, bad, 0, 8)
        script.call("rt_sigpending", bad, 8)
    for bad in (*BAD, READ_ONLY):
        script.call("rt_sigprocmask", UNBLOCK, script.put(struct.pack("<Q", 1)), bad, 8)
        script.call("rt_sigprocmask", BLOCK, 0, old, 8)
    for size in (8, 4, 0, 9, 16):
        script.call("rt_sigpending", old, size)
    got = answers(script)
    assert {answer.error for answer in got} == {"", "EINVAL", "EFAULT"}


def test_actions_are_read_back(answers) -> None:
    script = Script()
    old = script.room(32)
    for number, handler in itertools.product(NUMBERS, (0, 1, 0x1234, 1 << 63)):
        for flags, mask in ((0, 0), (SA_RESTORER | 4, -1), (0xFFFF_FFFF, 0x4_0100)):
            action = script.put(struct.pack("<4Q", handler, flags, 0x5678, mask % (1 << 64)))
            script.call("rt_sigaction", number, action, old, 8)
            script.call("rt_sigaction", number, 0, old, 8)
    ignore = script.put(struct.pack("<4Q", 1, SA_RESTORER, 0, 0))
    for size in (0, 4, 9, -1):
        script.call("rt_sigaction", 10, ignore, old, size)
    for bad in (*BAD, END - 8):
        script.call("rt_sigaction", 10, bad, 0, 8)
        script.call("rt_sigaction", 9, bad, 0, 8)
        script.call("rt_sigaction", 99, bad, 0, 8)
    for bad in (*BAD, READ_ONLY):
        script.call("rt_sigaction", 10, ignore, bad, 8)
        script.call("rt_sigaction", 12, 0, bad, 8)
    script.call("rt_sigaction", 10, 0, old, 8)
    got = answers(script)
    assert {answer.error for answer in got} == {"", "EINVAL", "EFAULT"}


def test_alternate_stacks(answers) -> None:
    script = Script()
    old = script.room(24)
    script.call("sigaltstack", 0, old)
    for flags, size in itertools.product((0, 1, SS_DISABLE, 3, 4, SS_AUTODISARM, SS_AUTODISARM | SS_DISABLE, -1),
                                         (0, 1, 2047, 2048, 8192, 1 << 40)):  # fmt: skip
        script.call(
            "sigaltstack",
            script.put(struct.pack("<QiiQ", 0x5000_0000, (flags & 0xFFFF_FFFF ^ 1 << 31) - (1 << 31), 0x7777, size)),
            old,
        )
        script.call("sigaltstack", 0, old)
    for bad in (*BAD, END - 8):
        script.call("sigaltstack", bad, old)
    for bad in (*BAD, READ_ONLY):
        script.call("sigaltstack", 0, bad)
    got = answers(script)
    assert {answer.error for answer in got} == {"", "EINVAL", "EFAULT", "ENOMEM"}


def test_timers_that_do_not_run(answers) -> None:
    script = Script()
    old = script.room(32)
    for which in (0, 1, 2, 3, -1, 1 << 31):
        script.call("getitimer", which, old)
        for interval, value in itertools.product(
            ((0, 0), (5, 0), (0, 10**6), (0, -1), (-1, 0)), ((0, 0), (-1, 0), (0, 10**6), (0, -1))
        ):
            script.call("setitimer", which, script.put(struct.pack("<4q", *interval, *value)), old)
        script.call("getitimer", which, old)
        script.call("setitimer", which, 0, old)
    for bad in (*BAD, END - 8):
        script.call("setitimer", 0, bad, old)
    for bad in (*BAD, READ_ONLY):
        script.call("getitimer", 0, bad)
        script.call("setitimer", 0, script.put(bytes(32)), bad)
    script.call("alarm", 0)
    script.call("alarm", 1000)
    script.call("alarm", 1 << 31)
    script.call("alarm", 0)
    got = answers(script)
    assert {answer.error for answer in got} == {"", "EINVAL", "EFAULT"}


def test_signals_that_cannot_be_sent(answers) -> None:
    script = Script()
    pid = script.call("getpid")
    tid = script.call("gettid")
    script.calls[0] = script.calls[1] = "own number"
    info = script.put(bytes(128))
    for signal in (0, 65, 66, -1, 1 << 31):
        script.call("kill", pid, signal)
        script.call("tkill", tid, signal)
        script.call("tgkill", pid, tid, signal)
        script.call("rt_sigqueueinfo", pid, signal, info)
        script.call("rt_tgsigqueueinfo", pid, tid, signal, info)
    for wrong in (0, 1 << 30):
        script.call("tkill", wrong, 0)
        script.call("tgkill", pid, wrong, 0)
    for bad in (*BAD, END - 60):
        script.call("rt_sigqueueinfo", pid, 0, bad)
    got = answers(script, same=lambda answer: answer.call != "own number")
    assert {answer.error for answer in got} == {"", "EINVAL", "EFAULT", "ESRCH"}


def test_a_wait_for_signals_that_ends_at_once(answers) -> None:
    script = Script()
    info = script.room(128)
    mask = script.put(struct.pack("<Q", 1 << 9))
    for seconds, nanos in ((0, 0), (0, 1000), (-1, 0), (0, -1), (0, 10**9), (1 << 62, 10**9)):
        script.call("rt_sigtimedwait", mask, info, script.put(struct.pack("<qq", seconds, nanos)), 8)
    now = script.put(bytes(16))
    for size in (0, 4, 9, 16):
        script.call("rt_sigtimedwait", mask, info, now, size)
        script.call("rt_sigsuspend", mask, size)
    for bad in (*BAD, END - 4):
        script.call("rt_sigtimedwait", bad, info, now, 8)
        script.call("rt_sigsuspend", bad, 8)
        if bad:
            script.call("rt_sigtimedwait", mask, info, bad, 8)
    got = answers(script)
    assert {answer.error for answer in got} == {"EAGAIN", "EINVAL", "EFAULT"}
