/* When writes through mappings move a file's times: at the fault, not at each store and not when it is written back. */
#include "show.h"

static int fd, other; static char *m, *again; static volatile char sink;
static const struct timespec old[2] = {{1000, 5}, {1000, 5}}, future[2] = {{1L << 33, 5}, {1L << 33, 5}};

static void moved(const char *what, long from) {
    struct stat a, b; struct statx x; fstat(fd, &a); fstat(other, &b); statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &x);
    printf("%s%s: %s, %s, alike %d %d\n", about, what, a.st_mtim.tv_sec == from ? "stays" : "moves", a.st_ctim.tv_sec > 1000 ? "changed" : "as set",
           a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec, x.stx_mtime.tv_sec == a.st_mtim.tv_sec && x.stx_mtime.tv_nsec == a.st_mtim.tv_nsec);
}

#define SINCE(times, ...) do { futimens(fd, times); __VA_ARGS__; moved(#__VA_ARGS__, (times)[0].tv_sec); } while (0)

/* Where others may have it written back at any moment, a page that may be written can fault again: until it did not. */
static void quiet(const char *what, void (*act)(void)) {
    struct stat s; int tries = 0;
    do { futimens(fd, old); act(); fstat(fd, &s); } while (s.st_mtim.tv_sec != 1000 && ++tries < 100);
    moved(what, 1000);
}
static void twice(void) { m[0] = 'y'; }
static void sync_twice(void) { m[0] = 'a'; futimens(fd, old); m[1] = 'b'; msync(m, PAGE, MS_SYNC); }
static void gone(void) { char *n = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0); n[0] = 'a'; futimens(fd, old); munmap(n, PAGE); }

/* A page lies FAR from the next one, and came by a write of its own: else Linux may map it along with its neighbour. */
#define FAR (16 * PAGE)
static void maps(void) {
    static char page[PAGE]; for (int i = 0; i < 64; i++) pwrite(fd, page, PAGE, i * PAGE);
    m = mmap(0, 4 * FAR, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0); again = mmap(0, 4 * FAR, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    SINCE(old, sink = m[0]);
    SINCE(old, m[FAR] = 'x');
    SINCE(future, m[2 * FAR] = 'x');
    SINCE(old, again[0] = 'x');
    SINCE(old, read(fd, m + 3 * FAR, 5));
    munmap(m, 4 * FAR); SINCE(old, m = mmap(0, 4 * FAR, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0));
    munmap(m, 4 * FAR); m = mmap(0, 4 * FAR, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    for (int i = 0; i < 3; i++) SINCE(old, m[i * FAR] = 'x');
    munmap(m, 4 * FAR); m = mmap(0, 4 * FAR, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    SINCE(old, madvise(m, PAGE, 22 /* MADV_POPULATE_READ */)); SINCE(old, madvise(m + FAR, PAGE, 23 /* MADV_POPULATE_WRITE */)); SINCE(old, write(other, "x", 1)); SINCE(old, pwrite(fd, m + FAR, 2, 1));
    quiet("m[0] = 'y', twice", twice);
    for (int i = 0; i < 8; i++) pwrite(fd, page, PAGE, i * PAGE);
    munmap(m, 4 * FAR); m = mmap(0, 4 * FAR, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    for (int i = 0; i < 8; i++) SINCE(old, m[i * PAGE] = 'x');
}

static void order(void) {
    struct stat a, b, c; ftruncate(fd, 8 * PAGE); m = mmap(0, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    m[4 * PAGE] = 'x'; fstat(fd, &a); usleep(20000); pwrite(fd, "p", 1, 0); fstat(fd, &b); usleep(20000); m[5 * PAGE] = 'x'; fstat(fd, &c);
    printf("%sorder %d %d\n", about, a.st_mtim.tv_sec * 1000000000 + a.st_mtim.tv_nsec < b.st_mtim.tv_sec * 1000000000 + b.st_mtim.tv_nsec, b.st_mtim.tv_sec * 1000000000 + b.st_mtim.tv_nsec < c.st_mtim.tv_sec * 1000000000 + c.st_mtim.tv_nsec);
    m[6 * PAGE] = 'x'; usleep(20000); pwrite(fd, "p", 1, 0); fstat(fd, &a); msync(m, 8 * PAGE, MS_SYNC); fstat(fd, &b); usleep(20000); munmap(m, 8 * PAGE); fstat(fd, &c);
    printf("%swritten back %d %d\n", about, a.st_mtim.tv_nsec == b.st_mtim.tv_nsec, b.st_mtim.tv_nsec == c.st_mtim.tv_nsec);
    ftruncate(fd, 8 * PAGE); m = mmap(0, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0); SINCE(old, m[7 * PAGE] = 'x'; close(dup(fd)); fsync(fd)); SINCE(old, m[3 * PAGE] = 'x'; ftruncate(fd, 2 * PAGE); munmap(m, 8 * PAGE));
}

int main(void) {
    fd = open("f", O_RDWR | O_CREAT, 0600); other = open("f", O_RDONLY); about = "file: "; maps(); quiet("msync", sync_twice); quiet("munmap", gone); order();
    fd = memfd_create("m", 0); other = dup(fd); about = "memory: "; maps(); order();
    fd = memfd_create("m", 0); ftruncate(fd, 2 * PAGE); other = dup(fd); m = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0); about = "empty: "; SINCE(old, m[0] = 'x'); SINCE(old, sink = m[PAGE]); SINCE(old, m[PAGE] = 'x');
    fd = memfd_create("m", 0); ftruncate(fd, 2 * PAGE); other = dup(fd); m = mmap(0, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0); about = "read into: "; put("g", "abc"); int g = open("g", O_RDONLY); SINCE(old, read(g, m, 2)); SINCE(old, read(g, m + PAGE, 1));
    return 0;
}
