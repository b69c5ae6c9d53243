/* In the working directory "vault" is mounted over, and something else lies beneath. Another process, on another CPU where there
   is one, makes "vault" of "vaultx", which is not there, and back, while calls are given that name: each must find what is
   mounted, or nothing; prints of each call whether it did. A call is made until it often found another than just before:
   then names have changed while it was made, where there are CPUs enough. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define OFTEN 100
#define LONG 2000 /* slashes before the name: so much is copied between the look for its end and the end */

static char *name;

static long by_stat(void) { struct stat s; return stat(name, &s) ? -errno : (long)s.st_ino; }
static long by_listxattr(void) { char b[99]; long n = listxattr(name, b, 99); return n < 0 ? -errno : n; }
static long by_open(void) {
    struct stat s;
    int fd = open(name, O_RDONLY | O_DIRECTORY);
    if (fd < 0) return -errno;
    fstat(fd, &s);
    close(fd);
    return (long)s.st_ino;
}

static const struct { const char *call; long (*found)(void); } calls[] = {
    {"stat", by_stat}, {"listxattr", by_listxattr}, {"open", by_open},
};

int main(void) {
    char *shared = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    volatile char *end;
    int child;
    name = shared;
    memset(name, '/', LONG);
    getcwd(name + LONG, 1000);
    strcat(name, "/vault");
    end = strchr(name, 0);
    long mounted[sizeof calls / sizeof *calls];
    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++) mounted[i] = calls[i].found();
    child = fork();
    while (!child) *end = 'x', *end = 0;
    for (unsigned i = 0; i < sizeof calls / sizeof *calls; i++) {
        long last = 0, turns = 0, other = 0;
        while (turns < OFTEN) {
            long found = calls[i].found();
            turns += found != last;
            other += found != mounted[i] && found != -ENOENT;
            last = found;
        }
        printf("%s %s\n", calls[i].call, other ? "was fooled" : "found what is mounted");
    }
    kill(child, SIGKILL);
    waitpid(child, 0, 0);
    return 0;
}
