/* Random reads of a file, a line for each with a sum of what came: reads FILE SEED TIMES. Into good memory, over a hole,
   into what may not be written; by a descriptor, its twin, one that is for writing, a place; while a mapping shows the file. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGES 16
#define PAGE 4096

static unsigned long state;

static unsigned long dice(unsigned long n)
{
    state = state * 6364136223846793005UL + 1442695040888963407UL;
    return (state >> 33) % n;
}

int main(int argc, char **argv)
{
    static const unsigned long counts[] = {0, 1, 3, 512, 4096, 4097, 20000, 32768, 32769, 70000, 1UL << 24, ~0UL};
    static const long places[] = {0, 1, 4095, 4096, 60000, 99999, 100000, 1L << 40, -1, 0x7fffffffffffffffL};
    unsigned char *room, *shown = NULL;
    int fd[5];
    if (argc != 4)
        return 1;
    state = strtoul(argv[2], NULL, 10);
    room = mmap(NULL, (PAGES + 2) * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED || munmap(room + PAGES * PAGE, PAGE) || mprotect(room + 9 * PAGE, PAGE, PROT_READ))
        return 2;
    fd[0] = open(argv[1], O_RDONLY);
    fd[1] = dup(fd[0]);
    fd[2] = open(argv[1], O_RDWR);
    fd[3] = open(argv[1], O_WRONLY);
    fd[4] = open(argv[1], O_PATH);
    for (long i = 0, n = strtol(argv[3], NULL, 10); i < n; i++) {
        int of = dice(5), call = dice(8);
        unsigned long at = dice(3) ? dice(PAGES) * PAGE + dice(2) * dice(PAGE) : dice((PAGES + 2) * PAGE);
        unsigned long count = counts[dice(sizeof counts / sizeof *counts)], sum = 0;
        long where = places[dice(sizeof places / sizeof *places)], done = 0;
        if (call < 4)
            done = syscall(SYS_read, fd[of], room + at, count);
        else if (call < 6)
            done = syscall(SYS_pread64, fd[of], room + at, count, where);
        else if (call == 6)
            done = lseek(fd[of], where & 0x1ffff, SEEK_SET);
        else if (!shown && dice(6) == 0) {
            shown = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd[2], 0);
            if (shown == MAP_FAILED)
                return 3;
            shown[dice(PAGE)] = dice(256);
        } else if (shown && dice(2)) {
            shown[dice(PAGE)] = dice(256);
            if (dice(3) == 0) {
                munmap(shown, PAGE);
                shown = NULL;
            }
        } else if (fd[2] >= 0)
            done = pwrite(fd[2], &state, dice(8), dice(100000));
        for (unsigned long k = 0; k < PAGES * PAGE; k++)
            sum = sum * 31 + room[k];
        printf("%ld of %d call %d: %ld %d, %ld, %lx\n", i, of, call, done, done < 0 ? errno : 0, lseek(fd[0], 0, SEEK_CUR), sum);
    }
    return 0;
}
