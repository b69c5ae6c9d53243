/* Directories read by getdents and getdents64: buffers of every size, seeks, removed ones, other kinds of files. */
#include "show.h"

static int count(int fd, char *buf, int size) {
    int n, total = 0;
    while ((n = syscall(SYS_getdents64, fd, buf, size)) > 0)
        for (int at = 0; at < n; at += *(unsigned short *)(buf + at + 16)) total++;
    return n < 0 ? -1 : total;
}

int main(void) {
    static char buf[1 << 16];
    char name[64];
    mkdir("d", 0755);
    for (int i = 0; i < 200; i++) { sprintf(name, "d/%0*d", i % 40 + 1, i); put(name, ""); }
    mkdir("empty", 0755); put("file", "x");
    int d = open("d", O_RDONLY), e = open("empty", O_RDONLY | O_DIRECTORY), f = open("file", O_RDONLY), p = open("d", O_PATH);
    int sizes[] = {0, 1, 18, 19, 20, 23, 24, 25, 31, 32, 48, 64, 72, 100, 4096, 65536};
    for (unsigned i = 0; i < 16; i++) {
        printf("size %d: ", sizes[i]);
        lseek(d, 0, SEEK_SET); R(count(d, buf, sizes[i])); R(lseek(e, 0, SEEK_SET)); R(count(e, buf, sizes[i])); S(getdents64, e, buf, sizes[i]);
    }
    R(lseek(d, 0, SEEK_CUR) > 0); R(lseek(d, 0, SEEK_SET)); S(getdents64, d, BAD, 4096); S(getdents64, d, buf, -1); R(lseek(d, -1, SEEK_SET)); R(lseek(d, -1, SEEK_CUR)); R(lseek(d, 0, 5)); R(lseek(d, 0, SEEK_DATA)); R(lseek(d, 0, SEEK_HOLE)); R(lseek(e, 5, SEEK_SET));
    S(getdents64, f, buf, 100); S(getdents64, p, buf, 100); S(getdents64, -1, buf, 100); S(getdents64, 0, buf, 100); S(getdents, f, buf, 100); S(getdents, -1, buf, 100);
    lseek(d, 0, SEEK_SET); lseek(e, 0, SEEK_SET);
    S(getdents, e, buf, 23); S(getdents, e, buf, 24); S(getdents, e, buf, 4096); S(getdents, e, buf, 4096);
    lseek(e, 0, SEEK_SET);
    int n = syscall(SYS_getdents, e, buf, 4096);
    for (int at = 0; at < n; at += *(unsigned short *)(buf + at + 16)) { int len = *(unsigned short *)(buf + at + 16); int dots = !strcmp(buf + at + 18, ".") || !strcmp(buf + at + 18, ".."); printf("old entry len %d dots %d type %d\n", len, dots, buf[at + len - 1]); }
    S(getdents, e, BAD, 4096); lseek(e, 0, SEEK_SET); S(getdents, e, BAD, 4096);
    lseek(d, 0, SEEK_SET); n = syscall(SYS_getdents64, d, buf, 400); int seen = 0; long off = 0;
    for (int at = 0; at < n; at += *(unsigned short *)(buf + at + 16)) { seen++; off = *(long *)(buf + at + 8); }
    R(lseek(d, 0, SEEK_CUR) == off); R(seen + count(d, buf, 4096)); R(lseek(d, off, SEEK_SET) == off); R(seen + count(d, buf, 4096));
    R(read(d, buf, 10)); R(pread(d, buf, 10, 0)); R(write(d, buf, 10)); R(ftruncate(d, 0)); R(readv(d, 0, 0)); R(read(d, BAD, 0)); R(fsync(d)); R(fdatasync(d)); Z(mmap(0, 4096, PROT_READ, MAP_PRIVATE, d, 0)); R(posix_fallocate(d, 0, 1)); R(flock(d, LOCK_EX | LOCK_NB)); R(flock(d, LOCK_UN));
    struct pollfd pf = {d, POLLIN | POLLOUT, 0}; R(poll(&pf, 1, 0)); R(pf.revents);
    lseek(e, 0, SEEK_SET); R(rmdir("empty")); S(getdents64, e, buf, 4096); S(openat, e, "x", O_CREAT | O_RDWR, 0600); SZ(openat, e, "..", O_RDONLY, 0); S(mkdirat, e, "x", 0700); S(newfstatat, e, "", buf, AT_EMPTY_PATH); struct stat st; fstat(e, &st); R(st.st_nlink); R(fchdir(e)); R(syscall(SYS_getcwd, buf, 4096)); SZ(openat, AT_FDCWD, ".", O_RDONLY, 0); S(access, "..", 0); S(mkdir, "y", 0700); S(symlink, "a", "b"); S(unlink, "q"); S(rename, "q", "r");
    return 0;
}
