/* pipes.c: what pipes hold, cut, wait for and say, between processes; every answer is printed. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static char b[300000];
static void say(const char *what, long r)
{
    if (r < 0) printf("%s: %s\n", what, strerrorname_np(errno)); else printf("%s: %ld\n", what, r);
    fflush(stdout);
}
#define S(call) say(#call, (long)(call))
static volatile int pipes_broken;
static void broken(int s) { (void)s; pipes_broken++; }
int main(void)
{
    int p[2], q[2], n, st; pid_t c; struct pollfd f;
    S(pipe2(p, O_NONBLOCK)); for (n = 0; write(p[1], "x", 1) == 1; n++); S(n); S(read(p[0], b, 4095)); S(write(p[1], "y", 1)); S(read(p[0], b, 1)); S(write(p[1], "y", 1)); S(write(p[1], "y", 1));
    while (read(p[0], b, sizeof b) > 0); S(write(p[1], b, 100000)); S(write(p[1], b, 1)); S(ioctl(p[0], FIONREAD, &n)); S(n); S(fcntl(p[0], F_SETPIPE_SZ, 5000)); S(fcntl(p[0], F_SETPIPE_SZ, 100000)); S(write(p[1], b, 100000)); S(fcntl(p[1], F_GETPIPE_SZ));
    while (read(p[0], b, sizeof b) > 0); S(fcntl(p[0], F_SETPIPE_SZ, 1)); S(write(p[1], b, 5000)); S(write(p[1], b, 1)); S(read(p[0], b, 1)); S(write(p[1], b, 1)); S(fcntl(p[0], F_SETPIPE_SZ, -1));
    S(pipe2(q, O_DIRECT | O_NONBLOCK)); S(write(q[1], "one", 3)); S(write(q[1], "two", 3)); S(read(q[0], b, 100)); S(read(q[0], b, 2)); S(read(q[0], b, 2)); S(write(q[1], b, 10000)); S(read(q[0], b, 100000)); S(read(q[0], b, 100000)); S(read(q[0], b, 100000)); close(q[0]); close(q[1]);
    signal(SIGPIPE, broken); S(pipe(q)); close(q[0]); S(write(q[1], "x", 1)); S(pipes_broken); struct iovec v[2] = {{b, 5}, {b, 5}}; S(writev(q[1], v, 2)); S(pipes_broken); S(splice(p[0], 0, q[1], 0, 10, 0)); S(pipes_broken); S(write(q[1], "x", 0)); S(pipes_broken); f = (struct pollfd){q[1], POLLOUT, 0}; S(poll(&f, 1, 0)); S(f.revents); close(q[1]);
    S(pipe(q)); c = fork(); if (!c) { long sum = 0; close(q[1]); usleep(10000); for (long r; (r = read(q[0], b, 777)) > 0;) sum += r; _exit(sum == 300000); }
    close(q[0]); S(write(q[1], b, 300000)); close(q[1]); waitpid(c, &st, 0); S(st);
    S(pipe(q)); c = fork(); if (!c) { close(q[1]); if (read(q[0], b, 100) != 100) _exit(1); usleep(20000); _exit(0); }
    close(q[0]); S(write(q[1], b, 200000)); S(pipes_broken); waitpid(c, &st, 0); S(st); close(q[1]);
    S(pipe(q)); if (!fork()) { usleep(20000); close(q[1]); _exit(0); } close(q[1]); f = (struct pollfd){q[0], POLLIN, 0}; S(poll(&f, 1, -1)); S(f.revents); S(read(q[0], b, 1)); wait(0);
    S(pipe(q)); for (int i = 0; i < 4; i++) if (!fork()) { memset(b, 'a' + i, 4096); for (int k = 0; k < 8; k++) if (write(q[1], b, 4096) != 4096) _exit(1); _exit(0); }
    close(q[1]); int whole = 1; for (;;) { int have = 0; long r; while (have < 4096 && (r = read(q[0], b + have, 4096 - have)) > 0) have += r; if (!have) break; for (int i = 1; i < have; i++) whole &= b[i] == b[0]; } S(whole); while (wait(0) > 0);
    S(pipe(q)); if (!fork()) { fcntl(q[0], F_SETFL, O_NONBLOCK); _exit(0); } wait(0); S(read(q[0], b, 1)); S(fcntl(q[0], F_GETFL));
    struct sigaction act = {.sa_handler = broken}; sigaction(SIGALRM, &act, 0); fcntl(q[0], F_SETFL, 0); alarm(1); S(read(q[0], b, 1)); alarm(1); S(write(q[1], b, 100000));
    return 0;
}
