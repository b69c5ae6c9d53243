/* Signals: handlers for faults, what siginfo and ucontext say, masks, alternate stacks, timers. Prints what it sees;
   the output must be the same on two kernels. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static sigjmp_buf back;
static volatile int count;
static char *page;

static void install(int signal, void (*handler)(int, siginfo_t *, void *), int flags) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | flags;
    if (sigaction(signal, &action, 0)) exit(90);
}

static void tell(int signal, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    printf("signal %d code %d", signal, info->si_code);
    if (signal == SIGSEGV || signal == SIGBUS) {
        printf(" addr %p", info->si_addr);
        printf(" trap %lld err %lld cr2 %#llx", (long long)uc->uc_mcontext.gregs[REG_TRAPNO],
               (long long)uc->uc_mcontext.gregs[REG_ERR],
               uc->uc_mcontext.gregs[REG_TRAPNO] == 14 ? (long long)uc->uc_mcontext.gregs[REG_CR2] : 0);
    } else if (signal == SIGFPE || signal == SIGILL)
        printf(" addr is rip %d", info->si_addr == (void *)uc->uc_mcontext.gregs[REG_RIP]);
    printf("\n");
    siglongjmp(back, 1);
}

static void try(const char *what, void (*f)(void)) {
    printf("%s: ", what);
    if (!sigsetjmp(back, 1)) {
        f();
        printf("nothing happened\n");
    }
}

static void null_read(void) { (void)*(volatile char *)0; }
static void low_write(void) { *(volatile char *)0x123 = 1; }
static void read_only(void) { *(volatile char *)(page + 0x10) = 1; }
static void kernel_read(void) { (void)*(volatile char *)0xffff800000000123; }
static void noncanonical(void) { (void)*(volatile char *)0x0000900000000000; }
static void jump_null(void) { ((void (*)(void))0)(); }
static void jump_data(void) { ((void (*)(void))(page))(); }
static void straddle(void) { *(volatile uint64_t *)(page + 8192 - 4) = 1; }
static void divide(void) { __asm__ volatile("xor %%edx,%%edx; mov $1,%%eax; xor %%ecx,%%ecx; div %%ecx" ::: "eax", "ecx", "edx"); }
static void invalid(void) { __asm__ volatile("ud2"); }
static void breakpoint(void) { __asm__ volatile("int3"); }
static void privileged(void) { __asm__ volatile("hlt"); }
static void out_insn(void) { __asm__ volatile("cli"); }

static void fix_page(int signal, siginfo_t *info, void *context) {
    (void)signal; (void)info; (void)context;
    count++;
    mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

static void skip_instruction(int signal, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    (void)signal; (void)info;
    uc->uc_mcontext.gregs[REG_RIP] += 2;
    uc->uc_mcontext.gregs[REG_RAX] = 4711;
    count++;
}

static void counted(int signal, siginfo_t *info, void *context) {
    (void)context;
    count++;
    printf("  handler %d code %d pid %d value %d\n", signal, info->si_code, info->si_pid == getpid(), info->si_value.sival_int);
}

static void quiet(int signal, siginfo_t *info, void *context) { (void)signal; (void)info; (void)context; count++; }

static void uses_x87(int signal, siginfo_t *info, void *context) {
    volatile long double x = 7;
    (void)signal; (void)info; (void)context;
    for (int i = 0; i < 10; i++) x = x * 3 + 1;
}

static int alarm_pipe;
static void feed(int signal, siginfo_t *info, void *context) { (void)signal; (void)info; (void)context; write(alarm_pipe, "y", 1); }

static char altstack[65536];
static void on_alt(int signal, siginfo_t *info, void *context) {
    char here;
    stack_t now;
    (void)info; (void)context;
    sigaltstack(0, &now);
    printf("signal %d on alternate stack %d flags %d\n", signal, &here >= altstack && &here < altstack + sizeof altstack, now.ss_flags);
    siglongjmp(back, 1);
}
static int deep(int n) { volatile char room[4096]; room[0] = n; return n ? deep(n - 1) + room[0] : 0; }
static void overflow(void) { printf("%d", deep(1 << 20)); }

static void nested(int signal, siginfo_t *info, void *context) {
    (void)info; (void)context;
    printf("  in %d\n", signal);
    if (signal == SIGUSR1) raise(SIGUSR2);
    printf("  out %d\n", signal);
}

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    page = mmap((void *)0x60000000, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    mprotect(page + 4096, 4096, PROT_READ | PROT_WRITE);
    int caught[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    for (int i = 0; i < 5; i++) install(caught[i], tell, 0);
    try("null read", null_read);
    try("low write", low_write);
    try("read-only", read_only);
    try("kernel read", kernel_read);
    try("non-canonical", noncanonical);
    try("jump null", jump_null);
    try("jump data", jump_data);
    try("straddle", straddle);
    try("divide", divide);
    try("invalid", invalid);
    try("breakpoint", breakpoint);
    try("hlt", privileged);
    try("cli", out_insn);

    install(SIGSEGV, fix_page, 0);
    mprotect(page, 4096, PROT_READ);
    double x = 1.5;
    *(volatile char *)page = 7;
    printf("fixed: %d faults, value %d, float %g\n", count, *page, x * 2);

    count = 0;
    install(SIGILL, skip_instruction, 0);
    long rax;
    __asm__ volatile("mov $1, %%rax; ud2" : "=a"(rax));
    printf("skipped: %d, rax %ld\n", count, rax);

    /* XMM registers live through a handler that uses them */
    install(SIGUSR1, quiet, 0);
    double a = 0.25, b = 3;
    __asm__ volatile("" : "+x"(a), "+x"(b));
    kill(getpid(), SIGUSR1);
    __asm__ volatile("" : "+x"(a), "+x"(b));
    printf("float registers %g %g\n", a, b);
    long double ld = 1.25L;
    ld *= 3; raise(SIGUSR1); ld += 0.5L;
    printf("long double %Lg\n", ld);
    /* two values on the x87 stack while a handler runs that uses it too */
    install(SIGUSR1, uses_x87, 0);
    long double p, q;
    long pid = getpid(), r2 = 62;
    __asm__ volatile("fldpi; fld1; syscall; fstpt %1; fstpt %2" : "+a"(r2), "=m"(p), "=m"(q) : "D"(pid), "S"((long)SIGUSR1) : "rcx", "r11", "memory");
    printf("x87 %Lg %Lg\n", p, q);

    count = 0;
    install(SIGUSR1, counted, 0);
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, &old);
    raise(SIGUSR1);
    raise(SIGUSR1);
    sigpending(&set);
    printf("pending %d, count %d\n", sigismember(&set, SIGUSR1), count);
    sigprocmask(SIG_SETMASK, &old, 0);
    printf("after unblocking: count %d\n", count);
    union sigval v = {.sival_int = 42};
    sigqueue(getpid(), SIGUSR1, v);
    signal(SIGUSR1, SIG_IGN);
    raise(SIGUSR1);
    install(SIGUSR1, counted, SA_RESETHAND);
    raise(SIGUSR1);
    struct sigaction now;
    sigaction(SIGUSR1, 0, &now);
    printf("reset %d\n", now.sa_handler == SIG_DFL);

    install(SIGUSR1, nested, 0);
    install(SIGUSR2, nested, 0);
    raise(SIGUSR1);

    stack_t stack = {.ss_sp = altstack, .ss_size = sizeof altstack};
    sigaltstack(&stack, 0);
    install(SIGSEGV, on_alt, SA_ONSTACK);
    try("stack overflow", overflow);

    install(SIGALRM, quiet, 0);
    count = 0;
    struct itimerval timer = {{0, 0}, {0, 30000}};
    setitimer(ITIMER_REAL, &timer, 0);
    pause();
    printf("pause: count %d errno %d\n", count, errno == EINTR);
    setitimer(ITIMER_REAL, &timer, 0);
    while (count < 2) {}
    printf("busy loop ended\n");
    setitimer(ITIMER_REAL, &timer, 0);
    struct timespec req = {5, 0}, rem = {0, 0};
    int r = nanosleep(&req, &rem);
    printf("nanosleep %d errno %d left %d\n", r, errno == EINTR, rem.tv_sec == 4);
    int fds[2];
    char c;
    if (pipe(fds)) return 91;
    setitimer(ITIMER_REAL, &timer, 0);
    r = read(fds[0], &c, 1);
    printf("read interrupted %d errno %d\n", r, errno == EINTR);
    alarm_pipe = fds[1];
    install(SIGALRM, feed, SA_RESTART);
    setitimer(ITIMER_REAL, &timer, 0);
    r = read(fds[0], &c, 1);
    printf("read restarted %d %c\n", r, c);
    struct pollfd waiting = {fds[0], POLLIN, 0};
    setitimer(ITIMER_REAL, &timer, 0);
    r = poll(&waiting, 1, -1);
    printf("poll never %d errno %d\n", r, errno == EINTR);
    install(SIGALRM, quiet, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    sigprocmask(SIG_BLOCK, &set, &old);
    setitimer(ITIMER_REAL, &timer, 0);
    int got = sigwaitinfo(&set, 0);
    printf("sigwait %d\n", got == SIGALRM);
    setitimer(ITIMER_REAL, &timer, 0);
    sigemptyset(&set);
    r = sigsuspend(&set);
    printf("sigsuspend %d count %d\n", r, count);
    close(fds[0]);
    install(SIGPIPE, counted, 0);
    r = write(fds[1], "x", 1);
    printf("broken pipe %d errno %d\n", r, errno == EPIPE);
    signal(SIGPIPE, SIG_IGN);
    r = write(fds[1], "x", 1);
    printf("ignored %d errno %d\n", r, errno == EPIPE);
    return 0;
}
