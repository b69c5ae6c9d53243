/* Does one thing many times and prints the seconds that all took: machine KIND TIMES. What is made ready for it does not
   count. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SLEEPERS 10000
#define WORK 2000 /* steps of computing, about a microsecond each hundred */

static volatile int hits;
static int turn, count, to_child[2], to_parent[2], master = -1, slave = -1;
static char line[64];

static void on(int n) { (void)n; hits++; }

static int is(const char *kind, const char *name) { return !strcmp(kind, name); }

static void fail(void) { _exit(1); }

static void compute(void)
{
    for (volatile int i = 0; i < WORK; i++) ;
}

/* The turn is `mine` now; it is to be the other's. */
static void hand_over(int mine)
{
    while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != mine)
        syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, !mine, NULL, NULL, 0);
    __atomic_store_n(&turn, !mine, __ATOMIC_RELEASE);
    syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *other(void *unused)
{
    for (int i = 0; i < count / 2; i++)
        hand_over(1);
    return unused;
}

static void *sleeper(void *unused)
{
    static int never;
    for (;;)
        syscall(SYS_futex, &never, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    return unused;
}

static void start(void *(*body)(void *))
{
    pthread_t thread;
    pthread_attr_t small;
    if (pthread_attr_init(&small) || pthread_attr_setstacksize(&small, 1 << 16)) fail();
    if (pthread_create(&thread, &small, body, NULL)) fail();
}

static void echo(void)
{
    close(to_child[1]);
    close(to_parent[0]);
    while (read(to_child[0], line, 1) == 1 && write(to_parent[1], line, 1) == 1) ;
    _exit(0);
}

static void prepare(const char *kind)
{
    if (is(kind, "signal")) signal(SIGUSR1, on);
    if (is(kind, "pty")) {
        master = posix_openpt(O_RDWR | O_NOCTTY);
        if (grantpt(master) || unlockpt(master) || (slave = open(ptsname(master), O_RDWR | O_NOCTTY)) < 0) fail();
    }
    if (is(kind, "pipe") || is(kind, "socket")) {
        int pair[2];
        if (is(kind, "pipe")) {
            if (pipe(to_child) || pipe(to_parent)) fail();
        } else {
            if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) fail();
            to_child[0] = pair[1], to_parent[1] = dup(pair[1]), to_child[1] = pair[0], to_parent[0] = dup(pair[0]);
        }
        if (!fork()) echo();
        close(to_child[0]);
        close(to_parent[1]);
    }
    if (is(kind, "sleepers")) {
        for (int i = 0; i < SLEEPERS; i++) start(sleeper);
        for (int i = 0; i < 2 * SLEEPERS; i++) sched_yield();
    }
}

static void once(const char *kind)
{
    if (is(kind, "fork")) {
        pid_t child = fork();
        if (!child) _exit(0);
        if (waitpid(child, 0, 0) != child) fail();
    } else if (is(kind, "signal")) {
        raise(SIGUSR1);
    } else if (is(kind, "pty")) {
        if (write(master, "x\n", 2) != 2 || read(slave, line, sizeof line) != 2 || read(master, line, sizeof line) < 1) fail();
    } else if (is(kind, "pipe") || is(kind, "socket")) {
        if (write(to_child[1], "x", 1) != 1 || read(to_parent[0], line, 1) != 1) fail();
    } else if (is(kind, "null")) {
        syscall(SYS_getppid);
    } else { /* alone, sleepers */
        compute();
        syscall(SYS_getppid);
    }
}

int main(int argc, char **argv)
{
    struct timespec a, b;
    const char *kind = argv[1];
    if (argc != 3) return 1;
    count = atoi(argv[2]);
    prepare(kind);
    clock_gettime(CLOCK_MONOTONIC, &a);
    if (is(kind, "futex")) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, other, NULL)) return 1;
        for (int i = 0; i < count / 2; i++) hand_over(0);
        pthread_join(thread, NULL);
    } else if (is(kind, "two")) {
        pid_t child = fork();
        for (int i = 0; i < count / 2; i++) compute();
        if (!child) _exit(0);
        if (waitpid(child, 0, 0) != child) return 1;
    } else if (is(kind, "one")) {
        for (int i = 0; i < count; i++) compute();
    } else {
        for (int i = 0; i < count; i++) once(kind);
    }
    clock_gettime(CLOCK_MONOTONIC, &b);
    if (is(kind, "signal") && hits != count) return 2;
    printf("%.9f\n", b.tv_sec - a.tv_sec + (b.tv_nsec - a.tv_nsec) / 1e9);
    fflush(stdout);
    _exit(0);
}
