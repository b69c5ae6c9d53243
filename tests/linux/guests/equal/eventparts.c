/* writev and readv of an eventfd: each part is a number by itself, until one is refused or has to wait. */
#include "show.h"
#include <sys/eventfd.h>

static void left(int fd) {
    uint64_t n = 0;
    R(read(fd, &n, 8) == 8); R(n);
}
int main(void) {
    setbuf(stdout, 0);
    uint64_t one = 1, five = 5, most = -2, none = -1;
    int fd = eventfd(0, EFD_NONBLOCK);
    struct iovec two[] = {{&one, 8}, {&five, 8}}, odd[] = {{&one, 8}, {&five, 4}}, halves[] = {{&one, 4}, {&five, 4}}, bad[] = {{&one, 8}, {BAD, 8}}, first[] = {{BAD, 8}, {&one, 8}};
    struct iovec full[] = {{&one, 8}, {&most, 8}, {&one, 8}}, never[] = {{&one, 8}, {&none, 8}}, empty[] = {{&one, 0}, {&one, 8}}, after[] = {{&one, 8}, {&one, 0}, {&five, 8}}, nothing[] = {{&one, 0}, {&one, 0}};
    R(writev(fd, two, 2)); left(fd); R(writev(fd, odd, 2)); left(fd); R(writev(fd, halves, 2)); left(fd); R(writev(fd, bad, 2)); left(fd); R(writev(fd, first, 2)); left(fd);
    R(writev(fd, full, 3)); left(fd); R(writev(fd, never, 2)); left(fd); R(writev(fd, empty, 2)); left(fd); R(writev(fd, after, 3)); left(fd); R(writev(fd, nothing, 2)); R(writev(fd, two, 1)); left(fd); R(pwritev2(fd, two, 2, -1, 0)); left(fd);
    R(write(fd, &five, 8)); uint64_t a = 0, b = 0;
    struct iovec parts[] = {{&a, 4}, {&b, 8}};
    R(readv(fd, parts, 2)); R(a); R(b);
    int waits = eventfd(0, 0);
    signal(SIGALRM, SIG_DFL);
    fflush(stdout);
    if (!fork()) { usleep(50000); uint64_t n; if (read(waits, &n, 8) == 8) write(waits, "", 0); _exit(0); }
    R(writev(waits, full, 2)); left(waits);
    return 0;
}
