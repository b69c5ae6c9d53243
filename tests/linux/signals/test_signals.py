"""Signals, timers and futexes give a program what the host's kernel gives it."""

from __future__ import annotations

import random
import time
from collections import deque

import pytest

from axptr.linux.abi.signals import (
    SIGKILL,
    SIGSEGV,
    Info,
    bit,
)
from axptr.linux.signals.pending import Pending
from engines import BOTH

from ..conftest import run_guest, run_host

ENGINES = BOTH
HEADERS = """
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/times.h>
#include <linux/futex.h>
#define R(call) do { errno = 0; long r_ = (long)(call); printf("%s = %ld %s\\n", #call, r_, r_ < 0 ? \\
    strerrorname_np(errno) : ""); } while (0)
static volatile sig_atomic_t got;
static void note(int n) { got = n; }
"""


def same_as_host(compile_guest, body: str, *, before: str = ""):
    source = HEADERS + before + "\nint main(int argc, char **argv) {\n" + body + "\nreturn 0; }"
    program = compile_guest("signals", "-static", source=source)
    host = run_host(program)
    ours = run_guest(program)
    assert ours.lines == host.lines
    assert ours.status == host.status
    assert ours.unknown == {}
    return ours


# -- what is pending


def test_pending_signals_are_taken_as_a_list_of_them_would_be():
    """A naive model: a list, searched. Standard signals once, real-time ones in order, SIGKILL and faults first."""
    choose = random.Random(9)
    for _ in range(200):
        pending, model = Pending(), deque()
        for step in range(60):
            signal = choose.choice((1, 2, SIGKILL, SIGSEGV, 12, 34, 35, 64))
            mask = choose.getrandbits(64)
            if choose.random() < 0.6:
                info = Info(signal, 0, value=step)
                standard = signal < 32 and any(i.signal == signal for i in model)
                assert pending.add(info) is not standard
                if not standard:
                    model.append(info)
            elif choose.random() < 0.1:
                pending.discard(mask)
                model = deque(i for i in model if not mask & bit(i.signal))
            else:
                ready = [i for i in model if mask & bit(i.signal)]
                first = min(ready, key=lambda i: (i.signal != SIGKILL, i.signal != SIGSEGV, i.signal), default=None)
                assert pending.take(mask) is first
                if first is not None:
                    model.remove(first)
            pending._check()
            assert pending.count == len(model)


def test_queueing_many_real_time_signals_costs_the_same_for_each():
    def cost(queued: int) -> float:
        pending = Pending()
        for n in range(queued):
            pending.add(Info(34 + n % 5, 0))
        best = 1.0
        for _ in range(20):
            begin = time.perf_counter()
            for n in range(200):
                pending.add(Info(34 + n % 5, 0))
                pending.take(~0)
            best = min(best, time.perf_counter() - begin)
        return best

    assert cost(50_000) < 5 * cost(50)


def test_sigtimedwait_takes_the_lowest_number_first_and_each_in_order(compile_guest):
    ours = same_as_host(
        compile_guest,
        """
        sigset_t all; sigfillset(&all); sigprocmask(SIG_BLOCK, &all, 0);
        union sigval v;
        v.sival_int = 1; sigqueue(getpid(), SIGRTMIN + 3, v);
        v.sival_int = 2; sigqueue(getpid(), SIGRTMIN, v);
        v.sival_int = 3; sigqueue(getpid(), SIGRTMIN, v);
        kill(getpid(), SIGUSR2); kill(getpid(), SIGHUP); kill(getpid(), SIGHUP);
        struct timespec none = {0, 0};
        siginfo_t info;
        for (int i = 0; i < 7; i++) {
            int r = sigtimedwait(&all, &info, &none);
            printf("%d %s code %d value %d own %d\\n", r, r < 0 ? strerrorname_np(errno) : "", r < 0 ? 0 : info.si_code,
                   r > 30 ? info.si_value.sival_int : 0, r < 0 || info.si_pid == getpid());
        }
        """,
    )
    assert ours.lines[0].startswith("1 ")


def test_a_full_queue_refuses_sigqueue_and_loses_the_details_of_kill(compile_guest):
    same_as_host(
        compile_guest,
        """
        sigset_t all; sigfillset(&all); sigprocmask(SIG_BLOCK, &all, 0);
        struct rlimit none = {0, 0};
        union sigval v = {0};
        R(setrlimit(RLIMIT_SIGPENDING, &none));
        R(sigqueue(getpid(), SIGRTMIN, v));
        R(kill(getpid(), SIGUSR1));
        R(sigpending(&all));
        R(sigismember(&all, SIGUSR1));
        R(sigismember(&all, SIGRTMIN));
        """,
    )


def test_sigaction_keeps_the_flags_that_linux_knows(compile_guest):
    """A program asks for SA_UNSUPPORTED (0x400) to see whether unknown flags are cleared."""
    same_as_host(
        compile_guest,
        """
        struct { void *handler; unsigned long flags; void *restorer; unsigned long mask; } a, old;
        for (int i = 0; i < 32; i++) {
            memset(&a, 0, sizeof a); memset(&old, 0, sizeof old);
            a.handler = note; a.flags = 1ul << i; a.mask = ~0ul;
            syscall(SYS_rt_sigaction, SIGUSR1, &a, 0, 8);
            syscall(SYS_rt_sigaction, SIGUSR1, 0, &old, 8);
            printf("%x -> %lx mask %lx\\n", 1u << i, old.flags, old.mask);
        }
        """,
    )


def test_stop_and_continue_take_each_other_off_while_pending(compile_guest):
    same_as_host(
        compile_guest,
        """
        sigset_t all, is; sigfillset(&all); sigprocmask(SIG_BLOCK, &all, 0);
        int steps[] = {SIGTSTP, SIGCONT, SIGTTIN, SIGTTOU, SIGCONT, SIGWINCH};
        for (int i = 0; i < 6; i++) {
            kill(getpid(), steps[i]); sigpending(&is);
            for (int s = 1; s < 32; s++) if (sigismember(&is, s)) printf("%d ", s);
            printf("\\n");
        }
        """,
    )


# -- timers


def test_interval_timers_of_cpu_time_fire_while_the_program_works_and_only_then(compile_guest):
    body = """
        signal(SIGPROF, note); signal(SIGVTALRM, note);
        struct itimerval t = {{0, 0}, {0, 30000}}, left;
        setitimer(%(which)s, &t, 0);
        usleep(100000);
        printf("after a sleep: %%d\\n", got);
        for (volatile long i = 0; !got && i < 4000000000; i++) {}
        printf("after work: %%d\\n", got);
        R(getitimer(%(which)s, &left)); R(left.it_value.tv_usec);
    """
    for which in ("ITIMER_PROF", "ITIMER_VIRTUAL"):
        same_as_host(compile_guest, body % {"which": which})


def test_timers_keep_their_interval_and_tell_what_is_left(compile_guest):
    same_as_host(
        compile_guest,
        """
        struct itimerval t = {{7, 250000}, {9, 500000}}, old;
        for (int which = 0; which < 3; which++) {
            R(setitimer(which, &t, 0)); R(getitimer(which, &old));
            printf("%ld %ld, %ld\\n", old.it_interval.tv_sec, old.it_interval.tv_usec, old.it_value.tv_sec);
        }
        R(alarm(100)); R(alarm(0)); R(alarm(0));
        t.it_value.tv_usec = 1000000; R(setitimer(0, &t, 0));
        R(setitimer(3, &t, 0)); R(getitimer(3, &old)); R(setitimer(0, 0, &old));
        """,
    )


def test_the_clocks_of_cpu_time_are_the_programs_own(compile_guest):
    """They stand still in a sleep, start at about nothing, and grow with work; other processes' are refused."""
    same_as_host(
        compile_guest,
        """
        struct timespec a, b; clockid_t id; struct rusage u; struct tms m;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
        printf("fresh: %d\\n", a.tv_sec == 0);
        usleep(200000);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
        printf("asleep: %d\\n", (b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec < 100000000);
        while (clock() < CLOCKS_PER_SEC / 4) {}
        getrusage(RUSAGE_SELF, &u); times(&m);
        printf("worked: %d %d\\n", u.ru_utime.tv_sec * 1000000 + u.ru_utime.tv_usec + u.ru_stime.tv_sec * 1000000 +
               u.ru_stime.tv_usec >= 240000, m.tms_utime + m.tms_stime >= 24);
        R(clock_getcpuclockid(0, &id)); R(clock_gettime(id, &a)); R(clock_getres(id, &b));
        R(clock_getcpuclockid(getpid(), &id)); R(clock_gettime(id, &a));
        R(clock_gettime(-1, &a)); R(clock_gettime(-2, &a)); R(clock_gettime(-3, &a)); R(clock_gettime(-9999999, &a));
        R(clock_gettime(10, &a)); R(clock_gettime(12, &a)); R(clock_gettime(99, &a));
        struct timespec t = {0, 1000};
        for (int c = 0; c < 12; c++) if (c != 2) printf("%d: %d\\n", c, clock_nanosleep(c, 0, &t, 0));
        """,
    )


@pytest.mark.timeout(600)  # two seconds of CPU time on each side, whoever else wants the machine
@pytest.mark.parametrize("handled", [True, False])
def test_a_limit_on_cpu_time_sends_its_signals(compile_guest, handled):
    same_as_host(
        compile_guest,
        f"""
        struct rlimit one = {{1, 2}};
        if ({int(handled)}) signal(SIGXCPU, note);
        R(setrlimit(RLIMIT_CPU, &one));
        while (!got) {{}}
        printf("signal %d\\n", got); fflush(stdout);
        for (;;) {{}}
        """,
    )


# -- calls that signals end


def test_a_wait_is_ended_or_made_again_as_the_handlers_flags_say(compile_guest):
    same_as_host(
        compile_guest,
        """
        int p[2]; char c; pipe(p); struct pollfd f = {p[0], POLLIN, 0}; struct timespec t = {5, 0}, left; fd_set s;
        sigset_t none; sigemptyset(&none); int word = 3;
        struct itimerval soon = {{0, 0}, {0, 50000}};
        for (int again = 0; again < 2; again++) {
            struct sigaction a = {.sa_handler = again ? feed : note, .sa_flags = again ? SA_RESTART : 0};
            end = p[1]; sigaction(SIGALRM, &a, 0);
            #define T(call) setitimer(ITIMER_REAL, &soon, 0); R(call)
            T(read(p[0], &c, 1));
            T(poll(&f, 1, 3000));
            if (f.revents) read(p[0], &c, 1);
            FD_ZERO(&s); FD_SET(p[0], &s);
            T(select(p[0] + 1, &s, 0, 0, 0));
            if (again) read(p[0], &c, 1);
            T(nanosleep(&t, &left)); R(left.tv_sec);
            if (again) read(p[0], &c, 1);
            T(pause());
            if (again) read(p[0], &c, 1);
            T(sigsuspend(&none));
            if (again) read(p[0], &c, 1);
            if (!again) { T(syscall(SYS_futex, &word, FUTEX_WAIT, 3, 0, 0, 0)); }
            T(syscall(SYS_futex, &word, FUTEX_WAIT, 3, &t, 0, 0));
        }
        """,
        before='static int end; static void feed(int n) { got = n; write(end, "x", 1); }',
    )


def test_futex_operations_on_two_words_are_the_hosts(compile_guest):
    same_as_host(
        compile_guest,
        """
        unsigned w = 5, x = 6; struct timespec now = {0, 1}, bad = {0, 2000000000};
        #define F(...) R(syscall(SYS_futex, __VA_ARGS__))
        F(&w, FUTEX_REQUEUE, 1, 1L, &x, 0); F(&w, FUTEX_CMP_REQUEUE, 1, 1L, &x, 5);
        F(&w, FUTEX_CMP_REQUEUE, 1, 1L, &x, 6);
        F(&w, FUTEX_REQUEUE, -1, 1L, &x, 0); F(&w, FUTEX_REQUEUE, 1, -1L, &x, 0);
        F(&w, FUTEX_CMP_REQUEUE, 1, 1L, 0L, 5);
        F(&w, FUTEX_CMP_REQUEUE, 1, 1L, (char *)&x + 1, 5);
        for (int op = 0; op < 16; op++) for (int cmp = 4; cmp < 8; cmp++) {
            unsigned how = (unsigned)op << 28 | cmp << 24 | 0xffd << 12 | 7;
            x = 0x1234; F(&w, FUTEX_WAKE_OP, 1, 1L, &x, how); printf("%d %d: %x\\n", op, cmp, x);
            how = (unsigned)op << 28 | cmp << 24 | 3 << 12;
            x = 0x1234; F(&w, FUTEX_WAKE_OP_PRIVATE, 1, 1L, &x, how); printf("%d %d: %x\\n", op, cmp, x);
        }
        F(&w, FUTEX_WAKE_OP, 1, 1L, 8L, 0); F(0L, FUTEX_WAKE_OP_PRIVATE, 1, 1L, &x, 0);
        F(&w, FUTEX_WAKE_OP, 1, 1L, main, 0);
        F(&w, FUTEX_WAIT | FUTEX_CLOCK_REALTIME, 5, &now, 0, 0);
        F(&w, FUTEX_WAIT | FUTEX_CLOCK_REALTIME, 5, &bad, 0, 0);
        F(&w, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 1, 0, 0, 0); F(&w, FUTEX_WAIT, 5, &bad, 0, 0);
        F(&w, FUTEX_WAIT, 4, 0, 0, 0);
        F(&w, FUTEX_WAIT_BITSET, 5, &now, 0, 0); F(&w, FUTEX_WAIT_BITSET, 5, &now, 0, 1);
        F(&w, FUTEX_WAIT, 5, &now, 0, 0);
        F(&w, FUTEX_WAKE_BITSET, 5, 0, 0, 0); F(&w, FUTEX_WAKE_BITSET, 5, 0, 0, 1); F(&w, 2, 5, 0, 0, 1);
        F(&w, 99, 5, 0, 0, 1);
        """,
    )


SHARED_AND_OWN = r"""
static int order[64], calls;
static void handler(int n) { order[calls++] = n; }
static void show(const char *what) {
    printf("%s:", what);
    for (int i = 0; i < calls; i++) printf(" %d", order[i]);
    printf("\n"); calls = 0;
}
static void status(void) {
    char line[256]; FILE *f = fopen("/proc/self/status", "r");
    while (fgets(line, sizeof line, f))
        if (!strncmp(line, "SigPnd", 6) || !strncmp(line, "ShdPnd", 6)) fputs(line, stdout);
    fclose(f);
    unsigned long long field = 0; f = fopen("/proc/self/stat", "r");
    for (int i = 1; i < 31; i++) fscanf(f, "%*s");
    fscanf(f, "%llu", &field); fclose(f); printf("stat %llu\n", field);
}
static void own(int n) { syscall(SYS_tgkill, getpid(), getpid(), n); }
static void queue(int n, int v, int tid) {
    siginfo_t info = { .si_signo = n, .si_code = SI_QUEUE };
    info.si_pid = getpid(); info.si_uid = getuid(); info.si_value.sival_int = v;
    if (tid) syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, n, &info);
    else syscall(SYS_rt_sigqueueinfo, getpid(), n, &info);
}
"""


def test_what_was_sent_to_the_thread_comes_before_what_was_sent_to_its_process(compile_guest):
    same_as_host(
        compile_guest,
        r"""
        sigset_t all, none; sigfillset(&all); sigemptyset(&none);
        struct sigaction act = { .sa_handler = handler, .sa_flags = SA_NODEFER };
        for (int n = 1; n < 65; n++) sigaction(n, &act, 0);
        sigprocmask(SIG_SETMASK, &all, 0);
        kill(getpid(), SIGUSR1); own(SIGUSR2); own(SIGHUP); kill(getpid(), SIGALRM); status();
        sigprocmask(SIG_SETMASK, &none, 0); show("order");
        sigprocmask(SIG_SETMASK, &all, 0);
        kill(getpid(), SIGUSR1); own(SIGUSR1); kill(getpid(), SIGUSR1); own(SIGUSR1); status();
        sigprocmask(SIG_SETMASK, &none, 0); show("both queues");
        sigprocmask(SIG_SETMASK, &all, 0);
        kill(getpid(), SIGSEGV); own(SIGHUP); own(SIGFPE); kill(getpid(), SIGUSR1);
        sigprocmask(SIG_SETMASK, &none, 0); show("those of faults");
        sigprocmask(SIG_SETMASK, &all, 0);
        queue(40, 1, 0); queue(40, 2, getpid()); queue(40, 3, 0); queue(39, 4, 0); queue(41, 5, getpid()); status();
        for (int i = 0; i < 6; i++) {
            siginfo_t info; struct timespec no = {0};
            int n = sigtimedwait(&all, &info, &no);
            printf("%d %d %d\n", n, n > 0 ? info.si_value.sival_int : 0, n > 0 ? info.si_code : 0);
        }
        kill(getpid(), SIGTSTP); own(SIGTSTP); own(SIGCONT); kill(getpid(), SIGCONT); status();
        kill(getpid(), SIGTSTP); status();
        signal(SIGTSTP, SIG_IGN); own(SIGUSR1); kill(getpid(), SIGUSR1); signal(SIGUSR1, SIG_IGN); status();
        siginfo_t info = { .si_code = SI_QUEUE };
        for (int i = 0; i < 5; i++) {
            int ids[5][2] = {{0, getpid()}, {getpid(), 0}, {-1, getpid()}, {getpid(), 4000000}, {getppid(), getpid()}};
            R(syscall(SYS_rt_tgsigqueueinfo, ids[i][0], ids[i][1], 10, &info));
            R(syscall(SYS_tgkill, ids[i][0], ids[i][1], 0));
        }
        R(syscall(SYS_tkill, 4000000, 0)); R(syscall(SYS_tkill, getpid(), 0)); R(syscall(SYS_tkill, getpid(), 65));
        """,
        before=SHARED_AND_OWN,
    )


def test_an_exec_keeps_what_is_pending_for_both(compile_guest):
    same_as_host(
        compile_guest,
        r"""
        sigset_t all; sigfillset(&all); sigprocmask(SIG_SETMASK, &all, 0);
        if (argc > 1) { status(); return 0; }
        kill(getpid(), SIGUSR1); own(SIGUSR2);
        execl("/proc/self/exe", "again", "1", NULL);
        """,
        before=SHARED_AND_OWN,
    )
