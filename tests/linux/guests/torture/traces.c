/* A tracer and its children: every stop and what can be seen and changed at it. Prints no numbers of processes and no
   addresses. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/ptrace.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define T(request, pid, addr, data) syscall(SYS_ptrace, (long)(request), (long)(pid), (long)(addr), (long)(data))

static const char *self;


static void say(const char *what, long result) {
    printf("%s %ld%s%s\n", what, result, result < 0 ? " " : "", result < 0 ? strerrorname_np(errno) : "");
    fflush(stdout);
}

static int heed(const char *what, pid_t pid) {
    int status = 0;
    pid_t got = waitpid(pid, &status, __WALL);
    printf("%s: wait %s %x\n", what, got == pid ? "it" : got < 0 ? strerrorname_np(errno) : "other", status);
    fflush(stdout);
    return status;
}

static void info(const char *what, pid_t pid) {
    siginfo_t i;
    memset(&i, 0xEE, sizeof i);
    errno = 0;
    long r = T(PTRACE_GETSIGINFO, pid, 0, &i);
    if (r < 0) say(what, r);
    else printf("%s: signo %d code %x errno %d\n", what, i.si_signo, i.si_code, i.si_errno);
    unsigned long message = 99;
    r = T(PTRACE_GETEVENTMSG, pid, 0, &message);
    printf("  message %ld %s\n", r, message > 300 ? "big" : message == 99 ? "unset" : message ? "some" : "0");
    fflush(stdout);
}

static char state(pid_t pid, int *tracer) {
    char name[64], line[256], s = '?';
    snprintf(name, sizeof name, "/proc/%d/status", pid);
    FILE *f = fopen(name, "r");
    while (f && fgets(line, sizeof line, f)) {
        if (!strncmp(line, "State:", 6)) s = line[7];
        if (!strncmp(line, "TracerPid:", 10)) *tracer = atoi(line + 10);
    }
    if (f) fclose(f);
    return s;
}

static pid_t traced_child(void (*body)(void)) {
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        if (T(PTRACE_TRACEME, 0, 0, 0) < 0) _exit(90);
        if (T(PTRACE_TRACEME, 0, 0, 0) != -1 || errno != EPERM) _exit(91);
        raise(SIGSTOP);
        body();
        _exit(7);
    }
    return pid;
}

static volatile long variable = 0x1122334455667788;
static volatile sig_atomic_t handled;
static void handler(int s) { handled = s; }
__attribute__((noinline)) int function(int x) { __asm__ volatile(""); return x + 1; }

static void nothing(void) {}
static void calls(void) {
    syscall(SYS_getppid);
    syscall(SYS_close, -1);
    char c[4];
    int p[2];
    if (pipe(p)) _exit(1);
    if (write(p[1], "abc", 3) != 3 || read(p[0], c, 3) != 3) _exit(2);
    struct timespec t = {0, 1000000};
    nanosleep(&t, NULL);
}

static void test_calls(int good) {
    printf("== calls %d\n", good);
    pid_t pid = traced_child(calls);
    heed("first", pid);
    int tracer = 0;
    char s = state(pid, &tracer);
    printf("state %c tracer %s\n", s, tracer == getpid() ? "we" : "other");
    if (good) say("options", T(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD));
    for (int i = 0; i < 60; i++) {
        if (T(PTRACE_SYSCALL, pid, 0, 0) < 0) { say("syscall", -1); break; }
        int status;
        waitpid(pid, &status, 0);
        if (!WIFSTOPPED(status)) { printf("end %x\n", status); break; }
        struct user_regs_struct r;
        T(PTRACE_GETREGS, pid, 0, &r);
        printf("%x nr %lld rax %lld", status, (long long)r.orig_rax,
               r.orig_rax == SYS_getppid || (r.orig_rax == SYS_nanosleep) || r.orig_rax == SYS_write ? (r.rax > 300 && (long long)r.rax > 0 ? 300ll : (long long)r.rax) : 0);
        if (good) {
            struct __ptrace_syscall_info n;
            memset(&n, 0, sizeof n);
            long size = T(PTRACE_GET_SYSCALL_INFO, pid, sizeof n, &n);
            printf(" info %ld op %d arch %x rip %d", size, n.op, n.arch, n.instruction_pointer == r.rip);
            if (n.op == 1) printf(" nr %llu", (unsigned long long)n.entry.nr);
            if (n.op == 2) printf(" error %d", n.exit.is_error);
        }
        printf(" user %d\n", (long)r.rip == ({ long w; T(PTRACE_PEEKUSER, pid, offsetof(struct user_regs_struct, rip), &w); w; }));
    }
    fflush(stdout);
}

static void getpids(void) {
    long a = syscall(SYS_getpid), b = syscall(SYS_getuid), c = syscall(SYS_getgid);
    _exit((a == 4242) + 2 * (b == -ENOSYS || (b == -1 && errno == ENOSYS)) + 4 * (c == 77));
}
static void test_changes(void) {
    printf("== changes\n");
    pid_t pid = traced_child(getpids);
    heed("first", pid);
    int in = 0, status;
    for (int i = 0; i < 40; i++) {
        T(PTRACE_SYSCALL, pid, 0, 0);
        waitpid(pid, &status, 0);
        if (!WIFSTOPPED(status)) break;
        struct user_regs_struct r;
        T(PTRACE_GETREGS, pid, 0, &r);
        in = !in;
        if (r.orig_rax == SYS_getpid && !in) { r.rax = 4242; T(PTRACE_SETREGS, pid, 0, &r); }
        if (r.orig_rax == SYS_getuid && in) { r.orig_rax = -1; T(PTRACE_SETREGS, pid, 0, &r); }
        if (r.orig_rax == SYS_getgid && in) T(PTRACE_POKEUSER, pid, 8 * 15, SYS_getppid);
        if (r.orig_rax == SYS_getppid && !in) T(PTRACE_POKEUSER, pid, 8 * 10, 77);
    }
    printf("end %x\n", status);
}

static void signals(void) {
    signal(SIGUSR1, handler);
    signal(SIGUSR2, handler);
    signal(SIGHUP, SIG_IGN);
    handled = 0;
    raise(SIGUSR1);
    if (handled) _exit(1);
    raise(SIGUSR1);
    if (handled != SIGUSR2) _exit(2);
    raise(SIGHUP);
    raise(SIGTERM);
    sigset_t s;
    sigemptyset(&s);
    sigaddset(&s, SIGUSR1);
    sigprocmask(SIG_BLOCK, &s, NULL);
    raise(SIGUSR1);
    raise(SIGTRAP);
    raise(SIGKILL);
}
static void test_signals(void) {
    printf("== signals\n");
    pid_t pid = traced_child(signals);
    heed("first", pid);
    info("stop", pid);
    say("not stopped by that", T(PTRACE_CONT, pid, 0, 0));
    heed("usr1", pid);
    info("usr1", pid);
    say("bad signal", T(PTRACE_CONT, pid, 0, 65));
    say("bad signal", T(PTRACE_CONT, pid, 0, -1));
    say("drop", T(PTRACE_CONT, pid, 0, 0));
    heed("usr1", pid);
    say("other", T(PTRACE_CONT, pid, 0, SIGUSR2));
    heed("hup though ignored", pid);
    say("give", T(PTRACE_CONT, pid, 0, SIGHUP));
    heed("term", pid);
    siginfo_t i;
    T(PTRACE_GETSIGINFO, pid, 0, &i);
    i.si_code = 5;
    say("set", T(PTRACE_SETSIGINFO, pid, 0, &i));
    info("changed", pid);
    say("cont", T(PTRACE_CONT, pid, 0, 0));
    heed("trap", pid);
    uint64_t mask = 0;
    say("mask", T(PTRACE_GETSIGMASK, pid, 8, &mask));
    printf("mask %llx\n", (unsigned long long)mask);
    say("mask", T(PTRACE_GETSIGMASK, pid, 4, &mask));
    struct __ptrace_peeksiginfo_args a = {0, 0, 4};
    siginfo_t many[4];
    say("peek", T(PTRACE_PEEKSIGINFO, pid, &a, many));
    printf("pending %d code %d\n", many[0].si_signo, many[0].si_code);
    a.flags = 1;
    say("peek shared", T(PTRACE_PEEKSIGINFO, pid, &a, many));
    a.flags = 2;
    say("peek bad", T(PTRACE_PEEKSIGINFO, pid, &a, many));
    say("cont", T(PTRACE_CONT, pid, 0, 0));
    heed("killed", pid);
    say("gone", T(PTRACE_CONT, pid, 0, 0));
}

static void stepping(void) { function(3); raise(SIGCONT); }
static void test_memory_and_steps(void) {
    printf("== memory and steps\n");
    pid_t pid = traced_child(stepping);
    heed("first", pid);
    long word = 0, code = 0;
    say("peek", T(PTRACE_PEEKDATA, pid, &variable, &word));
    printf("%lx\n", word);
    say("unaligned", T(PTRACE_PEEKDATA, pid, (char *)&variable + 1, &word));
    printf("%lx\n", word & 0xffffffffffffff);
    say("nowhere", T(PTRACE_PEEKDATA, pid, 8, &word));
    say("far", T(PTRACE_PEEKDATA, pid, -8l, &word));
    say("fault", T(PTRACE_PEEKDATA, pid, &variable, 8));
    say("poke nowhere", T(PTRACE_POKEDATA, pid, 8, 1));
    say("poke", T(PTRACE_POKEDATA, pid, &variable, 5));
    T(PTRACE_PEEKDATA, pid, &variable, &word);
    printf("%ld ours %d\n", word, variable == 0x1122334455667788);
    T(PTRACE_PEEKTEXT, pid, function, &code);
    say("breakpoint", T(PTRACE_POKETEXT, pid, function, (code & ~0xffl) | 0xcc));
    say("cont", T(PTRACE_CONT, pid, 0, 0));
    heed("breakpoint", pid);
    info("breakpoint", pid);
    struct user_regs_struct r;
    say("regs", T(PTRACE_GETREGS, pid, 0, &r));
    printf("at %lld rdi %lld orig %lld cs %llx ss %llx\n", (long long)r.rip - (long long)function, (long long)r.rdi, (long long)r.orig_rax, (long long)r.cs, (long long)r.ss);
    say("restore", T(PTRACE_POKETEXT, pid, function, code));
    r.rip--;
    say("back", T(PTRACE_SETREGS, pid, 0, &r));
    struct user_regs_struct bad = r;
    bad.fs_base = 1ul << 63;
    say("bad base", T(PTRACE_SETREGS, pid, 0, &bad));
    for (int i = 0; i < 3; i++) {
        say("step", T(PTRACE_SINGLESTEP, pid, 0, 0));
        heed("step", pid);
        siginfo_t s;
        T(PTRACE_GETSIGINFO, pid, 0, &s);
        T(PTRACE_GETREGS, pid, 0, &r);
        printf("code %d address %d flag %llx moved %d\n", s.si_code, s.si_addr == (void *)r.rip, r.eflags & 0x100, r.rip != (unsigned long)function);
    }
    int steps = 0, status = 0, seen = 0;
    do {
        long op;
        T(PTRACE_GETREGS, pid, 0, &r);
        T(PTRACE_PEEKTEXT, pid, r.rip, &op);
        T(PTRACE_SINGLESTEP, pid, 0, 0);
        waitpid(pid, &status, 0);
        if ((op & 0xffff) == 0x050f && WIFSTOPPED(status)) {
            siginfo_t s;
            T(PTRACE_GETSIGINFO, pid, 0, &s);
            struct user_regs_struct q;
            T(PTRACE_GETREGS, pid, 0, &q);
            printf("over a call: %x code %d by %lld\n", status, s.si_code, (long long)(q.rip - r.rip));
        }
    } while (++steps < 100000 && WIFSTOPPED(status) && (WSTOPSIG(status) == SIGTRAP || !seen++));
    printf("many steps %d end %x\n", steps > 10, status);
    struct iovec v = {&r, sizeof r};
    say("dead", T(PTRACE_GETREGSET, pid, NT_PRSTATUS, &v));
}

static void test_sets(void) {
    printf("== sets\n");
    pid_t pid = traced_child(nothing);
    heed("first", pid);
    char buffer[8192];
    struct iovec v = {buffer, sizeof buffer};
    say("prstatus", T(PTRACE_GETREGSET, pid, NT_PRSTATUS, &v));
    printf("%zu\n", v.iov_len);
    v.iov_len = 16;
    say("some", T(PTRACE_GETREGSET, pid, NT_PRSTATUS, &v));
    printf("%zu\n", v.iov_len);
    v.iov_len = 15;
    say("odd", T(PTRACE_GETREGSET, pid, NT_PRSTATUS, &v));
    v.iov_len = sizeof buffer;
    say("fpregs", T(PTRACE_GETREGSET, pid, NT_FPREGSET, &v));
    printf("%zu\n", v.iov_len);
    say("unknown", T(PTRACE_GETREGSET, pid, 0x7777, &v));
    struct user_fpregs_struct f;
    say("getfp", T(PTRACE_GETFPREGS, pid, 0, &f));
    printf("%x %x %d\n", f.cwd, f.mxcsr, !memcmp(&f, buffer, 416));
    f.xmm_space[5] = 1234;
    say("setfp", T(PTRACE_SETFPREGS, pid, 0, &f));
    T(PTRACE_GETFPREGS, pid, 0, &f);
    printf("%d\n", f.xmm_space[5]);
    f.mxcsr = 0xffffffff;
    say("bad mxcsr", T(PTRACE_SETFPREGS, pid, 0, &f));
    long w;
    say("user odd", T(PTRACE_PEEKUSER, pid, 3, &w));
    say("user far", T(PTRACE_PEEKUSER, pid, 4096, &w));
    say("dr7", T(PTRACE_PEEKUSER, pid, offsetof(struct user, u_debugreg[7]), &w));
    printf("%lx\n", w);
    say("unknown", T(0x5000, pid, 0, 0));
    say("options", T(PTRACE_SETOPTIONS, pid, 0, 0x400000));
    say("listen", T(PTRACE_LISTEN, pid, 0, 0));
    say("interrupt", T(PTRACE_INTERRUPT, pid, 0, 0));
    say("init", T(PTRACE_ATTACH, pid, 0, 0));
    say("self", T(PTRACE_ATTACH, getpid(), 0, 0));
    say("nobody", T(PTRACE_ATTACH, 0x3fffff, 0, 0));
    say("parent", T(PTRACE_CONT, getpid(), 0, 0));
    say("kill", T(PTRACE_KILL, pid, 0, 0));
    heed("killed", pid);
}

static void relatives(void) {
    pid_t p = fork();
    if (!p) _exit(3);
    waitpid(p, NULL, 0);
    p = vfork();
    if (!p) _exit(4);
    waitpid(p, NULL, 0);
    char *argv[] = {(char *)self, "exec", NULL};
    execv(self, argv);
}
static void vforks(void) {
    pid_t p = vfork();
    if (!p) _exit(4);
    waitpid(p, NULL, 0);
}
static void test_a_tracer_that_computes(void) {
    printf("== a tracer computes while its tracee goes on\n");
    int status, spoilt = 0;
    pid_t pid = traced_child(vforks);
    heed("first", pid);
    say("options", T(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEVFORKDONE));
    T(PTRACE_CONT, pid, 0, 0);
    while (!waitpid(pid, &status, WNOHANG | __WALL)) {
        long rounds = 20000000, kept = 0x1234;
        __asm__ volatile("1: cmp $0x1234, %0\n jne 2f\n dec %1\n jnz 1b\n 2:" : "+a"(kept), "+r"(rounds) : : "cc");
        spoilt |= kept != 0x1234;
    }
    printf("%x, spoilt %d\n", status, spoilt);
    T(PTRACE_CONT, pid, 0, 0);
    heed("end", pid);
}
static void test_events(int options) {
    printf("== events %x\n", options);
    pid_t pid = traced_child(relatives);
    heed("first", pid);
    say("options", T(PTRACE_SETOPTIONS, pid, 0, options));
    T(PTRACE_CONT, pid, 0, 0);
    pid_t child = 0;
    for (int i = 0; i < 40; i++) {
        int status;
        pid_t got = child ? waitpid(child, &status, __WALL) : waitpid(pid, &status, __WALL);
        if (got < 0) { printf("wait %s\n", strerrorname_np(errno)); break; }
        printf("%s %x\n", got == pid ? "it" : "child", status);
        if (!WIFSTOPPED(status)) {
            if (got == pid) break;
            child = 0;
            continue;
        }
        unsigned long message = 0;
        int event = status >> 16, sig = 0;
        if (event) {
            T(PTRACE_GETEVENTMSG, got, 0, &message);
            if (event == PTRACE_EVENT_EXIT) printf("  exits %lx\n", message);
            if (event == PTRACE_EVENT_EXEC) printf("  same %d\n", (pid_t)message == got);
            info("  event", got);
        } else if (WSTOPSIG(status) != SIGSTOP && WSTOPSIG(status) != SIGTRAP) sig = WSTOPSIG(status);
        T(PTRACE_CONT, got, 0, sig);
        if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK) child = message;
    }
    fflush(stdout);
}

static void until(pid_t pid, char want) { int tracer; for (int i = 0; i < 5000 && state(pid, &tracer) != want; i++) usleep(1000); }
static void sleeper(void) { struct timespec t = {30, 0}; nanosleep(&t, NULL); }
static void test_seize(void) {
    printf("== seize\n");
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) { sleeper(); _exit(9); }
    until(pid, 'S');
    say("addr", T(PTRACE_SEIZE, pid, 1, 0));
    say("options", T(PTRACE_SEIZE, pid, 0, 0x400000));
    say("seize", T(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD));
    say("again", T(PTRACE_SEIZE, pid, 0, 0));
    say("regs running", T(PTRACE_SETOPTIONS, pid, 0, 0));
    say("interrupt", T(PTRACE_INTERRUPT, pid, 0, 0));
    heed("interrupted", pid);
    info("interrupted", pid);
    struct user_regs_struct r;
    T(PTRACE_GETREGS, pid, 0, &r);
    printf("call %lld result %lld\n", (long long)r.orig_rax, (long long)r.rax);
    say("syscall", T(PTRACE_SYSCALL, pid, 0, 0));
    heed("restarted", pid);
    T(PTRACE_GETREGS, pid, 0, &r);
    printf("call %lld result %lld\n", (long long)r.orig_rax, (long long)r.rax);
    say("cont", T(PTRACE_CONT, pid, 0, 0));
    kill(pid, SIGSTOP);
    heed("sigstop", pid);
    info("sigstop", pid);
    say("give", T(PTRACE_CONT, pid, 0, SIGSTOP));
    heed("group", pid);
    info("group", pid);
    say("listen", T(PTRACE_LISTEN, pid, 0, 0));
    say("listening", T(PTRACE_GETREGS, pid, 0, &r));
    int status;
    printf("nothing %d\n", waitpid(pid, &status, __WALL | WNOHANG));
    kill(pid, SIGCONT);
    heed("trap", pid);
    info("trap", pid);
    say("cont", T(PTRACE_CONT, pid, 0, 0));
    heed("sigcont", pid);
    say("detach bad", T(PTRACE_DETACH, pid, 0, 99));
    say("detach", T(PTRACE_DETACH, pid, 0, SIGTERM));
    heed("end", pid);
}

static void test_attach(void) {
    printf("== attach\n");
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) { sleeper(); _exit(9); }
    until(pid, 'S');
    say("attach", T(PTRACE_ATTACH, pid, 0, 0));
    heed("attached", pid);
    info("attached", pid);
    siginfo_t w;
    memset(&w, 0, sizeof w);
    say("interrupt", T(PTRACE_INTERRUPT, pid, 0, 0));
    say("cont", T(PTRACE_CONT, pid, 0, SIGSTOP));
    say("waitid", waitid(P_PID, pid, &w, WSTOPPED | WNOWAIT));
    printf("code %d status %x\n", w.si_code, w.si_status);
    heed("group", pid);
    info("group", pid);
    int tracer = 0;
    printf("%c\n", state(pid, &tracer));
    say("detach", T(PTRACE_DETACH, pid, 0, 0));
    until(pid, 'T');
    tracer = 0;
    char now = state(pid, &tracer);
    printf("%c %d\n", now, tracer);
    say("attach stopped", T(PTRACE_ATTACH, pid, 0, 0));
    heed("attached", pid);
    say("cont", T(PTRACE_CONT, pid, 0, 0));
    kill(pid, SIGKILL);
    int status;
    do waitpid(pid, &status, 0); while (WIFSTOPPED(status));
    printf("end %x\n", status);
}

static void test_tracer_dies(int kills) {
    printf("== tracer dies %d\n", kills);
    fflush(stdout);
    int p[2], q[2];
    if (pipe(p) || pipe(q)) exit(1);
    pid_t goal = fork();
    if (!goal) {
        close(q[1]);
        char c;
        while (read(q[0], &c, 1) > 0) { }
        _exit(11);
    }
    until(goal, 'S');
    pid_t tracer = fork();
    if (!tracer) {
        close(q[1]);
        T(PTRACE_SEIZE, goal, 0, kills ? PTRACE_O_EXITKILL : 0);
        T(PTRACE_INTERRUPT, goal, 0, 0);
        int status = 0;
        pid_t got = waitpid(goal, &status, __WALL);
        printf("stranger: %d %x\n", got == goal, status);
        fflush(stdout);
        if (!kills) T(PTRACE_CONT, goal, 0, 0);
        _exit(0);
    }
    heed("tracer", tracer);
    close(q[1]);
    heed("goal", goal);
    close(p[0]), close(p[1]), close(q[0]);
}

static void test_stranger_waits(void) {
    printf("== a stranger waits first\n");
    fflush(stdout);
    int p[2];
    if (pipe(p)) exit(1);
    pid_t goal = fork();
    if (!goal) { char c; close(p[1]); if (read(p[0], &c, 1)) { } _exit(12); }
    pid_t tracer = fork();
    if (!tracer) {
        T(PTRACE_SEIZE, goal, 0, 0);
        close(p[1]);
        int status = 0;
        usleep(100000);
        pid_t got = waitpid(goal, &status, __WALL);
        _exit(got == goal && WIFEXITED(status) ? WEXITSTATUS(status) : 99);
    }
    close(p[1]);
    heed("goal", goal);
    heed("tracer", tracer);
    close(p[0]);
}

static void *thread(void *x) { return x; }
static void threads(void) {
    pthread_t t;
    pthread_create(&t, NULL, thread, NULL);
    pthread_join(t, NULL);
}
static void test_threads(void) {
    printf("== threads\n");
    pid_t pid = traced_child(threads);
    heed("first", pid);
    T(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACECLONE | PTRACE_O_TRACESYSGOOD);
    T(PTRACE_CONT, pid, 0, 0);
    heed("clone", pid);
    unsigned long tid = 0;
    say("tid", T(PTRACE_GETEVENTMSG, pid, 0, &tid));
    heed("thread", tid);
    info("thread", tid);
    T(PTRACE_CONT, tid, 0, 0);
    heed("thread ends", tid);
    T(PTRACE_CONT, pid, 0, 0);
    heed("end", pid);
}

int main(int argc, char **argv) {
    self = argv[0];
    if (argc > 1) return 5;
    test_calls(1);
    test_calls(0);
    test_changes();
    test_signals();
    test_memory_and_steps();
    test_sets();
    test_a_tracer_that_computes();
    test_events(0);
    test_events(PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEVFORKDONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT);
    test_seize();
    test_attach();
    test_tracer_dies(0);
    test_tracer_dies(1);
    test_stranger_waits();
    test_threads();
    return 0;
}
