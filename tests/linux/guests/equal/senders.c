/* Who is at the other end of a socket, by descriptors of processes; and UDP-Lite. */
#include "show.h"
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#define PEERPIDFD 77
#define PASSPIDFD 76
#define SCM_PIDFD_ 4

static pid_t whose(int pidfd) {
    char path[64], text[2048];
    sprintf(path, "/proc/self/fdinfo/%d", pidfd);
    int fd = open(path, O_RDONLY);
    long got = read(fd, text, sizeof text - 1);
    close(fd);
    if (got < 0) return -errno;
    text[got] = 0;
    char *at = strstr(text, "Pid:");
    return at ? atoi(at + 4) : -1000;
}

static void told(int fd, const char *what, int room, pid_t other) {
    char buf[10], control[256];
    struct iovec v = {buf, 10};
    struct msghdr m = {0, 0, &v, 1, control, room};
    errno = 0;
    long got = recvmsg(fd, &m, MSG_DONTWAIT);
    printf("%s: %ld %s flags %x", what, got, got < 0 ? strerrorname_np(errno) : "", got < 0 ? 0 : m.msg_flags);
    if (got >= 0) for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
        printf(" [%d %d %ld", c->cmsg_level, c->cmsg_type, (long)c->cmsg_len);
        if (c->cmsg_type == SCM_PIDFD_) {
            int pidfd = *(int *)CMSG_DATA(c);
            pid_t who = pidfd < 0 ? pidfd : whose(pidfd);
            printf(" %s", who == getpid() ? "me" : who == other ? "child" : who < 0 ? "gone" : "?");
            printf(" %d", fcntl(pidfd, F_GETFD));
            close(pidfd);
        }
        printf("]");
    }
    printf("\n");
}

static void pids(int kind) {
    int s[2], value, on = 1;
    socklen_t size = 4;
    R(socketpair(AF_UNIX, kind, 0, s));
    R(getsockopt(s[0], SOL_SOCKET, PEERPIDFD, &value, &size)); R(size); R(whose(value) == getpid()); R(fcntl(value, F_GETFD)); close(value);
    size = 3; R(getsockopt(s[0], SOL_SOCKET, PEERPIDFD, &value, &size));
    size = 8; R(getsockopt(s[0], SOL_SOCKET, PEERPIDFD, &value, &size)); R(size); close(value);
    R(setsockopt(s[0], SOL_SOCKET, PEERPIDFD, &on, 4));
    R(setsockopt(s[0], SOL_SOCKET, PASSPIDFD, &on, 4)); size = 4; R(getsockopt(s[0], SOL_SOCKET, PASSPIDFD, &value, &size)); R(value);
    send(s[1], "x", 1, 0); told(s[0], "mine", 256, 0);
    send(s[1], "x", 1, 0); told(s[0], "no room", 16, 0);
    send(s[1], "x", 1, 0); told(s[0], "little room", 19, 0);
    R(setsockopt(s[0], SOL_SOCKET, SO_PASSCRED, &on, 4));
    send(s[1], "x", 1, 0); told(s[0], "both", 256, 0);
    pid_t child = fork();
    if (!child) { send(s[1], "y", 1, 0); pause(); _exit(0); }
    char c;
    recv(s[0], &c, 1, MSG_PEEK);
    told(s[0], "a child's", 256, child);
    kill(child, 9); waitpid(child, 0, 0);
    close(s[0]); close(s[1]);
    int alone = socket(AF_UNIX, kind, 0);
    size = 4; R(getsockopt(alone, SOL_SOCKET, PEERPIDFD, &value, &size));
    close(alone);
    alone = socket(AF_INET, SOCK_STREAM, 0); R(getsockopt(alone, SOL_SOCKET, PEERPIDFD, &value, &size)); R(setsockopt(alone, SOL_SOCKET, PASSPIDFD, &on, 4)); close(alone);
}

static void lite(int family) {
    struct sockaddr_storage a = {0};
    struct sockaddr_in *four = (void *)&a;
    struct sockaddr_in6 *six = (void *)&a;
    socklen_t size = family == AF_INET ? sizeof *four : sizeof *six;
    a.ss_family = family;
    if (family == AF_INET) four->sin_addr.s_addr = htonl(INADDR_LOOPBACK); else six->sin6_addr = in6addr_loopback;
    int s = socket(family, SOCK_DGRAM, 136), c = socket(family, SOCK_DGRAM, 136), u = socket(family, SOCK_DGRAM, 0), value;
    socklen_t four4 = 4;
    R(getsockopt(s, SOL_SOCKET, SO_PROTOCOL, &value, &four4)); R(value);
    R(bind(s, (void *)&a, size)); R(getsockname(s, (void *)&a, &size));
    R(bind(u, (void *)&a, size)); /* the same port of another protocol */
    R(connect(c, (void *)&a, size)); R(send(c, "hello", 5, 0));
    char buf[10];
    R(recv(s, buf, 10, MSG_DONTWAIT)); R(recv(u, buf, 10, MSG_DONTWAIT));
    int values[] = {0, 1, 7, 8, 20, 65535, 65536, -1};
    for (int o = 10; o < 12; o++) for (int i = 0; i < 8; i++) {
        R(setsockopt(c, 136, o, &values[i], 4)); four4 = 4; value = 77; R(getsockopt(c, 136, o, &value, &four4)); R(value);
        R(setsockopt(u, 17, o, &values[i], 4));
    }
    R(setsockopt(c, 136, 10, &values[4], 4)); R(send(c, "covered", 7, 0)); R(recv(s, buf, 10, MSG_DONTWAIT));
    close(s); R(send(c, "x", 1, 0)); R(send(c, "x", 1, 0)); close(c); close(u);
    R(socket(family, SOCK_STREAM, 136)); R(socket(family, SOCK_DGRAM, 137));
}

int main(void) {
    pids(SOCK_STREAM); pids(SOCK_DGRAM); pids(SOCK_SEQPACKET);
    lite(AF_INET); lite(AF_INET6);
    return 0;
}
