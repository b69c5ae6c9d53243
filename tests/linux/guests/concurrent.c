/* Runs a small concurrent program, in threads or processes, and prints its outcome; see tests/fuzz/concurrent.py.
   concurrent ROUNDS SEED t|p WORKER...   a WORKER: operations, a letter and digits each, with commas between */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#define WORKERS 4
#define VARS 3
static struct shared {
    int var[VARS], acc[WORKERS], hits[WORKERS], done, ready; sem_t sem[2]; int tid[WORKERS], pid[WORKERS];
} *s;
static int pipes[2][2], workers, threads; static char *program[WORKERS]; static unsigned long chance;
static __thread int self; static __thread unsigned long dice;
static void on(int n) { (void)n; __atomic_add_fetch(&s->hits[self], 1, __ATOMIC_SEQ_CST); }
static long futex(int *at, int op, int v) { return syscall(SYS_futex, at, op, v, 0, 0, 0); }
static void wake(int *at) { futex(at, FUTEX_WAKE, 1000); }
static void pause_a_bit(void) {
    dice = dice * 6364136223846793005ul + 1442695040888963407ul;
    unsigned way = dice >> 40 & 7;
    if (way < 2) for (volatile unsigned i = 0; i < (dice >> 44 & 4095); i++) ;
    else if (way == 2) sched_yield();
    else if (way == 3) { struct timespec t = {0, (long)(dice >> 44 & 0x1ffff)}; nanosleep(&t, 0); }
}
static void set(int *at, int v) { __atomic_store_n(at, v, __ATOMIC_SEQ_CST); wake(at); }
static int get(int *at) { return __atomic_load_n(at, __ATOMIC_SEQ_CST); }
static void run(int w) {
    unsigned char c; int v;
    self = w; dice = chance * 31 + w; s->tid[w] = syscall(SYS_gettid); s->pid[w] = getpid();
    __atomic_add_fetch(&s->ready, 1, __ATOMIC_SEQ_CST); wake(&s->ready);
    while ((v = get(&s->ready)) < workers) futex(&s->ready, FUTEX_WAIT, v);
    for (char *at = program[w]; *at; at += 3 + (at[3] == ',')) {
        int a = at[1] - '0', b = at[2] - '0'; int *acc = &s->acc[w];
        pause_a_bit();
        switch (*at) {
        case 'S': set(&s->var[a], b); break;
        case 'A': __atomic_add_fetch(&s->var[a], b, __ATOMIC_SEQ_CST); wake(&s->var[a]); break;
        case 'X': *acc = *acc * 5 + __atomic_exchange_n(&s->var[a], b, __ATOMIC_SEQ_CST); wake(&s->var[a]); break;
        case 'L': *acc = *acc * 5 + get(&s->var[a]); break;
        case 'R': v = get(&s->var[a]); pause_a_bit(); set(&s->var[a], v + b); break;
        case 'F': while (get(&s->var[a]) == b) futex(&s->var[a], FUTEX_WAIT, b); break;
        case 'W': c = b; while (write(pipes[a][1], &c, 1) < 0 && errno == EINTR) ; break;
        case 'G': while (read(pipes[a][0], &c, 1) < 0 && errno == EINTR) ; *acc = *acc * 5 + c; break;
        case 'P': while (sem_wait(&s->sem[a]) && errno == EINTR) ; break;
        case 'V': sem_post(&s->sem[a]); break;
        case 'K': syscall(SYS_tgkill, s->pid[a], s->tid[a], SIGUSR1); break;
        }
    }
    __atomic_add_fetch(&s->done, 1, __ATOMIC_SEQ_CST); wake(&s->done);
    while ((v = get(&s->done)) < workers) futex(&s->done, FUTEX_WAIT, v);
    sched_yield(); /* what was sent to it is delivered now at the latest */
}
static void *thread(void *w) { run((int)(long)w); return 0; }
int main(int argc, char **argv) {
    int rounds = atoi(argv[1]); unsigned long seed = strtoul(argv[2], 0, 10); threads = argv[3][0] == 't';
    for (workers = 0; workers + 4 < argc; workers++) program[workers] = argv[workers + 4];
    s = mmap(0, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct sigaction action = {.sa_handler = on}; sigaction(SIGUSR1, &action, 0);
    for (int r = 0; r < rounds; r++) {
        memset(s, 0, sizeof *s); sem_init(&s->sem[0], 1, 0); sem_init(&s->sem[1], 1, 0);
        if (pipe(pipes[0]) || pipe(pipes[1])) return 1;
        chance = seed * 1000003 + r;
        pthread_t made[WORKERS]; pid_t child[WORKERS];
        for (int w = 0; w < workers; w++)
            if (threads) { if (pthread_create(&made[w], 0, thread, (void *)(long)w)) return 2; }
            else if (!(child[w] = fork())) { run(w); _exit(0); } else if (child[w] < 0) return 3;
        for (int w = 0; w < workers; w++)
            if (threads) pthread_join(made[w], 0); else while (waitpid(child[w], 0, 0) < 0 && errno == EINTR) ;
        for (int i = 0; i < VARS; i++) printf("%d ", s->var[i]);
        for (int w = 0; w < workers; w++) printf("%d/%d ", s->acc[w], s->hits[w]);
        putchar('\n');
        for (int i = 0; i < 4; i++) close(pipes[i / 2][i % 2]);
    }
    return 0;
}
