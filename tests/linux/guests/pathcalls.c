/* Makes the path calls that standard input lists, one a line, and prints what each gave.
   A path that begins with @ is absolute: the directory in argv[1] and the rest. argv[2]: what twins do not share. H0 to H3 are held descriptors. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static const char *root, *base;
static int held[4] = {-1, -1, -1, -1};

static char *path(const char *word, char *buf) {
    if (word[0] == '@')
        sprintf(buf, "%s%s", root, word + 1);
    else if (word[0] == '!')
        sprintf(buf, "/proc/self/fd/%d%s", held[word[1] - '0'], word + 2);
    else if (!strcmp(word, "EMPTY"))
        buf[0] = 0;
    else
        strcpy(buf, word);
    return buf;
}

static void text(const char *got, long n) { /* without what differs between twins */
    int shared = n >= (long)strlen(base) && !memcmp(got, base, strlen(base));
    if (shared) got += strlen(base), n -= strlen(base);
    printf(" %s%.*s", shared ? "@" : "", (int)n, got);
}

static void status(const struct stat *st) {
    printf(" %o %ld %ld", st->st_mode, (long)st->st_nlink, S_ISDIR(st->st_mode) || S_ISLNK(st->st_mode) ? 0 : (long)st->st_size);
}

int main(int argc, char **argv) {
    static char line[16384], op[64], w[4][4096], p[4096 * 2], q[4096 * 2], buf[8192];
    root = argv[1], base = argv[2];
    setvbuf(stdout, 0, _IOFBF, 1 << 16);
    for (int number = 0; fgets(line, sizeof line, stdin); number++) {
        struct stat st;
        long r = -2;
        int words = sscanf(line, "%63s %4095s %4095s %4095s %4095s", op, w[0], w[1], w[2], w[3]);
        long a1 = words > 2 ? strtol(w[1], 0, 0) : 0, a2 = words > 3 ? strtol(w[2], 0, 0) : 0;
        int dir = AT_FDCWD, shift = 0;
        if (words > 1 && w[0][0] == 'H') dir = held[w[0][1] - '0'], shift = 1;
        char *first = w[shift];
        if (words < 2) continue;
        path(first, p);
        errno = 0;
        printf("%d %s", number, op);
        if (!strcmp(op, "mkdir")) r = mkdirat(dir, p, strtol(w[shift + 1], 0, 8));
        else if (!strcmp(op, "rmdir")) r = unlinkat(dir, p, AT_REMOVEDIR);
        else if (!strcmp(op, "unlink")) r = unlinkat(dir, p, 0);
        else if (!strcmp(op, "mknod")) r = mknodat(dir, p, S_IFIFO | strtol(w[shift + 1], 0, 8), 0);
        else if (!strcmp(op, "mkfile")) r = mknodat(dir, p, strtol(w[shift + 1], 0, 8), 0);
        else if (!strcmp(op, "rename")) r = syscall(SYS_renameat2, AT_FDCWD, p, AT_FDCWD, path(w[1], q), (unsigned)a2);
        else if (!strcmp(op, "renameto")) r = syscall(SYS_renameat2, AT_FDCWD, path(w[1], q), dir, path(w[2], p), 0);
        else if (!strcmp(op, "link")) r = linkat(AT_FDCWD, p, AT_FDCWD, path(w[1], q), a2);
        else if (!strcmp(op, "linkheld")) r = dir == AT_FDCWD ? -2 : linkat(dir, "", AT_FDCWD, path(w[1], q), AT_EMPTY_PATH);
        else if (!strcmp(op, "symlink")) r = symlinkat(p, AT_FDCWD, path(w[1], q));
        else if (!strcmp(op, "chmod")) r = fchmodat(dir, p, strtol(w[shift + 1], 0, 8), 0);
        else if (!strcmp(op, "chown")) r = fchownat(dir, p, 3000000000u, strtol(w[shift + 1], 0, 8), shift ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW);
        else if (!strcmp(op, "fchmod")) r = fchmod(dir, a1);
        else if (!strcmp(op, "truncate")) r = truncate(p, a1);
        else if (!strcmp(op, "ftruncate")) r = ftruncate(dir, a1);
        else if (!strcmp(op, "utime")) { struct timespec t[2] = {{a1, 5}, {a1, 7}}; r = utimensat(dir, p, t, AT_SYMLINK_NOFOLLOW); }
        else if (!strcmp(op, "access")) r = faccessat(dir, p, a1 & 7, 0);
        else if (!strcmp(op, "umask")) umask(strtol(w[0], 0, 8)), r = 0;
        else if (!strcmp(op, "chdir")) r = chdir(p);
        else if (!strcmp(op, "fchdir")) r = fchdir(dir);
        else if (!strcmp(op, "close")) r = close(dir), held[w[0][1] - '0'] = -1;
        else if (!strcmp(op, "getcwd")) { r = syscall(SYS_getcwd, buf, sizeof buf); if (r > 0) text(buf, r - 1), r = 0; }
        else if (!strcmp(op, "readlink")) { r = readlinkat(dir, p, buf, sizeof buf); if (r > 0) text(buf, r), r = 0; }
        else if (!strcmp(op, "cwdlink")) { r = readlink("/proc/self/cwd", buf, sizeof buf); if (r > 0) text(buf, r), r = 0; }
        else if (!strcmp(op, "stat")) { r = fstatat(dir, p, &st, 0); if (!r) status(&st); }
        else if (!strcmp(op, "lstat")) { r = fstatat(dir, p, &st, AT_SYMLINK_NOFOLLOW); if (!r) status(&st); }
        else if (!strcmp(op, "fstat")) { r = fstat(dir, &st); if (!r) status(&st); }
        else if (!strcmp(op, "open") || !strcmp(op, "hold")) {
            int flags = strtol(w[shift + 1], 0, 0), keep = op[0] == 'h', n = keep ? strtol(w[shift + 2], 0, 0) : 0;
            r = openat(dir, p, flags | O_NONBLOCK, words > shift + 3 && !keep ? strtol(w[shift + 2], 0, 8) : 0640);
            if (r >= 0) {
                if (!fstat(r, &st)) status(&st);
                if (S_ISREG(st.st_mode) && (flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH)) printf(" w%ld", (long)write(r, "data", 4));
                if (keep) {
                    if (held[n] >= 0) close(held[n]);
                    held[n] = r;
                } else close(r);
                r = 0;
            }
        }
        printf(" = %ld %s\n", r, r == -1 ? strerrorname_np(errno) : "-");
    }
    return 0;
}
