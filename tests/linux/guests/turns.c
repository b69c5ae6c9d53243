/* Tasks that wake each other, beside others that only compute: who gets how many turns. turns KIND TASKS MILLISECONDS; what each kind
   prints is told in counts, of turns and of CPU time, and by no clock of the wall. */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAIRS 8
#define HOPS 500


static volatile int stop, ready;
static long length; /* of the work, nanoseconds of CPU time */
static volatile unsigned long done[16];
static long used[16], switches[16];
static int turn[PAIRS], pipes[PAIRS][2][2], by_pipe, between;
static long hops[PAIRS];

static void fail(const char *what) { perror(what); _exit(3); }

static long nanoseconds(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now)) fail("clock");
    return now.tv_sec * 1000000000l + now.tv_nsec;
}

static void note(long me)
{
    struct rusage usage;
    if (getrusage(RUSAGE_THREAD, &usage)) fail("getrusage");
    switches[me] = usage.ru_nivcsw;
    used[me] = nanoseconds(CLOCK_THREAD_CPUTIME_ID);
}

static void *spin(void *me)
{
    __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
    while (!stop) done[(long)me]++;
    note((long)me);
    return 0;
}

static int policy = -1, least;

/* Until the thread has used a time, whatever the others do. */
static void *work(void *me)
{
    long ends;
    if (me && policy >= 0 && (setpriority(PRIO_PROCESS, gettid(), least) ||
                              sched_setscheduler(0, policy, &(struct sched_param){0}))) fail("setpriority");
    ends = nanoseconds(CLOCK_THREAD_CPUTIME_ID) + length;
    while (nanoseconds(CLOCK_THREAD_CPUTIME_ID) < ends)
        for (volatile int i = 0; i < 2000; i++) ;
    note((long)me);
    return 0;
}

static void hop(int pair, int mine)
{
    char c = 0;
    if (by_pipe) {
        if (read(pipes[pair][mine][0], &c, 1) != 1 || write(pipes[pair][!mine][1], &c, 1) != 1) fail("pipe");
        return;
    }
    while (!stop && __atomic_load_n(&turn[pair], __ATOMIC_ACQUIRE) != mine)
        syscall(SYS_futex, &turn[pair], FUTEX_WAIT_PRIVATE, !mine, NULL, NULL, 0);
    __atomic_store_n(&turn[pair], !mine, __ATOMIC_RELEASE);
    syscall(SYS_futex, &turn[pair], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    hops[pair]++;
}

static void *some(void *mine)
{
    for (int i = 0; i < HOPS; i++) hop(0, (long)mine);
    return 0;
}

static void *many(void *who)
{
    while (!stop) {
        for (volatile int i = 0; i < between; i++) ;
        hop((long)who / 2, (long)who & 1);
    }
    return 0;
}

static void *doze(void *unused)
{
    struct timespec brief = {0, 1000};
    while (!stop) {
        for (volatile int i = 0; i < 20000; i++) ;
        nanosleep(&brief, 0);
    }
    return unused;
}

static int word;
static long told;

/* Wakes one now and then, and goes on with its work. */
static void *wake(void *unused)
{
    for (int i = 1; !stop; i++) {
        for (volatile int j = 0; j < 500000; j++) ;
        told = nanoseconds(CLOCK_MONOTONIC);
        __atomic_store_n(&word, i, __ATOMIC_RELEASE);
        syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
    return unused;
}

static void *yield(void *unused)
{
    while (!stop) sched_yield();
    return unused;
}

static pthread_t start(void *(*body)(void *), long number)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, body, (void *)number)) fail("thread");
    return thread;
}

int main(int argc, char **argv)
{
    if (argc != 4) return 2;
    const char *kind = argv[1];
    long tasks = atol(argv[2]);
    length = atol(argv[3]) * 1000000;
    pthread_t threads[16], two[2];
    by_pipe = !strcmp(kind, "pipe");
    for (int i = 0; i < PAIRS; i++)
        if (pipe(pipes[i][0]) || pipe(pipes[i][1])) fail("pipe");
    if (write(pipes[0][0][1], "", 1) != 1) fail("write");
    if (by_pipe || !strcmp(kind, "futex")) { /* turns that the computing ones lose while two hand on a byte, or a word */
        long lost = 0;
        for (long i = 0; i < tasks; i++) threads[i] = start(spin, i);
        while (ready < tasks) sched_yield();
        for (long i = 0; i < 2; i++) two[i] = start(some, i);
        for (int i = 0; i < 2; i++) pthread_join(two[i], 0);
        stop = 1;
        for (long i = 0; i < tasks; i++) pthread_join(threads[i], 0), lost += switches[i];
        printf("%d %ld\n", 2 * HOPS, lost);
    } else if (!strcmp(kind, "late")) { /* nanoseconds: how late one that sleeps is, at worst */
        struct timespec brief = {0, 3000000};
        long worst = 0, now;
        for (long i = 0; i < tasks; i++) threads[i] = start(spin, i);
        while (ready < tasks) sched_yield();
        for (int i = 0; i < 20; i++) {
            long before = nanoseconds(CLOCK_MONOTONIC);
            nanosleep(&brief, 0);
            now = nanoseconds(CLOCK_MONOTONIC) - before - brief.tv_nsec;
            worst = now > worst ? now : worst;
        }
        printf("%ld\n", worst);
        stop = 1;
    } else if (!strcmp(kind, "woken")) { /* the same of one that is woken by another that computes */
        long worst = 0, now;
        for (long i = 0; i < tasks; i++) threads[i] = start(spin, i);
        while (ready < tasks) sched_yield();
        start(wake, 0);
        for (int i = 0, before; i < 10; i++) {
            before = word;
            while (__atomic_load_n(&word, __ATOMIC_ACQUIRE) == before)
                syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, before, NULL, NULL, 0);
            now = nanoseconds(CLOCK_MONOTONIC) - told;
            worst = now > worst ? now : worst;
        }
        printf("%ld\n", worst);
        stop = 1;
    } else if (!strcmp(kind, "mixed")) { /* what each has done when those who compute are through */
        between = 5000;
        start(doze, 0);
        for (long i = 0; i < 4; i++) start(many, i);
        for (long i = 0; i < tasks; i++) threads[i] = start(work, i);
        for (long i = 0; i < tasks; i++) pthread_join(threads[i], 0);
        printf("%ld %ld %ld", hops[0], hops[1], nanoseconds(CLOCK_PROCESS_CPUTIME_ID));
        for (long i = 0; i < tasks; i++) printf(" %ld %ld", used[i], switches[i]);
        puts("");
    } else if (!strncmp(kind, "nice", 4)) { /* of the CPU time, parts of a thousand that the first one has of two or more */
        policy = kind[4] == 'i' ? SCHED_IDLE : kind[4] == 'b' ? SCHED_BATCH : SCHED_OTHER;
        least = kind[4] ? 0 : 19;
        for (long i = tasks; i--;) threads[i] = start(work, i);
        pthread_join(threads[0], 0);
        printf("%ld\n", used[0] * 1000 / nanoseconds(CLOCK_PROCESS_CPUTIME_ID));
    } else { /* of all CPU time, parts of a thousand that those have who compute */
        void *(*body)(void *) = !strcmp(kind, "pairs") ? many : !strcmp(kind, "doze") ? doze : yield;
        long sum = 0;
        for (long i = 0; i < (body == many ? 2 * PAIRS : 1); i++) start(body, i);
        for (long i = 0; i < tasks; i++) threads[i] = start(work, i);
        for (long i = 0; i < tasks; i++) pthread_join(threads[i], 0), sum += used[i];
        long all = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
        stop = 1;
        printf("%ld", sum * 1000 / all);
        for (int i = 0; i < PAIRS && body == many; i++) printf(" %ld", hops[i]);
        puts("");
    }
    fflush(stdout);
    _exit(0);
}
