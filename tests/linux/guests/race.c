/* argv: what to do, a directory outside, seconds. In the working directory `a` is a directory and `b` a link outside.
   swap: exchange the two all the time. change: try everything that changes something by way of `a`. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static void put(int fd) { if (fd >= 0) { write(fd, "RACE", 4); ftruncate(fd, 2); fchmod(fd, 0600); close(fd); } }

static void change(void) {
    static const struct timespec t[2] = {{5, 0}, {6, 0}};
    char p[64];
    put(open("a/file", O_WRONLY));
    put(open("a/new", O_WRONLY | O_CREAT, 0600));
    put(open("a/./file", O_WRONLY | O_TRUNC));
    mkdir("a/made", 0700), rmdir("a/empty"), rmdir("a/made");
    chmod("a/file", 0123), truncate("a/file", 0), utimensat(AT_FDCWD, "a/file", t, 0), setxattr("a/file", "user.x", "1", 1, 0);
    unlink("a/file"), rename("a/file", "stolen"), rename("own", "a/gift"), rename("a/gift", "own");
    link("a/file", "stolen"), put(open("stolen", O_WRONLY)), unlink("stolen");
    symlink("x", "a/link2"), unlink("a/link2"), mknod("a/node", S_IFIFO | 0600, 0), unlink("a/node"), unlink("a/new");
    int fd = open("a", O_RDONLY | O_DIRECTORY), file = open("a/file", O_RDONLY);
    if (fd >= 0) {
        put(openat(fd, "file", O_WRONLY)), mkdirat(fd, "made", 0700), unlinkat(fd, "file", 0), fchmod(fd, 0755);
        close(fd);
    }
    if (file >= 0) {
        fchmod(file, 0123), futimens(file, t), sprintf(p, "/proc/self/fd/%d", file), put(open(p, O_WRONLY));
        close(file);
    }
    if (!chdir("a")) {
        put(open("file", O_WRONLY)), put(open("new", O_WRONLY | O_CREAT, 0600)), mkdir("made", 0700), unlink("file"), unlink("new");
        chdir("/"), chdir(getenv("HOME"));
    }
}

int main(int argc, char **argv) {
    struct timespec now, end;
    long count = 0;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += atoi(argv[3]);
    do {
        if (argv[1][0] == 's') for (int i = 0; i < 50; i++) {
            if (syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "b", 2)) return 1;
        } else change();
        count++;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
    printf("%s %ld\n", argv[1], count);
    return 0;
}
