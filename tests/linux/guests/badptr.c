/* Bad pointers to system calls: prints call, case, result and errno, to be compared between two kernels.
   Raw system calls throughout; all buffers are where this program put them. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE 4096L
static char *good, *ro, *none, *hole;   /* rw page; r page; PROT_NONE page; last rw page before a hole */

static void show(const char *call, const char *what, long result) {
    int e = errno;
    if (result == -1)
        printf("%s %s -1 errno %d\n", call, what, e);
    else
        printf("%s %s %ld\n", call, what, result);
}
#define CALL(name, what, ...) do { errno = 0; show(name, what, syscall(__VA_ARGS__)); } while (0)

struct where { const char *name; uint64_t address; };
static struct where places[16];
static int nplaces;
static long zeroes[4];
static char stdout_buffer[1 << 20];

static void place(const char *name, uint64_t address) {
    places[nplaces].name = name;
    places[nplaces++].address = address;
}

static int file_fd, pipe_fd[2], null_fd, zero_fd, urandom_fd, dir_fd;

static void refill(void) {
    char drain[8192];
    fcntl(pipe_fd[0], F_SETFL, O_NONBLOCK);
    while (read(pipe_fd[0], drain, sizeof drain) > 0) {}
    fcntl(pipe_fd[0], F_SETFL, 0);
    memset(drain, 'p', sizeof drain);
    if (write(pipe_fd[1], drain, 300) != 300) _exit(99);
    lseek(file_fd, 0, SEEK_SET);
}

static void reads(void) {
    uint64_t counts[] = {0, 1, 96, 200, 5000, 0x7ffff000, 1UL << 40, SIZE_MAX / 2, SIZE_MAX};
    struct { const char *name; int fd; } fds[] = {{"read-file", file_fd}, {"read-pipe", pipe_fd[0]},
        {"read-null", null_fd}, {"read-dir", dir_fd}, {"read-badfd", 77}, {"read-wronly", pipe_fd[1]}};
    char what[64];
    for (unsigned f = 0; f < sizeof fds / sizeof *fds; f++)
        for (int p = 0; p < nplaces; p++)
            for (unsigned c = 0; c < sizeof counts / sizeof *counts; c++) {
                refill();
                snprintf(what, sizeof what, "%s %#lx", places[p].name, (unsigned long)counts[c]);
                CALL(fds[f].name, what, SYS_read, fds[f].fd, places[p].address, counts[c]);
                if (fds[f].fd == file_fd) {
                    printf("  position %ld\n", (long)lseek(file_fd, 0, SEEK_CUR));
                    CALL("pread64", what, SYS_pread64, file_fd, places[p].address, counts[c], 7L);
                }
            }
    for (int p = 0; p < nplaces; p++) {
        CALL("read-zero", places[p].name, SYS_read, zero_fd, places[p].address, 200L);
        CALL("read-urandom", places[p].name, SYS_read, urandom_fd, places[p].address, 200L);
    }
}

static void writes(void) {
    uint64_t counts[] = {0, 1, 96, 200, 1UL << 40, SIZE_MAX / 2, SIZE_MAX};
    struct { const char *name; int fd; } fds[] = {{"write-pipe", pipe_fd[1]}, {"write-null", null_fd},
        {"write-badfd", 77}, {"write-rdonly", file_fd}};
    char what[64];
    for (unsigned f = 0; f < sizeof fds / sizeof *fds; f++)
        for (int p = 0; p < nplaces; p++)
            for (unsigned c = 0; c < sizeof counts / sizeof *counts; c++) {
                uint64_t count = counts[c];
                /* a full pipe would block: where the memory is good, keep it short */
                refill();
                snprintf(what, sizeof what, "%s %#lx", places[p].name, (unsigned long)count);
                CALL(fds[f].name, what, SYS_write, fds[f].fd, places[p].address, count);
            }
}

static void strings(void) {
    char cwd[4096];
    memset(hole, 'x', PAGE);                        /* strings that run into the hole */
    char *ends = hole + PAGE - 2;                   /* set to "/" and NUL: ends on the last byte */
    static char longpath[9000];
    memset(longpath, 'a', sizeof longpath - 1);
    struct where s[24];
    int n = 0;
    for (int p = 0; p < nplaces; p++) s[n++] = places[p];
    s[n++] = (struct where){"runs-into-hole", (uint64_t)(hole + PAGE - 10)};
    s[n++] = (struct where){"too-long", (uint64_t)longpath};
    s[n++] = (struct where){"empty", (uint64_t)""};
    struct stat st;
    for (int i = 0; i < n; i++) {
        uint64_t a = s[i].address;
        if (a == (uint64_t)good) { strcpy(good, "/etc/passwd"); }
        CALL("open", s[i].name, SYS_open, a, O_RDONLY, 0);
        CALL("openat-badfd", s[i].name, SYS_openat, 77, a, O_RDONLY, 0);
        CALL("stat", s[i].name, SYS_stat, a, &st);
        CALL("lstat", s[i].name, SYS_lstat, a, &st);
        CALL("newfstatat", s[i].name, SYS_newfstatat, AT_FDCWD, a, &st, 0);
        CALL("newfstatat-flags", s[i].name, SYS_newfstatat, AT_FDCWD, a, &st, 0x40000);
        CALL("newfstatat-empty", s[i].name, SYS_newfstatat, dir_fd, a, &st, AT_EMPTY_PATH);
        CALL("access", s[i].name, SYS_access, a, R_OK);
        CALL("readlink", s[i].name, SYS_readlink, a, cwd, 100);
        CALL("readlink-0", s[i].name, SYS_readlink, a, cwd, 0);
        CALL("chdir", s[i].name, SYS_chdir, a);
        CALL("mkdir", s[i].name, SYS_mkdir, a == (uint64_t)good ? (uint64_t)"/etc/passwd" : a, 0700);
        CALL("rmdir", s[i].name, SYS_rmdir, a == (uint64_t)good ? (uint64_t)"/nonexistent" : a);
        CALL("statfs", s[i].name, SYS_statfs, a, cwd);
        CALL("getxattr", s[i].name, SYS_getxattr, a, "user.none", cwd, 10);
        CALL("execve", s[i].name, SYS_execve, a, 0, 0);
        memset(good, 0, 64);
    }
    ends[0] = '/';
    ends[1] = 0;
    CALL("stat", "ends-on-last-byte", SYS_stat, ends, &st);
    CALL("open-dir-write", "ends-on-last-byte", SYS_open, ends, O_RDWR, 0);
}

#define FRESH(...) do { memset(good, 0, PAGE); memset(hole, 0, PAGE); CALL(__VA_ARGS__); } while (0)

static void outputs(void) {
    uint64_t counts[] = {0, 1, 16, 4096, 1UL << 33, SIZE_MAX};
    char what[64];
    for (int p = 0; p < nplaces; p++) {
        uint64_t a = places[p].address;
        const char *n = places[p].name;
        FRESH("stat-out", n, SYS_stat, "/", a);
        FRESH("fstat-out", n, SYS_fstat, file_fd, a);
        FRESH("fstat-badfd", n, SYS_fstat, 77, a);
        FRESH("newfstatat-out", n, SYS_newfstatat, AT_FDCWD, "/", a, 0);
        FRESH("statx-out", n, SYS_statx, AT_FDCWD, "/", 0, 0x7ff, a);
        FRESH("statx-flags", n, SYS_statx, AT_FDCWD, a, 0x40000, 0x7ff, good);
        FRESH("statx-mask", n, SYS_statx, AT_FDCWD, a, 0, 0x80000000U, good);
        FRESH("readlinkat-badfd", n, SYS_readlinkat, 77, a, good, 10);
        FRESH("faccessat2-flags", n, SYS_faccessat2, AT_FDCWD, a, 0, 0x40000);
        FRESH("access-mode", n, SYS_access, a, 99);
        FRESH("utimensat", n, SYS_utimensat, AT_FDCWD, "/nonexistent", a, 0);
        FRESH("unlinkat-flags", n, SYS_unlinkat, AT_FDCWD, a, 0x40000);
        FRESH("unlink", n, SYS_unlink, a == (uint64_t)good ? (uint64_t)"/nonexistent" : a);
        FRESH("rename", n, SYS_rename, "/nonexistent", a);
        FRESH("symlink", n, SYS_symlink, a, "/etc");
        FRESH("link", n, SYS_link, "/nonexistent", a);
        FRESH("chmod", n, SYS_chmod, a, 0777);
        FRESH("chown", n, SYS_chown, a, -1, -1);
        FRESH("truncate", n, SYS_truncate, a, 10);
        FRESH("truncate-negative", n, SYS_truncate, a, -10L);
        FRESH("select", n, SYS_select, 1, a, 0, 0, zeroes);
        FRESH("select-timeout", n, SYS_select, 0, 0, 0, 0, a ? a : (uint64_t)zeroes);
        FRESH("pselect-mask", n, SYS_pselect6, 0, 0, 0, 0, zeroes, a);
        FRESH("ppoll-timeout", n, SYS_ppoll, 0, 0, a ? a : (uint64_t)zeroes, 0, 8);
        FRESH("clock_nanosleep", n, SYS_clock_nanosleep, 1, 0, a, 0);
        FRESH("clock_getres", n, SYS_clock_getres, 1, a);
        FRESH("getitimer", n, SYS_getitimer, 0, a);
        FRESH("setitimer", n, SYS_setitimer, 0, a, 0);
        FRESH("setitimer-old", n, SYS_setitimer, 99, 0, a);
        FRESH("sigaction-new", n, SYS_rt_sigaction, 10, a, 0, 8);
        FRESH("sigaction-badsig", n, SYS_rt_sigaction, 99, a, 0, 8);
        FRESH("sigaction-badsize", n, SYS_rt_sigaction, 10, a, 0, 4);
        FRESH("sigprocmask-new", n, SYS_rt_sigprocmask, 0, a, 0, 8);
        FRESH("sigprocmask-how", n, SYS_rt_sigprocmask, 9, a, 0, 8);
        FRESH("sigpending", n, SYS_rt_sigpending, a, 8);
        FRESH("sendfile-offset", n, SYS_sendfile, pipe_fd[1], file_fd, a, 0);
        FRESH("prctl-name", n, SYS_prctl, 15, a, 0, 0, 0);
        FRESH("prctl-getname", n, SYS_prctl, 16, a, 0, 0, 0);
        FRESH("listxattr", n, SYS_listxattr, a, 0, 0);
        FRESH("getxattr-name", n, SYS_getxattr, "/etc/passwd", a, 0, 0);
        FRESH("fcntl-getlk", n, SYS_fcntl, file_fd, 5, a);
        FRESH("execve-argv", n, SYS_execve, "/nonexistent", a, 0);
        FRESH("fstatfs", n, SYS_fstatfs, file_fd, a);
        FRESH("uname", n, SYS_uname, a);
        FRESH("sysinfo", n, SYS_sysinfo, a);
        FRESH("pipe", n, SYS_pipe2, a, 0);
        FRESH("clock_gettime", n, SYS_clock_gettime, 1, a);
        FRESH("clock_gettime-bad", n, SYS_clock_gettime, 99, a);
        FRESH("gettimeofday", n, SYS_gettimeofday, a, 0);
        FRESH("nanosleep", n, SYS_nanosleep, a, 0);
        FRESH("getrlimit", n, SYS_prlimit64, 0, 7, 0, a);
        FRESH("prlimit-new", n, SYS_prlimit64, 0, 99, a, 0);
        FRESH("sigaction", n, SYS_rt_sigaction, 10, 0, a, 8);
        FRESH("sigprocmask", n, SYS_rt_sigprocmask, 0, 0, a, 8);
        FRESH("sigaltstack", n, SYS_sigaltstack, 0, a);
        FRESH("getdents64", n, SYS_getdents64, dir_fd, a, 4096);
        lseek(dir_fd, 0, SEEK_SET);
        FRESH("getdents64-16", n, SYS_getdents64, dir_fd, a, 8);
        FRESH("poll", n, SYS_poll, a, 1, 0);
        FRESH("poll-0", n, SYS_poll, a, 0, 0);
        FRESH("readv", n, SYS_readv, file_fd, a, 1);
        FRESH("writev", n, SYS_writev, null_fd, a, 1);
        FRESH("readv-many", n, SYS_readv, file_fd, a, 1025);
        FRESH("getresuid", n, SYS_getresuid, a, a, a);
        FRESH("getgroups", n, SYS_getgroups, 0, a);
        FRESH("futex-wake", n, SYS_futex, a, 1, 1, 0, 0, 0);
        FRESH("futex-misaligned", n, SYS_futex, a + 1, 1, 1, 0, 0, 0);
        FRESH("ioctl-file", n, SYS_ioctl, file_fd, 0x5401, a);
        FRESH("mincore", n, SYS_mincore, good, PAGE, a);
        FRESH("set_robust_list", n, SYS_set_robust_list, a, 24);
        FRESH("getrusage", n, SYS_getrusage, 0, a);
        errno = 0; printf("times %s errno %d\n", n, syscall(SYS_times, a) == -1 ? errno : 0);
        FRESH("sched_getaffinity", n, SYS_sched_getaffinity, 0, 4, a);
        FRESH("utime", n, SYS_utime, a, 0);
        FRESH("utime-times", n, SYS_utime, "/nonexistent", a);
        FRESH("utimes", n, SYS_utimes, a, 0);
        FRESH("utimes-times", n, SYS_utimes, "/nonexistent", a);
        FRESH("futimesat", n, SYS_futimesat, 77, a, 0);
        FRESH("futimesat-times", n, SYS_futimesat, 77, "nonexistent", a);
        FRESH("getdents", n, SYS_getdents, dir_fd, a, 4096);
        lseek(dir_fd, 0, SEEK_SET);
        FRESH("getdents-8", n, SYS_getdents, dir_fd, a, 8);
        FRESH("getdents-file", n, SYS_getdents, file_fd, a, 4096);
        FRESH("openat2", n, SYS_openat2, AT_FDCWD, a, zeroes, 24);
        FRESH("openat2-how", n, SYS_openat2, AT_FDCWD, "/nonexistent", a, 24);
        FRESH("openat2-short", n, SYS_openat2, AT_FDCWD, "/nonexistent", a, 23);
        FRESH("openat2-long", n, SYS_openat2, AT_FDCWD, "/nonexistent", a, 64);
        FRESH("openat2-page", n, SYS_openat2, AT_FDCWD, "/nonexistent", a, 4097);
        FRESH("preadv2", n, SYS_preadv2, file_fd, a, 1, 0, 0, 0);
        FRESH("preadv2-flags", n, SYS_preadv2, file_fd, a, 1, 0, 0, 1 << 20);
        FRESH("preadv2-current", n, SYS_preadv2, file_fd, a, 1, -1L, -1L, 0);
        FRESH("pwritev2", n, SYS_pwritev2, null_fd, a, 1, 0, 0, 0);
        FRESH("pwritev2-many", n, SYS_pwritev2, null_fd, a, 1025, 0, 0, 0);
        FRESH("pwritev2-badfd", n, SYS_pwritev2, 77, a, 1, 0, 0, 0);
        FRESH("preadv", n, SYS_preadv, file_fd, a, 1, 0, 0);
        FRESH("pwritev", n, SYS_pwritev, null_fd, a, 1, 0, 0);
        FRESH("rseq-size", n, SYS_rseq, a, 31, 0, 0);
        FRESH("rseq-flags", n, SYS_rseq, a, 32, 99, 0);
        FRESH("rseq-unregister", n, SYS_rseq, a, 32, 1, 0);
        FRESH("sched_setaffinity", n, SYS_sched_setaffinity, 0, 8, a);
        FRESH("sched_setscheduler", n, SYS_sched_setscheduler, 0, 0, a);
        FRESH("sched_setscheduler-policy", n, SYS_sched_setscheduler, 0, 99, a);
        FRESH("sched_setparam", n, SYS_sched_setparam, 0, a);
        FRESH("sched_getparam", n, SYS_sched_getparam, 0, a);
        FRESH("sched_getparam-pid", n, SYS_sched_getparam, -1, a);
        FRESH("sched_setattr", n, SYS_sched_setattr, 0, a, 0);
        FRESH("sched_setattr-flags", n, SYS_sched_setattr, 0, a, 99);
        FRESH("sched_getattr", n, SYS_sched_getattr, 0, a, 48, 0);
        FRESH("sched_getattr-short", n, SYS_sched_getattr, 0, a, 47, 0);
        FRESH("sched_getattr-long", n, SYS_sched_getattr, 0, a, 128, 0);
        FRESH("sched_rr_get_interval", n, SYS_sched_rr_get_interval, 0, a);
        FRESH("adjtimex", n, SYS_adjtimex, a);  /* of zeros: it only asks */
        FRESH("clock_adjtime", n, SYS_clock_adjtime, 0, a);
        FRESH("clock_adjtime-clock", n, SYS_clock_adjtime, 99, a);
        for (unsigned c = 0; c < sizeof counts / sizeof *counts; c++) {
            snprintf(what, sizeof what, "%s %#lx", n, (unsigned long)counts[c]);
            FRESH("getcwd", what, SYS_getcwd, a, counts[c]);
            FRESH("getrandom", what, SYS_getrandom, a, counts[c] > 1UL << 30 && a == (uint64_t)good ? 10 : counts[c], 0);
            FRESH("readlink-out", what, SYS_readlink, "/proc/self/cwd", a, counts[c]);
        }
    }
    long long scalars[] = {0, 1, -1, 99, 1LL << 32, LLONG_MIN, LLONG_MAX};
    for (unsigned i = 0; i < sizeof scalars / sizeof *scalars; i++) {
        long long x = scalars[i];
        snprintf(what, sizeof what, "%lld", x);
        CALL("sched_getscheduler", what, SYS_sched_getscheduler, x == 1 ? 0 : x);
        CALL("sched_get_priority_max", what, SYS_sched_get_priority_max, x);
        CALL("sched_get_priority_min", what, SYS_sched_get_priority_min, x);
        CALL("ioprio_get-which", what, SYS_ioprio_get, x, 0);
        CALL("ioprio_set-which", what, SYS_ioprio_set, x == 3 ? 0 : x, 0, 99 << 13);
        CALL("ioprio_set-class", what, SYS_ioprio_set, 1, 0, 5 << 13 | (x & 7));
        CALL("membarrier", what, SYS_membarrier, x ? x : 99, 0, 0);
        CALL("membarrier-flags", what, SYS_membarrier, 8, x ? x : 99, 0);
        CALL("sync_file_range", what, SYS_sync_file_range, file_fd, x, 0, 0);
        CALL("sync_file_range-size", what, SYS_sync_file_range, file_fd, 0, x, 0);
        CALL("sync_file_range-flags", what, SYS_sync_file_range, file_fd, 0, 0, x);
        CALL("sync_file_range-pipe", what, SYS_sync_file_range, pipe_fd[0], x, 0, 0);
        CALL("sync_file_range-badfd", what, SYS_sync_file_range, 77, x, 0, 0);
    }
    FRESH("uname", "misaligned", SYS_uname, good + 1);
    FRESH("clock_gettime", "misaligned", SYS_clock_gettime, 1, good + 3);
    FRESH("getrandom", "flags", SYS_getrandom, good, 1, 99);
    struct iovec v[3] = {{good, 10}, {hole + PAGE - 4, 10}, {good, 10}};
    FRESH("writev-straddle-null", "", SYS_writev, null_fd, v, 3);
    FRESH("writev-straddle-pipe", "", SYS_writev, pipe_fd[1], v, 3);
    lseek(file_fd, 0, SEEK_SET);
    FRESH("readv-straddle-file", "", SYS_readv, file_fd, v, 3);
    v[2].iov_len = SIZE_MAX;
    FRESH("readv-negative", "", SYS_readv, file_fd, v, 3);
    v[2].iov_len = 10;
    v[2].iov_base = (void *)0xffff800000000000;
    FRESH("readv-kernel", "", SYS_readv, file_fd, v, 3);
}

static void memories(void) {
    CALL("munmap", "misaligned", SYS_munmap, good + 1, 10);
    CALL("munmap", "zero", SYS_munmap, good, 0);
    CALL("munmap", "huge", SYS_munmap, good, SIZE_MAX);
    CALL("mprotect", "misaligned", SYS_mprotect, good + 1, 10, 1);
    CALL("mprotect", "zero", SYS_mprotect, good, 0, 1);
    CALL("mprotect", "hole", SYS_mprotect, hole, 3 * PAGE, 3);
    CALL("mprotect", "huge", SYS_mprotect, good, SIZE_MAX, 1);
    CALL("mprotect", "badprot", SYS_mprotect, good, 1, 0x100);
    CALL("mmap", "zero", SYS_mmap, 0, 0, 3, 0x22, -1, 0);
    CALL("mmap", "huge", SYS_mmap, 0, SIZE_MAX, 3, 0x22, -1, 0);
    CALL("mmap", "too-big", SYS_mmap, 0, 1UL << 47, 3, 0x22, -1, 0);
    CALL("mmap", "badfd", SYS_mmap, 0, PAGE, 3, 2, 77, 0);
    CALL("mmap", "offset", SYS_mmap, 0, PAGE, 3, 2, file_fd, 5);
    CALL("mmap", "noflags", SYS_mmap, 0, PAGE, 3, 0x20, -1, 0);
    CALL("mmap", "fixed-misaligned", SYS_mmap, good + 5, PAGE, 3, 0x32, -1, 0);
    CALL("mmap", "fixed-kernel", SYS_mmap, 0xffff800000000000, PAGE, 3, 0x32, -1, 0);
    CALL("mmap", "noreplace", SYS_mmap, good, PAGE, 3, 0x100022, -1, 0);
    CALL("mmap", "shared-write-rdonly", SYS_mmap, 0, PAGE, 3, 1, file_fd, 0);
    CALL("mmap", "dir", SYS_mmap, 0, PAGE, 1, 2, dir_fd, 0);
    CALL("mmap", "pipe", SYS_mmap, 0, PAGE, 1, 2, pipe_fd[0], 0);
    CALL("mremap", "hole", SYS_mremap, hole + PAGE, PAGE, 2 * PAGE, 1, 0);
    CALL("mremap", "misaligned", SYS_mremap, good + 1, PAGE, PAGE, 1, 0);
    CALL("mremap", "zero", SYS_mremap, good, PAGE, 0, 1, 0);
    CALL("mremap", "flags", SYS_mremap, good, PAGE, PAGE, 64, 0);
    CALL("madvise", "hole", SYS_madvise, hole, 3 * PAGE, 4);
    CALL("madvise", "bad", SYS_madvise, good, PAGE, 999);
    CALL("madvise", "misaligned", SYS_madvise, good + 1, PAGE, 4);
    CALL("mincore", "hole", SYS_mincore, hole, 3 * PAGE, good);
    CALL("mincore", "misaligned", SYS_mincore, hole + 1, PAGE, good);
    CALL("msync", "hole", SYS_msync, hole, 3 * PAGE, 4);
    CALL("msync", "flags", SYS_msync, good, PAGE, 99);
    CALL("mlock", "hole", SYS_mlock, hole, 3 * PAGE);
}

int main(int argc, char **argv) {
    /* at the same place on both kernels, where no heap is (it begins within a GiB of the program), and where a count of 2 GiB stays within user space */
    char *base = mmap((void *)0x60000000, 16 * PAGE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    good = base;
    ro = base + 2 * PAGE;
    none = base + 4 * PAGE;
    hole = base + 6 * PAGE;
    memset(base, 0, 8 * PAGE);
    mprotect(ro, PAGE, PROT_READ);
    mprotect(none, PAGE, PROT_NONE);
    munmap(hole + PAGE, 3 * PAGE);
    munmap(good + PAGE, PAGE);
    munmap(ro + PAGE, PAGE);
    munmap(none + PAGE, PAGE);
    setvbuf(stdout, stdout_buffer, _IOFBF, 1 << 20);
    file_fd = open(argv[1], O_RDONLY);
    if (file_fd < 0 || pipe(pipe_fd)) return 98;
    null_fd = open("/dev/null", O_RDWR);
    zero_fd = open("/dev/zero", O_RDWR);
    urandom_fd = open("/dev/urandom", O_RDONLY);
    dir_fd = open("/etc", O_RDONLY | O_DIRECTORY);
    place("good", (uint64_t)good);
    place("null", 0);
    place("low", 0x1000);
    place("unmapped", (uint64_t)(hole + PAGE));
    place("none", (uint64_t)none);
    place("readonly", (uint64_t)ro);
    place("straddle", (uint64_t)(hole + PAGE - 96));
    place("kernel", 0xffff800000001000);
    place("noncanonical", 0x0000900000000000);
    place("user-end", 0x7ffffffff000);
    place("top", UINT64_MAX);
    reads();
    writes();
    strings();
    outputs();
    memories();
    return 0;
}
