/* Processes and threads that hand pieces on through pipes and words, as a number says: exchange SEED. What it prints does
   not depend on who runs when. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST 6
static unsigned long state;
static volatile int alarms;
static int turn, rounds;

static unsigned next(void)
{
    state = state * 6364136223846793005ul + 1442695040888963407ul;
    return state >> 33;
}

static void on(int n) { (void)n; alarms++; }

static void fail(const char *what) { perror(what); _exit(3); }

/* A stream from one pipe to the next: sums what it reads, in pieces of sizes of its own. */
static unsigned long pump(int from, int to, long total, int odd)
{
    static char buffer[70000];
    unsigned long sum = 0;
    long done = 0;
    while (done < total) {
        long want = odd & 1 ? 1 + next() % 9 : 1 + next() % 5000, n;
        if (want > total - done) want = total - done;
        if (from >= 0) {
            if (odd & 2) {
                struct pollfd p = {from, POLLIN, 0};
                while (poll(&p, 1, 1000) < 0 && errno == EINTR) ;
            }
            do n = read(from, buffer, want); while (n < 0 && (errno == EINTR || errno == EAGAIN));
            if (n <= 0) fail("read");
        } else
            for (n = 0; n < want; n++) buffer[n] = next();
        for (long i = 0; i < n; i++) sum = sum * 31 + (unsigned char)buffer[i];
        if (to >= 0)
            for (long at = 0, m; at < n; at += m) {
                m = write(to, buffer + at, n - at);
                if (m < 0 && (errno == EINTR || errno == EAGAIN)) m = 0;
                if (m < 0) fail("write");
            }
        done += n;
    }
    return sum;
}

static void *partner(void *which)
{
    int mine = (int)(long)which;
    for (int i = 0; i < rounds; i++) {
        while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != mine)
            syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, !mine, NULL, NULL, 0);
        __atomic_store_n(&turn, !mine, __ATOMIC_RELEASE);
        syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    int pipes[MOST + 1][2], results[2], count, i, odd;
    long total;
    unsigned long sums[MOST] = {0};
    struct { int who; unsigned long sum; } told;
    struct timespec begin, end;
    struct rusage own, theirs;
    struct stat before, after;
    state = argc > 1 ? strtoul(argv[1], 0, 10) * 977 + 5 : 1;
    next(), next();
    clock_gettime(CLOCK_MONOTONIC, &begin);
    count = 2 + next() % (MOST - 1);
    odd = next() % 4;
    total = odd & 1 ? 1500 : 60000;
    rounds = next() % 300;
    if (next() % 2) {
        struct sigaction a = {.sa_handler = on, .sa_flags = next() % 2 ? SA_RESTART : 0};
        sigaction(SIGALRM, &a, 0);
    }
    int rings = next() % 2;
    signal(SIGPIPE, SIG_IGN);
    if (pipe(results)) fail("pipe");
    for (i = 0; i <= count; i++) {
        if (pipe(pipes[i])) fail("pipe");
        if (next() % 3 == 0) fcntl(pipes[i][1], F_SETPIPE_SZ, 4096);
        if (next() % 4 == 0) fcntl(pipes[i][0], F_SETFL, O_NONBLOCK);
        if (next() % 5 == 0) fcntl(pipes[i][1], F_SETFL, O_NONBLOCK);
    }
    fstat(pipes[1][0], &before);
    for (i = 0; i < count; i++) {
        pid_t child = fork();
        if (child < 0) fail("fork");
        if (!child) {
            struct itimerval t = {{0, 700}, {0, 700}};
            state += i * 7919;
            if (rings) {
                if (sigaction(SIGALRM, 0, &(struct sigaction){0}) == 0) signal(SIGALRM, on);
                setitimer(ITIMER_REAL, &t, 0);
            }
            told.sum = pump(i ? pipes[i][0] : -1, i + 1 < count ? pipes[i + 1][1] : -1, total, odd);
            told.who = i;
            memset(&t, 0, sizeof t);
            setitimer(ITIMER_REAL, &t, 0);
            if (rounds) {
                pthread_t thread;
                if (pthread_create(&thread, 0, partner, (void *)1)) fail("pthread_create");
                partner((void *)0);
                pthread_join(thread, 0);
            }
            if (write(results[1], &told, sizeof told) != sizeof told) fail("told");
            _exit(i);
        }
    }
    for (i = 0; i < count; i++) {
        if (read(results[0], &told, sizeof told) != sizeof told) fail("results");
        sums[told.who] = told.sum;
    }
    for (i = 0; i < count; i++) printf("%d %lx\n", i, sums[i]);
    int codes = 0, status;
    while (wait(&status) > 0) codes += WIFEXITED(status) ? 1 + WEXITSTATUS(status) : 1000;
    int left = -1;
    ioctl(pipes[count][0], FIONREAD, &left);
    fstat(pipes[1][0], &after);
    getrusage(RUSAGE_SELF, &own);
    getrusage(RUSAGE_CHILDREN, &theirs);
    clock_gettime(CLOCK_MONOTONIC, &end);
    double wall = end.tv_sec - begin.tv_sec + (end.tv_nsec - begin.tv_nsec) / 1e9;
    double used = theirs.ru_utime.tv_sec + theirs.ru_stime.tv_sec + (theirs.ru_utime.tv_usec + theirs.ru_stime.tv_usec) / 1e6;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    printf("%d processes, codes %d, %d left, %s, %s, turn %d\n", count, codes, left,
           used > 0 && used <= cores * (wall + 0.1) ? "used some" : "used what nobody has",
           after.st_mtim.tv_sec > before.st_mtim.tv_sec
                   || (after.st_mtim.tv_sec == before.st_mtim.tv_sec && after.st_mtim.tv_nsec >= before.st_mtim.tv_nsec)
               ? "written later" : "written before", turn);
    printf("%s\n", theirs.ru_nvcsw > 0 ? "waited" : "never waited");
    return 0;
}
