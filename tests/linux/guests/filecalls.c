/* Random file calls in a directory, made from a seed: `filecalls DIR SEED COUNT KIND`; each prints what it gave.
   KIND tmpfs: also what other file systems do in ways of their own (holes). The directory may hold files already. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

static uint64_t state;
static unsigned rnd(unsigned n) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)(state >> 33) % n;
}
static const char *dir;
static char p[4][512];
static const char *names[] = {"a", "b", "c", "a/x", "a/y", "b/x", "a/x/z", "c/w", "l", "d"};
static const char *path(int i) {
    snprintf(p[i], sizeof p[i], "%s/%s", dir, names[rnd(10)]);
    return p[i];
}
static int fds[6];
static char *maps[3];
static int mapfd[3];
static char buf[20000], got[20000];

static unsigned sum(const void *data, long n) {
    const unsigned char *s = data;
    unsigned h = 5381;
    for (long i = 0; i < n; i++) h = h * 33 + s[i];
    return h;
}
static void say(const char *what, long r) {
    if (r < 0) printf("%s -%d\n", what, errno);
    else printf("%s %ld\n", what, r);
}
static void status(const char *what, int r, struct stat *s) {
    if (r < 0) { say(what, r); return; }
    int kind = s->st_mode & S_IFMT;
    printf("%s %o %ld %u %u %ld %d\n", what, s->st_mode, kind == S_IFDIR ? 0 : (long)s->st_nlink, s->st_uid, s->st_gid,
           kind == S_IFDIR ? 0 : (long)s->st_size, s->st_mtim.tv_sec < 2000000 ? (int)s->st_mtim.tv_sec : 0);
}
static int by_name(const void *a, const void *b) { return strcmp(a, b); }
static void list(const char *what, int fd, int size) {
    static char found[400][64];
    char raw[1024];
    int count = 0;
    for (;;) {
        long n = syscall(SYS_getdents64, fd, raw, size);
        if (n < 0) { say(what, n); return; }
        if (!n) break;
        for (long at = 0; at < n;) {
            struct dirent64 *e = (void *)(raw + at);
            snprintf(found[count++], 64, "%s:%d", e->d_name, e->d_type);
            at += e->d_reclen;
        }
    }
    qsort(found, count, 64, by_name);
    printf("%s", what);
    for (int i = 0; i < count; i++) printf(" %s", found[i]);
    printf("\n");
}
static void whole(const char *at, int depth) {
    struct stat s;
    char target[300];
    if (lstat(at, &s) < 0) { printf("%s gone\n", at + strlen(dir)); return; }
    printf("%s ", at + strlen(dir));
    status("is", 0, &s);
    if (S_ISLNK(s.st_mode)) {
        long n = readlink(at, target, sizeof target);
        printf(" -> %u\n", sum(target, n < 0 ? 0 : n));
    } else if (S_ISREG(s.st_mode)) {
        int fd = open(at, O_RDONLY);
        long n, total = 0;
        unsigned h = 0;
        while ((n = read(fd, got, sizeof got)) > 0) { h = h * 31 + sum(got, n); total += n; }
        printf(" %ld %u\n", total, h);
        close(fd);
    } else if (S_ISDIR(s.st_mode) && depth < 6) {
        struct dirent **entries;
        int n = scandir(at, &entries, 0, alphasort);
        for (int i = 0; i < n; i++) {
            char below[600];
            if (!strcmp(entries[i]->d_name, ".") || !strcmp(entries[i]->d_name, "..")) continue;
            snprintf(below, sizeof below, "%s/%s", at, entries[i]->d_name);
            whole(below, depth + 1);
        }
    }
}

int main(int argc, char **argv) {
    static char top[512]; /* what `..` of a link in it leads to lies in the directory, too */
    snprintf(top, sizeof top, "%s/top", argv[1]);
    mkdir(top, 0755);
    dir = top;
    state = strtoull(argv[2], 0, 10) * 77 + 5;
    int count = atoi(argv[3]), tmpfs = !strcmp(argv[4], "tmpfs");
    static const int flags[] = {O_RDONLY, O_RDWR, O_WRONLY, O_RDWR | O_CREAT, O_RDWR | O_CREAT | O_TRUNC, O_CREAT | O_EXCL | O_RDWR,
        O_RDWR | O_APPEND, O_RDONLY | O_DIRECTORY, O_WRONLY | O_TRUNC, O_PATH, O_RDWR | O_CREAT | O_APPEND, O_RDONLY | O_NOFOLLOW};
    static const int sizes[] = {0, 1, 10, 4095, 4096, 4097, 8192, 12000, 16384, 20000};
    static const int modes[] = {0644, 0755, 0600, 04755, 02755, 01777, 02644, 0};
    static const char *keys[] = {"user.a", "user.b", "trusted.t", "user.", "none.x", "security.s"};
    for (int i = 0; i < 6; i++) fds[i] = -1;
    for (unsigned i = 0; i < sizeof buf; i++) buf[i] = 'A' + i % 53;
    umask(022);
    signal(SIGPIPE, SIG_IGN);
    for (int step = 0; step < count; step++) {
        int i = rnd(6), k = rnd(3), op = rnd(40), size = sizes[rnd(10)], at = sizes[rnd(10)] + rnd(3);
        struct stat s;
        printf("%d ", step);
        switch (op) {
        case 0: case 1: case 2: case 3: {
            if (fds[i] >= 0) close(fds[i]);
            const char *name = path(0);
            int f = flags[rnd(12)];
            fds[i] = open(name, f | O_NONBLOCK, modes[rnd(8)]);
            say("open", fds[i] < 0 ? -1 : 0);
            break; }
        case 4: case 5: say("write", write(fds[i], buf + rnd(50), size % 15000)); break;
        case 6: say("pwrite", pwrite(fds[i], buf + rnd(50), size % 15000, at)); break;
        case 7: case 8: {
            long n = read(fds[i], got, size);
            say("read", n);
            if (n > 0) printf(" %u\n", sum(got, n));
            break; }
        case 9: {
            long n = pread(fds[i], got, size, at);
            say("pread", n);
            if (n > 0) printf(" %u\n", sum(got, n));
            break; }
        case 10: {
            int whence = rnd(tmpfs ? 5 : 3);
            if (whence < 3 && fstat(fds[i], &s) == 0 && S_ISDIR(s.st_mode)) { printf("dir\n"); break; }
            say("lseek", lseek(fds[i], whence == 1 ? (int)rnd(9000) - 4000 : at, whence));
            break; }
        case 11: say("ftruncate", ftruncate(fds[i], at)); break;
        case 12: say("truncate", truncate(path(0), at)); break;
        case 13:
            if (tmpfs) {
                static const int how[] = {0, 1, 3, 2, 0x10, 1, 3, 3};
                int mode = how[rnd(8)];
                say("fallocate", fallocate(fds[i], mode, at, size));
            } else printf("-\n");
            break;
        case 14: say("mkdir", mkdir(path(0), modes[rnd(8)])); break;
        case 15: say("rmdir", rmdir(path(0))); break;
        case 16: case 17: say("unlink", unlink(path(0))); break;
        case 18: { const char *one = path(0), *two = path(1); say("link", link(one, two)); break; }
        case 19: say("symlink", symlink(rnd(2) ? "x" : "../a", path(0))); break;
        case 20: {
            long n = readlink(path(0), got, 100);
            say("readlink", n);
            break; }
        case 21: case 22: case 23: {
            static const int how[] = {0, 0, 0, 1, 2, 2, 4, 3, 8};
            const char *one = path(0), *two = path(1);
            say("rename", syscall(SYS_renameat2, AT_FDCWD, one, AT_FDCWD, two, how[rnd(9)]));
            break; }
        case 24: { int r = stat(path(0), &s); status("stat", r, &s); break; }
        case 25: { int r = lstat(path(0), &s); status("lstat", r, &s); break; }
        case 26: { int r = fstat(fds[i], &s); status("fstat", r, &s); break; }
        case 27: say("chmod", chmod(path(0), modes[rnd(8)])); break;
        case 28: say("fchmod", fchmod(fds[i], modes[rnd(8)])); break;
        case 29: { const char *name = path(0); int u = (int)rnd(3) - 1; say("lchown", lchown(name, u, (int)rnd(3) - 1)); break; }
        case 30: {
            struct timespec t[2] = {{rnd(1000000), rnd(1000)}, {rnd(1000000), rnd(2) ? 5 : UTIME_OMIT}};
            say("utimens", utimensat(AT_FDCWD, path(0), t, rnd(2) ? AT_SYMLINK_NOFOLLOW : 0));
            break; }
        case 31: { const char *name = path(0), *key = keys[rnd(6)]; int n = rnd(40); say("setxattr", setxattr(name, key, buf, n, rnd(3))); break; }
        case 32: {
            const char *name = path(0);
            long n = lgetxattr(name, keys[rnd(6)], got, 100);
            say("getxattr", n);
            n = llistxattr(name, got, 1000);
            say("listxattr", n);
            break; }
        case 33: { const char *name = path(0); say("removexattr", removexattr(name, keys[rnd(6)])); break; }
        case 34: {
            if (maps[k]) munmap(maps[k], 12288);
            maps[k] = 0;
            mapfd[k] = -1;
            if (fstat(fds[i], &s) < 0 || !S_ISREG(s.st_mode) || s.st_size < 12288) { printf("small\n"); break; }
            maps[k] = mmap(0, 12288, PROT_READ | PROT_WRITE, rnd(2) ? MAP_SHARED : MAP_PRIVATE, fds[i], 0);
            say("mmap", maps[k] == MAP_FAILED ? -1 : 0);
            if (maps[k] == MAP_FAILED) maps[k] = 0;
            else mapfd[k] = dup(fds[i]);
            break; }
        case 35: case 36:
            if (!maps[k] || fstat(mapfd[k], &s) < 0 || s.st_size < 12288) { printf("none\n"); break; }
            if (op == 35) { int n = rnd(3000); memset(maps[k] + rnd(9000), 'm', n); printf("wrote\n"); }
            else printf("mapped %u\n", sum(maps[k], 12288));
            break;
        case 37: {
            int fd = open(path(0), O_RDONLY | O_DIRECTORY);
            if (fd < 0) { say("list", -1); break; }
            list("list", fd, 60 + rnd(900));
            close(fd);
            break; }
        case 38: {
            const char *one = path(0), *two = path(1);
            int fd = open(dir, O_TMPFILE | O_RDWR, 0640);
            char link[40];
            say("tmpfile", fd < 0 ? -1 : (long)write(fd, buf, size % 9000));
            snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
            say("linkat", linkat(AT_FDCWD, link, AT_FDCWD, two, AT_SYMLINK_FOLLOW));
            if (rnd(3) == 0) say("mkfifo", mkfifo(one, 0644));
            close(fd);
            break; }
        case 39: say("access", access(path(0), rnd(8))); break;
        }
    }
    for (int k = 0; k < 3; k++) if (maps[k]) munmap(maps[k], 12288);
    for (int i = 0; i < 6; i++) if (fds[i] >= 0) close(fds[i]);
    dir = argv[1];
    whole(dir, 0);
    return 0;
}
