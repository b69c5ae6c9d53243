/* Calls of sockets with arguments that make no sense, at random from a seed. Whatever a call gives, the program goes on. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
static uint64_t state;
static uint64_t rnd(uint64_t n) { state ^= state << 13; state ^= state >> 7; state ^= state << 17; return n ? (state >> 11) % n : state; }
static char *arena, *edge;
static int fds[64], nfds;
static const int families[] = {1, 1, 1, 2, 2, 10, 16, 17, 0, -1, 45, 77};
static const long edges[] = {0, 1, -1, 2, 7, 15, 16, 17, 110, 127, 128, 129, 255, 4095, 4096, 65535, 65536, 1L << 31, (1L << 31) - 1, 1L << 32, -4096, 1L << 47, -8};
static const int calls[] = {SYS_socket, SYS_socketpair, SYS_bind, SYS_connect, SYS_listen, SYS_accept4, SYS_sendto, SYS_recvfrom,
    SYS_sendmsg, SYS_recvmsg, SYS_shutdown, SYS_getsockname, SYS_getpeername, SYS_setsockopt, SYS_getsockopt, SYS_sendmmsg, SYS_recvmmsg,
    SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_ioctl, SYS_close, SYS_poll, SYS_dup, SYS_sendfile, SYS_splice, SYS_fstat, SYS_fcntl};
static uint64_t pointer(void) {
    switch (rnd(10)) {
    case 0: return 0;
    case 1: return (uint64_t)edge - rnd(64);
    case 2: return edges[rnd(sizeof edges / sizeof *edges)];
    case 3: return 0xffffffff81000000;
    default: return (uint64_t)arena + rnd(16000);
    }
}
static uint64_t number(void) { return rnd(3) ? rnd(300) : (uint64_t)edges[rnd(sizeof edges / sizeof *edges)]; }
static int some_fd(void) { return nfds && rnd(20) ? fds[rnd(nfds)] : 3 + (int)rnd(70); }
static uint64_t address(int *size) {      /* one that a family could take, more or less */
    uint16_t *a = (void *)(arena + 16384 + 256 * rnd(8));
    if (!rnd(6)) { *size = number(); return pointer(); }
    memset(a, 0, 128);
    switch (rnd(5)) {
    case 0: a[0] = 1; sprintf((char *)a + 2, "n%d", (int)rnd(6)); *size = 5 + rnd(3); break;
    case 1: a[0] = 1; ((char *)a)[3] = 'a' + rnd(4); *size = 4 + rnd(2); break;
    case 2: a[0] = 2; a[1] = rnd(2) ? 0x0090 + (rnd(4) << 8) : 0; ((uint32_t *)a)[1] = rnd(3) ? 0x0100007f : rnd(0); *size = 16 - !rnd(9); break;
    case 3: a[0] = 10; a[1] = 0x0090 + (rnd(4) << 8); ((char *)a)[23] = rnd(2); *size = 28; break;
    default: a[0] = 16; ((uint32_t *)a)[1] = rnd(3); *size = 12; break;
    }
    return (uint64_t)a;
}
static uint64_t message(void) {
    uint64_t *m = (void *)(arena + 20480 + 512 * rnd(8)), *v = m + 20, *c = m + 30;
    int size;
    if (!rnd(8)) return pointer();
    m[0] = rnd(2) ? address(&size) : 0; m[1] = m[0] ? (uint32_t)size : number();
    for (int i = 0; i < 3; i++) { v[2 * i] = pointer(); v[2 * i + 1] = number(); }
    m[2] = rnd(9) ? (uint64_t)v : pointer(); m[3] = rnd(9) ? rnd(4) : number();
    c[0] = rnd(3) ? 16 + 4 * rnd(6) : number(); ((int *)c)[2] = rnd(5) ? 1 : rnd(50); ((int *)c)[3] = rnd(5) ? 1 + rnd(2) : rnd(50);
    for (int i = 4; i < 12; i++) ((int *)c)[i] = rnd(2) ? some_fd() : (int)rnd(100);
    m[4] = rnd(3) ? (rnd(9) ? (uint64_t)c : pointer()) : 0; m[5] = rnd(9) ? rnd(80) : number(); m[6] = rnd(0);
    return (uint64_t)m;
}
int main(int argc, char **argv) {
    long done = 0, good = 0, count = atol(argv[2]);
    state = atol(argv[1]) * 0x9e3779b97f4a7c15 + 1;
    arena = mmap(0, 65536 + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    edge = arena + 65536;
    munmap(edge, 4096);
    for (int i = 1; i < 65; i++) if (i != SIGKILL && i != SIGSTOP) signal(i, SIG_IGN);
    alarm(0);
    while (done++ < count) {
        int nr = calls[rnd(sizeof calls / sizeof *calls)], size = 0;
        uint64_t a[6] = {some_fd(), pointer(), number(), number(), pointer(), number()};
        if (nr == SYS_socket || nr == SYS_socketpair) {
            a[0] = families[rnd(12)]; a[1] = (1 + rnd(5)) | O_NONBLOCK; a[2] = rnd(4) ? 0 : rnd(20); a[3] = nr == SYS_socket ? 0 : rnd(5) ? (uint64_t)arena : pointer();
            if (!rnd(10)) a[1] = number() | O_NONBLOCK;
        }
        if (nr == SYS_bind || nr == SYS_connect) { a[1] = address(&size); a[2] = size; }
        if (nr == SYS_accept4) { a[2] = pointer(); a[3] = O_NONBLOCK; }
        if (nr == SYS_sendto) { a[3] = rnd(2) ? 0x40 : number() | 0x40; a[4] = rnd(2) ? address(&size) : 0; a[5] = size; }
        if (nr == SYS_recvfrom) { a[3] = rnd(2) ? 0x40 : number() | 0x40; a[4] = pointer(); a[5] = pointer(); }
        if (nr == SYS_sendmsg || nr == SYS_recvmsg) { a[1] = message(); a[2] = rnd(2) ? 0x40 : number() | 0x40; }
        if (nr == SYS_sendmmsg || nr == SYS_recvmmsg) { a[1] = message(); a[2] = rnd(3); a[3] = 0x40; a[4] = rnd(2) ? 0 : pointer(); }
        if (nr == SYS_getsockopt || nr == SYS_setsockopt) { static const int l[] = {1, 1, 0, 6, 17, 41, 270, 99}; a[1] = l[rnd(8)]; a[2] = rnd(90); a[3] = pointer(); a[4] = nr == SYS_getsockopt ? pointer() : number(); }
        if (nr == SYS_getsockname || nr == SYS_getpeername) a[2] = pointer();
        if (nr == SYS_ioctl) { a[1] = rnd(2) ? 0x8900 + rnd(0x100) : 0x5400 + rnd(0x60); if (a[1] == 0x5421) a[1] = 0; a[2] = pointer(); }
        if (nr == SYS_poll) { a[0] = pointer(); a[1] = rnd(5); a[2] = 0; }
        if (nr == SYS_sendfile || nr == SYS_splice) { a[1] = some_fd(); a[2] = nr == SYS_sendfile && rnd(2) ? 0 : a[2]; a[3] = nr == SYS_splice ? 0 : a[3]; a[5] = 2; }
        if (nr == SYS_fcntl) { a[1] = rnd(2) ? 3 : 8 + rnd(9); a[2] = rnd(3); }
        if (nr == SYS_close && a[0] < 3) continue;
        long r = syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
        good += r >= 0;
        if (r >= 0 && (nr == SYS_socket || nr == SYS_accept4 || nr == SYS_dup) && nfds < 64) fds[nfds++] = r;
        if (nr == SYS_socketpair && r == 0 && a[3] == (uint64_t)arena && nfds < 62) { fds[nfds++] = ((int *)arena)[0]; fds[nfds++] = ((int *)arena)[1]; }
        if (nfds > 50) { for (int i = 0; i < 30; i++) { int k = rnd(nfds); if (fds[k] > 2) close(fds[k]); fds[k] = fds[--nfds]; } }
    }
    printf("%ld calls\n", count);
    return good > count / 20 ? 0 : 1;
}
