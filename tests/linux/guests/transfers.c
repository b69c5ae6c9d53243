/* Random reads and writes of a file, and of a pipe whose ends are standard input and output, a line for each on standard error
   with a sum of what came: transfers FILE SEED TIMES. From and into good memory, over a hole, what may not be written and what
   nobody has touched; in parts; past a limit; at the end (O_APPEND); while a mapping shows the file; as much as goes. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGES 16
#define PAGE 4096
#define PARTS 20

static unsigned long state;

static unsigned long dice(unsigned long n)
{
    state = state * 6364136223846793005UL + 1442695040888963407UL;
    return (state >> 33) % n;
}

static unsigned char *place(unsigned char *room)
{
    return room + (dice(6) ? dice(8) * PAGE + dice(2) * dice(PAGE) : dice((PAGES + 2) * PAGE));
}

int main(int argc, char **argv)
{
    static const unsigned long counts[] = {0, 1, 3, 512, 4096, 4097, 20000, 32768, 32769, 70000, 1UL << 24, ~0UL};
    static const unsigned long few[] = {0, 1, 3, 17, 512, 4096, 5000, 12000};
    static const long places[] = {0, 1, 4095, 4096, 60000, 99999, 100000, 120000, 131072, -1, 0x7fffffffffffffffL};
    unsigned char *room, *shown = NULL;
    struct iovec parts[PARTS];
    struct rlimit size = {RLIM_INFINITY, RLIM_INFINITY};
    int fd[7];
    if (argc != 4)
        return 1;
    state = strtoul(argv[2], NULL, 10);
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    room = mmap(NULL, (PAGES + 4) * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED || munmap(room + PAGES * PAGE, PAGE) || mprotect(room + 9 * PAGE, PAGE, PROT_READ)
        || mprotect(room + (PAGES + 2) * PAGE, PAGE, PROT_NONE))
        return 2;
    for (int i = 0; i < 6 * PAGE; i++)
        room[i] = dice(256);
    fd[0] = 0;
    fd[1] = 1;
    fd[2] = open(argv[1], O_RDWR);
    fd[3] = dup(fd[2]);
    fd[4] = open(argv[1], O_WRONLY | O_APPEND);
    fd[5] = open(argv[1], O_RDONLY);
    fd[6] = open("/dev/null", O_RDWR);
    if (fcntl(0, F_SETFL, O_NONBLOCK) || fcntl(1, F_SETFL, O_NONBLOCK))
        return 3;
    for (long i = 0, n = strtol(argv[3], NULL, 10); i < n; i++) {
        int of = dice(7), call = dice(14), many = dice(8) ? dice(4) : dice(PARTS);
        unsigned char *at = place(room);
        unsigned long count = counts[dice(dice(2) ? 9 : sizeof counts / sizeof *counts)], sum = 0;
        long where = places[dice(sizeof places / sizeof *places)], done = 0;
        for (int k = 0; k < many; k++)
            parts[k] = (struct iovec){place(room), dice(40) ? few[dice(8)] : counts[dice(12)]};
        if (of >= 2 && of < 6 && count > 70000)
            count = 3; /* no file of 16 MiB */
        if (call < 3)
            done = syscall(SYS_write, fd[of], at, count);
        else if (call < 5)
            done = syscall(SYS_read, fd[of], at, count);
        else if (call < 7)
            done = syscall(SYS_writev, fd[of], dice(20) ? parts : (void *)(room + PAGES * PAGE - 8), many);
        else if (call < 9)
            done = syscall(SYS_readv, fd[of], parts, many);
        else if (call < 10)
            done = syscall(SYS_pwrite64, fd[of], at, count, where);
        else if (call < 11)
            done = syscall(SYS_pread64, fd[of], at, count, where);
        else if (call == 11)
            done = lseek(fd[of], where & 0x1ffff, SEEK_SET);
        else if (call == 12) {
            size.rlim_cur = dice(3) ? RLIM_INFINITY : 100000 + dice(20000);
            done = setrlimit(RLIMIT_FSIZE, &size);
        } else if (!shown && dice(3) == 0) {
            shown = mmap(room + (PAGES + 3) * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd[2], 0);
            if (shown == MAP_FAILED)
                return 4;
            shown[dice(PAGE)] = dice(256);
        } else if (shown) {
            munmap(shown, PAGE);
            shown = NULL;
        } else
            done = ftruncate(fd[2], 100000);
        for (unsigned long k = 0; k < PAGES * PAGE; k++)
            sum = sum * 31 + room[k];
        fprintf(stderr, "%ld of %d call %d: %ld %d, %ld, %ld, %lx\n", i, of, call, done, done < 0 ? errno : 0,
                lseek(fd[2], 0, SEEK_CUR), lseek(fd[4], 0, SEEK_END), sum);
    }
    return 0;
}
