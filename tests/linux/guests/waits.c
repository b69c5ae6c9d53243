/* Waiting and clocks, identity and limits: results that do not depend on when or where. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static void show(const char *what, long result) {
    printf("%s: %ld errno %d\n", what, result, result == -1 ? errno : 0);
    errno = 0;
}
static long ms(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000 + t.tv_nsec / 1000000; }

int main(int argc, char **argv) {
    int p[2], full[2], null = open("/dev/null", O_RDWR), file = open(argv[0], O_RDONLY);
    if (pipe(p) || pipe2(full, O_NONBLOCK)) return 99;
    char big[65536];
    memset(big, 0, sizeof big);
    while (write(full[1], big, sizeof big) > 0) {}
    struct pollfd f[] = {{p[0], POLLIN, 0}, {p[1], POLLOUT, 0}, {null, POLLIN | POLLOUT, 0}, {file, POLLIN | POLLOUT, 0},
        {99, POLLIN, 0}, {-1, POLLIN, 0}, {full[1], POLLOUT, 0}, {full[0], POLLIN, 0}};
    show("poll", poll(f, 8, 0));
    for (int i = 0; i < 8; i++) printf("  %d: %x\n", i, f[i].revents);
    long before = ms();
    show("poll times out", poll(f, 1, 30));
    printf("  waited %d\n", ms() - before >= 30);
    write(p[1], "x", 1);
    show("poll ready", poll(f, 1, 5000));
    printf("  %x\n", f[0].revents);
    struct timespec none = {0, 0}, bad = {0, 1000000000};
    show("ppoll", ppoll(f, 1, &none, 0));
    show("ppoll bad", ppoll(f, 1, &bad, 0));
    show("poll nothing", poll(0, 0, 10));

    fd_set r, w;
    struct timeval tv = {0, 20000};
    FD_ZERO(&r); FD_ZERO(&w);
    FD_SET(p[0], &r); FD_SET(p[1], &w); FD_SET(full[1], &w);
    show("select", select(20, &r, &w, 0, &tv));
    printf("  %d %d %d\n", !!FD_ISSET(p[0], &r), !!FD_ISSET(p[1], &w), !!FD_ISSET(full[1], &w));
    FD_ZERO(&r); FD_SET(40, &r);  /* past the table of descriptors Linux does not look, and that may be 64 long */
    show("select bad", select(41, &r, 0, 0, &tv));
    char c;
    read(p[0], &c, 1);
    FD_ZERO(&r); FD_SET(p[0], &r);
    tv.tv_usec = 20000;
    show("select times out", select(20, &r, 0, 0, &tv));
    printf("  left %ld\n", (long)tv.tv_usec);
    close(p[1]);
    show("poll hangup", poll(f, 1, 5000));
    printf("  %x\n", f[0].revents);
    close(full[0]);
    f[6].revents = 0;
    show("poll error", poll(f + 6, 1, 0));
    printf("  %x\n", f[6].revents);

    struct timespec t = {0, 20000000}, rem;
    before = ms();
    show("nanosleep", nanosleep(&t, &rem));
    show("clock_nanosleep", clock_nanosleep(CLOCK_MONOTONIC, 0, &t, 0));
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec -= 5;
    show("in the past", clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, 0));
    printf("slept %d\n", ms() - before >= 40);
    for (int clock = 0; clock < 13; clock++) {
        printf("clock %d: %ld %ld\n", clock, syscall(SYS_clock_gettime, clock, &t), syscall(SYS_clock_getres, clock, &rem));
    }
    show("settime", clock_settime(CLOCK_MONOTONIC, &t));

    struct rlimit limit;
    show("stack", getrlimit(RLIMIT_STACK, &limit));
    limit.rlim_cur = 64; limit.rlim_max = 128;
    show("nofile", setrlimit(RLIMIT_NOFILE, &limit));
    show("kept", getrlimit(RLIMIT_NOFILE, &limit));
    printf("  %d %d\n", (int)limit.rlim_cur, (int)limit.rlim_max);
    show("dup2 at the limit", dup2(0, 64));
    limit.rlim_cur = 200;
    show("soft above hard", setrlimit(RLIMIT_NOFILE, &limit));
    show("no such limit", syscall(SYS_prlimit64, 0, 16, 0, &limit));
    show("pid", syscall(SYS_getpid) == syscall(SYS_gettid));
    show("uid", getuid()); show("gid", getgid()); show("groups", getgroups(0, 0));
    show("setuid same", setuid(getuid()));
    char name[16];
    show("prctl", prctl(PR_SET_NAME, "a name too long to keep"));
    prctl(PR_GET_NAME, name);
    puts(name);
    show("prctl bad", prctl(9999));
    show("wait", syscall(SYS_wait4, -1, 0, 0, 0));
    show("kill nobody", syscall(SYS_kill, 999999999, 0));
    show("kill bad", syscall(SYS_kill, getpid(), 99));
    show("tgkill", syscall(SYS_tgkill, getpid(), getpid(), 0));
    show("priority", getpriority(PRIO_PROCESS, 0));
    show("yield", sched_yield());
    show("policy", sched_getscheduler(0));
    struct utsname u;
    show("uname", uname(&u));
    printf("%s %s %s\n", u.sysname, u.release, u.machine);
    show("mremap", syscall(SYS_membarrier, 99, 0, 0));
    show("futex misaligned", syscall(SYS_futex, name + 1, 1, 1));
    int word = 5;
    show("futex other value", syscall(SYS_futex, &word, 0, 6, 0));
    t = (struct timespec){0, 10000000};
    show("futex times out", syscall(SYS_futex, &word, 0, 5, &t));
    show("futex op", syscall(SYS_futex, &word, 99, 5, &t));
    show("bad call", syscall(9999));
    return 0;
}
