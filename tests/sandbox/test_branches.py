"""Snapshots and branches of sandboxes: commands that run go on in each as if nothing had been."""

from __future__ import annotations

from time import sleep

import pytest

from axptr import PAGE_SIZE, Sandbox
from axptr.linux import Linux, Policy, Rules, Tmpfs
from axptr.linux.policy import Call
from axptr.sandbox import Limits

PROMPT = "import sys\nfor line in sys.stdin:\n    exec(line)\n    sys.stdout.flush()\n"
"""A python3 that does each line as it comes, and says nothing of itself."""


def test_a_python_at_its_prompt_goes_on_in_every_branch() -> None:
    with Sandbox() as box:
        box.files.write("note", "from before")
        python = box.spawn(["python3", "-c", PROMPT])
        assert python.stdin is not None
        assert python.stdout is not None
        python.stdin.write(b"a = list(range(100000))\nprint('ready')\n")
        assert python.stdout.readline() == b"ready\n"
        snap = box.snapshot()
        frames = box.linux.phys.frames_in_use
        branches = [Sandbox.from_snapshot(snap) for _ in range(30)]
        # so much each, and not what python3 has: tables, books, and no pages of the program
        assert (box.linux.phys.frames_in_use - frames) * PAGE_SIZE < 30 * (1 << 20)
        for number, branch in enumerate(branches):
            command = branch.commands[python.pid]
            assert command.stdin is not None
            command.stdin.write(f"a[7] += {number}; print(a[7], len(a), open('note').read())\n".encode())
        for number, branch in enumerate(branches):
            command = branch.commands[python.pid]
            assert command.stdout is not None
            assert command.stdout.readline(60) == f"{7 + number} 100000 from before\n".encode()
            branch.close()
        python.stdin.write(b"print(a[7])\n")
        assert python.stdout.readline(60) == b"7\n"


def test_a_sandbox_that_is_put_back_has_its_commands_files_and_time_again() -> None:
    with Sandbox() as box:
        box.files.write("kept", "one")
        python = box.spawn(["python3", "-c", PROMPT], timeout=100)
        assert python.stdin is not None
        assert python.stdout is not None
        python.stdin.write(b"a = 1; print(a)\n")
        assert python.stdout.readline(60) == b"1\n"
        snap = box.snapshot()
        for _ in range(3):
            python.stdin.write(b"a += 1; print(a); open('new', 'w').write('x')\n")
            assert python.stdout.readline(60) == b"2\n"
            box.files.write("kept", "two")
            other = box.spawn(["sleep", "1000"])
            box.restore(snap)
            assert box.files.read("kept") == b"one"
            assert not box.files.exists("new")
            assert other.ended
            with pytest.raises(RuntimeError, match="undone"):
                other.wait(1)
        python.stdin.write(b"print(a); raise SystemExit(5)\n")
        assert python.stdout.readline(60) == b"1\n"
        assert python.wait(60).exit_status == 5
        box.restore(snap)  # after its end, too
        assert not python.ended
        python.stdin.write(b"raise SystemExit(6)\n")
        assert python.wait(60).exit_status == 6


def test_a_pipeline_in_flight_carries_on_in_each() -> None:
    with Sandbox() as box:
        line = "i=0; while read x; do i=$((i + x)); echo $i; done | sed -u s/^/sum:/ | cat"
        shell = box.spawn(["sh", "-c", line])
        assert shell.stdin is not None
        assert shell.stdout is not None
        shell.stdin.write(b"1\n2\n")
        assert [shell.stdout.readline(60) for _ in range(2)] == [b"sum:1\n", b"sum:3\n"]
        for branch in box.branch(3):
            with branch:
                command = branch.commands[shell.pid]
                assert command.stdin is not None
                assert command.stdout is not None
                command.stdin.write(b"10\n")
                command.stdin.close()
                assert command.stdout.read(timeout=60) == b"sum:13\n"
                assert command.wait(60).exit_status == 0
        shell.stdin.write(b"5\n")
        assert shell.stdout.readline(60) == b"sum:8\n"


def test_what_was_read_and_not_asked_for_goes_along() -> None:
    with Sandbox() as box:
        shell = box.spawn("printf 'one\\ntwo\\n'; cat")
        assert shell.stdout is not None
        assert shell.stdout.readline(60) == b"one\n"
        [branch] = box.branch()
        with branch:
            command = branch.commands[shell.pid]
            assert command.stdout is not None
            assert command.stdout.readline(60) == b"two\n"
        assert shell.stdout.readline(60) == b"two\n"


def test_branches_of_a_sandbox_in_which_nothing_ran_yet_and_of_branches() -> None:
    with Sandbox(limits=Limits(time=30), mounts={"/scratch": Tmpfs()}, hostname="tree", env={"COLOUR": "red"}) as box:
        box.files.write("/scratch/a", "root")
        [first] = box.branch()
        first.files.write("/scratch/a", "first")
        [second] = first.branch()
        second.run("echo second >> /scratch/a; echo $COLOUR > /etc/motd", check=True)
        assert [each.files.read("/scratch/a") for each in (box, first, second)] == [b"root", b"first", b"firstsecond\n"]
        assert second.run("hostname; cat /etc/motd").text == "tree\nred\n"
        assert (second.limits.time, second.env["COLOUR"]) == (30, "red")
        assert [len(each.changes()) for each in (box, first, second)] == [0, 0, 1]
        second.close()
        first.close()
        assert box.run("cat /scratch/a").text == "root"


def test_a_seeded_sandbox_repeats_in_each_branch() -> None:
    with Sandbox(seed=7, engine="unicorn") as box:
        box.run("true", check=True)
        texts = set()
        for branch in box.branch(3):
            with branch:
                texts.add(branch.run("od -An -N8 -tx1 /dev/urandom; date +%s%N; echo $$").text)
        assert len(texts) == 1


def test_a_snapshot_of_a_machine_that_was_in_no_sandbox_is_refused() -> None:
    with Linux() as linux:
        linux.spawn(["true"]).wait(60)
        with pytest.raises(ValueError, match="no sandbox"):
            Sandbox.from_snapshot(linux.snapshot())


def test_each_branch_has_its_own_refusals_and_answers() -> None:
    asked = []

    def ask(question: str) -> bool:
        asked.append(question)
        return len(asked) == 1

    rules = Rules({"paths": {"ask": ["/etc/hostname"], "deny": ["/etc/passwd"]}})
    with Sandbox(policy=Policy(rules, ask=ask)) as s:
        snapshot = s.snapshot()
        found = []
        for which in ("passwd", "hostname", "hostname"):
            with Sandbox.from_snapshot(snapshot) as branch:
                result = branch.run(f"cat /etc/{which}")
                found.append((result.exit_status, [denied.subject for denied in branch.policy.denied]))
        assert found == [(1, ["/etc/passwd"]), (0, []), (1, ["/etc/hostname"])]
        assert len(asked) == 2  # of each branch
        assert s.policy.denied == []


def test_a_call_that_waits_is_told_to_the_functions_of_its_branch() -> None:
    told = []
    policy = Policy()

    @policy.before("read")
    def before(call: Call) -> None:
        if call["fd"] == 77:
            call["fd"] = 0

    @policy.after("read")
    def after(call: Call) -> None:
        if call["fd"] == 0 and call.comm == "python3":
            told.append((call["count"], call.result))
            call.result = 1

    code = "import os; print(1, flush=True); print(os.read(77, 50))"
    with Sandbox(policy=policy) as s:
        command = s.spawn(["python3", "-c", code])
        assert command.stdout is not None
        assert command.stdout.readline() == b"1\n"
        while s._driver.call(lambda: command._process.task.blocked) is None:
            sleep(0.01)
        for branch in s.branch(2):
            told.clear()
            with branch:
                other = branch.commands[command.pid]
                assert other.stdin is not None
                assert other.stdout is not None
                other.stdin.write(b"abc\n")
                assert other.stdout.read() == b"b'a'\n"
                assert told == [(50, 4)]
        other_policy = Policy()
        with Sandbox.from_snapshot(s.snapshot(), policy=other_policy) as branch:
            other = branch.commands[command.pid]
            assert other.stdin is not None
            assert other.stdout is not None
            other.stdin.write(b"abc\n")
            assert other.stdout.read() == b"b'abc\\n'\n"
