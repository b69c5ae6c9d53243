"""Signals among processes and threads, stops and what parents hear of them, as the host has them, line by line."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from axptr import LinuxError
from axptr.linux.abi.signals import SIGCONT
from axptr.linux.signals.sending import require_permission
from axptr.linux.task.creds import Credentials

from ..conftest import ENVIRONMENT, run_guest


def host_lines(program: Path, *arguments: str) -> list[str]:
    """The host's run in a session of its own: what it signals is its own."""
    done = subprocess.run(
        [program, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=ENVIRONMENT,
        timeout=300,
        start_new_session=True,
    )
    assert done.returncode == 0
    return done.stdout.decode().splitlines()


def test_processes_and_threads_signal_stop_and_continue_each_other_as_on_the_host(compile_guest):
    program = compile_guest("kill", "-static", "-pthread")
    for _ in range(4):  # some lines depend on who was faster, here and on the host
        host, ours = host_lines(program), run_guest(program)
        if ours.lines == host:
            break
    assert len(host) > 120
    assert ours.lines == host
    assert ours.unknown == {}


def _process(uids: tuple[int, int, int], sid: int = 1) -> SimpleNamespace:
    creds = Credentials(uids, (0, 0, 0), ())
    return SimpleNamespace(live=1, sid=sid, leader=SimpleNamespace(creds=creds))


@pytest.mark.parametrize(
    ("own", "theirs", "signal", "allowed"),
    [
        ((0, 0, 0), (5, 5, 5), 9, True),
        ((5, 5, 5), (5, 6, 6), 9, True),
        ((5, 5, 5), (6, 6, 5), 9, True),
        ((6, 5, 6), (5, 7, 7), 9, True),
        ((5, 5, 5), (6, 5, 6), 9, False),  # their effective user does not count
        ((6, 6, 5), (5, 5, 5), 0, False),  # nor our saved one
        ((5, 5, 5), (6, 6, 6), SIGCONT, True),
        ((5, 5, 5), (6, 6, 6), 9, False),
    ],
)
def test_who_may_signal_whom(own, theirs, signal, allowed):
    task = SimpleNamespace(group=_process(own), creds=Credentials(own, (0, 0, 0), ()))
    if allowed:
        require_permission(task, _process(theirs), signal)
    else:
        with pytest.raises(LinuxError):
            require_permission(task, _process(theirs), signal)
    if signal == SIGCONT:
        with pytest.raises(LinuxError):
            require_permission(task, _process(theirs, sid=2), signal)


def test_the_limit_on_signals_on_their_way_counts_those_of_all_processes(compile_guest):
    """On the host others of the same user would count too: no comparison."""
    source = r"""
    #include <errno.h>
    #include <signal.h>
    #include <stdio.h>
    #include <string.h>
    #include <sys/resource.h>
    #include <sys/wait.h>
    #include <time.h>
    #include <unistd.h>
    #define P(call) printf("%d ", call)
    static int queue(pid_t to) { union sigval v = {0}; return sigqueue(to, SIGRTMIN, v) ? errno : 0; }
    int main(void) {
        sigset_t all; sigfillset(&all); sigprocmask(SIG_BLOCK, &all, 0);
        struct rlimit limit = {4, 4}; setrlimit(RLIMIT_SIGPENDING, &limit);
        pid_t child = fork();
        if (!child) { pause(); _exit(0); }
        P(queue(child)); P(queue(child)); P(queue(getpid())); puts("");
        timer_t timer; P(timer_create(CLOCK_MONOTONIC, 0, &timer)); P(queue(getpid())); puts("");
        timer_delete(timer); P(queue(getpid())); P(queue(child)); puts("");
        kill(child, SIGKILL); waitpid(child, 0, 0);  /* SIGCHLD has a place too */
        P(queue(getpid())); P(queue(getpid())); puts("");
        siginfo_t info; struct timespec none = {0, 0};
        while (sigtimedwait(&all, &info, &none) > 0) ;
        P(queue(getpid())); puts("");
        return 0;
    }
    """
    ours = run_guest(compile_guest("sigpending", "-static", source=source))
    assert [line.split() for line in ours.lines] == [[*"000"], ["0", "11"], ["0", "11"], ["0", "11"], ["0"]]
