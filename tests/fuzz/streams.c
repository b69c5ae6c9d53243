/* Runs streams of instructions over known registers, vectors and memory, and writes what they leave. Standard input:
   `struct stream`s; standard output: a `struct left` each. The same program runs on the host and as a guest; with the
   argument `confine` it lets the streams make no system call (the host's run).

   CODE  rwx, two pages    DATA  rw-, rw-, r--, ---, and nothing behind    signals go to a stack of their own. */
#define _GNU_SOURCE
#include <cpuid.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#define CODE 0x50000000ul /* the heap begins within a GiB of the program */
#define DATA 0x60000000ul
#define PAGES 4
#define PARTS 0xe7ul /* x87, SSE, AVX, AVX-512 */
#define MOST 4096

struct stream { uint64_t seed; uint32_t flags; uint32_t mxcsr; uint16_t fcw; uint16_t size; uint8_t code[236]; };
struct left {
    uint64_t gpr[16], flags, fs_base, gs_base;
    uint8_t legacy[416];
    uint64_t parts[5], memory;
    int32_t signal, code, trap, error;
    uint64_t rip, address, cr2;
};

uint64_t in_gpr[16], out_gpr[16], in_flags, out_flags, in_fs = DATA + 2048, in_gs, out_gs, own_stack, own_fs, out_fs, parts;
uint8_t in_area[MOST] __attribute__((aligned(64))), out_area[MOST] __attribute__((aligned(64)));
static uint64_t random_state;
static struct left left;
static volatile uint64_t current, ticked; /* the number of the stream; that at the last tick of the clock */
static volatile int stuck;                /* it did not end between two ticks */
static uint32_t offsets[8], sizes[8];

void enter(void);
void leave(void);
void leave_after_signal(void);
void handler_entry(void);
__asm__(".text\n"
    "enter: push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n mov %rsp, own_stack(%rip)\n"
    "mov $0xe7, %eax\n xor %edx, %edx\n lea in_area(%rip), %rcx\n xrstor64 (%rcx)\n"
    "mov in_gs(%rip), %rax\n wrgsbase %rax\n mov in_fs(%rip), %rax\n wrfsbase %rax\n"
    "lea in_gpr(%rip), %rax\n mov 32(%rax), %rsp\n"
    "mov 8(%rax), %rcx\n mov 16(%rax), %rdx\n mov 24(%rax), %rbx\n mov 40(%rax), %rbp\n mov 48(%rax), %rsi\n"
    "mov 56(%rax), %rdi\n mov 64(%rax), %r8\n mov 72(%rax), %r9\n mov 80(%rax), %r10\n mov 88(%rax), %r11\n"
    "mov 96(%rax), %r12\n mov 104(%rax), %r13\n mov 112(%rax), %r14\n mov 120(%rax), %r15\n mov (%rax), %rax\n"
    "push in_flags(%rip)\n popfq\n"
    "jmp *target(%rip)\n"
    "leave: mov %rax, out_gpr(%rip)\n mov %rsp, out_gpr+32(%rip)\n lea out_flags+8(%rip), %rsp\n pushfq\n"
    "mov own_stack(%rip), %rsp\n push $2\n popfq\n lea out_gpr(%rip), %rax\n"
    "mov %rcx, 8(%rax)\n mov %rdx, 16(%rax)\n mov %rbx, 24(%rax)\n mov %rbp, 40(%rax)\n mov %rsi, 48(%rax)\n"
    "mov %rdi, 56(%rax)\n mov %r8, 64(%rax)\n mov %r9, 72(%rax)\n mov %r10, 80(%rax)\n mov %r11, 88(%rax)\n"
    "mov %r12, 96(%rax)\n mov %r13, 104(%rax)\n mov %r14, 112(%rax)\n mov %r15, 120(%rax)\n"
    "rdgsbase %rax\n mov %rax, out_gs(%rip)\n rdfsbase %rax\n mov %rax, out_fs(%rip)\n"
    "mov $0xe7, %eax\n xor %edx, %edx\n lea out_area(%rip), %rcx\n xsave64 (%rcx)\n"
    "leave_after_signal: mov own_fs(%rip), %rax\n wrfsbase %rax\n mov own_stack(%rip), %rsp\n push $2\n popfq\n"
    "fninit\n ldmxcsr plain(%rip)\n vzeroall\n"
    "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n ret\n"
    "handler_entry: pushfq\n andl $~0x40500, (%rsp)\n popfq\n"
    "rdfsbase %rax\n mov %rax, out_fs(%rip)\n rdgsbase %rax\n mov %rax, out_gs(%rip)\n"
    "mov own_fs(%rip), %rax\n wrfsbase %rax\n jmp handler\n"
    ".data\n target: .quad 0x50000000\n plain: .long 0x1f80\n.text\n");

static uint64_t next(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

/* Numbers where carries, signs and exponents turn, besides any. */
static uint64_t number(void) {
    static const uint64_t edges[] = { 0, 1, -1ul, 0x80, 0x7f, 0xff, 0x8000, 0x7fff, 0xffff, 0x80000000, 0x7fffffff,
        0xffffffff, 1ul << 63, ~(1ul << 63), 0x100000000, 0xffffffff00000000, 0x3ff0000000000000, 0x7ff0000000000000,
        0x7ff8000000000001, 0x7ff0000000000001, 0x0010000000000000, 0x000fffffffffffff, 0x3f8000003f800000,
        0x7f8000007fc00001, 0x0080000000000001, 0x4340000000000000, 0xc1e0000000000000 };
    uint64_t r = next();
    double d = (double)((int64_t)next() >> 40) / 1024;
    if ((r & 7) == 7) { memcpy(&r, &d, 8); return r; }
    return r & 1 ? next() : r & 2 ? edges[next() % (sizeof edges / 8)] : next() >> (next() & 63);
}

static uint64_t place(void) {
    static const uint64_t odd[] = { 0x10, 0x8000000000000000, 0x0000900000000000, 0xffffffffffffff00, 0x7ffffffffff8,
        0xffff800000000000, DATA + 0x100000, CODE + 0x80 };
    uint64_t r = next();
    if (r % 16 == 0) return odd[next() % 8];
    if (r % 16 < 4) return DATA + 4096 * (1 + next() % PAGES) - next() % 40; /* about a boundary */
    return DATA + 1024 + (next() % 4096 & (r & 16 ? -64ul : r & 32 ? -8ul : -1ul));
}

static void prepare(const struct stream *s) {
    static const int pointers[] = { 3, 5, 6, 7, 11, 14, 15 };
    random_state = s->seed | 1;
    for (int i = 0; i < 16; i++) in_gpr[i] = number();
    for (unsigned i = 0; i < sizeof pointers / sizeof *pointers; i++) in_gpr[pointers[i]] = place();
    in_gpr[1] &= next() & 3 ? 63 : -1ul;
    in_gpr[4] = next() % 32 ? DATA + 4096 + next() % 64 * 8 : place();
    in_gs = next() & 7 ? DATA + next() % 64 : DATA + 0x100000; /* what is not canonical cannot be loaded */
    in_flags = s->flags;
    mprotect((void *)DATA, 4096 * PAGES, 3);
    for (unsigned i = 0; i < PAGES * 512; i++) ((uint64_t *)DATA)[i] = next() & 3 ? number() : DATA + next() % 8192;
    mprotect((void *)(DATA + 2 * 4096), 4096, PROT_READ);
    mprotect((void *)(DATA + 3 * 4096), 4096, PROT_NONE);
    memset(in_area, 0, sizeof in_area);
    for (unsigned c = 2; c < 8; c++)
        for (unsigned i = 0; parts >> c & 1 && i < sizes[c]; i += 8) { uint64_t n = number(); memcpy(in_area + offsets[c] + i, &n, 8); }
    for (int i = 0; i < 32; i++) ((uint64_t *)(in_area + 160))[i] = number();
    for (int i = 0; i < 8; i++) {
        uint64_t n = number();
        uint16_t e = next() & 3 ? 0x3fff + (int)(next() % 40) - 20 : next();
        memcpy(in_area + 32 + 16 * i, &n, 8);
        if (next() & 3) in_area[32 + 16 * i + 7] |= 0x80;
        memcpy(in_area + 32 + 16 * i + 8, &e, 2);
    }
    *(uint16_t *)in_area = s->fcw;
    *(uint16_t *)(in_area + 2) = (next() & 3 ? 0 : next() & 0x7f3f) & ~(next() & 7 ? 0x3f : 0);
    in_area[4] = next() & 3 ? next() : next() & 1 ? 0 : 0xff;
    *(uint32_t *)(in_area + 24) = s->mxcsr;
    *(uint64_t *)(in_area + 512) = parts;
}

static uint64_t hash(const void *from, size_t size) {
    uint64_t h = 1469598103934665603ul;
    for (size_t i = 0; i + 8 <= size; i += 8) { uint64_t w; memcpy(&w, (const char *)from + i, 8); h = (h ^ w) * 1099511628211ul; h ^= h >> 29; }
    return h;
}

/* A part that is not in use is as a CPU starts with it. */
static void keep_vectors(const uint8_t *area, int whole) {
    uint64_t used = whole ? *(const uint64_t *)(area + 512) : 3;
    static uint8_t zeros[MOST];
    memcpy(left.legacy, area, 416);
    if (!(used & 1)) {
        memset(left.legacy, 0, 24);
        memset(left.legacy + 32, 0, 128);
        *(uint16_t *)left.legacy = 0x37f;
    }
    if (!(used & 2)) memset(left.legacy + 160, 0, 256);
    memset(left.legacy + 28, 0, 4);
    for (int i = 0; i < 8; i++) memset(left.legacy + 32 + 16 * i + 10, 0, 6);
    for (unsigned c = 2, n = 0; c < 8; c++)
        if (PARTS >> c & 1)
            left.parts[n++] = parts >> c & 1 ? hash(used >> c & 1 ? area + offsets[c] : zeros, sizes[c]) : 0;
}

__attribute__((used)) void handler(int signal, siginfo_t *info, void *context) {
    static const int order[] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI, REG_R8, REG_R9,
        REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };
    ucontext_t *u = context;
    greg_t *g = u->uc_mcontext.gregs;
    const uint8_t *area = (const uint8_t *)u->uc_mcontext.fpregs;
    uint32_t magic;
    if (signal == SIGPROF && current != ticked) { /* not now */
        ticked = current;
        __asm__ volatile("wrfsbase %0" : : "r"(out_fs));
        return;
    }
    if (signal == SIGPROF) stuck = 1;
    for (int i = 0; i < 16; i++) out_gpr[i] = g[order[i]];
    out_flags = g[REG_EFL];
    memcpy(&magic, area + 464, 4);
    keep_vectors(area, magic == 0x46505853);
    left.signal = signal;
    left.code = info->si_code;
    left.trap = g[REG_TRAPNO];
    left.error = g[REG_ERR];
    left.rip = g[REG_RIP];
    left.address = (uint64_t)info->si_addr;
    left.cr2 = g[REG_TRAPNO] == 14 ? g[REG_CR2] : 0;
    g[REG_RIP] = (greg_t)leave_after_signal;
    g[REG_EFL] = 2;
    *(uint16_t *)(area + 2) = 0; /* nothing is left to trap */
}

static void confine(void) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 6),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 5, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 4, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 10, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 15, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 231, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) _exit(99);
}

static int all(ssize_t (*f)(int, void *, size_t), int fd, void *at, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t n = f(fd, (char *)at + done, size - done);
        if (n <= 0) return 0;
        done += n;
    }
    return 1;
}

int main(int argc, char **argv) {
    static char alternate[131072];
    static const int signals[] = { SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS, SIGPROF };
    struct itimerval ticks = { { 1, 0 }, { 1, 0 } };
    stack_t stack = { alternate, 0, sizeof alternate };
    struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTART };
    struct stream s;
    uint32_t a, b, c, d;
    uint8_t *code = mmap((void *)CODE, 8192, 7, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    mmap((void *)DATA, 4096 * PAGES, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    parts = a & PARTS;
    for (int i = 2; i < 8; i++)
        if (parts >> i & 1) { __cpuid_count(0xd, i, sizes[i], offsets[i], c, d); }
    __asm__ volatile("rdfsbase %0" : "=r"(own_fs));
    sigaltstack(&stack, 0);
    action.sa_sigaction = (void (*)(int, siginfo_t *, void *))handler_entry;
    for (int i = 0; i < 7; i++) sigaction(signals[i], &action, 0);
    for (int fd = 2; fd < 64; fd++) close(fd);
    setitimer(ITIMER_PROF, &ticks, 0);
    if (argc > 1 && !strcmp(argv[1], "confine")) confine();
    (void)b;
    while (all((ssize_t (*)(int, void *, size_t))read, 0, &s, sizeof s)) {
        uint64_t end = (uint64_t)leave;
        prepare(&s);
        memset(code, 0xf4, 8192);
        memcpy(code, s.code, s.size);
        memcpy(code + s.size, "\xff\x25\0\0\0\0", 6);
        memcpy(code + s.size + 6, &end, 8);
        memset(&left, 0, sizeof left);
        memset(out_area, 0, sizeof out_area);
        stuck = 0;
        current++;
        enter();
        if (!left.signal) keep_vectors(out_area, 1);
        memcpy(left.gpr, out_gpr, sizeof out_gpr);
        left.flags = out_flags;
        left.fs_base = out_fs;
        left.gs_base = out_gs;
        if (stuck) {
            memset(&left, 0, sizeof left);
            left.signal = SIGPROF;
        }
        mprotect((void *)DATA, 4096 * PAGES, 3);
        if (!stuck) left.memory = hash((void *)DATA, 4096 * PAGES);
        if (!all((ssize_t (*)(int, void *, size_t))write, 1, &left, sizeof left)) return 1;
    }
    return 0;
}
