// A handler spoils the vector state of its frame: the way back is SIGSEGV, with all else as the frame has it. And an
// instruction of a part of the CPU that the program has not asked for (AMX), after a page fault, is no page fault.
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

static volatile int how, seen;
static volatile uintptr_t there;
static sigjmp_buf back;

static void spoil(int signal, siginfo_t *info, void *place) {
    ucontext_t *context = place;
    unsigned char *image = (void *)context->uc_mcontext.fpregs;
    there = context->uc_mcontext.gregs[REG_RIP];
    sigaddset(&context->uc_sigmask, SIGUSR2);
    if (how == 0) memset(image + 512, 0xff, 64);
    if (how == 1) memset(image + 512 + 16, 0xff, 48);
    if (how == 2) memset(image + 24, 0xff, 4);
    if (how == 3) context->uc_mcontext.fpregs = (void *)8;
    if (how == 4) context->uc_mcontext.fpregs = (void *)((char *)image + 1);
}

static void told(int signal, siginfo_t *info, void *place) {
    ucontext_t *context = place;
    printf("signal %d code %d, where the frame was to go on: %d, SIGUSR2 blocked %d\n", signal, info->si_code,
           (uintptr_t)context->uc_mcontext.gregs[REG_RIP] == there, sigismember(&context->uc_sigmask, SIGUSR2));
    sigdelset(&context->uc_sigmask, SIGUSR2);
    if (++seen > 20) _exit(9);
}

static void refused(int signal) {
    printf("signal %d\n", signal);
    siglongjmp(back, 1);
}

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    struct sigaction one = {.sa_sigaction = spoil, .sa_flags = SA_SIGINFO}, other = {.sa_sigaction = told, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &one, 0);
    sigaction(SIGSEGV, &other, 0);
    for (how = 0; how < 6; how++) {
        printf("way %d\n", how);
        raise(SIGUSR1);
        double x = 2.5 + how;
        printf("back, %.1f\n", x * 2);
    }
    signal(SIGILL, refused);
    signal(SIGSEGV, SIG_DFL);
    volatile char *fresh = mmap(0, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    static struct { uint8_t palette, row, reserved[14]; uint16_t width[16]; uint8_t rows[16]; } tiles
        __attribute__((aligned(64))) = {1, 0, {0}, {64}, {16}};
    for (int i = 0; i < 3; i++) {
        fresh[i << 13] = 1;
        if (!sigsetjmp(back, 1)) {
            asm volatile(".byte 0xc4, 0xe2, 0x78, 0x49, 0x00" ::"a"(&tiles)); // ldtilecfg (%rax)
            asm volatile(".byte 0xc4, 0xe2, 0x7b, 0x49, 0xc0");               // tilezero %tmm0
            puts("tiles");
        }
    }
}
