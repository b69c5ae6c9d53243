/* rseq(2): registration by its rules, what stands in the area, a section that a signal aborts. */
#include "show.h"
#include <pthread.h>

struct area { uint32_t start, cpu; uint64_t section; uint32_t flags, node, mm_cid; char end[100]; } __attribute__((aligned(32)));
struct section { uint32_t version, flags; uint64_t start, length, abort; } __attribute__((aligned(32)));
static struct area a, other;
static volatile int handled;
static void on(int s) { handled++; }
#define SIG 0x53053053

static int in_section(int bad) {
    int aborted;
    __asm__ volatile(
        ".pushsection .data\n .balign 32\n 3: .long 0, 0\n .quad 1f, (2f - 1f), 4f\n .popsection\n"
        "lea 3b(%%rip), %%rax\n mov %%rax, %1\n"
        "1: mov $62, %%eax\n mov %2, %%edi\n mov $10, %%esi\n syscall\n xor %0, %0\n 2: jmp 5f\n"
        ".long 0x53053053\n 4: mov $1, %0\n 5:\n" : "=&r"(aborted), "=m"(a.section) : "r"(getpid()) : "rax", "rcx", "r11", "rdi", "rsi", "memory");
    return aborted;
}

static volatile int stop;
static void *spinning(void *arg) { while (!stop) ; return 0; }

/* Another thread has the one CPU that both may use: the section, which would never end, is left at its abort handler. */
static void preempted(void) {
    cpu_set_t one; CPU_ZERO(&one); CPU_SET(sched_getcpu(), &one); sched_setaffinity(0, sizeof one, &one);
    pthread_t other; pthread_create(&other, 0, spinning, 0);
    int aborted;
    __asm__ volatile(
        ".pushsection .data\n .balign 32\n 3: .long 0, 0\n .quad 1f, (2f - 1f), 4f\n .popsection\n"
        "lea 3b(%%rip), %%rax\n mov %%rax, %1\n"
        "1: pause\n jmp 1b\n 2: xor %0, %0\n jmp 5f\n"
        ".long 0x53053053\n 4: mov $1, %0\n 5:\n" : "=&r"(aborted), "=m"(a.section) : : "rax", "memory");
    R(aborted); R(a.section);
    stop = 1; pthread_join(other, 0);
}

int main(void) {
    setbuf(stdout, 0);
    char *misaligned = (char *)&other + 16;
    SZ(rseq, &a, 32, 1, SIG);
    /* whatever the C library has registered is not ours to know */
    for (int i = 0; i < 1; i++) {
        unsigned long offset = 0;
        extern const ptrdiff_t __rseq_offset __attribute__((weak)); extern const unsigned __rseq_size __attribute__((weak));
        if (&__rseq_size && __rseq_size) { char *fs; __asm__("mov %%fs:0, %0" : "=r"(fs)); R(syscall(SYS_rseq, fs + __rseq_offset, 32, 0, 0x53053053)); R(syscall(SYS_rseq, fs + __rseq_offset, 32, 0, 1)); R(*(int *)(fs + __rseq_offset + 4) >= 0); R(syscall(SYS_rseq, fs + __rseq_offset, 32, 1, 1)); R(syscall(SYS_rseq, fs + __rseq_offset, 64, 1, 0x53053053)); R(syscall(SYS_rseq, fs + __rseq_offset, 32, 1, 0x53053053)); R(*(int *)(fs + __rseq_offset + 4)); }
        else printf("not registered\n");
    }
    S(rseq, &a, 31, 0, SIG); S(rseq, misaligned, 32, 0, SIG); S(rseq, &a, 0, 0, SIG); S(rseq, &a, 32, 2, SIG); S(rseq, &a, 32, 3, SIG); S(rseq, &a, 32, 1, SIG); S(rseq, -4096L, 32, 0, SIG); S(rseq, 0, 0, 1, 0);
    a.section = 8; a.cpu = 77; S(rseq, &a, 32, 0, SIG); R(a.section); R(a.cpu < 4096); R(a.start == a.cpu); R(a.node); S(rseq, &a, 32, 0, SIG); S(rseq, &a, 32, 0, 1); S(rseq, &other, 32, 0, SIG); S(rseq, &a, 64, 0, SIG); S(rseq, &a, 64, 1, SIG); S(rseq, &other, 32, 1, SIG); S(rseq, &a, 32, 1, 1);
    preempted();
    struct sigaction h = {.sa_handler = on}; sigaction(10, &h, 0);
    R(in_section(0)); R(a.section); R(handled); raise(10); R(handled);
    static uint32_t handler[2] = {SIG}; static struct section far = {0, 0, 4096, 16}; far.abort = (uint64_t)(handler + 1); a.section = (uint64_t)&far; raise(10); R(a.section); R(handled);
    S(rseq, &a, 32, 1, SIG); R(a.cpu); R(a.start); S(rseq, &a, 32, 1, SIG); a.section = 8; raise(10); R(a.section);
    S(rseq, &a, 33, 0, SIG); S(rseq, &a, 33, 1, SIG); S(rseq, &a, 64, 0, SIG); R(a.section);
    printf("a section that is none kills\n"); fflush(stdout); a.section = 8; raise(10); printf("not reached\n");
    return 0;
}
