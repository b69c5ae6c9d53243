/* Numbers at the ends of their range: offsets, times, timers. Prints what the calls give; argv[1]: a file older than 1970. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

static const char *text(long result) { return result < 0 ? strerrorname_np(errno) : ""; }
#define SHOW(call) do { long r_ = (long)(call); printf("%s = %ld %s\n", #call, r_, text(r_)); } while (0)

static void seeks(const char *path) {
    const long ends[] = {0, 1, -1, INT32_MAX, 1L << 31, 1L << 32, INT64_MAX - 1, INT64_MAX, INT64_MIN};
    char buf[512];
    int fd = open(path, O_RDONLY);
    for (int whence = 0; whence < 2; whence++)
        for (unsigned i = 0; i < sizeof ends / sizeof *ends; i++)
            for (int again = 0; again < 3; again++) {
                long at = lseek(fd, ends[i], whence);
                printf("%s %d %lx: %ld %s", path, whence, ends[i], at, text(at));
                long now = lseek(fd, 0, SEEK_CUR);
                printf(" at %ld", now);
                if (again == 2) {
                    long got = read(fd, buf, 10);
                    printf(" read %s", got < 0 ? text(got) : got ? "some" : "none");
                    lseek(fd, 0, SEEK_SET);
                }
                printf("\n");
            }
    for (int whence = 5; whence < 8; whence++)
        SHOW(lseek(fd, 0, whence));
    close(fd);
}

static void timers(void) {
    const long ends[] = {0, 1, INT32_MAX, 1L << 33, 9223372035, 9223372036, 9223372037, 1L << 62, INT64_MAX, -1};
    for (unsigned i = 0; i < sizeof ends / sizeof *ends; i++)
        for (unsigned k = 0; k < sizeof ends / sizeof *ends; k++) {
            long seconds = ends[k] > 0 && ends[k] < 1L << 60 ? ends[k] + 100 : ends[k];
            struct itimerval set = {{ends[i], 999999}, {seconds, seconds ? 5 : 0}}, old = {{0}}, now;
            long done = setitimer(ITIMER_REAL, &set, &old);
            getitimer(ITIMER_REAL, &now);
            printf("%ld %ld: %ld %s interval %ld.%06ld value %ld\n", ends[i], ends[k], done, text(done),
                   now.it_interval.tv_sec, now.it_interval.tv_usec, now.it_value.tv_sec / 1000000);
        }
    struct itimerval none = {{0}};
    setitimer(ITIMER_REAL, &none, 0);
}

static void rang(int number) {}

static void waits(void) {
    int ends[2];
    fd_set set;
    struct itimerval soon = {{0}, {0, 30000}};
    struct sigaction act = {.sa_handler = rang};
    const struct timespec longest = {INT64_MAX, 999999999};
    sigaction(SIGALRM, &act, 0);
    pipe(ends);
    for (int round = 0; round < 6; round++) {
        struct timeval time = {INT64_MAX, 0};
        struct timespec rest = longest, half = {1L << 40, 5};
        struct pollfd one = {ends[0], POLLIN};
        FD_ZERO(&set);
        FD_SET(ends[0], &set);
        setitimer(ITIMER_REAL, &soon, 0);
        switch (round) {
            case 0: SHOW(select(ends[0] + 1, &set, 0, 0, &time)); printf("%d\n", time.tv_sec > INT64_MAX / 2); break;
            case 1: SHOW(syscall(SYS_pselect6, ends[0] + 1, &set, 0, 0, &rest, 0)); printf("%d\n", rest.tv_sec > INT64_MAX / 2); break;
            case 2: SHOW(syscall(SYS_ppoll, &one, 1, &rest, 0, 8)); printf("%d\n", rest.tv_sec > 1L << 31); break;
            case 3: SHOW(nanosleep(&longest, &rest)); printf("%d\n", rest.tv_sec > 1L << 31); break;
            case 4: SHOW(clock_nanosleep(CLOCK_REALTIME, 0, &half, &rest) == EINTR); break;
            case 5: SHOW(poll(&one, 1, INT32_MAX)); break;
        }
    }
}

int main(int argc, char **argv) {
    struct stat old;
    struct statx more;
    SHOW(stat(argv[1], &old));
    printf("%ld %ld\n", (long)old.st_atime, (long)old.st_mtime);
    SHOW(fstatat(AT_FDCWD, argv[1], &old, AT_SYMLINK_NOFOLLOW));
    SHOW(statx(AT_FDCWD, argv[1], 0, STATX_BASIC_STATS, &more));
    printf("%lld %lld\n", (long long)more.stx_atime.tv_sec, (long long)more.stx_mtime.tv_sec);
    seeks("/proc/self/status");
    seeks("/proc/self");
    seeks("/proc/self/fd");
    seeks("/dev/null");
    seeks("/dev/urandom");
    seeks("/etc/passwd");
    timers();
    waits();
    return 0;
}
