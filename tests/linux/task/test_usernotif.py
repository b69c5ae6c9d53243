# ruff: noqa: E501 - C programs
"""Filters of seccomp that have another answer a call (seccomp_unotify(2)): each side is told what the host's kernel tells it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import engines
from axptr.linux import PIPE, Linux
from axptr.linux.files.usernotif import ListenerFile

from ..conftest import run_guest, run_host
from ..snapshots.test_branch import ask

Compile = Callable[..., Path]
FLAGS = ("-O1", "-static", "-pthread")


def test_who_listens_to_a_filter_answers_as_on_the_host(compile_guest: Compile, tmp_path: Path) -> None:
    program = compile_guest("usernotif", *FLAGS)
    (tmp_path / "host").mkdir()
    (tmp_path / "ours").mkdir()
    host = run_host(program, cwd=tmp_path / "host")
    if b"-- plain" not in host.stdout or b"asked: 41" not in host.stdout:
        pytest.skip("the host's seccomp has no listeners")
    ours = run_guest(program, cwd=tmp_path / "ours", allow_write=[tmp_path / "ours"])
    assert ours.stdout == host.stdout


ASKS = r"""
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
static volatile int listener = -1;
static void *target(void *unused) {
    struct sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
                                 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {4, code};
    listener = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    return (void *)syscall(SYS_getppid);
}
int main(void) {
    pthread_t t; struct seccomp_notif q = {0}; struct seccomp_notif_resp a = {0}; void *gave; char c;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    pthread_create(&t, 0, target, 0);
    while (listener == -1) usleep(100);
    ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &q);
    puts("asked"); fflush(stdout);
    read(0, &c, 1);
    a.id = q.id; a.val = c;
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &a);
    pthread_join(t, &gave);
    printf("%c\n", (char)(long)gave); fflush(stdout);
}
"""


@pytest.mark.skipif(engines.missing("native") is not None, reason="needs the native engine")
def test_a_call_that_waits_for_an_answer_gets_it_in_each_branch(compile_guest: Compile) -> None:
    program = compile_guest("asks", *FLAGS, source=ASKS)
    with Linux(engine="native") as linux:
        linux.spawn([str(program)], stdin=PIPE, stdout=PIPE, stderr=2)
        assert ask(linux) == b"asked\n"
        snap = linux.snapshot()
        with Linux.from_snapshot(snap) as branch:
            assert ask(branch, b"b") == b"b\n"
        assert ask(linux, b"a") == b"a\n"
        linux.restore(snap)
        assert ask(linux, b"c") == b"c\n"


UNHEARD = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>
static void handler(int s) { (void)s; }
int main(void) {
    struct sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
                                 BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {4, code};
    struct sigaction a = {.sa_handler = handler};
    struct itimerval t = {{0, 1000}, {0, 1000}};
    int interrupted = 0;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program) < 0) return 1;
    sigaction(SIGALRM, &a, 0);
    setitimer(ITIMER_REAL, &t, 0);
    for (int i = 0; i < 50; i++) interrupted += syscall(SYS_getppid) == -1 && errno == EINTR;
    printf("%d\n", interrupted);
}
"""


def test_calls_that_nobody_listened_to_leave_nothing_behind(
    compile_guest: Compile, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = compile_guest("unheard", *FLAGS, source=UNHEARD)
    most: list[int] = []
    ask_ours = ListenerFile.ask
    monkeypatch.setattr(
        ListenerFile, "ask", lambda self, *args: (ask_ours(self, *args), most.append(len(self.asked)))[0]
    )
    assert run_guest(program).stdout == b"50\n"
    assert len(most) == 50
    assert max(most) == 1
