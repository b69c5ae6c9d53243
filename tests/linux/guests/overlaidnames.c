/* Random looks at names, spelled in all ways, while names come and go: `overlaidnames DIR SEED COUNT [TOP
   TEN NAMES]`; each prints what it gave. DIR becomes the root; it has `top` with files in it, which is where it begins. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

static uint64_t state;
static unsigned rnd(unsigned n) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)(state >> 33) % n;
}
static char top[512], p[2][2048];
static int fds[4];
static const char *words[10] = {"a", "b", "c", "d", "x", "y", "l", "m", "a", "b"};

/* A path of up to five names, and where it begins: the working directory, a descriptor, the root. */
static const char *path(int i, int *at) {
    char *to = p[i], *end = p[i] + sizeof p[i];
    unsigned how = rnd(8), n = 1 + rnd(5);
    *at = how < 2 ? fds[rnd(4)] : AT_FDCWD;
    *to = 0;
    if (how >= 5) to += snprintf(to, end - to, "%s/", top);
    for (unsigned k = 0; k < n; k++) {
        unsigned what = rnd(16);
        if (k) to += snprintf(to, end - to, rnd(8) ? "/" : "//");
        if (what == 0) to += snprintf(to, end - to, ".");
        else if (what < 3 && k) to += snprintf(to, end - to, "..");
        else if (what == 3 && !i && !rnd(6)) { memset(to, 'n', 256); to[256] = 0; to += 256; }
        else to += snprintf(to, end - to, "%s", words[rnd(10)]);
    }
    if (!rnd(8)) to += snprintf(to, end - to, rnd(2) ? "/" : "/.");
    return p[i];
}
static void say(const char *what, long r) {
    if (r < 0) printf("%s -%d\n", what, errno);
    else printf("%s %ld\n", what, r);
}
static void status(const char *what, int r, struct stat *s) {
    if (r < 0) { say(what, r); return; }
    int dir = S_ISDIR(s->st_mode);
    printf("%s %o %ld %ld %u\n", what, s->st_mode, dir ? 0 : (long)s->st_nlink, dir ? 0 : (long)s->st_size, s->st_uid);
}
static int by_name(const void *a, const void *b) { return strcmp(a, b); }
static void list(int fd) {
    static char found[8000][64];
    char raw[2048];
    int count = 0;
    for (long n; (n = syscall(SYS_getdents64, fd, raw, sizeof raw)) > 0;)
        for (long at = 0; at < n && count < 8000;) {
            struct dirent64 *e = (void *)(raw + at);
            snprintf(found[count++], 64, "%s:%d", e->d_name, e->d_type);
            at += e->d_reclen;
        }
    qsort(found, count, 64, by_name);
    printf("list");
    for (int i = 0; i < count; i++) printf(" %s", found[i]);
    printf("\n");
}

int main(int argc, char **argv) {
    char text[600];
    struct stat s, t;
    struct statx x;
    if (chdir(argv[1]) || chroot(".")) return 1;
    snprintf(top, sizeof top, "/%s", argc > 4 ? argv[4] : "top");
    for (int i = 0; i < 10 && i + 5 < argc; i++) words[i] = argv[i + 5];
    state = strtoull(argv[2], 0, 10) * 131 + 7;
    int count = atoi(argv[3]);
    if (chdir(top)) return 1;
    for (int i = 0; i < 4; i++) fds[i] = open(top, O_RDONLY | O_DIRECTORY);
    umask(022);
    for (int step = 0; step < count; step++) {
        int at, other, fd, op = rnd(34), flags = rnd(2) ? AT_SYMLINK_NOFOLLOW : 0;
        const char *one = path(0, &at), *two;
        if (at == AT_FDCWD) printf("%d %s ", step, one[0] == '/' ? one + strlen(top) : one);
        else printf("%d @%s ", step, one);
        switch (op) {
        case 0: case 1: case 2: case 3: status("stat", fstatat(at, one, &s, flags), &s); break;
        case 4: case 5: {
            int r = statx(at, one, flags, STATX_BASIC_STATS, &x);
            if (r < 0) say("statx", r);
            else {
                int q = fstatat(at, one, &s, flags);
                printf("statx %o %d %d\n", x.stx_mode, q == 0 && x.stx_ino == s.st_ino, q == 0 && x.stx_size == (uint64_t)s.st_size
                       && x.stx_blocks == (uint64_t)s.st_blocks && x.stx_mtime.tv_nsec == s.st_mtim.tv_nsec);
            }
            break; }
        case 6: case 7: say("access", faccessat(at, one, rnd(8), 0)); break;
        case 8: case 9: {
            long n = readlinkat(at, one, text, 1 + rnd(500));
            say("readlink", n);
            if (n > 0) printf(" %.*s\n", (int)n, text);
            break; }
        case 10: case 11: case 12: case 13: {
            static const int how[] = {O_RDONLY, O_RDONLY | O_NOFOLLOW, O_RDONLY | O_DIRECTORY, O_RDONLY | O_CLOEXEC};
            fd = openat(at, one, how[rnd(4)] | O_NONBLOCK);
            if (fd < 0) { say("open", fd); break; }
            int r = fstat(fd, &s), q = fstatat(at, one, &t, 0);
            printf("open %d %d ", q == 0 && s.st_ino == t.st_ino && s.st_dev == t.st_dev, q == 0 && s.st_blocks == t.st_blocks);
            status("is", r, &s);
            if (S_ISDIR(s.st_mode)) { if (rnd(2)) list(fd); else { int k = rnd(4); close(fds[k]); fds[k] = dup(fd); } }
            else { long n = read(fd, text, sizeof text); printf(" %ld %.*s\n", n, n < 20 ? (int)n : 20, text); }
            close(fd);
            break; }
        case 14: say("mkdir", mkdirat(at, one, 0755)); break;
        case 15: say("rmdir", unlinkat(at, one, AT_REMOVEDIR)); break;
        case 16: case 17: say("unlink", unlinkat(at, one, 0)); break;
        case 18: two = path(1, &other); say("link", linkat(at, one, other, two, rnd(2) ? AT_SYMLINK_FOLLOW : 0)); break;
        case 19: {
            static const char *to[] = {"x", "../a", ".", "b/c", "../d/y", "/"};
            const char *goal = to[rnd(6)];
            if (*goal == '/') { snprintf(text, sizeof text, "%s/%s", top, words[rnd(10)]); goal = text; }
            say("symlink", symlinkat(goal, at, one));
            break; }
        case 20: case 21: {
            static const int how[] = {0, 0, 0, 1, 2, 4};
            two = path(1, &other);
            printf("to %s ", strncmp(two, top, strlen(top)) ? two : two + strlen(top));
            say("rename", syscall(SYS_renameat2, at, one, other, two, how[rnd(6)]));
            break; }
        case 22: case 23: case 24: {
            static const int how[] = {O_CREAT | O_EXCL, O_CREAT, O_CREAT | O_TRUNC, O_APPEND, O_TRUNC};
            fd = openat(at, one, how[rnd(5)] | O_RDWR, 0640);
            if (fd < 0) { say("make", fd); break; }
            say("made", write(fd, "written here", 1 + rnd(12)));
            close(fd);
            break; }
        case 25: say("chmod", fchmodat(at, one, rnd(2) ? 0700 : 0644, 0)); break;
        case 26: {
            if (rnd(2)) { say("chdir", chdir(top)); break; }
            int r = at == AT_FDCWD ? chdir(one) : fchdir(at);
            say("chdir", r);
            break; }
        case 27: {
            fd = openat(at, one, O_TMPFILE | O_RDWR, 0600);
            if (fd < 0) { say("tmpfile", fd); break; }
            two = path(1, &other);
            say("tmpfile", linkat(fd, "", other, two, AT_EMPTY_PATH));
            close(fd);
            break; }
        case 28: {
            if (at != AT_FDCWD) { printf("-\n"); break; }
            long n = rnd(2) ? lgetxattr(one, "user.a", text, 100) : getxattr(one, "user.a", text, 100);
            say("getxattr", n);
            break; }
        case 29: {
            if (at != AT_FDCWD) { printf("-\n"); break; }
            say("setxattr", setxattr(one, "user.a", "above", 5, 0));
            break; }
        default: status("lstat", fstatat(at, one, &s, AT_SYMLINK_NOFOLLOW), &s); break;
        }
    }
    if (!getcwd(text, sizeof text)) say("cwd", -1);
    else printf("cwd %s\n", text);
    return 0;
}
