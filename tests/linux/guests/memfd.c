/* memfd.c: files in memory without a name and what seals forbid; FIFOs of a tree in memory; every answer is printed. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/openat2.h>
#include <unistd.h>

#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 32
#endif
static void say(const char *what, long r)
{
    if (r < 0) printf("%s: %s\n", what, strerrorname_np(errno));
    else printf("%s: %ld\n", what, r);
}
#define S(call) say(#call, (long)(call))
static void seals(int seal)
{
    char buf[10000]; int fd = memfd_create("a b", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    printf("-- seal %d\n", seal);
    memset(buf, 'x', sizeof buf);
    S(write(fd, buf, 5000)); S(fcntl(fd, F_GET_SEALS)); S(fcntl(fd, F_ADD_SEALS, seal)); S(fcntl(fd, F_GET_SEALS));
    S(pwrite(fd, buf, 10, 0)); S(pwrite(fd, buf, 10, 4995)); S(pwrite(fd, buf, 9000, 0)); S(pwrite(fd, buf, 9000, 4500)); S(pwrite(fd, buf, 0, 0)); S(pwrite(fd, buf, 10, 8192));
    S(ftruncate(fd, 5000)); S(ftruncate(fd, 100)); S(ftruncate(fd, 20000)); S(lseek(fd, 0, SEEK_END));
    S(fallocate(fd, 0, 0, 4096)); S(fallocate(fd, 0, 0, 40960)); S(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 409600)); S(fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, 4096));
    void *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0); S(m == MAP_FAILED ? -1 : 0);
    void *r = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 0); S(r == MAP_FAILED ? -1 : 0); S(mprotect(r, 4096, PROT_READ | PROT_WRITE));
    void *p = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0); S(p == MAP_FAILED ? -1 : 0);
    if (m != MAP_FAILED) { S(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)); munmap(m, 4096); }
    S(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)); munmap(r, 4096); S(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE)); munmap(p, 4096);
    S(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL)); S(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW)); S(fcntl(fd, F_GET_SEALS)); S(fchmod(fd, 0600)); S(fchmod(fd, 0777));
    close(fd);
}
static void files(void)
{
    char name[300], to[300], path[64], buf[16]; struct stat st; memset(name, 'n', sizeof name);
    int fd = memfd_create("x", 0); S(fcntl(fd, F_GETFL)); S(fcntl(fd, F_GETFD)); S(fcntl(fd, F_GET_SEALS)); S(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
    fstat(fd, &st); printf("%o %ld %ld %ld %ld\n", st.st_mode, (long)st.st_size, (long)st.st_nlink, (long)st.st_blksize, (long)st.st_blocks);
    sprintf(path, "/proc/self/fd/%d", fd); long n = readlink(path, to, 299); to[n > 0 ? n : 0] = 0; puts(to);
    S(write(fd, "hello", 5)); int again = open(path, O_RDONLY); S(read(again, buf, 16)); S(write(again, buf, 1)); S(fcntl(again, F_ADD_SEALS, 0)); S(linkat(AT_FDCWD, path, AT_FDCWD, "linked", AT_SYMLINK_FOLLOW));
    name[250] = 0; S(memfd_create(name, 0)); name[249] = 0; S(memfd_create(name, 0) > 0); name[0] = 0; S(memfd_create(name, 0) > 0);
    S(memfd_create((void *)8, 0)); S(memfd_create("x", 32)); S(memfd_create("x", 24)); S(memfd_create("x", 1u << 30));
    int sealed = memfd_create("s", 8); S(fcntl(sealed, F_GET_SEALS)); fstat(sealed, &st); printf("%o\n", st.st_mode); S(fchmod(sealed, 0777)); S(fchmod(sealed, 0600));
    int x = memfd_create("e", MFD_ALLOW_SEALING | 16); S(fcntl(x, F_ADD_SEALS, 32)); S(fcntl(x, F_GET_SEALS)); S(fcntl(x, F_ADD_SEALS, 64)); S(fcntl(0, F_GET_SEALS)); S(fcntl(0, F_ADD_SEALS, 0));
    char *m = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0); strcpy(m, "written"); S(pread(fd, buf, 16, 0)); buf[5] = 0; puts(buf); S(fcntl(fd, F_SETFL, O_APPEND)); S(write(fd, "++", 2)); printf("%.7s\n", m);
    if (!fork()) { strcpy(m, "child"); S(ftruncate(fd, 4)); _exit(0); }
    wait(0); S(lseek(fd, 0, SEEK_END)); printf("%s\n", m);
}
static void fifos(const char *where)
{
    char ff[100], buf[100]; sprintf(ff, "%s/ff%d", where, getpid()); int st; struct stat s;
    S(mkfifo(ff, 0640)); S(open(ff, O_WRONLY | O_NONBLOCK)); S(open(ff, O_RDONLY | O_NONBLOCK | O_DIRECT)); struct open_how how = {.flags = O_WRONLY | O_NONBLOCK}; S(syscall(SYS_openat2, AT_FDCWD, ff, &how, sizeof how));
    int rd = open(ff, O_RDONLY | O_NONBLOCK); S(rd >= 0 ? 0 : -1); struct pollfd p = {rd, POLLIN, 0}; S(poll(&p, 1, 0)); S(p.revents); S(read(rd, buf, 1));
    int wr = open(ff, O_WRONLY); S(wr >= 0 ? 0 : -1); S(read(rd, buf, 1)); S(write(wr, "abc", 3)); S(read(rd, buf, 2)); close(wr); S(poll(&p, 1, 0)); S(p.revents); S(read(rd, buf, 9)); S(read(rd, buf, 9)); close(rd);
    int both = open(ff, O_RDWR); S(write(both, "q", 1)); p.fd = both; p.events = POLLIN | POLLOUT; S(poll(&p, 1, 0)); S(p.revents); S(read(both, buf, 5)); S(fcntl(both, F_GETFL)); fstat(both, &s); printf("%o\n", s.st_mode); close(both);
    if (!fork()) { int w = open(ff, O_WRONLY); _exit(write(w, "from the child", 14)); }
    rd = open(ff, O_RDONLY); S(read(rd, buf, 50)); wait(&st); S(st); S(read(rd, buf, 50)); close(rd);
    if (!fork()) { how.flags = O_RDONLY; int r = syscall(SYS_openat2, AT_FDCWD, ff, &how, sizeof how); _exit(read(r, buf, 50)); }
    wr = open(ff, O_WRONLY); S(write(wr, "to the child", 12)); close(wr); wait(&st); S(st);
    signal(SIGALRM, SIG_DFL); pid_t c = fork(); if (!c) { alarm(1); open(ff, O_RDONLY); _exit(1); } wait(&st); S(WTERMSIG(st)); S(open(ff, O_WRONLY | O_NONBLOCK)); S(unlink(ff));
}
int main(void)
{
    setvbuf(stdout, 0, _IOLBF, 0);
    files(); for (int i = 0; i < 6; i++) seals(1 << i);
    seals(0); seals(F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK); seals(64); fifos("/dev/shm"); fifos(".");
    int s = shm_open("/axptr test", O_RDWR | O_CREAT | O_EXCL, 0600); S(ftruncate(s, 10000)); int *v = mmap(0, 10000, 3, MAP_SHARED, s, 0); if (!fork()) { v[5] = 9; _exit(0); } wait(0); S(v[5]); S(shm_unlink("/axptr test"));
    return 0;
}
