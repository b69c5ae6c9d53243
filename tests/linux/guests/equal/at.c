/* The calls that take a directory's descriptor: every flag, odd descriptors, empty and odd paths. */
#include "show.h"
#include <linux/stat.h>

int main(void) {
    static char buf[4096];
    struct stat st;
    static struct statx sx;
    umask(0);
    put("file", "hello");
    mkdir("dir", 0755);
    put("dir/inner", "x");
    symlink("file", "link");
    symlink("nowhere", "dangling");
    symlink("dir", "dirlink");
    int dir = open("dir", O_RDONLY | O_DIRECTORY), file = open("file", O_RDONLY);
    int path = open("dir", O_PATH), lpath = open("link", O_PATH | O_NOFOLLOW), fpath = open("file", O_PATH);
    int fds[] = {AT_FDCWD, -1, dir, file, path, lpath, fpath, 1000};
    const char *names[] = {"", ".", "..", "file", "inner", "link", "link/", "file/", "dirlink/inner", "dangling", "dir//inner", "./file/.", "/", "//"};
    int stat_flags[] = {0, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, AT_NO_AUTOMOUNT, 0x2000, 0x4000, 0x6000, AT_SYMLINK_FOLLOW, AT_REMOVEDIR, 0x8000, 0x10000};
    for (unsigned f = 0; f < 8; f++)
        for (unsigned n = 0; n < 14; n++) {
            static char where[100];
            sprintf(where, "[fd %d %s] ", f, names[n]);
            about = where;
            for (unsigned k = 0; k < 12; k++) {
                errno = 0;
                long r = syscall(SYS_newfstatat, fds[f], names[n], &st, stat_flags[k]);
                int e = errno;
                errno = 0;
                long x = syscall(SYS_statx, fds[f], names[n], stat_flags[k], STATX_BASIC_STATS, &sx);
                int ex = errno;
                errno = 0;
                long a = syscall(SYS_faccessat2, fds[f], names[n], R_OK, stat_flags[k]);
                printf("%s%x: stat %ld %d %o; statx %ld %d %o; access %ld %d\n", where, stat_flags[k], r, e, r ? 0 : st.st_mode, x, ex, x ? 0 : sx.stx_mode, a, errno);
            }
            errno = 0; long r = syscall(SYS_readlinkat, fds[f], names[n], buf, 100); printf("%sreadlink %ld %d\n", where, r, errno);
            for (unsigned k = 0; k < 9; k++) {
                int flags[] = {O_RDONLY, O_PATH, O_PATH | O_NOFOLLOW, O_NOFOLLOW, O_DIRECTORY, O_DIRECTORY | O_NOFOLLOW, O_RDONLY | O_EXCL, O_CREAT | O_EXCL, O_CREAT | O_DIRECTORY};
                errno = 0;
                long r = syscall(SYS_openat, fds[f], names[n], flags[k], 0600);
                printf("%sopen %o: %d %d\n", where, flags[k], r >= 0, errno);
                if (r >= 0) { printf("   getfl %o\n", fcntl(r, F_GETFL)); close(r); }
            }
        }
    about = "";
    S(faccessat2, AT_FDCWD, "file", 8, 0); S(faccessat2, AT_FDCWD, "file", -1, 0); S(faccessat2, AT_FDCWD, BAD, 0, 0);
    S(faccessat2, AT_FDCWD, "file", 0, AT_EACCESS); S(faccessat2, AT_FDCWD, "dangling", 0, AT_EACCESS | AT_SYMLINK_NOFOLLOW);
    S(faccessat2, file, "", 7, AT_EMPTY_PATH); S(faccessat2, dir, "", 7, AT_EMPTY_PATH); S(faccessat2, AT_FDCWD, "", 0, AT_EMPTY_PATH);
    S(faccessat, file, "", 0, AT_EMPTY_PATH); S(access, "", 0); S(access, "file", 8); S(access, "file", 1);
    S(statx, AT_FDCWD, "file", 0, 0x80000000, &sx); S(statx, AT_FDCWD, "file", 0, 0x7fffffff, &sx); S(statx, AT_FDCWD, BAD, 0, 0, &sx);
    S(statx, AT_FDCWD, "file", 0, 0, BAD); S(statx, AT_FDCWD, 0, AT_EMPTY_PATH, 0, &sx); S(statx, file, 0, AT_EMPTY_PATH, 0, &sx); S(statx, file, 0, 0, 0, &sx);
    S(newfstatat, file, 0, &st, AT_EMPTY_PATH); S(newfstatat, file, 0, &st, 0); S(newfstatat, -1, 0, &st, AT_EMPTY_PATH); S(newfstatat, -1, "", BAD, AT_EMPTY_PATH);
    memset(&sx, 0xee, sizeof sx);
    for (unsigned m = 1; m; m <<= 1) {
        memset(&sx, 0xee, sizeof sx);
        if (!syscall(SYS_statx, AT_FDCWD, "file", 0, m & 0x7fffffff, &sx)) printf("statx mask %x gives %x size %llu mode %o nlink %u mount %d\n", m, sx.stx_mask, sx.stx_size, sx.stx_mode, sx.stx_nlink, sx.stx_mnt_id != 0);
    }
    S(mkdirat, dir, "new", 0777); S(mkdirat, dir, "new", 0777); S(mkdirat, dir, "new2/", 01777); S(mkdirat, file, "x", 0777); S(mkdirat, path, "p", 0); S(mkdirat, -1, "x", 0777); S(mkdirat, dir, "", 0777);
    S(mkdirat, dir, ".", 0777); S(mkdirat, dir, "..", 0777); S(mkdirat, AT_FDCWD, "dangling", 0777); S(mkdirat, AT_FDCWD, "dangling/", 0777); S(mkdirat, AT_FDCWD, "file/x", 0777);
    S(mknodat, dir, "fifo", S_IFIFO | 0666, 0); S(mknodat, dir, "fifo", S_IFIFO | 0666, 0); S(mknodat, dir, "reg", 0640, 0); S(mknodat, dir, "sock", S_IFSOCK | 0777, 0); S(mknodat, dir, "bad", 0170000, 0); S(mknodat, dir, "d", S_IFDIR, 0); S(mknodat, dir, "l", S_IFLNK, 0);
    S(mknodat, AT_FDCWD, "dangling", 0640, 0); S(mknodat, AT_FDCWD, "reg/", 0640, 0);
    S(symlinkat, "target", dir, "sl"); S(symlinkat, "target", dir, "sl"); S(symlinkat, "", dir, "sl2"); S(symlinkat, "t", dir, "sl3/"); S(symlinkat, BAD, dir, "sl4"); S(symlinkat, "t", dir, BAD); S(symlinkat, "t", file, "sl5");
    S(linkat, AT_FDCWD, "file", dir, "hard", 0); S(linkat, AT_FDCWD, "file", dir, "hard", 0); S(linkat, AT_FDCWD, "link", dir, "hardlink", 0); S(linkat, AT_FDCWD, "link", dir, "hardfollow", AT_SYMLINK_FOLLOW);
    S(linkat, AT_FDCWD, "dir", dir, "harddir", 0); S(linkat, AT_FDCWD, "file", dir, "x", 1); S(linkat, AT_FDCWD, "dangling", dir, "x", AT_SYMLINK_FOLLOW); S(linkat, AT_FDCWD, "file/", dir, "x", 0); S(linkat, AT_FDCWD, "file", dir, "x/", 0); S(linkat, AT_FDCWD, "", dir, "x", 0);
    S(linkat, file, "", -1, "x", AT_EMPTY_PATH); S(linkat, AT_FDCWD, "file", AT_FDCWD, "file", 0); S(linkat, AT_FDCWD, ".", dir, "x", 0); S(linkat, AT_FDCWD, "file", dir, ".", 0);
    if (!lstat("dir/hardlink", &st)) printf("hardlink is %o nlink %ld\n", st.st_mode, (long)st.st_nlink);
    if (!lstat("dir/hardfollow", &st)) printf("hardfollow is %o nlink %ld\n", st.st_mode, (long)st.st_nlink);
    S(renameat2, dir, "hard", dir, "moved", 0); S(renameat2, dir, "moved", dir, "reg", RENAME_NOREPLACE); S(renameat2, dir, "moved", dir, "reg", RENAME_EXCHANGE); S(renameat2, dir, "moved", dir, "none", RENAME_EXCHANGE);
    S(renameat2, dir, "moved", dir, "reg", 3); S(renameat2, dir, "moved", dir, "reg", 8); S(renameat2, dir, "moved", dir, "new", 0); S(renameat2, dir, "new", dir, "moved", 0); S(renameat2, AT_FDCWD, "dir", dir, "x", 0); S(renameat2, dir, "new", AT_FDCWD, "dir", 0); S(renameat2, dir, ".", dir, "q", 0); S(renameat2, dir, "new", dir, "..", 0);
    S(renameat2, dir, "new", dir, "new3/", 0); S(renameat2, dir, "moved", dir, "m/", 0); S(renameat2, dir, "moved/", dir, "m", 0); S(renameat2, dir, "sl", dir, "sl9", 0); S(renameat2, dir, "", dir, "q", 0); S(renameat2, dir, "none", dir, "q", 0); S(renameat, -1, "a", -1, "b"); S(renameat, file, "a", dir, "b");
    S(renameat2, AT_FDCWD, "dir", AT_FDCWD, "dir/new3/x", 0); S(renameat2, AT_FDCWD, "dir", AT_FDCWD, "file", RENAME_EXCHANGE); S(renameat2, AT_FDCWD, "dir", AT_FDCWD, "file", RENAME_EXCHANGE); S(rename, "file", "file"); S(rename, "dir/reg", "dir/moved");
    S(fchmodat2, AT_FDCWD, "file", 0640, 0); S(fchmodat2, AT_FDCWD, "link", 0600, AT_SYMLINK_NOFOLLOW); S(fchmodat2, file, "", 0604, AT_EMPTY_PATH); S(fchmodat2, fpath, "", 0604, AT_EMPTY_PATH); S(fchmodat2, lpath, "", 0604, AT_EMPTY_PATH); S(fchmodat2, AT_FDCWD, "file", 0640, 1); S(fchmodat2, AT_FDCWD, "file", 0640, AT_EACCESS); S(fchmodat2, file, "", 0604, 0);
    S(fchmodat, AT_FDCWD, "file", 0177777); stat("file", &st); printf("mode %o\n", st.st_mode); S(fchmod, fpath, 0600); S(fchmod, file, 0600); S(fchmod, -1, 0600); S(chmod, "dangling", 0600);
    S(fchownat, AT_FDCWD, "dangling", -1, -1, AT_SYMLINK_NOFOLLOW); S(fchownat, AT_FDCWD, "dangling", -1, -1, 0); S(fchownat, file, "", -1, -1, AT_EMPTY_PATH); S(fchownat, fpath, "", -1, -1, AT_EMPTY_PATH); S(fchownat, file, "", -1, -1, 0); S(fchownat, AT_FDCWD, "file", -1, -1, 1); S(fchown, fpath, -1, -1); S(fchown, file, -1, -1);
    S(unlinkat, dir, "new3", 0); S(unlinkat, dir, "moved", AT_REMOVEDIR); S(unlinkat, dir, "moved", 1); S(unlinkat, AT_FDCWD, "dir", AT_REMOVEDIR); S(unlinkat, dir, ".", AT_REMOVEDIR); S(unlinkat, dir, "..", AT_REMOVEDIR); S(unlinkat, dir, "moved/", 0); S(unlinkat, AT_FDCWD, "dirlink", AT_REMOVEDIR); S(unlinkat, AT_FDCWD, "dirlink/", AT_REMOVEDIR); S(unlinkat, AT_FDCWD, "dirlink/", 0); S(unlinkat, AT_FDCWD, "link/", 0); S(unlinkat, AT_FDCWD, "", 0); S(unlinkat, dir, "new3/", AT_REMOVEDIR); S(unlinkat, dir, "new3", AT_REMOVEDIR);
    S(fchdir, path); S(fchdir, fpath); S(fchdir, file); S(fchdir, -1); S(getcwd, buf, 1); S(getcwd, BAD, 4096); S(getcwd, buf, 0); S(chdir, "inner"); S(chdir, ""); S(chdir, BAD); SZ(getcwd, buf, 4096); R(strcmp(strrchr(buf, '/'), "/dir"));
    return 0;
}
