/* between.c: POSIX message queues, memory of other processes, locks that wait for one another; every
 * answer is printed. Names are made of the process's number. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void say(const char *what, long r)
{
    if (r < 0) printf("%s: %s\n", what, strerrorname_np(errno));
    else printf("%s: %ld\n", what, r);
    fflush(stdout);
}
#define S(call) say(#call, (long)(call))
#define OK(call) say(#call, (long)(call) == -1 ? -1 : 0)
static volatile int told;
static void tell(int s, siginfo_t *i, void *c) { (void)s; (void)c; told = i->si_value.sival_int * 10 + (i->si_code == SI_MESGQ); }
static void nothing(int s) { (void)s; }
static void queues(void)
{
    char name[40], b[9000]; unsigned p; int st; struct mq_attr a = {.mq_maxmsg = 3, .mq_msgsize = 20}, g; struct timespec past = {1, 0}, bad = {1, -1};
    sprintf(name, "/axptr-%d", getpid());
    S(mq_open(name, O_RDWR)); S(mq_open("noslash", O_RDWR)); S(mq_open("/a/b", O_RDWR | O_CREAT, 0600, 0)); S(mq_open("/", O_RDWR | O_CREAT, 0600, 0)); mqd_t q = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0640, &a); OK(q); S(mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, 0)); S(mq_open(name, 3)); a.mq_maxmsg = 0; S(mq_open("/axptr-none", O_CREAT | O_RDWR, 0600, &a)); a.mq_maxmsg = 100000; S(mq_open("/axptr-none", O_CREAT | O_RDWR, 0600, &a)); S(syscall(SYS_mq_open, "axptr-none", O_CREAT | O_RDWR, 0600, (void *)8)); S(syscall(SYS_mq_open, (void *)8, O_CREAT | O_RDWR, 0600, 0));
    S(mq_getattr(q, &g)); printf("%ld %ld %ld %ld\n", g.mq_flags, g.mq_maxmsg, g.mq_msgsize, g.mq_curmsgs); S(fcntl(q, F_GETFL)); struct stat s; fstat(q, &s); printf("%o %ld %ld\n", s.st_mode, (long)s.st_size, (long)s.st_nlink);
    S(mq_send(q, "low", 3, 1)); S(mq_send(q, "high", 4, 9)); S(mq_send(q, "low again", 9, 1)); S(mq_send(q, "x", 21, 1)); S(mq_send(q, "x", 1, 32768)); S(mq_timedsend(q, "x", 1, 1, &past)); S(mq_timedsend(q, "x", 1, 1, &bad)); S(mq_getattr(q, &g)); S(g.mq_curmsgs); 
    struct pollfd f = {q, POLLIN | POLLOUT, 0}; S(poll(&f, 1, 0)); S(f.revents); memset(b, 0, 99); S(pread(q, b, 99, 0)); b[20] = 0; puts(b);
    S(mq_receive(q, b, 19, &p)); S(syscall(SYS_mq_timedreceive, q, b, 20, (void *)8, 0)); memset(b, 0, 30); S(mq_receive(q, b, 100, &p)); printf("%s %u\n", b, p); memset(b, 0, 30); S(mq_receive(q, b, 100, &p)); printf("%s %u\n", b, p); S(mq_timedreceive(q, b, 100, &p, &past)); S(poll(&f, 1, 0)); S(f.revents); g.mq_flags = O_NONBLOCK; S(mq_setattr(q, &g, &a)); S(a.mq_flags); S(mq_receive(q, b, 100, &p)); g.mq_flags = 1; S(mq_setattr(q, &g, 0)); g.mq_flags = 0; S(mq_setattr(q, &g, 0));
    if (!fork()) { usleep(20000); mq_send(q, "from a child", 12, 3); _exit(0); }
    memset(b, 0, 30); S(mq_receive(q, b, 100, &p)); puts(b); wait(0);
    struct sigaction act = {.sa_sigaction = tell, .sa_flags = SA_SIGINFO}; sigaction(SIGUSR1, &act, 0); struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 42}; S(mq_notify(q, &e)); S(mq_notify(q, &e)); S(mq_send(q, "a", 1, 0)); S(told); S(mq_notify(q, &e)); S(mq_send(q, "a", 1, 0)); told = 0; mq_receive(q, b, 100, 0); mq_receive(q, b, 100, 0); S(mq_notify(q, 0)); S(mq_send(q, "a", 1, 0)); S(told); e.sigev_signo = 99; S(mq_notify(q, &e)); e.sigev_notify = 77; S(mq_notify(q, &e)); S(mq_notify(0, 0)); e.sigev_notify = SIGEV_NONE; S(mq_notify(q, &e)); S(mq_notify(q, &e)); S(mq_notify(q, 0));
    int ep = epoll_create1(0); struct epoll_event v = {EPOLLIN, {0}}; S(epoll_ctl(ep, EPOLL_CTL_ADD, q, &v)); S(epoll_wait(ep, &v, 1, 0)); mq_receive(q, b, 100, 0); S(epoll_wait(ep, &v, 1, 0));
    mqd_t r = mq_open(name, O_RDONLY), w = mq_open(name, O_WRONLY); S(mq_send(r, "x", 1, 0)); S(mq_receive(w, b, 100, 0)); S(mq_send(99, "x", 1, 0)); S(mq_receive(ep, b, 100, 0)); S(mq_send(q, (void *)8, 5, 0)); S(mq_send(q, 0, 0, 0)); S(mq_receive(q, b, 100, 0)); S(mq_unlink(name)); S(mq_unlink(name)); S(mq_open(name, O_RDWR)); S(mq_send(q, "still", 5, 0)); S(mq_receive(r, b, 100, 0));
    signal(SIGALRM, nothing); struct sigaction restart = {.sa_handler = nothing}; sigaction(SIGALRM, &restart, 0); alarm(1); S(mq_receive(q, b, 100, 0)); (void)st;
}
static void memory(void)
{
    int st, p[2]; char *m = mmap(0, 12288, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); char b[10000]; if (pipe(p)) exit(1); munmap(m + 8192, 4096); strcpy(m, "parent");
    pid_t c = fork(); if (!c) { strcpy(m, "in the child"); memset(m + 4096, 'c', 4096); if (write(p[1], "x", 1) != 1) _exit(1); pause(); _exit(0); }
    if (read(p[0], b, 1) != 1) exit(1);
    struct iovec l[3] = {{b, 12}, {b + 100, 5}, {b + 200, 9000}}, r[3] = {{m, 17}, {m + 8000, 192}, {m + 8000, 1000}};
    memset(b, 0, sizeof b); S(process_vm_readv(c, l, 1, r, 1, 0)); puts(b); puts(m); S(process_vm_readv(c, l, 2, r, 1, 0)); S(process_vm_readv(c, l, 3, r, 3, 0)); S(process_vm_readv(c, l, 1, r + 2, 1, 0)); struct iovec far = {m + 8192, 5}; S(process_vm_readv(c, l, 1, &far, 1, 0)); struct iovec none = {0, 0}; S(process_vm_readv(c, l, 1, &none, 1, 0)); S(process_vm_readv(c, &none, 1, r, 1, 0)); S(process_vm_readv(c, l, 1, r, 1, 1)); S(process_vm_readv(c, l, 1025, r, 1, 0)); S(process_vm_readv(c, l, 1, r, 1025, 0)); S(process_vm_readv(c, (void *)8, 1, r, 1, 0)); S(process_vm_readv(c, l, 1, (void *)8, 1, 0)); S(process_vm_readv(-1, l, 1, r, 1, 0)); S(process_vm_readv(0x3ffffff, l, 1, r, 1, 0)); struct iovec high = {(void *)(1L << 50), 5}, neg = {m, -1}; S(process_vm_readv(c, l, 1, &high, 1, 0)); S(process_vm_readv(c, l, 1, &neg, 1, 0)); S(process_vm_readv(c, &high, 1, r, 1, 0));
    strcpy(b, "written"); S(process_vm_writev(c, l, 1, r, 1, 0)); memset(b, 0, 100); S(process_vm_readv(c, l, 1, r, 1, 0)); puts(b); puts(m); S(process_vm_writev(getpid(), l, 1, r, 1, 0)); puts(m); struct iovec text = {(void *)memory, 5}; S(process_vm_writev(c, l, 1, &text, 1, 0)); S(process_vm_readv(c, l, 1, &text, 1, 0));
    kill(c, SIGKILL); waitpid(c, &st, 0); S(process_vm_readv(c, l, 1, r, 1, 0));
}
static void locks(void)
{
    int p[2], back[2], st; char x; if (pipe(p) || pipe(back)) exit(1); int fd = open("locked", O_RDWR | O_CREAT, 0600); struct flock a = {F_WRLCK, SEEK_SET, 0, 1, 0}, b = {F_WRLCK, SEEK_SET, 10, 1, 0};
    S(fcntl(fd, F_SETLK, &a)); pid_t c = fork();
    if (!c) { if (fcntl(fd, F_SETLK, &b) || write(p[1], "x", 1) != 1) _exit(1); _exit(fcntl(fd, F_SETLKW, &a) ? errno : 0); }
    if (read(p[0], &x, 1) != 1) exit(1);
    usleep(100000); S(fcntl(fd, F_SETLKW, &b)); a.l_type = F_UNLCK; S(fcntl(fd, F_SETLK, &a)); waitpid(c, &st, 0); S(st); S(fcntl(fd, F_SETLKW, &b));
    int g = open("locked", O_RDWR); S(flock(fd, LOCK_EX)); S(flock(g, LOCK_EX | LOCK_NB)); c = fork(); if (!c) { S(flock(fd, LOCK_EX | LOCK_NB)); S(flock(g, LOCK_SH | LOCK_NB)); S(flock(fd, LOCK_UN)); _exit(0); } waitpid(c, &st, 0); S(flock(g, LOCK_EX | LOCK_NB));
    c = fork(); if (!c) { S(syscall(SYS_close_range, 3, ~0U, 2)); S(fcntl(fd, F_GETFD)); _exit(0); } waitpid(c, &st, 0); S(fcntl(fd, F_GETFD)); S(syscall(SYS_close_range, 5, 4, 0)); S(syscall(SYS_close_range, 3, 4, 8)); S(syscall(SYS_close_range, fd, fd, 4)); S(fcntl(fd, F_GETFD));
    S(fcntl(fd, F_SETLEASE, F_RDLCK)); S(fcntl(fd, F_GETLEASE));
}
int main(void) { setvbuf(stdout, 0, _IOLBF, 0); queues(); puts("--"); memory(); puts("--"); locks(); return 0; }
