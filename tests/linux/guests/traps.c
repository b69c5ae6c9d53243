/* Exceptions of the CPU as signals: each piece of code, given in hex as an argument, and what its handler is told.
   rdi: a readable and writable page, 16-aligned; rsi: an address that is not canonical; rbx: a page that may only be read;
   rdx, rcx, rax: 0. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

static sigjmp_buf back;
static uint8_t *code, *data, *constant;

static void show(const char *name, uint64_t value) {
    if (value - (uint64_t)code < 4096) printf(" %s code+%lu", name, value - (uint64_t)code);
    else if (value - (uint64_t)data < 4096) printf(" %s data+%lu", name, value - (uint64_t)data);
    else if (value - (uint64_t)constant < 4096) printf(" %s constant+%lu", name, value - (uint64_t)constant);
    else printf(" %s %lx", name, value);
}

static void handler(int signal, siginfo_t *info, void *context) {
    greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
    printf("signal %d code %d trap %lld error %llx flags %llx", signal, info->si_code, g[REG_TRAPNO], g[REG_ERR],
        g[REG_EFL] & 0x100);
    show("address", (uint64_t)info->si_addr);
    show("rip", g[REG_RIP]);
    show("rsp", g[REG_RSP] >> 63 ? g[REG_RSP] : 0);
    show("cr2", g[REG_TRAPNO] == 14 ? g[REG_CR2] : 0);
    puts("");
    siglongjmp(back, 1);
}

static void run(const char *hex) {
    unsigned byte;
    memset(code, 0xcc, 4096);
    memset(data, 0, 4096);
    *(uint64_t *)(data + 64) = 0x4141414141414141;
    *(uint32_t *)(data + 80) = 0xffffffff;
    for (int i = 0; sscanf(hex + 2 * i, "%2x", &byte) == 1; i++) code[i] = byte;
    printf("%s: ", hex);
    if (sigsetjmp(back, 1)) return;
    register uint64_t rax __asm__("rax") = 0, rdi __asm__("rdi") = (uint64_t)data, rsi __asm__("rsi") = 1ul << 63,
        rbx __asm__("rbx") = (uint64_t)constant, rdx __asm__("rdx") = 0, rcx __asm__("rcx") = 0, r8 __asm__("r8") = (uint64_t)code;
    __asm__ volatile("sub $128, %%rsp; call *%%r8; add $128, %%rsp" : "+r"(rax), "+r"(rdi), "+r"(rsi), "+r"(rbx), "+r"(rdx), "+r"(rcx), "+r"(r8)::"memory", "cc", "r9", "r10", "r11", "r12", "r13", "r14", "r15");
    puts("came back");
}

int main(int argc, char **argv) {
    static char alternate[65536];
    stack_t stack = { alternate, 0, sizeof alternate };
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
    int signals[] = { SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV };
    setvbuf(stdout, 0, _IOLBF, 0);
    code = mmap(0, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    data = mmap(0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    constant = mmap(0, 4096, 1, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *(volatile char *)constant;
    sigaltstack(&stack, 0);
    for (int i = 0; i < 5; i++) sigaction(signals[i], &action, 0);
    for (int i = 1; i < argc; i++) run(argv[i]);
    return 0;
}
