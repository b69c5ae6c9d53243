/* Syscall user dispatch: which calls come back as signals, with what, and who has it no more. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>
#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif
static volatile char selector;
static volatile int seen, code, arch;
static volatile long number, at, rax, arg;
static char *page;
static const char bytes[] = "\x48\x89\xf8\x48\x89\xf7\x48\x89\xd6\x0f\x05\xc3"; // rax = rdi; rdi = rsi; rsi = rdx; syscall; ret
typedef long (*caller)(long, long, long);

static long raw(long n, long a) { long r; __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a) : "rcx", "r11", "memory"); return r; }
static void come(int s, siginfo_t *i, void *c) {
    ucontext_t *u = c;
    char was = selector;
    selector = 0;
    seen++; number = i->si_syscall; code = i->si_code; arch = i->si_arch; rax = u->uc_mcontext.gregs[REG_RAX];
    arg = u->uc_mcontext.gregs[REG_RDI];
    at = (long)i->si_call_addr - u->uc_mcontext.gregs[REG_RIP];
    u->uc_mcontext.gregs[REG_RAX] = 4242;
    (void)s; (void)was; // who returns goes by sigreturn, which comes back too unless it is let pass
}
static void told(const char *what, long r) {
    printf("%s: %ld; seen %d: %ld %d %x, rax %ld, %ld, at %ld\n", what, r, seen, number, code, arch, rax, arg, at);
    seen = 0;
}
static long set(long mode, long start, long size, void *sel) {
    errno = 0;
    long r = prctl(PR_SET_SYSCALL_USER_DISPATCH, mode, start, size, sel);
    return r < 0 ? -errno : r;
}
static void *thread(void *unused) { (void)unused; return (void *)(raw(SYS_getppid, 9) == 4242 ? 1L : 2L); }
static void child(const char *what, int how) {
    int s;
    fflush(stdout);
    pid_t p = fork();
    if (!p) {
        if (how == 0) { selector = 7; set(1, 0, 0, (void *)&selector); raw(SYS_getppid, 0); }
        if (how == 1) { set(1, 0, 0, (void *)8); raw(SYS_getppid, 0); }
        if (how == 2) { signal(SIGSYS, SIG_DFL); selector = 1; set(1, 0, 0, (void *)&selector); raw(SYS_getppid, 0); }
        if (how == 3) { signal(SIGSYS, SIG_IGN); selector = 1; set(1, 0, 0, (void *)&selector); raw(SYS_getppid, 0); }
        if (how == 4) { selector = 0; set(1, 0, 0, (void *)&selector); pid_t q = fork(); if (!q) { selector = 1; raw(SYS_getppid, 0); _exit(33); } int t; wait(&t); _exit(WEXITSTATUS(t)); }
        if (how == 5) { selector = 0; set(1, 0, 0, (void *)&selector); execl("/bin/true", "true", (char *)0); }
        if (how == 6) { set(1, 0, 0, 0); raw(SYS_getppid, 0); }
        _exit(9);
    }
    waitpid(p, &s, 0);
    printf("%s: %x\n", what, s & ~0x80);
}
int main(void) {
    struct sigaction a = {.sa_flags = SA_SIGINFO}; a.sa_sigaction = come;
    sigaction(SIGSYS, &a, 0);
    page = mmap(0, 8192, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(page, bytes, sizeof bytes); memcpy(page + 4096, bytes, sizeof bytes);
    caller in = (caller)page, out = (caller)(page + 4096);
    printf("%ld %ld %ld %ld\n", set(3, 0, 0, 0), set(-1, 0, 0, 0), set(0, 1, 0, 0), set(0, 0, 0, (void *)&selector));
    printf("%ld %ld %ld\n", set(1, 4096, 0, (void *)&selector), set(1, -4096, 8192, (void *)&selector), set(1, 0, 0, (void *)(1ul << 63)));
    printf("%ld\n", set(0, 0, 0, 0));
    printf("%ld\n", set(1, 0, 0, (void *)&selector));
    told("let pass", raw(SYS_getppid, 5) == getppid());
    selector = 1; told("comes back", raw(SYS_getppid, 5));
    selector = 1; told("of no number", raw(-5, 5));
    printf("around: %ld\n", set(1, (long)page, 4096, (void *)&selector));
    selector = 1; long r = in(SYS_getppid, 1, 2); selector = 0; told("inside", r == getppid());
    selector = 1; told("outside", out(SYS_getppid, 1, 2));
    r = set(2, (long)page, 4096, (void *)&selector);
    printf("inclusively: %ld\n", r);
    if (!r) {
        selector = 1; r = out(SYS_getppid, 1, 2); selector = 0; told("outside", r == getppid());
        selector = 1; told("inside", in(SYS_getppid, 1, 2));
        printf("%ld %ld\n", set(2, (long)page, 0, 0), set(2, -4096, 4096, 0));
    }
    set(1, 0, 0, (void *)&selector);
    pthread_t t; void *gave;
    selector = 0; pthread_create(&t, 0, thread, 0); selector = 0; pthread_join(t, &gave); printf("a thread: %ld\n", (long)gave);
    printf("off: %ld\n", set(0, 0, 0, 0));
    selector = 1; told("off", raw(SYS_getppid, 5) == getppid());
    child("a word that says nothing", 0); child("no word", 1); child("no handler", 2); child("ignored", 3);
    child("a child", 4); child("another program", 5); child("all, the handler's too", 6);
    return 0;
}
