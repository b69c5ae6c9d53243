/* Selectors: a frame that was given others than a program has, and a program in the CPU's mode of 32 bits, which calls
   nothing there: instructions, pages that come when they are touched, faults and the way back through a handler. */
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

static uint16_t wanted_cs, wanted_ss;
static int lax, faults;
static uint8_t *const low = (uint8_t *)0x20000000;

static const char *known(unsigned selector)
{
    return selector == 0x33 ? "64 bits" : selector == 0x23 ? "32 bits" : selector == 0x2b ? "data" : "another";
}

static void changes(int signal, siginfo_t *info, void *context)
{
    ucontext_t *u = context;
    uint16_t *selectors = (void *)&u->uc_mcontext.gregs[REG_CSGSFS];
    (void)info;
    if (signal == SIGUSR1) {
        selectors[0] = wanted_cs;
        selectors[3] = wanted_ss;
        if (lax) u->uc_flags &= ~4ul;
        return;
    }
    printf("signal %d code %d trap %lld error %llx\n", signal, info->si_code, u->uc_mcontext.gregs[REG_TRAPNO],
           u->uc_mcontext.gregs[REG_TRAPNO] == 13 ? u->uc_mcontext.gregs[REG_ERR] : 0);
    fflush(stdout);
    _exit(0);
}

static void shows(int signal, siginfo_t *info, void *context)
{
    ucontext_t *u = context;
    greg_t *g = u->uc_mcontext.gregs;
    uint16_t *selectors = (void *)&g[REG_CSGSFS], cs;
    __asm__("mov %%cs, %0" : "=r"(cs));
    printf("signal %d code %d at %llx (%s, %s; here %s) address %lx trap %lld error %llx rax %llx rbx %llx rsp %llx\n",
           signal, info->si_code, g[REG_RIP], known(selectors[0]), known(selectors[3]), known(cs), (long)info->si_addr,
           g[REG_TRAPNO], g[REG_ERR], g[REG_RAX], g[REG_RBX], g[REG_RSP]);
    fflush(stdout);
    if (signal == SIGSEGV) mprotect(low + 0x3000, 4096, PROT_READ | PROT_WRITE);
    else if (signal == SIGILL) g[REG_RIP] += 2;
    if (++faults > 20) _exit(1);
}

static void take(void (*handler)(int, siginfo_t *, void *))
{
    static const int signals[] = {SIGUSR1, SIGILL, SIGSEGV, SIGTRAP, SIGBUS, SIGFPE};
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, 0);
}

static void frames(void)
{
    static const uint16_t all[] = {0x33, 0x30, 0x23, 0x2b, 0x28, 0, 3, 7, 0x10, 0x1b, 0x37};
    unsigned n = sizeof all / sizeof *all;
    take(changes);
    for (unsigned i = 0; i < 2 * n * n; i++) {
        wanted_cs = all[i / 2 / n];
        wanted_ss = all[i / 2 % n];
        lax = i & 1;
        printf("cs %x ss %x %d: ", wanted_cs, wanted_ss, lax);
        fflush(stdout);
        if (!fork()) {
            uint16_t cs, ss;
            raise(SIGUSR1);
            __asm__ volatile("mov %%cs, %0\n mov %%ss, %1" : "=r"(cs), "=r"(ss));
            printf("back with %x %x\n", cs, ss);
            fflush(stdout);
            _exit(0);
        }
        wait(0);
    }
}

/* At 0x20000000, of 32 bits: the stack at 0x20002800, a page that is touched first here, one that is read-only, ud2, int3,
   `inc eax` (a prefix in 64 bits), and the far jump back. */
__asm__(".pushsection .rodata\n.globl narrow, narrow_end\nnarrow: .code32\n"
        "mov $0x2b, %ecx\n mov %ecx, %ds\n mov %ecx, %es\n mov $0x20002800, %esp\n mov $0x11, %eax\n inc %eax\n push %eax\n pushf\n pop %ecx\n"
        "mov $0x20001000, %ebx\n mov %eax, (%ebx)\n incl (%ebx)\n mov (%ebx), %eax\n"
        "ud2\n inc %eax\n int3\n inc %eax\n mov $0x20003000, %ebx\n mov %eax, 8(%ebx)\n inc %eax\n"
        "ljmp $0x33, $0x20000800\n.code64\nnarrow_end:\n.popsection\n");
extern const char narrow[], narrow_end[];

static void mode(void)
{
    struct __attribute__((packed)) { uint32_t offset; uint16_t selector; } far = {0x20000000, 0x23};
    uint64_t rax = 0, kept = 0;
    mmap(low, 0x4000, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    mprotect(low + 0x3000, 4096, PROT_READ);
    memcpy(low, narrow, narrow_end - narrow);
    memcpy(low + 0x800, "\x41\xff\xe7", 3); /* jmp *%r15 */
    take(shows);
    __asm__ volatile("mov %%rsp, %%r14\n lea 1f(%%rip), %%r15\n ljmp *%2\n 1: mov %%r14, %%rsp\n mov %%ecx, %k1"
                     : "=a"(rax), "=r"(kept) : "m"(far)
                     : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
    printf("back with %lx, stored %x %x\n", rax, *(uint32_t *)(low + 0x1000), *(uint32_t *)(low + 0x3008));
}

int main(void)
{
    stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
    sigaltstack(&stack, 0);
    frames();
    mode();
    return 0;
}
