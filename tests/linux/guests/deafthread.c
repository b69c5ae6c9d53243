// Two threads, one of which has its stub block all signals and never comes back, or makes call after call, while the other forks, has
// what was written found, waits for the other CPUs, takes memory away, becomes another program or ends. argv: where the stub lies, one
// letter each for what the threads do.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <fcntl.h>
static unsigned long frame[256] __attribute__((aligned(4096)));
static char stack[65536] __attribute__((aligned(64)));
static volatile int ready, calls;
static volatile long sink;
static void spin(void) {
    ready = 1;
    if (!calls) for (;;) sink++;
    for (;;) { long r; ready = 1; __asm__ volatile("syscall" : "=a"(r) : "a"(500) : "rcx", "r11", "memory"); }
}
static void *deaf(void *base) {
    frame[5 + 16] = (unsigned long)spin;
    frame[5 + 15] = (unsigned long)(stack + sizeof stack - 72);
    frame[5 + 17] = 0x202;
    frame[5 + 18] = 0x002B000000000033;
    frame[5 + 32] = -1;
    __asm__ volatile("mov %0, %%rsp\n jmp *%1" : : "r"(frame), "r"((char *)base + 0x10));
    return 0;
}
int main(int argc, char **argv) {
    pthread_t t; int s; unsigned long base = strtoul(argv[1], 0, 16);
    calls = argv[2][0] == 'c';
    if (memcmp((char *)base + 0x10, "\xb8\x0f\0\0\0\x0f\x05", 7)) return 3;
    int fd = open("f", O_RDWR | O_CREAT, 0600);
    ftruncate(fd, 4096);
    char *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_membarrier, 16, 0, 0);
    pthread_create(&t, 0, deaf, (void *)base);
    while (!ready) ;
    for (int i = 0; i < 20; i++) {
        if (argv[3][0] == 'f') { int p = fork(); if (!p) _exit(0); waitpid(p, &s, 0); }
        else if (argv[3][0] == 'm') { m[0]++; msync(m, 4096, MS_SYNC); }
        else if (argv[3][0] == 'b') syscall(SYS_membarrier, 8, 0, 0);
        else if (argv[3][0] == 'x') { execl("/bin/echo", "echo", "another", (char *)0); }
        else if (argv[3][0] == 'e') { puts("end"); exit(0); }
        else { munmap(mmap(0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0), 4096); sink += frame[0]; mprotect(frame, 4096, 1 + 2 * (i & 1)); }
    }
    puts("over");
    return 0;
}
