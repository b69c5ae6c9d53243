/* What all programs of this directory print with: each result or errno on a line of its own, by the call's own text. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#ifndef SYS_mseal
#define SYS_mseal 462
#endif

#define PAGE 4096UL
#define BAD ((void *)8)

static const char *about = "";

static void show(const char *text, long result) {
    int code = errno;
    if (result == -1 && code)
        printf("%s%s: %s\n", about, text, strerrorname_np(code));
    else
        printf("%s%s: %ld\n", about, text, result);
}

/* R: the result, a small number. Z: whether it worked (addresses, descriptors). S: a raw call; N: one
 * that the headers may lack, by its number. */
#define R(...) do { errno = 0; long r_ = (long)(__VA_ARGS__); show(#__VA_ARGS__, r_); } while (0)
#define Z(...) do { errno = 0; long r_ = (long)(__VA_ARGS__); show(#__VA_ARGS__, r_ == -1 ? -1 : 0); } while (0)
#define S(name, ...) do { errno = 0; long r_ = syscall(SYS_##name, ##__VA_ARGS__); show(#name "(" #__VA_ARGS__ ")", r_); } while (0)
#define N(number, ...) do { errno = 0; long r_ = syscall(number, ##__VA_ARGS__); show(#number "(" #__VA_ARGS__ ")", r_); } while (0)
#define SZ(name, ...) do { errno = 0; long r_ = syscall(SYS_##name, ##__VA_ARGS__); show(#name "(" #__VA_ARGS__ ")", r_ == -1 ? -1 : 0); } while (0)

static inline void put(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) perror(path);
    close(fd);
}
