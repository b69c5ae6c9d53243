# ruff: noqa: E501 - C programs
"""Signals to who waits for an answer to its call (seccomp_unotify(2)): each side sees what it sees on the host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import engines

from ..conftest import run_guest, run_host

Compile = Callable[..., Path]
FLAGS = ("-O1", "-static", "-pthread")

SIGNALS = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
static struct seccomp_notif q;
static volatile int hits, *shared;
static void handler(int s) { (void)s; hits++; syscall(SYS_getuid); }
static int code_of(int r) { return r < 0 ? -errno : r; }
static int receive(int l) { memset(&q, 0, sizeof q); return code_of(ioctl(l, SECCOMP_IOCTL_NOTIF_RECV, &q)); }
static int reply(int l, long value, int flags) {
    struct seccomp_notif_resp r = {q.id, value, 0, flags};
    return code_of(ioctl(l, SECCOMP_IOCTL_NOTIF_SEND, &r));
}
static int events(int l, int ms) { struct pollfd p = {l, POLLIN | POLLOUT, 0}; poll(&p, 1, ms); return p.revents; }
static void ended(pid_t p) { int s; waitpid(p, &s, 0); printf("ended %x\n", s); }
static pid_t child(int flags, void (*body)(void), int *l) {
    *shared = -1;
    pid_t p = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
    if (!p) {
        struct sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mkdir, 0, 1),
                                     BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
        struct sock_fprog program = {4, code};
        struct sigaction a = {.sa_handler = handler, .sa_flags = SA_RESTART};
        sigaction(SIGUSR1, &a, 0);
        *shared = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER | flags, &program);
        body();
        _exit(0);
    }
    while (*shared == -1) usleep(1000);
    *l = *shared;
    return p;
}
static int call(void) { return code_of(syscall(SYS_mkdir, "/none/there", 0700)); }
static void calls(void) { for (int i = 0; i < 30; i++) { if (call() != -ENOENT) _exit(1); while (hits == i) sched_yield(); } }
static void once(void) { int r = call(); printf("it gave %d after %d\n", r, hits); fflush(stdout); }
int main(void) {
    pid_t p; int l, i;
    shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    setvbuf(stdout, 0, _IOLBF, 0);
    puts("-- let go on, with a signal behind it");
    p = child(0, calls, &l);
    for (i = 0; i < 30; i++) { receive(l); reply(l, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE); kill(p, SIGUSR1); }
    ended(p); printf("%x\n", events(l, 0)); close(l);
    puts("-- the same, one that is to end it");
    p = child(0, once, &l);
    receive(l); kill(p, SIGTERM); ended(p); printf("%d\n", reply(l, 0, 0)); close(l);
    puts("-- disturbed by its end alone, by a signal, one that stops it, one that ends it");
    p = child(32, once, &l);
    printf("%d\n", receive(l)); kill(p, SIGUSR1); usleep(30000); printf("%x\n", events(l, 0));
    kill(p, SIGSTOP); usleep(30000); kill(p, SIGCONT); usleep(30000); printf("%x\n", events(l, 0));
    i = reply(l, 7, 0); ended(p); printf("%d\n", i); close(l);
    p = child(32, once, &l);
    printf("%d\n", receive(l)); kill(p, SIGTERM); ended(p); printf("%x\n", events(l, 0)); close(l);
    puts("-- so is who waits for its child's exec");
    p = fork();
    if (!p) { if (!vfork()) { alarm(20); for (;;) pause(); } _exit(3); }
    usleep(50000); kill(p, SIGTERM); ended(p);
    return 0;
}
"""


@pytest.mark.parametrize("options", [{}, {"engine_jobs": 2}], ids=["alone", "beside"])
def test_signals_to_who_waits_for_an_answer_do_what_they_do_on_the_host(
    compile_guest: Compile, options: dict[str, int]
) -> None:
    if options and engines.missing("native") is not None:
        pytest.skip("needs the native engine")
    program = compile_guest("signals", *FLAGS, source=SIGNALS)
    host = run_host(program)
    if b"ended f\n" not in host.stdout:
        pytest.skip("the host's seccomp has no such listeners")
    ours = run_guest(program, **options)
    assert ours.stdout == host.stdout
