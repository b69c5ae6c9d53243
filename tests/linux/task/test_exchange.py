"""Tasks that hand their turn to one another at each call: what they come to is the same by the short way and by the
general one, and nobody else starves meanwhile."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import engines
from axptr._core.kernel.fields import take_shortcuts
from axptr.linux.task.task import LinuxTask

from ..conftest import run_guest, run_host

SEEDS = range(8)
needs_native = pytest.mark.skipif(engines.missing("native") is not None, reason="the native engine cannot run here")
PING = r"""
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
int main(void)
{
    int a[2], b[2];
    char c = 0;
    pid_t pids[2];
    if (pipe(a) || pipe(b)) return 1;
    for (int i = 0; i < 2; i++)
        if (!(pids[i] = fork())) {
            int from = i ? a[0] : b[0], to = i ? b[1] : a[1];
            if (!i && write(to, &c, 1) != 1) _exit(1);
            while (read(from, &c, 1) == 1 && write(to, &c, 1) == 1) ;
            _exit(0);
        }
    puts("they play");
    fflush(stdout);
    if (read(0, &c, 1) != 1) return 2;
    kill(pids[0], SIGKILL);
    kill(pids[1], SIGKILL);
    printf("told %c\n", c);
    return 0;
}
"""
SLEEP = PING.replace("if (read(0, &c, 1) != 1) return 2;", "c = 'n'; usleep(50000);")


@pytest.fixture
def general_way() -> Iterator[None]:
    take_shortcuts(False)
    yield
    take_shortcuts(True)


def differ(program: Path) -> list[int]:
    """The seeds with which it does not print what it prints on the host."""
    wrong = []
    for seed in SEEDS:
        ours, theirs = run_guest(program, str(seed), timeout=120), run_host(program, str(seed))
        if (ours.stdout, ours.status) != (theirs.stdout, theirs.status):
            wrong.append(seed)
    return wrong


def test_random_exchanges_come_to_what_they_come_to_on_the_host(compile_guest: Callable[..., Path]) -> None:
    assert differ(compile_guest("exchange", "-static", "-pthread")) == []


@pytest.mark.usefixtures("general_way")
def test_so_they_do_the_general_way(compile_guest: Callable[..., Path]) -> None:
    assert differ(compile_guest("exchange", "-static", "-pthread")) == []


@contextmanager
def playing(program: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "axptr", "run", "--engine", "native", *options, "--", str(program)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert select.select([process.stdout], [], [], 120)[0], "it never began"
            assert os.read(process.stdout.fileno(), 100) == b"they play\n"
            yield process
        finally:
            process.kill()


@needs_native
def test_who_waits_for_the_host_hears_of_it_while_others_play(compile_guest: Callable[..., Path]) -> None:
    with playing(compile_guest("ping", "-static", source=PING)) as process:
        assert process.communicate(b"x", timeout=120)[0] == b"told x\n"
        assert process.returncode == 0


@needs_native
def test_who_sleeps_wakes_while_others_play(compile_guest: Callable[..., Path]) -> None:
    with playing(compile_guest("sleep", "-static", source=SLEEP)) as process:
        assert process.communicate(timeout=120)[0] == b"told n\n"
        assert process.returncode == 0


@needs_native
def test_ctrl_c_ends_those_who_play(compile_guest: Callable[..., Path]) -> None:
    with playing(compile_guest("ping", "-static", source=PING)) as process:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)
        assert process.returncode in (130, -signal.SIGINT)


@needs_native
def test_the_time_of_a_run_ends_those_who_play(compile_guest: Callable[..., Path]) -> None:
    with playing(compile_guest("ping", "-static", source=PING), "--timeout", "1") as process:
        begin = time.monotonic()
        process.stdin, stdin = None, process.stdin  # which stays open
        process.communicate(timeout=120)
        assert process.returncode != 0
        assert time.monotonic() - begin < 100
        assert stdin is not None
        stdin.close()


LIMITED = r"""
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    int a[2], b[2], status, ended;
    char c = 0;
    long rounds = atol(argv[2]);
    struct rlimit limit = {atol(argv[1]), atol(argv[1]) + 5};
    pid_t child;
    signal(SIGPIPE, SIG_IGN);
    if (pipe(a) || pipe(b) || setrlimit(RLIMIT_CPU, &limit)) return 1;
    limit.rlim_cur = limit.rlim_max = 0;
    setrlimit(RLIMIT_CORE, &limit);
    for (int i = 0; i < 2; i++)
        if (!(child = fork())) {
            int from = i ? a[0] : b[0], to = i ? b[1] : a[1];
            close(i ? a[1] : b[1]), close(i ? b[0] : a[0]);
            if (!i && write(to, &c, 1) != 1) _exit(1);
            while (rounds-- && read(from, &c, 1) == 1 && write(to, &c, 1) == 1)
                for (volatile int k = 0; k < 2000; k++) ;
            _exit(0);
        }
    close(a[0]), close(a[1]), close(b[0]), close(b[1]);
    ended = 0;
    for (int i = 0; i < 2; i++)
        if (wait(&status) > 0 && WIFSIGNALED(status) && !ended)
            printf("the first was ended by %d\n", ended = WTERMSIG(status));
    if (!ended) puts("all went well");
    return 0;
}
"""


@needs_native
def test_those_with_a_limit_of_cpu_time_hand_over_at_once_too(
    compile_guest: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As all in a sandbox: no read waits by its handler."""
    waits = []
    general = LinuxTask.block

    def block(task: LinuxTask, *args: Any, **options: Any) -> None:
        waits.append(task.tid)
        return general(task, *args, **options)

    monkeypatch.setattr(LinuxTask, "block", block)
    program = compile_guest("limited", "-static", source=LIMITED)
    assert run_guest(program, "60", "1000", timeout=120).stdout == b"all went well\n"
    assert len(waits) < 20


@needs_native
def test_the_limit_ends_one_of_those_who_hand_over(compile_guest: Callable[..., Path]) -> None:
    """Of a second each, when both together have used two."""
    program = compile_guest("limited", "-static", source=LIMITED)
    begin = time.process_time()
    ours, theirs = run_guest(program, "1", str(1 << 40), timeout=400), run_host(program, "1", str(1 << 40))
    assert ours.stdout == theirs.stdout == b"the first was ended by 24\n"
    assert time.process_time() - begin < 20


ALONE = r"""
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
static volatile sig_atomic_t told;
static void tell(int number) { told = number; }
int main(int argc, char **argv)
{
    struct rlimit limit = {1, 5};
    struct rusage used;
    int ends[2], calls = !strcmp(argv[1], "calls");
    char c = 0;
    signal(SIGXCPU, tell);
    if (pipe(ends) || setrlimit(RLIMIT_CPU, &limit)) return 1;
    while (!told)
        if (calls && (write(ends[1], &c, 1) != 1 || read(ends[0], &c, 1) != 1)) return 2;
    getrusage(RUSAGE_SELF, &used);
    long centiseconds = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 100 +
                        (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 10000;
    if (centiseconds < 95 || centiseconds > 150) printf("after %ld\n", centiseconds);
    else puts("in time");
    return 0;
}
"""


@needs_native
@pytest.mark.parametrize("what", ["calls", "computes"])
def test_the_limit_of_one_alone_is_told_when_it_is_used_up(compile_guest: Callable[..., Path], what: str) -> None:
    program = compile_guest("alone", "-static", source=ALONE)
    assert run_guest(program, what, timeout=60).stdout == b"in time\n"
