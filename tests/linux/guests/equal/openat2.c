/* openat2(2): the size and contents of its structure, and each restriction on the way. */
#include "show.h"
#include <linux/openat2.h>

static long open2(int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve, size_t size) {
    struct { struct open_how how; char more[8192]; } big;
    memset(&big, 0, sizeof big);
    big.how.flags = flags; big.how.mode = mode; big.how.resolve = resolve;
    long fd = syscall(SYS_openat2, dirfd, path, &big, size);
    if (fd >= 0) { printf("  opened, flags %o\n", fcntl(fd, F_GETFL)); close(fd); return 0; }
    return -1;
}
#define O(path, flags, mode, resolve) R(open2(AT_FDCWD, path, flags, mode, resolve, 24))

int main(void) {
    struct open_how how = {0};
    static char many[9000];
    umask(022);
    put("file", "hello");
    mkdir("dir", 0755); mkdir("dir/sub", 0755); put("dir/sub/inner", "x");
    symlink("file", "link"); symlink("dir", "dirlink"); symlink("/etc/passwd", "absolute"); symlink("../file", "dir/up"); symlink("sub/inner", "dir/down"); symlink("/proc/self/exe", "dir/magic"); symlink("nowhere", "dangling");
    int dir = open("dir", O_RDONLY | O_DIRECTORY), file = open("file", O_RDONLY);
    S(openat2, AT_FDCWD, "file", &how, 0); S(openat2, AT_FDCWD, "file", &how, 23); S(openat2, AT_FDCWD, "file", BAD, 24); S(openat2, AT_FDCWD, BAD, &how, 24); S(openat2, AT_FDCWD, "file", 0, 24);
    R(open2(AT_FDCWD, "file", 0, 0, 0, 24)); R(open2(AT_FDCWD, "file", 0, 0, 0, 25)); R(open2(AT_FDCWD, "file", 0, 0, 0, 4096)); R(open2(AT_FDCWD, "file", 0, 0, 0, 4097)); R(open2(AT_FDCWD, "file", 0, 0, 0, 1UL << 40));
    many[30] = 1; S(openat2, AT_FDCWD, "file", many, 40); S(openat2, AT_FDCWD, "file", many, 30); many[30] = 0; many[4095] = 1; S(openat2, AT_FDCWD, "file", many, 4096); SZ(openat2, AT_FDCWD, "file", many, 4095);
    S(openat2, -1, "file", &how, 24); S(openat2, file, "file", &how, 24); SZ(openat2, -1, "/etc/passwd", &how, 24); S(openat2, AT_FDCWD, "", &how, 24); S(openat2, file, "", &how, 24);
    O("file", 0, 0600, 0); O("new", O_CREAT | O_WRONLY, 0600, 0); O("new", O_CREAT | O_EXCL, 0600, 0); O("new2", O_CREAT, 07777, 0); O("new3", O_CREAT, 010000, 0); O("new3", O_CREAT, 1UL << 32, 0);
    O("file", 1UL << 32, 0, 0); O("file", 1UL << 31, 0, 0); O("file", 040000000, 0, 0); O("file", 3, 0, 0); O("file", O_PATH, 0, 0); O("file", O_PATH | O_RDWR, 0, 0); O("file", O_PATH | O_CREAT, 0, 0); O("file", O_PATH | O_CLOEXEC | O_NOFOLLOW | O_DIRECTORY, 0, 0); O("dir", O_PATH | O_CLOEXEC | O_NOFOLLOW | O_DIRECTORY, 0, 0); O("file", O_PATH | O_TRUNC, 0, 0);
    O(".", O_TMPFILE | O_RDWR, 0600, 0); O(".", O_TMPFILE, 0600, 0); O(".", O_TMPFILE & ~O_DIRECTORY | O_RDWR, 0600, 0); O("file", O_LARGEFILE, 0, 0); O("file", O_SYNC, 0, 0); O("file", O_APPEND | O_NONBLOCK | O_WRONLY, 0, 0); O("dir", O_CREAT | O_DIRECTORY, 0700, 0);
    O("file", 0, 0, 0x40); O("file", 0, 0, 1UL << 32); O("file", 0, 0, RESOLVE_BENEATH | RESOLVE_IN_ROOT);
    uint64_t ways[] = {0, RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, RESOLVE_BENEATH, RESOLVE_IN_ROOT, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS, RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV};
    const char *paths[] = {"file", "./file", "link", "dirlink", "dirlink/sub", "dir/../file", "../x", "..", ".", "/", "/etc/passwd", "absolute", "dir/up", "dir/down", "dir/magic", "dangling", "/proc/self/exe", "/proc/self/cwd", "/proc/self/fd/0", "/proc/version", "/dev/null", "dir/sub/../../file", "/file", "/dir/up", "dir/sub/inner/", "file/", "link/", "/..", "dirlink/", "none/../file"};
    for (unsigned w = 0; w < 8; w++)
        for (unsigned p = 0; p < sizeof paths / sizeof *paths; p++) {
            long a, b; int ea, eb;
            errno = 0; a = syscall(SYS_openat2, AT_FDCWD, paths[p], &(struct open_how){.flags = O_PATH, .resolve = ways[w]}, 24); ea = a < 0 ? errno : 0; if (a >= 0) close(a);
            errno = 0; b = syscall(SYS_openat2, dir, paths[p], &(struct open_how){.flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK, .resolve = ways[w]}, 24); eb = b < 0 ? errno : 0; if (b >= 0) close(b);
            printf("resolve %lx %s: from here %d, from dir %d\n", ways[w], paths[p], ea, eb);
        }
    long c = syscall(SYS_openat2, dir, "/made", &(struct open_how){.flags = O_CREAT | O_WRONLY, .mode = 0600, .resolve = RESOLVE_IN_ROOT}, 24); printf("made in root %d; %d\n", c >= 0, access("dir/made", 0));
    c = syscall(SYS_openat2, dir, "up", &(struct open_how){.flags = O_CREAT | O_WRONLY, .mode = 0600, .resolve = RESOLVE_IN_ROOT}, 24); printf("through a link in root %d; %d\n", c >= 0, access("dir/file", 0));
    c = syscall(SYS_openat2, dir, "../made", &(struct open_how){.flags = O_CREAT | O_WRONLY, .mode = 0600, .resolve = RESOLVE_BENEATH}, 24); printf("beneath %ld %d; %d\n", c, errno, access("made", 0));
    c = syscall(SYS_openat2, dir, "magic", &(struct open_how){.flags = O_CREAT | O_RDONLY, .mode = 0600, .resolve = RESOLVE_NO_MAGICLINKS}, 24); printf("no magic %ld %d\n", c, errno);
    c = syscall(SYS_openat2, AT_FDCWD, "dangling", &(struct open_how){.flags = O_CREAT | O_WRONLY, .mode = 0600, .resolve = RESOLVE_NO_SYMLINKS}, 24); printf("no symlinks %ld %d\n", c, errno);
    SZ(openat2, AT_FDCWD, "file", (&(struct open_how){.resolve = 0x20}), 24);
    return 0;
}
