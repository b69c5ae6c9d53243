/* Commands that concern no device: what Linux sees to whatever is open, and what each kind of file has of its own. */
#include "show.h"
#include <linux/fs.h>
#include <linux/random.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

int main(void) {
    setbuf(stdout, 0);
    int p[2], s[2];
    pipe(p);
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    struct { const char *name; int fd; } files[] = {
        {"file ", open("f", O_RDWR | O_CREAT, 0600)}, {"directory ", open(".", O_RDONLY)}, {"pipe ", p[0]}, {"socket ", s[0]},
        {"null ", open("/dev/null", O_RDWR)}, {"urandom ", open("/dev/urandom", O_RDONLY)}, {"eventfd ", eventfd(0, 0)}, {"epoll ", epoll_create1(0)},
        {"timerfd ", timerfd_create(CLOCK_MONOTONIC, 0)}, {"inotify ", inotify_init()}, {"memfd ", memfd_create("m", 0)}, {"proc ", open("/proc/self/stat", O_RDONLY)},
        {"path ", open("f", O_PATH)},
    };
    write(files[0].fd, "0123456789", 10);
    write(files[10].fd, "01234", 5);
    for (int i = 0; i < sizeof files / sizeof *files; i++) {
        int fd = files[i].fd, block = -1;
        long long size = -1;
        char range[64] = {0};
        about = files[i].name;
        if (i > 1) { R(ioctl(fd, FIGETBSZ, &block)); if (i > 3 && i != 12) R(block); }
        R(ioctl(fd, FIGETBSZ, BAD));
        R(ioctl(fd, FIOQSIZE, &size)); if (i != 1) R(size); R(ioctl(fd, FIOQSIZE, BAD));
        if (i) R(ioctl(fd, FIDEDUPERANGE, range)); R(ioctl(fd, FIDEDUPERANGE, BAD));
        R(ioctl(fd, FS_IOC_SETFLAGS, BAD)); R(ioctl(fd, FS_IOC_FSSETXATTR, BAD));
        R(ioctl(fd, 0x12345678, 0)); R(ioctl(fd, TCGETS, range)); R(ioctl(fd, TIOCGWINSZ, BAD)); R(ioctl(fd, 0, 0)); R(ioctl(fd, -1, 0));
    }
    about = "";
    int random = files[5].fd, entropy = 0;
    R(ioctl(random, RNDGETENTCNT, BAD)); R(ioctl(random, 0x5299, 0)); Z(ioctl(random, RNDGETENTCNT, &entropy)); R(entropy > 0);
    int names = open("/proc/self/ns/uts", O_RDONLY), users = open("/proc/self/ns/user", O_RDONLY), numbers = open("/proc/self/ns/pid", O_RDONLY);
    uid_t owner = 99;
    R(ioctl(names, 0xb703)); R(ioctl(users, 0xb703)); R(ioctl(numbers, 0xb703)); R(ioctl(names, 0xb702)); R(ioctl(names, 0xb704, &owner)); Z(ioctl(names, 0xb701)); R(ioctl(names, 0xb7ff));
    R(ioctl(users, 0xb701)); R(ioctl(users, 0xb702)); R(ioctl(numbers, 0xb702)); R(ioctl(users, 0xb704, &owner)); R(owner); R(ioctl(users, 0xb704, BAD));
    return 0;
}
