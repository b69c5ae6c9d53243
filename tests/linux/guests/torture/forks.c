// Processes: every way to fork and to wait, exit codes, orphans, groups, sessions. No numbers of processes are printed.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define R(x) do { errno = 0; long r_ = (long)(x); printf("%s: %ld %s\n", #x, r_ > 0 && r_ > 300 ? 300 : r_, errno ? strerrorname_np(errno) : ""); fflush(stdout); } while (0)
static void status(const char *what, int s) {
    if (WIFEXITED(s)) printf("%s: exited %d\n", what, WEXITSTATUS(s));
    else if (WIFSIGNALED(s)) printf("%s: killed %d\n", what, WTERMSIG(s));
    else if (WIFSTOPPED(s)) printf("%s: stopped %d\n", what, WSTOPSIG(s));
    else if (WIFCONTINUED(s)) printf("%s: continued\n", what);
    fflush(stdout);
}
static pid_t child(int code) { pid_t p = fork(); if (!p) _exit(code); return p; }
static int shared_pipe[2];
static void say(const char *t) { if (write(1, t, strlen(t)) < 0) _exit(99); }

static int tree(int depth) {
    if (!depth) return 1;
    int sum = 1, s;
    for (int i = 0; i < 2; i++) if (!fork()) _exit(tree(depth - 1));
    while (wait(&s) > 0) sum += WEXITSTATUS(s);
    return sum;
}

static void codes(void) {
    int s;
    for (int i = -1; i < 300; i += 60) { waitpid(child(i), &s, 0); status("exit", s); }
    int signals[] = {SIGKILL, SIGTERM, SIGSEGV, SIGUSR1, SIGALRM, SIGRTMIN + 3};
    for (int i = 0; i < 6; i++) {
        pid_t p = fork();
        if (!p) { raise(signals[i]); _exit(1); }
        waitpid(p, &s, 0); status("signal", s & ~0x80);
    }
    printf("tree %d\n", tree(4)); fflush(stdout);
}

static void waits(void) {
    int s; siginfo_t info; struct rusage u;
    R(wait(&s)); R(waitpid(-1, &s, WNOHANG)); R(waitpid(1 << 30, &s, 0)); R(waitpid(-(1 << 30), &s, 0));
    R(syscall(SYS_wait4, -1, &s, 0x10, 0)); R(syscall(SYS_wait4, 1 << 31, &s, 0, 0));
    R(waitid(P_ALL, 0, &info, 0)); R(waitid(7, 0, &info, WEXITED)); R(waitid(P_PID, 0, &info, WEXITED));
    R(waitid(P_PIDFD, 77, &info, WEXITED));
    pid_t p = child(7);
    memset(&info, 0, sizeof info);
    printf("waitid %d", waitid(P_PID, p, &info, WEXITED | WNOWAIT));
    printf(" %d %d %d %d\n", info.si_signo, info.si_code, info.si_status, info.si_pid == p);
    R(waitpid(p, &s, WNOHANG) == p); status("again", s);
    R(waitpid(p, &s, 0));
    p = fork(); if (!p) { for (;;) pause(); }
    R(waitpid(p, &s, WNOHANG)); R(waitid(P_PID, p, &info, WEXITED | WNOHANG)); printf("pid %d\n", info.si_pid);
    kill(p, SIGSTOP); waitpid(p, &s, WUNTRACED); status("stop", s);
    R(waitpid(p, &s, WUNTRACED | WNOHANG));
    kill(p, SIGCONT); waitpid(p, &s, WCONTINUED); status("cont", s);
    kill(p, SIGKILL); R(wait4(p, &s, 0, &u) == p); status("kill", s);
    R(wait4(-1, &s, 0, (void *)8));
    p = child(3); R(syscall(SYS_wait4, p, 8, 0, 0)); R(waitpid(p, &s, 0));
    pid_t first = child(1), second = child(2); int sum = 0;
    for (int i = 0; i < 2; i++) { pid_t q = wait(&s); sum += WEXITSTATUS(s) * (q == first ? 10 : q == second ? 1 : 0); }
    printf("both %d\n", sum);
    p = fork(); if (!p) { setpgid(0, 0); _exit(4); }
    setpgid(p, p);
    R(waitpid(-p, &s, 0) == p); status("group", s);
    p = fork(); if (!p) _exit(5);
    R(waitpid(0, &s, 0) == p);
    signal(SIGCHLD, SIG_IGN); p = child(1); R(waitpid(p, &s, 0)); signal(SIGCHLD, SIG_DFL);
    struct sigaction a = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT}; sigaction(SIGCHLD, &a, 0);
    p = child(1); R(wait(&s)); signal(SIGCHLD, SIG_DFL);
}

static void clones(void) {
    int s; char stack[16384];
    struct { unsigned long flags; unsigned long pidfd, child, parent, signal, stack, size, tls, set, nset, cgroup; } c;
    unsigned long bad[] = {CLONE_THREAD, CLONE_SIGHAND, CLONE_THREAD | CLONE_SIGHAND, CLONE_NEWNS | CLONE_FS,
        CLONE_NEWUSER | CLONE_FS, CLONE_PIDFD | CLONE_DETACHED, CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) R(syscall(SYS_clone, bad[i], 0, stack, 0, 0));
    memset(&c, 0, sizeof c);
    R(syscall(SYS_clone3, &c, 63)); R(syscall(SYS_clone3, &c, 5000)); R(syscall(SYS_clone3, 8, 64)); R(syscall(SYS_clone3, 0, 64));
    c.signal = 65; R(syscall(SYS_clone3, &c, sizeof c)); c.signal = 256; R(syscall(SYS_clone3, &c, sizeof c)); c.signal = 0;
    c.stack = 4096; R(syscall(SYS_clone3, &c, sizeof c)); c.stack = 0; c.size = 4096; R(syscall(SYS_clone3, &c, sizeof c)); c.size = 0;
    c.flags = CLONE_DETACHED; R(syscall(SYS_clone3, &c, sizeof c)); c.flags = 1; R(syscall(SYS_clone3, &c, sizeof c));
    c.flags = 1ull << 40; R(syscall(SYS_clone3, &c, sizeof c)); c.flags = CLONE_PARENT; c.signal = SIGCHLD; R(syscall(SYS_clone3, &c, sizeof c));
    c.flags = CLONE_SIGHAND | 1ull << 32 | CLONE_VM; c.signal = 0; R(syscall(SYS_clone3, &c, sizeof c));
    c.flags = 0; c.nset = 1; R(syscall(SYS_clone3, &c, sizeof c)); c.nset = 40; c.set = 1; R(syscall(SYS_clone3, &c, sizeof c)); c.nset = c.set = 0;
    int fd = -1, parent = -1;
    c.flags = CLONE_PIDFD | CLONE_PARENT_SETTID; c.pidfd = (long)&fd; c.parent = (long)&parent; c.signal = SIGCHLD;
    fflush(stdout);
    pid_t p = syscall(SYS_clone3, &c, sizeof c);
    if (!p) _exit(9);
    printf("told %d %d\n", parent == p, fcntl(fd, F_GETFD) == FD_CLOEXEC);
    struct pollfd pf = {fd, POLLIN, 0}; R(poll(&pf, 1, 5000)); printf("revents %x\n", pf.revents);
    siginfo_t info; R(waitid(P_PIDFD, fd, &info, WEXITED)); printf("%d %d\n", info.si_status, info.si_pid == p);
    R(waitid(P_PIDFD, fd, &info, WEXITED)); R(syscall(SYS_pidfd_send_signal, fd, 0, 0, 0)); close(fd);
    R(syscall(SYS_pidfd_open, 0, 0)); R(syscall(SYS_pidfd_open, getpid(), 1 << 20)); R(syscall(SYS_pidfd_open, 1 << 30, 0));
    p = fork(); if (!p) { for (;;) pause(); }
    fd = syscall(SYS_pidfd_open, p, 0); pf.fd = fd; R(fd >= 0); R(poll(&pf, 1, 0));
    R(syscall(SYS_pidfd_send_signal, fd, SIGTERM, 0, 0)); R(poll(&pf, 1, 5000)); waitpid(p, &s, 0); status("by pidfd", s); close(fd);
    p = syscall(SYS_clone, 0, 0, 0, 0, 0); if (!p) _exit(2);
    R(waitpid(p, &s, 0)); R(waitpid(p, &s, __WCLONE) == p); status("no signal", s);
    signal(SIGUSR2, SIG_IGN); p = syscall(SYS_clone, SIGUSR2, 0, 0, 0, 0); if (!p) _exit(2);
    R(waitpid(p, &s, __WALL) == p); status("other signal", s);
    volatile int *word = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    p = vfork(); if (!p) { *word = 5; _exit(6); } printf("vfork %d\n", *word); waitpid(p, &s, 0); status("vfork", s);
    p = fork(); if (!p) { *word = 7; _exit(0); } waitpid(p, &s, 0); printf("fork %d\n", *word);
    int tid = 1; p = syscall(SYS_clone, CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD, 0, 0, &tid, 0);
    if (!p) _exit(tid == getpid()); waitpid(p, &s, 0); printf("child tid %d, ours %d\n", WEXITSTATUS(s), tid);
}

static void relatives(void) {
    int s, fds[2]; char c; if (pipe(fds)) return;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (!fork()) { if (!fork()) { while (getppid() != 1 && read(fds[0], &c, 1) != 1); _exit(21); } _exit(20); }
    wait(&s); status("parent", s); c = 1; if (write(fds[1], &c, 1) != 1) return;
    R(wait(&s) > 0); status("orphan", s); R(wait(&s));
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    pid_t p = fork();
    if (!p) {
        pid_t mid = fork();
        if (!mid) { prctl(PR_SET_PDEATHSIG, SIGKILL); c = 2; if (write(fds[1], &c, 1) < 0) {} for (;;) pause(); }
        prctl(PR_SET_CHILD_SUBREAPER, 0); if (read(fds[0], &c, 1) < 0) {} _exit(0);
    }
    waitpid(p, &s, 0); status("middle", s);
    R(getpgid(0) == getpgrp()); R(getsid(0) == getsid(getpid())); R(getpgid(1 << 30)); R(setpgid(0, -1)); R(setpgid(1 << 30, 0));
    R(setpgid(getpid(), 1 << 30));
    p = fork();
    if (!p) {
        R(setpgid(0, 0)); R(getpgrp() == getpid()); R(setsid());
        pid_t q = fork();
        if (!q) { R(setsid() == getpid()); R(getpgrp() == getpid()); R(setpgid(0, 0)); R(setpgid(0, getppid())); R(setsid()); _exit(0); }
        waitpid(q, &s, 0);
        q = child(0); R(setpgid(q, q)); waitpid(q, &s, 0); R(setpgid(q, q));
        int ended[2]; if (pipe2(ended, O_CLOEXEC)) _exit(1); /* by the exec */
        q = fork(); if (!q) { char *a[] = {"sleep", "1000", 0}; execv("/bin/sleep", a); _exit(1); }
        close(ended[1]); if (read(ended[0], &c, 1)) {} close(ended[0]); R(setpgid(q, q)); kill(q, SIGKILL); waitpid(q, &s, 0);
        _exit(0);
    }
    waitpid(p, &s, 0); status("session", s);
    p = fork();
    if (!p) { setpgid(0, 0); for (int i = 0; i < 3; i++) if (!fork()) for (;;) pause(); usleep(100000); kill(0, SIGTERM); _exit(1); }
    waitpid(p, &s, 0); status("whole group", s);
}

static volatile int seen; static volatile siginfo_t last;
static void on_child(int n, siginfo_t *i, void *u) { seen++; last = *i; }
static void told(void) {
    struct sigaction a = {.sa_sigaction = on_child, .sa_flags = SA_SIGINFO | SA_RESTART}; sigaction(SIGCHLD, &a, 0);
    int s; pid_t p = child(11); while (!seen) usleep(1000);
    printf("SIGCHLD %d: code %d status %d pid %d uid %d\n", seen, last.si_code, last.si_status, last.si_pid == p, last.si_uid == getuid());
    waitpid(p, &s, 0); seen = 0;
    p = fork(); if (!p) for (;;) pause();
    kill(p, SIGSTOP); while (!seen) usleep(1000); printf("stop: code %d status %d\n", last.si_code, last.si_status); seen = 0;
    kill(p, SIGCONT); while (!seen) usleep(1000); printf("cont: code %d status %d\n", last.si_code, last.si_status); seen = 0;
    kill(p, SIGKILL); while (!seen) usleep(1000); printf("kill: code %d status %d\n", last.si_code, last.si_status);
    waitpid(p, &s, 0); signal(SIGCHLD, SIG_DFL);
}

static void files(void) {
    int fd = open("/proc/self/exe", O_RDONLY), s; char b[4];
    pid_t p = fork(); if (!p) { if (read(fd, b, 4) < 0) {} close(fd); _exit(0); } waitpid(p, &s, 0);
    printf("shared offset %ld\n", (long)lseek(fd, 0, SEEK_CUR));
    p = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0); if (!p) { close(fd); _exit(0); } waitpid(p, &s, 0); R(fcntl(fd, F_GETFD));
    p = syscall(SYS_clone, CLONE_FS | SIGCHLD, 0, 0, 0, 0); if (!p) { umask(0123); if (chdir("/usr")) {} _exit(0); } waitpid(p, &s, 0);
    printf("umask %o cwd %s\n", umask(022), getcwd((char[100]){0}, 100));
    p = fork(); if (!p) { umask(0); if (chdir("/")) {} _exit(0); } waitpid(p, &s, 0); printf("umask %o cwd %s\n", umask(022), getcwd((char[100]){0}, 100));
    if (pipe(shared_pipe)) return;
    if (!fork()) { close(shared_pipe[0]); for (int i = 0; i < 100; i++) if (write(shared_pipe[1], "0123456789", 10) != 10) _exit(1); _exit(0); }
    close(shared_pipe[1]); int sum = 0, n; char buf[64]; while ((n = read(shared_pipe[0], buf, 64)) > 0) sum += n; wait(&s); printf("piped %d\n", sum);
    int q[2]; if (pipe(q)) return; close(q[0]); signal(SIGPIPE, SIG_DFL);
    p = fork(); if (!p) { if (write(q[1], "x", 1) < 0) {} _exit(1); } waitpid(p, &s, 0); status("SIGPIPE", s);
}
int main(int argc, char **argv) {
    setvbuf(stdout, 0, _IOLBF, 0);
    codes(); waits(); clones(); relatives(); told(); files(); say("end\n");
    return 0;
}
