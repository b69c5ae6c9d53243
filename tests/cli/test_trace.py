"""The options of `--strace` are strace's: what it writes of the same program is the judge where it is installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from axptr.linux.strace.filters import Filter

from .conftest import ENVIRONMENT, axptr, run_axptr

PROGRAMS = {
    "cat": ["/bin/cat", "/etc/hostname", "/nonexistent"],
    "ls": ["/bin/ls", "-l", "/etc/apt"],
    "find": ["/usr/bin/find", "/etc/apt"],
    "env": ["/usr/bin/env", "A=1", "/bin/echo", "x"],
    "stat": ["/usr/bin/stat", "/etc/passwd", "/dev/null"],
    "sort": ["/usr/bin/sort", "--parallel=1", "/etc/passwd"],
}
LEFT_OUT = (
    "execve,set_tid_address,getrandom,sysinfo,sched_getaffinity,fstatfs,statfs,gettimeofday,clock_gettime,time,statx"
)
"""What is random, differs between machines, or (vDSO) is no call on the host; execve, of which more is shown."""
MACHINES_OWN = ("nodev", "mmap(NULL, 8192, PROT_READ|PROT_WRITE", "mmap(NULL, 12288, PROT_READ|PROT_WRITE")
"""What a file of /proc begins with that tells of the machine, and the loader's own heap, which is as large as where it
lies leaves room for."""


def ours(*arguments: str | Path) -> str:
    done = run_axptr("run", *arguments)
    return done.stderr.decode()


def _compared(text: str) -> Counter[str]:
    """The lines of calls, without addresses, and sizes of what lies at them."""
    lines = Counter()
    for line in text.splitlines():
        if not any(word in line for word in MACHINES_OWN) and "=" in line and "(" in line:
            lines[re.sub(r"0x[0-9a-f]{5,}", "ADDRESS", line)] += 1
    return lines


def _strace(*arguments: str | Path) -> str:
    """What strace writes. The form of its lines changes with its version: ours is that of 6.1."""
    if shutil.which("strace", path=ENVIRONMENT["PATH"]) is None:
        pytest.skip("needs strace")
    version = subprocess.run(["strace", "--version"], env=ENVIRONMENT, capture_output=True, timeout=60).stdout
    if b"version 6.1\n" not in version:
        pytest.skip("needs strace 6.1")
    done = subprocess.run(
        ["strace", *arguments],
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=100,
    )
    return done.stderr.decode()


@pytest.mark.parametrize("program", PROGRAMS)
def test_lines_are_those_of_strace(program: str, tmp_path: Path) -> None:
    command = PROGRAMS[program]
    if not Path(command[0]).exists():
        pytest.skip(f"needs {command[0]}")
    host, mine = tmp_path / "host", tmp_path / "ours"
    _strace("-o", host, "-e", f"trace=!{LEFT_OUT}", *command)
    ours("-o", mine, "-e", f"trace=!{LEFT_OUT}", "--", *command)
    theirs, here = _compared(host.read_text()), _compared(mine.read_text())
    assert sum(theirs.values()) > 20
    assert (here - theirs, theirs - here) == (Counter(), Counter())


@pytest.mark.parametrize(
    "chosen", ["%file", "%desc", "%memory", "%process", "!%file,%desc", "/^(open|close)", "read,?no"]
)
def test_sets_of_calls_are_those_of_strace(chosen: str) -> None:
    names = [
        Counter(line.partition("(")[0] for line in trace.splitlines() if re.match(r"\w+\(", line))
        for trace in (
            _strace("-e", f"trace={chosen}", "/bin/ls", "/etc/apt"),
            ours("-e", f"trace={chosen}", "--", "/bin/ls", "/etc/apt"),
        )
    ]
    for found in names:  # which are no calls on the host
        found.pop("clock_gettime", None)
    assert names[1] == names[0]


@pytest.mark.parametrize("status", ["failed", "successful", "!failed"])
def test_calls_by_their_ends_are_those_of_strace(status: str) -> None:
    command = ["-e", f"status={status}", "-e", "trace=openat,close,access,exit_group"]
    theirs, here = (
        [line.partition(" ")[0] for line in trace.splitlines() if "+++" not in line and not line.startswith("/")]
        for trace in (_strace(*command, "/bin/cat", "/nonexistent"), ours(*command, "--", "/bin/cat", "/nonexistent"))
    )
    assert here == theirs


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("trace=nosuchcall", "there is no system call 'nosuchcall'"),
        ("%nosuchset", "there is no system call '%nosuchset'"),
        ("signal=SIGNO", "there is no signal 'SIGNO'"),
        ("status=bad", "there is no status 'bad'"),
        ("inject=read", "there is no 'inject' to choose by"),
        ("/(", "is no regular expression"),
    ],
)
def test_what_is_not_understood_is_said_before_the_run(expression: str, said: str) -> None:
    done = run_axptr("run", "-e", expression, "--", "/bin/echo", "x")
    assert (done.stdout, done.returncode) == (b"", 125)
    assert said in done.stderr.decode()


def test_filters_by_signals() -> None:
    assert [n for n in range(1, 65) if Filter(["signal=INT,SIGTERM,17"]).signal(n)] == [2, 15, 17]
    assert not any(Filter(["signal=none"]).signal(n) for n in range(1, 65))
    assert all(Filter(["signal=!none"]).signal(n) for n in range(1, 65))
    assert Filter(["trace=none"]).call("read") is False
    assert Filter(["none", "all"]).call("read") is True


@pytest.mark.parametrize(
    ("options", "form"),
    [
        (["-t"], r"\d\d:\d\d:\d\d close\("),
        (["-tt"], r"\d\d:\d\d:\d\d\.\d{6} close\("),
        (["-ttt"], r"\d{10}\.\d{6} close\("),
        (["-r"], r" {5}\d\.\d{6} close\("),
        (["-T"], r"close\(\d\) += 0 <\d\.\d{6}>$"),
        (["-y"], r"close\(3</etc/hostname>\) += 0$"),
        (["-s", "3", "-e", "read"], r'read\(3, ".{3,9}"\.\.\., \d+\) += \d+$'),
    ],
)
def test_forms_of_lines(options: list[str], form: str) -> None:
    trace = ours(*options, "--", "/bin/cat", "/etc/hostname")
    assert any(re.match(form, line) for line in trace.splitlines()), trace


def test_the_table_counts_what_the_lines_show() -> None:
    lines, table = ours("--strace", "--", "/bin/ls", "/etc/apt"), ours("-c", "--", "/bin/ls", "/etc/apt")
    head, rule, *rows, last_rule, total = table.splitlines()
    assert head.split() == ["%", "time", "seconds", "usecs/call", "calls", "errors", "syscall"]
    assert rule == last_rule == "------ ----------- ----------- --------- --------- ----------------"
    made = Counter(re.match(r"(\w+)\(", line)[1] for line in lines.splitlines() if not line.startswith("+++"))  # type: ignore[index]
    assert {row.split()[-1]: int(row.split()[3]) for row in rows} == made
    failed = sum(" = -1 E" in line for line in lines.splitlines())
    assert total.split()[3:] == [str(sum(made.values())), str(failed), "total"]


SEVERAL = "trap 'echo got' USR1; (exit 3); kill -USR1 $$; /bin/true | /bin/cat; sleep 0.05 & wait; kill -TERM $$"


def test_lines_of_several_tasks_can_be_put_together_again() -> None:
    """A call that is unfinished is resumed, or its task ends; each task has an end; signals stand where they came."""
    trace = ours("--strace", "--", "/bin/sh", "-c", SEVERAL)
    waiting: dict[str, str] = {}
    ends: dict[str, str] = {}
    for line in trace.splitlines():
        match = re.match(r"(?:\[pid +(\d+)\] )?(.*)", line)
        assert match
        number, text = match[1] or "first", match[2]
        if text.endswith("<unfinished ...>"):
            assert number not in waiting, line
            waiting[number] = text.partition("(")[0]
        elif resumed := re.match(r"<\.\.\. (\w+) resumed>", text):
            assert waiting.pop(number) == resumed[1]
        elif text.startswith("+++"):
            ends[number] = text
            waiting.pop(number, None)
    assert not waiting
    assert sorted(ends.values()).count("+++ killed by SIGTERM +++") == 1
    assert "+++ exited with 3 +++" in ends.values()
    assert re.search(r"--- SIGUSR1 \{si_signo=SIGUSR1, si_code=SI_USER, si_pid=\d+, si_uid=\d+\} ---", trace)
    child = r"--- SIGCHLD \{si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=\d+, si_uid=\d+, si_status=3, .*\} ---"
    assert re.search(child, trace)


def test_signals_and_stops_are_those_of_strace() -> None:
    script = "trap '' USR2; kill -USR2 $$; (kill -STOP $$; :) & kill -CONT $$; kill -WINCH $$; kill -SEGV $$"
    command = ["-e", "trace=none", "-e", "signal=!CHLD,STOP,CONT", "--", "/bin/sh", "-c", script.partition("(")[0]]
    theirs, here = (
        [re.sub(r"si_pid=\d+", "si_pid=N", line) for line in text.splitlines() if line.startswith(("---", "+++"))]
        for text in (_strace(*command), ours(*command))
    )
    assert here == theirs
    assert len(here) == 2


THREADS = r"""
#include <pthread.h>
#include <unistd.h>
static void *work(void *at) { return at; }
int main(void) { pthread_t t; pthread_create(&t, 0, work, 0); pthread_join(t, 0); write(1, "\377\"x\n", 4); _exit(7); }
"""


def test_the_trace_as_json_has_what_the_lines_have(compile_c: Callable[..., Path], tmp_path: Path) -> None:
    program, path = compile_c(THREADS, "-pthread"), tmp_path / "trace.json"
    done = run_axptr("run", "--trace-json", path, "--", program)
    assert (done.stdout, done.stderr, done.returncode) == (b'\xff"x\n', b"", 7)
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert {record["event"] for record in records} == {"begin", "call", "exit"}
    assert records[0]["argv"] == [str(program)]
    calls = [record for record in records if record["event"] == "call"]
    for call in calls:
        assert call["duration"] >= 0
        assert call["time"] > 1e9
        assert (call["errno"] is None) == (call["result"] is None or call["result"] >= 0)
        assert all({"name", "value", "text"} == set(argument) for argument in call["arguments"])
    (write,) = (call for call in calls if call["name"] == "write")
    assert [argument["name"] for argument in write["arguments"]] == ["fd", "buf", "count"]
    assert [argument["text"] for argument in write["arguments"]] == ["1", r'"\377\"x\n"', "4"]
    assert write["result"] == 4
    assert len({record["tid"] for record in records}) == 2
    assert len({record["pid"] for record in records}) == 1
    assert sorted(record["status"] for record in records if record["event"] == "exit") in ([0, 7], [7, 7])


def test_the_trace_of_a_seeded_run_repeats_with_its_times(tmp_path: Path) -> None:
    traces = []
    for name in ("a", "b"):
        run_axptr("run", "--seed", "7", "-ttt", "-T", "-o", tmp_path / name, "--", "/bin/sh", "-c", "sleep 1 & wait")
        traces.append((tmp_path / name).read_text())
    assert traces[0] == traces[1]
    assert "<1.0" in traces[0]


def test_a_signal_tells_what_the_tasks_do_and_the_run_goes_on() -> None:
    script = "sleep 1000 & echo on; read line; kill $!; echo $line"
    command = axptr("run", "--status", "--", "/bin/sh", "-c", script)
    with subprocess.Popen(
        command, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline() == b"on\n"
        lines: list[str] = []
        while not any(" sleep " in line for line in lines):  # which has not become that program at once
            os.kill(child.pid, signal.SIGQUIT)
            lines = [child.stderr.readline().decode() for _ in range(2)]
        assert re.match(r"axptr: \d+ sh \[(read|running)\] \d+\.\d\dr \d+\.\d\du \d+\.\d\ds \d+% \d+k$", lines[0])
        out, err = child.communicate(b"line\n", timeout=60)
    assert (out, child.returncode) == (b"line\n", 0)
    assert b"died" not in err


def test_without_the_option_the_signal_is_the_programs() -> None:
    script = "trap 'echo quit; exit 3' QUIT; echo on; while :; do sleep 0.01; done"
    with subprocess.Popen(
        axptr("run", "--", "/bin/sh", "-c", script), env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"on\n"
        os.kill(child.pid, signal.SIGQUIT)
        assert child.stdout.read() == b"quit\n"
        assert child.wait(60) == 3
