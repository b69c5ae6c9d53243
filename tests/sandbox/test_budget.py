"""`Limits.memory` is each sandbox's own: branches share what they came of, and are charged for what they dirty."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

import pytest

from axptr import Sandbox
from axptr.linux import MachineSnapshot
from axptr.sandbox import Limits

MiB = 1 << 20
READ_LINES = "import sys\nfor line in sys.stdin:\n    exec(line)\n    sys.stdout.flush()"
EACH = "[m.__setitem__(i, 1) for i in range(0, len(m), 4096)]"
TOUCH = f"import mmap; m = mmap.mmap(-1, {{0}} << 20, 34); {EACH}; print('there')"
"""Touches so many MiB of private memory, page by page: what Linux' OOM killer ends a program for."""
FORKS = """
import mmap, os
m = mmap.mmap(-1, 20 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for i in range(0, 20 << 20, 4096): m[i] = 1
r, w = os.pipe()
for child in range(4):
    if not os.fork():
        for i in range(0, 20 << 20, 4096): m[i] = 2
        os.write(w, b'.')
        os._exit(0)
ends = [os.waitstatus_to_exitcode(os.wait()[1]) for child in range(4)]
os.close(w)
print(sorted(ends), len(os.read(r, 9)))
"""


def used(box: Sandbox) -> int:
    return box.linux.machine.account.used


def warm(box: Sandbox) -> int:
    """A python3 that reads lines."""
    python = box.spawn(["python3", "-c", READ_LINES])
    python.stdin.write(b"print('ready')\n")
    assert python.stdout.readline() == b"ready\n"
    return python.pid


def say(box: Sandbox, pid: int, line: str) -> bytes:
    box.commands[pid].stdin.write(line.encode() + b"\n")
    return bytes(box.commands[pid].stdout.readline())


def test_a_branch_that_eats_memory_ends_and_its_siblings_and_its_origin_go_on(make: Callable[..., Sandbox]) -> None:
    box = make(limits=Limits(memory=48 * MiB, time=None))
    pid = warm(box)
    branches = box.branch(3)
    try:
        for branch in (branches[0], branches[2]):
            assert say(branch, pid, TOUCH.format(30)) == b"there\n"
            assert 30 * MiB <= used(branch) <= 34 * MiB
        assert say(branches[1], pid, TOUCH.format(60)) == b""
        result = branches[1].commands[pid].wait()
        assert (result.limit, result.exit_status) == ("memory", 137), result
        assert result.death is not None
        assert "no memory" in str(result.death.fault)
        for branch in (branches[0], branches[2], box):
            assert say(branch, pid, "print(6 * 7)") == b"42\n"
        assert branches[1].run("echo on").stdout == b"on\n"
        assert say(box, pid, TOUCH.format(30)) == b"there\n"
        box.linux.phys._check()
    finally:
        for branch in branches:
            branch.close()


def test_a_branch_is_charged_for_what_it_dirties_and_not_for_what_it_shares(make: Callable[..., Sandbox]) -> None:
    box = make(limits=Limits(memory=256 * MiB, time=None))
    pid = warm(box)
    assert say(box, pid, TOUCH.format(40)) == b"there\n"
    before = used(box)
    assert before > 40 * MiB
    snapshot = box.snapshot()
    branch = Sandbox.from_snapshot(snapshot)
    assert used(box) < 2 * MiB  # it may not have got to its next line before the snapshot
    assert used(branch) < 2 * MiB  # tables
    assert say(branch, pid, "m[0] = 2; print('one')") == b"one\n"
    assert used(branch) < 4 * MiB
    assert say(branch, pid, "[m.__setitem__(i, 3) for i in range(0, 20 << 20, 4096)]; print('half')") == b"half\n"
    assert 20 * MiB <= used(branch) < 25 * MiB
    branch.restore(snapshot)
    assert say(branch, pid, "print(m[0])") == b"1\n"
    assert used(branch) < 25 * MiB
    branch.close()
    del branch, snapshot
    gc.collect()
    assert used(box) >= before - 2 * MiB
    box.linux.phys._check()


def test_snapshots_that_are_dropped_let_nobody_hold_more(make: Callable[..., Sandbox]) -> None:
    box = make(limits=Limits(memory=48 * MiB, time=None))
    pid = warm(box)
    grown = 0
    assert say(box, pid, "import mmap; kept = []; print()") == b"\n"
    for _ in range(12):
        box.snapshot()
        gc.collect()
        if say(box, pid, f"m = mmap.mmap(-1, 8 << 20, 34); kept.append(m); {EACH}; print(1)") != b"1\n":
            break
        grown += 8
    assert 8 <= grown <= 48


@pytest.mark.parametrize("of", ["fresh", "branch", "loaded"])
def test_the_processes_of_one_sandbox_have_one_budget(make: Callable[..., Sandbox], of: str, tmp_path: Path) -> None:
    box = make(limits=Limits(memory=64 * MiB, time=None))
    if of != "fresh":
        box.run(["true"])
        snapshot = box.snapshot()
        if of == "loaded":
            snapshot.save(tmp_path / "snapshot")
            snapshot = MachineSnapshot.load(tmp_path / "snapshot")
        box = Sandbox.from_snapshot(snapshot)
    try:
        result = box.run(["python3", "-c", FORKS])
        assert result.exit_code == 0, result
        assert result.stdout != b"[0, 0, 0, 0] 4\n"  # 100 MiB in all
        assert b"-9" in result.stdout
        assert box.run(["python3", "-c", FORKS.replace("20 <<", "8 <<")]).stdout == b"[0, 0, 0, 0] 4\n"
        assert result.usage.memory <= 64 * MiB + (32 * MiB if of != "fresh" else 0)
        box.linux.phys._check()
    finally:
        box.close()


def test_files_in_memory_count_for_the_branch_that_writes_them(make: Callable[..., Sandbox]) -> None:
    box = make(limits=Limits(memory=48 * MiB, time=None))
    box.run(["true"])
    one, two, greedy = branches = box.branch(3)
    try:
        for branch in (one, two):
            assert branch.run("head -c 24M /dev/zero > /tmp/big; stat -c %s /tmp/big").stdout == b"%d\n" % (24 * MiB)
            assert 24 * MiB < used(branch) <= 48 * MiB
        assert not greedy.run("exec head -c 100M /dev/zero > /tmp/big").ok
        assert 24 * MiB < used(greedy) <= 48 * MiB
        greedy.files.remove("/tmp/big")
        assert used(greedy) < 24 * MiB
        assert greedy.run("echo on").stdout == one.run("echo on").stdout == b"on\n"
        box.linux.phys._check()
    finally:
        for branch in branches:
            branch.close()


def test_a_machine_shows_its_programs_its_own_limit(make: Callable[..., Sandbox]) -> None:
    box = make(limits=Limits(memory=64 * MiB, time=None), root="host", overlay=True)
    pid = warm(box)
    (branch,) = box.branch()
    try:
        assert say(box, pid, TOUCH.format(20)) == b"there\n"
        for one, least, most in ((branch, 50, 64), (box, 30, 44)):
            words = one.run("grep -E 'MemTotal|MemFree' /proc/meminfo").text.split()
            assert int(words[1]) == 64 << 10
            assert least << 10 < int(words[4]) <= most << 10, words
    finally:
        branch.close()
