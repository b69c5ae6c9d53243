/* Signals for what comes to open files: O_ASYNC on pipes, sockets and terminals, owners, other signals, SIGURG, and
 * F_NOTIFY of directories. Each event's signals are taken as they come and shown with what they tell. */
#include "show.h"
#include <netinet/in.h>
#include <pthread.h>
#include <pty.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>

#define F_NOTIFY_ 1026
static sigset_t all;

static void taken(const char *what) {
    siginfo_t info;
    struct timespec soon = {0, 0};
    int number, count = 0;
    printf("%s:", what);
    while ((number = sigtimedwait(&all, &info, &soon)) > 0 && count++ < 20) {
        if (number == SIGCHLD) continue;
        if (number == SIGIO || number == SIGURG) printf(" %s code %d", number == SIGIO ? "IO" : "URG", info.si_code);
        else printf(" %s%d code %d", number >= SIGRTMIN ? "RT" : "", number >= SIGRTMIN ? number - SIGRTMIN : number, info.si_code);
        if (info.si_code > 0 && info.si_code < 10) printf(" fd %d band %lx", info.si_fd, info.si_band);
    }
    printf("\n");
}

/* What comes through another part of the kernel has come. */
static void came(int fd, int events) {
    struct pollfd one = {fd, events};
    poll(&one, 1, 20000);
}

static void own(int fd, int signal) {
    R(fcntl(fd, F_SETOWN, getpid())); R(fcntl(fd, F_GETOWN) == getpid());
    R(fcntl(fd, F_SETSIG, signal)); R(fcntl(fd, F_GETSIG) == signal);
    R(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC | O_NONBLOCK));
    R(!!(fcntl(fd, F_GETFL) & O_ASYNC));
}

static void pipes(int signal) {
    char buf[70000] = {0};
    int p[2];
    pipe(p);
    own(p[0], signal);
    taken("nothing yet");
    write(p[1], "x", 1); taken("written");
    write(p[1], "y", 1); taken("written more");
    read(p[0], buf, 1); taken("read one");
    own(p[1], signal);
    read(p[0], buf, 10); taken("read all");
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    write(p[1], "z", 1); taken("off");
    fcntl(p[0], F_SETFL, O_NONBLOCK | O_ASYNC);
    close(p[1]); taken("writer closed");
    close(p[0]); taken("closed");
}

static void sockets(int kind, int signal) {
    char buf[100];
    int s[2];
    socketpair(AF_UNIX, kind, 0, s);
    own(s[0], signal);
    taken("nothing yet");
    send(s[1], "x", 1, 0); taken("sent");
    send(s[1], "y", 1, 0); taken("sent more");
    recv(s[0], buf, 1, 0); taken("received");
    send(s[0], "z", 1, 0); recv(s[1], buf, 1, 0); taken("sent and received there");
    shutdown(s[1], SHUT_WR); taken("shut");
    close(s[1]); taken("closed there");
    close(s[0]); taken("closed");
}

static void internet(int signal) {
    struct sockaddr_in a = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof a;
    char buf[10];
    int l = socket(AF_INET, SOCK_STREAM, 0);
    bind(l, (void *)&a, size); listen(l, 5); getsockname(l, (void *)&a, &size);
    own(l, signal);
    int c = socket(AF_INET, SOCK_STREAM, 0);
    connect(c, (void *)&a, size); came(l, POLLIN); taken("connected to");
    int d = accept(l, 0, 0);
    R(fcntl(d, F_GETOWN)); R(!!(fcntl(d, F_GETFL) & O_ASYNC));
    own(d, signal);
    send(c, "hello", 5, 0); came(d, POLLIN); taken("data");
    recv(d, buf, 5, 0);
    send(c, "!", 1, MSG_OOB); came(d, POLLPRI); taken("urgent");
    fcntl(d, F_SETFL, 0);
    R(recv(d, buf, 1, MSG_OOB));
    send(c, "?", 1, MSG_OOB); came(d, POLLPRI); taken("urgent, not asynchronous");
    close(c); close(d); close(l);
    int u = socket(AF_INET, SOCK_DGRAM, 0), v = socket(AF_INET, SOCK_DGRAM, 0);
    a.sin_port = 0; bind(u, (void *)&a, sizeof a); getsockname(u, (void *)&a, &size);
    own(u, signal);
    sendto(v, "x", 1, 0, (void *)&a, size); came(u, POLLIN); taken("datagram");
    close(u); close(v); taken("closed");
}

static void terminals(int signal) {
    int m, s;
    char buf[100];
    openpty(&m, &s, 0, 0, 0);
    R(fcntl(s, F_SETFL, O_RDWR | O_ASYNC | O_NONBLOCK)); R(fcntl(s, F_GETOWN) == getpid());
    own(s, signal);
    write(m, "ab", 2); taken("half a line");
    write(m, "\n", 1); came(s, POLLIN); taken("a line");
    read(s, buf, 100); taken("read");
    for (int size = 0; size < 4;) size += read(m, buf, 100);  /* "ab\r\n", in as many pieces as it comes */
    own(m, signal); taken("echo read");
    write(s, "out", 3); came(m, POLLIN); taken("output");
    close(m); taken("hung up");
    close(s);
}

static void *other(void *arg) { return 0; }

static void owners(void) {
    int p[2];
    struct f_owner_ex ex;
    pipe(p);
    fcntl(p[0], F_SETFL, O_ASYNC); write(p[1], "x", 1); taken("nobody's");
    ex = (struct f_owner_ex){F_OWNER_PGRP, getpgrp()}; R(fcntl(p[0], F_SETOWN_EX, &ex)); write(p[1], "x", 1); taken("a group's");
    R(fcntl(p[0], F_GETOWN) == -getpgrp());
    ex = (struct f_owner_ex){F_OWNER_TID, syscall(SYS_gettid)}; R(fcntl(p[0], F_SETOWN_EX, &ex)); write(p[1], "x", 1); taken("a thread's");
    R(fcntl(p[0], F_SETOWN, 0)); write(p[1], "x", 1); taken("nobody's again");
    R(fcntl(p[0], F_SETOWN, 0x3fffffff)); R(fcntl(p[0], F_SETOWN, -0x3fffffff)); R(fcntl(p[0], F_SETOWN, INT_MIN));
    ex = (struct f_owner_ex){3, 0}; R(fcntl(p[0], F_SETOWN_EX, &ex)); ex = (struct f_owner_ex){0, -1}; R(fcntl(p[0], F_SETOWN_EX, &ex));
    R(fcntl(p[0], F_SETSIG, 65)); R(fcntl(p[0], F_SETSIG, -1)); R(fcntl(p[0], F_SETOWN_EX, BAD)); R(fcntl(p[0], F_GETOWN_EX, BAD));
    int ready[2];
    pipe(ready);
    pid_t child = fork();
    if (!child) {
        write(ready[1], "r", 1);
        siginfo_t info;
        int got = sigwaitinfo(&all, &info);
        _exit(got == SIGIO ? 5 : 6);
    }
    char c;
    read(ready[0], &c, 1);
    R(fcntl(p[0], F_SETOWN, child)); write(p[1], "x", 1);
    int status;
    waitpid(child, &status, 0);
    printf("child %x\n", status); taken("a child's");
    R(fcntl(p[0], F_GETOWN)); write(p[1], "x", 1); taken("a dead child's");
}

static void directories(int signal) {
    mkdir("d", 0755); mkdir("e", 0755);
    int fd = open("d", O_RDONLY), file = open("plain", O_RDWR | O_CREAT, 0644), dup1;
    R(fcntl(file, F_NOTIFY_, 4)); R(fcntl(fd, F_NOTIFY_, 0)); R(fcntl(fd, F_NOTIFY_, 0x80000000)); R(fcntl(-1, F_NOTIFY_, 4));
    R(fcntl(fd, F_SETSIG, signal));
    int kinds[] = {1, 2, 4, 8, 16, 32, 63};
    for (int k = 0; k < 7; k++) for (int many = 0; many < 2; many++) {
        char what[40];
        R(fcntl(fd, F_NOTIFY_, kinds[k] | (many ? 0x80000000 : 0)));
        R(fcntl(fd, F_GETOWN) == getpid());
#define T(name) sprintf(what, "%x %d " name, kinds[k], many); taken(what)
        put("d/f", ""); T("created");
        put("d/f", "x"); T("written");
        int g = open("d/f", O_RDONLY); char c; read(g, &c, 1); close(g); T("read");
        chmod("d/f", 0600); T("chmod");
        rename("d/f", "d/g"); T("renamed");
        rename("d/g", "e/g"); T("moved out");
        rename("e/g", "d/g"); T("moved in");
        unlink("d/g"); T("removed");
        mkdir("d/h", 0755); T("mkdir"); rmdir("d/h"); T("rmdir");
        R(fcntl(fd, F_NOTIFY_, 0));
        put("d/f", ""); unlink("d/f"); T("off");
    }
    fcntl(fd, F_NOTIFY_, 0x80000004); dup1 = dup(fd); close(dup1); close(fd); put("d/z", ""); taken("closed");
}

int main(void) {
    setsid();
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, 0);
    int signals[] = {0, SIGRTMIN + 3, SIGUSR1, SIGIO, SIGCHLD};
    for (int i = 0; i < 4; i++) {
        printf("== signal %d\n", i);
        pipes(signals[i]); sockets(SOCK_STREAM, signals[i]); sockets(SOCK_DGRAM, signals[i]); sockets(SOCK_SEQPACKET, signals[i]);
        internet(signals[i]); terminals(signals[i]);
    }
    owners();
    directories(SIGRTMIN + 1);
    return 0;
}
