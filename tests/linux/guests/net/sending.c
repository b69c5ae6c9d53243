/* sendfile and splice with sockets at an end, to be compared between two kernels. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#define R(x) do { errno = 0; long r_ = (x); printf("%d %s = %ld %s\n", __LINE__, #x, r_, r_ < 0 ? strerrorname_np(errno) : ""); } while (0)
static char b[400000];
int main(void) {
    int s[2], p[2], f = open("file", O_CREAT | O_RDWR, 0600), status;
    off_t o = 5;
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, 0, _IONBF, 0);
    for (int i = 0; i < sizeof b; i++) b[i] = i * 7;
    write(f, b, 300000);
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    pipe(p);
    lseek(f, 10, SEEK_SET);
    R(sendfile(s[0], f, 0, 100));
    R(lseek(f, 0, SEEK_CUR));
    R(sendfile(s[0], f, &o, 50));
    printf("%ld\n", (long)o);
    R(read(s[1], b, 1000));
    printf("%d %d\n", b[0], b[100]);
    R(sendfile(s[0], f, &o, 0));
    o = 299990;
    R(sendfile(s[0], f, &o, 100));
    R(read(s[1], b, 1000));
    R(sendfile(s[0], p[0], 0, 10));
    R(sendfile(f, s[0], 0, 10));
    write(p[1], "through", 7);
    R(splice(p[0], 0, s[0], 0, 100, 0));
    R(read(s[1], b, 100));
    write(s[1], "back", 4);
    R(splice(s[0], 0, p[1], 0, 100, 0));
    R(read(p[0], b, 100));
    R(splice(s[0], 0, p[1], 0, 100, SPLICE_F_NONBLOCK));
    fcntl(s[0], F_SETFL, O_NONBLOCK);
    lseek(f, 0, SEEK_SET);
    int r = sendfile(s[0], f, 0, 300000);
    printf("part %d\n", r > 100000 && r < 300000 && lseek(f, 0, SEEK_CUR) == r);
    R(sendfile(s[0], f, 0, 10));
    fcntl(s[0], F_SETFL, 0);
    if (!fork()) {      /* reads all, slowly */
        long n = 0;
        close(s[0]);
        while ((r = read(s[1], b, 10000)) > 0) n += r;
        _exit(n > 400000);
    }
    close(s[1]);
    o = 0;
    R(sendfile(s[0], f, &o, 300000));
    printf("%ld\n", (long)o);
    R(shutdown(s[0], SHUT_WR));
    wait(&status);
    printf("child %d\n", WEXITSTATUS(status));   /* told here: the two would print in any order */
    R(sendfile(s[0], f, 0, 10));
    close(s[0]);
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    close(s[1]);
    lseek(f, 0, SEEK_SET);
    R(sendfile(s[0], f, 0, 10));
    write(p[1], "x", 1);
    R(splice(p[0], 0, s[0], 0, 1, 0));
    return 0;
}
