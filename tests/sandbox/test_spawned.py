"""`Sandbox.spawn`: commands that are talked to while they run."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

import pytest

from axptr import Sandbox


def test_a_conversation(box: Sandbox) -> None:
    with box.spawn("while read x; do echo got $x; done; echo bye >&2; exit 5") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for word in (b"one", b"two"):
            process.stdin.write(word + b"\n")
            assert process.stdout.readline() == b"got " + word + b"\n"
        assert not process.ended
        process.stdin.close()
        assert list(process.stdout) == []
        assert process.stderr.read() == b"bye\n"
        result = process.wait()
    assert (result.exit_status, result.stdout, result.stderr) == (5, b"", b"")
    assert repr(process).endswith("exited with 5>")


def test_output_is_not_lost_however_late_it_is_read(box: Sandbox) -> None:
    with box.spawn("head -c 3000000 /dev/zero | tr '\\0' x") as process:
        assert process.stdout is not None
        data = process.stdout.read()
        assert len(data) == 3_000_000
        assert process.wait().ok


def test_who_is_not_read_waits_and_holds_no_more_than_some(box: Sandbox) -> None:
    with box.spawn(["yes"]) as process:
        assert process.stdout is not None
        assert process.stdout.read(2) == b"y\n"
        with pytest.raises(TimeoutError):
            process.wait(0.5)
        assert len(process.stdout._outlet.data) <= (1 << 20) + 4096
        process.stdout.close()
        assert process.wait().signal == signal.SIGPIPE


def test_lines_pieces_and_time(box: Sandbox) -> None:
    with box.spawn("printf 'a\\nbc'; read x; printf d") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"a\n"
        assert process.stdout.read(1) == b"b"
        assert process.stdout.read(0) == b""
        with pytest.raises(TimeoutError):
            process.stdout.readline(timeout=0.05)
        process.stdin.write(b"\n")
        assert process.stdout.readline() == b"cd"
        assert process.stdout.readline() == b""
        assert process.stdout.read() == b""


def test_signals_and_an_end_by_force(box: Sandbox) -> None:
    with box.spawn("trap 'echo caught; exit 7' USR1; echo ready; while :; do sleep 0.01; done") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.signal(signal.SIGUSR1)
        assert process.stdout.readline() == b"caught\n"
        assert process.wait().exit_status == 7
    with box.spawn("sleep 1000 & sleep 1000") as process:
        process.kill()
        assert process.wait().exit_status == 137
        process.kill()
    assert box.processes == []


def test_an_input_that_nobody_reads(box: Sandbox) -> None:
    with box.spawn("exec <&-; echo closed; read x; sleep 1000") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"closed\n"
        with pytest.raises(BrokenPipeError):
            process.stdin.write(b"x")


def test_its_time_is_over(box: Sandbox) -> None:
    with box.spawn("sleep 1000", timeout=0.2) as process:
        result = process.wait()
        assert (result.limit, result.exit_status, result.timed_out) == ("time", 124, True)


def test_run_goes_on_beside_it_and_each_sees_the_other(box: Sandbox) -> None:
    with box.spawn("while ! test -e /tmp/go; do sleep 0.01; done; echo went") as process:
        assert process.stdout is not None
        assert box.run("touch /tmp/go; echo touched").text == "touched\n"
        assert process.stdout.read() == b"went\n"


def test_two_threads_read_two_streams(box: Sandbox) -> None:
    with box.spawn("for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; done") as process:
        assert process.stderr is not None
        assert process.stdout is not None
        errors: list[bytes] = []
        stderr = process.stderr
        thread = threading.Thread(target=lambda: errors.extend(stderr))
        thread.start()
        lines = list(process.stdout)
        thread.join(60)
        assert lines == [b"out %d\n" % i for i in range(1, 6)]
        assert errors == [b"err %d\n" % i for i in range(1, 6)]


def test_closing_while_others_start_something(make: Callable[..., Sandbox]) -> None:
    for delay in range(8):
        box = make()
        box.run("true")
        failed: list[BaseException] = []

        def start(box: Sandbox = box, failed: list[BaseException] = failed) -> None:
            try:
                box.spawn(["cat"])
            except RuntimeError as error:
                if "closed" not in str(error):
                    failed.append(error)

        threads = [threading.Thread(target=start) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(delay / 500)
        box.close()
        for thread in threads:
            thread.join()
        assert failed == []
    deadline = time.monotonic() + 10
    while any(thread.name == "axptr sandbox" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_one_after_the_other_each_finds_a_thread_that_runs_it(box: Sandbox) -> None:
    for number in range(60):
        process = box.spawn(["true"])
        deadline = time.monotonic() + 20
        while not process.ended:  # nobody waits in it: the sandbox's thread alone runs the machine
            assert time.monotonic() < deadline, number
            time.sleep(0)
        process.close()
