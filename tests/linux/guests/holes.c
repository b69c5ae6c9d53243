/* A stream of one byte through buffers that run into a hole: 60 reads and writes, then the sum of what was seen. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv) {
    char *map = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(map + (1 << 19), 1 << 19);
    int in = open(argv[1], O_RDONLY), pair[2];
    pipe(pair);
    unsigned long sum = 0;
    long total = 0;
    for (int i = 0; i < 60; i++) {
        int good = 1 + i * 800;
        char *p = map + (1 << 19) - good;
        memset(p, 0, good);
        ssize_t n = read(in, p, good + 5000);
        if (n < 0)
            return printf("read: %s\n", strerror(errno)), 1;
        total += n;
        for (ssize_t k = 0; k < n; k++)
            sum = sum * 31 + p[k];
        n = write(1, p, good + 100);
        sum += n < 0 ? errno : n;
        n = write(pair[1], p, good % 3000 < good ? good % 3000 : good);
        if (n > 0)
            sum += read(pair[0], p, good % 3000 + 4000);
        sum = sum * 31 + *p;
    }
    char text[100];
    write(1, text, snprintf(text, sizeof text, "\n%ld %lx\n", total, sum));
    return 0;
}
