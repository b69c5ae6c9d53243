/* Corner cases of mmap, munmap, mprotect, mremap, madvise, mincore, msync, mlock2, and what maps shows. */
#include "show.h"

static void perms(void *at) {
    char line[512]; unsigned long lo, hi; char p[8]; FILE *f = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, f)) if (sscanf(line, "%lx-%lx %7s", &lo, &hi, p) == 3 && lo <= (unsigned long)at && (unsigned long)at < hi) printf("  %s %lu pages from here\n", p, (hi - (unsigned long)at) / PAGE);
    fclose(f);
}

int main(void) {
    put("f", "0123456789"); truncate("f", 3 * PAGE);
    int fd = open("f", O_RDWR), ro = open("f", O_RDONLY), wo = open("f", O_WRONLY), dir = open(".", O_RDONLY), path = open("f", O_PATH), p[2]; pipe(p);
    int A = MAP_PRIVATE | MAP_ANONYMOUS;
    char *m = mmap(0, 64 * PAGE, PROT_NONE, A, -1, 0), *x;
    for (int prot = 0; prot < 16; prot++) { x = mmap(m + 4 * PAGE, PAGE, prot, A | MAP_FIXED, -1, 0); printf("prot %x: %d", prot, x == m + 4 * PAGE); perms(m + 4 * PAGE); }
    for (int prot = 0; prot < 16; prot++) { printf("mprotect %x: ", prot); R(mprotect(m + 4 * PAGE, PAGE, prot)); perms(m + 4 * PAGE); }
    for (int prot = 0; prot < 8; prot++) { x = mmap(0, PAGE, prot, MAP_SHARED, ro, 0); printf("shared read-only %x: %d %d\n", prot, x == MAP_FAILED, x == MAP_FAILED ? errno : 0); x = mmap(0, PAGE, prot, MAP_PRIVATE, ro, 0); printf("private %x: %d\n", prot, x == MAP_FAILED); if (x != MAP_FAILED) perms(x); }
    Z(mmap(0, 0, 3, A, -1, 0)); Z(mmap(0, PAGE, 3, 0, -1, 0)); Z(mmap(0, PAGE, 3, MAP_ANONYMOUS, -1, 0)); Z(mmap(0, PAGE, 3, MAP_SHARED | MAP_ANONYMOUS, 99, 0)); Z(mmap(0, PAGE, 3, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 0)); Z(mmap(0, PAGE, 3, A, -1, 1)); Z(mmap(0, PAGE, 3, A, -1, PAGE)); Z(mmap(0, -1, 3, A, -1, 0)); Z(mmap(0, 1UL << 47, 3, A, -1, 0)); Z(mmap(m + 1, PAGE, 3, A | MAP_FIXED, -1, 0)); Z(mmap(m + 1, PAGE, 3, A, -1, 0)); Z(mmap(m, PAGE, 3, A | MAP_FIXED_NOREPLACE, -1, 0)); Z(mmap((void *)0x7ffffffff000, PAGE, 3, A | MAP_FIXED, -1, 0)); Z(mmap((void *)-PAGE, PAGE, 3, A | MAP_FIXED, -1, 0));
    Z(mmap(0, PAGE, 1, MAP_PRIVATE, -1, 0)); Z(mmap(0, PAGE, 1, MAP_PRIVATE, 99, 0)); Z(mmap(0, PAGE, 1, MAP_PRIVATE, wo, 0)); Z(mmap(0, PAGE, 2, MAP_PRIVATE, wo, 0)); Z(mmap(0, PAGE, 1, MAP_PRIVATE, dir, 0)); Z(mmap(0, PAGE, 1, MAP_PRIVATE, path, 0)); Z(mmap(0, PAGE, 1, MAP_PRIVATE, p[0], 0)); Z(mmap(0, PAGE, 1, MAP_PRIVATE, p[1], 0)); Z(mmap(0, PAGE, 1, MAP_PRIVATE, fd, 100)); Z(mmap(0, PAGE, 1, MAP_PRIVATE, fd, -4096)); Z(mmap(0, PAGE, 1, MAP_PRIVATE, fd, 1UL << 62)); Z(mmap(0, PAGE, 1, MAP_SHARED, fd, 1L << 40)); Z(mmap(0, PAGE, 1, MAP_PRIVATE | MAP_GROWSDOWN, fd, 0)); Z(mmap(0, PAGE, 1, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0)); Z(mmap(0, PAGE, 1, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0)); Z(mmap(0, PAGE, 1, MAP_SHARED_VALIDATE | 0x8000000, fd, 0)); Z(mmap(0, PAGE, 1, MAP_PRIVATE | MAP_HUGETLB, fd, 0));
    R(munmap(m + 1, PAGE)); R(munmap(m, 0)); R(munmap(m, -1)); R(munmap((void *)0x7ffffffff000, PAGE)); R(munmap((void *)PAGE, PAGE)); R(munmap(m + 63 * PAGE, 5)); R(munmap(m + 63 * PAGE, PAGE));
    R(mprotect(m + 1, PAGE, 3)); R(mprotect(m, 0, 77)); R(mprotect(m, PAGE, 16)); R(mprotect(m, PAGE, 32)); R(mprotect(m, -1, 3)); R(mprotect(m, 70 * PAGE, 3)); perms(m); R(mprotect(m + 63 * PAGE, PAGE, 3)); R(mprotect(m, PAGE, PROT_GROWSDOWN)); R(mprotect(m, PAGE, PROT_GROWSUP)); R(mprotect(m, PAGE, PROT_GROWSUP | PROT_GROWSDOWN)); R(mprotect(0, PAGE, 3));
    R(munmap(m + 20 * PAGE, PAGE)); R(mprotect(m, 30 * PAGE, 1)); perms(m); perms(m + 21 * PAGE);
    for (int advice = -1; advice < 28; advice++) { char what[40]; sprintf(what, "[advice %d] ", advice); about = what; R(madvise(m, PAGE, advice)); R(madvise(m + 19 * PAGE, 3 * PAGE, advice)); R(madvise(m + 1, PAGE, advice)); R(madvise(m, 0, advice)); R(madvise((void *)(1L << 47), PAGE, advice)); R(madvise(m, -1, advice)); }
    R(madvise(m, PAGE, 100)); R(madvise(m, PAGE, 101));  about = "";
    char *s = mmap(0, 4 * PAGE, 3, MAP_SHARED, fd, 0), *pr = mmap(0, 4 * PAGE, 3, MAP_PRIVATE, fd, 0), *sa = mmap(0, 4 * PAGE, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct { const char *n; char *at; } kinds[] = {{"file shared", s}, {"file private", pr}, {"anonymous shared", sa}};
    for (int k = 0; k < 3; k++) for (int advice = 0; advice < 26; advice++) { if (advice == 12 || advice == 13 || advice == 25 || advice == 9) continue; char *at = kinds[k].at; at[5] = 'w'; errno = 0; int r = madvise(at, PAGE, advice); printf("%s %d: %d %d, then %d\n", kinds[k].n, advice, r, errno, at[5]); }
    unsigned char vec[64];
    R(mincore(m, PAGE, vec)); R(mincore(m + 1, PAGE, vec)); R(mincore(m, 0, vec)); R(mincore(m + 19 * PAGE, 3 * PAGE, vec)); R(mincore(m, PAGE, (void *)8)); R(mincore(m, -1, vec)); R(mincore((void *)-PAGE, PAGE, vec));
    for (int f = 0; f < 9; f++) { char what[40]; sprintf(what, "[msync %d] ", f); about = what; R(msync(s, PAGE, f)); R(msync(m, PAGE, f)); R(msync(m + 19 * PAGE, 3 * PAGE, f)); R(msync(s + 1, PAGE, f)); R(msync(s, 0, f)); R(msync(s, -1, f)); R(msync((void *)PAGE, PAGE, f)); } about = "";
    S(mlock2, m, PAGE, 0); S(mlock2, m, PAGE, 1); S(mlock2, m, PAGE, 2); S(mlock2, m + 1, PAGE, 1); S(mlock2, m + 19 * PAGE, 3 * PAGE, 1); S(mlock2, m, 0, 0); S(mlock2, m, -1, 0); S(mlock2, PAGE, PAGE, 0); S(mlock, m, 100); S(munlock, m + 19 * PAGE, 3 * PAGE); S(munlock, m, 0); S(munlock, m, PAGE); S(mlockall, 0); S(mlockall, 8); S(mlockall, 4); S(munlockall);
    for (unsigned fl = 0; fl < 9; fl++) { char what[40]; sprintf(what, "[mremap %d] ", fl); about = what; Z(mremap(m, PAGE, PAGE, fl, m + 40 * PAGE)); Z(mremap(m + 1, PAGE, PAGE, fl, m + 40 * PAGE)); Z(mremap(m + 20 * PAGE, PAGE, PAGE, fl, m + 40 * PAGE)); Z(mremap(m, PAGE, 0, fl, m + 40 * PAGE)); Z(mremap(m, 0, PAGE, fl, m + 40 * PAGE)); Z(mremap(m + 2 * PAGE, PAGE, 2 * PAGE, fl, m + 3 * PAGE)); Z(mremap(m + 2 * PAGE, PAGE, -1, fl, m + 3 * PAGE)); Z(mremap(m, 40 * PAGE, 40 * PAGE, fl, m + 41)); Z(mmap(m, 64 * PAGE, 1, A | MAP_FIXED, -1, 0)); R(munmap(m + 20 * PAGE, PAGE)); } about = "";
    s[0] = 'S'; pr[0] = 'P'; char c; pread(fd, &c, 1, 0); printf("file has %c\n", c); msync(s, PAGE, MS_SYNC); truncate("f", 100); printf("after cut %d %d %d\n", s[50], s[200], pr[0]); ftruncate(fd, 0); 
    S(remap_file_pages, s, PAGE, 0, 0, 0); S(remap_file_pages, m, PAGE, 0, 0, 0); S(remap_file_pages, s, PAGE, 1, 0, 0); S(remap_file_pages, s, 0, 0, 0, 0);

    S(pkey_alloc, 1, 0); S(pkey_alloc, 0, 4); S(pkey_free, -1); S(pkey_free, 100); S(pkey_mprotect, m, PAGE, 3, -1); S(pkey_mprotect, m, PAGE, 3, 99); S(pkey_mprotect, m + 1, PAGE, 3, -1);
    char *b = sbrk(0); R(brk(b + PAGE)); R((char *)sbrk(0) - b); R(syscall(SYS_brk, 0) == (long)(b + PAGE)); R(syscall(SYS_brk, -1) == (long)(b + PAGE)); R(brk(b)); R(syscall(SYS_brk, 1L << 46) == (long)b);
    return 0;
}
