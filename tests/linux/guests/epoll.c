/* epoll.c: what epoll and eventfd say of files that one process reads and writes itself; every answer is printed. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static void say(const char *what, long r)
{
    if (r < 0) printf("%s: %s\n", what, strerrorname_np(errno));
    else printf("%s: %ld\n", what, r);
}
static int add(int ep, int fd, unsigned events, uint64_t data)
{
    struct epoll_event e = {.events = events, .data.u64 = data};
    return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
}
static int mod(int ep, int fd, unsigned events, uint64_t data)
{
    struct epoll_event e = {.events = events, .data.u64 = data};
    return epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e);
}
static void look(const char *what, int ep, int most)
{
    struct epoll_event e[16];
    memset(e, 0, sizeof e);
    int n = epoll_wait(ep, e, most, 0);
    printf("%s:", what);
    if (n < 0) printf(" %s", strerrorname_np(errno));
    for (int i = 0; i < n; i++) printf(" %llu=%x", (unsigned long long)e[i].data.u64, e[i].events);
    printf(" (%d)\n", n);
}
static long put(int fd, uint64_t v) { return write(fd, &v, 8); }
static uint64_t get(int fd) { uint64_t v = 0; long r = read(fd, &v, 8); return r < 0 ? (uint64_t)-errno : v; }

static void eventfds(void)
{
    int a = eventfd(3, EFD_NONBLOCK), b = eventfd(2, EFD_NONBLOCK | EFD_SEMAPHORE | EFD_CLOEXEC);
    char c[16] = {0};
    say("fl", fcntl(a, F_GETFL)); say("fl", fcntl(b, F_GETFL)); say("fd", fcntl(b, F_GETFD));
    printf("%llu %lld\n", (unsigned long long)get(a), (long long)get(a));
    printf("%llu %llu %lld\n", (unsigned long long)get(b), (unsigned long long)get(b), (long long)get(b));
    say("short read", read(a, c, 7)); say("short write", write(a, c, 7)); say("all ones", put(a, -1));
    say("long write", write(a, "\5\0\0\0\0\0\0\0xxxxxxxx", 16)); say("long read", read(a, c, 16)); say("first", c[0]);
    say("most", put(a, -2)); say("more", put(a, 1)); say("nothing", put(a, 0));
    struct pollfd p = {a, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0};
    say("poll", poll(&p, 1, 0)); printf("%x\n", p.revents);
    get(a); poll(&p, 1, 0); printf("%x\n", p.revents);
    say("lseek", lseek(a, 5, SEEK_SET)); say("lseek", lseek(a, 5, 7)); say("pread", pread(a, c, 8, 0)); say("pwrite", pwrite(a, c, 8, 0));
    say("trunc", ftruncate(a, 0)); say("sync", fsync(a)); say("fadvise", posix_fadvise(a, 0, 0, 0));
    int n; say("FIONREAD", ioctl(a, FIONREAD, &n)); say("chmod", fchmod(a, 0600));
    say("flags", eventfd(0, 4)); say("dup", dup(a) > 0);
    struct stat st; fstat(a, &st); printf("%o %ld %ld %ld\n", st.st_mode, (long)st.st_size, (long)st.st_nlink, (long)st.st_blksize);
    char path[64], to[64]; sprintf(path, "/proc/self/fd/%d", a); n = readlink(path, to, 63); to[n > 0 ? n : 0] = 0; puts(to);
    sprintf(path, "/proc/self/fd/%d", a); say("reopen", open(path, O_RDWR)); say("stat", stat(path, &st));
    say("bad", write(a, (void *)8, 8)); put(a, 7); say("bad", read(a, (void *)8, 8)); printf("%lld\n", (long long)get(a));
    say("setfl", fcntl(a, F_SETFL, O_APPEND | O_DIRECT)); say("setfl", fcntl(a, F_SETFL, O_APPEND)); say("fl", fcntl(a, F_GETFL));
    say("setfl", fcntl(a, F_SETFL, O_ASYNC)); say("fl", fcntl(a, F_GETFL));
    close(a); close(b);
}
static void sets(void)
{
    int ep = epoll_create1(EPOLL_CLOEXEC), a = eventfd(0, EFD_NONBLOCK), b = eventfd(0, EFD_NONBLOCK), p[2];
    struct epoll_event e = {0};
    if (pipe(p)) exit(1);
    say("fl", fcntl(ep, F_GETFL)); say("fd", fcntl(ep, F_GETFD));
    say("add", add(ep, a, EPOLLIN, 1)); say("again", add(ep, a, EPOLLIN, 1)); say("self", add(ep, ep, EPOLLIN, 1));
    say("none", add(ep, 77, EPOLLIN, 1)); say("none", epoll_ctl(77, EPOLL_CTL_ADD, a, &e)); say("no epoll", add(a, b, EPOLLIN, 1));
    say("op", epoll_ctl(ep, 9, a, &e)); say("null", epoll_ctl(ep, EPOLL_CTL_ADD, b, 0)); say("null", epoll_ctl(ep, EPOLL_CTL_MOD, a, 0));
    say("del", epoll_ctl(ep, EPOLL_CTL_DEL, b, 0)); say("mod", mod(ep, b, EPOLLIN, 0));
    int f = open(".", O_RDONLY), z = open("/dev/zero", O_RDONLY), o = open("/", O_PATH);
    say("dir", add(ep, f, EPOLLIN, 0)); say("zero", add(ep, z, EPOLLIN, 0)); say("path", add(ep, o, EPOLLIN, 0));
    say("null op", epoll_ctl(ep, 9, f, 0)); say("null", epoll_ctl(78, EPOLL_CTL_ADD, 77, 0)); say("size", epoll_create(0)); say("flags", epoll_create1(1));
    look("nothing", ep, 4); put(a, 1); look("level", ep, 4); look("level", ep, 4); get(a); look("gone", ep, 4);
    say("mod", mod(ep, a, EPOLLIN | EPOLLET, 2)); look("none", ep, 4); put(a, 1); look("edge", ep, 4); look("edge", ep, 4);
    put(a, 1); look("edge again", ep, 4); put(a, 1); put(a, 1); look("once", ep, 4); look("none", ep, 4);
    say("mod", mod(ep, a, EPOLLIN | EPOLLET, 3)); look("modified", ep, 4); look("none", ep, 4); get(a); put(a, 2); look("edge", ep, 4);
    say("mod", mod(ep, a, EPOLLIN | EPOLLOUT | EPOLLET, 3)); look("both", ep, 4); get(a); look("read makes an edge", ep, 4); look("none", ep, 4);
    say("mod", mod(ep, a, EPOLLOUT | EPOLLONESHOT, 4)); look("once", ep, 4); look("off", ep, 4); put(a, 1); look("off", ep, 4);
    say("mod", mod(ep, a, EPOLLIN | EPOLLONESHOT, 5)); look("armed", ep, 4); look("off", ep, 4);
    say("mod", mod(ep, a, EPOLLIN, 6)); say("add b", add(ep, b, EPOLLIN, 7)); put(b, 1);
    look("round", ep, 1); look("round", ep, 1); look("round", ep, 1); look("both", ep, 4);
    say("exclusive mod", mod(ep, b, EPOLLIN | EPOLLEXCLUSIVE, 8)); say("del", epoll_ctl(ep, EPOLL_CTL_DEL, b, &e));
    say("exclusive", add(ep, b, EPOLLIN | EPOLLEXCLUSIVE, 8)); say("mod of it", mod(ep, b, EPOLLIN, 8)); look("both", ep, 4);
    say("del", epoll_ctl(ep, EPOLL_CTL_DEL, b, 0)); say("exclusive once", add(ep, b, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 8));
    say("exclusive rdhup", add(ep, b, EPOLLRDHUP | EPOLLEXCLUSIVE, 8)); say("exclusive edge", add(ep, b, EPOLLIN | EPOLLEXCLUSIVE | EPOLLET | EPOLLWAKEUP, 8));
    get(a); get(b);
    int d = dup(a); say("dup", add(ep, d, EPOLLIN, 9)); put(a, 1); look("both", ep, 4);
    close(a); look("closed, not the last", ep, 4); say("mod closed", mod(ep, a, EPOLLIN, 1)); say("del d", epoll_ctl(ep, EPOLL_CTL_DEL, d, 0)); look("ghost", ep, 4);
    close(d); look("last closed", ep, 4); close(b); look("all closed", ep, 4);
    say("pipe in", add(ep, p[0], EPOLLIN | EPOLLRDHUP, 10)); say("pipe out", add(ep, p[1], EPOLLOUT, 11)); look("pipe", ep, 4);
    if (write(p[1], "xy", 2) != 2) exit(1);
    look("pipe", ep, 4); close(p[1]); look("pipe", ep, 4); char c[8]; say("read", read(p[0], c, 8)); look("pipe", ep, 4);
    say("max", epoll_wait(ep, &e, 0, 0)); say("max", epoll_wait(ep, &e, -1, 0)); say("max", epoll_wait(ep, &e, 1 << 30, 0));
    say("bad", epoll_wait(ep, (void *)-1, 1, 0)); say("bad", epoll_wait(ep, (void *)8, 1, 0)); say("bad fd", epoll_wait(99, &e, 0, 0)); say("not one", epoll_wait(p[0], &e, 0, 0));
    say("not one", epoll_wait(p[0], &e, 1, 0)); look("still", ep, 4);
    say("read", read(ep, c, 8)); say("write", write(ep, c, 8)); say("lseek", lseek(ep, 0, 0));
    close(p[0]); close(ep); close(f); close(z); close(o);
}
static void nests(void)
{
    int ep[8], a = eventfd(0, EFD_NONBLOCK);
    for (int i = 0; i < 8; i++) ep[i] = epoll_create1(0);
    say("leaf", add(ep[0], a, EPOLLIN, 1)); say("one", add(ep[1], ep[0], EPOLLIN, 2)); say("circle", add(ep[0], ep[1], EPOLLIN, 2));
    look("outer", ep[1], 4); put(a, 1); look("outer", ep[1], 4); look("inner", ep[0], 4); look("outer", ep[1], 4); get(a); look("outer", ep[1], 4);
    say("edge", mod(ep[1], ep[0], EPOLLIN | EPOLLET, 3)); put(a, 1); look("edge", ep[1], 4); look("none", ep[1], 4); put(a, 1); look("edge", ep[1], 4); get(a);
    for (int i = 1; i < 7; i++) { char w[8]; sprintf(w, "nest %d", i); say(w, add(ep[i + 1], ep[i], EPOLLIN, 2)); }
    struct pollfd p = {ep[1], POLLIN | POLLOUT, 0}; say("poll", poll(&p, 1, 0)); put(a, 1); say("poll", poll(&p, 1, 0)); printf("%x\n", p.revents);
    say("exclusive", add(ep[7], ep[0], EPOLLIN | EPOLLEXCLUSIVE, 2));
    say("wide", add(ep[7], a, EPOLLIN, 5)); look("wide", ep[7], 4);
    for (int i = 0; i < 8; i++) close(ep[i]);
    close(a);
}
static void nothing(int s) { (void)s; }
static void waits(void)
{
    int ep = epoll_create1(0), a = eventfd(0, 0);
    struct epoll_event e; struct timespec t = {0, 20000000}, bad = {0, 2000000000}; sigset_t all, none;
    struct sigaction act = {.sa_handler = nothing, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &act, 0); add(ep, a, EPOLLIN, 1); sigfillset(&all); sigemptyset(&none);
    say("time", epoll_wait(ep, &e, 1, 20)); say("pwait2", syscall(SYS_epoll_pwait2, ep, &e, 1, &t, 0, 0)); say("bad time", syscall(SYS_epoll_pwait2, ep, &e, 1, &bad, 0, 0));
    say("mask", syscall(SYS_epoll_pwait, ep, &e, 1, 0, &all, 4)); say("mask", syscall(SYS_epoll_pwait, ep, &e, 1, 0, 8, 8)); say("masked", epoll_pwait(ep, &e, 1, 10, &all));
    struct itimerval v = {{0, 0}, {0, 30000}}; setitimer(ITIMER_REAL, &v, 0);
    say("signal", epoll_wait(ep, &e, 1, -1));
    sigset_t old; sigset_t alarm; sigemptyset(&alarm); sigaddset(&alarm, SIGALRM); sigprocmask(SIG_BLOCK, &alarm, 0);
    setitimer(ITIMER_REAL, &v, 0); say("unmasked", epoll_pwait(ep, &e, 1, -1, &none));
    sigprocmask(SIG_BLOCK, 0, &old); say("blocked again", sigismember(&old, SIGALRM));
    raise(SIGALRM); say("pending", epoll_pwait(ep, &e, 1, -1, &none)); put(a, 1); raise(SIGALRM); say("ready and pending", epoll_pwait(ep, &e, 1, -1, &none));
    sigset_t pend; sigpending(&pend); say("still pending", sigismember(&pend, SIGALRM));
    close(a); close(ep);
}
static unsigned rnd_state;
static unsigned rnd(unsigned n) { rnd_state = rnd_state * 1103515245 + 12345; return (rnd_state >> 16) % n; }
enum { FILES = 9 };
static int fds[FILES], ends[FILES], peer[FILES];
static int epolls[3], nested;
/* Random calls over eventfds, pipes and nested epolls; level triggered ones tell what poll tells. */
static void model(unsigned seed, int steps)
{
    static const unsigned kinds[] = {0, 0, 0, EPOLLET, EPOLLONESHOT, EPOLLET | EPOLLONESHOT, EPOLLEXCLUSIVE, EPOLLEXCLUSIVE | EPOLLET};
    rnd_state = seed;
    for (int i = 0; i < 3; i++) epolls[i] = epoll_create1(0);
    for (int i = 0; i < FILES; i++) fds[i] = -1;
    for (int k = 0; k < steps; k++) {
        int i = rnd(FILES), ep = epolls[rnd(3)], r = 0;
        unsigned events = (rnd(4) ? EPOLLIN : 0) | (rnd(3) ? 0 : EPOLLOUT) | (rnd(4) ? 0 : EPOLLRDHUP) | kinds[rnd(8)];
        if (i == 8 && !nested) continue;
        if (fds[i] < 0) {
            if (i < 3) fds[i] = eventfd(rnd(3), EFD_NONBLOCK | (rnd(2) ? EFD_SEMAPHORE : 0));
            else if (i == 8) fds[i] = epolls[rnd(3)];
            else { int p[2]; i = i & ~1; if (i < 4) i = 4; if (fds[i] >= 0 || fds[i + 1] >= 0 || i + 1 >= 8) continue; if (pipe2(p, O_NONBLOCK)) exit(1); fds[i] = p[0]; fds[i + 1] = p[1]; }
            continue;
        }
        errno = 0;
        switch (rnd(12)) {
        case 0: case 1: r = add(ep, fds[i], events, i); break;
        case 2: r = mod(ep, fds[i], events & ~(rnd(4) ? EPOLLEXCLUSIVE : 0), i + 100); break;
        case 3: r = epoll_ctl(ep, EPOLL_CTL_DEL, fds[i], 0); break;
        case 4: if (i != 8) r = put(fds[i], rnd(3)); break;
        case 5: if (i != 8) { char c[8192]; r = read(fds[i], c, i < 3 ? 8 : rnd(2) ? 3 : sizeof c); } break;
        case 6: if (i != 8 && !rnd(3)) { close(fds[i]); fds[i] = -1; } break;
        case 7: { int d = dup(fds[i]); if (rnd(2)) r = add(ep, d, events, i + 200); if (i != 8) { close(fds[i]); fds[i] = d; } else close(d); } break;
        case 8: if (i > 3 && i < 8) { static char big[70000]; r = write(fds[i], big, rnd(70000)); } break;
        default: look("wait", ep, 1 + rnd(5)); continue;
        }
        printf("%d %d %s\n", k, r, r < 0 ? strerrorname_np(errno) : "");
        if (!rnd(8)) { struct pollfd p = {ep, POLLIN, 0}; r = poll(&p, 1, 0); printf("poll %d %x\n", r, p.revents); }
    }
}
int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    if (argc > 2) { setvbuf(stdout, 0, _IOFBF, 1 << 20); nested = argc > 3; model(atoi(argv[1]), atoi(argv[2])); return 0; } setvbuf(stdout, 0, _IOLBF, 0); eventfds(); puts("--"); sets(); puts("--"); nests(); puts("--"); waits(); return 0; }
