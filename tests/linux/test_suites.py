"""What public suites of tests of system calls ask, where they found an answer that was not the host's. A short program
each, whose lines are compared; `least` lines of it tell of what it is about."""

from __future__ import annotations

import pytest

from .conftest import run_guest, run_host

HEADERS = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
static long told(int line, const char *what, long result) {
    printf("%d: %s = %ld %s\n", line, what, result, result == -1 ? strerrorname_np(errno) : "");
    fflush(stdout);
    errno = 0;
    return result;
}
#define R(call) told(__LINE__, #call, (long)(call))
static void pass(int milliseconds) {
    struct timespec left = {0, milliseconds * 1000000L};
    while (nanosleep(&left, &left) && errno == EINTR);
}
"""

CASES = {
    "a stop comes to who waits after it was stopped and went on": (
        5,
        r"""
static volatile siginfo_t last;
static void note(int signal, siginfo_t *info, void *context) { last = *info; }
int main(void) {
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGCONT);
    sigprocmask(SIG_BLOCK, &mask, 0);
    sigaction(SIGCONT, &action, 0);
    int child = fork(), status;
    if (!child) {
        raise(SIGSTOP);
        for (;;) pause();
    }
    R(waitpid(child, &status, WUNTRACED) == child);
    sigaction(SIGCHLD, &action, 0);
    kill(child, SIGCONT);
    pass(30);
    R(last.si_status);
    kill(child, SIGSTOP);
    for (int i = 0; i < 100 && last.si_status != SIGSTOP; i++) pass(20);
    R(last.si_status);
    R(last.si_code);
    kill(child, SIGKILL);
    R(waitpid(child, &status, 0) == child);
}
""",
    ),
    "an ordinary user signals a child that has ended, and changes nobody else": (
        12,
        r"""
int main(void) {
    int root = !getuid(), other = fork(), status, mine;
    if (!other)
        for (;;) pause();
    int user = fork();
    if (!user) {
        if (root)
            R(setresuid(65534, 65534, 65534));
        mine = fork();
        if (!mine) _exit(3);
        siginfo_t info;
        waitid(P_PID, mine, &info, WEXITED | WNOWAIT);
        R(kill(mine, 0));
        R(kill(mine, SIGKILL));
        R(syscall(SYS_tgkill, mine, mine, SIGKILL));
        R(waitpid(mine, &status, 0) == mine);
        if (!root) _exit(0);
        struct sched_param param = {0};
        R(kill(other, 0));
        R(sched_setscheduler(other, SCHED_OTHER, &param));
        R(sched_setparam(other, &param));
        R(setpriority(PRIO_PROCESS, other, 5));
        R(syscall(SYS_ioprio_set, 1, other, 2 << 13 | 4));
        R(sched_getscheduler(other));
        struct {
            uint32_t size, policy;
            uint64_t flags[5];
        } attr = {48};
        R(syscall(SYS_sched_setattr, other, &attr, 0));
        _exit(0);
    }
    R(waitpid(user, &status, 0) == user && status == 0);
    kill(other, SIGKILL);
    wait(0);
}
""",
    ),
    "who owns an open file is somebody that there is": (
        6,
        r"""
int main(void) {
    int pair[2], who = 123456789;
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    R(ioctl(pair[0], 0x8901, &who));
    who = -123456789;
    R(ioctl(pair[0], 0x8902, &who));
    who = 1 << 31;
    R(ioctl(pair[0], 0x8902, &who));
    who = getpid();
    R(ioctl(pair[0], 0x8901, &who));
    R(ioctl(pair[0], 0x8903, &who));
    R(who == getpid());
}
""",
    ),
    "an error that waits is told before the message that came": (
        9,
        r"""
int main(void) {
    char byte;
    for (int type = SOCK_STREAM; type <= SOCK_SEQPACKET; type += 4) {
        int pair[2];
        socketpair(AF_UNIX, type, 0, pair);
        write(pair[0], "x", 1);
        write(pair[1], "y", 1);
        close(pair[1]);
        for (int i = 0; i < 3; i++)
            R(recv(pair[0], &byte, 1, MSG_DONTWAIT));
        struct pollfd look = {pair[0], 0x7fff};
        R(poll(&look, 1, 0));
        R(look.revents);
        R(send(pair[0], "z", 1, MSG_NOSIGNAL));
    }
    struct pollfd look = {socket(AF_NETLINK, SOCK_RAW, 0), 0x7fff};
    R(poll(&look, 1, 0));
    R(look.revents);
}
""",
    ),
    "a file of memfd_create is executed while it is open, but not when it was opened again for writing": (
        8,
        r"""
int main(void) {
    for (int i = 0; i < 4; i++) {
        char data[65536], name[40];
        int fd = memfd_create("program", 0), from = open("/bin/true", O_RDONLY), again = -1, status;
        for (int count; (count = read(from, data, sizeof data)) > 0;) write(fd, data, count);
        sprintf(name, "/proc/self/fd/%d", fd);
        if (i == 1) again = open(name, O_RDWR);
        if (i == 2) mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (i == 3) again = open(name, O_RDONLY);
        for (int way = 0; way < 2; way++) {
            int child = fork();
            char *words[] = {"true", 0};
            if (!child) {
                R(way ? execve(name, words, words) : fexecve(fd, words, words));
                _exit(9);
            }
            waitpid(child, &status, 0);
            R(status);
        }
    }
}
""",
    ),
    "a rename to another name of the same file tells nobody": (
        6,
        r"""
int main(void) {
    close(open("one", O_CREAT | O_WRONLY, 0600));
    link("one", "two");
    for (int flags = 0; flags <= 2; flags += 2) {
        int fd = inotify_init1(IN_NONBLOCK);
        char events[400];
        inotify_add_watch(fd, ".", IN_ALL_EVENTS);
        inotify_add_watch(fd, "one", IN_ALL_EVENTS);
        R(syscall(SYS_renameat2, AT_FDCWD, "one", AT_FDCWD, "two", flags));
        R(read(fd, events, sizeof events));
        R(access("one", F_OK));
    }
}
""",
    ),
    "a TCP socket has no queue of errors to wait for": (
        2,
        r"""
int main(void) {
    char byte;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    R(recv(fd, &byte, 1, MSG_ERRQUEUE));
    R(listen(fd, 1));
    R(recv(fd, &byte, 1, MSG_ERRQUEUE));
}
""",
    ),
    "a tracer answers calls in the kernel's place": (
        18,
        r"""
static int child;
static struct user_regs_struct regs;
static int stop(int request) {
    int status;
    ptrace(request, child, 0, 0);
    if (waitpid(child, &status, 0) != child) return -1;
    if (WIFSTOPPED(status)) ptrace(PTRACE_GETREGS, child, 0, &regs);
    return status;
}
int main(void) {
    child = fork();
    if (!child) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        long first = syscall(SYS_getppid), second = syscall(SYS_getpid), third = syscall(SYS_exit_group, 9);
        asm volatile("nop; nop; nop");
        syscall(SYS_exit_group, first == 71 && second == 72 && third == -1 && errno == ENOSYS ? 6 : 7);
    }
    int status;
    waitpid(child, &status, 0);
    ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD);
    do R(stop(PTRACE_SYSEMU));
    while (regs.orig_rax != SYS_getppid);
    R(regs.orig_rax);
    R(regs.rax);
    regs.rax = 71;
    ptrace(PTRACE_SETREGS, child, 0, &regs);
    R(stop(PTRACE_SYSCALL));  /* the end of the one that was not done */
    R(regs.rax);
    R(stop(PTRACE_SYSEMU));
    R(regs.orig_rax);
    regs.rax = 72;
    ptrace(PTRACE_SETREGS, child, 0, &regs);
    R(stop(PTRACE_SYSEMU));
    R(regs.orig_rax);
    struct { uint8_t op, rest[7]; uint64_t ip, sp, number, words[6]; } info;
    R(ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info) > 0);
    R(info.op);
    R(info.number);
    int steps = 0;
    uint64_t before = regs.rip;
    R(stop(32));  /* PTRACE_SYSEMU_SINGLESTEP */
    R(regs.rip > before);
    do steps++, status = stop(32);
    while (status == (SIGTRAP << 8 | 0x7f) && steps < 100000);
    R(status);
    R(steps > 3);
    R(regs.orig_rax);
    R(regs.rdi);
    R(ptrace(PTRACE_KILL, child, 0, 0));
    waitpid(child, &status, 0);
}
""",
    ),
    "a control character is echoed as two, whatever is made of output": (
        8,
        r"""
int main(void) {
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK), count;
    unlockpt(master);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_NONBLOCK);
    for (int post = 0; post < 2; post++) {
        struct termios modes;
        char bytes[200];
        tcgetattr(slave, &modes);
        modes.c_oflag = post ? OPOST | OLCUC : 0;
        modes.c_lflag = ICANON | ECHO | ECHOE | ECHOCTL | ECHOK | ECHOKE | IEXTEN;
        tcsetattr(slave, TCSANOW, &modes);
        const char *typed[] = {"a\x01\n", "b\x1b\tc\x7f\x7f\x7f\n", "\x01\x02\tx\x15\n"};
        for (int i = 0; i < 3; i++) {
            write(master, typed[i], strlen(typed[i]));
            pass(50);
            R(count = read(master, bytes, sizeof bytes));
            for (int k = 0; k < count; k++) printf("%02x", bytes[k] & 255);
            puts("");
        }
    }
}
""",
    ),
    "the groups that status tells end with a blank, those of none too": (
        3,
        r"""
int main(void) {
    for (int count = 0; count < 3; count++) {
        gid_t groups[] = {7, 3};
        if (syscall(SYS_setgroups, count, groups)) R(errno);  /* an ordinary user keeps what there is */
        char line[200];
        FILE *file = fopen("/proc/self/status", "r");
        while (fgets(line, sizeof line, file))
            if (!strncmp(line, "Groups:", 7)) printf("%.*s|\n", (int)strlen(line) - 1, line);
        fclose(file);
    }
}
""",
    ),
    "what clone and a pidfd take and tell": (
        5,
        r"""
int main(void) {
    int status, child = syscall(SYS_clone, 65, 0, 0, 0, 0);  /* a signal that there is not: nobody is told */
    if (!child) _exit(3);
    R(waitpid(child, &status, 0));
    R(waitpid(child, &status, __WALL) == child);
    R(status);
    int fd = syscall(SYS_pidfd_open, getpid(), O_NONBLOCK);
    R(fcntl(fd, F_GETFL));
    R(syscall(SYS_arch_prctl, 0x1011, 0));
}
""",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_answers_are_the_hosts(name, compile_guest, tmp_path):
    least, source = CASES[name]
    program = compile_guest("suite", "-w", "-pthread", source=HEADERS + source)
    lines = []
    for side, run, options in (("host", run_host, {}), ("ours", run_guest, {"allow_write": [tmp_path / "ours"]})):
        (tmp_path / side).mkdir()
        done = run(program, cwd=tmp_path / side, **options)
        assert done.status == 0, done
        lines.append(done.lines)
    assert lines[1] == lines[0]
    assert len(lines[0]) >= least
