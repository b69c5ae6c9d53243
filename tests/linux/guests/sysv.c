/* sysv.c: System V shared memory, semaphores and message queues: every answer is printed. Keys are private or made of the
 * process's number; all objects are removed. Numbers of objects are not printed: others on the host make some, too. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void say(const char *what, long r)
{
    if (r < 0) printf("%s: %s\n", what, strerrorname_np(errno));
    else printf("%s: %ld\n", what, r);
}
#define S(call) say(#call, (long)(call))
#define OK(call) say(#call, (long)(call) == -1 ? -1 : 0)
union semun { int val; void *buf; unsigned short *array; };
static int key;

static void shm(void)
{
    struct shmid_ds d; struct shm_info info; int id = shmget(IPC_PRIVATE, 10000, 0640), st;
    OK(id); char *a = shmat(id, 0, 0), *b = shmat(id, 0, SHM_RDONLY); S(a[9999]); strcpy(a, "shared"); puts(b);
    S(shmctl(id, IPC_STAT, &d)); printf("%o %d %d %ld %ld %d %d %d\n", d.shm_perm.mode, d.shm_perm.uid, d.shm_perm.__key, (long)d.shm_segsz, (long)d.shm_nattch, d.shm_cpid == getpid(), d.shm_lpid == getpid(), d.shm_atime > 0 && !d.shm_dtime && d.shm_ctime > 0);
    if (!fork()) { shmctl(id, IPC_STAT, &d); printf("in the child %ld\n", (long)d.shm_nattch); strcpy(a + 5000, "child"); OK(shmdt(b)); OK(shmdt(b)); shmctl(id, IPC_STAT, &d); printf("%ld %d\n", (long)d.shm_nattch, d.shm_lpid == getpid()); fflush(stdout); _exit(0); }
    wait(0); puts(a + 5000); shmctl(id, IPC_STAT, &d); printf("%ld\n", (long)d.shm_nattch);
    OK(mprotect(b, 4096, PROT_READ | PROT_WRITE)); munmap(a + 4096, 4096); shmctl(id, IPC_STAT, &d); printf("split %ld\n", (long)d.shm_nattch); OK(shmdt(a + 4096)); OK(shmdt(a)); shmctl(id, IPC_STAT, &d); printf("%ld\n", (long)d.shm_nattch); OK(shmdt(a));
    OK(shmdt((void *)1)); OK(shmdt(0)); OK(shmat(id, (void *)1, 0)); OK(shmat(id, b, 0)); OK(shmat(id, b + 1, SHM_RND)); OK(shmat(id, b, SHM_REMAP) == b ? 0 : -1); OK(shmat(id, 0, SHM_REMAP)); OK(shmat(-1, 0, 0)); OK(shmat(0x7fffffff, 0, 0));
    OK(shmat(id, (void *)-4096L, 0)); OK(shmat(id, (void *)(1L << 50), 0));
    S(shmget(IPC_PRIVATE, 0, 0600)); S(shmget(key, 10, 0)); int k = shmget(key, 5000, IPC_CREAT | 0600); OK(k); S(shmget(key, 5000, IPC_CREAT | IPC_EXCL | 0600)); OK(shmget(key, 5001, 0)); S(shmget(key, 100, 0) == k); S(shmget(key, 0, 0) == k); S(shmget(IPC_PRIVATE, -1L, 0600)); int one = shmget(IPC_PRIVATE, 1, IPC_EXCL); S(one >= 0); OK(shmctl(one, IPC_RMID, 0));
    char *c = shmat(k, 0, 0); strcpy(c, "stays"); OK(shmctl(k, IPC_RMID, 0)); shmctl(k, IPC_STAT, &d); printf("%o %d\n", d.shm_perm.mode, d.shm_perm.__key); OK(shmget(key, 10, 0)); puts(c); char *e = shmat(k, 0, 0); puts(e); shmdt(e); shmdt(c); OK(shmctl(k, IPC_STAT, &d)); OK(shmat(k, 0, 0));
    OK(shmctl(id, SHM_LOCK, 0)); shmctl(id, IPC_STAT, &d); printf("%o\n", d.shm_perm.mode); OK(shmctl(id, SHM_UNLOCK, 0)); d.shm_perm.mode = 0777; d.shm_perm.uid = 5; OK(shmctl(id, IPC_SET, &d)); shmctl(id, IPC_STAT, &d); printf("%o %d %d\n", d.shm_perm.mode, d.shm_perm.uid, d.shm_perm.cuid);
    OK(shmctl(id, 99, &d)); OK(shmctl(id, -1, &d)); OK(shmctl(-1, IPC_STAT, &d)); OK(shmctl(id, IPC_STAT, (void *)8)); OK(shmctl(id, IPC_SET, (void *)8)); OK(shmctl(0, SHM_INFO, (void *)&info)); OK(shmctl(0, SHM_INFO, (void *)8)); OK(shmctl(id, SHM_STAT, (void *)8));
    struct shminfo lim; OK(shmctl(0, IPC_INFO, (void *)&lim)); printf("%ld %ld\n", lim.shmmin, lim.shmmni); OK(shmctl(id, IPC_RMID, 0)); OK(shmctl(id, IPC_RMID, 0)); munmap(b, 10000); OK(shmctl(id, IPC_RMID, 0));
    if (!fork()) { int x = shmget(IPC_PRIVATE, 4096, 0600); shmat(x, 0, 0); shmctl(x, IPC_RMID, 0); execl("/bin/true", "true", (char *)0); } wait(&st); S(st);
}
static void nothing(int s) { (void)s; }
static void sem(void)
{
    struct sembuf o[3]; struct semid_ds d; unsigned short all[4] = {9, 9, 9, 9}; union semun u; int st; struct timespec t = {0, 20000000}, bad = {0, -1};
    int id = semget(IPC_PRIVATE, 4, 0600); OK(id); S(semget(IPC_PRIVATE, 0, 0600)); S(semget(IPC_PRIVATE, -1, 0600)); S(semget(IPC_PRIVATE, 32001, 0600)); S(semget(key, 1, 0)); int k = semget(key, 2, IPC_CREAT | 0600); S(semget(key, 3, 0)); S(semget(key, 0, 0) == k); OK(semctl(k, 0, IPC_RMID));
    u.array = all; S(semctl(id, 0, GETALL, u)); printf("%d %d %d %d\n", all[0], all[1], all[2], all[3]); all[1] = 5; all[2] = 7; S(semctl(id, 0, SETALL, u)); S(semctl(id, 1, GETVAL)); S(semctl(id, 4, GETVAL)); S(semctl(id, -1, GETVAL)); u.val = 40000; S(semctl(id, 0, SETVAL, u)); u.val = -1; S(semctl(id, 0, SETVAL, u)); u.val = 3; S(semctl(id, 0, SETVAL, u)); S(semctl(id, 9, SETVAL, u)); S(semctl(id, 0, GETPID) == getpid());
#define OP(i, n, v, f) o[i] = (struct sembuf){n, v, f}
    OP(0, 0, -3, 0); OP(1, 1, -9, IPC_NOWAIT); S(semop(id, o, 2)); S(semctl(id, 0, GETVAL)); OP(1, 1, -5, IPC_NOWAIT); S(semop(id, o, 2)); S(semctl(id, 0, GETVAL)); S(semctl(id, 1, GETVAL));
    OP(0, 2, 0, IPC_NOWAIT); S(semop(id, o, 1)); OP(0, 0, 0, IPC_NOWAIT); S(semop(id, o, 1)); OP(0, 2, 32767, 0); S(semop(id, o, 1)); OP(0, 9, 1, 0); S(semop(id, o, 1)); S(semop(id, o, 0)); S(semop(id, o, 501)); S(semop(id, (void *)8, 1)); S(semop(-1, o, 1)); S(semop(0x7fffffff, o, 1)); OP(0, 0, 1, 0); OP(1, 0, -1, 0); OP(2, 0, 0, 0); S(semop(id, o, 3)); OP(0, 0, -1, 0); S(semtimedop(id, o, 1, &t)); S(semtimedop(id, o, 1, &bad)); S(semtimedop(id, o, 1, (void *)8));
    struct sigaction act = {.sa_handler = nothing, .sa_flags = SA_RESTART}; sigaction(SIGALRM, &act, 0); struct itimerval v = {{0, 0}, {0, 20000}}; setitimer(ITIMER_REAL, &v, 0); S(semop(id, o, 1));
    if (!fork()) { OP(0, 0, -2, SEM_UNDO); OP(1, 3, 4, SEM_UNDO); _exit(semop(id, o, 2)); }
    while (semctl(id, 0, GETNCNT) != 1) usleep(1000);
    S(semctl(id, 0, GETZCNT)); S(semctl(id, 3, GETNCNT)); OP(0, 0, 1, 0); S(semop(id, o, 1)); S(semctl(id, 0, GETVAL)); OP(0, 0, 2, 0); S(semop(id, o, 1)); wait(&st); S(st); S(semctl(id, 0, GETVAL)); S(semctl(id, 3, GETVAL)); 
    pid_t z = fork(); if (!z) { OP(0, 0, 0, 0); _exit(semop(id, o, 1) ? errno : 0); }
    while (semctl(id, 0, GETZCNT) != 1) usleep(1000);
    u.val = 0; S(semctl(id, 0, SETVAL, u)); wait(&st); S(st);
    z = fork(); if (!z) { OP(0, 1, -1, 0); _exit(semop(id, o, 1) ? errno : 0); }
    while (semctl(id, 1, GETNCNT) != 1) usleep(1000);
    S(semctl(id, 0, IPC_STAT, (union semun){.buf = &d})); printf("%o %ld %d\n", d.sem_perm.mode, (long)d.sem_nsems, d.sem_otime > 0 && d.sem_ctime > 0); S(semctl(id, 0, IPC_STAT, (union semun){.buf = (void *)8})); S(semctl(id, 0, 99)); S(semctl(-1, 0, GETVAL)); S(semctl(id, 0, GETALL, (union semun){.buf = (void *)8})); S(semctl(id, 0, SETALL, (union semun){.buf = (void *)8}));
    struct seminfo lim; OK(semctl(0, 0, IPC_INFO, (union semun){.buf = &lim})); printf("%d %d %d %d %d %d\n", lim.semmni, lim.semmsl, lim.semopm, lim.semvmx, lim.semaem, lim.semusz);
    S(semctl(id, 0, IPC_RMID)); wait(&st); S(WEXITSTATUS(st) == EIDRM); S(semctl(id, 0, IPC_RMID));
    id = semget(IPC_PRIVATE, 1, 0600); int p[2]; if (pipe(p)) exit(1); // in turn: two that wait, the first wants much
    for (int i = 0; i < 3; i++) { if (!fork()) { OP(0, 0, i ? -1 : -3, 0); semop(id, o, 1); char c = '0' + i; if (write(p[1], &c, 1) != 1) _exit(1); _exit(0); } while (semctl(id, 0, GETNCNT) != i + 1) usleep(1000); }
    char c; for (int i = 0; i < 5; i++) { OP(0, 0, 1, 0); semop(id, o, 1); if (i == 2 || i == 3) continue; if (read(p[0], &c, 1) != 1) exit(1); printf("woken %c\n", c); } while (wait(0) > 0); OK(semctl(id, 0, IPC_RMID));
}
struct m { long type; char text[9000]; };
static void msg(void)
{
    struct m m = {1, "hello"}; struct msqid_ds d; int st, id = msgget(IPC_PRIVATE, 0620); OK(id);
    S(msgget(key, 0)); int k = msgget(key, IPC_CREAT | 0600); S(msgget(key, IPC_CREAT | IPC_EXCL)); S(msgget(key, 0) == k); OK(msgctl(k, IPC_RMID, 0));
#define SEND(t, s) (m.type = t, strcpy(m.text, s), msgsnd(id, &m, strlen(s), IPC_NOWAIT))
#define TAKE(n, t, f) do { memset(&m, 0, sizeof m); errno = 0; long r = msgrcv(id, &m, n, t, f); printf("take %s %s %s: %ld %s %ld [%s]\n", #n, #t, #f, r, r < 0 ? strerrorname_np(errno) : "", m.type, m.text); } while (0)
    S(SEND(3, "three")); S(SEND(1, "one")); S(SEND(2, "two")); S(SEND(1, "one again")); S(SEND(5, "")); S(SEND(0, "x")); S(SEND(-1, "x")); S(msgsnd(id, (void *)8, 1, 0)); m.type = 1; S(msgsnd(id, &m, 8193, IPC_NOWAIT)); S(msgsnd(id, &m, -1, IPC_NOWAIT)); S(msgsnd(-1, &m, 1, 0)); S(msgsnd(0x7fffffff, &m, 1, 0));
    S(msgctl(id, IPC_STAT, &d)); printf("%o %ld %ld %ld %d %d\n", d.msg_perm.mode, (long)d.msg_qnum, (long)d.__msg_cbytes, (long)d.msg_qbytes, d.msg_lspid == getpid(), d.msg_lrpid);
    TAKE(100, 2, 0); TAKE(2, 0, 0); TAKE(2, 0, MSG_NOERROR); TAKE(100, -2, 0); TAKE(100, 1, MSG_EXCEPT | IPC_NOWAIT); TAKE(100, 7, IPC_NOWAIT); TAKE(100, -9, IPC_NOWAIT); TAKE(100, 0, IPC_NOWAIT); TAKE(-1, 0, IPC_NOWAIT);
    SEND(4, "copied"); TAKE(100, 0, MSG_COPY | IPC_NOWAIT); TAKE(100, 1, MSG_COPY | IPC_NOWAIT); TAKE(100, 0, MSG_COPY); TAKE(100, 0, MSG_COPY | MSG_EXCEPT | IPC_NOWAIT); S(msgrcv(id, (void *)8, 100, 0, 0)); TAKE(100, 0, IPC_NOWAIT);
    memset(m.text, 'y', sizeof m.text); m.type = 1; S(msgsnd(id, &m, 8192, IPC_NOWAIT)); m.type = 2; S(msgsnd(id, &m, 8192, IPC_NOWAIT)); S(msgsnd(id, &m, 1, IPC_NOWAIT)); S(msgsnd(id, &m, 0, IPC_NOWAIT));
    if (!fork()) { m.type = 9; _exit(msgsnd(id, &m, 5000, 0) ? 1 : 0); }
    usleep(20000); S(msgrcv(id, &m, 9000, 0, 0)); wait(&st); S(st); S(msgrcv(id, &m, 9000, 9, 0)); while (msgrcv(id, &m, 9000, 0, IPC_NOWAIT) >= 0);
    pid_t c[2]; for (int i = 0; i < 2; i++) if (!(c[i] = fork())) { long r = msgrcv(id, &m, 9000, i + 1, 0); _exit(r < 0 ? errno : r); }
    usleep(20000); SEND(2, "bb"); waitpid(c[1], &st, 0); S(WEXITSTATUS(st)); SEND(1, "ccc"); waitpid(c[0], &st, 0); S(WEXITSTATUS(st));
    struct sigaction act = {.sa_handler = nothing, .sa_flags = SA_RESTART}; sigaction(SIGALRM, &act, 0); struct itimerval v = {{0, 0}, {0, 20000}}; setitimer(ITIMER_REAL, &v, 0); S(msgrcv(id, &m, 10, 0, 0));
    d.msg_qbytes = 10; OK(msgctl(id, IPC_SET, &d)); S(SEND(1, "0123456789")); S(SEND(1, "x")); OK(msgctl(id, IPC_STAT, (void *)8)); OK(msgctl(id, 99, &d)); struct msginfo lim; OK(msgctl(0, IPC_INFO, (void *)&lim)); printf("%d %d %d %d %d %d %d\n", lim.msgpool, lim.msgmap, lim.msgmax, lim.msgmnb, lim.msgmni, lim.msgssz, lim.msgseg);
    c[0] = fork(); if (!c[0]) { msgrcv(id, &m, 9000, 7, 0); _exit(errno == EIDRM); } usleep(20000); OK(msgctl(id, IPC_RMID, 0)); wait(&st); S(WEXITSTATUS(st)); OK(msgctl(id, IPC_STAT, &d));
}
int main(void) { key = 0x41580000 + getpid() % 0xffff; setvbuf(stdout, 0, _IOLBF, 0); shm(); puts("--"); sem(); puts("--"); msg(); return 0; }
