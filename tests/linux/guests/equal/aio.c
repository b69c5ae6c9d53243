/* Asynchronous input and output: io_setup(2), io_submit(2), io_getevents(2), io_cancel(2), io_destroy(2). */
#include "show.h"
#include <linux/aio_abi.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

static aio_context_t ctx;
static struct iocb cb[4], *list[4];
static struct io_event ev[8];

static void set(int i, int op, int fd, void *buf, unsigned long n, long off) {
    memset(&cb[i], 0, sizeof cb[i]);
    cb[i].aio_data = 100 + i; cb[i].aio_lio_opcode = op; cb[i].aio_fildes = fd; cb[i].aio_buf = (unsigned long)buf; cb[i].aio_nbytes = n; cb[i].aio_offset = off; cb[i].aio_key = 7;
    list[i] = &cb[i];
}
static void events(long least, long most) {
    struct timespec none = {0, 0};
    long n = syscall(SYS_io_getevents, ctx, least, most, ev, &none);
    printf("%ld events", n < 0 ? -errno : n);
    for (int i = 0; i < n; i++) printf(" [%llu %d %lld %lld]", ev[i].data, (int)((struct iocb *)ev[i].obj - cb), ev[i].res, ev[i].res2);
    printf("\n");
}
static void on(int s) { }

int main(void) {
    setbuf(stdout, 0);
    char buf[64] = "hello, world", in[64] = {0};
    int fd = open("f", O_RDWR | O_CREAT, 0600), ro = open("f", O_RDONLY), wo = open("f", O_WRONLY), p[2], e = eventfd(0, EFD_NONBLOCK); uint64_t n = 0;
    pipe2(p, O_NONBLOCK);
    S(io_setup, 0, &ctx); ctx = 5; S(io_setup, 4, &ctx); ctx = 0; S(io_setup, 4, 0); S(io_setup, 4, -8L); S(io_setup, 0x7fffffff, &ctx); S(io_setup, 1 << 23, &ctx); S(io_setup, 4, &ctx); R(ctx != 0); S(io_setup, 4, &ctx);
    S(io_destroy, 0); S(io_destroy, 12345); S(io_submit, 0, 1, list); S(io_submit, ctx, -1, list); S(io_submit, ctx, 0, 0); S(io_submit, ctx, 1, 0); S(io_submit, ctx, 1, -8L); list[0] = 0; S(io_submit, ctx, 1, list);
    events(0, 4); events(1, 0); events(-1, 4); events(5, 4);
    set(0, IOCB_CMD_PWRITE, fd, buf, 12, 0); S(io_submit, ctx, 1, list); R(cb[0].aio_key); events(1, 4);
    set(0, IOCB_CMD_PREAD, fd, in, 5, 7); S(io_submit, ctx, 1, list); events(1, 4); printf("%s\n", in);
    struct iovec v[2] = {{in, 3}, {in + 10, 4}}; set(0, IOCB_CMD_PREADV, fd, v, 2, 1); S(io_submit, ctx, 1, list); events(1, 1); printf("%.3s %.4s\n", in, in + 10);
    v[0].iov_base = "XY"; v[0].iov_len = 2; set(0, IOCB_CMD_PWRITEV, fd, v, 1, 20); S(io_submit, ctx, 1, list); events(1, 1); R(lseek(fd, 0, SEEK_CUR)); R(lseek(fd, 0, SEEK_END));
    set(0, IOCB_CMD_FSYNC, fd, 0, 0, 0); set(1, IOCB_CMD_FDSYNC, fd, 0, 0, 0); set(2, IOCB_CMD_PREAD, fd, in, 64, 1000); S(io_submit, ctx, 3, list);
    for (int got = 0; got < 3;) { long k = syscall(SYS_io_getevents, ctx, 1, 8, ev, 0); for (int i = 0; i < k; i++) { printf("%s", ev[i].res ? "!" : "."); got++; } } printf("\n");
    set(0, 99, fd, in, 1, 0); S(io_submit, ctx, 1, list); set(0, 4, fd, in, 1, 0); S(io_submit, ctx, 1, list); set(0, 6, fd, in, 1, 0); S(io_submit, ctx, 1, list);
    set(0, IOCB_CMD_PREAD, 99, in, 1, 0); S(io_submit, ctx, 1, list); set(0, IOCB_CMD_PREAD, wo, in, 1, 0); S(io_submit, ctx, 1, list); set(0, IOCB_CMD_PWRITE, ro, in, 1, 0); S(io_submit, ctx, 1, list);
    set(0, IOCB_CMD_PREAD, fd, in, 1, -1); S(io_submit, ctx, 1, list); set(0, IOCB_CMD_PREAD, fd, in, -1, 0); S(io_submit, ctx, 1, list); set(0, IOCB_CMD_PREAD, fd, (void *)-4096L, 1, 0); S(io_submit, ctx, 1, list); set(0, IOCB_CMD_PREAD, fd, 0, 1, 0); S(io_submit, ctx, 1, list); events(0, 4);
    set(0, IOCB_CMD_FSYNC, fd, in, 0, 0); S(io_submit, ctx, 1, list); set(0, IOCB_CMD_POLL, fd, (void *)0x10001, 0, 0); S(io_submit, ctx, 1, list); set(0, IOCB_CMD_POLL, p[0], (void *)1, 1, 0); S(io_submit, ctx, 1, list);
    set(0, IOCB_CMD_PREAD, fd, in, 1, 0); cb[0].aio_reserved2 = 1; S(io_submit, ctx, 1, list); set(0, IOCB_CMD_PREAD, fd, in, 1, 0); cb[0].aio_rw_flags = 1 << 20; S(io_submit, ctx, 1, list);
    set(0, IOCB_CMD_PREAD, fd, in, 1, 0); set(1, IOCB_CMD_PREAD, 99, in, 1, 0); set(2, IOCB_CMD_PREAD, fd, in, 1, 0); S(io_submit, ctx, 3, list); events(1, 4);
    set(0, IOCB_CMD_PREAD, fd, in, 1, 0); cb[0].aio_flags = IOCB_FLAG_RESFD; cb[0].aio_resfd = 99; S(io_submit, ctx, 1, list); cb[0].aio_resfd = fd; S(io_submit, ctx, 1, list); cb[0].aio_resfd = e; S(io_submit, ctx, 1, list); R(read(e, &n, 8)); R(n); events(1, 4);
    set(0, IOCB_CMD_PREAD, p[0], in, 4, 0); S(io_submit, ctx, 1, list); events(1, 1); write(p[1], "pipe", 4); set(0, IOCB_CMD_PREAD, p[0], in, 4, 0); S(io_submit, ctx, 1, list); events(1, 1);
    set(0, IOCB_CMD_POLL, p[0], (void *)POLLIN, 0, 0); cb[0].aio_flags = IOCB_FLAG_RESFD; cb[0].aio_resfd = e; S(io_submit, ctx, 1, list); events(0, 1); R(read(e, &n, 8)); write(p[1], "x", 1); R(syscall(SYS_io_getevents, ctx, 1, 1, ev, 0)); R(ev[0].res & POLLIN); R(read(e, &n, 8)); R(n); read(p[0], in, 1);
    set(0, IOCB_CMD_POLL, p[0], (void *)POLLIN, 0, 0); S(io_submit, ctx, 1, list); struct io_event r; S(io_cancel, ctx, &cb[1], &r); S(io_cancel, 0, &cb[0], &r); cb[0].aio_key = 3; S(io_cancel, ctx, &cb[0], &r); cb[0].aio_key = 0; S(io_cancel, ctx, 0, &r); S(io_cancel, ctx, &cb[0], &r); R(syscall(SYS_io_getevents, ctx, 1, 1, ev, 0)); R(ev[0].data); S(io_cancel, ctx, &cb[0], &r);
    set(0, IOCB_CMD_POLL, fd, (void *)POLLIN, 0, 0); S(io_submit, ctx, 1, list); events(1, 1); set(0, IOCB_CMD_POLL, fd, (void *)POLLPRI, 0, 0); S(io_submit, ctx, 1, list); set(0, IOCB_CMD_POLL, e, (void *)POLLOUT, 0, 0); S(io_submit, ctx, 1, list); events(1, 1);
    struct timespec some = {0, 20000000}, bad = {0, -1}; R(syscall(SYS_io_getevents, ctx, 1, 1, ev, &some)); R(syscall(SYS_io_getevents, ctx, 0, 1, ev, &bad)); R(syscall(SYS_io_getevents, ctx, 1, 1, ev, -8L)); R(syscall(SYS_io_getevents, ctx, 0, 1, ev, 0));
    set(0, IOCB_CMD_PREAD, fd, in, 1, 0); set(1, IOCB_CMD_PREAD, fd, in, 1, 1); S(io_submit, ctx, 2, list); R(syscall(SYS_io_getevents, ctx, 1, 4, -8L, 0)); events(2, 4);
    struct sigaction h = {.sa_handler = on}; sigaction(SIGALRM, &h, 0); struct itimerval t = {{0, 20000}, {0, 20000}}, off = {0}; setitimer(ITIMER_REAL, &t, 0); R(syscall(SYS_io_getevents, ctx, 1, 1, ev, 0)); setitimer(ITIMER_REAL, &off, 0);
    sigset_t set_; sigemptyset(&set_); struct { void *s; size_t n; } g = {&set_, 8}, g2 = {&set_, 4}; struct timespec none = {0, 0}; R(syscall(SYS_io_pgetevents, ctx, 0, 1, ev, &none, &g2)); R(syscall(SYS_io_pgetevents, ctx, 0, 1, ev, &none, 0)); R(syscall(SYS_io_pgetevents, ctx, 0, 1, ev, &none, -8L)); sigset_t all; sigfillset(&all); sigprocmask(SIG_SETMASK, &all, 0); raise(SIGALRM); R(syscall(SYS_io_pgetevents, ctx, 1, 1, ev, 0, &g)); sigpending(&all); R(sigismember(&all, SIGALRM)); sigemptyset(&all); sigprocmask(SIG_SETMASK, &all, 0);
    fflush(stdout); if (!fork()) { R(syscall(SYS_io_getevents, ctx, 0, 1, ev, &none)); S(io_destroy, ctx); _exit(0); } wait(0);
    int q[2]; pipe(q); if (!fork()) { usleep(20000); write(q[1], "late", 4); _exit(0); } set(0, IOCB_CMD_PREAD, q[0], in, 4, 0); S(io_submit, ctx, 1, list); events(1, 1); wait(0);
    close(q[0]); signal(SIGPIPE, SIG_IGN); set(0, IOCB_CMD_PWRITE, q[1], in, 4, 0); S(io_submit, ctx, 1, list); events(1, 1);
    set(0, IOCB_CMD_POLL, p[0], (void *)POLLIN, 0, 0); S(io_submit, ctx, 1, list); S(io_destroy, ctx); S(io_destroy, ctx); events(0, 1); close(p[0]);
    return 0;
}
