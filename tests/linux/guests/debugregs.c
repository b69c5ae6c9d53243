// A tracer that sets debug registers of its child and says at what it stops: every line is the host's.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile char buffer[8192] __attribute__((aligned(4096)));
static volatile int sink;
#define AT(n) (offsetof(struct user, u_debugreg) + 8 * (n))

__attribute__((noinline)) void one(int i) { sink += i; }
__attribute__((noinline)) void two(int i) { sink -= i; }
static pid_t child;

static long poke(int n, unsigned long value)
{
    errno = 0;
    return ptrace(PTRACE_POKEUSER, child, AT(n), value) ? -errno : 0;
}
static unsigned long peek(int n)
{
    errno = 0;
    unsigned long got = ptrace(PTRACE_PEEKUSER, child, AT(n), 0);
    return errno ? -errno : got;
}
static void registers(const char *when)
{
    printf("%s:", when);
    for (int n = 0; n < 8; n++) {
        unsigned long v = peek(n);
        if (v >= (unsigned long)buffer && v < (unsigned long)buffer + sizeof buffer) printf(" buffer+%lu", v - (unsigned long)buffer);
        else if (v == (unsigned long)one) printf(" one");
        else if (v == (unsigned long)two) printf(" two");
        else if (v == (unsigned long)&sink) printf(" sink");
        else printf(" %lx", v);
    }
    printf("\n");
}
static const char *place(unsigned long at)
{
    static char text[40];
    if (at == (unsigned long)one) return "one";
    if (at == (unsigned long)two) return "two";
    snprintf(text, sizeof text, "else");
    return text;
}
static int stops(const char *what, int most, int request)
{
    int status = 0;
    for (int i = 0; i < most; i++) {
        struct user_regs_struct r;
        siginfo_t info;
        ptrace(request, child, 0, 0);
        waitpid(child, &status, 0);
        if (!WIFSTOPPED(status)) {
            printf("%s: ended %x\n", what, status);
            return 0;
        }
        ptrace(PTRACE_GETREGS, child, 0, &r);
        ptrace(PTRACE_GETSIGINFO, child, 0, &info);
        printf("%s: signal %d code %d address %s at %s rf %d tf %d dr6 %lx first %d\n", what, WSTOPSIG(status), info.si_code,
               info.si_addr == (void *)r.rip ? "pc" : "other", place(r.rip), (int)(r.eflags >> 16 & 1), (int)(r.eflags >> 8 & 1),
               peek(6), buffer[0]);
    }
    return 1;
}
static void begin(void (*body)(void))
{
    int status;
    fflush(stdout);
    child = fork();
    if (!child) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        body();
        _exit(7);
    }
    waitpid(child, &status, 0);
}
static void end(void)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void nothing(void) {}
static void calls(void)
{
    for (int i = 1; i < 4; i++) { one(i); two(i); }
}
static void stores(void)
{
    for (int i = 0; i < 24; i++) buffer[i] = i;
    *(volatile uint64_t *)(buffer + 6) = 1;
    *(volatile uint32_t *)(buffer + 9) = 1;
    *(volatile uint64_t *)(buffer + 4092) = 1;
    (void)*(volatile uint16_t *)(buffer + 7);
    __asm__ volatile("lock incb %0" : "+m"(buffer[8]));
    memset((void *)(buffer + 100), 3, 64);
    void *to = (void *)(buffer + 200);
    unsigned long n = 5;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(1) : "memory");
}
static void read_into(void)
{
    int fd = open("/dev/zero", O_RDONLY);
    sink = read(fd, (void *)buffer, 64);
    close(fd);
    buffer[8] = 1;
}
static void forks(void)
{
    pid_t p = fork();
    if (!p) { buffer[8] = 1; one(1); _exit(3); }
    int status;
    waitpid(p, &status, 0);
    buffer[8] = status >> 8;
}
static void *thread(void *unused)
{
    (void)unused;
    buffer[8] = 1;
    one(1);
    return NULL;
}
static void threads(void)
{
    pthread_t t;
    pthread_create(&t, NULL, thread, NULL);
    pthread_join(t, NULL);
    buffer[8] = 2;
}
static void execs(void)
{
    char *argv[] = {"debugregs", "again", NULL};
    execv("/proc/self/exe", argv);
}
static void handler(int s) { (void)s; buffer[8] = 3; }
static void handled(void)
{
    signal(SIGTRAP, handler);
    buffer[8] = 2;
    buffer[8] = 1;
}

static unsigned long control(int n, int kind, int size) { return 1ul << 2 * n | (unsigned long)(kind | size << 2) << (16 + 4 * n); }

static void refusals(void)
{
    begin(nothing);
    registers("new");
    static const unsigned long values[] = {0, 1, 3, 0x7fffffffefff, 0x7fffffffeff9, 0x7ffffffff000, 0x800000000000, 0xffff800000000000, ~0ul};
    for (int n = 0; n < 8; n++)
        for (unsigned i = 0; i < sizeof values / sizeof *values; i++) {
            if (n == 7 && values[i] & 0xff) continue;
            printf("poke %d %lx: %ld\n", n, values[i], poke(n, values[i]));
        }
    registers("poked");
    poke(0, 0);
    for (int kind = 0; kind < 4; kind++)
        for (int size = 0; size < 4; size++)
            for (unsigned long at = 0; at < 9; at++) {
                long first = poke(7, 0), moved = poke(0, (unsigned long)buffer + at), on = poke(7, control(0, kind, size));
                printf("kind %d size %d at %lu: %ld %ld %ld moved on %ld control %lx\n", kind, size, at, first, moved, on,
                       poke(0, (unsigned long)buffer + at + 1), peek(7));
            }
    printf("reserved %ld %lx\n", poke(7, 0xffffffff00000400), peek(7));
    printf("unset %ld\n", poke(7, control(3, 1, 0)));
    registers("unset");
    printf("offsets");
    for (long off = 840; off < 960; off += 4) {
        errno = 0;
        long r = ptrace(PTRACE_POKEUSER, child, off, 0);
        printf(" %ld:%ld/%d", off, r, errno);
    }
    printf("\n");
    end();
}
static void watched(const char *what, void (*body)(void), unsigned long at, int kind, int size, int most, int request)
{
    begin(body);
    printf("%s: set %ld %ld\n", what, poke(0, at), poke(7, control(0, kind, size)));
    if (stops(what, most, request)) end();
}

int main(int argc, char **argv)
{
    (void)argv;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1) {
        buffer[8] = 1;
        one(1);
        return 9;
    }
    refusals();
    watched("execute", calls, (unsigned long)one, 0, 0, 10, PTRACE_CONT);
    static const int sizes[] = {0, 1, 3, 2};
    for (int s = 0; s < 4; s++) {
        watched("write", stores, (unsigned long)buffer + 8, 1, sizes[s], 40, PTRACE_CONT);
        watched("access", stores, (unsigned long)buffer + 8, 3, sizes[s], 40, PTRACE_CONT);
    }
    watched("straddle", stores, (unsigned long)buffer + 4096, 1, 2, 9, PTRACE_CONT);
    watched("string", stores, (unsigned long)buffer + 203, 1, 0, 9, PTRACE_CONT);
    watched("kernel", read_into, (unsigned long)buffer + 8, 3, 0, 9, PTRACE_CONT);
    watched("fork", forks, (unsigned long)buffer + 8, 1, 0, 9, PTRACE_CONT);
    watched("thread", threads, (unsigned long)buffer + 8, 1, 0, 9, PTRACE_CONT);
    watched("exec", execs, (unsigned long)buffer + 8, 1, 0, 9, PTRACE_CONT);
    begin(calls);
    poke(0, (unsigned long)one), poke(1, (unsigned long)two), poke(2, (unsigned long)&sink), poke(7, 0);
    printf("three %ld\n", poke(7, control(0, 0, 0) | control(1, 0, 0) | control(2, 1, 3)));
    stops("three", 6, PTRACE_CONT);
    registers("three");
    printf("off %ld\n", poke(7, 0));
    if (stops("off", 6, PTRACE_CONT)) end();
    begin(calls);
    poke(0, (unsigned long)one), poke(7, control(0, 0, 0)), poke(1, (unsigned long)&sink), poke(7, control(0, 0, 0) | control(1, 1, 3));
    stops("to", 1, PTRACE_CONT);
    stops("step", 4, PTRACE_SINGLESTEP);
    printf("moved %ld\n", poke(0, (unsigned long)two));
    stops("moved", 1, PTRACE_CONT);
    stops("moved", 2, PTRACE_CONT);
    end();
    begin(handled);
    poke(0, (unsigned long)buffer + 8), poke(7, control(0, 1, 0));
    ptrace(PTRACE_DETACH, child, 0, 0);
    int status;
    waitpid(child, &status, 0);
    printf("let go %x\n", status);
    begin(stores);
    poke(0, (unsigned long)buffer + 8), poke(7, control(0, 1, 0));
    ptrace(PTRACE_DETACH, child, 0, 0);
    waitpid(child, &status, 0);
    printf("let go %x\n", status & 0x7f);
    return 0;
}
