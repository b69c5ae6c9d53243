/* Runs pieces of code over known registers and memory and writes what they leave. Standard input: `struct piece`s;
   standard output: a `struct left` each. The same program runs on the host and under axptr. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define CODE 0x50000000ul /* the heap begins within a GiB of the program */
#define DATA 0x60000000ul /* two pages, and none behind them */
#define SIZE 8192ul

struct piece { uint64_t seed; uint8_t size, floats, aligned, code[53]; };
struct left { uint64_t gpr[16], flags, xmm[32], mm[8], memory; int32_t signal, code, trap, error; uint64_t rip, address; };

static struct { uint64_t gpr[16], flags, xmm[32], mm[8]; } in, out;
static uint64_t own_stack __attribute__((used)), random_state;
static sigjmp_buf back;
static struct left left;

void enter(void);
void leave(void);
__asm__(".text\n"
    "enter: push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n mov %rsp, own_stack(%rip)\n"
    "lea in(%rip), %rax\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n movups 136+16*\\n(%rax), %xmm\\n\n .endr\n"
    ".irp n,0,1,2,3,4,5,6,7\n movq 392+8*\\n(%rax), %mm\\n\n .endr\n"
    "mov 32(%rax), %rsp\n push 128(%rax)\n popfq\n"
    "mov 8(%rax), %rcx\n mov 16(%rax), %rdx\n mov 24(%rax), %rbx\n mov 40(%rax), %rbp\n mov 48(%rax), %rsi\n"
    "mov 56(%rax), %rdi\n mov 64(%rax), %r8\n mov 72(%rax), %r9\n mov 80(%rax), %r10\n mov 88(%rax), %r11\n"
    "mov 96(%rax), %r12\n mov 104(%rax), %r13\n mov 112(%rax), %r14\n mov 120(%rax), %r15\n mov (%rax), %rax\n"
    "push $0\n lea 8(%rsp), %rsp\n"
    "jmp *target(%rip)\n"
    "leave: mov %rax, out(%rip)\n mov %rsp, out+32(%rip)\n lea out+136(%rip), %rsp\n pushfq\n lea out(%rip), %rax\n"
    "mov own_stack(%rip), %rsp\n"
    "mov %rcx, 8(%rax)\n mov %rdx, 16(%rax)\n mov %rbx, 24(%rax)\n mov %rbp, 40(%rax)\n mov %rsi, 48(%rax)\n"
    "mov %rdi, 56(%rax)\n mov %r8, 64(%rax)\n mov %r9, 72(%rax)\n mov %r10, 80(%rax)\n mov %r11, 88(%rax)\n"
    "mov %r12, 96(%rax)\n mov %r13, 104(%rax)\n mov %r14, 112(%rax)\n mov %r15, 120(%rax)\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n movups %xmm\\n, 136+16*\\n(%rax)\n .endr\n"
    ".irp n,0,1,2,3,4,5,6,7\n movq %mm\\n, 392+8*\\n(%rax)\n .endr\n"
    "emms\n cld\n pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n ret\n"
    ".data\n target: .quad 0x50000000\n.text\n");

static uint64_t next(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

/* Numbers where carries and signs turn, besides any. */
static uint64_t number(void) {
    static const uint64_t edges[] = { 0, 1, -1ul, 0x80, 0x7f, 0xff, 0x8000, 0x7fff, 0xffff, 0x80000000, 0x7fffffff,
        0xffffffff, 1ul << 63, ~(1ul << 63), 0x100000000, 0xffffffff00000000 };
    uint64_t r = next();
    return r & 1 ? next() : r & 2 ? edges[next() % 16] : next() >> (next() & 63);
}

static uint64_t float_bits(int size) {
    double d = (double)((int64_t)next() >> 40) / 1024;
    float f = (float)d;
    uint64_t r = 0;
    if (size == 8) { memcpy(&r, &d, 8); return r; }
    memcpy(&r, &f, 4);
    f = (float)((int64_t)next() >> 48) / 16;
    memcpy((char *)&r + 4, &f, 4);
    return r;
}

static void prepare(const struct piece *p) {
    static const int pointers[] = { 3, 6, 7, 11, 14, 15 };
    uint64_t *data = (uint64_t *)DATA;
    random_state = p->seed | 1;
    for (int i = 0; i < 16; i++) in.gpr[i] = number();
    for (unsigned i = 0; i < sizeof pointers / sizeof *pointers; i++)
        in.gpr[pointers[i]] = DATA + 1024 + (next() % 4096 & (p->aligned ? -16ul : next() & 3 ? -2ul : -1ul));
    in.gpr[1] &= next() & 1 ? 63 : -1ul;
    in.gpr[4] = DATA + 4096 + next() % 64 * 8;
    in.flags = 2 | (next() & 0x8d5);
    for (int i = 0; i < 32; i++) in.xmm[i] = p->floats ? float_bits(p->floats) : number();
    for (int i = 0; i < 8; i++) in.mm[i] = number();
    for (unsigned i = 0; i < SIZE / 8; i++) data[i] = p->floats ? float_bits(p->floats) : next();
}

static uint64_t hash(void) {
    uint64_t h = 1469598103934665603ul, *data = (uint64_t *)DATA;
    for (unsigned i = 0; i < SIZE / 8; i++) h = (h ^ data[i]) * 1099511628211ul;
    return h;
}

static void handler(int signal, siginfo_t *info, void *context) {
    static const int order[] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI, REG_R8, REG_R9,
        REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };
    ucontext_t *u = context;
    greg_t *g = u->uc_mcontext.gregs;
    for (int i = 0; i < 16; i++) out.gpr[i] = g[order[i]];
    out.flags = g[REG_EFL];
    memcpy(out.xmm, u->uc_mcontext.fpregs->_xmm, 256);
    for (int i = 0; i < 8; i++) memcpy(&out.mm[i], &u->uc_mcontext.fpregs->_st[i], 8);
    __asm__ volatile("emms");
    left.signal = signal;
    left.code = info->si_code;
    left.trap = g[REG_TRAPNO];
    left.error = g[REG_ERR];
    left.rip = g[REG_RIP];
    left.address = (uint64_t)info->si_addr;
    siglongjmp(back, 1);
}

int main(void) {
    static char alternate[65536];
    static const int signals[] = { SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV };
    stack_t stack = { alternate, 0, sizeof alternate };
    struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
    struct piece p;
    uint8_t *code = mmap((void *)CODE, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    mmap((void *)DATA, SIZE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    sigaltstack(&stack, 0);
    for (int i = 0; i < 5; i++) sigaction(signals[i], &action, 0);
    while (read(0, &p, sizeof p) == sizeof p) {
        uint64_t end = (uint64_t)leave;
        prepare(&p);
        memset(code, 0xf4, 128);
        memcpy(code, p.code, p.size);
        memcpy(code + p.size, "\xff\x25\0\0\0\0", 6);
        memcpy(code + p.size + 6, &end, 8);
        memset(&left, 0, sizeof left);
        if (!sigsetjmp(back, 1)) enter();
        memcpy(left.gpr, out.gpr, sizeof out.gpr);
        left.flags = out.flags;
        memcpy(left.xmm, out.xmm, sizeof out.xmm);
        memcpy(left.mm, out.mm, sizeof out.mm);
        left.memory = hash();
        if (write(1, &left, sizeof left) != sizeof left) return 1;
    }
    return 0;
}
