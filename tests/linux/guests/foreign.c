// What suites of others found: seals and O_TRUNC, numbers chosen for children, one socket asked for by its number,
// connections made by sending, and two of the same name.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void told(const char *what, long got) {
    printf("%s: %ld %s\n", what, got, got < 0 ? strerror(errno) : "");
}

static void seals(void) {
    for (int seal = 0; seal < 6; seal++) {
        int fd = memfd_create("sealed", MFD_ALLOW_SEALING);
        char path[64];
        struct stat st;
        write(fd, "0123456789", 10);
        sprintf(path, "/proc/self/fd/%d", fd);
        told("seal", fcntl(fd, F_ADD_SEALS, 1 << seal));
        int flags[] = {O_RDWR, O_RDWR | O_TRUNC, O_WRONLY | O_TRUNC, O_RDWR | O_CREAT | O_TRUNC, O_RDONLY | O_TRUNC};
        for (int i = 0; i < 5; i++) {
            int again = open(path, flags[i], 0600);
            told("open", again < 0 ? -1 : 0);
            fstat(fd, &st);
            printf("size %ld\n", (long)st.st_size);
            close(again);
            if (ftruncate(fd, 10)) told("grow", -1);
        }
        told("truncate to less", truncate(path, 3));
        told("truncate to more", truncate(path, 30));
        fstat(fd, &st);
        printf("size %ld\n", (long)st.st_size);
        close(fd);
    }
}

static void chosen(pid_t *numbers, size_t count, const char *what) {
    struct clone_args args = {.exit_signal = SIGCHLD, .set_tid = (uintptr_t)numbers, .set_tid_size = count};
    pid_t pid = syscall(SYS_clone3, &args, sizeof args);
    if (!pid) _exit(numbers && getpid() == numbers[0] ? 7 : 8);
    int status = 0;
    if (pid > 0) waitpid(pid, &status, 0);
    printf("%s: %d %s, ended %d\n", what, pid > 0 ? pid == numbers[0] : pid, pid < 0 ? strerror(errno) : "",
           WEXITSTATUS(status));
}

static void numbers(void) {
    int most = 0;
    FILE *f = fopen("/proc/sys/kernel/pid_max", "r");
    fscanf(f, "%d", &most);
    fclose(f);
    pid_t gone = fork();
    if (!gone) _exit(0);
    waitpid(gone, 0, 0);
    pid_t lists[][2] = {{0, 0}, {-1, 0}, {1, 0}, {most, 0}, {getpid(), 0}, {gone, 0}};
    for (int i = 0; i < 6; i++) {
        char name[20];
        sprintf(name, "number %d", i);
        chosen(lists[i], 1, name);
        sprintf(name, "of 33 numbers %d", i);
        chosen(lists[i], 33, name);
    }
    chosen(0, 1, "no list");
    chosen((pid_t *)8, 1, "a bad list");
}

static void ask(int fd, unsigned number, unsigned show, unsigned cookie) {
    struct {
        struct nlmsghdr head;
        struct unix_diag_req asked;
    } request = {{sizeof request, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 1, 0},
                 {.sdiag_family = AF_UNIX, .udiag_states = -1, .udiag_ino = number, .udiag_show = show,
                  .udiag_cookie = {cookie, cookie}}};
    static char got[8192] __attribute__((aligned(8)));
    send(fd, &request, sizeof request, 0);
    int size = recv(fd, got, sizeof got, 0);
    struct nlmsghdr *head = (void *)got;
    if (head->nlmsg_type == NLMSG_ERROR) {
        printf("error %d\n", *(int *)NLMSG_DATA(head));
        return;
    }
    struct unix_diag_msg *said = NLMSG_DATA(head);
    printf("type %d, family %d, kind %d, state %d, the one asked for %d:", head->nlmsg_type, said->udiag_family,
           said->udiag_type, said->udiag_state, said->udiag_ino == number);
    for (char *at = (char *)(said + 1); at < got + size;) {
        unsigned short length, type;
        memcpy(&length, at, 2), memcpy(&type, at + 2, 2);
        printf(" %d", type);
        if (type == 7) printf("=%d", *(int *)(at + 4) == (int)getuid());
        at += (length + 3) & ~3;
    }
    puts("");
}

static void one_socket(void) {
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG), pair[2];
    struct stat st;
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    fstat(pair[0], &st);
    ask(fd, st.st_ino, UDIAG_SHOW_UID, -1);
    ask(fd, st.st_ino, UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN | UDIAG_SHOW_UID, -1);
    ask(fd, st.st_ino, 0, -1);
    ask(fd, st.st_ino, 0, 77);
    ask(fd, 0, 0, -1);
    ask(fd, 0x7ffffff0, 0, -1);
    close(pair[0]), close(pair[1]);
    ask(fd, st.st_ino, 0, -1);
    close(fd);
}

static void by_sending(int family) {
    struct sockaddr_storage at = {.ss_family = family};
    socklen_t size = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    struct sockaddr_in *four = (void *)&at;
    struct sockaddr_in6 *six = (void *)&at;
    int one = 1, listener = socket(family, SOCK_STREAM, 0);
    if (family == AF_INET) four->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else six->sin6_addr = in6addr_loopback;
    told("bind", bind(listener, (void *)&at, size));
    listen(listener, 5);
    getsockname(listener, (void *)&at, &size);
    for (int i = 0; i < 3; i++) {
        int fd = socket(family, SOCK_STREAM, 0);
        char text[32] = "";
        told("send", sendto(fd, "hello", i == 1 ? 0 : 5, MSG_FASTOPEN | MSG_NOSIGNAL, (void *)&at, size));
        told("again", sendto(fd, "hello", 5, MSG_FASTOPEN | MSG_NOSIGNAL, (void *)&at, size));
        told("more", send(fd, " world", 6, 0));
        int other = accept(listener, 0, 0);
        shutdown(fd, SHUT_WR);
        told("received", recv(other, text, sizeof text, MSG_WAITALL));
        puts(text);
        close(fd), close(other);
    }
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    int fd = socket(family, SOCK_STREAM, 0);
    told("no family", sendto(fd, "hello", 5, MSG_FASTOPEN | MSG_NOSIGNAL, &none, sizeof none));
    told("no address", send(fd, "hello", 5, MSG_FASTOPEN | MSG_NOSIGNAL));
    told("short address", sendto(fd, "hello", 5, MSG_FASTOPEN | MSG_NOSIGNAL, (void *)&at, 8));
    close(listener);
    told("nobody listens", sendto(fd, "hello", 5, MSG_FASTOPEN | MSG_NOSIGNAL, (void *)&at, size));
    close(fd);

    int two[2];
    for (int i = 0; i < 2; i++) {
        two[i] = socket(family, SOCK_STREAM, 0);
        setsockopt(two[i], SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (!i) {
            if (family == AF_INET) four->sin_port = 0;
            else six->sin6_port = 0;
        }
        told("bind", bind(two[i], (void *)&at, size));
        if (!i) getsockname(two[i], (void *)&at, &size);
        if (i == 1) told("connect as the other did", connect(two[i], (void *)&at, size));
        told("to itself", sendto(two[i], "me", 2, MSG_FASTOPEN | MSG_NOSIGNAL, (void *)&at, size));
    }
    told("listen", listen(two[1], 0));
    char text[8] = "";
    told("what it sent to itself", recv(two[0], text, sizeof text, MSG_DONTWAIT));
    puts(text);
}

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    seals();
    numbers();
    one_socket();
    by_sending(AF_INET);
    by_sending(AF_INET6);
}
