/* seccomp: programs that are none, what filters make of calls, several at once, threads, children, exec, strict mode. */
#include "show.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/wait.h>

#define NR BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0)
#define WORD(k) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, k)
#define IF(v, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, v, 0, n)
#define GIVE(v) BPF_STMT(BPF_RET | BPF_K, v)
#define PROG(...) struct sock_filter f_[] = {__VA_ARGS__}; struct sock_fprog p_ = {sizeof f_ / sizeof *f_, f_}

static long set(struct sock_fprog *p, int flags) { return syscall(SYS_seccomp, 1, flags, p); }

/* Runs a function in a child, and shows how that ended. */
static void in_child(const char *name, void (*what)(void)) {
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) { about = ""; what(); fflush(stdout); _exit(7); }
    int status;
    waitpid(pid, &status, 0);
    printf("== %s: %s %d\n", name, WIFSIGNALED(status) ? "signal" : "exit", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}
static void ready(void) { prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }

static void odd(void) {
    struct sock_filter one = GIVE(SECCOMP_RET_ALLOW);
    struct sock_fprog p = {1, &one};
    ready();
    for (int op = -1; op < 6; op++) for (int flags = 0; flags < 130; flags = flags ? flags * 2 : 1) if (op != 0 && !(op == 1 && (flags == 0 || flags == 1 || flags == 2 || flags == 4 || flags == 8))) R(syscall(SYS_seccomp, op, flags, BAD));
    R(syscall(SYS_seccomp, 0, 1, 0)); R(syscall(SYS_seccomp, 0, 0, &p));
    R(set(BAD, 0)); p.len = 0; R(set(&p, 0)); p.len = 4097; R(set(&p, 0)); p.len = 2; p.filter = BAD; R(set(&p, 0));
    unsigned actions[] = {0, 0x80000000, 0x30000, 0x50000, 0x7fc00000, 0x7ff00000, 0x7ffc0000, 0x7fff0000, 1, 0x50001, 0x60000, 0xffffffff};
    for (int i = 0; i < 12; i++) R(syscall(SYS_seccomp, 2, 0, &actions[i]));
    unsigned short sizes[3]; R(syscall(SYS_seccomp, 3, 0, sizes)); printf("%d %d %d\n", sizes[0], sizes[1], sizes[2]);
    R(prctl(PR_SET_SECCOMP, 0, 0, 0, 0)); R(prctl(PR_SET_SECCOMP, 3, 0, 0, 0)); R(prctl(PR_SET_SECCOMP, 2, BAD, 0, 0)); R(prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
    /* every code, alone before a return */
    for (int code = 0; code < 0x200; code++) for (int k = 0; k < 5; k++) {
        int ks[] = {0, 4, 1, 16, 64};
        struct sock_filter two[] = {{code, 0, 0, ks[k]}, GIVE(SECCOMP_RET_ALLOW)};
        struct sock_fprog q = {2, two};
        fflush(stdout);
        pid_t pid = fork();
        if (!pid) { long r = set(&q, 0); _exit(r ? errno : 0); }
        int status; waitpid(pid, &status, 0);
        if (status) printf("%x %d: %x\n", code, ks[k], status);
    }
    struct sock_filter jumps[] = {{BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1}, GIVE(SECCOMP_RET_ALLOW)};
    struct sock_fprog j = {2, jumps}; R(set(&j, 0)); jumps[0].jt = 0; jumps[0].jf = 255; R(set(&j, 0)); j.len = 1; R(set(&j, 0));
    struct sock_filter memory[] = {{BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1}, {BPF_ST, 0, 0, 3}, {BPF_LD | BPF_MEM, 0, 0, 3}, GIVE(SECCOMP_RET_ALLOW)};
    struct sock_fprog m = {4, memory}; R(set(&m, 0));
    struct sock_filter shift[] = {{BPF_ALU | BPF_LSH | BPF_K, 0, 0, 32}, GIVE(0)}; struct sock_fprog s = {2, shift}; R(set(&s, 0));
    R(prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
}
static void unready(void) { /* root on the host may: nobody else */ PROG(GIVE(SECCOMP_RET_ALLOW)); if (geteuid()) R(set(&p_, 0)); }

static void errnos(void) {
    ready();
    PROG(NR, IF(SYS_getppid, 1), GIVE(SECCOMP_RET_ERRNO | 5), IF(SYS_getuid, 1), GIVE(SECCOMP_RET_ERRNO), IF(SYS_getgid, 1), GIVE(SECCOMP_RET_ERRNO | 0xffff), IF(SYS_geteuid, 1), GIVE(SECCOMP_RET_LOG), IF(SYS_getegid, 1), GIVE(SECCOMP_RET_TRACE | 7),
         IF(SYS_close, 7), WORD(16), BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 0x7fffffff, 0, 1), GIVE(SECCOMP_RET_ERRNO | 1), BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 1000, 0, 1), GIVE(SECCOMP_RET_ERRNO | 2), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 0, 1), GIVE(SECCOMP_RET_ERRNO | 3), GIVE(SECCOMP_RET_ALLOW));
    R(set(&p_, 0)); R(prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
    R(syscall(SYS_getppid)); R(syscall(SYS_getuid)); R(syscall(SYS_getgid)); R(syscall(SYS_geteuid)); R(syscall(SYS_getegid));
    R(close(-1)); R(close(5000)); R(close(501)); R(close(500)); R(close(0));
    char line[200]; FILE *f = fopen("/proc/self/status", "r"); while (fgets(line, 200, f)) if (!strncmp(line, "Seccomp", 7) || !strncmp(line, "NoNew", 5)) printf("%s", line); fclose(f);
    pid_t child = fork(); if (!child) { R(syscall(SYS_getppid)); fflush(stdout); execl("/bin/sh", "sh", "-c", "grep Seccomp /proc/self/status", NULL); } waitpid(child, 0, 0);
}
static void arithmetic(void) {
    ready();
    /* the second word of lseek goes through all operations; its errno shows what came out */
    PROG(NR, IF(SYS_lseek, 18), WORD(24), BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 7), BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, 3), BPF_STMT(BPF_MISC | BPF_TAX, 0), BPF_STMT(BPF_ST, 2), BPF_STMT(BPF_ALU | BPF_XOR | BPF_K, 0x55), BPF_STMT(BPF_ALU | BPF_SUB | BPF_X, 0), BPF_STMT(BPF_ALU | BPF_NEG, 0), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff), BPF_STMT(BPF_LDX | BPF_MEM, 2), BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0), BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 1), BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 3), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x7f), BPF_STMT(BPF_ALU | BPF_OR | BPF_K, SECCOMP_RET_ERRNO), BPF_STMT(BPF_STX, 9), BPF_STMT(BPF_LDX | BPF_W | BPF_LEN, 0), BPF_STMT(BPF_RET | BPF_A, 0), GIVE(SECCOMP_RET_ALLOW));
    R(set(&p_, 0));
    for (int i = 0; i < 40; i++) { errno = 0; long r = syscall(SYS_lseek, 999, i * 7919L, 0); printf("%ld %d\n", r, errno); }
}
static void several(void) {
    ready();
    { PROG(NR, IF(SYS_getppid, 1), GIVE(SECCOMP_RET_ERRNO | 1), GIVE(SECCOMP_RET_ALLOW)); R(set(&p_, 0)); }
    R(syscall(SYS_getppid));
    { PROG(NR, IF(SYS_getppid, 1), GIVE(SECCOMP_RET_ERRNO | 2), GIVE(SECCOMP_RET_ALLOW)); R(set(&p_, 0)); }
    R(syscall(SYS_getppid));
    { PROG(NR, IF(SYS_getppid, 1), GIVE(SECCOMP_RET_LOG), GIVE(SECCOMP_RET_ALLOW)); R(set(&p_, 0)); }
    R(syscall(SYS_getppid)); R(syscall(SYS_seccomp, 0, 0, 0));
    { PROG(NR, IF(SYS_seccomp, 1), GIVE(SECCOMP_RET_ERRNO | 3), GIVE(SECCOMP_RET_ALLOW)); R(set(&p_, 0)); R(set(&p_, 0)); }
}
static volatile long seen[6];
static void sigsys(int n, siginfo_t *i, void *c) {
    ucontext_t *u = c;
    seen[0] = i->si_code; seen[1] = i->si_errno; seen[2] = i->si_syscall; seen[3] = i->si_arch; seen[4] = u->uc_mcontext.gregs[REG_RAX]; seen[5] = (long)i->si_call_addr == u->uc_mcontext.gregs[REG_RIP];
    u->uc_mcontext.gregs[REG_RAX] = 1234;
}
static void traps(void) {
    struct sigaction a = {.sa_sigaction = sigsys, .sa_flags = SA_SIGINFO};
    ready(); sigaction(SIGSYS, &a, 0);
    PROG(NR, IF(SYS_getppid, 1), GIVE(SECCOMP_RET_TRAP | 42), IF(600, 1), GIVE(SECCOMP_RET_TRAP), GIVE(SECCOMP_RET_ALLOW));
    R(set(&p_, 0));
    R(syscall(SYS_getppid)); for (int i = 0; i < 6; i++) printf(" %lx", seen[i]); printf("\n");
    R(syscall(600)); for (int i = 0; i < 6; i++) printf(" %lx", seen[i]); printf("\n");
    sigset_t all; sigfillset(&all); sigprocmask(SIG_BLOCK, &all, 0); fflush(stdout); syscall(SYS_getppid); R(0);
}
static void trap_default(void) { ready(); PROG(NR, IF(SYS_getppid, 1), GIVE(SECCOMP_RET_TRAP), GIVE(SECCOMP_RET_ALLOW)); R(set(&p_, 0)); fflush(stdout); syscall(SYS_getppid); R(0); }
static void kills(unsigned how) { struct sigaction a = {.sa_sigaction = sigsys, .sa_flags = SA_SIGINFO}; ready(); sigaction(SIGSYS, &a, 0); PROG(NR, IF(SYS_getppid, 1), GIVE(how), GIVE(SECCOMP_RET_ALLOW)); R(set(&p_, 0)); fflush(stdout); syscall(SYS_getppid); R(0); }
static void kill_process(void) { kills(SECCOMP_RET_KILL_PROCESS); }
static void kill_thread(void) { kills(SECCOMP_RET_KILL_THREAD); }
static void *calls(void *arg) { syscall(SYS_getppid); return (void *)5; }
static void one_of_two(unsigned how) { ready(); PROG(NR, IF(SYS_getppid, 1), GIVE(how), GIVE(SECCOMP_RET_ALLOW)); R(set(&p_, 0)); fflush(stdout); pthread_t t; pthread_create(&t, 0, calls, 0); void *r = 0; int done = pthread_join(t, &r); printf("joined %d\n", done); }
static void thread_of_two(void) { one_of_two(SECCOMP_RET_KILL_THREAD); }
static void process_of_two(void) { one_of_two(SECCOMP_RET_KILL_PROCESS); }
static int turn[2], back[2];
static void *waits(void *arg) { char c; read(turn[0], &c, 1); errno = 0; long r = syscall(SYS_getppid); printf("other: %ld %d, mode %d, nnp %d\n", r == -1 ? -1 : 0, errno, prctl(PR_GET_SECCOMP, 0, 0, 0, 0), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)); write(back[1], "x", 1); read(turn[0], &c, 1); return 0; }
static void sync_with(int flags, int own) {
    pthread_t t; char c; pipe(turn); pipe(back); pthread_create(&t, 0, waits, 0); ready();
    if (own) { PROG(GIVE(SECCOMP_RET_ALLOW)); R(set(&p_, 0)); }
    PROG(NR, IF(SYS_getppid, 1), GIVE(SECCOMP_RET_ERRNO | 9), GIVE(SECCOMP_RET_ALLOW)); R(set(&p_, flags));
    write(turn[1], "x", 1); read(back[0], &c, 1); R(syscall(SYS_getppid)); write(turn[1], "x", 1); pthread_join(t, 0);
}
static void alone(void) { sync_with(0, 0); }
static void together(void) { sync_with(1, 0); }
static void together_too(void) { sync_with(1, 1); }
static void strict(void) { R(0); fflush(stdout); long r = syscall(SYS_seccomp, 0, 0, 0); write(1, r ? "no\n" : "strict\n", r ? 3 : 7); syscall(SYS_exit, 3); }
static void strict_breaks(void) { fflush(stdout); prctl(PR_SET_SECCOMP, 1, 0, 0, 0); write(1, "strict\n", 7); syscall(SYS_getppid); write(1, "on\n", 3); syscall(SYS_exit, 3); }
static void everything(void) { ready(); PROG(GIVE(SECCOMP_RET_KILL_PROCESS)); fflush(stdout); set(&p_, 0); }

int main(void) {
    in_child("odd", odd); in_child("unready", unready); in_child("errnos", errnos); in_child("arithmetic", arithmetic); in_child("several", several);
    in_child("traps", traps); in_child("trap by default", trap_default); in_child("kill process", kill_process); in_child("kill thread", kill_thread);
    in_child("thread of two", thread_of_two); in_child("process of two", process_of_two); in_child("alone", alone); in_child("together", together); in_child("together too", together_too);
    in_child("strict", strict); in_child("strict breaks", strict_breaks); in_child("everything", everything);
    return 0;
}
