/* caller.c: makes the system calls of a script, a line each, and tells what each gave and which bytes it changed.
 *
 * usage: caller SCRIPT. Lines:  p ADDRESS HEX          put bytes
 *                               c NUMBER A B C D E F   call; a word is hexadecimal, or `rN`, what the Nth call gave
 *                               h ADDRESS SIZE         these bytes are 0 after the next call, whatever it stored
 *                               u ADDRESS              bytes of the arena below this are in use
 * Of each call it prints the result and, in brackets, address and bytes of what is no longer as before. The arena stands
 * at a fixed address and ends where nothing is; one page in the middle of nowhere can only be read.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ARENA ((unsigned char *)0x50000000) /* the heap of a program at 0x400000 begins anywhere in the GiB behind it */
#define SIZE 0x40000
#define PAGE 4096
#define READ_ONLY ((unsigned char *)0x60000000)

static char script[4 << 20], line[4 << 20];
static unsigned char before[SIZE];
static long results[1 << 16];
static struct { uint64_t start, size; } hidden[64];

static long call(long nr, uint64_t *a)
{
    long result;
    register uint64_t r10 asm("r10") = a[3];
    register uint64_t r8 asm("r8") = a[4];
    register uint64_t r9 asm("r9") = a[5];
    asm volatile("syscall" : "=a"(result) : "a"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    return result;
}

static uint64_t word(char **at)
{
    while (**at == ' ')
        ++*at;
    int later = **at == 'r';
    uint64_t value = strtoul(*at + later, at, 16);
    return later ? (uint64_t)results[value] : value;
}

static int digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

static char *changes(char *to, uint64_t from, uint64_t end)
{
    for (uint64_t i = from; i < end; i++) {
        if (ARENA[i] == before[i])
            continue;
        to += sprintf(to, " [%lx", (uint64_t)ARENA + i);
        char sign = ':';
        for (; i < end && ARENA[i] != before[i]; i++) {
            to += sprintf(to, "%c%02x", sign, ARENA[i]);
            before[i] = ARENA[i];
            sign = ' ';
        }
        *to++ = ']';
        i--;
    }
    return to;
}

int main(int argc, char **argv)
{
    int fd = open(argv[1], O_RDONLY);
    ssize_t size = 0, got;
    while ((got = read(fd, script + size, sizeof script - 1 - size)) > 0)
        size += got;
    close(fd);
    mmap(ARENA, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    mmap(READ_ONLY, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    int made = 0, hides = 0;
    uint64_t used = 0;
    for (char *at = strtok(script, "\n"); at; at = strtok(0, "\n")) {
        char kind = *at++;
        if (kind == 'u') {
            used = word(&at) - (uint64_t)ARENA;
        } else if (kind == 'p') {
            unsigned char *to = (unsigned char *)word(&at);
            for (at++; *at; at += 2, to++)
                *to = before[to - ARENA] = digit(at[0]) << 4 | digit(at[1]);
        } else if (kind == 'h') {
            hidden[hides].start = word(&at) - (uint64_t)ARENA;
            hidden[hides++].size = word(&at);
        } else {
            uint64_t nr = word(&at), words[6];
            for (int i = 0; i < 6; i++)
                words[i] = word(&at);
            results[made] = call(nr, words);
            for (; hides; hides--)
                for (uint64_t i = 0; i < hidden[hides - 1].size; i++)
                    before[hidden[hides - 1].start + i] = ARENA[hidden[hides - 1].start + i] = 0;
            char *end = line + sprintf(line, "%ld", results[made++]);
            end = changes(end, 0, used);
            end = changes(end, SIZE - PAGE, SIZE);
            *end++ = '\n';
            write(1, line, end - line);
        }
    }
    return 0;
}
