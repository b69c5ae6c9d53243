"""Signals sent to `axptr run` reach the program, which inherits what is ignored and blocked; a stop stops us."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import ENVIRONMENT, axptr, run_axptr, run_host, status_of_shell

HEADERS = """
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <errno.h>
#include <string.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
static volatile int got; static siginfo_t info;
static void note(int n, siginfo_t *i, void *c) { got = n; info = *i; }
static void tell(void) { int n = got; got = 0;
printf("%d code %d from my parent %d value %d\\n", n, info.si_code, info.si_pid == getppid(),
                                n > 31 ? info.si_value.sival_int : 0); fflush(stdout); }
static void catch(int n) { struct sigaction a = {.sa_sigaction = note, .sa_flags = SA_SIGINFO}; sigaction(n, &a, 0); }
static void ready(void) { puts("ready"); fflush(stdout); }
"""
WAYS = {
    "computing": "while (!got) {}",
    "sleeping": "while (!got) sleep(100);",
    "reading": "char c; read(0, &c, 1);",
    "polling": "poll(0, 0, 100000);",
    "pausing": "pause();",
}


@contextlib.contextmanager
def running(program: Path, *prefix: str, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """The program under axptr (or the host's own run, without prefix), its standard input a pipe nobody writes to."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([*prefix, program], env=ENVIRONMENT, **pipes, **options)  # type: ignore[call-overload]
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n", process.communicate()
        yield process
    finally:
        process.kill()
        process.communicate()


def under() -> dict[str, tuple[str | Path, ...]]:
    """What stands before a program's name."""
    return {"the host": (), "axptr": (*axptr("run"), "--")}


@pytest.mark.parametrize("way", WAYS)
def test_a_signal_reaches_a_handler_whatever_the_program_does(compile_c: Callable[..., Path], way: str) -> None:
    program = compile_c(HEADERS + f"int main(void) {{ catch(SIGUSR1); ready(); {WAYS[way]} tell(); return 7; }}")
    for prefix in under().values():
        with running(program, *prefix) as process:
            time.sleep(0.2)
            process.send_signal(signal.SIGUSR1)
            process.wait(timeout=30)  # its standard input stays open until then: the end of it would be seen too
            out, err = process.communicate()
            assert (out, err, process.returncode) == (b"10 code 0 from my parent 1 value 0\n", b"", 7)


def test_every_signal_that_can_be_handled_is(compile_c: Callable[..., Path]) -> None:
    numbers = [1, 2, 3, 6, 10, 12, 14, 15, 16, 17, 18, 20, 23, 24, 26, 27, 28, 29, 30, 34, 50, 64]
    source = HEADERS + (
        "int main(void) { for (int i = 1; i < 65; i++) if (i != 13) catch(i); ready();"
        f"for (int i = 0; i < {len(numbers)}; i++) {{ while (!got) usleep(1000); tell(); }} return 0; }}"
    )
    outputs = []
    for prefix in under().values():
        with running(compile_c(source), *prefix) as process:
            lines = []
            for number in numbers:
                process.send_signal(number)
                assert process.stdout is not None
                lines.append(process.stdout.readline())
            assert process.wait(30) == 0
            outputs.append(lines)
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2, signal.SIGQUIT, signal.SIGALRM])
def test_a_signal_that_nobody_handles_ends_the_program_as_for_a_shell(
    compile_c: Callable[..., Path], number: signal.Signals
) -> None:
    program = compile_c(HEADERS + "int main(void) { ready(); for (;;) pause(); }")
    with running(program, *under()["axptr"]) as process:
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
        assert status_of_shell(process.returncode) == 128 + number
        assert err.startswith(b"axptr: the program died of signal %d (%s)" % (number, number.name.encode()))


def test_ctrl_c_ends_a_program_that_does_not_handle_it(compile_c: Callable[..., Path]) -> None:
    program = compile_c(HEADERS + "int main(void) { ready(); for (;;) pause(); }")
    with running(program, *under()["axptr"]) as process:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (130, b"axptr: interrupted\n")


def test_a_blocked_signal_waits_until_it_is_unblocked(compile_c: Callable[..., Path]) -> None:
    source = (
        HEADERS
        + """int main(void) {
        sigset_t s; sigemptyset(&s); sigaddset(&s, SIGINT); sigaddset(&s, SIGTERM); sigprocmask(SIG_BLOCK, &s, 0);
        ready(); sleep(1); sigpending(&s); printf("%d %d\\n", sigismember(&s, SIGINT), sigismember(&s, SIGTERM));
        catch(SIGINT); catch(SIGTERM); sigprocmask(SIG_UNBLOCK, &s, 0); tell(); return 0; }"""
    )
    for prefix in under().values():
        with running(compile_c(source), *prefix) as process:
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=30)
            assert out.startswith(b"1 1\n"), out


def test_what_is_ignored_and_blocked_at_the_start_is_inherited(compile_c: Callable[..., Path]) -> None:
    source = (
        HEADERS
        + """int main(void) {
        struct sigaction a; sigset_t s; sigprocmask(0, 0, &s);
        for (int i = 1; i < 65; i++) { if (i == 13 || i == 25) continue;
            if (sigaction(i, 0, &a) == 0 && a.sa_handler) printf("%d: %ld\\n", i, (long)a.sa_handler);
            if (sigismember(&s, i)) printf("%d blocked\\n", i); }
        return 0; }"""
    )
    program = compile_c(source)

    def before() -> None:
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGTSTP, 40):
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR2, signal.SIGINT, 50])

    host = run_host(program, preexec_fn=before)
    ours = run_axptr("run", "--", program, preexec_fn=before)
    assert (ours.stdout, ours.stderr) == (host.stdout, b"")
    assert host.stdout.count(b"\n") == 9


@pytest.mark.parametrize("how", ["raise(SIGSTOP);", "raise(SIGTSTP);", "kill(0, SIGTTIN);"])
@pytest.mark.parametrize("handled", [False, True])
def test_a_program_that_stops_is_stopped_for_its_parent_and_goes_on(
    compile_c: Callable[..., Path], how: str, handled: bool
) -> None:
    source = (
        HEADERS
        + f"""int main(void) {{ if ({int(handled)}) catch(SIGCONT); ready(); {how}
        if ({int(handled)}) {{ while (!got) usleep(1000); tell(); }} puts("went on"); return 0; }}"""
    )
    program = compile_c(source)
    seen = []
    for prefix in under().values():
        with running(program, *prefix, process_group=0) as process:
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            seen.append(os.WSTOPSIG(status))
            process.send_signal(signal.SIGCONT)
            out, _ = process.communicate(timeout=30)
            seen.append(out)
    assert seen[:2] == seen[2:]


def test_the_terminals_stop_signal_stops_a_program_that_waits(compile_c: Callable[..., Path]) -> None:
    """And the read it was in goes on as if nothing had been."""
    program = compile_c(HEADERS + 'int main(void) { char c; ready(); printf("%zd\\n", read(0, &c, 1)); return 0; }')
    for prefix in under().values():
        with running(program, *prefix, process_group=0) as process:
            time.sleep(0.2)
            process.send_signal(signal.SIGTSTP)
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            assert os.WSTOPSIG(status) == signal.SIGTSTP
            process.send_signal(signal.SIGCONT)
            time.sleep(0.2)
            assert process.communicate(b"x", timeout=30) == (b"1\n", b"")


def test_a_limit_on_files_of_the_command_is_the_programs_and_no_more(tmp_path: Path) -> None:
    """Our own memory is a file to the host, and larger."""
    for prefix in under().values():
        command = shlex.join([*prefix, "/bin/dd", "if=/dev/zero", f"of={tmp_path}/out", "bs=700", "count=3"])
        command = command.replace("-- /bin/dd", f"--allow-write {tmp_path} -- /bin/dd")
        done = subprocess.run(
            ["sh", "-c", f"ulimit -f 2; {command}"],
            capture_output=True,
            env={**ENVIRONMENT, "PYTHONDONTWRITEBYTECODE": "1"},  # Python would leave half a module
            timeout=60,
        )
        assert (tmp_path / "out").stat().st_size == 1024, done.stderr
        assert status_of_shell(done.returncode) == 128 + signal.SIGXFSZ
        (tmp_path / "out").unlink()


IN_PYTHON = """
import os, signal, sys, threading
from axptr.linux import create_process
seen = []
signal.signal(signal.SIGUSR1, lambda *a: seen.append(a[0]))
before = [signal.getsignal(n) for n in range(1, 32)], signal.pthread_sigmask(signal.SIG_BLOCK, [])
def run(**options):
    with create_process(sys.argv[1], **options) as process:
        return process.run(timeout=30)
if sys.argv[2] == "main":
    print(run(host_signals=True))
elif sys.argv[2] == "library":
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    print(run(), seen)
else:
    out = []
    def body():
        out.append(run())
        try: run(host_signals=True)
        except RuntimeError as error: out.append(error)
    thread = threading.Thread(target=body); thread.start(); thread.join()
    print(*out)
assert before == ([signal.getsignal(n) for n in range(1, 32)], signal.pthread_sigmask(signal.SIG_BLOCK, []))
os.kill(os.getpid(), signal.SIGUSR1)
assert seen
"""


def test_a_library_user_keeps_signals_unless_they_are_given_to_the_program(compile_c: Callable[..., Path]) -> None:
    program = compile_c(HEADERS + "int main(void) { ready(); usleep(900000); return 3; }")

    def python(how: str) -> list[bytes]:
        done = subprocess.run([sys.executable, "-c", IN_PYTHON, program, how], capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.splitlines()

    assert python("main") == [b"ready", b"<Result exit 3>"]
    assert python("library") == [b"ready", b"<Result exit 3> [10]"]
    lines = python("thread")
    assert lines[:1] + lines[-1:] == [
        b"ready",
        b"<Result exit 3> the host's signals reach a program that runs in the main thread only",
    ]


STOPPED_BY_ITS_OWN = "(sleep 0.2; kill -CONT $$) & kill -STOP $$; echo on"
LEFT_ALONE = "(sleep 0.2; echo gone) & kill -STOP $$; echo on"


def test_who_is_stopped_by_its_own_is_let_go_on_by_its_own() -> None:
    for command in (["sh"], axptr("run", "--", "/bin/sh")):
        done = subprocess.run([*command, "-c", STOPPED_BY_ITS_OWN], capture_output=True, timeout=60, text=True)
        assert (done.stdout, done.stderr, done.returncode) == ("on\n", "", 0)


def test_we_stop_when_none_of_the_job_is_left_that_could_let_the_first_go_on() -> None:
    with subprocess.Popen([*axptr("run", "--", "/bin/sh"), "-c", LEFT_ALONE], stdout=subprocess.PIPE) as process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        process.send_signal(signal.SIGCONT)
        assert process.stdout is not None
        assert process.stdout.read() == b"gone\non\n"
