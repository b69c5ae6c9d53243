/* Runs a script of transfers between descriptors and prints what each gives, then what files and pipes hold.
   Slots: 0 one (rw) 1 two (rw) 2,3 a pipe 4,5 another 6 /dev/zero 7 /dev/null 8 /dev/full 9 one (append) 10 one (r)
   11 . 12 two (w) 13 /proc/self/maps 14 a mere place 15 /dev/urandom (rw); 20: none.
   Words: s|c|p|t OUT IN OFFSET OUT_OFFSET COUNT FLAGS (sendfile, copy_file_range, splice, tee; offset -100: none)
   v SLOT COUNT FLAGS (vmsplice) | w SLOT COUNT | r SLOT COUNT | k SLOT POSITION | m (map file two, shared, and write
   to the mapping) | f SLOT MODE OFFSET SIZE (fallocate) */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define BASE 20
static int to(int fd, int slot) { return dup2(fd, BASE + slot); }
static unsigned long hash(const char *p, long n) {
    unsigned long h = 5381;
    while (n-- > 0)
        h = h * 33 + (unsigned char)*p++;
    return h;
}
static char block[1 << 20];

int main(int argc, char **argv) {
    int pair[2];
    int nonblock = !strcmp(argv[1], "nonblock") ? O_NONBLOCK : 0;
    to(open("one", O_RDWR), 0), to(open("two", O_RDWR), 1);
    pipe2(pair, nonblock), to(pair[0], 2), to(pair[1], 3);
    pipe2(pair, nonblock), to(pair[0], 4), to(pair[1], 5);
    to(open("/dev/zero", O_RDWR), 6), to(open("/dev/null", O_RDWR), 7), to(open("/dev/full", O_RDWR), 8);
    to(open("one", O_RDWR | O_APPEND), 9), to(open("one", O_RDONLY), 10), to(open(".", O_RDONLY), 11);
    to(open("two", O_WRONLY), 12), to(open("/proc/self/maps", O_RDONLY), 13), to(open("one", O_PATH), 14);
    to(open("/dev/urandom", O_RDWR), 15);
    for (int i = 3; i < BASE; i++)
        close(i);
    for (int i = 0; i < 1 << 20; i++)
        block[i] = "abcdefghijklmnopqrstuvwxyz0123456789"[i % 36];
    char *map = 0;
    for (int i = 2; i < argc; i++) {
        int out = 0, in = 0;
        long off = 0, oof = 0, count = 0, flags = 0, result;
        sscanf(argv[i] + 1, "%d %d %ld %ld %ld %ld", &out, &in, &off, &oof, &count, &flags);
        long *po = off == -100 ? 0 : &off, *pp = oof == -100 ? 0 : &oof;
        errno = 0;
        switch (argv[i][0]) {
        case 's': result = sendfile(BASE + out, BASE + in, po, count); break;
        case 'c': result = copy_file_range(BASE + in, po, BASE + out, pp, count, flags); break;
        case 'p': result = splice(BASE + in, po, BASE + out, pp, count, flags); break;
        case 't': result = tee(BASE + in, BASE + out, count, flags); break;
        case 'v': {
            struct iovec iov[2] = {{block + 7, in / 2}, {block + 70000, in - in / 2}};
            result = vmsplice(BASE + out, iov, 2, off);
            break;
        }
        case 'w': result = write(BASE + out, block, in); break;
        case 'r': result = read(BASE + out, block, in); break;
        case 'k': result = lseek(BASE + out, in, SEEK_SET); break;
        case 'f': result = fallocate(BASE + out, in, off, oof); break;
        case 'm':
            map = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, BASE + 1, 0);
            memcpy(map + 100, "MAPPED", 6);
            result = 0;
            break;
        }
        printf("%s: %ld %s", argv[i], result, result < 0 ? strerrorname_np(errno) : "");
        printf(" [%ld %ld] at %ld %ld", off, oof, (long)lseek(BASE, 0, SEEK_CUR), (long)lseek(BASE + 1, 0, SEEK_CUR));
        if (map)
            printf(" map %lx", hash(map, 4096));
        printf("\n");
    }
    for (int slot = 0; slot < 2; slot++) {
        struct stat s;
        fstat(BASE + slot, &s);
        long n = pread(BASE + slot, block, sizeof block, 0);
        printf("file %d: %ld %lx\n", slot, (long)s.st_size, hash(block, n));
    }
    for (int slot = 2; slot < 6; slot += 2) {
        fcntl(BASE + slot, F_SETFL, O_NONBLOCK);
        long n = 0, k;
        while ((k = read(BASE + slot, block + n, sizeof block - n)) > 0)
            n += k;
        printf("pipe %d: %ld %lx\n", slot, n, hash(block, n));
    }
    return 0;
}
