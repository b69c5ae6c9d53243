// What may be locked in memory (RLIMIT_MEMLOCK), by somebody who may not lock whatever he likes.
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define PAGE 4096
#define KEEP(call) told(#call, (long)(call))

static void told(const char *what, long got) {
    printf("%s: %s %s\n", what, got == -1 ? "-1" : "done", got == -1 ? strerror(errno) : "");
}

static void limit(long soft) {
    struct rlimit one = {soft, 64 * PAGE};
    printf("limit %ld: %d\n", soft, setrlimit(RLIMIT_MEMLOCK, &one));
}

static int there(char *at, int pages) {
    unsigned char vec[256];
    int n = 0;
    if (mincore(at, pages * PAGE, vec)) return -1;
    for (int i = 0; i < pages; i++) n += vec[i] & 1;
    return n;
}

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    limit(16 * PAGE);
    if (!getuid() && (setgid(54321) || setuid(54321))) return 1;
    char *p = mmap(0, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *q;
    KEEP(mlock(p, 17 * PAGE));
    KEEP(mlock(p, 16 * PAGE));
    printf("there %d\n", there(p, 64));
    KEEP(mlock(p, 16 * PAGE));
    KEEP(mlock(p + 8 * PAGE, 8 * PAGE));
    KEEP(mlock(p + 8 * PAGE, 9 * PAGE));
    KEEP(mlock(p + 20 * PAGE, 1));
    KEEP(munlock(p + 15 * PAGE, PAGE));
    KEEP(mlock(p + 20 * PAGE + 4000, 200));
    KEEP(mlock(p + 20 * PAGE + 4000, 20));
    KEEP(mlock2(p, 20 * PAGE, MLOCK_ONFAULT));
    KEEP(mmap(0, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0));
    KEEP(munlock(p, 64 * PAGE));
    KEEP(mmap(0, 17 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0));
    KEEP(q = mmap(0, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0));
    KEEP(mremap(q, 8 * PAGE, 17 * PAGE, MREMAP_MAYMOVE));
    KEEP(q = mremap(q, 8 * PAGE, 12 * PAGE, MREMAP_MAYMOVE));
    printf("there %d\n", there(q, 12));
    KEEP(mlock(p, 5 * PAGE));
    KEEP(mlock(p, 4 * PAGE));
    KEEP(mlock((void *)-1, PAGE));
    KEEP(mlock(p, -1));
    limit(4 * PAGE);
    KEEP(mlock(p, PAGE));
    KEEP(mlock(p + 5 * PAGE, PAGE));
    KEEP(mlockall(MCL_CURRENT));
    KEEP(mlockall(MCL_FUTURE));
    KEEP(mmap(0, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    KEEP(sbrk(8 * PAGE));
    KEEP(munlockall());
    KEEP(mlockall(MCL_FUTURE | MCL_ONFAULT));
    KEEP(mmap(0, 5 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    KEEP(q = mmap(0, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    printf("there %d\n", there(q, 4));
    KEEP(munlockall());
    KEEP(mlockall(MCL_ONFAULT));
    KEEP(mlockall(8));
    limit(0);
    KEEP(mlock(p, PAGE));
    KEEP(mlock(p, 0));
    KEEP(mlock2(p, PAGE, 2));
    KEEP(mlockall(MCL_CURRENT));
    KEEP(mlockall(0));
    KEEP(munlock(p, PAGE));
    KEEP(munlockall());
    KEEP(mmap(0, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0));
}
