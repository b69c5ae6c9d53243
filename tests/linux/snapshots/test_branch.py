"""A machine that waits at a prompt, branched and put back: each copy goes on from there, and none sees another."""

from __future__ import annotations

import pytest

from axptr.linux import PIPE, Linux

PROMPT = 'count=0; echo ready; while read -r line; do count=$((count + 1)); eval "$line"; done'


def ask(linux: Linux, text: bytes = b"") -> bytes:
    """What the program answers to a line, once it waits again."""
    process = linux.process()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.feed(text)
    before = process.stdout.total

    def answered() -> bool:
        task = process.task
        blocked = task.blocked is not None and task.blocked.woken is None
        return process.ended or (process.stdout.total > before and blocked)

    assert linux.run_until(answered)
    return process.stdout.take()


@pytest.fixture(params=["native", "unicorn"])
def linux(request):
    with Linux(engine=request.param, overlay=True, env={"PATH": "/usr/bin:/bin"}) as machine:
        machine.spawn(["sh", "-c", PROMPT], stdin=PIPE, stdout=PIPE, stderr=2)
        assert ask(machine) == b"ready\n"
        yield machine


def test_branches_go_on_from_there_and_see_nothing_of_each_other(linux):
    snap = linux.snapshot()
    branches = [Linux.from_snapshot(snap) for _ in range(3)]
    for number, branch in enumerate(branches):
        assert ask(branch, b"mine=%d; echo $mine $count\n" % number) == b"%d 1\n" % number
    for number, branch in enumerate(branches):
        assert ask(branch, b"echo $mine $count\n") == b"%d 2\n" % number
    assert ask(linux, b"echo [$mine] $count\n") == b"[] 1\n"
    for branch in branches:
        branch.close()


def test_restore_forgets_what_was_done_since(linux):
    snap = linux.snapshot()
    process = linux.process()
    for _ in range(3):
        assert ask(linux, b"echo [$seen] $count; seen=1\n") == b"[] 1\n"
        linux.restore(snap)
        assert linux.process() is process


def test_files_of_the_overlay_are_each_branchs_own(linux):
    ask(linux, b"echo before > /tmp/axptr-shared; echo done\n")
    snap = linux.snapshot()
    one, two = (Linux.from_snapshot(snap) for _ in range(2))
    ask(one, b"echo one >> /tmp/axptr-shared; echo done\n")
    assert ask(two, b"cat /tmp/axptr-shared\n") == b"before\n"
    assert ask(one, b"cat /tmp/axptr-shared\n") == b"before\none\n"
    linux.restore(snap)
    assert ask(linux, b"cat /tmp/axptr-shared\n") == b"before\n"
    one.close()
    two.close()


def test_a_branch_of_a_branch_and_of_a_restored_machine(linux):
    ask(linux, b"value=first; echo done\n")
    (one,) = linux.branch()
    ask(one, b"value=$value,second; echo done\n")
    (two,) = one.branch()
    snap = two.snapshot()
    ask(two, b"value=; echo done\n")
    two.restore(snap)
    assert ask(two, b"echo $value\n") == b"first,second\n"
    assert ask(one, b"echo $value\n") == b"first,second\n"
    assert ask(linux, b"echo $value\n") == b"first\n"
    for machine in (one, two):
        machine.close()


def test_the_next_branch_is_born_with_what_the_last_one_touched():
    """Natively, whether the last one is still there or not; each has pages of its own."""
    with Linux(engine="native", overlay=True, env={"PATH": "/usr/bin:/bin"}) as linux:
        linux.spawn(["sh", "-c", PROMPT], stdin=PIPE, stdout=PIPE, stderr=2)
        assert ask(linux) == b"ready\n"
        snap = linux.snapshot()
        fills, branches = [], [Linux.from_snapshot(snap) for _ in range(4)]
        for number, branch in enumerate(branches):
            assert ask(branch, b"mine=%d; echo $mine $count\n" % number) == b"%d 1\n" % number
            fills.append(branch.engine.fills)
            if number == 1:
                branch.close()
        assert all(2 * later < fills[0] for later in fills[1:])
        for number in (0, 2, 3):
            assert ask(branches[number], b"echo $mine $count\n") == b"%d 2\n" % number
            branches[number].close()
        assert ask(linux, b"echo [$mine] $count\n") == b"[] 1\n"
