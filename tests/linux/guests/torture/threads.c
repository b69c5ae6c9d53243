// Threads: what pthreads do, and what they stand on.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#define R(x) do { errno = 0; long r_ = (long)(x); printf("%s: %ld %s\n", #x, r_ > 300 ? 300 : r_, errno ? strerrorname_np(errno) : ""); fflush(stdout); } while (0)
#define E(x) do { int r_ = (x); printf("%s: %s\n", #x, r_ ? strerrorname_np(r_) : "0"); fflush(stdout); } while (0)
static long futex(void *w, int op, unsigned v, const void *t, void *w2, unsigned v3) { return syscall(SYS_futex, w, op, v, t, w2, v3); }
static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER; static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static long sum; static int turn, served; static __thread int own = 5;
static void *add(void *n) { for (int i = 0; i < 3000; i++) { pthread_mutex_lock(&m); sum += (long)n; pthread_mutex_unlock(&m); } own += (long)n; return (void *)(long)own; }
static void *ping(void *me) { for (int i = 0; i < 200; i++) { pthread_mutex_lock(&m); while (turn != (long)me) pthread_cond_wait(&c, &m); turn = !turn; served++; pthread_cond_broadcast(&c); pthread_mutex_unlock(&m); } return 0; }
static pthread_barrier_t bar; static atomic_int serial, passed;
static void *cross(void *n) { for (int i = 0; i < 20; i++) { if (pthread_barrier_wait(&bar) == PTHREAD_BARRIER_SERIAL_THREAD) serial++; passed++; } return 0; }
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER; static int a_, b_, torn;
static void *reader(void *n) { for (int i = 0; i < 300; i++) { pthread_rwlock_rdlock(&rw); torn += a_ != b_; pthread_rwlock_unlock(&rw); if (i % 50 == 0) sched_yield(); } return 0; }
static void *writer(void *n) { for (int i = 0; i < 300; i++) { pthread_rwlock_wrlock(&rw); a_++; if (i % 50 == 0) sched_yield(); b_++; pthread_rwlock_unlock(&rw); } return 0; }
static sem_t sem; static void *post(void *n) { for (int i = 0; i < 100; i++) sem_post(&sem); return 0; }
static pthread_mutex_t robust; static void *die_with(void *n) { pthread_mutex_lock(&robust); return 0; }
static void *sleeper(void *n) { for (;;) pause(); }
static void clean(void *n) { printf("cleaned %ld\n", (long)n); }
static void *cancelled(void *n) { pthread_cleanup_push(clean, n); for (;;) sleep(100); pthread_cleanup_pop(0); return 0; }
static void mutexes(void) {
    pthread_t t[8]; void *r; long got = 0;
    for (long i = 0; i < 8; i++) pthread_create(&t[i], 0, add, (void *)i);
    for (int i = 0; i < 8; i++) { pthread_join(t[i], &r); got += (long)r; }
    printf("sum %ld, own %ld, ours %d\n", sum, got, own);
    pthread_create(&t[0], 0, ping, (void *)0); pthread_create(&t[1], 0, ping, (void *)1); pthread_join(t[0], 0); pthread_join(t[1], 0); printf("served %d\n", served);
    pthread_barrier_init(&bar, 0, 5); for (int i = 0; i < 5; i++) pthread_create(&t[i], 0, cross, 0);
    for (int i = 0; i < 5; i++) pthread_join(t[i], 0); printf("barrier %d %d\n", serial, passed);
    for (int i = 0; i < 6; i++) pthread_create(&t[i], 0, i < 4 ? reader : writer, 0);
    for (int i = 0; i < 6; i++) pthread_join(t[i], 0); printf("rwlock %d %d %d\n", a_, b_, torn);
    sem_init(&sem, 0, 0); for (int i = 0; i < 3; i++) pthread_create(&t[i], 0, post, 0);
    for (int i = 0; i < 300; i++) sem_wait(&sem); for (int i = 0; i < 3; i++) pthread_join(t[i], 0); R(sem_trywait(&sem));
    struct timespec ts; clock_gettime(CLOCK_REALTIME, &ts); ts.tv_nsec += 20000000; if (ts.tv_nsec >= 1000000000) ts.tv_nsec -= 1000000000, ts.tv_sec++;
    R(sem_timedwait(&sem, &ts)); pthread_mutex_lock(&m); E(pthread_cond_timedwait(&c, &m, &ts)); pthread_mutex_unlock(&m);
    clock_gettime(CLOCK_MONOTONIC, &ts); ts.tv_nsec += 20000000; if (ts.tv_nsec >= 1000000000) ts.tv_nsec -= 1000000000, ts.tv_sec++;
    pthread_mutex_lock(&m); E(pthread_cond_clockwait(&c, &m, CLOCK_MONOTONIC, &ts)); pthread_mutex_unlock(&m);
}
static pthread_mutexattr_t attr;
static void robusts(void) {
    pthread_t t; pthread_mutexattr_init(&attr); pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST); pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
    for (int pi = 0; pi < 2; pi++) {
        pthread_mutexattr_setprotocol(&attr, pi ? PTHREAD_PRIO_INHERIT : PTHREAD_PRIO_NONE);
        pthread_mutex_init(&robust, &attr); pthread_create(&t, 0, die_with, 0); pthread_join(t, 0);
        E(pthread_mutex_lock(&robust)); E(pthread_mutex_lock(&robust)); E(pthread_mutex_consistent(&robust)); E(pthread_mutex_unlock(&robust)); E(pthread_mutex_unlock(&robust)); E(pthread_mutex_trylock(&robust)); E(pthread_mutex_unlock(&robust));
        pthread_mutex_t *sh = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED); pthread_mutex_init(sh, &attr);
        volatile int *locked = (int *)((char *)sh + 2048);
        if (!fork()) { pthread_mutex_lock(sh); *locked = 1; usleep(30000); _exit(0); }
        while (!*locked) usleep(1000);
        E(pthread_mutex_lock(sh)); E(pthread_mutex_unlock(sh)); E(pthread_mutex_lock(sh)); wait(0); munmap(sh, 4096);
        pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_PRIVATE);
    }
}
static void asleep(int tid) { /* until the thread waits */
    char path[64], line[256] = ""; sprintf(path, "/proc/self/task/%d/stat", tid);
    do { FILE *f = fopen(path, "r"); fgets(line, sizeof line, f); fclose(f); usleep(500); } while (strrchr(line, ')')[2] != 'S');
}
static pthread_mutex_t pi; static int order[4], norder;
static atomic_int locker;
static void *pilock(void *n) { locker = gettid(); pthread_mutex_lock(&pi); order[norder++] = (long)n; pthread_mutex_unlock(&pi); return 0; }
static void inherits(void) {
    pthread_t t[3]; pthread_mutexattr_t at; pthread_mutexattr_init(&at); pthread_mutexattr_setprotocol(&at, PTHREAD_PRIO_INHERIT); pthread_mutex_init(&pi, &at);
    pthread_mutex_lock(&pi); for (long i = 0; i < 3; i++) { locker = 0; pthread_create(&t[i], 0, pilock, (void *)i); while (!locker) usleep(100); asleep(locker); }
    E(pthread_mutex_trylock(&pi)); struct timespec ts; clock_gettime(CLOCK_REALTIME, &ts);
    E(pthread_mutex_timedlock(&pi, &ts)); pthread_mutex_unlock(&pi); for (int i = 0; i < 3; i++) pthread_join(t[i], 0); printf("order %d %d %d\n", order[0], order[1], order[2]);
    unsigned w = 0; R(futex(&w, FUTEX_LOCK_PI, 0, 0, 0, 0)); printf("%d\n", w == (unsigned)gettid()); R(futex(&w, FUTEX_LOCK_PI, 0, 0, 0, 0)); R(futex(&w, FUTEX_TRYLOCK_PI, 0, 0, 0, 0));
    R(futex(&w, FUTEX_UNLOCK_PI, 0, 0, 0, 0)); printf("%x\n", w); R(futex(&w, FUTEX_UNLOCK_PI, 0, 0, 0, 0)); w = 1 << 29; R(futex(&w, FUTEX_LOCK_PI, 0, 0, 0, 0)); R(futex((char *)&w + 1, FUTEX_LOCK_PI, 0, 0, 0, 0)); R(futex(0, FUTEX_LOCK_PI, 0, 0, 0, 0));
}
static unsigned w1, w2; static atomic_int up, waiting[4];
static void *waiter(void *n) { waiting[up++] = gettid(); long r = futex(&w1, FUTEX_WAIT_BITSET, 0, 0, 0, (unsigned)(long)n); return (void *)(r < 0 ? -(long)errno : r); }
static void futexes(void) {
    pthread_t t[4]; struct timespec z = {0, 5000000}, bad = {0, 1000000000};
    R(futex(&w1, FUTEX_WAIT, 1, 0, 0, 0)); R(futex(&w1, FUTEX_WAIT, 0, &z, 0, 0)); R(futex(&w1, FUTEX_WAIT, 0, &bad, 0, 0)); R(futex(&w1, FUTEX_WAIT_BITSET, 0, 0, 0, 0)); R(futex(&w1, FUTEX_WAIT_BITSET, 0, &z, 0, 1));
    R(futex(&w1, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &z, 0, 1)); R(futex(&w1, 77, 0, 0, 0, 0)); R(futex(&w1, FUTEX_WAKE, 1, 0, 0, 0)); R(futex((void *)4096, FUTEX_WAKE, 1, 0, 0, 0)); R(futex((void *)2, FUTEX_WAKE, 1, 0, 0, 0));
    for (long i = 0; i < 4; i++) pthread_create(&t[i], 0, waiter, (void *)(1 << i));
    for (int i = 0; i < 4; i++) { while (!waiting[i]) usleep(1000); asleep(waiting[i]); }
    R(futex(&w1, FUTEX_WAKE_BITSET, 9, 0, 0, 2)); R(futex(&w1, FUTEX_CMP_REQUEUE, 1, (void *)1, &w2, 5)); R(futex(&w1, FUTEX_CMP_REQUEUE, 1, (void *)1, &w2, 0));
    R(futex(&w2, FUTEX_WAKE, 9, 0, 0, 0)); R(futex(&w1, FUTEX_WAKE_OP, 9, (void *)9, &w2, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 0))); printf("w2 %u\n", w2);
    for (int i = 0; i < 4; i++) { void *r; pthread_join(t[i], &r); printf("woken %ld\n", (long)r); }
    unsigned *sh = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!fork()) { usleep(20000); *sh = 1; futex(sh, FUTEX_WAKE, 1, 0, 0, 0); _exit(0); }
    while (!*(volatile unsigned *)sh) futex(sh, FUTEX_WAIT, 0, 0, 0, 0); wait(0); printf("shared %u\n", *sh);
}
static void lives(void) {
    pthread_t t; void *r; int s;
    pthread_create(&t, 0, cancelled, (void *)3); usleep(5000); pthread_cancel(t); pthread_join(t, &r); printf("cancelled %d\n", r == PTHREAD_CANCELED);
    fflush(stdout);
    if (!fork()) { pthread_create(&t, 0, sleeper, 0); _exit(4); } wait(&s); printf("exit_group %x\n", s);
    if (!fork()) { pthread_create(&t, 0, sleeper, 0); syscall(SYS_kill, getpid(), SIGTERM); for (;;) pause(); } wait(&s); printf("killed %x\n", s);
    if (!fork()) { alarm(20); pthread_create(&t, 0, (void *(*)(void *))_exit, (void *)6); for (;;) pause(); } wait(&s); printf("by a thread %x\n", s);
    if (!fork()) { pthread_create(&t, 0, (void *(*)(void *))usleep, (void *)20000); syscall(SYS_exit, 8); } wait(&s); printf("the first is gone %x\n", s);
    fflush(stdout);
    if (!fork()) { char *a[] = {"echo", "from a thread", 0}; pthread_create(&t, 0, (void *(*)(void *))sleeper, 0); pid_t me = getpid(); 
        if (!fork()) { usleep(1000); _exit(0); }
        struct { pid_t p; } *x = (void *)&me; (void)x; execv("/bin/echo", a); _exit(1); } wait(&s); printf("exec %x\n", s);
    struct rusage u; R(getrusage(RUSAGE_THREAD, &u)); struct timespec ts; clockid_t id; pthread_getcpuclockid(pthread_self(), &id); R(clock_gettime(id, &ts)); R(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts));
    R(clock_gettime((~(1 << 28) << 3) | 6, &ts)); R(syscall(SYS_tgkill, getpid(), gettid(), 0)); R(syscall(SYS_tgkill, getpid(), 1 << 29, 0)); R(syscall(SYS_tgkill, 1 << 29, gettid(), 0));
    R(syscall(SYS_set_robust_list, 0, 23)); R(syscall(SYS_membarrier, 0, 0, 0) > 0);
}
static void *exec_from(void *n) { char *a[] = {"/bin/sh", "-c", "test $$ = $1 && echo same number", "sh", n, 0}; execv(a[0], a); return 0; }
int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    mutexes(); robusts(); inherits(); futexes(); lives(); fflush(stdout);
    pthread_t t; char text[20]; sprintf(text, "%d", getpid()); pthread_create(&t, 0, exec_from, text);
    for (;;) pause();
}
