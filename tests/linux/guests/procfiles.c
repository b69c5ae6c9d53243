/* What can be done with files of /proc, printed so that no address or number of the run is in it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char whole[1 << 20], pieces[1 << 20];

static const char *e(long r) { return r < 0 ? strerrorname_np(errno) : "ok"; }

static long slurp(int fd, char *to, size_t step)
{
    long n, all = 0;
    while ((n = read(fd, to + all, step)) > 0)
        all += n;
    return all;
}

static void in_pieces(const char *path)
{
    int a = open(path, O_RDONLY), b = open(path, O_RDONLY);
    long n = slurp(a, whole, 1 << 16), m = slurp(b, pieces, 7);
    printf("%s: %s, at the end %zd", strrchr(path, '/'), n == m && !memcmp(whole, pieces, n) ? "same" : "differs",
           read(a, pieces, 10));
    long k = pread(a, pieces, 20, 5);
    printf(", pread %s", k == (n - 5 < 20 ? n - 5 : 20) && !memcmp(whole + 5, pieces, k) ? "same" : "differs");
    printf(", back %ld", (long)lseek(a, 0, SEEK_SET));
    printf(" %s", read(a, pieces, 8) == 8 ? "again" : "nothing");
    printf(", end %s", e(lseek(a, 0, SEEK_END)));
    printf(", negative %s\n", e(lseek(a, -1, SEEK_SET)));
    close(a), close(b);
}

static void set(const char *name, const char *value)
{
    char path[100], now[100] = "";
    snprintf(path, sizeof path, "/proc/self/%s", name);
    int fd = open(path, O_WRONLY);
    long n = write(fd, value, strlen(value));
    printf("%s = %.12s: %ld %s", name, value, n, e(n));
    close(fd);
    fd = open(path, O_RDONLY);
    if (fd >= 0)
        read(fd, now, sizeof now - 1);
    printf(" now [%s]\n", now);
    close(fd);
}

static void memory(void)
{
    char *p = mmap(0, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), b[8192];
    munmap(p + 4096, 4096);
    strcpy(p + 4090, "tail");
    int fd = open("/proc/self/mem", O_RDWR);
    long n = pread(fd, b, 8, (long)p + 4090);
    printf("mem: read across the end %ld %.4s", n, b);
    n = pread(fd, b, 8, (long)p + 4096);
    printf(", in a hole %ld %s", n, e(n));
    mprotect(p, 4096, PROT_READ);
    n = pwrite(fd, "over", 4, (long)p + 4090);
    printf(", write to a read-only page %ld %.4s", n, p + 4090);
    mprotect(p, 4096, PROT_NONE);
    n = pread(fd, b, 4, (long)p + 4090);
    printf(", read of PROT_NONE %ld %.4s", n, b);
    n = pwrite(fd, "text", 4, (long)(void *)memory);
    printf(", write to code %ld", n);
    char *s = mmap(0, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    n = pwrite(fd, "text", 4, (long)s);
    printf(", write to shared read-only %ld %s", n, e(n));
    n = pread(fd, b, 4, 0);
    printf(", at zero %ld %s", n, e(n));
    printf(", seek %d", lseek(fd, (long)s, SEEK_SET) == (long)s);
    n = read(fd, b, 4);
    printf(", read %ld, none %zd\n", n, read(fd, b, 0));
    close(fd);
}

static void pages(void)
{
    uint64_t v[3];
    char *p = mmap(0, 256 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int file = open("/proc/self/exe", O_RDONLY), fd = open("/proc/self/pagemap", O_RDONLY);
    volatile char *f = mmap(0, 4096, PROT_READ, MAP_PRIVATE, file, 0);
    p[0] = 1;
    (void)*f;
    pread(fd, v, 8, (long)p / 4096 * 8);
    pread(fd, v + 1, 8, ((long)p / 4096 + 255) * 8); /* far away: more than one page may come in at a touch */
    pread(fd, v + 2, 8, (long)f / 4096 * 8);
    printf("pagemap: present %d %d, file %d %d", (int)(v[0] >> 63), (int)(v[1] >> 63), (int)(v[0] >> 61 & 1),
           (int)(v[2] >> 61 & 1));
    printf(", odd place %s", e(pread(fd, v, 8, 4)));
    printf(", odd size %s", e(pread(fd, v, 7, 8)));
    printf(", kernel %zd\n", pread(fd, v, 8, (1L << 47) / 4096 * 8));
    close(fd), close(file);
}

static void counted(void)
{
    long a[4], b[4];
    char t[300];
    for (int i = 0; i < 2; i++) {
        int fd = open("/proc/self/io", O_RDONLY);
        t[read(fd, t, sizeof t - 1)] = 0;
        close(fd);
        long *to = i ? b : a;
        sscanf(t, "rchar: %ld\nwchar: %ld\nsyscr: %ld\nsyscw: %ld", to, to + 1, to + 2, to + 3);
        if (!i) {
            int z = open("/dev/zero", O_RDWR);
            read(z, whole, 1000), read(z, whole, 500), write(z, whole, 300);
            close(z);
        }
    }
    printf("io: read %ld more in %ld, wrote %ld in %ld\n", b[0] - a[0] > 1500 ? 1500L : -1,
           b[2] - a[2], b[1] - a[1], b[3] - a[3]);
}

static void descriptors(const char *path)
{
    char t[300];
    int fd = open(path, O_RDWR | O_APPEND | O_CLOEXEC | O_CREAT, 0600), info;
    struct stat s;
    lseek(fd, 1234, SEEK_SET);
    snprintf(t, sizeof t, "/proc/self/fdinfo/%d", fd);
    info = open(t, O_RDONLY);
    fstat(info, &s);
    t[read(info, t, sizeof t - 1)] = 0;
    long pos = -1, flags = -1, mnt = -1, ino = -1;
    int k = sscanf(t, "pos:\t%ld\nflags:\t%lo\nmnt_id:\t%ld\nino:\t%ld\n", &pos, &flags, &mnt, &ino);
    printf("fdinfo: %d fields, pos %ld flags %lo mode %o", k, pos, flags, s.st_mode);
    fstat(fd, &s);
    printf(" ino %d", ino == (long)s.st_ino);
    printf(", none %s", e(open("/proc/self/fdinfo/99", O_RDONLY)));
    printf(", odd name %s\n", e(open("/proc/self/fdinfo/00", O_RDONLY)));
}

int main(int c, char **v)
{
    setvbuf(stdout, 0, _IONBF, 0);
    const char *some[] = {"maps", "smaps", "limits", "cmdline", "environ", "auxv", "mounts"};
    char path[100];
    for (int i = 0; i < 7; i++) {
        snprintf(path, sizeof path, "/proc/self/%s", some[i]);
        in_pieces(path);
    }
    in_pieces("/proc/sys/kernel/ostype");
    set("comm", "a name that is too long"), set("comm", "short");
    set("oom_score_adj", "12\n"), set("oom_score_adj", " 500 "), set("oom_score_adj", "1001"), set("oom_score_adj", "x");
    set("oom_score_adj", "-5"), set("oom_score_adj", "+7"), set("oom_score_adj", "");
    set("oom_adj", "8"), set("oom_adj", "16"), set("oom_adj", "-17"), set("oom_adj", "15");
    set("oom_score_adj", "0");
    set("coredump_filter", "0x7f"), set("coredump_filter", "12"), set("coredump_filter", "017"), set("coredump_filter", "y");
    set("clear_refs", "1"), set("clear_refs", "0"), set("clear_refs", "6"), set("clear_refs", "z");
    memory(), pages(), counted(), descriptors(v[1]);
    strcpy(v[0], "me");
    int fd = open("/proc/self/cmdline", O_RDONLY);
    printf("title: %ld %s\n", read(fd, whole, 100) > 2 ? 1L : 0, whole);
    return 0;
}
