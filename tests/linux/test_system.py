"""`Linux`: a machine that lives on between programs: what they leave to each other, how they start, and that a failed
start leaves nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from axptr.linux import DEVNULL, PIPE, STDOUT, Linux, ProgramError, Tmpfs

ENV = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}


@pytest.fixture
def linux(engine_name: str) -> Iterator[Linux]:
    with Linux(env=ENV, overlay=True, engine="unicorn" if engine_name == "unicorn" else "auto") as machine:
        yield machine
        machine.machine.pids._check()
        if machine.engine_why:
            machine.machine.loop._check()


def output(linux: Linux, *argv: str, **options: object) -> tuple[bytes, int]:
    with linux.spawn(argv, stdout=PIPE, stderr=STDOUT, **options) as process:  # type: ignore[arg-type]
        result = process.wait(30)
        assert process.stdout is not None
        return process.stdout.take(), result.status


def test_what_one_program_writes_the_next_one_reads(linux: Linux) -> None:
    assert output(linux, "sh", "-c", "echo hi > /tmp/left") == (b"", 0)
    assert output(linux, "cat", "/tmp/left") == (b"hi\n", 0)


def test_input_larger_than_a_pipe_and_output_larger_than_a_pipe(linux: Linux) -> None:
    assert output(linux, "wc", "-c", stdin=b"x" * 300_000) == (b"300000\n", 0)
    found, status = output(linux, "head", "-c", "300000", "/dev/zero")
    assert (len(found), status) == (300_000, 0)


def test_two_run_side_by_side_and_talk_through_a_file(linux: Linux) -> None:
    script = "while ! test -e /tmp/{0}; do :; done; echo {1} > /tmp/{1}; cat /tmp/{0}"
    one = linux.spawn(["sh", "-c", "echo a > /tmp/a; " + script.format("b", "c")], stdout=PIPE)
    other = linux.spawn(["sh", "-c", script.format("a", "b")], stdout=PIPE)
    assert linux.run_until(lambda: one.ended and other.ended, 60)
    assert one.stdout is not None
    assert other.stdout is not None
    assert (one.stdout.take(), other.stdout.take()) == (b"b\n", b"a\n")


def test_each_is_a_child_of_init_in_a_session_of_its_own(linux: Linux) -> None:
    script = "set -- $(cat /proc/$$/stat); echo $4 $(($5 == $$)) $(($6 == $$))"
    for _ in range(2):
        assert output(linux, "bash", "-c", script) == (b"1 1 1\n", 0)


def test_orphans_become_children_of_init_and_go_on(linux: Linux) -> None:
    script = "(trap '' HUP; while ! test -e /tmp/go; do :; done; cut -d' ' -f4 /proc/$BASHPID/stat > /tmp/parent) &"
    assert output(linux, "bash", "-c", script + " exec >/dev/null 2>&1") == (b"", 0)
    assert len(linux.processes) == 1
    assert output(linux, "touch", "/tmp/go") == (b"", 0)
    linux.run_until(lambda: not linux.processes, 60)
    assert linux.processes == []
    assert output(linux, "cat", "/tmp/parent") == (b"1\n", 0)


def test_streams_are_nowhere_by_default(linux: Linux) -> None:
    process = linux.spawn(["sh", "-c", "cat; readlink /proc/self/fd/0 > /tmp/0"])
    assert process.wait(30).status == 0
    assert process.stdin is process.stdout is process.stderr is None
    assert output(linux, "cat", "/tmp/0", stdin=DEVNULL) == (b"/dev/null\n", 0)


def test_a_closed_outlet_is_a_broken_pipe_and_a_closed_inlet_the_end(linux: Linux) -> None:
    process = linux.spawn(["yes"], stdout=PIPE)
    linux.step()
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(30).signal == signal.SIGPIPE
    process = linux.spawn(["cat"], stdin=PIPE, stdout=PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.feed(b"one ")
    while len(process.stdout.data) < 4:
        linux.step()
    process.stdin.feed(b"two", last=True)
    assert process.wait(30).status == 0
    assert process.stdout.take() == b"one two"


def test_descriptors_of_the_host_are_used_and_stay_open(linux: Linux, tmp_path: Path) -> None:
    with open(tmp_path / "out", "wb") as file:
        with linux.spawn(["echo", "hi"], stdout=file.fileno()) as process:
            assert process.wait(30).status == 0
        os.fstat(file.fileno())
    assert (tmp_path / "out").read_bytes() == b"hi\n"


def test_what_cannot_be_started_leaves_nothing(linux: Linux) -> None:
    for _ in range(3):
        with pytest.raises(ProgramError) as caught:
            linux.spawn(["nonesuch"])
        assert caught.value.exit_status == 127
        with pytest.raises(ProgramError):
            linux.spawn(["/etc/passwd"])
        with pytest.raises(ProgramError):
            linux.spawn(["true"], cwd="/nonesuch")
        with pytest.raises(ProgramError):
            linux.spawn(["true"], user="nobody that there is")
        assert linux.processes == []
    assert output(linux, "echo", "fine") == (b"fine\n", 0)
    with pytest.raises(ProgramError):
        linux.spawn(["/tmp"])
    assert output(linux, "echo", "fine") == (b"fine\n", 0)


def test_a_failed_start_does_not_disturb_who_runs(linux: Linux) -> None:
    process = linux.spawn(["sh", "-c", "i=0; while test $i -lt 300; do i=$((i+1)); done; echo $i"], stdout=PIPE)
    assert process.stdout is not None
    while not process.ended:
        linux.step(0.001)
        with pytest.raises(ProgramError):
            linux.spawn(["/etc/passwd"])
    assert process.stdout.take() == b"300\n"


def test_ending_a_process_gives_its_memory_back(linux: Linux) -> None:
    process = linux.spawn(["sleep", "1000"])
    linux.step()
    process.end()
    assert process.ended
    assert process.wait().signal == signal.SIGKILL
    assert process.space.area_count
    process.close()
    assert not process.space.area_count
    with pytest.raises(RuntimeError):
        process.wait()


def test_a_signal_is_delivered_when_it_runs(linux: Linux) -> None:
    process = linux.spawn(["sh", "-c", "trap 'echo got; exit 3' TERM; echo ready; while :; do :; done"], stdout=PIPE)
    assert process.stdout is not None
    while not process.stdout.data:
        linux.step(0.01)
    process.signal(signal.SIGTERM)
    assert process.wait(30).status == 3
    assert process.stdout.take() == b"ready\ngot\n"


def test_users_by_name_and_number(engine_name: str, tmp_path: Path) -> None:
    (tmp_path / "passwd").write_text("root:x:0:0::/root:/bin/sh\nann:x:1234:99::/home/ann:/bin/sh\n")
    (tmp_path / "group").write_text("root:x:0:\npens:x:77:bob,ann\n")
    engine = "unicorn" if engine_name == "unicorn" else "auto"
    with Linux(
        env=ENV, mounts={"/etc/passwd": tmp_path / "passwd", "/etc/group": tmp_path / "group"}, engine=engine
    ) as linux:
        assert output(linux, "id", "-u", user="ann") == (b"1234\n", 0)
        assert output(linux, "id", "-G", user="ann") == (b"99 77\n", 0)
        assert output(linux, "id", "-u", user=7) == (b"7\n", 0)
        assert output(linux, "id", "-g", user=(7, 8)) == (b"8\n", 0)
        with pytest.raises(TypeError):
            linux.spawn(["true"], user=1.5)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="number of a user"):
            linux.spawn(["true"], user=-1)
        assert linux.processes == []


def test_limits_are_those_of_the_machine(engine_name: str) -> None:
    with Linux(env=ENV, limits={7: (20, 30)}, engine="unicorn" if engine_name == "unicorn" else "auto") as linux:
        assert output(linux, "sh", "-c", "ulimit -Sn; ulimit -Hn") == (b"20\n30\n", 0)


def test_a_seed_stands_still_between_runs() -> None:
    runs = []
    for _ in range(2):
        with Linux(env=ENV, seed=5, root=Tmpfs(), mounts={"/usr": "/usr", "/lib64": "/lib64", "/lib": "/lib"}) as linux:
            runs.append([output(linux, "/usr/bin/date", "+%s.%N") for _ in range(2)])
    assert runs[0] == runs[1]
    assert runs[0][0] != runs[0][1]


def test_nonsense_is_refused(linux: Linux) -> None:
    with pytest.raises(ValueError, match="which program"):
        linux.spawn([])
    with pytest.raises(TypeError):
        linux.spawn("ls -l")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no descriptor"):
        linux.spawn(["true"], stdout=STDOUT)
    with pytest.raises(TypeError):
        linux.spawn(["true"], stdout=b"")
    linux.close()
    linux.close()
    with pytest.raises(RuntimeError):
        linux.spawn(["true"])
    with pytest.raises(RuntimeError):
        linux.step()
