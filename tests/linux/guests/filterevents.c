// A filter has calls stop for a tracer (SECCOMP_RET_TRACE): what the tracer is told, and what it makes of them.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SEEN(call, action) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1), BPF_STMT(BPF_RET | BPF_K, action)

static int say(long got) { return got == -1 ? -errno : got; }

static void child(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        SEEN(SYS_getppid, SECCOMP_RET_TRACE | 7),
        SEEN(SYS_getuid, SECCOMP_RET_TRACE | 0xffff),
        SEEN(SYS_getgid, SECCOMP_RET_ERRNO | 33),
        SEEN(SYS_clock_nanosleep, SECCOMP_RET_TRACE | 0x100),
        SEEN(SYS_restart_syscall, SECCOMP_RET_TRACE | 0x200),
        SEEN(SYS_fork, SECCOMP_RET_TRACE | 9),
        SEEN(SYS_mknodat, SECCOMP_RET_KILL_THREAD),
        SEEN(SYS_exit_group, SECCOMP_RET_TRACE | 11),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGCHLD);
    sigprocmask(SIG_BLOCK, &ends, 0);
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
    int got[8];
    for (int round = 0; round < 6; round++) {
        got[0] = say(syscall(SYS_getppid, 1, 2, 3, 4, 5, 6)) > 1;
        got[1] = say(syscall(SYS_getuid)) == (int)syscall(SYS_geteuid);
        got[2] = say(syscall(SYS_getgid));
        printf("child, round %d: %d %d %d\n", round, got[0], got[1], got[2]);
        fflush(stdout);
    }
    struct timespec a_little = {0, 30000000};
    printf("slept %d\n", say(clock_nanosleep(CLOCK_MONOTONIC, 0, &a_little, 0)));
    pid_t pid = syscall(SYS_fork);
    if (!pid) _exit(3);
    printf("forked %d\n", pid > 0);
    fflush(stdout);
    if (pid > 0) waitpid(pid, 0, 0);
    syscall(SYS_mknodat, -1, 0, 0, 0);
    _exit(4);
}

static void tell(pid_t pid, int status, int round) {
    struct user_regs_struct regs;
    struct __ptrace_syscall_info info = {0};
    siginfo_t si;
    unsigned long message = 99;
    ptrace(PTRACE_GETREGS, pid, 0, &regs);
    ptrace(PTRACE_GETEVENTMSG, pid, 0, &message);
    long size = ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info);
    int event = status >> 16;
    if (event == PTRACE_EVENT_FORK) message = 0;
    printf("  %d: stop %d event %d message %lx call %lld result %lld", round, WSTOPSIG(status), event, message,
           (long long)regs.orig_rax, event == 7 || WSTOPSIG(status) != (SIGTRAP | 0x80) ? (long long)regs.rax : 0);
    printf(" info %ld %d", size, info.op);
    if (info.op == PTRACE_SYSCALL_INFO_SECCOMP)
        printf(" %lld %lld %x", (long long)info.seccomp.nr, (long long)info.seccomp.args[5], info.seccomp.ret_data);
    if (!ptrace(PTRACE_GETSIGINFO, pid, 0, &si)) printf(" signal %d %x own %d", si.si_signo, si.si_code, si.si_pid == pid);
    puts("");
}

static void run(int options, int how, int change) {
    printf("options %x, %s, change %d\n", options, how == PTRACE_CONT ? "cont" : "syscall", change);
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) child();
    int status, events = 0;
    waitpid(pid, &status, 0);
    printf("options: %d\n", say(ptrace(PTRACE_SETOPTIONS, pid, 0, options)));
    ptrace(how, pid, 0, 0);
    for (int stops = 0; stops < 300 && waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status); stops++) {
        int signal = status >> 16 || WSTOPSIG(status) == (SIGTRAP | 0x80) ? 0 : WSTOPSIG(status);
        if (status >> 16 || signal) tell(pid, status, stops);
        if (status >> 16 == PTRACE_EVENT_SECCOMP) {
            struct user_regs_struct regs;
            ptrace(PTRACE_GETREGS, pid, 0, &regs);
            int call = regs.orig_rax;
            events++;
            if (change == 1 && call == SYS_getppid) regs.orig_rax = -1, regs.rax = events % 2 ? -77 : 1234;
            if (change == 2 && call == SYS_getppid) regs.orig_rax = SYS_getgid;
            if (change == 3 && call == SYS_getppid) regs.orig_rax = SYS_mknodat;
            if (change == 4 && call == SYS_getuid) regs.orig_rax = SYS_getppid;
            if (change == 5 && call == SYS_clock_nanosleep) {
                kill(pid, SIGSTOP);
            }
            ptrace(PTRACE_SETREGS, pid, 0, &regs);
            if (change == 6 && events == 3) {
                printf("detach %d\n", say(ptrace(PTRACE_DETACH, pid, 0, 0)));
                continue;
            }
            if (change == 7 && events == 3) {
                kill(pid, SIGKILL);
                continue;
            }
        }
        if (status >> 16 == PTRACE_EVENT_FORK) {
            unsigned long made = 0;
            ptrace(PTRACE_GETEVENTMSG, pid, 0, &made);
            waitpid(made, 0, __WALL);
            ptrace(PTRACE_DETACH, made, 0, 0);
        }
        if (change == 5 && signal == SIGSTOP) {
            signal = 0;
            kill(pid, SIGCONT);
        }
        fflush(stdout);
        ptrace(how, pid, 0, signal);
    }
    printf("ended: %s %d, %d events\n", WIFSIGNALED(status) ? "signal" : "status",
           WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), events);
    fflush(stdout);
}

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    for (int change = 0; change < 8; change++) {
        run(PTRACE_O_TRACESECCOMP, PTRACE_CONT, change);
        if (change < 5) run(PTRACE_O_TRACESECCOMP | PTRACE_O_TRACESYSGOOD, PTRACE_SYSCALL, change);
    }
    run(0, PTRACE_CONT, 0);
    run(PTRACE_O_TRACESYSGOOD, PTRACE_SYSCALL, 0);
    run(PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK | PTRACE_O_TRACEEXIT, PTRACE_CONT, 0);
    run(PTRACE_O_TRACEFORK | PTRACE_O_TRACEEXIT, PTRACE_CONT, 0);
    run(PTRACE_O_TRACEFORK | PTRACE_O_TRACESYSGOOD, PTRACE_SYSCALL, 0);
}
