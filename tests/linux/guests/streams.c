/* Random calls over streams (TCP, AF_UNIX), pipes, epolls and polls, as a number says.

   streams SEED STEPS [full]: one process; each answer is printed. full: buffers are filled, which each kernel has of other
   sizes. streams SEED STEPS echo: a server that waits in epoll and clients that wait in what calls they like; what is printed
   does not depend on who runs when. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ENDS = 10, SETS = 3, MOST = 1 << 17, LITTLE = 9000 };
static unsigned state;
static int fds[ENDS], partner[ENDS], kind[ENDS], sets[SETS], full;
static unsigned long sent[ENDS];
static char *buffer;

static unsigned rnd(unsigned n)
{
    state = state * 1103515245 + 12345;
    return (state >> 16) % n;
}

static int listener(struct sockaddr_in *a)
{
    socklen_t size = sizeof *a;
    int l = socket(AF_INET, SOCK_STREAM, 0);
    memset(a, 0, sizeof *a);
    a->sin_family = AF_INET;
    a->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(l, (void *)a, sizeof *a) || listen(l, 10) || getsockname(l, (void *)a, &size)) exit(9);
    return l;
}

static int one = 1;
static void tcp_pair(int *p)
{
    struct sockaddr_in a;
    int l = listener(&a);
    p[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(p[0], (void *)&a, sizeof a) || (p[1] = accept(l, 0, 0)) < 0) exit(9);
    for (int i = 0; i < 2; i++) setsockopt(p[i], 6, 1, &one, 4);
    close(l);
}

static void say(int step, const char *what, int i, long r)
{
    if (r < 0) printf("%d %s %d %d: %s\n", step, what, i, kind[i], strerrorname_np(errno));
    else printf("%d %s %d %d: %ld\n", step, what, i, kind[i], r);
}

static unsigned long sum(const char *at, long n)
{
    unsigned long found = 0;
    for (long i = 0; i < n; i++) found = found * 31 + (unsigned char)at[i];
    return found & 0xffffff;
}

/* A quarter of the buffers lie in pages that nobody has touched, and end at one that is not there, or beyond its start. */
static char *place(long size, int whole)
{
    static char *far;
    if (rnd(4)) return buffer;
    if (far) munmap(far, MOST * 2);
    far = mmap(0, MOST * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(far + MOST, MOST, PROT_NONE);
    return far + MOST - (whole || rnd(2) ? size : size / 2 + 1);
}

static long room(char *at)
{
    long n = (unsigned long)at & 4095;
    return 4096 - n;
}

static void pair(int i)
{
    int p[2], which = rnd(3);
    if (which == 0) { if (pipe(p)) exit(9); int t = p[0]; p[0] = p[1]; p[1] = t; }
    else if (which == 1) tcp_pair(p);
    else if (socketpair(AF_UNIX, SOCK_STREAM, 0, p)) exit(9);
    for (int k = 0; k < 2; k++) {
        fcntl(p[k], F_SETFL, fcntl(p[k], F_GETFL) | O_NONBLOCK);
        fds[i + k] = p[k], kind[i + k] = which, sent[i + k] = 0, partner[i + k] = i + !k;
    }
}

static void tell(int step, int ep)
{
    struct epoll_event e[16];
    memset(e, 0, sizeof e);
    int n = epoll_wait(sets[ep], e, 1 + rnd(6), 0);
    printf("%d wait %d:", step, ep);
    if (n < 0) printf(" %s", strerrorname_np(errno));
    for (int k = 0; k < n; k++) printf(" %llu=%x", (unsigned long long)e[k].data.u64, e[k].events);
    printf(" (%d)\n", n);
}

static long lying(int i)
{
    int n = 0;
    return ioctl(fds[i], FIONREAD, &n) ? 0 : n;
}

static void step(int k)
{
    static const unsigned kinds[] = {0, 0, 0, EPOLLET, EPOLLET, EPOLLONESHOT, EPOLLET | EPOLLONESHOT};
    int i = rnd(ENDS), ep = rnd(SETS), r;
    unsigned events = (rnd(4) ? EPOLLIN : 0) | (rnd(2) ? 0 : EPOLLOUT) | (rnd(4) ? 0 : EPOLLRDHUP) | kinds[rnd(7)];
    struct epoll_event e = {.events = events, .data.u64 = ((uint64_t)k << 32) + i};
    if (fds[i] < 0 && fds[i ^ 1] < 0) { pair(i & ~1); return; }
    if (fds[i] < 0) return;
    long size = rnd(3) ? rnd(40) : full && rnd(2) ? rnd(MOST) : rnd(LITTLE), n;
    int flags = (rnd(3) ? 0 : MSG_DONTWAIT) | (rnd(3) ? 0 : MSG_NOSIGNAL);
    int what = rnd(17);
    char *at = place(size, kind[i] == 1); /* how much of TCP goes before a fault is by chance */
    errno = 0;
    switch (what) {
    case 0: say(k, "add", i, epoll_ctl(sets[ep], EPOLL_CTL_ADD, fds[i], &e)); break;
    case 1: case 2: say(k, "mod", i, epoll_ctl(sets[ep], EPOLL_CTL_MOD, fds[i], &e)); break;
    case 3: say(k, "del", i, epoll_ctl(sets[ep], EPOLL_CTL_DEL, fds[i], 0)); break;
    case 4: case 5: case 6:
        if (!full && fds[i ^ 1] >= 0 && lying(i ^ 1) > 20000) break;
        if (at == buffer) for (n = 0; n < size; n++) at[n] = sent[i]++;
        if (kind[i] && rnd(2)) n = send(fds[i], at, size, flags); else n = write(fds[i], at, size);
        say(k, "write", i, n);
        break;
    case 7: case 8: case 9: case 10:
        if (kind[i] && rnd(2)) n = recv(fds[i], at, size, flags & MSG_DONTWAIT ? MSG_DONTWAIT | (rnd(3) ? 0 : MSG_PEEK) : 0);
        else if (rnd(5)) n = read(fds[i], at, size);
        else { struct iovec v[2] = {{at, size / 3}, {at + size / 3, size - size / 3}}; n = readv(fds[i], v, 2); }
        printf("%ld of %ld: ", at == buffer ? size : room(at), size);
        say(k, "read", i, n);
        if (n > 0) printf("%lx\n", sum(at, n));
        break;
    case 11: say(k, "left", i, lying(i)); break;
    case 12:
        if (rnd(4)) break;
        if (kind[i] && rnd(2)) say(k, "shutdown", i, shutdown(fds[i], rnd(3)));
        else { say(k, "close", i, close(fds[i])); fds[i] = -1; }
        break;
    case 13: {
        struct pollfd p[3];
        for (int m = 0; m < 3; m++) p[m] = (struct pollfd){rnd(9) ? fds[rnd(ENDS)] : 1000, events & 0x2fff, 7};
        p[rnd(3)].fd = sets[ep];
        r = poll(p, rnd(4), 0);
        printf("%d poll %d: %x %x %x\n", k, r, p[0].revents, p[1].revents, p[2].revents);
        break;
    }
    case 14:
        if (kind[i]) {
            int v = rnd(8) ? 1 : 1 + rnd(50);
            socklen_t z = 4;
            if (rnd(2)) { r = getsockopt(fds[i], SOL_SOCKET, SO_ERROR, &v, &z); say(k, "error", i, r < 0 ? r : v); }
            else if (full && rnd(3) == 0) say(k, "room", i, setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, (int[]){v * 4000}, 4));
            else say(k, "least", i, setsockopt(fds[i], SOL_SOCKET, SO_RCVLOWAT, &v, 4));
        }
        break;
    default: tell(k, ep);
    }
}

static void nothing(int s) { (void)s; }

/* -- a server, and clients that wait */

static void serve(int l, int edge, int left)
{
    int ep = epoll_create1(0);
    struct epoll_event e[8], in = {.events = EPOLLIN, .data.fd = l};
    static char data[70000];
    epoll_ctl(ep, EPOLL_CTL_ADD, l, &in);
    while (left) {
        int n = epoll_wait(ep, e, 1 + rnd(8), rnd(3) ? -1 : (int)rnd(50));
        if (n < 0 && errno != EINTR) _exit(4);
        for (int k = 0; k < n; k++) {
            int fd = e[k].data.fd;
            if (fd == l) {
                struct epoll_event c = {.events = EPOLLIN | (edge ? EPOLLET : 0), .data.fd = accept4(l, 0, 0, SOCK_NONBLOCK)};
                if (c.data.fd < 0) _exit(5);
                epoll_ctl(ep, EPOLL_CTL_ADD, c.data.fd, &c);
                continue;
            }
            for (;;) {
                long got = rnd(2) ? read(fd, data, 1 + rnd(sizeof data - 1)) : recv(fd, data, 1 + rnd(300), 0);
                if (got < 0 && errno == EAGAIN) break;
                if (got < 0 && errno != EINTR) _exit(6);
                if (got == 0) { close(fd); left--; break; }
                for (long at = 0, m; at < got; at += m) {
                    data[at] ^= 0;
                    m = rnd(2) ? write(fd, data + at, got - at) : send(fd, data + at, got - at, 0);
                    if (m < 0 && errno != EAGAIN && errno != EINTR) _exit(7);
                    if (m < 0) { struct pollfd p = {fd, POLLOUT, 0}; poll(&p, 1, 1000); m = 0; }
                }
                struct epoll_event c = {.events = EPOLLIN | (edge ? EPOLLET : 0), .data.fd = fd};
                if (!rnd(3) && epoll_ctl(ep, EPOLL_CTL_MOD, fd, &c)) _exit(8);
                if (!edge && rnd(2)) break;
            }
        }
    }
    _exit(0);
}

static void *client(void *which)
{
    struct sockaddr_in *a = which;
    char out[5000], in[5000];
    unsigned mine = a->sin_port * 7 + a->sin_zero[0], all = 0;
    int fd = socket(AF_INET, SOCK_STREAM, 0), ep = epoll_create1(0), rounds = a->sin_zero[1];
    struct sockaddr_in to = *a;
    memset(to.sin_zero, 0, 8);
    if (connect(fd, (void *)&to, sizeof to)) _exit(10);
    struct epoll_event e = {.events = EPOLLIN};
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
    mine = a->sin_zero[0] * 12345 + 1;
    for (int k = 0; k < rounds; k++) {
        mine = mine * 1103515245 + 12345;
        long size = 1 + (mine >> 16) % (mine >> 30 ? 200 : 5000), at = 0, n;
        for (long i = 0; i < size; i++) out[i] = i * mine;
        for (long done = 0; done < size; done += n) {
            n = mine & 0x800 ? send(fd, out + done, size - done, 0) : write(fd, out + done, size - done);
            if (n < 0 && errno == EINTR) n = 0;
            if (n < 0) _exit(11);
        }
        while (at < size) {
            switch ((mine >> 8) % 5) {
            case 0: { struct pollfd p = {fd, POLLIN, 0}; poll(&p, 1, -1); break; }
            case 1: epoll_wait(ep, &e, 1, -1); break;
            case 2: epoll_wait(ep, &e, 1, 3); break;
            }
            n = mine & 0x1000 ? recv(fd, in + at, size - at, mine & 0x2000 ? MSG_WAITALL : 0) : read(fd, in + at, size - at);
            if (n < 0 && errno == EINTR) n = 0;
            else if (n <= 0) _exit(12);
            at += n;
        }
        if (memcmp(in, out, size)) _exit(13);
        all += sum(in, size);
    }
    close(fd);
    close(ep);
    return (void *)(unsigned long)all;
}

static int echo(int rounds)
{
    struct sockaddr_in a[6];
    pthread_t threads[6];
    int l = listener(&a[0]), clients = 1 + rnd(5), edge = rnd(2), status;
    struct itimerval v = {{0, 20000 + rnd(5000)}, {0, 20000}};
    struct sigaction act = {.sa_handler = nothing, .sa_flags = rnd(2) ? SA_RESTART : 0};
    sigaction(SIGALRM, &act, 0);
    pid_t server = fork();
    if (!server) serve(l, edge, clients);
    close(l);
    if (rnd(2)) setitimer(ITIMER_REAL, &v, 0);
    for (int i = 0; i < clients; i++) {
        a[i] = a[0];
        a[i].sin_zero[0] = i, a[i].sin_zero[1] = rounds > 250 ? 250 : rounds;
    }
    for (int i = 0; i < clients; i++) pthread_create(&threads[i], 0, client, &a[i]);
    for (int i = 0; i < clients; i++) {
        void *r;
        pthread_join(threads[i], &r);
        printf("client %d: %lx\n", i, (unsigned long)r);
    }
    while (waitpid(server, &status, 0) < 0) ;
    printf("server: %x\n", status);
    return 0;
}

int main(int argc, char **argv)
{
    static char space[MOST * 2];
    buffer = space;
    setvbuf(stdout, 0, _IOFBF, 1 << 20);
    signal(SIGPIPE, SIG_IGN);
    state = atoi(argv[1]) * 2654435761u + 7;
    if (argc > 3 && argv[3][0] == 'e') return echo(atoi(argv[2]));
    full = argc > 3;
    for (int i = 0; i < SETS; i++) sets[i] = epoll_create1(0);
    for (int i = 0; i < ENDS; i++) fds[i] = -1;
    for (int k = 0; k < atoi(argv[2]); k++) step(k);
    return 0;
}
