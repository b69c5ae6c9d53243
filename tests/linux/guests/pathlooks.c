/* What reading calls tell of paths, one line for each call: pathlooks TREE ROOT UID < paths
   (one a line; what stands before it, up to a blank, is where it begins: c the working directory, d a directory that is
   open, p the same as a mere place, f a file). ROOT: chroot to the tree first; UID: be that user then. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char *which, *path;

static void tell(const char *call, long result, const char *format, long a, long b, long c, long d)
{
    printf("%s %s %s: ", which, path, call);
    if (result < 0)
        printf("%s\n", strerrorname_np(errno));
    else
        printf(format, a, b, c, d), putchar('\n');
}

static void told(const char *call, long result, struct stat *st)
{
    tell(call, result, "%lo %lu %lu %ld", st->st_mode, st->st_ino, st->st_nlink, S_ISDIR(st->st_mode) ? 0 : st->st_size);
}

static void size(const char *call, long n) { tell(call, n, "%ld", n, 0, 0, 0); }

static void looks(int at)
{
    static const int flags[] = {0, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW};
    static const int opens[] = {O_RDONLY | O_NONBLOCK, O_RDONLY | O_NOFOLLOW, O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                                O_PATH, O_PATH | O_NOFOLLOW, O_RDONLY | O_NOATIME, O_PATH | O_DIRECTORY};
    struct stat st;
    struct statx sx;
    char buffer[8192], absolute[8192];
    long n;
    int fd;
    for (int i = 0; i < 4; i++) {
        told("fstatat", syscall(SYS_newfstatat, at, path, &st, flags[i]), &st);
        n = syscall(SYS_statx, at, path, flags[i] | AT_NO_AUTOMOUNT, i & 1 ? 0x25e : 0x7ff, &sx);
        tell("statx", n, "%lo %lu %lu %lu", sx.stx_mode, sx.stx_ino, sx.stx_nlink, S_ISDIR(sx.stx_mode) ? 0 : sx.stx_size);
        n = syscall(SYS_faccessat2, at, path, i / 2 * R_OK + i % 2 * X_OK, flags[i]);
        tell("faccessat2", n, "0", 0, 0, 0, 0);
    }
    if (at == AT_FDCWD) {
        told("stat", syscall(SYS_stat, path, &st), &st);
        told("lstat", syscall(SYS_lstat, path, &st), &st);
        size("getxattr", getxattr(path, "user.name", buffer, 100));
        size("lgetxattr", lgetxattr(path, "user.name", buffer, 100));
        size("acl", getxattr(path, "system.posix_acl_access", buffer, 100));
        size("selinux", lgetxattr(path, "security.selinux", buffer, 100));
        size("trusted", getxattr(path, "trusted.name", buffer, 100));
        size("list", listxattr(path, buffer, 100));
        size("llist", llistxattr(path, buffer, 100));
        tell("access", access(path, R_OK), "0", 0, 0, 0, 0);
        tell("access no mode", access(path, F_OK), "0", 0, 0, 0, 0);
        tell("access search", access(path, X_OK), "0", 0, 0, 0, 0);
        n = readlink(path, buffer, 3);
        tell("readlink", n, "%ld %ld", n, n > 0 ? buffer[n - 1] : 0, 0, 0);
        if (path[0] != '/' && getcwd(absolute, 4000) && strlen(absolute) + strlen(path) < 4090) {
            strcat(absolute, "/");
            strcat(absolute, path);
            told("stat absolute", stat(absolute, &st), &st);
            told("lstat absolute", lstat(absolute, &st), &st);
            tell("access absolute", access(absolute, R_OK), "0", 0, 0, 0, 0);
            size("getxattr absolute", getxattr(absolute, "system.posix_acl_access", buffer, 100));
            size("llist absolute", llistxattr(absolute, buffer, 1));
            size("readlink absolute", readlink(absolute, buffer, 100));
        }
    }
    tell("faccessat", syscall(SYS_faccessat, at, path, R_OK), "0", 0, 0, 0, 0);
    n = readlinkat(at, path, buffer, sizeof buffer);
    tell("readlinkat", n, "%ld %ld", n, n > 0 ? buffer[n - 1] : 0, 0, 0);
    for (int i = 0; i < 7; i++) {
        fd = openat(at, path, opens[i]);
        tell("openat", fd < 0 ? -1 : 0, "%ld", opens[i], 0, 0, 0);
        if (fd < 0)
            continue;
        told("fstat", fstat(fd, &st), &st);
        size("flags", fcntl(fd, F_GETFL));
        size("marks", fcntl(fd, F_GETFD));
        size("read", read(fd, buffer, 64));
        if (S_ISDIR(st.st_mode) && !(opens[i] & O_PATH)) {
            long names = 0, sum = 0;
            while ((n = syscall(SYS_getdents64, fd, buffer, 200)) > 0)
                for (long k = 0; k < n; k += ((struct dirent64 *)(buffer + k))->d_reclen, names++)
                    sum += ((struct dirent64 *)(buffer + k))->d_ino;
            tell("getdents64", n, "%ld %ld", names, sum, 0, 0);
        }
        told("below", fstatat(fd, "a", &st, AT_SYMLINK_NOFOLLOW), &st);
        told("above", fstatat(fd, "..", &st, 0), &st);
        close(fd);
    }
}

int main(int argc, char **argv)
{
    char line[8192];
    int uid, at[128];
    if (argc != 4 || chdir(argv[1]) || (atoi(argv[2]) && chroot(".")))
        return 1;
    uid = atoi(argv[3]);
    at['d'] = open("a", O_RDONLY | O_DIRECTORY);
    at['p'] = open("a", O_PATH);
    at['f'] = open("file", O_RDONLY);
    at['n'] = -1;
    at['c'] = AT_FDCWD;
    if (uid && (setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid)))
        return 2;
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        which = line;
        path = line + 2;
        line[1] = 0;
        looks(at[(int)line[0]]);
    }
    return 0;
}
