/* Memory calls as a program sees them: results, contents, faults. Addresses that the kernel chose are not printed. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096L
static sigjmp_buf back;
static void caught(int signal) { siglongjmp(back, signal); }

static const char *touch(volatile char *p, int write) {
    int signal = sigsetjmp(back, 1);
    if (signal) return signal == SIGSEGV ? "SIGSEGV" : "SIGBUS";
    if (write) *p = 'w'; else (void)*p;
    return "fine";
}
static void probe(const char *what, volatile char *p) { printf("%s: read %s, write %s\n", what, touch(p, 0), touch(p, 1)); }
static void show(const char *what, long result, long base) {
    if (result == -1) printf("%s: errno %d\n", what, errno);
    else printf("%s: %#lx\n", what, result - base);
}

int main(int argc, char **argv) {
    struct sigaction action = {.sa_handler = caught};
    sigaction(SIGSEGV, &action, 0);
    sigaction(SIGBUS, &action, 0);
    char *b = (char *)0x60000000; /* no heap is there: it begins within a GiB of the program */
    long base = (long)b;
    setvbuf(stdout, 0, _IOLBF, 0);

    show("map", (long)mmap(b, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), base);
    show("hint taken", (long)mmap(b + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == base + PAGE, 0);
    show("hint free", (long)mmap(b + 64 * PAGE + 5, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), base);
    memset(b, 'a', 8 * PAGE);
    show("protect", mprotect(b + PAGE, PAGE, PROT_READ), 0);
    probe("read-only", b + PAGE);
    show("protect none", mprotect(b + 2 * PAGE, PAGE, PROT_NONE), 0);
    probe("none", b + 2 * PAGE);
    show("protect write", mprotect(b + 2 * PAGE, PAGE, PROT_WRITE), 0);
    probe("write-only", b + 2 * PAGE);
    printf("kept %c\n", b[2 * PAGE + 1]);
    show("unmap", munmap(b + 3 * PAGE, PAGE), 0);
    probe("hole", b + 3 * PAGE);
    show("unmap a hole", munmap(b + 3 * PAGE, PAGE), 0);
    errno = 0;
    show("protect into the hole", mprotect(b + 2 * PAGE, 3 * PAGE, PROT_READ), 0);
    probe("before the hole", b + 2 * PAGE);
    probe("after the hole", b + 4 * PAGE);
    show("dontneed", madvise(b + 5 * PAGE, PAGE, MADV_DONTNEED), 0);
    printf("zero %d, next %c\n", b[5 * PAGE], b[6 * PAGE]);
    show("map over", (long)mmap(b + 6 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), base);
    printf("fresh %d\n", b[6 * PAGE]);

    unsigned char vec[8];
    b[6 * PAGE] = 1;
    show("mincore", mincore(b + 4 * PAGE, 4 * PAGE, vec), 0);
    printf("resident %d %d %d\n", vec[0] & 1, vec[2] & 1, vec[3] & 1);

    /* mremap */
    char *m = mmap(b + 100 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    for (int i = 0; i < 4; i++) m[i * PAGE] = '0' + i;
    show("shrink", (long)mremap(m, 4 * PAGE, 3 * PAGE, 0), base);
    probe("shrunk off", m + 3 * PAGE);
    show("grow in place", (long)mremap(m, 3 * PAGE, 6 * PAGE, 0), base);
    printf("grown %c %d\n", m[2 * PAGE], m[5 * PAGE]);
    mmap(m + 6 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    errno = 0;
    show("cannot grow", (long)mremap(m, 6 * PAGE, 8 * PAGE, 0), base);
    show("move to", (long)mremap(m, 6 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, b + 200 * PAGE), base);
    m = b + 200 * PAGE;
    printf("moved %c%c%c %d\n", m[0], m[PAGE], m[2 * PAGE], m[7 * PAGE]);
    probe("left behind", b + 100 * PAGE);
    char *n = mremap(m, 8 * PAGE, 16 * PAGE, MREMAP_MAYMOVE);
    printf("may move %c%c\n", n[0], n[2 * PAGE]);

    /* files */
    int fd = open(argv[1], O_RDONLY);
    char *f = mmap(b + 300 * PAGE, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0);
    printf("file %c, tail %d\n", f[0], f[PAGE - 1]);
    f[1] = 'X';
    probe("past the end of the file", f + PAGE);
    char check[2];
    printf("private %d\n", (int)pread(fd, check, 2, 0) == 2 && check[1] != 'X');
    show("dontneed of a file", madvise(f, PAGE, MADV_DONTNEED), 0);
    printf("file again %c\n", f[1]);
    char *shared = mmap(0, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    printf("shared %c\n", shared[0]);
    probe("shared read-only", shared);
    errno = 0;
    show("shared protect write", mprotect(shared, PAGE, PROT_READ | PROT_WRITE), 0);
    show("read into the bus", read(fd, f + 2 * PAGE, 10), 0);
    lseek(fd, 0, SEEK_SET);
    errno = 0;
    show("read a hole of the file", syscall(SYS_write, 1, f + PAGE, 1), 0);
    f = mmap(0, PAGE, PROT_READ, MAP_PRIVATE, fd, PAGE);
    probe("file offset past the end", f);
    f = mmap(0, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    printf("closed %c\n", f[0]);

    /* brk */
    char *start = sbrk(0);
    show("brk aligned", (long)sbrk(0) & 0, 0);
    show("grow", sbrk(10 * PAGE) == start, 0);
    memset(start, 'h', 10 * PAGE);
    show("shrink heap", sbrk(-5 * PAGE) == start + 10 * PAGE, 0);
    probe("above the heap", start + 6 * PAGE + 4096);
    sbrk(5 * PAGE);
    printf("heap zero again %d, kept %c\n", start[8 * PAGE], start[0]);
    show("brk down too far", syscall(SYS_brk, 0x1000) == (long)sbrk(0), 0);
    show("brk up too far", syscall(SYS_brk, 0x7fffffffffff) == (long)sbrk(0), 0);

    /* a reservation, and a stack that grows */
    char *big = mmap(0, 1L << 40, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    big[0] = big[1L << 39] = big[(1L << 40) - 1] = 1;
    printf("reserved %d\n", big[1L << 39] + big[12345678]);
    char *grows = mmap(b + 1000 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, -1, 0);
    probe("grows down", grows - PAGE);
    char path[100], line[512];
    int maps = open("/proc/self/maps", O_RDONLY);
    long got, total = 0;
    while ((got = read(maps, line, sizeof line)) > 0) total += got;
    printf("maps %d\n", total > 300);
    (void)path;
    return 0;
}
