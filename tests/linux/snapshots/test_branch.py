"""A machine that waits at a prompt, branched and put back: each copy goes on from there, and none sees another."""

from __future__ import annotations

import gc

import pytest

from axptr.errors import SnapshotError
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


def test_a_process_that_a_signal_ended_and_nobody_has_waited_for_is_kept(linux):
    ask(linux, b"(sh -c 'kill -SEGV $$' & sleep 1; wait $!; echo $?) & echo begun\n")
    assert linux.run_until(lambda: any(one.group.death is not None for one in linux.machine.tasks.values()))
    snap = linux.snapshot()
    with Linux.from_snapshot(snap) as branch:
        assert ask(branch) == b"139\n"


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


def test_what_a_branch_gave_up_is_free_while_its_origin_stands_still(linux):
    """No frame waits for processes that have lost it."""
    snap = linux.snapshot()
    used = []
    for _ in range(4):
        with Linux.from_snapshot(snap) as branch:
            assert ask(branch, b"mine=1; echo $count\n") == b"1\n"
        del branch
        gc.collect()
        used.append(linux.phys.frames_in_use)
    assert used[1:] == used[:-1]
    assert ask(linux, b"echo [$mine] $count\n") == b"[] 1\n"


PAGES = """
#include <unistd.h>
static volatile char page[256][4096] __attribute__((aligned(4096))) = {{1}};
int main(void)
{
    char byte = 1;
    for (int i = 0; i < 256; i++)
        page[i][0] = 1;
    write(1, &byte, 1);
    while (read(0, &byte, 1) == 1) {
        for (int i = 0; i < 256; i += 16) {
            page[i][1] = byte; /* changed, and as it was: a page counts as written for either */
            page[i + 8][2] = byte, page[i + 8][2] = 0;
        }
        write(1, &byte, 1);
    }
}
"""


def test_a_branch_is_born_with_copies_of_what_is_written_alone(compile_guest):
    """Of 16 pages of a program's data that a fault brings in, two are written."""
    with Linux(engine="native", env={}) as linux:
        linux.spawn([str(compile_guest("pages", source=PAGES))], stdin=PIPE, stdout=PIPE, stderr=2)
        assert ask(linux) == b"\1"
        snap = linux.snapshot()
        own, fills = [], []
        for number in range(4):
            with Linux.from_snapshot(snap) as branch:
                before = branch.phys.data_frames
                assert ask(branch, bytes((number,))) == bytes((number,))
                own.append(branch.phys.data_frames - before)
                fills.append(branch.engine.fills)
        assert own[0] >= 256 > 64 > own[3]
        assert fills[3] < 4 < 16 <= fills[0]


AVX = """
#include <unistd.h>
int main(void)
{
    char byte = 0;
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx"))
        return write(1, "n", 1) - 1;
    __asm__ volatile("vcmptrueps %%ymm15, %%ymm15, %%ymm15\\n"
                     "mov $1, %%eax\\n mov $1, %%edi\\n mov %0, %%rsi\\n mov $1, %%edx\\n syscall\\n"
                     "xor %%eax, %%eax\\n xor %%edi, %%edi\\n syscall"
                     : : "r"(&byte) : "rax", "rdi", "rsi", "rdx", "rcx", "r11", "xmm15", "memory");
    return byte;
}
"""


def test_registers_that_an_emulated_cpu_lacks_are_named(compile_guest):
    program = compile_guest("avx", source=AVX)
    with Linux(engine="native", env={}) as linux:
        process = linux.spawn([str(program)], stdin=PIPE, stdout=PIPE, stderr=2)
        if ask(linux) != b"\0":
            pytest.skip("this CPU has no AVX")
        snap = linux.snapshot()
        with pytest.raises(SnapshotError, match="AVX"):
            Linux.from_snapshot(snap, engine="unicorn")
        with Linux.from_snapshot(snap) as copy:
            copy.process().stdin.feed(b"\7")
            assert copy.process().wait().exit_code == 7
        process.stdin.feed(b"\5")
        assert process.wait().exit_code == 5


def test_a_closed_machine_leaves_nothing_for_the_collector(linux):
    snap = linux.snapshot()

    def begin_and_end():
        with Linux.from_snapshot(snap) as branch:
            assert ask(branch, b"cd /tmp; echo 5 > x; read y < x; echo $y\n") == b"5\n"
            process = branch.process()
        assert process.usage.system >= 0
        assert process.task.dead

    begin_and_end()
    gc.collect()
    gc.disable()
    try:
        begin_and_end()
        assert gc.collect() < 10
    finally:
        gc.enable()
