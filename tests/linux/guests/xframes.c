// Signal frames whose vector state a handler has changed, moved or cut: what the way back makes of it.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

struct notes { uint32_t magic1, extended; uint64_t features; uint32_t size, rest[7]; };
static int which;
static char *room; // three pages, behind which there is nothing

static void handler(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    ucontext_t *u = context;
    char *area = (char *)u->uc_mcontext.fpregs;
    struct notes *n = (struct notes *)(area + 464);
    uint64_t *header = (uint64_t *)(area + 512);
    uint32_t size = n->size, extended = n->extended;
    uint32_t *mark = (uint32_t *)(area + size);
    char *moved;
    switch (which) {
    case 0: break;
    case 1: n->magic1 ^= 1; break;
    case 2: *mark ^= 1; break;
    case 3: n->size = 575; break;
    case 4: n->size = 576, *(uint32_t *)(area + 576) = *mark; break;
    case 5: n->size = 512; break;
    case 6: n->size = size + 64; break;
    case 7: n->size = extended + 64; break;
    case 8: n->extended = size - 64; break;
    case 9: n->extended = 0; break;
    case 10: n->features = 3; break;
    case 11: n->features = 0; break;
    case 12: n->features = ~0ull; break;
    case 13: header[0] |= 1ull << 62; break;
    case 14: header[1] = 1; break;
    case 15: header[2] = 1; break;
    case 16: header[0] = 0; break;
    case 17: header[0] = 2; break;
    case 18: header[0] = 1; break;
    case 19: *(uint32_t *)(area + 24) |= 1u << 20; break;
    case 20: n->magic1 = 0, *(uint32_t *)(area + 24) |= 1u << 20; break;
    case 21: u->uc_mcontext.fpregs = NULL; break;
    case 22: u->uc_mcontext.fpregs = (void *)(area + 8); break;
    case 23: u->uc_mcontext.fpregs = (void *)0x1000; break;
    case 24: u->uc_mcontext.fpregs = (void *)0xffff800000000000; break;
    case 25: u->uc_flags &= ~1ul; break;
    case 26: case 27: case 28: case 29: case 30: case 31: case 32: case 33: case 34: {
        static const int left[] = {512, 576, 1024, 832, 0, 64, 511, 4, 8}; // bytes of it that are there; 0: all but the mark
        int there = left[which - 26] ? left[which - 26] : (int)size;
        there &= -64;
        if (there < 64) there = 64;
        moved = room + 3 * 4096 - there;
        memcpy(moved, area, there);
        u->uc_mcontext.fpregs = (void *)moved;
        break;
    }
    case 35: case 36: // cut, and without the note that there is more
        n->magic1 = 0;
        moved = room + 3 * 4096 - (which == 35 ? 512 : 448);
        memcpy(moved, area, room + 3 * 4096 - moved);
        u->uc_mcontext.fpregs = (void *)moved;
        break;
    case 37: // moved whole
        moved = room + 3 * 4096 - ((size + 4 + 63) & -64);
        memcpy(moved, area, size + 4);
        u->uc_mcontext.fpregs = (void *)moved;
        break;
    case 38: // the size is a lie, and it is cut there
        n->size = 640;
        moved = room + 3 * 4096 - 704;
        memcpy(moved, area, 704);
        *(uint32_t *)(moved + 640) = *mark;
        u->uc_mcontext.fpregs = (void *)moved;
        break;
    }
}

__attribute__((noinline, target("avx"))) static int one(void)
{
    static unsigned char in[32], out[32];
    uint32_t control = 0;
    for (int i = 0; i < 32; i++) in[i] = i + 1;
    long pid = getpid();
    __asm__ volatile("vmovdqu %2, %%ymm7\n fld1\n mov %3, %%edi\n mov $10, %%esi\n mov $62, %%eax\n syscall\n vmovdqu %%ymm7, %0\n"
                     " vzeroupper\n fnstsw %1"
                     : "=m"(out), "=m"(control) : "m"(in), "r"((int)pid) : "rax", "rdi", "rsi", "rcx", "r11", "memory", "xmm7");
    int low = memcmp(in, out, 16) == 0, high = memcmp(in + 16, out + 16, 16) == 0;
    for (int i = 0; i < 32; i++) in[i] = 0;
    int low0 = memcmp(in, out, 16) == 0, high0 = memcmp(in + 16, out + 16, 16) == 0;
    return low | high << 1 | low0 << 2 | high0 << 3 | (control >> 11 & 7) << 4;
}

int main(void)
{
    room = mmap(0, 4 * 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(room + 3 * 4096, 4096);
    for (which = 0; which < 39; which++) {
        fflush(stdout);
        pid_t child = fork();
        if (!child) {
            struct sigaction a = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
            sigaction(SIGUSR1, &a, NULL);
            _exit(one());
        }
        int status;
        waitpid(child, &status, 0);
        printf("%d: %x\n", which, status);
    }
    return 0;
}
