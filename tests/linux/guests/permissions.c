/* Files of several users, and random calls on them by others: results, and what is there after each. Begins as root, in an
   empty directory; to be compared between two kernels. argv[1]: the seed; argv[2]: how many calls. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>
static unsigned long long state;
static unsigned rnd(unsigned n) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(state >> 33) % n;
}
#define PICK(a) a[rnd(sizeof a / sizeof *a)]
static const char *dirs[] = {".", "open", "sticky", "setgid", "own", "search", "list", "group", "own/sub"};
static const char *leaves[] = {"a", "b", "c", "run", "dir", "link"};
static const int uids[] = {0, 1001, 1001, 1002, 1002, 1003};
static const int gids[] = {0, 100, 200, 1001};
static const int modes[] = {0, 0400, 0600, 0644, 0666, 0755, 0777, 0711, 0070, 0007, 04755, 02755, 06777, 02644, 01777, 0770, 0111, 0500};
static const char *name(void) {
    static char text[8][80];
    static int at;
    char *s = text[at = (at + 1) & 7];
    unsigned how = rnd(20);
    if (how == 0) { strcpy(s, PICK(dirs)); return s; }
    sprintf(s, "%s/%s", PICK(dirs), PICK(leaves));
    if (how == 1) strcat(s, "/");
    if (how == 2) strcat(s, "/x");
    if (how == 3) strcat(s, "/../a");
    if (how == 4) sprintf(s, "%s/../%s", dirs[1 + rnd(7)], PICK(leaves));      /* none leads out of here */
    return s;
}
static void whole(int uid, int gid, int groups, int kind) {
    gid_t extra[] = {100, 200};
    if (setgroups(groups & 3 ? 1 : 0, groups & 1 ? extra : extra + 1)) exit(3);
    if (setresgid(kind & 1 ? gid : 0, gid, 0)) exit(3);
    if (kind == 2) { setfsgid(gid); setfsuid(uid); return; }
    if (setresuid(kind & 1 ? uid : 0, uid, 0)) exit(3);
    if (kind == 4) {       /* some capabilities come back */
        struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
        struct __user_cap_data_struct d[2];
        syscall(SYS_capget, &h, d);
        static const unsigned sets[] = {1 << 0, 1 << 1, 1 << 3, 1 << 4, 1 << 3 | 1 << 4, 1 << 0 | 1 << 4};
        d[0].effective = PICK(sets); d[1].effective = 0;
        syscall(SYS_capset, &h, d);
    }
}
static void back(void) {
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2];
    syscall(SYS_capget, &h, d);
    d[0].effective = d[0].permitted; d[1].effective = d[1].permitted;
    syscall(SYS_capset, &h, d);
    if (setresuid(0, 0, 0) || setresgid(0, 0, 0) || setgroups(0, 0)) exit(4);
    setfsuid(0); setfsgid(0);
}
static void show(const char *dir) {
    static char text[100];
    for (unsigned i = 0; i < sizeof leaves / sizeof *leaves; i++) {
        struct stat s;
        sprintf(text, "%s/%s", dir, leaves[i]);
        if (!lstat(text, &s)) printf(" %s:%o:%d:%d:%d:%ld", leaves[i], s.st_mode, s.st_uid, s.st_gid, (int)s.st_nlink, S_ISDIR(s.st_mode) ? 0 : (long)s.st_size);
    }
}
static void tell(const char *what, long r) { printf(" %s=%s", what, r < 0 ? strerrorname_np(errno) : "good"); }
static void opened(const char *path, int flags, int mode) {
    int fd = open(path, flags, mode);
    printf(" open %s %o %o", path, flags, mode);
    tell("", fd);
    if (fd < 0) return;
    char c[300];
    unsigned how = rnd(10);
    if (how < 3) tell("write", write(fd, "hello", 5));
    else if (how == 3) tell("read", read(fd, c, 3));
    else if (how == 4) tell("ftruncate", ftruncate(fd, rnd(9)));
    else if (how == 5) tell("fchmod", fchmod(fd, PICK(modes)));
    else if (how == 6) tell("fchown", fchown(fd, PICK(uids), PICK(gids)));
    else if (how == 7) tell("getdents", syscall(SYS_getdents64, fd, c, sizeof c));
    else if (how == 8) tell("noatime", fcntl(fd, F_SETFL, O_NOATIME));
    else { tell("fchdir", fchdir(fd)); }
    if ((flags & O_TMPFILE) == O_TMPFILE) { sprintf(c, "/proc/self/fd/%d", fd); const char *to = name(); printf(" %s", to); tell("linkat", linkat(AT_FDCWD, c, AT_FDCWD, to, AT_SYMLINK_FOLLOW)); }
    close(fd);
}
static void bound(const char *path, int connects) {
    struct sockaddr_un a = {AF_UNIX};
    strcpy(a.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    printf(" %s %s", connects ? "connect" : "bind", path);
    tell("", connects ? connect(fd, (void *)&a, sizeof a) : bind(fd, (void *)&a, sizeof a));
    close(fd);
}
static const int flags[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDONLY | O_DIRECTORY, O_WRONLY | O_TRUNC, O_RDONLY | O_TRUNC, O_RDWR | O_CREAT, O_WRONLY | O_CREAT | O_EXCL,
    O_RDONLY | O_CREAT, O_RDONLY | O_NOATIME, O_RDONLY | O_NOFOLLOW, O_PATH, O_RDWR | O_TMPFILE, O_WRONLY | O_APPEND, 3, O_WRONLY | O_CREAT | O_TRUNC};
static void once(void) {
    const char *p = name(), *q;
    int m = PICK(modes), u = PICK(uids), g = PICK(gids), f;
    struct stat s;
    char text[50];
    struct timespec t[2] = {{1, 1}, {2, 2}};
    switch (rnd(27)) {
    case 0: case 1: case 2: case 3: opened(p, (f = PICK(flags)) | O_NONBLOCK, m); return;
    case 4: printf(" mkdir %s %o", p, m); tell("", mkdir(p, m)); return;
    case 5: printf(" rmdir %s", p); tell("", rmdir(p)); return;
    case 6: case 7: printf(" unlink %s", p); tell("", unlink(p)); return;
    case 8: case 9: q = name(); f = rnd(3); printf(" rename %s %s %d", p, q, f); tell("", renameat2(AT_FDCWD, p, AT_FDCWD, q, f)); return;
    case 10: case 11: q = name(); printf(" link %s %s", p, q); tell("", link(p, q)); return;
    case 12: printf(" symlink %s", p); tell("", symlink(rnd(2) ? "a" : "../own/a", p)); return;
    case 13: case 14: printf(" chmod %s %o", p, m); tell("", chmod(p, m)); return;
    case 15: u = rnd(3) ? u : -1; g = rnd(3) ? g : -1; printf(" chown %s %d %d", p, u, g); tell("", chown(p, u, g)); return;
    case 16: u = rnd(3) ? u : -1; g = rnd(3) ? g : -1; printf(" lchown %s %d %d", p, u, g); tell("", lchown(p, u, g)); return;
    case 17: f = rnd(6); if (f == 1) t[0].tv_nsec = t[1].tv_nsec = UTIME_NOW; if (f == 2) t[0].tv_nsec = UTIME_OMIT; if (f == 3) t[1].tv_nsec = UTIME_NOW;
        printf(" utimes %s %d", p, f); tell("", utimensat(AT_FDCWD, p, f ? t : 0, 0)); return;
    case 18: printf(" truncate %s", p); tell("", truncate(p, rnd(9))); return;
    case 19: f = rnd(8); printf(" access %s %d", p, f); tell("", access(p, f)); tell("effective", syscall(SYS_faccessat2, AT_FDCWD, p, f, AT_EACCESS)); return;
    case 20: printf(" chdir %s", p); tell("", chdir(p)); return;
    case 21: printf(" stat %s", p); tell("", stat(p, &s)); tell("readlink", readlink(p, text, sizeof text)); return;
    case 22: f = rnd(4); printf(" mknod %s %o %d", p, m, f); tell("", mknod(p, m | (f == 0 ? S_IFIFO : f == 1 ? S_IFREG : f == 2 ? S_IFSOCK : S_IFCHR), 0)); return;
    case 23: printf(" setxattr %s", p); tell("", setxattr(p, rnd(4) ? "user.x" : "trusted.x", "v", 1, rnd(3))); tell("getxattr", getxattr(p, "user.x", text, sizeof text)); return;
    case 24: { char *none[] = {0}; printf(" exec %s", p); f = syscall(SYS_execveat, AT_FDCWD, p, none, none, 0x10000); tell("", f); return; }
    case 25: bound(p, rnd(2)); return;
    case 26: printf(" removexattr %s", p); tell("", removexattr(p, "user.x")); tell("listxattr", listxattr(p, text, sizeof text)); return;
    }
}
static void made(const char *dir, int mode, int uid, int gid) { if (mkdir(dir, mode) && errno != EEXIST) exit(5); if (chown(dir, uid, gid) || chmod(dir, mode)) exit(6); }
static void tree(void) {
    char text[100];
    made("open", 0777, 0, 0); made("sticky", 01777, 0, 0); made("setgid", 02777, 0, 200); made("own", 0755, 1001, 100);
    made("search", 0711, 1002, 200); made("list", 0744, 1002, 0); made("group", 0770, 1003, 100); made("own/sub", 0777, 1002, 1001);
    for (unsigned i = 1; i < sizeof dirs / sizeof *dirs; i++) {
        for (unsigned j = 0; j < 3; j++) {
            if (!rnd(3)) continue;
            sprintf(text, "%s/%s", dirs[i], leaves[j]);
            int fd = open(text, O_CREAT | O_WRONLY | O_NOFOLLOW | O_NONBLOCK, 0600);
            if (fd < 0) continue;
            if (write(fd, "bytes", 5) != 5 || fchown(fd, PICK(uids), PICK(gids)) || fchmod(fd, PICK(modes))) exit(7);
            close(fd);
        }
        sprintf(text, "%s/run", dirs[i]);
        int fd = open(text, O_CREAT | O_WRONLY | O_NOFOLLOW | O_NONBLOCK, 0755);
        if (fd >= 0) { if (write(fd, "#!/bin/true\n", 12) != 12 || fchown(fd, PICK(uids), PICK(gids))) exit(8); close(fd); }
        sprintf(text, "%s/link", dirs[i]);
        if (symlink("a", text) == 0 && lchown(text, PICK(uids), 0)) exit(9);
        sprintf(text, "%s/dir", dirs[i]);
        if (mkdir(text, 0755) == 0 && (chown(text, PICK(uids), PICK(gids)) || chmod(text, PICK(modes) | 0100))) exit(10);
    }
}
int main(int argc, char **argv) {
    int here = open(".", O_RDONLY | O_DIRECTORY), calls = atoi(argv[2]);
    static char buffer[1 << 16];
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    state = strtoull(argv[1], 0, 0) * 2654435761u + 1;
    umask(0);
    for (int i = 0; i < calls; i++) {
        if (i % 40 == 0) tree();
        int uid = PICK(uids), gid = PICK(gids), groups = rnd(4), kind = rnd(6);
        umask(rnd(3) ? 0 : 022);
        printf("%d: %d:%d groups %d kind %d", i, uid, gid, groups, kind);
        fflush(stdout);
        whole(uid, gid, groups, kind);
        once();
        back();
        if (fchdir(here)) return 11;
        umask(0);
        if (i % 7 == 0) for (unsigned d = 0; d < sizeof dirs / sizeof *dirs; d++) { printf("\n  %s", dirs[d]); show(dirs[d]); }
        puts("");
    }
    return 0;
}
