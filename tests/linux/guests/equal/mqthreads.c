/* mq_notify by a thread: what the library is told through its socket, and what a program sees of it. */
#include "show.h"
#include <linux/netlink.h>
#include <mqueue.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

static char name[64];
static mqd_t queue;
static int calls[2];

static void notified(union sigval value) {
    int told[2] = {value.sival_int, gettid() != getpid()};
    if (write(calls[1], told, sizeof told) != sizeof told) _exit(9);
}

static void ask(int fd, void *cookie) {
    struct sigevent e = {.sigev_notify = SIGEV_THREAD, .sigev_signo = fd, .sigev_value.sival_ptr = cookie};
    S(mq_notify, queue, &e);
}

static void hear(int fd) {
    char b[64];
    struct sockaddr_nl from = {0};
    socklen_t size = sizeof from;
    memset(b, 0, sizeof b);
    struct pollfd p = {fd, POLLIN, 0};
    R(poll(&p, 1, 0));
    errno = 0;
    long n = recvfrom(fd, b, sizeof b, MSG_DONTWAIT, (void *)&from, &size);
    printf("heard %ld %s [%.31s] %d from %d %u %u\n", n, n < 0 ? strerrorname_np(errno) : "", b, b[31], from.nl_family, from.nl_pid, from.nl_groups);
}

int main(void) {
    char cookie[33] = "abcdefghijklmnopqrstuvwxyz01234_", b[64];
    struct mq_attr attr = {.mq_maxmsg = 4, .mq_msgsize = 16};
    snprintf(name, sizeof name, "/axptr-test-thread-%d", getpid());
    queue = mq_open(name, O_RDWR | O_CREAT | O_NONBLOCK, 0600, &attr);
    mq_unlink(name);
    int netlink = socket(AF_NETLINK, SOCK_RAW, 0), other = socket(AF_UNIX, SOCK_DGRAM, 0);
    ask(-1, cookie); ask(queue, cookie); ask(other, cookie); ask(netlink, BAD); ask(netlink, 0); ask(-1, BAD);
    ask(netlink, cookie); ask(netlink, cookie); ask(-1, cookie);
    hear(netlink);
    R(mq_send(queue, "one", 3, 0)); hear(netlink); hear(netlink);
    ask(netlink, cookie);
    R(mq_send(queue, "two", 3, 0)); hear(netlink);
    R(mq_receive(queue, b, 16, 0)); R(mq_receive(queue, b, 16, 0)); R(mq_receive(queue, b, 16, 0));
    R(mq_send(queue, "three", 5, 0)); hear(netlink);
    R(mq_receive(queue, b, 16, 0));
    ask(netlink, cookie);
    S(mq_notify, queue, 0); hear(netlink);
    S(mq_notify, queue, 0); hear(netlink);
    ask(netlink, cookie);
    R(close(netlink));
    R(mq_send(queue, "four", 4, 0)); R(mq_receive(queue, b, 16, 0));

    struct sigevent e = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = notified, .sigev_value.sival_int = 42};
    R(pipe(calls));
    for (int i = 0; i < 3; i++) {
        R(mq_notify(queue, &e));
        R(mq_notify(queue, &e));
        R(mq_send(queue, "five", 4, 0));
        int told[2];
        R(read(calls[0], told, sizeof told));
        printf("notified %d, other thread %d\n", told[0], told[1]);
        R(mq_receive(queue, b, 16, 0));
    }
    R(mq_notify(queue, &e));
    R(mq_notify(queue, 0));
    R(mq_send(queue, "six", 3, 0));
    R(mq_close(queue));
    return 0;
}
