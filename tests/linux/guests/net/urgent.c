/* Urgent bytes (MSG_OOB) of streams, AF_UNIX and TCP: marks, what reads stop at, what is told of them; then sequences
 * of such calls in an order drawn from a fixed seed. Nothing waits, but for the other end to have what was sent. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int s[2], urged, internet;
static char next = 'a', got[4096];

static void urg(int signal) { (void)signal; urged++; }

static void inet_pair(void) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    int one = 1, l = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(l, (void *)&a, size) || listen(l, 1) || getsockname(l, (void *)&a, &size)) exit(9);
    s[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(s[0], (void *)&a, size)) exit(9);
    s[1] = accept(l, 0, 0);
    setsockopt(s[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    close(l);
}

static void make(int family) {
    internet = family == AF_INET;
    if (family == AF_UNIX) socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    else inet_pair();
    fcntl(s[1], F_SETOWN, getpid());
    urged = 0;
    next = 'a';
}

static void done(void) { close(s[0]); close(s[1]); }

static void put(int n, int flags) {
    char b[64];
    for (int i = 0; i < n; i++) { b[i] = next; next = next == 'z' ? 'a' : next + 1; }
    errno = 0;
    long r = send(s[0], b, n, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
    printf("send %d %#x: %ld %s\n", n, flags, r, r < 0 ? strerrorname_np(errno) : "");
    for (int left = 1; internet && !ioctl(s[0], SIOCOUTQ, &left) && left;) usleep(100);
}

static void take(int n, int flags) {
    struct iovec v = {got, n};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    memset(got, 0, sizeof got);
    errno = 0;
    long r = recvmsg(s[1], &m, flags | MSG_DONTWAIT);
    printf("recv %d %#x: %ld %s [%s] %#x\n", n, flags, r, r < 0 ? strerrorname_np(errno) : "", got, m.msg_flags);
}

static void look(void) {
    int mark = -1, there = -1;
    struct pollfd p = {s[1], POLLIN | POLLPRI | POLLRDBAND | POLLRDHUP, 0};
    poll(&p, 1, 0);
    int a = ioctl(s[1], SIOCATMARK, &mark);
    int b = internet ? ioctl(s[1], FIONREAD, &there) : 0; /* Linux 6.17 counts urgent bytes that were skipped, too */
    printf("poll %#x, atmark %d %d, there %d %d, signals %d\n", p.revents, a, mark, b, there, urged);
}

static void inlined(int on) {
    printf("inline %d: %d\n", on, setsockopt(s[1], SOL_SOCKET, SO_OOBINLINE, &on, sizeof on));
}

static void told(int family) {
    make(family);
    look(); take(1, MSG_OOB); put(0, MSG_OOB); put(1, MSG_OOB); look(); take(1, MSG_OOB | MSG_PEEK); take(0, MSG_OOB);
    take(1, MSG_OOB); look(); take(4, 0); look();
    put(3, 0); put(3, MSG_OOB); look(); take(9, MSG_PEEK); take(9, 0); look(); take(9, MSG_PEEK); take(9, 0); look();
    put(3, MSG_OOB); put(2, 0); take(1, 0); look(); take(1, 0); look(); take(5, MSG_OOB); look(); take(5, 0); look();
    put(2, MSG_OOB); put(2, MSG_OOB); look(); take(9, 0); look(); take(9, 0); look(); take(9, MSG_OOB);
    inlined(1); put(3, MSG_OOB); put(2, 0); look(); take(1, MSG_OOB); take(9, 0); look(); take(9, MSG_PEEK); take(9, 0);
    look(); inlined(0);
    put(1, MSG_OOB); take(1, MSG_OOB); close(s[0]); look(); take(1, 0); take(1, 0);
    close(s[1]);
    make(family);
    put(2, MSG_OOB); take(1, MSG_OOB); take(1, 0); close(s[1]);
    errno = 0;
    printf("end: %ld %s\n", (long)recv(s[0], got, 1, MSG_DONTWAIT), strerrorname_np(errno));
    close(s[0]);
}

static unsigned long state;
static unsigned below(unsigned n) { return (state = state * 6364136223846793005UL + 1442695040888963407UL) >> 33, (state >> 33) % n; }

static void drawn(int family, unsigned long seed) {
    make(family);
    state = seed;
    for (int i = 0; i < 120; i++)
        switch (below(9)) {
        case 0: case 1: put(1 + below(4), 0); break;
        case 2: put(1 + below(3), MSG_OOB); break;
        case 3: case 4: take(1 + below(6), 0); break;
        case 5: take(1 + below(6), MSG_PEEK); break;
        case 6: take(1, MSG_OOB | (below(3) ? 0 : MSG_PEEK)); break;
        case 7: look(); break;
        case 8: if (!below(4)) inlined(below(2)); break;
        }
    done();
}

int main(void) {
    static const int families[] = {AF_UNIX, AF_INET};
    setvbuf(stdout, 0, _IOFBF, 1 << 16);
    signal(SIGURG, urg);
    for (int i = 0; i < 2; i++) {
        printf("-- family %d\n", families[i]);
        told(families[i]);
        for (int seed = 0; seed < 40; seed++) {
            printf("-- seed %d\n", seed);
            drawn(families[i], seed);
        }
    }
    return 0;
}
