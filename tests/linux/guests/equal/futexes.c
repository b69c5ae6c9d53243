/* The calls that each do one thing of futex, and waiters that are moved to a word with a holder. */
#include "show.h"
#include <dirent.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdint.h>
#include <time.h>

enum { WAKE = 454, WAIT = 455, REQUEUE = 456, WAITV = 449, PRIVATE32 = 2 | 128 };
struct waitv { uint64_t val, uaddr; uint32_t flags, reserved; };
static uint32_t words[8];
static int progress;
static long results[8];
static pthread_t threads[8];

static long futex(uint32_t *w, int op, uint32_t v, void *t, uint32_t *w2, uint32_t v3) { return syscall(SYS_futex, w, op, v, t, w2, v3); }
static struct timespec in(int clock, int ms) { struct timespec t; clock_gettime(clock, &t); t.tv_nsec += ms * 1000000L; t.tv_sec += t.tv_nsec / 1000000000; t.tv_nsec %= 1000000000; return t; }
static long err(long r) { return r < 0 ? -errno : r; }
static int all_asleep(void) { /* but for this thread */
    char path[64], line[512]; int all = 1; struct dirent *e; DIR *d = opendir("/proc/self/task");
    while (d && (e = readdir(d))) {
        if (e->d_name[0] == '.' || atol(e->d_name) == syscall(SYS_gettid)) continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/stat", e->d_name);
        FILE *f = fopen(path, "r"); if (!f) continue;
        if (fgets(line, sizeof line, f) && strrchr(line, ')')) all &= strrchr(line, ')')[2] == 'S';
        fclose(f);
    }
    closedir(d);
    return all;
}
static void asleep(int count) { while (__atomic_load_n(&progress, 5) < count || !all_asleep()) usleep(1000); }

static void odd(void) {
    uint32_t w = 5;
    long bad[] = {0, 1, 3, 0x1001, 1L << 47, -8L};
    unsigned flags[] = {0, 1, 2, 3, 2 | 128, 2 | 64, 2 | 256, 0x80000002, 128};
    for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) {
        N(WAKE, &w, 1, 1, flags[i]); N(WAIT, &w, 4, 1, flags[i], 0, 0);
        struct waitv v[2] = {{4, (long)&w, flags[i]}, {4, (long)&w, 2}};
        N(WAITV, v, 2, 0, 0, 0); N(REQUEUE, v, 0, 1, 1);
    }
    for (unsigned i = 0; i < 6; i++) {
        N(WAKE, bad[i], 1, 1, PRIVATE32); N(WAIT, bad[i], 4, 1, PRIVATE32, 0, 0); N(WAITV, bad[i], 1, 0, 0, 0); N(REQUEUE, bad[i], 0, 1, 1);
        struct waitv v[2] = {{5, (long)&w, PRIVATE32}, {4, bad[i], PRIVATE32}};
        N(WAITV, v, 2, 0, 0, 0); N(REQUEUE, v, 0, 1, 1);
        N(WAIT, &w, 5, 1, PRIVATE32, bad[i] ? bad[i] : 7, 0); N(WAKE, bad[i], 1, 0, PRIVATE32); N(WAKE, bad[i], 0, 1, PRIVATE32);
    }
    N(WAKE, &w, 0, 1, PRIVATE32); N(WAKE, &w, 1L << 32, 1, PRIVATE32); N(WAKE, &w, 1, -1, PRIVATE32); N(WAKE, &w, 1, 0, PRIVATE32);
    N(WAIT, &w, 1L << 32, 1, PRIVATE32, 0, 0); N(WAIT, &w, 5, 0, PRIVATE32, 0, 0); N(WAIT, &w, 5, 1L << 32, PRIVATE32, 0, 0);
    struct timespec t = {0, 1}, wrong = {0, 1000000000}, minus = {-1, 0}, past = {1, 0};
    int clocks[] = {0, 1, 2, 7, -1};
    for (int i = 0; i < 5; i++) {
        N(WAIT, &w, 5, 1, PRIVATE32, &past, clocks[i]); N(WAIT, &w, 4, 1, PRIVATE32, &past, clocks[i]); N(WAIT, &w, 5, 1, PRIVATE32, &wrong, clocks[i]);
        struct waitv v = {5, (long)&w, PRIVATE32};
        N(WAITV, &v, 1, 0, &past, clocks[i]); N(WAITV, &v, 1, 0, &minus, clocks[i]); N(WAITV, &v, 1, 0, &t, clocks[i]);
    }
    struct waitv many[129];
    for (int i = 0; i < 129; i++) many[i] = (struct waitv){5, (long)&w, PRIVATE32};
    N(WAITV, many, 128, 0, &past, 1); N(WAITV, many, 129, 0, &past, 1); N(WAITV, many, 0, 0, &past, 1); N(WAITV, many, 1, 1, &past, 1); N(WAITV, 0, 1, 0, &past, 1);
    many[1].reserved = 1; N(WAITV, many, 2, 0, &past, 1); many[1].reserved = 0; many[1].val = 1L << 32; N(WAITV, many, 2, 0, &past, 1); N(REQUEUE, many, 0, 1, 1);
    many[1].val = 5; N(REQUEUE, many, 1, 1, 1); N(REQUEUE, many, 0, -1, 1); N(REQUEUE, many, 0, 1, -1); N(REQUEUE, many, 0, 0, 0); many[0].val = 4; N(REQUEUE, many, 0, 1, 1);
}

static void *waits_for_many(void *arg) {
    struct waitv v[4];
    long n = (long)arg;
    for (int i = 0; i < 4; i++) v[i] = (struct waitv){0, (long)&words[i], PRIVATE32};
    __atomic_add_fetch(&progress, 1, 5);
    results[n] = err(syscall(WAITV, v, 4, 0, 0, 1));
    return 0;
}
static void *waits(void *arg) {
    long n = (long)arg;
    __atomic_add_fetch(&progress, 1, 5);
    results[n] = err(syscall(WAIT, &words[0], 0, 1 << n, PRIVATE32, 0, 1));
    return 0;
}
static void begin(void *(*f)(void *), int count) { progress = 0; for (long i = 0; i < count; i++) { results[i] = 99; pthread_create(&threads[i], 0, f, (void *)i); asleep(i + 1); } }
static void end(int count) { for (int i = 0; i < count; i++) { pthread_join(threads[i], 0); printf(" thread %d: %ld", i, results[i]); } printf("\n"); }

static void many(void) {
    for (int i = 0; i < 4; i++) {
        begin(waits_for_many, 1);
        N(WAKE, &words[i], 1, 5, PRIVATE32);
        end(1);
    }
    begin(waits, 4);
    N(WAKE, &words[0], 2, 1, PRIVATE32); N(WAKE, &words[0], 2, 1, PRIVATE32); N(WAKE, &words[0], 0xfff0, 1, PRIVATE32);
    struct waitv v[2] = {{0, (long)&words[0], PRIVATE32}, {0, (long)&words[1], PRIVATE32}};
    N(REQUEUE, v, 0, 1, 1); N(WAKE, &words[0], 0xf, 9, PRIVATE32); N(WAKE, &words[1], 0xf, 9, PRIVATE32); N(WAKE, &words[1], 0xf, 9, PRIVATE32);
    end(4);
    struct timespec t = in(CLOCK_MONOTONIC, 5);
    N(WAIT, &words[0], 0, 1, PRIVATE32, &t, 1);
    t = in(CLOCK_REALTIME, 5);
    N(WAIT, &words[0], 0, 1, 2, &t, 0);
    struct waitv one = {0, (long)&words[1], 2};
    t = in(CLOCK_MONOTONIC, 5);
    N(WAITV, &one, 1, 0, &t, 1);
}

static void *to_be_moved(void *arg) {
    long n = (long)arg;
    __atomic_add_fetch(&progress, 1, 5);
    results[n] = err(futex(&words[4], FUTEX_WAIT_REQUEUE_PI | 128, 0, 0, &words[5], 0));
    if (!results[n]) { if ((words[5] & FUTEX_TID_MASK) != (uint32_t)syscall(SYS_gettid)) results[n] = 77; __atomic_add_fetch(&progress, 1, 5); if (words[5] & FUTEX_WAITERS) { if (futex(&words[5], FUTEX_UNLOCK_PI | 128, 0, 0, 0, 0)) results[n] = -errno; } else words[5] = 0; }
    return 0;
}
static void *plain(void *arg) { __atomic_add_fetch(&progress, 1, 5); results[(long)arg] = err(futex(&words[4], FUTEX_WAIT | 128, 0, 0, 0, 0)); return 0; }

static void moved(void) {
    struct timespec past = {1, 0};
    long pasts[] = {0, (long)&past};
    printf("%ld\n", err(futex(&words[4], FUTEX_WAIT_REQUEUE_PI | 128, 0, &past, &words[5], 0)));
    printf("%ld\n", err(futex(&words[4], FUTEX_WAIT_REQUEUE_PI | 128, 1, &past, &words[5], 0)));
    printf("%ld\n", err(futex(&words[4], FUTEX_WAIT_REQUEUE_PI | 128, 0, &past, &words[4], 0)));
    printf("%ld\n", err(futex(&words[4], FUTEX_WAIT_REQUEUE_PI | 128, 0, &past, 0, 0)));
    printf("%ld\n", err(futex(&words[4], FUTEX_WAIT_REQUEUE_PI | 128 | 256, 0, &past, &words[5], 0)));
    for (int wake = 0; wake < 3; wake++) for (int same = 0; same < 2; same++) for (int value = 0; value < 2; value++)
        printf("%d %d %d: %ld\n", wake, same, value, err(futex(&words[4], FUTEX_CMP_REQUEUE_PI | 128, wake, (void *)1, &words[5 - same], value)));
    /* nobody holds it: the first gets it at once */
    words[5] = 0;
    begin(to_be_moved, 3);
    printf("wake %ld\n", err(futex(&words[4], FUTEX_WAKE | 128, 1, 0, 0, 0)));
    printf("requeue %ld\n", err(futex(&words[4], FUTEX_CMP_REQUEUE_PI | 128, 1, (void *)10, &words[6], 0)));
    printf("requeue %ld\n", err(futex(&words[4], FUTEX_CMP_REQUEUE_PI | 128, 1, (void *)10, &words[5], 0)));
    end(3);
    printf("word %x\n", words[5]);
    /* held by the one that moves them */
    words[5] = 0;
    printf("lock %ld\n", err(futex(&words[5], FUTEX_LOCK_PI | 128, 0, 0, 0, 0)));
    begin(to_be_moved, 3);
    printf("requeue %ld\n", err(futex(&words[4], FUTEX_CMP_REQUEUE_PI | 128, 1, (void *)1, &words[5], 0)));
    printf("waiters %d\n", words[5] >> 31);
    printf("requeue %ld\n", err(futex(&words[4], FUTEX_CMP_REQUEUE_PI | 128, 1, (void *)5, &words[5], 0)));
    printf("unlock %ld\n", err(futex(&words[5], FUTEX_UNLOCK_PI | 128, 0, 0, 0, 0)));
    end(3);
    /* one that waits for nothing of the kind */
    begin(plain, 1);
    printf("requeue %ld\n", err(futex(&words[4], FUTEX_CMP_REQUEUE_PI | 128, 1, (void *)1, &words[5], 0)));
    printf("wake %ld\n", err(futex(&words[4], FUTEX_WAKE | 128, 1, 0, 0, 0)));
    end(1);
    (void)pasts;
}

int main(void) {
    odd();
    many();
    moved();
    return 0;
}
